package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"tickcast/loadtest"
)

const usage = `Usage:
  tickload -url ws://HOST:PORT/PATH [flags]

Opens WebSocket connections at a steady rate, subscribes each of them to a topic,
holds them, and reports what they received.

  -url URL           the server's stream, such as ws://127.0.0.1:8080/stream
  -conns N           connections to open (1000)
  -ramp N            connections started a second; 0 = as fast as they open (5000)
  -inflight N        connections being opened at the same time, at most (256)
  -topics LIST       topics, separated by commas and dealt out in turn (px.AAPL)
  -subscribe JSON    the message sent once a connection is open; {i} is replaced by
                     the connection's number, {topic} by its topic
                     (` + loadtest.DefaultSubscribe + `)
  -hold DURATION     how long to hold once all are open; 0 = until interrupted (10s)
  -timeout DURATION  how long one connection may take to open (10s)
  -sources LIST      local addresses to connect from, separated by commas
  -pause DURATION    let arrivals collect for so long; on the server's own machine it
                     takes less of the CPU, at the price of exact times (0s)
  -workers N         goroutines that share the connections; 0 = one a CPU (0)

Examples:
  tickload -url ws://127.0.0.1:8080/stream -conns 10000 -ramp 5000 -hold 60s
  tickload -url ws://10.0.0.1:8080/stream -conns 100000 -topics px.AAPL,px.MSFT \
      -sources 10.0.0.2,10.0.0.3,10.0.0.4,10.0.0.5
`

// options are the parsed command line.
type options struct {
	fleet loadtest.FleetConfig
	hold  time.Duration // 0: until interrupted
}

// parseFlags parses args. The error is flag.ErrHelp if help was asked for, else a usageError.
func parseFlags(args []string) (options, error) {
	var o options
	var topics, from string
	fs := flag.NewFlagSet("tickload", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.fleet.URL, "url", "", "")
	fs.IntVar(&o.fleet.Conns, "conns", 1000, "")
	fs.IntVar(&o.fleet.Ramp, "ramp", 5000, "")
	fs.IntVar(&o.fleet.InFlight, "inflight", 256, "")
	fs.IntVar(&o.fleet.Workers, "workers", 0, "")
	fs.StringVar(&topics, "topics", "px.AAPL", "")
	fs.StringVar(&o.fleet.Subscribe, "subscribe", "", "")
	fs.DurationVar(&o.hold, "hold", 10*time.Second, "")
	fs.DurationVar(&o.fleet.Timeout, "timeout", 10*time.Second, "")
	fs.DurationVar(&o.fleet.Pause, "pause", 0, "")
	fs.StringVar(&from, "sources", "", "")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return options{}, err
		}
		return options{}, badUsage(err)
	}
	o.fleet.Topics = list(topics)
	for _, s := range list(from) {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return options{}, badUsage(fmt.Errorf("-sources: %q is not an IP address", s))
		}
		o.fleet.Sources = append(o.fleet.Sources, a)
	}
	switch {
	case fs.NArg() > 0:
		return options{}, badUsage(fmt.Errorf("unexpected argument %q", fs.Arg(0)))
	case o.fleet.URL == "":
		return options{}, badUsage(errors.New("-url is missing"))
	case o.fleet.Conns < 1:
		return options{}, badUsage(errors.New("-conns must be at least 1"))
	case o.fleet.Ramp < 0 || o.fleet.InFlight < 0 || o.fleet.Workers < 0 || o.hold < 0 || o.fleet.Timeout < 0 || o.fleet.Pause < 0:
		return options{}, badUsage(errors.New("no number may be negative"))
	}
	return o, nil
}

// badUsage makes err an error about the command line.
func badUsage(err error) error {
	return &hintedError{usageError{err}, "tickload -h lists the flags"}
}

// list splits a comma-separated list and leaves out what is empty.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}
