package sim

import (
	"io"
	"net"
	"sync"
	"testing"
)

// A proxy is a link to a NATS server.
type proxy struct {
	addr  string
	to    string
	mu    sync.Mutex
	state proxyState
	woken *sync.Cond // the state has changed
	conns []net.Conn
}

type proxyState int

const (
	proxyUp      proxyState = iota
	proxyCut                // no connection
	proxyFrozen             // bytes are lost both ways
	proxyStalled            // nothing is read
)

func startProxy(t *testing.T, to string) *proxy {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: ln.Addr().String(), to: to}
	p.woken = sync.NewCond(&p.mu)
	t.Cleanup(func() { _ = ln.Close(); p.set(proxyCut) })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.connect(c)
		}
	}()
	return p
}

func (p *proxy) connect(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := net.Dial("tcp", p.to)
	if p.state == proxyCut || err != nil {
		_ = c.Close()
		return
	}
	p.conns = append(p.conns, c, s)
	go p.forward(c, s)
	go p.forward(s, c)
}

// set changes the state. When the link works again, the connections of a frozen one are over.
func (p *proxy) set(state proxyState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = state
	p.woken.Broadcast()
	if state == proxyCut || state == proxyUp {
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.conns = nil
	}
}

func (p *proxy) forward(to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	b := make([]byte, 4096)
	for {
		p.mu.Lock()
		for p.state == proxyStalled {
			p.woken.Wait()
		}
		p.mu.Unlock()
		n, err := from.Read(b)
		p.mu.Lock()
		frozen := p.state == proxyFrozen
		p.mu.Unlock()
		if frozen {
			_, _ = io.Copy(io.Discard, from)
			return
		}
		if _, werr := to.Write(b[:n]); err != nil || werr != nil {
			return
		}
	}
}
