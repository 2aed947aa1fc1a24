package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"tickcast/cmd/tickcast/config"
)

// An issuer orders certificates from a certificate authority by ACME, RFC 8555, and renews them after two thirds of their life. A
// handshake only looks at those that are there: an order takes seconds, and one of its steps is a handshake with the authority.
type issuer struct {
	domains []string
	log     *slog.Logger
	manager *autocert.Manager
	answers *challengeCache
	every   time.Duration // between two looks at the certificates

	current atomic.Pointer[map[string]*tls.Certificate] // by name

	// Owned by run.
	orders map[string]*order // by name
}

// An order is the state of one name's certificate.
type order struct {
	retry time.Time     // of an order that failed
	wait  time.Duration // before the retry after the next failure
	late  bool          // it was logged that the certificate is not renewed
}

// Chosen by us: Let's Encrypt allows five failed checks of a name an hour, and an order may fail by two kinds of checks.
const (
	firstRetry  = 5 * time.Minute
	longestWait = time.Hour
)

// newIssuer returns the issuer for c, nil without domains.
func newIssuer(c *config.TLS, log *slog.Logger) (*issuer, error) {
	a := &c.ACME
	if len(a.Domains) == 0 {
		return nil, nil
	}
	roots, err := a.Roots()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	i := &issuer{domains: a.Domains, log: log, every: c.Reload, orders: make(map[string]*order)}
	if i.every == 0 {
		i.every = 10 * time.Second
	}
	i.answers = &challengeCache{Cache: autocert.DirCache(a.Cache), answers: make(map[string][]byte)}
	i.manager = &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: i.answers, HostPolicy: autocert.HostWhitelist(a.Domains...), Email: a.Email,
		Client: &acme.Client{DirectoryURL: a.Directory, HTTPClient: &http.Client{Transport: transport, Timeout: time.Minute}, UserAgent: "tickcast"},
	}
	if len(c.RedirectListen) > 0 {
		i.manager.HTTPHandler(nil) // lets orders use HTTP-01; the event loop answers
	}
	i.current.Store(new(map[string]*tls.Certificate))
	return i, nil
}

// addTo makes c use the certificates beside its own.
func (i *issuer) addTo(c *tls.Config) {
	own := len(c.Certificates) > 0
	c.NextProtos = append(c.NextProtos, acme.ALPNProto)
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return i.certificate(hello, own) }
}

// certificate returns the certificate for a handshake. With others, which are files, it returns nil for a name that is not its own.
func (i *issuer) certificate(hello *tls.ClientHelloInfo, others bool) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	known := i.serves(name)
	if known && slices.Equal(hello.SupportedProtos, []string{acme.ALPNProto}) { // TLS-ALPN-01, RFC 8737
		return i.manager.GetCertificate(hello) // from memory or the cache; it orders nothing
	}
	if !known && others {
		return nil, nil
	}
	if !known {
		name = i.domains[0]
	}
	if c := (*i.current.Load())[name]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("there is no certificate for %s yet", name)
}

// serves reports whether name is one of the domains.
func (i *issuer) serves(name string) bool { return slices.Contains(i.domains, strings.ToLower(name)) }

// run orders certificates and looks for renewed ones until ctx ends. It begins when the server can be reached: the authority asks it.
func (i *issuer) run(ctx context.Context, ready <-chan struct{}) error {
	select {
	case <-ready:
	case <-ctx.Done():
		return nil
	}
	t := time.NewTicker(i.every)
	defer t.Stop()
	for {
		for _, name := range i.domains {
			i.look(ctx, name)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// look takes over the present certificate of name, which it orders if there is none.
func (i *issuer) look(ctx context.Context, name string) {
	o := i.orders[name]
	if o == nil {
		o = &order{wait: firstRetry}
		i.orders[name] = o
	}
	if time.Now().Before(o.retry) {
		return
	}
	c, err := i.obtain(ctx, name)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		o.retry = time.Now().Add(o.wait)
		i.log.Error("a certificate cannot be ordered", "name", name, "err", err, "next attempt in", o.wait)
		o.wait = min(2*o.wait, longestWait)
	default:
		o.wait = firstRetry
		i.use(name, c)
		i.warn(o, name, c)
	}
}

// obtain returns the certificate of name from memory, the cache or the authority. It does not wait for an order beyond ctx.
func (i *issuer) obtain(ctx context.Context, name string) (*tls.Certificate, error) {
	type result struct {
		certificate *tls.Certificate
		err         error
	}
	done := make(chan result, 1)
	go func() {
		c, err := i.manager.GetCertificate(&tls.ClientHelloInfo{ // of a client that takes ECDSA
			ServerName: name, SupportedVersions: []uint16{tls.VersionTLS13}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
			SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, SupportedCurves: []tls.CurveID{tls.CurveP256},
		})
		done <- result{c, err}
	}()
	select {
	case r := <-done:
		return r.certificate, r.err
	case <-ctx.Done():
		return nil, errors.New("the server ends")
	}
}

// use makes new connections to name get c.
func (i *issuer) use(name string, c *tls.Certificate) {
	current := *i.current.Load()
	if old := current[name]; old != nil && slices.Equal(old.Certificate[0], c.Certificate[0]) {
		return
	}
	next := map[string]*tls.Certificate{name: c}
	for other, c := range current {
		if other != name {
			next[other] = c
		}
	}
	i.current.Store(&next)
	i.log.Info("new connections use a certificate of the authority", "name", name, "valid until", c.Leaf.NotAfter)
}

// warn logs once that c has not been renewed: it is older than nine tenths of its life.
func (i *issuer) warn(o *order, name string, c *tls.Certificate) {
	life := c.Leaf.NotAfter.Sub(c.Leaf.NotBefore)
	late := time.Until(c.Leaf.NotAfter) < life/10
	if late && !o.late {
		i.log.Error("a certificate could not be renewed so far", "name", name, "valid until", c.Leaf.NotAfter)
	}
	o.late = late
}

// A challengeCache is a directory for certificates that also keeps the answers to the authority in memory, for the event loops.
type challengeCache struct {
	autocert.Cache

	mu      sync.RWMutex
	answers map[string][]byte // by the last part of the path
}

// answerSuffix ends the keys of answers in the cache of autocert.
const answerSuffix = "+http-01"

// Put stores data under key.
func (c *challengeCache) Put(ctx context.Context, key string, data []byte) error {
	if token, ok := strings.CutSuffix(key, answerSuffix); ok {
		c.mu.Lock()
		c.answers[token] = data
		c.mu.Unlock()
	}
	return c.Cache.Put(ctx, key, data)
}

// Delete removes the data under key.
func (c *challengeCache) Delete(ctx context.Context, key string) error {
	if token, ok := strings.CutSuffix(key, answerSuffix); ok {
		c.mu.Lock()
		delete(c.answers, token)
		c.mu.Unlock()
	}
	return c.Cache.Delete(ctx, key)
}

// answer returns the answer to a request for path; nil = none.
func (c *challengeCache) answer(path string) []byte {
	token, ok := strings.CutPrefix(path, "/.well-known/acme-challenge/")
	if !ok {
		return nil
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.answers[token]
}
