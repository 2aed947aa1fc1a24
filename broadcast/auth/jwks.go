package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

// A source is the keys behind a URL.
type source struct {
	cfg    *Config
	client *http.Client
	notify func()
	kick   chan struct{} // a token asks; capacity 1

	set               atomic.Pointer[keySet] // the last good one; nil = none yet
	fetches, failures atomic.Uint64
}

// A keySet is the result of a fetch.
type keySet struct {
	keys []key
	at   time.Time
}

func (s *source) init(cfg *Config) {
	for _, d := range []struct {
		field  *time.Duration
		preset time.Duration
	}{{&cfg.Refresh, 15 * time.Minute}, {&cfg.Timeout, 5 * time.Second}, {&cfg.AskEvery, 10 * time.Second}} {
		if *d.field <= 0 {
			*d.field = d.preset
		}
	}
	s.cfg, s.client, s.kick = cfg, &http.Client{Timeout: cfg.Timeout}, make(chan struct{}, 1)
}

// current returns the last good keys.
func (s *source) current() []key {
	if set := s.set.Load(); set != nil {
		return set.keys
	}
	return nil
}

// ask requests newer keys than the current ones. It reports false if newer keys are impossible: without a URL, or just after
// a fetch.
func (s *source) ask(now time.Time) bool {
	if s.cfg.URL == "" {
		return false
	}
	if set := s.set.Load(); set != nil && now.Sub(set.at) < s.cfg.AskEvery {
		return false
	}
	select {
	case s.kick <- struct{}{}:
	default:
	}
	return true
}

// firstRetry is the pause after the first failed fetch; it doubles from there to Config.AskEvery.
const firstRetry = time.Second

// run fetches the keys until ctx is done; see Verifier.Run.
func (s *source) run(ctx context.Context, log *slog.Logger) {
	if s.cfg.URL == "" {
		<-ctx.Done()
		return
	}
	retry := min(firstRetry, s.cfg.AskEvery)
	for ctx.Err() == nil {
		err := s.fetch(ctx)
		pause, quiet := s.cfg.Refresh, s.cfg.AskEvery
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Warn("the keys of tokens cannot be fetched", "err", err, "have", len(s.current()))
			pause, quiet = retry, retry
			retry = min(2*retry, s.cfg.AskEvery)
		default:
			retry = min(firstRetry, s.cfg.AskEvery)
		}
		if s.notify != nil {
			s.notify()
		}
		s.wait(ctx, quiet, pause)
	}
}

// wait returns after pause, or when a token asks, but not before quiet is over.
func (s *source) wait(ctx context.Context, quiet, pause time.Duration) {
	timer := time.NewTimer(min(quiet, pause))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
	}
	timer.Reset(max(pause-quiet, 0))
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-s.kick:
	}
}

// maxSet bounds the bytes of a JWK Set.
const maxSet = 1 << 20

// fetch replaces the keys by those behind the URL.
func (s *source) fetch(ctx context.Context) (err error) {
	s.fetches.Add(1)
	defer func() {
		if err != nil {
			s.failures.Add(1)
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.cfg.URL, nil)
	if err != nil {
		return errors.New("the URL is malformed")
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", s.cfg.URL, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxSet+1))
	switch {
	case err != nil:
		return err
	case len(body) > maxSet:
		return fmt.Errorf("%s is larger than %d bytes", s.cfg.URL, maxSet)
	}
	keys, err := parseSet(body)
	if err != nil {
		return fmt.Errorf("%s %w", s.cfg.URL, err)
	}
	s.set.Store(&keySet{keys, time.Now()})
	return nil
}
