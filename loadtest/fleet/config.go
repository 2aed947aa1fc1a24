package fleet

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Subprotocol is the subprotocol that each client offers by default.
const Subprotocol = "tickcast.v1.json"

// Defaults of [Config].
const (
	defaultInFlight = 256
	defaultTimeout  = 10 * time.Second
	defaultSlowRate = 1024

	// closeGrace bounds the time that Close waits for the server's close frames.
	closeGrace = 3 * time.Second

	// machine.SpareDescriptors are left to the process besides the clients' sockets.
)

// Config describes the clients of a [Fleet] and how fast they are opened.
type Config struct {
	// URL of the stream, ws://host:port/path or wss://host:port/path. Several are separated by commas, and the clients are
	// assigned to them in turn. A port may be a range: ws://127.0.0.1:8000-8053/stream is 54 URLs.
	URL string

	// Insecure turns off the check of wss servers' certificates. CA is a PEM file with the certificates that sign them;
	// empty: the system's.
	Insecure bool
	CA       string

	// Subprotocols are offered in the opening handshake. Nil: [Subprotocol]; empty: no subprotocol.
	Subprotocols []string

	// Origin is the value of the header field Origin. Empty: the field is left out.
	Origin string

	// Conns is the number of connections to open, at least 1.
	Conns int

	// First and Stride let several fleets share the clients of a run: client j of this fleet is number First + j*Stride of
	// the run. Its server, source address, topics, cohort and time of start follow from that number. Zero Stride: 1.
	First, Stride int

	// Seed determines the cohort of each client, and with Zipf its topics. All fleets of a run have the same seed.
	Seed uint64

	// Ramp is the number of connections of the run to start in each second. Zero: as fast as InFlight allows.
	Ramp float64

	// Steps interrupt the ramp, in rising order of Conns.
	Steps []Step

	// InFlight bounds the connections between connect(2) and the server's 101, so that the server's accept queue does not
	// overflow. Zero: 256.
	InFlight int

	// Workers is the number of goroutines that share the connections. Zero: GOMAXPROCS.
	Workers int

	// Topics are assigned round robin: client i subscribes to Topics[i%len(Topics)].
	Topics []string

	// TopicsPerConn is the number of topics of a client: the one above and topics that follow it, round the end of the
	// list. The first len(Topics) clients have neighbours in the list. Later clients have every n-th topic, with another n
	// for each len(Topics) clients, so that sets overlap and few are equal. Zero: 1.
	TopicsPerConn int

	// Zipf is the exponent of the probability, 1/place^Zipf, with which a client's topics are drawn from Topics. Zero: they
	// are assigned round robin.
	Zipf float64

	// Subscribe is the text message that a client sends once it is open. {i} stands for the client's index from 0, {topic}
	// for its topic, inserted unchanged. Between several topics stands ",", quotation marks included. Empty:
	// [DefaultSubscribe], or no message if there are no Topics.
	Subscribe string

	// Ack is a part of the server's answer to Subscribe. Empty: an ack of Tickcast's protocol if Subscribe is a command of
	// that protocol; otherwise there is no answer to wait for.
	Ack string

	// Data is the beginning of data messages. Empty: {"t":, as in Tickcast's.
	Data string

	// AnswerWith is sent whenever the message Answer comes, for servers that ping with messages: {} and {}, or PING and
	// PONG, each with its line end.
	Answer, AnswerWith string

	// Slow and HalfOpen are shares of the clients, 0 to 1. Once they are subscribed, slow clients read no more than
	// SlowRate bytes a second, and half-open clients neither read nor answer pings. The server may end both.
	Slow, HalfOpen float64
	SlowRate       int

	// Probes is the number of clients of the run, chosen at random, whose latencies are recorded. Zero: all clients.
	Probes int

	// RunConns is the number of connections of the run. Zero: Conns.
	RunConns int

	// Deaf clients read until their subscription is answered, and then no more until Close. The fleet still notices the end
	// of their connections.
	Deaf bool

	// ReceiveBuffer is each socket's SO_RCVBUF in bytes. Zero: the kernel's choice.
	ReceiveBuffer int

	// Stamp is the name of a member of the data messages that holds the time of sending, CLOCK_MONOTONIC in nanoseconds as
	// a whole number: "at" for {"t":"px.A","s":1,"d":{"at":1234}}. It is for [Fleet.Latencies]. Empty: no member.
	Stamp string

	// Timeout bounds the time of one connection from connect(2) to the server's 101. Zero: 10 s.
	Timeout time.Duration

	// Pause is the time for which a worker, once all its connections are open, lets arrivals collect after it has handled
	// some. Zero gives the best latencies. On the server's own machine, a pause keeps the server's writes from waking the
	// fleet one by one, a cost that remote clients would not cause. LastData is late by up to the pause.
	Pause time.Duration

	// Sources are the local addresses to connect from, in turn. Empty: the kernel's choice while the ports of one address
	// suffice; beyond that 127.0.0.2 and its successors if the server is on 127.0.0.0/8, else the addresses of this host.
	Sources []netip.Addr
}

// Check returns an error if the numbers of cfg are invalid.
func (cfg *Config) Check() error {
	switch {
	case cfg.Conns < 1 || min(cfg.InFlight, cfg.Workers, cfg.TopicsPerConn, cfg.ReceiveBuffer, cfg.First, cfg.Stride,
		cfg.SlowRate, cfg.Probes) < 0 || min(cfg.Timeout, cfg.Pause) < 0 || min(cfg.Ramp, cfg.Zipf, cfg.Slow, cfg.HalfOpen) < 0:
		return errors.New("loadtest: Conns must be at least 1, and no number negative")
	case cfg.TopicsPerConn > 1 && cfg.TopicsPerConn > len(cfg.Topics):
		return fmt.Errorf("loadtest: %d topics per connection, and only %d topics", cfg.TopicsPerConn, len(cfg.Topics))
	case cfg.Slow+cfg.HalfOpen > 1:
		return errors.New("loadtest: the shares of slow and half-open clients are more than all")
	}
	return nil
}

// Part returns the share of part i of n of a run's clients: every n-th.
func (cfg Config) Part(i, n int) Config {
	cfg.RunConns, cfg.First, cfg.Stride = cfg.Conns, i, n
	cfg.Conns = (cfg.Conns - i + n - 1) / n
	cfg.InFlight = max(1, cmp.Or(cfg.InFlight, defaultInFlight)/n)
	return cfg
}

// A Step interrupts the ramp for the time Hold, once Conns connections of the run have been started.
type Step struct {
	Conns int
	Hold  time.Duration
}

// due returns the time, counted from the begin of a run, at which its connection i is to be started.
func due(i int, ramp float64, steps []Step) time.Duration {
	var at time.Duration
	if ramp > 0 {
		at = time.Duration(float64(i) / ramp * float64(time.Second))
	}
	for _, s := range steps {
		if i >= s.Conns {
			at += s.Hold
		}
	}
	return at
}

// Account describes the messages of a run to a fleet.
type Account struct {
	Tape     *Tape
	Run      uint32
	Lossless bool
	Bound    time.Duration // 0: no delivery is late
	Begun    int64         // CLOCK_MONOTONIC: from when the ramp counts; 0: from the fleet's start
}
