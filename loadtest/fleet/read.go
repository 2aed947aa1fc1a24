package fleet

import (
	"errors"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"

	"tickcast/eventloop/tlsrecord"
)

// handleEvent handles an event of epoll for client i. An earlier event of the same batch may have ended the client.
func (w *worker) handleEvent(i int32, events uint32) {
	c := &w.clients[i]
	switch c.state {
	case stateConnecting:
		w.finishConnect(i)
	case stateUpgrading, stateOpen, stateClosing:
		if events&unix.EPOLLOUT != 0 {
			w.flush(i)
		}
		if events&^unix.EPOLLOUT != 0 && c.state != stateEnded {
			if c.role != roleReader && c.replied && c.state == stateOpen {
				w.endWithdrawn(i, events)
				return
			}
			w.readSocket(i, w.buf)
		}
	}
}

// readSocket handles the bytes of one read(2) into buf for client i. If there are more, epoll reports the socket again.
func (w *worker) readSocket(i int32, buf []byte) {
	c := &w.clients[i]
	n, errno := readNow(c.fd, buf)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return
	case errno != 0:
		w.endClient(i, ioFault(errno))
		return
	case n == 0:
		if w.tls != nil && w.cutHandshake(i) {
			return
		}
		w.endClient(i, Fault{Kind: FaultEOF})
		return
	}
	if w.tls != nil {
		if s, ok := w.tls.sessions[i]; ok {
			w.decrypt(i, s, buf[:n])
			return
		}
	}
	w.handleInput(i, buf[:n])
}

// readNow is read(2) without the notice to Go's scheduler that unix.Read gives: the descriptor does not block, so the call
// returns at once. BenchmarkReceive has the figures.
func readNow(fd int32, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}

// endWithdrawn handles an event of epoll for a client that does not read: the end of its connection.
func (w *worker) endWithdrawn(slot int32, events uint32) {
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		w.endClient(slot, Fault{Kind: FaultEOF})
	}
}

// takePokes handles the handshakes that have sent a poke. A poke may come from an earlier connection of its client. A look
// at the current connection is then harmless.
func (w *worker) takePokes() {
	for _, slot := range w.tls.pokes.takeAll() {
		h, ok := w.tls.sessions[slot].(*tlsrecord.Handshake)
		if !ok {
			continue
		}
		out, r, over := h.Take()
		if len(out) > 0 {
			w.transmit(slot, out)
		}
		c := &w.clients[slot]
		switch {
		case !over || c.state != stateUpgrading:
		case errors.Is(r.Err, tlsrecord.ErrAborted):
			w.endClient(slot, Fault{Kind: FaultEOF})
		case r.Err != nil:
			w.endClient(slot, Fault{Kind: FaultTLS})
		default:
			c.secure = true
			w.tls.sessions[slot] = r.Session
			w.sendRequest(slot)
			if c.state != stateEnded && len(r.Input) > 0 {
				w.decrypt(slot, r.Session, r.Input)
			}
		}
	}
}

// cutHandshake passes the end of the server's input to a handshake, whose error then ends the client. It reports false if there is
// no handshake.
func (w *worker) cutHandshake(slot int32) bool {
	h, ok := w.tls.sessions[slot].(*tlsrecord.Handshake)
	if !ok {
		return false
	}
	h.Abort()
	w.watchOrEnd(slot, 0)
	return true
}

// decrypt handles the input of a client with TLS.
func (w *worker) decrypt(slot int32, s tlsrecord.Session, b []byte) {
	plain, err := s.Open(b)
	if len(plain) > 0 {
		w.handleInput(slot, plain)
	}
	switch c := &w.clients[slot]; {
	case err == nil || c.state == stateEnded:
	case errors.Is(err, io.EOF):
		w.endClient(slot, Fault{Kind: FaultEOF})
	default:
		w.endClient(slot, Fault{Kind: FaultTLS})
	}
}
