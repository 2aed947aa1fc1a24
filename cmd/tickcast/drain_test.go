package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A server that ends is not ready by the time its clients hear of it, and ends within shutdown.timeout.
func TestDrain(t *testing.T) {
	needsClear(t)
	s := startServer(t, "[shutdown]\ntimeout = \"6s\"\n[drain]\nwindow = \"4s\"\nduration = \"1h\"\n[limits]\nclose_timeout = \"1s\"\n")
	c, silent := dial(t, s.stream+"?topics=px.A"), dial(t, s.stream)
	c.untilOp("ack")
	begin := time.Now()
	s.stop()
	c.untilOp("drain")
	if status, body := s.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "draining") {
		t.Errorf("/readyz: %d %s", status, body)
	}
	r, err := http.Get(s.page + "stream?topics=px.A")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("a new poll: %s %v", r.Status, r.Header)
	}
	if code := c.closeCode(); code != websocket.StatusServiceRestart {
		t.Errorf("close code %d", code)
	}
	_ = silent                                                      // does not answer
	if err := s.end(); err != nil || time.Since(begin) > patience { // not an hour
		t.Errorf("ended after %v: %v", time.Since(begin), err)
	}
}
