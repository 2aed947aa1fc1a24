package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"golang.org/x/sys/unix"
)

// gobwasServer uses the library as its authors meant it: a goroutine for the handshake only, ws.Upgrade without net/http,
// then no goroutine and no buffer for a connection, only a place in epoll. A frame is compiled once and written to each
// connection. Writes go through net.Conn, one after the other: a slow client holds up all others.
var gobwasServer = peer{
	name: "gobwas", language: "Go", version: module("github.com/gobwas/ws"), serve: serveGobwas,
}

type gobwasBroadcaster struct {
	*roster[net.Conn]
	ep int

	mu   sync.Mutex
	byFD map[int32]net.Conn
}

func (b *gobwasBroadcaster) broadcast(message []byte) error {
	frame := ws.MustCompileFrame(ws.NewTextFrame(message))
	b.each(func(c net.Conn) { c.Write(frame) })
	return nil
}

func serveGobwas(ctx context.Context, s site) error {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	b := &gobwasBroadcaster{roster: newRoster[net.Conn](), ep: ep, byFD: map[int32]net.Conn{}}
	go b.poll()
	return serveControl(ctx, s, b, func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() { ln.Close() })()
		for {
			c, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				return nil
			} else if err != nil {
				return err
			}
			go b.upgrade(c)
		}
	})
}

// upgrade shakes hands and puts c into epoll.
func (b *gobwasBroadcaster) upgrade(c net.Conn) {
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := ws.Upgrade(c); err != nil {
		c.Close()
		return
	}
	c.SetDeadline(time.Time{})
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		c.Close()
		return
	}
	b.add(c)
	raw.Control(func(fd uintptr) {
		b.mu.Lock()
		b.byFD[int32(fd)] = c
		b.mu.Unlock()
		err = unix.EpollCtl(b.ep, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	})
	if err != nil {
		b.remove(c)
		c.Close()
	}
}

// poll reads from the connections that have input.
func (b *gobwasBroadcaster) poll() {
	events := make([]unix.EpollEvent, 256)
	for {
		n, _ := unix.EpollWait(b.ep, events, -1)
		for i := range max(n, 0) {
			b.mu.Lock()
			c := b.byFD[events[i].Fd]
			b.mu.Unlock()
			if err := discardFrame(c); err != nil {
				b.mu.Lock()
				delete(b.byFD, events[i].Fd) // before Close, after which the number may be another's
				b.mu.Unlock()
				b.remove(c)
				c.Close()
			}
		}
	}
}

// discardFrame reads one frame, waiting for all of it, and answers it if it is a ping or a close.
func discardFrame(c net.Conn) error {
	h, err := ws.ReadHeader(c)
	if err != nil {
		return err
	}
	if h.OpCode.IsControl() {
		return wsutil.ControlHandler{Src: c, Dst: c, State: ws.StateServerSide}.Handle(h)
	}
	_, err = io.CopyN(io.Discard, c, h.Length)
	return err
}
