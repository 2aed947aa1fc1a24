package bare

import (
	"bytes"
	"context"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// Serve runs the server on the calling goroutine until ctx ends, then closes everything and returns nil. It may be
// called once.
func (b *Server) Serve(ctx context.Context) error {
	defer context.AfterFunc(ctx, b.wakeUp)()
	defer b.release()
	defer close(b.ended)
	events := make([]unix.EpollEvent, eventBatch)
	for ctx.Err() == nil {
		n, err := unix.EpollWait(b.ep, events, -1)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("loadtest: epoll: %w", err)
		}
		for i := range max(n, 0) {
			switch slot := events[i].Fd; slot {
			case listenSlot:
				if err := b.accept(); err != nil {
					return err
				}
			case wakeSlot:
				b.runSweeps()
			default:
				b.read(slot)
			}
		}
	}
	return nil
}

// offered are the subprotocols that the server knows.
var offered = []string{"tickcast.v1.json"}

// accept accepts all waiting connections.
func (b *Server) accept() error {
	for {
		// Without the peer's address, for which unix.Accept4 allocates.
		const flags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
		fd, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(b.ln), 0, 0, flags, 0, 0)
		switch errno {
		case 0:
		case unix.EAGAIN:
			return nil
		case unix.EINTR, unix.ECONNABORTED:
			continue
		default:
			return fmt.Errorf("loadtest: accept: %w", errno)
		}
		slot := int32(len(b.conns))
		b.conns = append(b.conns, conn{fd: int32(fd)})
		err := unix.EpollCtl(b.ep, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN, Fd: slot})
		if err != nil {
			return fmt.Errorf("loadtest: epoll: %w", err)
		}
	}
}

// read handles the input of the connection in slot: its upgrade request, or frames to discard.
func (b *Server) read(slot int32) {
	if int(slot) >= len(b.conns) || b.conns[slot].fd < 0 {
		return // ended by an earlier event of the same batch
	}
	c := &b.conns[slot]
	n, err := unix.Read(int(c.fd), b.buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
	case err != nil || n == 0:
		b.drop(slot)
	case !c.open:
		b.upgrade(slot, b.buf[:n])
	case wsproto.Opcode(b.buf[0]&0x0f) == wsproto.OpClose:
		// Enough for a client that sends its close frame alone; others see an end without a close frame.
		b.out = wsproto.AppendClose(b.out[:0], wsproto.StatusNormal, "")
		unix.Write(int(c.fd), b.out)
		b.drop(slot)
	}
}

// upgrade answers the opening handshake if it is whole. It discards frames that follow in the same read.
func (b *Server) upgrade(slot int32, head []byte) {
	c := &b.conns[slot]
	if part, ok := b.heads[slot]; ok {
		head = append(part, head...)
		delete(b.heads, slot)
	}
	r, n, err := wsproto.ParseRequest(head, wsproto.RequestLimits{})
	if err == nil && n == 0 {
		b.heads[slot] = bytes.Clone(head)
		return
	}
	if err == nil {
		err = r.CheckUpgrade()
	}
	if err != nil {
		b.drop(slot)
		return
	}
	c.open = true
	b.open.Add(1) // before the client can know that it is open
	b.out = wsproto.AppendUpgrade(b.out[:0], r.Key, r.Protocol(offered), wsproto.Deflate{})
	if n, err := unix.Write(int(c.fd), b.out); err != nil || n < len(b.out) {
		b.drop(slot)
	}
}

// drop closes the connection in slot. The slot is not used again until all connections are gone, to keep accept order.
func (b *Server) drop(slot int32) {
	c := &b.conns[slot]
	if c.fd < 0 {
		return
	}
	unix.Close(int(c.fd))
	if c.open {
		b.open.Add(-1)
	}
	c.fd, c.open = -1, false
	delete(b.heads, slot)
	if b.gone++; b.gone == len(b.conns) {
		b.conns, b.gone = b.conns[:0], 0
	}
}

// runSweeps carries out the waiting broadcasts.
func (b *Server) runSweeps() {
	unix.Read(b.wake, b.buf[:8]) // only resets the eventfd: after a failure epoll reports it again
	for {
		select {
		case s := <-b.sweeps:
			s.done <- b.sweep(s.frame)
		default:
			return
		}
	}
}

// sweep is the yardstick itself: one write(2) for each open connection.
func (b *Server) sweep(frame []byte) Sweep {
	var s Sweep
	begun, cpu := time.Now(), ownCPU()
	for i := range b.conns {
		if c := &b.conns[i]; c.open {
			// Subtle: not unix.Write, which notifies Go's scheduler of each call. See the package comment.
			n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(c.fd),
				uintptr(unsafe.Pointer(unsafe.SliceData(frame))), uintptr(len(frame)))
			if errno != 0 || int(n) < len(frame) {
				s.Missed++
				continue
			}
			s.Delivered++
		}
	}
	s.CPU, s.Wall = ownCPU()-cpu, time.Since(begun)
	return s
}

// ownCPU returns the user and system time of this process.
func ownCPU() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &u) // cannot fail with a valid argument
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
