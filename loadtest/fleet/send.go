package fleet

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"

	"tickcast/eventloop/tlsrecord"
	"tickcast/wsproto"
)

// maskingKey returns a masking key. RFC 6455 §5.3 asks for an unpredictable one, so that no script can choose the bytes on
// the wire (§10.3). There is no script here, so a fast generator is enough.
func (w *worker) maskingKey() (key [4]byte) {
	binary.NativeEndian.PutUint32(key[:], uint32(w.rng.Uint64()))
	return key
}

// send writes b to client i, encrypted if its connection is. Bytes that a full socket refuses wait in unsent. It may end the
// client.
func (w *worker) send(i int32, b []byte) {
	if w.tls != nil {
		if s, ok := w.tls.sessions[i]; ok {
			w.encrypt(i, s, b)
			return
		}
	}
	w.transmit(i, b)
}

// sendClose sends a close frame with code. The frame is empty if the code may not be on the wire.
func (w *worker) sendClose(i int32, code wsproto.StatusCode) {
	if !code.ValidOnWire() {
		code = wsproto.StatusNoStatus
	}
	w.out = wsproto.AppendCloseBody(w.out[:0], code, "")
	p := len(w.out)
	w.out = wsproto.AppendMaskedFrame(w.out, wsproto.OpClose, w.maskingKey(), w.out[:p])
	w.send(i, w.out[p:])
}

// encrypt sends b to a client with TLS.
func (w *worker) encrypt(slot int32, s tlsrecord.Session, b []byte) {
	if !w.clients[slot].secure || w.clients[slot].state == stateEnded {
		return // no close frame before the end of the TLS handshake
	}
	w.tls.sealed = s.Seal(w.tls.sealed[:0], b)
	w.transmit(slot, w.tls.sealed)
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
			w.endClient(i, ioFault(err))
			return
		}
		rest = b[max(n, 0):]
		if len(rest) == 0 {
			return
		}
		rest = bytes.Clone(rest)
		if err := w.watchEvents(i, w.interest(i)|unix.EPOLLOUT); err != nil {
			w.endClient(i, ioFault(err))
			return
		}
	}
	if len(rest) > maxUnsent {
		w.endClient(i, Fault{Kind: FaultBacklog})
		return
	}
	w.unsent[i] = rest
}

// flush writes the unsent bytes of client i, whose socket has room again.
func (w *worker) flush(i int32) {
	c, rest := &w.clients[i], w.unsent[i]
	n, err := unix.Write(int(c.fd), rest)
	if err != nil && err != unix.EAGAIN && err != unix.EINTR {
		w.endClient(i, ioFault(err))
		return
	}
	if rest = rest[max(n, 0):]; len(rest) > 0 {
		w.unsent[i] = rest
		return
	}
	delete(w.unsent, i)
	w.watchOrEnd(i, w.interest(i))
}

// endClient closes client i because of a fault, and counts the fault unless the fleet is closing.
func (w *worker) endClient(i int32, f Fault) {
	c := &w.clients[i]
	switch {
	case c.state.pending():
		if c.returning {
			w.totals.Lost++
		} else {
			w.totals.Failed++
		}
		w.countFault(f)
	case c.state == stateOpen && c.role != roleReader && c.replied:
		w.totals.Dismissed++ // as a server may
		w.dismissed += int64(w.tenths()-c.begun) / 10
	case c.state == stateOpen:
		w.totals.Lost++
		w.countFault(f)
	}
	w.dropClient(i)
}

// dropClient closes client i's socket and resets the client. It leaves a client without a socket alone.
func (w *worker) dropClient(i int32) {
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
	if c.stormy { // it came back and was lost, which is counted elsewhere
		c.stormy = false
		w.totals.Away--
	}
	if w.ledger != nil {
		w.stopOwing(i)
	}
	if !c.replied && !c.returning {
		w.replied++
	}
	c.replied, c.granted, c.secure = true, false, false
	if w.tls != nil {
		w.tls.end(i)
	}
	if c.fd >= 0 {
		unix.Close(int(c.fd)) // this also removes it from epoll
	}
	delete(w.heads, i)
	delete(w.unsent, i)
	w.held--
	c.fd, c.state, c.decoder = -1, stateEnded, wsproto.Decoder{}
}

// watchOrEnd replaces the events that client i is interested in.
func (w *worker) watchOrEnd(i int32, events uint32) {
	if err := w.watchEvents(i, events); err != nil {
		w.endClient(i, ioFault(err))
	}
}
