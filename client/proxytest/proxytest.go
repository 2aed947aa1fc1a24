// Package proxytest is a network that fails, for tests of clients.
package proxytest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
)

// A Proxy is a TCP proxy that can refuse, stall, cut and drop.
type Proxy struct {
	URL    string // of the target, at the proxy
	mu     sync.Mutex
	answer string // to each request, in place of the target's
	filter func(*http.Request) string
	drops  bool // closes connections as they come
	held   bool // nothing passes
	deaf   bool // nothing of the clients passes but the first bytes of a connection
	flows  *sync.Cond
	conns  map[net.Conn]bool
}

// Start starts a proxy to the server at an address, until the test ends.
func Start(t testing.TB, address string) *Proxy {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := u.Host
	u.Host = l.Addr().String()
	p := &Proxy{URL: u.String(), conns: make(map[net.Conn]bool)}
	p.flows = sync.NewCond(&p.mu)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			down, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.serve(down, target) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.Hold(false)
		p.Drop(true)
		all.Wait()
	})
	return p
}

func (p *Proxy) serve(down net.Conn, target string) {
	defer down.Close()
	up, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer up.Close()
	p.mu.Lock()
	answer, drops, filtered := p.answer, p.drops, p.filter != nil
	if !drops && answer == "" {
		p.conns[down], p.conns[up] = true, true
	}
	p.mu.Unlock()
	switch {
	case drops:
		return
	case answer != "":
		for lines := bufio.NewScanner(down); lines.Scan() && lines.Text() != ""; {
		}
		_, _ = io.WriteString(down, answer)
		return
	}
	defer func() {
		p.mu.Lock()
		delete(p.conns, down)
		delete(p.conns, up)
		p.mu.Unlock()
	}()
	from := bufio.NewReader(down)
	upgraded := false
	if filtered {
		var ok bool
		if upgraded, ok = p.pass(from, up, down); !ok {
			return
		}
	}
	var both sync.WaitGroup
	both.Go(func() {
		for ok := true; filtered && !upgraded; {
			if upgraded, ok = p.pass(from, up, down); !ok {
				up.Close()
				down.Close()
				return
			}
		}
		p.copy(up, down, from, true)
	})
	both.Go(func() { p.copy(down, up, up, false) })
	both.Wait()
}

// pass passes one request on, and reports whether it asks for an upgrade. ok is false at the end, which is also that of a request that
// the filter answers.
func (p *Proxy) pass(from *bufio.Reader, up, down net.Conn) (upgrade, ok bool) {
	r, err := http.ReadRequest(from)
	if err != nil {
		return false, false
	}
	p.mu.Lock()
	filter := p.filter
	p.mu.Unlock()
	answer := ""
	if filter != nil {
		answer = filter(r)
	}
	switch answer {
	case "":
		return r.Header.Get("Upgrade") != "", r.Write(up) == nil
	case Silence:
		_, _ = io.Copy(io.Discard, from)
	default:
		_, _ = io.WriteString(down, answer)
	}
	return false, false
}

// copy copies what is read from a source of the connection from.
func (p *Proxy) copy(to, from net.Conn, source io.Reader, up bool) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 4096)
	for first := true; ; first = false {
		n, err := source.Read(b)
		p.mu.Lock()
		for p.held {
			p.flows.Wait()
		}
		if p.deaf && up && !first {
			n = 0
		}
		p.mu.Unlock()
		if _, werr := to.Write(b[:n]); werr != nil || err != nil {
			return
		}
	}
}

// Cut ends all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// Drop ends all connections, and closes those that come at once; or it lets them come again.
func (p *Proxy) Drop(on bool) {
	p.mu.Lock()
	p.drops = on
	p.mu.Unlock()
	if on {
		p.Cut()
	}
}

// Hold lets nothing pass, or everything again.
func (p *Proxy) Hold(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = on
	p.flows.Broadcast()
}

// Deafen keeps what clients send after their first request from the server, or lets it pass again.
func (p *Proxy) Deafen(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = on
}

// Answer answers each request on a new connection in place of the server; with an empty text the server answers again.
func (p *Proxy) Answer(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = text
}

// Silence is the answer of a filter that lets a request wait for ever.
const Silence = "silence"

// Filter judges each request on connections that come from now on: it returns the answer in place of the server's, or "". Nil lets
// everything pass, also on connections that are there.
func (p *Proxy) Filter(filter func(*http.Request) string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.filter = filter
}

// Refusal is an answer with a status, such as "403 Forbidden", after which the connection ends.
func Refusal(status string) string {
	return "HTTP/1.1 " + status + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
}
