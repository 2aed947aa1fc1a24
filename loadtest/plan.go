package loadtest

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// A Plan is what a run shall do. Its phases follow each other: opening, until all clients are open and subscribed; idle;
// publishing; settling, until all that is owed has come. Then comes the report.
type Plan struct {
	// Fleet is all clients of the run. First, Stride, RunConns and Seed are filled in.
	Fleet FleetConfig

	// Processes that hold the clients. Zero: as many as RLIMIT_NOFILE asks for, at least one.
	Processes int

	// Idle is how long nothing is published once all are open.
	Idle time.Duration

	// Hold is how long the publishing phase takes. Zero: until the publisher's Messages, or else until the context ends.
	Hold time.Duration

	Publish PublishPlan

	// Lossless says that the subscribers are owed each message. Otherwise a newer one may replace older ones, as long as
	// they never go back and end with the newest.
	Lossless bool

	// MaxLatency is the longest that a delivery may take for the run to be clean. Zero: any time.
	MaxLatency time.Duration

	// Settle is how long to wait for owed deliveries, or for answers to subscriptions, while none comes. Zero: 10 s.
	Settle time.Duration

	// Churn is how many clients a second leave in the publishing phase and come back. Half of them close the
	// WebSocket, the others just their socket.
	Churn float64

	// Storms make a share of the clients leave at once in the publishing phase, and come back as fast as they can.
	Storms []Storm

	// Servers are the processes to watch on this machine. Nil: those that listen at the URL's addresses.
	Servers Servers

	// Metrics are the URLs of the servers' /metrics.
	Metrics []string

	// Executable is the program that calls ServePart when PartVariable is set. Empty: this one.
	Executable string

	// Command is what the report says of how it came about.
	Command string
}

// A Storm is one event: Share, 0 to 1, of the clients, After so long in the publishing phase.
type Storm struct {
	Share float64
	After time.Duration
}

// A PublishPlan says what is published.
type PublishPlan struct {
	URL      string  // of NATS; several separated by commas; empty: nothing is published
	Subject  string  // {topic} stands for a topic; empty: the topic itself
	Rate     float64 // messages a second over all topics
	Bell     bool    // the market opens: ten times Rate at first, fading with a time constant of 10 s
	Messages uint64  // in all; 0: as many as Hold takes
	Payload  int     // bytes; shorter ones than a tick with its numbers are not possible
	Zipf     float64 // topics are drawn with this exponent; 0: in turn
	Early    bool    // publishing begins before the first connection, and so goes on in all phases
}

// Of the opening bell.
const (
	bellPeak  = 10
	bellDecay = 10 * time.Second
)

const defaultSettle = 10 * time.Second

// check returns what is wrong with p.
func (p *Plan) check() error {
	switch {
	case p.Processes < 0 || min(p.Idle, p.Hold, p.MaxLatency, p.Settle) < 0 || min(p.Churn, p.Publish.Rate, p.Publish.Zipf) < 0 ||
		p.Publish.Payload < 0:
		return errors.New("loadtest: no number may be negative")
	case p.Publish.URL != "" && len(p.Fleet.Topics) == 0:
		return errors.New("loadtest: nothing to publish on: there are no topics")
	case p.Publish.URL != "" && p.Publish.Rate == 0:
		return errors.New("loadtest: the publisher has no rate")
	case p.Processes > p.Fleet.Conns:
		return fmt.Errorf("loadtest: %d processes for %d connections", p.Processes, p.Fleet.Conns)
	}
	for _, s := range p.Storms {
		if s.Share <= 0 || s.Share > 1 {
			return fmt.Errorf("loadtest: a storm of %v of the clients", s.Share)
		}
		if p.Hold > 0 && s.After >= p.Hold {
			return fmt.Errorf("loadtest: a storm %v into a phase of %v", s.After, p.Hold)
		}
	}
	if p.Publish.URL != "" {
		seen := make(map[string]bool, len(p.Fleet.Topics))
		for _, t := range p.Fleet.Topics {
			if seen[t] { // whose message would it be?
				return fmt.Errorf("loadtest: topic %q is there twice", t)
			}
			seen[t] = true
		}
	}
	return p.Fleet.check()
}

// processes returns how many are needed.
func (p *Plan) processes(l Limits) int { return orDefault(p.Processes, l.Processes(p.Fleet.Conns)) }

// need returns what the run will take of the machine.
func (p *Plan) need(targets []target) Need {
	n := Need{Conns: p.Fleet.Conns, Processes: p.Processes, Sources: p.Fleet.Sources, LocalServers: true}
	seen := map[netip.AddrPort]bool{}
	for _, t := range targets {
		if !seen[t.addr] {
			seen[t.addr] = true
			n.Targets = append(n.Targets, t.addr)
		}
		n.LocalServers = n.LocalServers && t.addr.Addr().IsLoopback()
		if a := t.addr.Addr(); len(p.Fleet.Sources) == 0 && !a.IsLoopback() && n.Sources == nil {
			n.Sources = hostAddrs(a.Is4()) // as planSources does
		}
	}
	return n
}
