package bare

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A Server makes only the system calls that every server needs. It accepts, upgrades, discards the input, and on demand
// writes one frame to all connections. It is of no practical use: it has no limits, and a client whose socket is full misses
// the frame. Create it with [Listen].
type Server struct {
	// Immutable after Listen.
	addr   netip.AddrPort
	ln, ep int

	// Owned by Serve.
	conns []conn           // in accept order
	gone  int              // conns without a descriptor
	heads map[int32][]byte // incomplete requests
	buf   []byte
	out   []byte

	// Any goroutine; guarded by mu.
	mu   sync.Mutex
	wake int // -1 once Serve has ended

	// Any goroutine.
	open   atomic.Int64
	sweeps chan sweepOrder
	ended  chan struct{} // closed when Serve returns
}

// conn is one connection.
type conn struct {
	fd   int32 // -1: gone
	open bool  // upgraded
}

// A Sweep is the result of one broadcast.
type Sweep struct {
	Delivered int           // connections whose sockets took the whole frame
	Missed    int           // connections with a full or broken socket
	Wall      time.Duration // time from the first write to the last
	CPU       time.Duration // user and system time of the whole process in between (getrusage)
}

type sweepOrder struct {
	frame []byte
	done  chan<- Sweep
}

// ErrEnded is the error of a server that no longer runs.
var ErrEnded = errors.New("loadtest: the bare server has ended")

// Listen listens on addr, an IPv4 address and port; port 0 is a free one. Serve must be called next. It releases the
// descriptors.
func Listen(addr string) (_ *Server, err error) {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil || !ap.Addr().Is4() {
		return nil, fmt.Errorf("loadtest: %q is not an IPv4 address with a port", addr)
	}
	b := &Server{
		ln: -1, ep: -1, wake: -1,
		heads:  map[int32][]byte{},
		buf:    make([]byte, 64<<10),
		sweeps: make(chan sweepOrder, 1),
		ended:  make(chan struct{}),
	}
	defer func() {
		if err != nil {
			b.release()
			err = fmt.Errorf("loadtest: listen on %s: %w", addr, err)
		}
	}()
	const flags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	if b.ln, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|flags, 0); err != nil {
		return nil, err
	}
	if err = unix.SetsockoptInt(b.ln, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return nil, err
	}
	// Accepted sockets inherit it.
	if err = unix.SetsockoptInt(b.ln, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return nil, err
	}
	if err = unix.Bind(b.ln, &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}); err != nil {
		return nil, err
	}
	if err = unix.Listen(b.ln, backlog); err != nil {
		return nil, err
	}
	bound, err := unix.Getsockname(b.ln)
	if err != nil {
		return nil, err
	}
	b.addr = netip.AddrPortFrom(ap.Addr(), uint16(bound.(*unix.SockaddrInet4).Port))
	if b.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if b.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, err
	}
	for slot, fd := range map[int32]int{listenSlot: b.ln, wakeSlot: b.wake} {
		if err = unix.EpollCtl(b.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: slot}); err != nil {
			return nil, err
		}
	}
	return b, nil
}

const (
	backlog    = 4096
	eventBatch = 512 // events taken from epoll at once

	// Stand in an event for the eventfd and for the listener.
	wakeSlot, listenSlot = -1, -2
)

// release closes all descriptors.
func (b *Server) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, fd := range []int{b.ln, b.ep, b.wake} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	b.ln, b.ep, b.wake = -1, -1, -1
	for _, c := range b.conns {
		if c.fd >= 0 {
			unix.Close(int(c.fd))
		}
	}
	b.conns = nil
	b.open.Store(0)
}

// wakeUp makes Serve check its context and its orders. Any goroutine may call it at any time.
func (b *Server) wakeUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wake >= 0 {
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		unix.Write(b.wake, one[:]) // fails only if it is readable already
	}
}

// URL returns the address to connect to.
func (b *Server) URL() string { return "ws://" + b.addr.String() + "/stream" }

// Open returns the number of upgraded connections that are not closed.
func (b *Server) Open() int { return int(b.open.Load()) }

// Broadcast writes frame, one or several whole WebSocket frames, in one call to each open connection, and waits for the end.
// It waits for an earlier broadcast first. Any goroutine may call it.
func (b *Server) Broadcast(ctx context.Context, frame []byte) (Sweep, error) {
	done := make(chan Sweep, 1)
	select {
	case b.sweeps <- sweepOrder{frame, done}:
	case <-b.ended:
		return Sweep{}, ErrEnded
	case <-ctx.Done():
		return Sweep{}, ctx.Err()
	}
	b.wakeUp()
	select {
	case s := <-done:
		return s, nil
	case <-b.ended:
		return Sweep{}, ErrEnded
	case <-ctx.Done():
		return Sweep{}, ctx.Err()
	}
}
