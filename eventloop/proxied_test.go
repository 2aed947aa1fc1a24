package eventloop

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"tickcast/broadcast"
	"tickcast/broadcast/auth/authtest"
	"tickcast/eventloop/admission"
)

// behindProxies makes a server trust proxies at 127.0.0.1, and admit one connection of each client.
func behindProxies(mode ProxyMode) setting {
	return func(c *Config, _ *broadcast.Config) {
		c.ProxyProtocol = mode
		c.TrustedProxies, _ = admission.ParseNetworks([]string{"127.0.0.1", "10.0.0.0/8"})
		c.Limits.Addresses = admission.AddressLimits{Connections: 1, Track: 100}
	}
}

const proxyLine = "PROXY TCP4 %s 127.0.0.1 4711 80\r\n"

// proxied connects from an address of the loopback network, and sends pieces of a header before all else.
func (s *server) proxied(last byte, header ...string) *client {
	s.t.Helper()
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, last)}}
	nc, err := d.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, piece := range header {
		io.WriteString(nc, piece) // the server may have closed the connection
	}
	return s.clientOf(s.secured(nc))
}

func TestProxyHeader(t *testing.T) {
	for _, mode := range []ProxyMode{ProxyOff, ProxyOptional, ProxyRequired} {
		s := start(t, behindProxies(mode))
		by := func(address string) int { return s.proxied(1, fmt.Sprintf(proxyLine, address)).status(request("")) }
		want := func(name string, got, off, optional, required int) {
			t.Helper()
			if w := early([]int{off, optional, required}[mode]); got != w {
				t.Errorf("mode %d, %s: %d, want %d", mode, name, got, w)
			}
		}
		want("the first of a client", by("192.0.2.1"), 400, 101, 101)
		want("the second of a client", by("192.0.2.1"), 400, 429, 429)
		want("another client", by("192.0.2.2"), 400, 101, 101)
		want("no header", s.from(1).status(request("")), 101, 101, 400)
		want("no header once more: the proxy itself is not limited", s.from(1).status(request("")), 101, 101, 400)
		want("malformed header", s.proxied(1, "PROXY TCP4 x\r\n").status(""), 400, 400, 400)
		want("a header of somebody else", s.proxied(8, fmt.Sprintf(proxyLine, "192.0.2.3")).status(request("")), 400, 400, 0)
		want("somebody else", s.from(9).status(request("")), 101, 101, 0)
		want("somebody else once more", s.from(9).status(request("")), 429, 429, 0)
		if mode != ProxyOff {
			var pieces []string
			for _, b := range []byte(fmt.Sprintf(proxyLine, "192.0.2.8")) {
				pieces = append(pieces, string(b))
			}
			want("pieces", s.proxied(1, pieces...).status(request("")), 0, 101, 101)
		}
	}
}

func TestForwardedFor(t *testing.T) {
	s := start(t, behindProxies(ProxyOptional))
	for _, row := range []struct {
		name   string
		from   byte
		field  string
		status int
	}{
		{"the first of a client", 1, "192.0.2.1", 101},
		{"the second of a client", 1, "192.0.2.1", 429},
		{"a client that makes up another address", 1, "192.0.2.99, 192.0.2.1", 429},
		{"behind two proxies", 1, "192.0.2.1, 10.1.1.1", 429},
		{"another client", 1, "192.0.2.2", 101},
		{"not an address", 1, "unknown", 101},
		{"somebody else", 9, "192.0.2.3", 101},
		{"somebody else with another address", 9, "192.0.2.4", early(429)},
		{"the client whose address somebody else named", 1, "192.0.2.3", 101},
	} {
		if got := s.from(row.from).status(requestWith("", "X-Forwarded-For: "+row.field)); got != row.status {
			t.Errorf("%s: %d, want %d", row.name, got, row.status)
		}
	}
}

// haproxy runs HAProxy in front of the server, with the lines of its backend, and returns its addresses for ws and wss.
func (s *server) haproxy(mode, backend string) (ws, wss string) {
	s.t.Helper()
	binary, err := exec.LookPath("haproxy")
	if err != nil {
		binary = "/usr/sbin/haproxy"
	}
	if _, err := os.Stat(binary); err != nil {
		if os.Getenv("TEST_HAPROXY") == "required" {
			s.t.Fatal("no haproxy")
		}
		s.t.Skip("no haproxy")
	}
	dir := s.t.TempDir()
	pem := filepath.Join(dir, "cert.pem")
	if err := os.WriteFile(pem, authtest.Certificate(s.t), 0o600); err != nil {
		s.t.Fatal(err)
	}
	var files []*os.File
	var addrs []string
	for range 2 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			s.t.Fatal(err)
		}
		addrs = append(addrs, ln.Addr().String())
		ln.Close()
		defer f.Close()
		files = append(files, f)
	}
	config := fmt.Sprintf("global\n  maxconn 100\ndefaults\n  mode %s\n  retries 0\n  timeout connect 20s\n  timeout client 20s\n  timeout server 20s\n"+
		"  timeout tunnel 20s\n  option forwardfor\nfrontend f\n  bind fd@3\n  bind fd@4 ssl crt %s\n  default_backend b\nbackend b\n"+
		"  source 127.0.0.1\n  server s %s %s\n", mode, pem, s.addr, backend)
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "-db", "-f", file)
	cmd.ExtraFiles = files
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		cancel()
		cmd.Wait()
		if s.t.Failed() {
			s.t.Logf("haproxy: %s", &log)
		}
	})
	return addrs[0], addrs[1]
}

// A real balancer in front: clients count by their own addresses, over ws and wss, and a field that a client makes up does not.
func TestBehindHAProxy(t *testing.T) {
	backendTLS := ""
	if testTLS != "" {
		backendTLS = " ssl verify none"
	}
	for _, row := range []struct {
		name, mode, backend string
		proxy               ProxyMode
	}{
		{"PROXY v1", "tcp", "send-proxy", ProxyRequired},
		{"PROXY v2", "tcp", "send-proxy-v2", ProxyRequired},
		{"PROXY v2 with TLVs", "tcp", "send-proxy-v2 proxy-v2-options unique-id,ssl,cert-cn", ProxyRequired},
		{"X-Forwarded-For", "http", "", ProxyOff},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := start(t, behindProxies(row.proxy))
			s.t = t
			ws, wss := s.haproxy(row.mode, row.backend+backendTLS)
			try := func(last byte, secure bool) int {
				d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, last)}}
				front := *s
				front.addr, front.secure = ws, false
				if !secure {
					return front.dialWith(d).status(requestWith("", "X-Forwarded-For: 192.0.2.7"))
				}
				nc, err := tls.DialWithDialer(&d, "tcp", wss, &tls.Config{InsecureSkipVerify: true})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { nc.Close() })
				c := newClient(t, nc)
				return c.status(requestWith("", "X-Forwarded-For: 192.0.2.7"))
			}
			for _, step := range []struct {
				last   byte
				secure bool
				want   int
			}{{20, false, 101}, {20, false, 429}, {20, true, 429}, {21, true, 101}, {21, true, 429}, {22, false, 101}} {
				want := step.want
				if row.proxy != ProxyOff {
					want = early(want)
				}
				if got := try(step.last, step.secure); got != want {
					t.Errorf("127.0.0.%d, TLS %v: %d, want %d", step.last, step.secure, got, want)
				}
			}
		})
	}
}

// A balancer that passes TLS through puts its header in front of it.
func TestBehindHAProxyThatPassesTLSThrough(t *testing.T) {
	s := start(t, behindProxies(ProxyRequired), func(c *Config, _ *broadcast.Config) { c.Listen, c.TLS.Listen = nil, []string{"127.0.0.1:0"} })
	front := *s
	front.addr, _ = s.haproxy("tcp", "send-proxy-v2")
	for _, step := range []struct {
		last byte
		want int
	}{{20, 101}, {20, 0}, {21, 101}} {
		if got := front.from(step.last).status(request("")); got != step.want {
			t.Errorf("127.0.0.%d: %d, want %d", step.last, got, step.want)
		}
	}
}
