package loadtest

import (
	"context"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// serveMetrics serves one of each kind, with values that differ by n, as two labels where there are labels.
func serveMetrics(t *testing.T, n float64) (url string, sent *prometheus.CounterVec) {
	t.Helper()
	r := prometheus.NewRegistry()
	sent = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sent_total"}, []string{"kind"})
	open := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "open"}, []string{"kind"})
	plain := prometheus.NewUntypedFunc(prometheus.UntypedOpts{Name: "plain"}, func() float64 { return n })
	lag := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "lag_seconds", Buckets: []float64{1, 2}})
	size := prometheus.NewSummary(prometheus.SummaryOpts{Name: "size", Objectives: map[float64]float64{0.5: 0.1}})
	odd := prometheus.NewGauge(prometheus.GaugeOpts{Name: "odd"})
	r.MustRegister(sent, open, plain, lag, size, odd)
	sent.WithLabelValues("a").Add(n)
	sent.WithLabelValues("b").Add(1)
	open.WithLabelValues("a").Set(-n)
	open.WithLabelValues("b").Set(3)
	lag.Observe(n)
	lag.Observe(0.5)
	size.Observe(n)
	odd.Set(math.NaN())
	s := httptest.NewServer(promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	t.Cleanup(s.Close)
	return s.URL, sent
}

func TestScrapeMetrics(t *testing.T) {
	first, sent := serveMetrics(t, 10)
	second, _ := serveMetrics(t, 20)
	got, err := ScrapeMetrics(t.Context(), []string{first, second})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Metric{
		"sent_total":        {32, true},
		"open":              {-24, false},
		"plain":             {30, false},
		"lag_seconds_count": {4, true},
		"lag_seconds_sum":   {31, true},
		"size_count":        {2, true},
		"size_sum":          {30, true},
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	sent.WithLabelValues("c").Add(5)
	after, err := ScrapeMetrics(t.Context(), []string{first, second})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := metricChanges(got, after), map[string]float64{"sent_total": 5, "open": -24, "plain": 30}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestScrapeMany has more servers than are asked at a time.
func TestScrapeMany(t *testing.T) {
	url, _ := serveMetrics(t, 1)
	urls := make([]string, 5*scrapesAtATime)
	for i := range urls {
		urls[i] = url
	}
	got, err := ScrapeMetrics(t.Context(), urls)
	if want := float64(2 * len(urls)); err != nil || got["sent_total"].Value != want {
		t.Errorf("%v, %v, want %v", got["sent_total"], err, want)
	}
	if got, err := ScrapeMetrics(t.Context(), nil); err != nil || len(got) > 0 {
		t.Errorf("%v, %v of no servers", got, err)
	}
}

func TestScrapeErrors(t *testing.T) {
	good, _ := serveMetrics(t, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/page":
			w.Write([]byte("<html>\n"))
		case "/huge":
			line := []byte("# " + strings.Repeat("x", 1<<16-3) + "\n")
			for range scrapeBytes>>16 + 1 {
				w.Write(line)
			}
		default:
			http.NotFound(w, r)
		}
	}))
	defer s.Close()
	for path, want := range map[string]string{"/none": "404", "/page": "parsing error", "/huge": "16 MiB"} {
		got, err := ScrapeMetrics(t.Context(), []string{good, s.URL + path})
		if err == nil || got != nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
	for _, url := range []string{"http://127.0.0.1:1/metrics", ":", ""} {
		if got, err := ScrapeMetrics(t.Context(), []string{url}); err == nil {
			t.Errorf("%q: %v", url, got)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := ScrapeMetrics(ended, []string{good}); err == nil {
		t.Errorf("%v after the context ended", got)
	}
}

func TestMetricChanges(t *testing.T) {
	before := map[string]Metric{
		"same_total": {7, true}, "grown_total": {7, true}, "fell_total": {7, true}, "gone": {7, false}, "gauge": {7, false},
	}
	after := map[string]Metric{
		"same_total": {7, true}, "grown_total": {9, true}, "fell_total": {3, true}, "gauge": {7, false},
		"new_total": {4, true}, "zero_total": {0, true}, "new": {0, false},
	}
	want := map[string]float64{"grown_total": 2, "fell_total": 3, "new_total": 4, "gauge": 7, "new": 0}
	if got := metricChanges(before, after); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
