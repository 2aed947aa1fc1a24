package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"tickcast/cmd/message"
	"tickcast/loadtest"
)

// parseFlags parses args. The error is flag.ErrHelp for a request for help, otherwise a usageError.
func parseFlags(args []string) (options, error) {
	var o options
	p := &o.plan
	f := &p.Fleet
	var topics, from, pids, metrics, protocols string
	fs := flag.NewFlagSet("tickload", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&f.URL, "url", "", "")
	fs.IntVar(&f.Conns, "conns", 1000, "")
	fs.Var(rate{&f.Ramp, 5000}.set(), "ramp", "")
	fs.Func("steps", "", func(s string) (err error) { f.Steps, err = parseSteps(s); return err })
	fs.IntVar(&f.InFlight, "inflight", 256, "")
	fs.DurationVar(&f.Timeout, "timeout", 10*time.Second, "")
	fs.StringVar(&from, "source", "", "")
	fs.IntVar(&p.Processes, "processes", 0, "")
	fs.IntVar(&f.Workers, "workers", 0, "")
	fs.BoolVar(&f.Insecure, "insecure", false, "")
	fs.StringVar(&f.CA, "ca", "", "")
	fs.StringVar(&f.Origin, "origin", "", "")

	fs.StringVar(&topics, "topics", "px.AAPL", "")
	fs.IntVar(&f.TopicsPerConn, "per-conn", 1, "")
	fs.Float64Var(&f.Zipf, "zipf", 0, "")
	fs.Func("subscribe", "", func(s string) error { f.Subscribe = unescape(s); return nil })
	fs.StringVar(&f.Ack, "ack", "", "")
	fs.Func("answer", "", func(s string) error {
		in, out, ok := strings.Cut(s, "=")
		if !ok || in == "" {
			return fmt.Errorf("%q is not of the form IN=OUT", s)
		}
		f.Answer, f.AnswerWith = unescape(in), unescape(out)
		return nil
	})
	fs.StringVar(&protocols, "subprotocol", "", "")

	fs.DurationVar(&p.Idle, "idle", 0, "")
	fs.DurationVar(&p.Hold, "hold", 10*time.Second, "")
	fs.DurationVar(&p.Settle, "settle", 10*time.Second, "")

	fs.StringVar(&p.Publish.URL, "nats", "", "")
	fs.Var(rate{&p.Publish.Rate, 10}.set(), "rate", "")
	fs.BoolVar(&p.Publish.Bell, "bell", false, "")
	fs.Uint64Var(&p.Publish.Messages, "messages", 0, "")
	fs.IntVar(&p.Publish.Payload, "payload", 128, "")
	fs.StringVar(&p.Publish.Subject, "subject", "", "")
	fs.Float64Var(&p.Publish.Zipf, "zipf-topics", 0, "")
	fs.BoolVar(&p.Publish.Early, "early", false, "")
	fs.BoolVar(&p.Lossless, "lossless", false, "")
	fs.DurationVar(&p.MaxLatency, "max-latency", 0, "")
	fs.IntVar(&f.Probes, "probes", 1000, "")

	fs.Var((*share)(&f.Slow), "slow", "")
	fs.IntVar(&f.SlowRate, "slow-rate", 1024, "")
	fs.Var((*share)(&f.HalfOpen), "half-open", "")
	fs.Var(rate{&p.Churn, 0}.set(), "churn", "")
	fs.Func("storm", "", func(s string) (err error) { p.Storms, err = parseStorms(s); return err })

	fs.StringVar(&pids, "pid", "", "")
	fs.StringVar(&metrics, "metrics", "", "")
	fs.StringVar(&o.json, "json", "", "")
	fs.StringVar(&o.html, "html", "", "")
	fs.BoolVar(&o.quiet, "quiet", false, "")
	fs.DurationVar(&f.Pause, "pause", 0, "")
	fs.StringVar(&o.server, "server", "", "")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return options{}, err
		}
		return options{}, badUsage(err)
	}
	p.Command = "tickload " + strings.Join(args, " ")
	p.Metrics = list(metrics)
	var errTopics, errSources, errPIDs error
	f.Topics, errTopics = parseTopics(topics)
	f.Sources, errSources = parseSources(from)
	p.Servers, errPIDs = parsePIDs(pids)
	switch protocols {
	case "":
	case "-":
		f.Subprotocols = []string{}
	default:
		f.Subprotocols = list(protocols)
	}
	hasURL := f.URL != ""
	switch err := errors.Join(errTopics, errSources, errPIDs); {
	case err != nil:
		return options{}, badUsage(err)
	case fs.NArg() > 0:
		return options{}, badUsage(fmt.Errorf("unexpected argument %q", fs.Arg(0)))
	case o.server != "" && (hasURL || p.Publish.URL != "" || p.Servers != nil):
		return options{}, badUsage(errors.New("-server starts the servers itself: -url, -nats and -pid do not go with it"))
	case o.server == "" && !hasURL:
		return options{}, badUsage(errors.New("-url is missing"))
	case f.Conns < 1:
		return options{}, badUsage(errors.New("-conns must be at least 1"))
	case min(f.InFlight, f.Workers, p.Processes, f.TopicsPerConn, f.SlowRate, f.Probes, p.Publish.Payload) < 0 ||
		min(f.Zipf, p.Publish.Zipf) < 0 || min(p.Idle, p.Hold, p.Settle, f.Timeout, f.Pause, p.MaxLatency) < 0:
		return options{}, badUsage(errors.New("no number may be negative"))
	case p.Publish.URL == "" && o.server == "" && (p.Publish.Bell || p.Publish.Messages > 0 || p.Publish.Early || p.Lossless):
		return options{}, badUsage(errors.New("-bell, -messages, -early and -lossless are about what is published: -nats is missing"))
	}
	return o, nil
}

// badUsage turns err into an error about the command line.
func badUsage(err error) error {
	return message.WithHint(usageError{err}, "tickload -h lists the flags")
}

// list splits a comma-separated list and drops empty elements.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}

// unescape replaces \n and \r by line ends.
func unescape(s string) string { return strings.NewReplacer(`\n`, "\n", `\r`, "\r").Replace(s) }

// A rate is a flag for a number a second: 5000 or 5000/s.
type rate struct {
	n   *float64
	def float64
}

// set sets the value to the default.
func (r rate) set() rate { *r.n = r.def; return r }

func (r rate) String() string { return "" }

func (r rate) Set(s string) error {
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "/s"), 64)
	if err != nil || !(n >= 0) || n > 1e9 {
		return fmt.Errorf("%q is not a number a second, such as 5000 or 5000/s", s)
	}
	*r.n = n
	return nil
}

// A share is a flag for a part of all: 1% or 0.01.
type share float64

func (s *share) String() string { return "" }

func (s *share) Set(text string) error {
	n, err := parseShare(text)
	*s = share(n)
	return err
}

// parseShare reads 1% or 0.01.
func parseShare(text string) (float64, error) {
	digits, percent := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(digits, 64)
	if percent {
		n /= 100
	}
	if err != nil || !(n >= 0 && n <= 1) {
		return 0, fmt.Errorf("%q is not a share, such as 1%% or 0.01", text)
	}
	return n, nil
}

// parseSteps reads 10000:30s,50000:1m.
func parseSteps(text string) (steps []loadtest.Step, err error) {
	for _, s := range list(text) {
		conns, hold, _ := strings.Cut(s, ":")
		n, err := strconv.Atoi(conns)
		d, errHold := time.ParseDuration(hold)
		if err != nil || errHold != nil || n < 1 || d < 0 || len(steps) > 0 && n <= steps[len(steps)-1].Conns {
			return nil, fmt.Errorf("%q is not a step of a rising list such as 10000:30s,50000:1m", s)
		}
		steps = append(steps, loadtest.Step{Conns: n, Hold: d})
	}
	return steps, nil
}

// parseStorms reads 100%@30s,5%@1m.
func parseStorms(text string) (storms []loadtest.Storm, err error) {
	for _, s := range list(text) {
		part, after, _ := strings.Cut(s, "@")
		n, err := parseShare(part)
		d, errAfter := time.ParseDuration(after)
		if err != nil || errAfter != nil || n == 0 || d < 0 || len(storms) > 0 && d < storms[len(storms)-1].After {
			return nil, fmt.Errorf("%q is not a storm of a list in the order of time such as 5%%@30s,100%%@1m", s)
		}
		storms = append(storms, loadtest.Storm{Share: n, After: d})
	}
	return storms, nil
}

// maxTopics bounds a range of topics.
const maxTopics = 1_000_000

// parseTopics splits a list of topics and expands their ranges, such as px.{1-300}.
func parseTopics(text string) (topics []string, err error) {
	for _, s := range list(text) {
		open, rest, ok := strings.Cut(s, "{")
		if !ok {
			topics = append(topics, s)
			continue
		}
		inner, tail, closed := strings.Cut(rest, "}")
		low, high, _ := strings.Cut(inner, "-")
		from, errFrom := strconv.Atoi(low)
		to, errTo := strconv.Atoi(high)
		if !closed || errFrom != nil || errTo != nil || from > to || to-from >= maxTopics {
			return nil, fmt.Errorf("-topics: %q has no range such as {1-300}", s)
		}
		for i := from; i <= to; i++ {
			topics = append(topics, open+strconv.Itoa(i)+tail)
		}
	}
	for _, t := range topics {
		if strings.ContainsAny(t, "*>\"\\ ") {
			return nil, fmt.Errorf("-topics: %q is a pattern or no topic; only the messages of single topics can be accounted for", t)
		}
	}
	return topics, nil
}

// maxSources bounds a prefix of source addresses.
const maxSources = 65536

// parseSources reads addresses and prefixes. An IPv4 prefix of more than two addresses stands for all but its network and
// broadcast address.
func parseSources(text string) (sources []netip.Addr, err error) {
	for _, s := range list(text) {
		if a, err := netip.ParseAddr(s); err == nil {
			sources = append(sources, a)
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("-source: %q is not an IP address or a prefix", s)
		}
		p = p.Masked()
		var all []netip.Addr
		for a := p.Addr(); p.Contains(a) && len(all) < maxSources; a = a.Next() {
			all = append(all, a)
		}
		if p.Addr().Is4() && len(all) > 2 {
			all = all[1 : len(all)-1]
		}
		sources = append(sources, all...)
	}
	return sources, nil
}

// parsePIDs reads process ids.
func parsePIDs(text string) (pids loadtest.Processes, err error) {
	for _, s := range list(text) {
		pid, err := strconv.Atoi(s)
		if err != nil || pid < 1 {
			return nil, fmt.Errorf("-pid: %q is not the number of a process", s)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}
