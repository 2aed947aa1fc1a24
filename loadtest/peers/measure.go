package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"tickcast/loadtest/fleet"
	"tickcast/loadtest/machine"
)

const (
	warmConns    = 64 // clients that come and go before the measurement
	warmMessages = 20 // messages that they get
	messageGap   = 50 * time.Millisecond
	messageSize  = 128 // bytes of a message as it is published
)

// A plan describes the measurement of each server.
type plan struct {
	conns    int
	messages int // broadcasts
	settle   time.Duration
	cores    int
	dir      string
}

// A sample is the result of one round of one server.
type sample struct {
	memory    float64 // bytes of RSS per idle connection
	cpu       float64 // server's CPU time of a delivery, us
	ratio     float64 // of it to that of a bare server that sent in between
	last      float64 // from before publishing to the last client that has the message, ms; median of the messages
	perCPU    float64 // upgrades, and subscriptions where there are any, in a second of the server's CPU time
	perSecond float64 // the same in a second
	size      float64 // bytes of a message as clients get it
	others    float64 // CPU time of other processes while messages were sent, percent of the machine's
}

// message returns the published message: a JSON object of messageSize bytes as Tickcast's are.
func message() []byte {
	const start, end = `{"t":"` + topic + `","s":1234567,"d":{"b":189.12,"a":189.14,"n":"`, `"}}`
	return []byte(start + strings.Repeat("x", messageSize-len(start)-len(end)) + end)
}

// measure starts a server, measures it and ends it. After an error, such as a message that did not
// reach all clients, there is no result.
func measure(ctx context.Context, p peer, do plan) (s sample, err error) {
	r, err := begin(p, do)
	if err != nil {
		return s, err
	}
	defer r.end()
	defer context.AfterFunc(ctx, func() { r.clients.Kill() })() // ends all waits
	for _, step := range []func(*sample) error{r.warmUp, r.open, r.idle, r.broadcast} {
		if err := step(&s); err != nil {
			return s, err
		}
	}
	return s, nil
}

// A trial is one server being measured.
type trial struct {
	p       peer
	do      plan
	server  *process
	clients *clientProcess
	empty   int64 // RSS without connections
	data    int64 // data messages that this fleet should have
}

// begin starts a server and the process of its clients.
func begin(p peer, do plan) (*trial, error) {
	server, err := startServer(p, do.cores, do.dir)
	if err != nil {
		return nil, err
	}
	clients, err := startClients()
	if err != nil {
		server.stop()
		return nil, err
	}
	return &trial{p: p, do: do, server: server, clients: clients}, nil
}

// end ends both.
func (r *trial) end() {
	r.server.stop()
	r.clients.Kill()
	r.clients.End()
}

// connect opens n clients and waits until messages would reach all of them.
func (r *trial) connect(n int) error {
	cfg := fleet.Config{
		URL: "ws://" + r.server.site.listen + "/stream", Conns: n, Workers: 1, Pause: time.Millisecond, Timeout: 30 * time.Second,
	}
	if r.p.clients != nil {
		r.p.clients(&cfg)
	}
	if _, err := r.clients.Do(order{Open: &cfg, Subscribed: len(cfg.Topics) > 0}); err != nil {
		return err
	}
	r.data = 0
	return r.await(n)
}

// await waits until the server reports n clients, if it can.
func (r *trial) await(n int) error {
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		got, known, err := r.server.control.subscribers()
		if err != nil || !known || got == n {
			return err
		}
		if time.Since(begun) > orderTimeout {
			return fmt.Errorf("%d clients instead of %d", got, n)
		}
	}
}

// send broadcasts one message and waits until all n clients have it. It returns the time from before publishing to the last
// arrival.
func (r *trial) send(n int) (last time.Duration, t fleet.Totals, err error) {
	r.data += int64(n)
	begun := machine.Monotime()
	if err := r.server.control.publish(message()); err != nil {
		return 0, t, err
	}
	t, err = r.clients.Do(order{Data: r.data})
	switch {
	case err != nil && t.Lost > 0:
		return 0, t, fmt.Errorf("%w; %d connections lost: %s", err, t.Lost, t.FaultList())
	case err == nil && (int64(t.Data) != r.data || t.Lost > 0):
		err = fmt.Errorf("%d data messages instead of %d, %d connections lost", t.Data, r.data, t.Lost)
	}
	return time.Duration(t.LastData - begun), t, err
}

// warmUp lets a few clients come, get messages and go. Then it measures the memory of the server without clients.
func (r *trial) warmUp(*sample) (err error) {
	if err := r.connect(warmConns); err != nil {
		return err
	}
	for range warmMessages {
		if _, _, err := r.send(warmConns); err != nil {
			return err
		}
	}
	if _, err := r.clients.Do(order{Close: true}); err != nil {
		return err
	}
	if err := r.await(0); err != nil {
		return err
	}
	time.Sleep(r.do.settle)
	r.empty, err = r.server.rss()
	return err
}

// open measures the opening of all connections.
func (r *trial) open(s *sample) error {
	cpu, err := r.server.cpu()
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := r.connect(r.do.conns); err != nil {
		return err
	}
	wall := time.Since(begun)
	after, err := r.server.cpu()
	s.perCPU = float64(r.do.conns) / (after - cpu).Seconds()
	s.perSecond = float64(r.do.conns) / wall.Seconds()
	return err
}

// idle measures the memory of the connections.
func (r *trial) idle(s *sample) error {
	time.Sleep(r.do.settle)
	rss, err := r.server.rss()
	s.memory = float64(rss-r.empty) / float64(r.do.conns)
	return err
}

// broadcast measures messages to all. A bare server with as many clients sends in turn with the server, so that other
// load of the machine hits both.
func (r *trial) broadcast(s *sample) error {
	before, err := r.clients.Do(order{})
	if err == nil && before.Data > 0 {
		err = fmt.Errorf("%d data messages before one was published", before.Data)
	}
	if err != nil {
		return err
	}
	bare, err := begin(bareServer, r.do)
	if err != nil {
		return err
	}
	defer bare.end()
	if err := bare.connect(r.do.conns); err != nil {
		return err
	}
	var last []float64
	var totals fleet.Totals
	start, err := read(r, bare)
	if err != nil {
		return err
	}
	for range r.do.messages {
		var took time.Duration
		if took, totals, err = r.send(r.do.conns); err != nil {
			return err
		}
		last = append(last, float64(took)/1e6)
		time.Sleep(messageGap)
		if _, _, err := bare.send(r.do.conns); err != nil {
			return fmt.Errorf("bare: %w", err)
		}
		time.Sleep(messageGap)
	}
	stop, err := read(r, bare)
	deliveries := float64(r.do.messages * r.do.conns)
	s.cpu = float64(stop.server-start.server) / 1e3 / deliveries
	s.ratio = float64(stop.server-start.server) / float64(stop.bare-start.bare)
	s.last = spreadOf(last).mid
	s.size = float64(totals.Bytes-before.Bytes) / deliveries
	s.others = 100 * max(0, float64(stop.others-start.others)) / float64(stop.machine-start.machine)
	return err
}

// clocks are the CPU times used up to a moment.
type clocks struct{ server, bare, others, machine time.Duration }

// read reads them during r, with its bare server.
func read(r, bare *trial) (c clocks, err error) {
	busy, total, err := machine.CPUTime()
	if err != nil {
		return c, err
	}
	if c.server, err = r.server.cpu(); err != nil {
		return c, err
	}
	if c.bare, err = bare.server.cpu(); err != nil {
		return c, err
	}
	c.machine, c.others = total, busy-c.server-c.bare
	for _, pid := range []int{os.Getpid(), r.clients.PID(), bare.clients.PID()} {
		own, err := machine.ProcessCPU(pid)
		if err != nil {
			return c, err
		}
		c.others -= own
	}
	return c, nil
}
