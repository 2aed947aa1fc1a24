package loadtest

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// sendClose sends a close frame with code; one that may not be on the wire makes an empty frame.
func (w *worker) sendClose(i int32, code wsproto.StatusCode) {
	if !code.ValidOnWire() {
		code = wsproto.StatusNoStatus
	}
	w.out = wsproto.AppendCloseBody(w.out[:0], code, "")
	p := len(w.out)
	w.out = wsproto.AppendMaskedFrame(w.out, wsproto.OpClose, w.key(), w.out[:p])
	w.send(i, w.out[p:])
}

// key returns a masking key. RFC 6455 §5.3 wants it unpredictable to keep a script from choosing the bytes on the wire
// (§10.3); no script speaks here, so a fast generator will do.
func (w *worker) key() (key [4]byte) {
	binary.NativeEndian.PutUint32(key[:], uint32(w.rng.Uint64()))
	return key
}

// send writes b to client i, encrypted if its connection is; what a full socket does not take waits in unsent. It may end
// the client.
func (w *worker) send(i int32, b []byte) {
	if w.sessions != nil {
		if s, ok := w.sessions[i]; ok {
			w.encrypt(i, s, b)
			return
		}
	}
	w.transmit(i, b)
}

// transmit writes b to client i's socket.
func (w *worker) transmit(i int32, b []byte) {
	c := &w.clients[i]
	if c.state == stateEnded {
		return
	}
	rest := b
	if waiting, ok := w.unsent[i]; ok {
		rest = append(waiting, b...)
	} else {
		n, err := unix.Write(int(c.fd), b)
		if err != nil && err != unix.EAGAIN && err != unix.EINTR {
			w.end(i, ioFault(err))
			return
		}
		rest = b[max(n, 0):]
		if len(rest) == 0 {
			return
		}
		rest = bytes.Clone(rest)
		if err := w.watch(i, w.interest(i)|unix.EPOLLOUT); err != nil {
			w.end(i, ioFault(err))
			return
		}
	}
	if len(rest) > maxUnsent {
		w.end(i, Fault{Kind: FaultBacklog})
		return
	}
	w.unsent[i] = rest
}

// flush writes what waits for client i, whose socket has room again.
func (w *worker) flush(i int32) {
	c, rest := &w.clients[i], w.unsent[i]
	n, err := unix.Write(int(c.fd), rest)
	if err != nil && err != unix.EAGAIN && err != unix.EINTR {
		w.end(i, ioFault(err))
		return
	}
	if rest = rest[max(n, 0):]; len(rest) > 0 {
		w.unsent[i] = rest
		return
	}
	delete(w.unsent, i)
	w.watchOrEnd(i, w.interest(i))
}

// end closes client i because of a fault and counts it, unless the fleet is closing anyway.
func (w *worker) end(i int32, f Fault) {
	c := &w.clients[i]
	switch {
	case c.state.pending():
		if c.returning {
			w.totals.Lost++
		} else {
			w.totals.Failed++
		}
		w.fault(f)
	case c.state == stateOpen && c.role != roleReader && c.replied:
		w.totals.Dismissed++ // as a server may
		w.dismissed += int64(w.tenths()-c.begun) / 10
	case c.state == stateOpen:
		w.totals.Lost++
		w.fault(f)
	}
	w.drop(i)
}

// drop closes client i's socket and forgets what it was. It does nothing to one that is not held.
func (w *worker) drop(i int32) {
	c := &w.clients[i]
	switch c.state {
	case stateUnused, stateEnded:
		return
	case stateConnecting, stateUpgrading:
		w.pending--
		if !c.returning {
			w.settled++
		}
	default:
		w.totals.Open--
	}
	if c.granted {
		w.totals.Subscribed--
	}
	if c.stormy { // it came back and was lost, which is counted
		c.stormy = false
		w.totals.Away--
	}
	if w.ledger != nil {
		w.left(i)
	}
	if !c.replied && !c.returning {
		w.replied++
	}
	c.replied, c.granted, c.secure = true, false, false
	if s, ok := w.sessions[i]; ok {
		s.close()
		delete(w.sessions, i)
	}
	if c.fd >= 0 {
		unix.Close(int(c.fd)) // takes it out of epoll as well
	}
	delete(w.heads, i)
	delete(w.unsent, i)
	w.held--
	c.fd, c.state, c.decoder = -1, stateEnded, wsproto.Decoder{}
}

// ioFault returns the fault for an error of read(2) or write(2).
func ioFault(err error) Fault {
	errno, _ := err.(unix.Errno)
	return Fault{FaultReset, int(errno)}
}
