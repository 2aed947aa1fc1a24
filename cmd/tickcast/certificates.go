package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"tickcast/cmd/tickcast/config"
	"tickcast/eventloop"
)

// certificates are the configuration of TLS from files, which may change while the server runs, and from a certificate authority.
type certificates struct {
	files   *config.TLS
	log     *slog.Logger
	issuer  *issuer // nil = none
	current atomic.Pointer[tls.Config]
	sum     [sha256.Size]byte // of the files at the last reading; owned by watch
}

// loadCertificates reads the files.
func loadCertificates(files *config.TLS, log *slog.Logger) (*certificates, error) {
	c := &certificates{files: files, log: log}
	current, sum, err := files.Load()
	if err != nil {
		return nil, err
	}
	c.issuer, err = newIssuer(files, log)
	c.sum = sum
	c.use(current)
	return c, err
}

// use makes new connections use a configuration from files.
func (c *certificates) use(current *tls.Config) {
	if c.issuer != nil {
		c.issuer.addTo(current)
	}
	c.current.Store(current)
}

// serves reports whether host, a name or an address, has a certificate or will have one. Any goroutine may call it.
func (c *certificates) serves(host string) bool {
	if c.issuer != nil && c.issuer.serves(host) {
		return true
	}
	return slices.ContainsFunc(c.config().Certificates, func(pair tls.Certificate) bool { return pair.Leaf.VerifyHostname(host) == nil })
}

// redirect returns the listeners that redirect to https.
func (c *certificates) redirect() eventloop.Redirect {
	r := eventloop.Redirect{Listen: c.files.RedirectListen, Port: c.files.HTTPSPort(), Serves: c.serves}
	if c.issuer != nil {
		r.Challenge = c.issuer.answers.answer
	}
	return r
}

// config returns the configuration of new connections. Any goroutine may call it.
func (c *certificates) config() *tls.Config { return c.current.Load() }

// watch reads the files at intervals until ctx ends. It compares their content and not their times, since files are replaced
// in many ways. Between the replacement of a certificate and that of its key the old pair stays in use.
func (c *certificates) watch(ctx context.Context) error {
	if len(c.files.Listen) == 0 || c.files.Reload == 0 {
		return nil
	}
	t := time.NewTicker(c.files.Reload)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			c.reload()
		}
	}
}

// reload loads the files if they have changed, or logs once that they cannot be used.
func (c *certificates) reload() {
	current, sum, err := c.files.Load()
	if sum == c.sum {
		return
	}
	c.sum = sum
	if err != nil {
		c.log.Error("changed files of [tls] cannot be used, the old ones are", "err", err)
		return
	}
	c.use(current)
	c.log.Info("new connections use the changed files of [tls]", "certificates", len(current.Certificates))
}
