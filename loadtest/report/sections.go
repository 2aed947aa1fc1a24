package report

import (
	"cmp"

	"tickcast/loadtest"
)

// connections is the section of the opened, kept and lost connections.
func connections(c *loadtest.Connections) (s section) {
	s.Title = "connections"
	if c.Wanted == 0 && c.Opened == 0 && len(c.URLs) == 0 {
		return s
	}
	opened := row{"opened", []fact{{count(c.Opened) + " of " + count(c.Wanted), c.Opened < c.Wanted}}}
	if c.Seconds > 0 {
		opened.Facts = append(opened.Facts, fact{Text: "in " + seconds(c.Seconds)}, fact{Text: perSecond(c.PerSecond)})
	}
	s.Rows = append(s.Rows, opened, row{"at the end", []fact{
		{Text: "open " + count(c.Open)}, // fewer than wanted may be as a cohort's contract allows
		{"subscribed " + count(c.Subscribed), c.Subscribed < c.Wanted},
		tally("failed", c.Failed),
		tally("lost", c.Lost),
		{Text: "reopened " + count(c.Reopened)},
		{Text: "pings " + count(c.Pings)},
	}})
	if d, ok := distribution("connect", &c.Connect); ok {
		s.Rows = append(s.Rows, d)
	}
	if len(c.Faults) > 0 {
		s.Rows = append(s.Rows, row{"faults", faultFacts(c.Faults)})
	}
	if len(c.URLs) > 0 {
		s.Rows = append(s.Rows, plain("to", some(c.URLs, 3)))
	}
	return s
}

// deliveries is the section of expected and received deliveries.
func deliveries(d *loadtest.Deliveries) (s section) {
	s.Title = "deliveries"
	if *d == (loadtest.Deliveries{}) {
		return s
	}
	received := row{"received", []fact{{count(d.Received) + " of " + count(d.Expected), d.Missing > 0}}}
	if d.Expected > 0 {
		received.Facts = append(received.Facts, fact{Text: percent(float64(d.Received) / float64(d.Expected))})
	}
	s.Rows = append(s.Rows, received,
		row{"troubles", append(troubleFacts(d, true), fact{Text: "conflated " + count(d.Conflated)})},
		plain("read", plural(d.Messages, "message", "messages"), size(float64(d.Bytes))))
	return s
}

// troubleFacts returns the troubles of deliveries. With all it includes those whose count is 0.
func troubleFacts(d *loadtest.Deliveries, all bool) (facts []fact) {
	for _, f := range []fact{
		tally("missing", d.Missing),
		tally("doubled", d.Doubled),
		tally("out of order", d.OutOfOrder),
		tally("corrupted", d.Corrupted),
		tally("misrouted", d.Misrouted),
		tally("late", d.Late),
		tally("unknown", d.Unknown),
	} {
		if all || f.Bad {
			facts = append(facts, f)
		}
	}
	return facts
}

// latency is the section of latencies, from the intended time of sending until a probe had read the message.
func latency(d *loadtest.Distribution) (s section) {
	s.Title = "latency"
	if r, ok := distribution("percentiles", d); ok {
		s.Rows = append(s.Rows, r, plain("measured", plural(d.Count, "delivery", "deliveries"), "min "+millis(d.Min),
			"mean "+millis(d.Mean)))
	}
	return s
}

// ages is the section of the ages of the values that probes held while a newer one was published.
func ages(d *loadtest.Distribution) (s section) {
	s.Title = "age of what clients hold"
	if r, ok := distribution("percentiles", d); ok {
		s.Rows = append(s.Rows, r, plain("sampled", plural(d.Count, "value", "values")+" that a newer one follows"))
	}
	return s
}

// publisher is the section of the publisher and its pace.
func publisher(p *loadtest.Published) (s section) {
	s.Title = "publisher"
	if p.URL == "" && p.Sent == 0 && p.Failed == 0 && p.Skipped == 0 {
		return s
	}
	sent := row{"sent", []fact{
		{Text: plural(p.Sent, "message", "messages")},
		tally("failed", p.Failed),
		tally("skipped", p.Skipped),
		{Text: "at most " + millis(p.MaxLate) + " late"},
	}}
	feed := plain("feed", plural(p.Topics, "topic", "topics"), size(float64(p.Payload))+" each")
	if p.Pace != "" {
		feed.Facts = append(feed.Facts, fact{Text: printable(p.Pace)})
	}
	s.Rows = append(s.Rows, sent, feed)
	if p.URL != "" {
		s.Rows = append(s.Rows, plain("to", printable(p.URL)))
	}
	return s
}

// server is the section of the costs of servers on this machine. The run took the given seconds.
func server(v *loadtest.ServerSide, run float64) (s section) {
	s.Title = "server"
	if v.Processes == 0 {
		return s
	}
	cpu := plain("CPU", seconds(v.CPUSeconds)+" in all", seconds(v.OpenCPU)+" opening", seconds(v.PublishCPU)+" publishing")
	if run > 0 {
		cpu.Facts = append(cpu.Facts, fact{Text: digits(v.CPUSeconds/run) + " cores on average"})
	}
	s.Rows = append(s.Rows,
		plain("per connection", size(v.IdlePerConn)+" idle", size(v.EndPerConn)+" at the end (RSS over the empty server)"),
		plain("RSS", size(float64(v.EmptyRSS))+" empty", size(float64(v.IdleRSS))+" idle", size(float64(v.EndRSS))+" at the end",
			size(float64(v.PeakRSS))+" at most", plural(v.Processes, "process", "processes")),
		cpu)
	if v.CPUPerDeliver > 0 {
		s.Rows = append(s.Rows, plain("per delivery", millis(v.CPUPerDeliver/1e3)+" of CPU"))
	}
	return s
}

// kernel is the section of the connections' costs in the kernel.
func kernel(k *loadtest.KernelSide) (s section) {
	s.Title = "kernel"
	if *k == (loadtest.KernelSide{}) {
		return s
	}
	ends := "one end of each connection"
	if k.SocketsBothEnds {
		ends = "both ends of each connection"
	}
	s.Rows = append(s.Rows,
		plain("per connection", size(k.SlabPerConn)+" slab", size(k.KernelPerConn)+" less available", size(k.TCPMemoryPerConn)+" TCP buffers",
			"conntrack entries "+digits(k.ConntrackPerConn)),
		plain("machine", ends, "slab grew by "+size(float64(k.Slab)), size(float64(k.Available))+" less available",
			count(k.DescriptorsPerHost)+" descriptors open"))
	return s
}

// loadTester is the section of the load tester's own costs.
func loadTester(c *loadtest.ClientSide) (s section) {
	s.Title = "load tester"
	if c.Processes == 0 && c.Workers == 0 && c.CPUSeconds == 0 {
		return s
	}
	s.Rows = append(s.Rows, plain("CPU", seconds(c.CPUSeconds)+" in all", percent(c.CPUShare)+" of a core in the busiest second",
		percent(c.MachineCPU)+" of the machine"))
	if d, ok := distribution("loop lag", &c.LoopLag); ok {
		s.Rows = append(s.Rows, d)
	}
	s.Rows = append(s.Rows, plain("RSS", size(c.RSSPerConn)+" per connection", size(float64(c.RSS))+" in all",
		size(float64(c.EmptyRSS))+" empty", plural(cmp.Or(c.Processes, 1), "process", "processes"),
		plural(c.Workers, "worker", "workers")))
	return s
}
