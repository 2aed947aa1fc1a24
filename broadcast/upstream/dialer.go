package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A dialer makes the guarded sockets of nats.go. One goroutine uses it at a time.
type dialer struct {
	net.Dialer
	cfg    Config
	guard  func(*guard) *guard
	opaque bool            // the servers are reached by WebSocket
	secure bool            // the configuration asks for TLS
	named  map[string]bool // the hosts of Config.URLs
	name   string          // the latest host that is no address, see nameOf
}

func newDialer(cfg Config, guarded func(*guard) *guard) *dialer {
	d := &dialer{cfg: cfg, guard: guarded, secure: cfg.CAFile != "" || cfg.CertFile != "", named: make(map[string]bool)}
	d.Timeout = cfg.ConnectTimeout
	if d.Timeout <= 0 {
		d.Timeout = 2 * time.Second // as nats.go
	}
	for _, text := range cfg.URLs {
		if !strings.Contains(text, "://") {
			text = "nats://" + text
		}
		if u, err := url.Parse(text); err == nil {
			d.named[u.Hostname()] = true
			d.opaque = d.opaque || strings.HasPrefix(u.Scheme, "ws")
			d.secure = d.secure || u.Scheme == "tls"
		}
	}
	d.Control = func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			// Without this option a write on a broken link fails only after a quarter of an hour. Some kernels lack it.
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(cfg.silence().Milliseconds()))
		})
	}
	return d
}

// Dial is called by nats.go.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	socket, err := d.Dialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	host := d.nameOf(address)
	secure := func() (*tls.Config, error) { return d.cfg.tlsConfig(host) }
	return d.guard(&guard{socket: socket, opaque: d.opaque, secure: secure, always: d.secure}), nil
}

// SkipTLSHandshake makes nats.go leave TLS to the guard, which has to read the lines inside.
func (d *dialer) SkipTLSHandshake() bool { return !d.opaque }

// nameOf returns the name that the certificate of a server must have. The address of a server that INFO named, and not the
// configuration, may be a bare IP address. Its certificate then has the name of the server that was dialed last, the same
// rule as in nats.go.
func (d *dialer) nameOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if net.ParseIP(host) == nil {
		d.name = host
	} else if !d.named[host] && d.name != "" {
		return d.name
	}
	return host
}

// tlsConfig returns the settings of TLS to a host. The files are read each time, since they may have changed.
func (cfg Config) tlsConfig(host string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("upstream: read authorities of nats: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("upstream: %s holds no certificate", cfg.CAFile)
		}
	}
	if cfg.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("upstream: read certificate for nats: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// An inProcess makes guarded connections to a server in this process.
type inProcess struct {
	server interface{ InProcessConn() (net.Conn, error) }
	guard  func(*guard) *guard
}

func (p inProcess) InProcessConn() (net.Conn, error) {
	socket, err := p.server.InProcessConn()
	if err != nil {
		return nil, err
	}
	return p.guard(&guard{socket: socket}), nil
}
