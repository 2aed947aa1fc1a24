package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// The control port of the servers in Go, and the client of all control ports.

// A broadcaster is a server as the control port sees it.
type broadcaster interface {
	broadcast(message []byte) error // one call at a time
	open() int
}

// serveControl serves b's control port, and clients on the other one with serve, until ctx ends or one of both fails.
func serveControl(ctx context.Context, s site, b broadcaster, serve func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var controlErr error
	var control sync.WaitGroup
	control.Go(func() {
		defer cancel()
		controlErr = serveHTTP(ctx, s.control, controlHandler(b))
	})
	err := serve(ctx)
	cancel()
	control.Wait()
	return errors.Join(err, controlErr)
}

// serveHTTP is a server of net/http until ctx ends.
func serveHTTP(ctx context.Context, addr string, h http.Handler) error {
	s := &http.Server{Addr: addr, Handler: h}
	defer context.AfterFunc(ctx, func() { s.Close() })()
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// controlHandler serves the control port of [peer], and /trim.
func controlHandler(b broadcaster) http.Handler {
	var one sync.Mutex
	mux := http.NewServeMux()
	mux.HandleFunc("POST /publish", func(w http.ResponseWriter, r *http.Request) {
		message, err := io.ReadAll(r.Body)
		if err == nil {
			one.Lock()
			err = b.broadcast(message)
			one.Unlock()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /publish", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"subscribers": %d}`, b.open())
	})
	mux.HandleFunc("POST /trim", func(http.ResponseWriter, *http.Request) {
		debug.FreeOSMemory() // pools survive one collection
		debug.FreeOSMemory()
	})
	return mux
}

// A roster is the open connections of a server whose library does not list them.
type roster[C comparable] struct {
	mu    sync.Mutex
	conns map[C]struct{}
	list  []C // owned by each
}

func newRoster[C comparable]() *roster[C] { return &roster[C]{conns: map[C]struct{}{}} }

func (r *roster[C]) add(c C) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[c] = struct{}{}
}

func (r *roster[C]) remove(c C) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

func (r *roster[C]) open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

// each calls do with each connection. The reader of a broken connection notices the end too, and removes it.
func (r *roster[C]) each(do func(C)) {
	r.mu.Lock()
	r.list = slices.AppendSeq(r.list[:0], maps.Keys(r.conns))
	r.mu.Unlock()
	for _, c := range r.list {
		do(c)
	}
	clear(r.list)
}

// httpPublisher is the client of a control port.
type httpPublisher struct {
	client http.Client
	base   string // http://host:port
}

func dialHTTP(control string) (publisher, error) {
	return &httpPublisher{http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}, "http://" + control}, nil
}

func (p *httpPublisher) publish(message []byte) error {
	_, err := p.do("POST", "/publish", message)
	return err
}

func (p *httpPublisher) subscribers() (n int, known bool, err error) {
	b, err := p.do("GET", "/publish", nil)
	if err != nil {
		return 0, false, err
	}
	var answer struct{ Subscribers int }
	if len(b) > 0 { // nchan knows no channel before its first subscriber
		err = json.Unmarshal(b, &answer)
	}
	return answer.Subscribers, true, err
}

func (p *httpPublisher) trim() error {
	_, err := p.do("POST", "/trim", nil)
	return err
}

func (p *httpPublisher) Close() error {
	p.client.CloseIdleConnections()
	return nil
}

// do returns the body of the answer. 404 stands for an empty answer, or a server without /trim.
func (p *httpPublisher) do(method, path string, body []byte) ([]byte, error) {
	r, err := http.NewRequest(method, p.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	answer, err := p.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return nil, err
	case answer.StatusCode == http.StatusNotFound:
		return nil, nil
	case answer.StatusCode >= 300:
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, b)
	}
	return b, nil
}
