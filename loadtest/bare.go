package loadtest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Bare is the yardstick: a WebSocket server reduced to the system calls that no server can do without. It accepts,
// upgrades, throws away what clients send, and on demand writes one frame to all of them. It is no server to use: it has
// no limits, and a client whose socket is full just misses the frame. Create it with [ListenBare].
type Bare struct {
	// Immutable after ListenBare.
	addr   netip.AddrPort
	ln, ep int

	// Owned by Serve.
	conns []bareConn       // in accept order
	gone  int              // conns without a descriptor
	heads map[int32][]byte // incomplete requests
	buf   []byte
	out   []byte

	// Any goroutine; guarded by mu.
	mu   sync.Mutex
	wake int // -1 once Serve has ended

	// Any goroutine.
	open   atomic.Int64
	sweeps chan bareSweep
	ended  chan struct{} // closed when Serve returns
}

// bareConn is one connection.
type bareConn struct {
	fd   int32 // -1: gone
	open bool  // upgraded
}

// Sweep is the result of one broadcast.
type Sweep struct {
	Delivered int           // connections for which the kernel took it whole
	Missed    int           // those for which it did not: a full or broken socket
	Wall      time.Duration // time from the first write to the last
	CPU       time.Duration // user and system time of the whole process in between (getrusage)
}

type bareSweep struct {
	frame []byte
	done  chan<- Sweep
}

// ErrBareEnded says that the server no longer runs.
var ErrBareEnded = errors.New("loadtest: the bare server has ended")

// ListenBare listens on addr, an IPv4 address and port; port 0 takes a free one. Serve must be called next, it
// releases what ListenBare takes.
func ListenBare(addr string) (_ *Bare, err error) {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil || !ap.Addr().Is4() {
		return nil, fmt.Errorf("loadtest: %q is not an IPv4 address with a port", addr)
	}
	b := &Bare{
		ln: -1, ep: -1, wake: -1,
		heads:  map[int32][]byte{},
		buf:    make([]byte, readBufferSize),
		sweeps: make(chan bareSweep, 1),
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
	if err = unix.Bind(b.ln, sockaddr(ap)); err != nil {
		return nil, err
	}
	if err = unix.Listen(b.ln, bareBacklog); err != nil {
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
	bareBacklog = 4096
	listenSlot  = -2 // stands in an event for the listener
)

// release closes all descriptors.
func (b *Bare) release() {
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

// wakeUp makes Serve look at its context and its sweeps. Any goroutine, at any time.
func (b *Bare) wakeUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wake >= 0 {
		notify(b.wake)
	}
}

// URL returns the address to connect to.
func (b *Bare) URL() string { return "ws://" + b.addr.String() + "/stream" }

// Open returns how many connections are upgraded and not closed.
func (b *Bare) Open() int { return int(b.open.Load()) }

// Broadcast writes frame, a whole WebSocket frame or several, in one call to each open connection, and returns when it
// has. It waits for an earlier broadcast to end. Any goroutine.
func (b *Bare) Broadcast(ctx context.Context, frame []byte) (Sweep, error) {
	done := make(chan Sweep, 1)
	select {
	case b.sweeps <- bareSweep{frame, done}:
	case <-b.ended:
		return Sweep{}, ErrBareEnded
	case <-ctx.Done():
		return Sweep{}, ctx.Err()
	}
	b.wakeUp()
	select {
	case s := <-done:
		return s, nil
	case <-b.ended:
		return Sweep{}, ErrBareEnded
	case <-ctx.Done():
		return Sweep{}, ctx.Err()
	}
}
