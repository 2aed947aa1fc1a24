package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// A page of another site cannot reach the internal port through a browser by a name that resolves to this address.
func TestInternalPortKnowsItsHosts(t *testing.T) {
	h := localOnly(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), []string{"metrics.example:9090", "127.0.0.1:9090"})
	for host, want := range map[string]int{
		"127.0.0.1:9090": 200, "[::1]:9090": 200, "localhost:1": 200, "LOCALHOST": 200, "localhost.": 200, "metrics.example": 200, "10.0.0.1": 200,
		"evil.example:9090": 421, "127.0.0.1.evil.example": 421, "": 421, "localhost.evil.example": 421,
	} {
		r, w := httptest.NewRequest("GET", "/metrics", nil), httptest.NewRecorder()
		r.Host = host
		if h.ServeHTTP(w, r); w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
	}
}
