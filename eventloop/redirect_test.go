package eventloop

import (
	"crypto/x509"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"tickcast/broadcast"
)

// redirects gives a server a listener that redirects to https, for the names of the certificate and of *.sub.test. It is the first one.
func redirects(c *Config, _ *broadcast.Config) {
	names := &x509.Certificate{DNSNames: append([]string{"*.sub.test", "localhost"}, testCertificate.Leaf.DNSNames...), IPAddresses: testCertificate.Leaf.IPAddresses}
	c.Listen, c.TLS.Listen = nil, nil
	c.TLS.Listen = []string{"127.0.0.2:0"}
	c.Redirect = Redirect{
		Listen: []string{"127.0.0.1:0"}, Port: 443,
		Serves: func(host string) bool { return names.VerifyHostname(host) == nil },
		Challenge: func(path string) []byte {
			if path == "/.well-known/acme-challenge/known" {
				return []byte("known.thumbprint")
			}
			return nil
		},
	}
}

// startRedirect starts a server whose clients connect to the listener that redirects.
func startRedirect(t *testing.T, settings ...setting) *server {
	s := start(t, append([]setting{redirects}, settings...)...)
	s.addr, s.secure = s.engine.RedirectAddrs()[0], false
	return s
}

// A request with a body is refused as one without it, whatever its path, and counts as no offence.
func TestRedirectOfABody(t *testing.T) {
	s := startRedirect(t)
	for _, path := range []string{"/", "/stream", "/nothing"} {
		c := s.dial()
		c.send("POST " + path + " HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody" + get("/"))
		for _, want := range []int{405, 308} {
			if r, _ := c.response("POST"); r.StatusCode != want {
				t.Errorf("%s: %s, want %d", path, r.Status, want)
				break
			}
		}
	}
}

func TestRedirect(t *testing.T) {
	s := startRedirect(t)
	for _, row := range []struct {
		name, method, target, host string
		status                     int
		location                   string
	}{
		{"path and query", "GET", "/a/b%20c?x=1&y=//z", "test", 308, "https://test/a/b%20c?x=1&y=//z"},
		{"HEAD", "HEAD", "/", "test", 308, "https://test/"},
		{"port of the listener", "GET", "/", "test:80", 308, "https://test/"},
		{"name under a wildcard", "GET", "/", "a.sub.test", 308, "https://a.sub.test/"},
		{"capitals", "GET", "/", "TEST", 308, "https://TEST/"},
		{"address", "GET", "/", "127.0.0.1:8080", 308, "https://127.0.0.1/"},
		{"path that looks like a host", "GET", "//evil.example/", "test", 308, "https://test//evil.example/"},
		{"stream", "GET", "/stream?topics=a", "test", 308, "https://test/stream?topics=a"},
		{"another host", "GET", "/", "evil.example", 421, ""},
		{"two levels under a wildcard", "GET", "/", "a.b.sub.test", 421, ""},
		{"another address", "GET", "/", "[::1]:80", 421, ""},
		{"escaped host", "GET", "/", "te%73t", 421, ""},
		{"user before the host", "GET", "/", "test@evil.example", 400, ""},
		{"POST", "POST", "/stream", "test", 405, ""},
		{"unknown challenge", "GET", "/.well-known/acme-challenge/other", "test", 308, "https://test/.well-known/acme-challenge/other"},
		{"challenge", "GET", "/.well-known/acme-challenge/known", "anything.example", 200, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := s.dial()
			c.send(row.method + " " + row.target + " HTTP/1.1\r\nHost: " + row.host + "\r\nContent-Length: 0\r\n\r\n")
			r, body := c.response(row.method)
			if r.StatusCode != row.status || r.Header.Get("Location") != row.location {
				t.Errorf("%s, Location %q", r.Status, r.Header.Get("Location"))
			}
			if row.status == 200 && body != "known.thumbprint" {
				t.Errorf("the answer is %q", body)
			}
		})
	}
	if n := s.stats().Rejected["host"]; n != 4 {
		t.Errorf("%d are counted", n)
	}
}

func TestRedirectToAnotherPort(t *testing.T) {
	s := startRedirect(t, func(c *Config, _ *broadcast.Config) {
		c.Redirect.Port = 8443
		c.Redirect.Serves = func(host string) bool { return host == "::1" || host == "test" }
	})
	for host, want := range map[string]string{"test:80": "https://test:8443/x", "[::1]:80": "https://[::1]:8443/x", "[0:0::1]": "https://[::1]:8443/x"} {
		c := s.dial()
		c.send("GET /x HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
		if r, _ := c.response("GET"); r.Header.Get("Location") != want {
			t.Errorf("%s: %s, Location %q", host, r.Status, r.Header.Get("Location"))
		}
	}
	c := s.dial()
	c.send("GET / HTTP/1.0\r\n\r\n") // without a Host
	if r, _ := c.response("GET"); r.StatusCode != 421 {
		t.Error(r.Status)
	}
}

// The limits of other listeners are those of this one too.
func TestRedirectHasLimits(t *testing.T) {
	s := startRedirect(t, func(c *Config, _ *broadcast.Config) {
		c.MaxHeaderSize = 1 << 10
		c.HandshakeTimeout = tick
	})
	c := s.dial()
	c.send("GET /" + strings.Repeat("a", 2<<10))
	if r, _ := c.response("GET"); r.StatusCode != http.StatusRequestURITooLong {
		t.Error(r.Status)
	}
	c = s.dial() // silent
	c.ended()
	s = startRedirect(t, func(c *Config, _ *broadcast.Config) { c.Limits.Addresses.Connections, c.Limits.Addresses.Track = 1, 10 })
	c = s.dial()
	c.send(get("/"))
	c.response("GET")
	c = s.dial()
	c.send(get("/"))
	if r, _ := c.response("GET"); r.StatusCode != http.StatusTooManyRequests {
		t.Error(r.Status)
	}
}

// curl comes from the redirect to the page.
func TestCurlFollowsTheRedirect(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	s := startRedirect(t)
	_, clear, _ := strings.Cut(s.addr, ":")
	_, secure, _ := strings.Cut(s.engine.TLSAddrs()[0], ":")
	out, err := exec.Command(curl, "-sSkL", "--noproxy", "*", "--max-time", "20", "--connect-to", "test:80:127.0.0.1:"+clear,
		"--connect-to", "test:443:127.0.0.2:"+secure, "-w", "%{url_effective}", "http://test/").Output()
	if err != nil || !strings.Contains(string(out), "<title>Tickcast</title>") || !strings.HasSuffix(string(out), "https://test/") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestRedirectNeedsNames(t *testing.T) {
	cfg := Config{Loops: 1, TLS: testTLSConfig(), Redirect: Redirect{Listen: []string{"127.0.0.1:0"}}}
	cfg.TLS.Listen = []string{"127.0.0.2:0"}
	if _, err := New(cfg, nil); err == nil {
		t.Error("no error")
	}
}
