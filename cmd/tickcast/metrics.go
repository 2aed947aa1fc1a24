package main

import (
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tickcast/broadcast"
	"tickcast/eventloop"
)

// A metrics is everything that /metrics shows. Nothing is counted here but the fan-out's latency: at each scrape the counts
// are read from where they are kept.
type metrics struct {
	registry *prometheus.Registry
	fanout   prometheus.Histogram
}

// newMetrics returns the metrics of build b. read returns the current counts and may be called from any goroutine.
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
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		info,
		m.fanout,
		statsCollector(read),
	)
	return m
}

// observeFanout records one message's time from NATS to its last write.
func (m *metrics) observeFanout(seconds float64) { m.fanout.Observe(seconds) }

// handler serves /metrics, to a few scrapers at once and to none for longer than it would wait.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// A statsCollector reads the counts and shows them as metrics.
type statsCollector func() (eventloop.Stats, broadcast.Stats)

// Describe implements prometheus.Collector.
func (statsCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, row := range statsRows(&eventloop.Stats{}, &broadcast.Stats{}) {
		ch <- row.desc()
	}
	ch <- closedDesc
	ch <- rejectedDesc
	ch <- lagDesc
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
	for reason, n := range loops.Rejected {
		ch <- prometheus.MustNewConstMetric(rejectedDesc, prometheus.CounterValue, float64(n), reason)
	}
	for loop, lag := range loops.LoopLag {
		ch <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, lag, strconv.Itoa(loop))
	}
}
