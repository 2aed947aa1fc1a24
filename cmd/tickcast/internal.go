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
	"time"
)

// Bounds of the internal port. Its clients are probes, a scraper and an operator, all of them few and near.
const (
	internalReadTimeout  = 5 * time.Second
	internalWriteTimeout = 2 * time.Minute // a profile of 100 s fits
	internalIdleTimeout  = 2 * time.Minute
	internalMaxHeader    = 16 << 10
)

// A status answers the probes. Its functions may be called from any goroutine, several at once, and must return within a
// second or so. A nil function means all is well.
type status struct {
	Healthy func() error    // the process and its loops answer; otherwise it should be restarted
	Ready   func() []string // why no new connections should be sent here; empty = they should
}

// An internalServer is the HTTP server for operators, apart from the public ports.
type internalServer struct {
	http *http.Server
	addr net.Addr
	done chan error // the end of Serve
}

// startInternal listens on addr and serves until Close:
//
//	/healthz       200 "ok", or 503 and the reason
//	/readyz        200 {"ready":true}, or 503 {"ready":false,"reasons":[...]}
//	/metrics       what metrics writes
//	/debug/pprof/  profiles
//
// An address that is taken is an error with a hint.
func startInternal(addr string, s status, metrics http.Handler, log *slog.Logger) (*internalServer, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, listenHint("server.internal_listen", fmt.Errorf("internal port: %w", err), "")
	}
	srv := &internalServer{
		http: &http.Server{
			Handler:           internalMux(s, metrics),
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

// internalMux has its own routes only. Importing net/http/pprof also adds some to http.DefaultServeMux, which nobody
// serves.
func internalMux(s status, metrics http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol) // go tool pprof
	return mux
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
	json.NewEncoder(w).Encode(&body) // an error means that the client has gone
}

// Addr returns the address it listens on.
func (s *internalServer) Addr() net.Addr { return s.addr }

// Close stops accepting, lets requests end until ctx does, then cuts the rest off. It is called once. The error is not nil
// if the server had failed before.
func (s *internalServer) Close(ctx context.Context) error {
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	if err := <-s.done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("internal port: %w", err)
	}
	return nil
}
