package loadtest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"tickcast/loadtest/fleet"
	"tickcast/loadtest/machine"
)

// Types of a plan and of its shortages that other packages define.
type (
	Step      = fleet.Step
	Processes = machine.Processes
	Shortage  = machine.Shortage
)

// DefaultSubscribe is the command that a client sends when the plan's Fleet.Subscribe is empty.
const DefaultSubscribe = fleet.DefaultSubscribe

// A Plan describes a run. Its phases follow each other: opening, until all clients are open and subscribed; idle;
// publishing; settling, until all owed deliveries have come. Then comes the report.
type Plan struct {
	// Fleet describes all clients of the run. The run fills in First, Stride, RunConns and Seed.
	Fleet fleet.Config

	// Processes is the number of parts. Zero: as many as RLIMIT_NOFILE requires, at least one.
	Processes int

	// Idle is the length of the phase without messages, once all clients are open.
	Idle time.Duration

	// Hold is the length of the publishing phase. Zero: until the publisher's Messages, or else until the context ends.
	Hold time.Duration

	Publish PublishPlan

	// Lossless is set if the server owes its subscribers each message. Otherwise a newer message may replace older ones,
	// but no older message may follow, and the newest must come.
	Lossless bool

	// MaxLatency bounds the latency of each delivery of a clean run. Zero: no bound.
	MaxLatency time.Duration

	// Settle bounds the time without progress in waiting for owed deliveries or answers to subscriptions. Zero: 10 s.
	Settle time.Duration

	// Churn is the number of clients that leave and come back in each second of the publishing phase. Half of them close
	// the WebSocket, the others just their socket.
	Churn float64

	// Storms make a share of the clients leave at once in the publishing phase, and come back as fast as they can.
	Storms []Storm

	// Servers are the servers' processes on this machine, whose costs are measured. Nil: those that listen at the URL's
	// addresses.
	Servers Processes

	// Metrics are the URLs of the servers' /metrics.
	Metrics []string

	// Executable is the program that calls ServePart when PartVariable is set. Empty: this one.
	Executable string

	// Command is the command line, for the report.
	Command string
}

// A Storm is one event: Share, 0 to 1, of the clients, After so long in the publishing phase.
type Storm struct {
	Share float64
	After time.Duration
}

// A PublishPlan describes the messages of a run.
type PublishPlan struct {
	URL      string  // of NATS; several separated by commas; empty: the run does not publish
	Subject  string  // {topic} stands for a topic; empty: the topic itself
	Rate     float64 // messages a second over all topics
	Bell     bool    // the market opens: ten times Rate at first, fading with a time constant of 10 s
	Messages uint64  // in all; 0: as many as are due during Hold
	Payload  int     // bytes; at least the length of a tick with its numbers
	Zipf     float64 // topics are drawn with this exponent; 0: in turn
	Early    bool    // publishing begins before the first connection and goes on in all phases
}

const defaultSettle = 10 * time.Second

// check returns an error if p makes no sense.
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
			if seen[t] { // the ledger could not distinguish their messages
				return fmt.Errorf("loadtest: topic %q is there twice", t)
			}
			seen[t] = true
		}
	}
	return p.Fleet.Check()
}

// processes returns the number of parts that the run needs.
func (p *Plan) processes(l machine.Limits) int {
	return cmp.Or(p.Processes, l.Processes(p.Fleet.Conns))
}

// need returns the run's need of the machine's resources.
func (p *Plan) need(targets fleet.Targets) machine.Need {
	n := machine.Need{Conns: p.Fleet.Conns, Processes: p.Processes, Sources: p.Fleet.Sources, LocalServers: true}
	for _, t := range targets.Addrs() {
		if !slices.Contains(n.Targets, t) {
			n.Targets = append(n.Targets, t)
		}
		n.LocalServers = n.LocalServers && t.Addr().IsLoopback()
		if len(p.Fleet.Sources) == 0 && !t.Addr().IsLoopback() && n.Sources == nil {
			n.Sources = machine.HostAddrs(t.Addr().Is4()) // as the fleet does
		}
	}
	return n
}
