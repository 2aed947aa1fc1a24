package main

import (
	"net/http"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tickcast/broadcast"
	"tickcast/eventloop"
)

// A metrics is the content of /metrics. It counts only the latency of the fan-out; each scrape reads the other counts from their
// owners.
type metrics struct {
	registry *prometheus.Registry
	fanout   prometheus.Histogram
}

// liveHeap names the metric of Go's runtime that the account of memory is held against.
var liveHeap = regexp.MustCompile("^/gc/heap/live:bytes$")

// newMetrics returns the metrics of build b. read returns the current counts; any goroutine may call it.
func newMetrics(b build, read func() (eventloop.Stats, broadcast.Stats)) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		fanout: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tickcast_fanout_seconds",
			Help: "Time from the receipt of a NATS message to the last write to a subscriber of it.",
			Buckets: []float64{50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3,
				0.1, 0.25, 0.5, 1, 2.5, 5, 10},
		}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tickcast_build_info",
		Help: "Always 1; the labels name the build.",
		ConstLabels: prometheus.Labels{
			"version": b.version, "revision": b.revision, "goversion": runtime.Version(),
		},
	})
	info.Set(1)
	m.registry.MustRegister(
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.GoRuntimeMetricsRule{Matcher: liveHeap})),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		info,
		m.fanout,
		statsCollector(read),
	)
	return m
}

// observeFanout records the seconds from the receipt of a NATS message to its last write.
func (m *metrics) observeFanout(seconds float64) { m.fanout.Observe(seconds) }

// handler serves /metrics, to a few scrapers at a time, each for a bounded time.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// A statsCollector returns the current counts. It turns them into metrics at each scrape.
type statsCollector func() (eventloop.Stats, broadcast.Stats)

// Describe implements prometheus.Collector.
func (statsCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, row := range statsRows(&eventloop.Stats{}, &broadcast.Stats{}) {
		ch <- row.desc()
	}
	ch <- closedDesc
	ch <- closedEventsDesc
	ch <- polledDesc
	ch <- rejectedDesc
	ch <- limitedDesc
	ch <- handshakesDesc
	ch <- lagDesc
	ch <- textDesc
	ch <- memoryDesc
}

// Collect implements prometheus.Collector.
func (read statsCollector) Collect(ch chan<- prometheus.Metric) {
	loops, topics := read()
	for _, row := range statsRows(&loops, &topics) {
		ch <- prometheus.MustNewConstMetric(row.desc(), row.kind, row.value)
	}
	for code, n := range loops.Closed {
		label := strconv.Itoa(int(code))
		if code == uint16(eventloop.StatusForeign) {
			label = "other"
		}
		ch <- prometheus.MustNewConstMetric(closedDesc, prometheus.CounterValue, float64(n), label)
	}
	for code, n := range loops.ClosedEvents {
		ch <- prometheus.MustNewConstMetric(closedEventsDesc, prometheus.CounterValue, float64(n), strconv.Itoa(int(code)))
	}
	for result, n := range loops.Polled {
		ch <- prometheus.MustNewConstMetric(polledDesc, prometheus.CounterValue, float64(n), result)
	}
	for reason, n := range loops.Rejected {
		ch <- prometheus.MustNewConstMetric(rejectedDesc, prometheus.CounterValue, float64(n), reason)
	}
	for owner, n := range memoryOwners(&loops, &topics) {
		ch <- prometheus.MustNewConstMetric(memoryDesc, prometheus.GaugeValue, float64(n), owner)
	}
	for class, n := range topics.UpstreamText {
		ch <- prometheus.MustNewConstMetric(textDesc, prometheus.CounterValue, float64(n), class)
	}
	for limit, n := range loops.Limited {
		ch <- prometheus.MustNewConstMetric(limitedDesc, prometheus.CounterValue, float64(n), limit)
	}
	for result, n := range loops.TLSHandshakes {
		ch <- prometheus.MustNewConstMetric(handshakesDesc, prometheus.CounterValue, float64(n), result)
	}
	for loop, lag := range loops.LoopLag {
		ch <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, lag, strconv.Itoa(loop))
	}
}
