package main

import (
	"io"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"tickcast/broadcast"
	"tickcast/eventloop"
)

// everyStat returns stats with a different value in each field, so that a test sees two fields exchanged.
func everyStat(t *testing.T) (e eventloop.Stats, b broadcast.Stats, numbers map[string]float64) {
	t.Helper()
	numbers = map[string]float64{}
	next := 100.0
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		for i := range v.NumField() {
			f, name := v.Field(i), v.Type().Field(i).Name
			next++
			switch {
			case f.CanInt():
				f.SetInt(int64(next))
			case f.CanUint():
				f.SetUint(uint64(next))
			case f.Kind() == reflect.Bool:
				f.SetBool(true)
				continue
			case f.Kind() == reflect.Struct: // embedded
				fill(f)
				continue
			default:
				continue // everyStat sets maps and slices below
			}
			numbers[name] = next
		}
	}
	fill(reflect.ValueOf(&e).Elem())
	fill(reflect.ValueOf(&b).Elem())
	e.Closed = map[uint16]uint64{1000: 7, 1006: 3}
	e.Rejected = map[string]uint64{"timeout": 5}
	e.TLSHandshakes = map[string]uint64{"resumed": 6}
	e.LoopLag = []float64{0.25, 0.5}
	return e, b, numbers
}

// TestMetricsShowEveryStat requires that each field of the stats is one metric.
func TestMetricsShowEveryStat(t *testing.T) {
	e, b, numbers := everyStat(t)
	shown := map[float64]string{}
	for _, row := range statsRows(&e, &b) {
		if other, ok := shown[row.value]; ok && row.value != 1 {
			t.Errorf("%s and %s show the same number", row.name, other)
		}
		shown[row.value] = row.name
	}
	for name, n := range numbers {
		if _, ok := shown[n]; !ok {
			t.Errorf("%s is not shown", name)
		}
		delete(shown, n)
	}
	if len(shown) != 1 || shown[1] != "upstream_connected" {
		t.Errorf("shown, but not in the stats: %v", shown)
	}
}

func TestMetricsLabels(t *testing.T) {
	e, b, _ := everyStat(t)
	m := newMetrics(build{version: "v1", revision: "abc"}, func() (eventloop.Stats, broadcast.Stats) { return e, b })
	err := testutil.GatherAndCompare(m.registry, strings.NewReader(`
# HELP tickcast_loop_lag_seconds How long the newest task waited for its event loop, by loop.
# TYPE tickcast_loop_lag_seconds gauge
tickcast_loop_lag_seconds{loop="0"} 0.25
tickcast_loop_lag_seconds{loop="1"} 0.5
# HELP tickcast_rejected_total Connections and requests refused before the upgrade, by reason.
# TYPE tickcast_rejected_total counter
tickcast_rejected_total{reason="timeout"} 5
# HELP tickcast_tls_handshakes_total TLS handshakes that are over, by result.
# TYPE tickcast_tls_handshakes_total counter
tickcast_tls_handshakes_total{result="resumed"} 6
# HELP tickcast_upstream_connected 1 while connected to NATS.
# TYPE tickcast_upstream_connected gauge
tickcast_upstream_connected 1
# HELP tickcast_websockets_closed_total WebSockets closed, by status code; 1006 ended without a close frame.
# TYPE tickcast_websockets_closed_total counter
tickcast_websockets_closed_total{code="1000"} 7
tickcast_websockets_closed_total{code="1006"} 3
`), "tickcast_loop_lag_seconds", "tickcast_rejected_total", "tickcast_tls_handshakes_total", "tickcast_upstream_connected", "tickcast_websockets_closed_total")
	if err != nil {
		t.Error(err)
	}
}

func TestMetricsLint(t *testing.T) {
	e, b, _ := everyStat(t)
	m := newMetrics(build{version: "v1"}, func() (eventloop.Stats, broadcast.Stats) { return e, b })
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestMetricsConsistent requires that Collect sends only the metrics that Describe announces.
func TestMetricsConsistent(t *testing.T) {
	e, b, _ := everyStat(t)
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(statsCollector(func() (eventloop.Stats, broadcast.Stats) { return e, b }))
	if _, err := r.Gather(); err != nil {
		t.Error(err)
	}
}

func TestMetricsPage(t *testing.T) {
	m := newMetrics(build{version: "v1", revision: "abc"}, func() (e eventloop.Stats, b broadcast.Stats) { return })
	m.observeFanout(0.0002)
	w := httptest.NewRecorder()
	m.handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body, err := io.ReadAll(w.Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("got %d, %v", w.Code, err)
	}
	for _, want := range []string{
		`tickcast_build_info{goversion="go1.`,
		`revision="abc",version="v1"} 1`,
		`tickcast_fanout_seconds_bucket{le="5e-05"} 0`,
		`tickcast_fanout_seconds_bucket{le="0.00025"} 1`,
		`tickcast_fanout_seconds_bucket{le="10"} 1`,
		"tickcast_websockets 0",
		"go_goroutines ",
		"process_resident_memory_bytes ",
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
