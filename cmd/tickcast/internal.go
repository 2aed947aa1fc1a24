package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"slices"
	"strings"
	"time"
)

// Bounds of the internal port. Its clients are probes, a scraper and an operator, all nearby.
const (
	internalReadTimeout  = 5 * time.Second
	internalWriteTimeout = 2 * time.Minute // a profile of 100 s fits
	internalIdleTimeout  = 2 * time.Minute
	internalMaxHeader    = 16 << 10
)

// A status answers the probes. Any goroutine may call its functions, several at once; they must return within about a second. A
// nil function stands for a healthy or ready server.
type status struct {
	Healthy func() error    // an error: the process should be restarted
	Ready   func() []string // reasons to send no new connections here; empty = ready
	Hosts   []string        // further host names of the port
}

// An internalServer is the HTTP server for operators, on a port of its own.
type internalServer struct {
	http *http.Server
	addr net.Addr
	done chan error // the result of Serve
}

// startInternal listens on addr and serves until Close:
//
//	/healthz       200 "ok", or 503 and the reason
//	/readyz        200 {"ready":true}, or 503 {"ready":false,"reasons":[...]}
//	/metrics       the page of metrics
//	/revoke        POST: a user or a token is revoked, see node.revokeHandler
//	/debug/pprof/  profiles
//
// An address in use is an error with a hint.
func startInternal(addr string, s status, metrics, revoke http.Handler, log *slog.Logger) (*internalServer, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, listenHint("server.internal_listen", fmt.Errorf("internal port: %w", err), "")
	}
	srv := &internalServer{
		http: &http.Server{
			Handler:           localOnly(internalMux(s, metrics, revoke), append(s.Hosts, addr)),
			ReadHeaderTimeout: internalReadTimeout,
			ReadTimeout:       internalReadTimeout,
			WriteTimeout:      internalWriteTimeout,
			IdleTimeout:       internalIdleTimeout,
			MaxHeaderBytes:    internalMaxHeader,
			ErrorLog:          slog.NewLogLogger(log.With("from", "internal port").Handler(), slog.LevelDebug),
		},
		addr: ln.Addr(),
		done: make(chan error, 1),
	}
	go func() { srv.done <- srv.http.Serve(ln) }()
	return srv, nil
}

// internalMux returns the routes. net/http/pprof also adds its routes to http.DefaultServeMux, which this process does not
// serve.
func internalMux(s status, metrics, revoke http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", metrics)
	mux.Handle("POST /revoke", http.NewCrossOriginProtection().Handler(revoke)) // not from a page in the operator's browser
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol) // go tool pprof
	return mux
}

// localOnly admits requests whose Host is an IP address, localhost, this machine's name or a listed one. A page of another
// site in an operator's browser can make its own name point to this address (DNS rebinding), but cannot choose another Host.
func localOnly(h http.Handler, listed []string) http.Handler {
	name := func(hostport string) string {
		host, _, err := net.SplitHostPort(hostport)
		if err != nil {
			host = hostport
		}
		return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	}
	machine, _ := os.Hostname()
	known := []string{"localhost", strings.ToLower(machine)}
	for _, host := range listed {
		known = append(known, name(host))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := name(r.Host)
		if net.ParseIP(host) == nil && (host == "" || !slices.Contains(known, host)) {
			http.Error(w, "unknown Host: use an IP address, localhost or this machine's name", http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (s *status) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if s.Healthy != nil {
		if err := s.Healthy(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, err)
			return
		}
	}
	fmt.Fprintln(w, "ok")
}

func (s *status) readyz(w http.ResponseWriter, _ *http.Request) {
	var body struct {
		Ready   bool     `json:"ready"`
		Reasons []string `json:"reasons,omitempty"`
	}
	if s.Ready != nil {
		body.Reasons = s.Ready()
	}
	body.Ready = len(body.Reasons) == 0
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !body.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(&body) // fails only if the client has gone
}

// Addr returns the address that it listens on.
func (s *internalServer) Addr() net.Addr { return s.addr }

// Close stops accepting, waits for requests in flight until ctx ends, then cuts them off. It is called once. It returns the error of
// a server that had failed before.
func (s *internalServer) Close(ctx context.Context) error {
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	if err := <-s.done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("internal port: %w", err)
	}
	return nil
}
