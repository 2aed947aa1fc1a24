package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"tickcast/broadcast/auth"
	"tickcast/broadcast/auth/authtest"
)

const patience = 30 * time.Second

// A keyServer serves a JWK Set, or fails as a test wants.
type keyServer struct {
	*httptest.Server
	answer atomic.Pointer[func(http.ResponseWriter, *http.Request)]
	asked  atomic.Int64
}

func newKeyServer(t *testing.T) *keyServer {
	s := new(keyServer)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		(*s.answer.Load())(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) set(f func(http.ResponseWriter, *http.Request)) { s.answer.Store(&f) }

func (s *keyServer) serve(set []byte) {
	s.set(func(w http.ResponseWriter, _ *http.Request) { w.Write(set) })
}

// startVerifier runs a verifier with the keys of s. Each receive from fetched is a fetch.
func startVerifier(t *testing.T, s *keyServer, cfg auth.Config) (v *auth.Verifier, fetched chan struct{}) {
	cfg.URL = s.URL
	v = auth.New(cfg)
	fetched = make(chan struct{}, 1000)
	v.Notify(func() { fetched <- struct{}{} })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); v.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return v, fetched
}

func wait(t *testing.T, fetched chan struct{}) {
	t.Helper()
	select {
	case <-fetched:
	case <-time.After(patience):
		t.Fatal("no fetch")
	}
}

func TestKeysRotate(t *testing.T) {
	old, next := authtest.NewPair(t, "ES256"), authtest.NewPair(t, "EdDSA")
	s := newKeyServer(t)
	s.serve(authtest.Set(old.JWK("1"), authtest.NewPair(t, "HS256").JWK("secret"), map[string]any{"kty": "unheard of"}))
	v, fetched := startVerifier(t, s, auth.Config{AskEvery: time.Millisecond, Refresh: time.Hour})
	wait(t, fetched)
	real := time.Now()
	claims := valid(map[string]any{"exp": real.Add(time.Hour).Unix(), "iat": nil})
	if _, err := v.Verify(old.Sign(t, "1", claims), real); err != nil {
		t.Fatal(err)
	}
	s.serve(authtest.Set(old.JWK("1"), next.JWK("2")))
	if _, err := v.Verify(next.Sign(t, "2", claims), time.Now().Add(time.Second)); !errors.Is(err, auth.ErrAsk) {
		t.Fatalf("an unknown kid: %v", err)
	}
	wait(t, fetched)
	if _, err := v.Verify(next.Sign(t, "2", claims), time.Now()); err != nil {
		t.Error(err)
	}
	s.serve(authtest.Set(next.JWK("2"))) // the old key is withdrawn
	if _, err := v.Verify(authtest.NewPair(t, "ES256").Sign(t, "1", claims), time.Now().Add(time.Second)); !errors.Is(err, auth.ErrAsk) {
		t.Errorf("a signature that no key verifies: %v", err)
	}
	wait(t, fetched)
	var refusal *auth.Error
	v2, fetched2 := startVerifier(t, s, auth.Config{AskEvery: time.Hour})
	wait(t, fetched2)
	if _, err := v2.Verify(old.Sign(t, "1", claims), time.Now()); !errors.As(err, &refusal) {
		t.Errorf("a withdrawn key, against current keys: %v", err)
	}
}

// Tokens with unknown keys do not make the server ask again and again.
func TestUnknownKeysAskWithALimit(t *testing.T) {
	p := authtest.NewPair(t, "ES256")
	s := newKeyServer(t)
	s.serve(authtest.Set(p.JWK("1")))
	v, fetched := startVerifier(t, s, auth.Config{AskEvery: time.Hour})
	wait(t, fetched)
	stranger := authtest.NewPair(t, "ES256").Sign(t, "x", valid(nil))
	for range 1000 {
		if _, err := v.Verify(stranger, time.Now().Add(2*time.Hour)); !errors.Is(err, auth.ErrAsk) {
			t.Fatal(err)
		}
	}
	if n := s.asked.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestKeyServerThatFails(t *testing.T) {
	p := authtest.NewPair(t, "ES256")
	real := time.Now()
	token := p.Sign(t, "1", valid(map[string]any{"exp": real.Add(time.Hour).Unix(), "iat": nil}))
	good := authtest.Set(p.JWK("1"))
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request){
		"down":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); w.Write(good) },
		"slow":  func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"dripping": func(w http.ResponseWriter, r *http.Request) {
			w.Write(good[:10])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"not JSON":  func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
		"no keys":   func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"keys":[]}`)) },
		"too large": func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 2<<20)) },
		"wrong keys": func(w http.ResponseWriter, _ *http.Request) {
			w.Write(authtest.Set(map[string]any{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newKeyServer(t)
			s.set(answer)
			v, fetched := startVerifier(t, s, auth.Config{Timeout: 50 * time.Millisecond, AskEvery: time.Millisecond, Refresh: 5 * time.Millisecond})
			wait(t, fetched)
			if _, err := v.Verify(token, real); !errors.Is(err, auth.ErrAsk) {
				t.Fatalf("without keys: %v", err)
			}
			s.serve(good)
			for v.Stats().Keys == 0 {
				wait(t, fetched)
			}
			s.set(answer)
			for before := v.Stats().FetchErrors; v.Stats().FetchErrors < before+2; {
				wait(t, fetched)
			}
			if _, err := v.Verify(token, real); err != nil {
				t.Errorf("the last good keys are not kept: %v", err)
			}
		})
	}
}
