package bench

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkFanout measures the CPU time of a delivery of tickcast and of the bare write loop. Both servers hold a fleet of
// their own all the time. A round sends some messages to all clients of the one, then of the other, so that other load of
// the machine hits both. The main figure is the ratio: the median of the rounds' ratios. CPU time is that of the whole
// server process, from before the first message of a round until all clients have the last one.
func BenchmarkFanout(b *testing.B) {
	n := connections(b)
	b.Run(connsName(n), func(b *testing.B) {
		var tickcast *contender
		size := len(likeTickcast(0))
		server, err := startTickcast(b)
		if err != nil {
			b.Logf("TICKCAST IS LEFT OUT, only the bare server is measured: %v", err)
		} else {
			tickcast = server.listen(b, oneTopic(n), payload128())
			// The first message shows the size of tickcast's messages, so that the bare server's have the same.
			_, size = tickcast.send(b)
		}
		bare := newBare(b, oneTopic(n), func() []byte { return likeTickcast(size) })
		bare.send(b)
		var meter *mallocMeter
		if server != nil {
			meter = server.startMallocs(b)
		}
		deliveries := 0
		for b.Loop() {
			fanout(b, bare, tickcast)
			deliveries += n * *benchRounds * *benchMessages
		}
		if meter != nil {
			b.ReportMetric(meter.objects(b)/float64(deliveries), "mallocs/delivery")
		}
	})
}

// likeTickcast returns benchPayload in tickcast's envelope, cut to a size other than 0.
func likeTickcast(size int) []byte {
	message := append([]byte(`{"t":"px.AAPL","s":1234567,"d":`), benchPayload()...)
	message = append(message, '}')
	for len(message) < size {
		message = append(message, ' ')
	}
	return message[:cmp.Or(size, len(message))]
}

// fanout does the rounds and reports them. Without tickcast (nil) it reports the bare server alone.
func fanout(b *testing.B, bare, tickcast *contender) {
	type pair struct{ bare, tickcast round }
	var pairs []pair
	for range *benchRounds {
		p := pair{bare: bare.measure(b)}
		if tickcast != nil {
			p.tickcast = tickcast.measure(b)
		}
		pairs = append(pairs, p)
	}
	lastOf := func(r round) time.Duration { return median(r.last, func(d time.Duration) time.Duration { return d }) }
	ratioOf := func(p pair) float64 { return float64(p.tickcast.server) / float64(p.bare.server) }

	b.ReportMetric(0, "ns/op") // the total time is meaningless
	b.ReportMetric(float64(median(pairs, func(p pair) time.Duration { return p.bare.server })), "bare-cpu-ns/delivery")
	b.ReportMetric(float64(median(pairs, func(p pair) time.Duration { return p.bare.client })), "client-cpu-ns/delivery")
	b.ReportMetric(millis(median(pairs, func(p pair) time.Duration { return lastOf(p.bare) })), "bare-last-ms")
	if tickcast != nil {
		b.ReportMetric(float64(median(pairs, func(p pair) time.Duration { return p.tickcast.server })), "tickcast-cpu-ns/delivery")
		b.ReportMetric(median(pairs, ratioOf), "cpu-ratio")
		b.ReportMetric(millis(median(pairs, func(p pair) time.Duration { return lastOf(p.tickcast) })), "tickcast-last-ms")
	}

	var table strings.Builder
	// Go prints ten lines of a benchmark's log at most.
	fmt.Fprintf(&table, "a delivery's server CPU, us     client CPU, us      last arrival, ms\n")
	fmt.Fprintf(&table, "round   bare  tickcast  ratio    bare  tickcast     bare    tickcast\n")
	for i, p := range pairs {
		fmt.Fprintf(&table, "%5d %6.2f %9.2f %6.2f  %6.2f %9.2f %8.1f %11.1f\n", i+1,
			micros(p.bare.server), micros(p.tickcast.server), ratioOf(p), micros(p.bare.client), micros(p.tickcast.client),
			millis(lastOf(p.bare)), millis(lastOf(p.tickcast)))
	}
	b.Log(table.String())
}

// micros returns d in microseconds, for the table.
func micros(d time.Duration) float64 { return float64(d) / 1e3 }
