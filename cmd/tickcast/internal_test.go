package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/cmd/message"
	"tickcast/eventloop"
)

// startTestInternal serves s on a free port until the test ends, and returns the URL.
func startTestInternal(t *testing.T, s status) string {
	t.Helper()
	m := newMetrics(build{version: "v1"}, func() (e eventloop.Stats, b broadcast.Stats) { return })
	srv, err := startInternal("127.0.0.1:0", s, m.handler(), http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := srv.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return "http://" + srv.Addr().String()
}

func fetch(t *testing.T, url string) (code int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestInternalProbes(t *testing.T) {
	for name, tt := range map[string]struct {
		status       status
		healthz      int
		healthzBody  string
		readyz       int
		readyzReason string
	}{
		"zero": {status{}, 200, "ok\n", 200, `{"ready":true}` + "\n"},
		"well": {status{Healthy: func() error { return nil }, Ready: func() []string { return nil }}, 200, "ok\n", 200, `{"ready":true}` + "\n"},
		"not": {
			status{
				Healthy: func() error { return errors.New("loop 1 does not answer") },
				Ready:   func() []string { return []string{"not connected to NATS", `"draining"`} },
			},
			503, "loop 1 does not answer\n",
			503, `{"ready":false,"reasons":["not connected to NATS","\"draining\""]}` + "\n",
		},
	} {
		url := startTestInternal(t, tt.status)
		if code, body := fetch(t, url+"/healthz"); code != tt.healthz || body != tt.healthzBody {
			t.Errorf("%s: /healthz is %d %q", name, code, body)
		}
		if code, body := fetch(t, url+"/readyz"); code != tt.readyz || body != tt.readyzReason {
			t.Errorf("%s: /readyz is %d %q", name, code, body)
		}
	}
}

func TestInternalPages(t *testing.T) {
	url := startTestInternal(t, status{})
	for path, want := range map[string]string{
		"/metrics":                       `tickcast_build_info{`,
		"/debug/pprof/":                  "goroutine",
		"/debug/pprof/goroutine?debug=1": "goroutine profile",
		"/debug/pprof/heap?debug=1":      "heap profile",
		"/debug/pprof/cmdline":           "test",
		"/debug/pprof/symbol":            "num_symbols",
		"/debug/pprof/trace?seconds=0":   "go 1.",
	} {
		if code, body := fetch(t, url+path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s is %d %.200q, want %q in it", path, code, body, want)
		}
	}
	for _, path := range []string{"/", "/healthz/x", "/stream"} {
		if code, _ := fetch(t, url+path); code != http.StatusNotFound {
			t.Errorf("%s is %d", path, code)
		}
	}
	resp, err := http.Post(url+"/healthz", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST /healthz is %d", resp.StatusCode)
	}
}

// TestInternalCloseIsGraceful requires that Close waits for a request in flight.
func TestInternalCloseIsGraceful(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := status{Healthy: func() error { close(entered); <-leave; return nil }}
	srv, err := startInternal("127.0.0.1:0", s, http.NotFoundHandler(), http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	type reply struct {
		code int
		err  error
	}
	replies := make(chan reply, 1)
	go func() {
		resp, err := http.Get("http://" + srv.Addr().String() + "/healthz")
		if err != nil {
			replies <- reply{err: err}
			return
		}
		resp.Body.Close()
		replies <- reply{code: resp.StatusCode}
	}()
	<-entered
	closed := make(chan error, 1)
	go func() { closed <- srv.Close(context.Background()) }()
	close(leave)
	if r := <-replies; r.err != nil || r.code != http.StatusOK {
		t.Errorf("the request in flight got %+v", r)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestInternalCloseIsBounded requires that Close does not wait longer than its context.
func TestInternalCloseIsBounded(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	defer close(leave)
	s := status{Healthy: func() error { close(entered); <-leave; return nil }}
	srv, err := startInternal("127.0.0.1:0", s, http.NotFoundHandler(), http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		resp, err := http.Get("http://" + srv.Addr().String() + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := srv.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("the request in flight was answered")
	}
}

func TestInternalPortTaken(t *testing.T) {
	url := startTestInternal(t, status{})
	_, err := startInternal(strings.TrimPrefix(url, "http://"), status{}, http.NotFoundHandler(), http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if !strings.Contains(message.Hint(err), "server.internal_listen") {
		t.Errorf("got %v", err)
	}
}
