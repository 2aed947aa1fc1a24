package tlsrecord

import "encoding/binary"

// Messages after the handshake, RFC 8446 section 4.
const (
	messageNewSessionTicket = 4
	messageKeyUpdate        = 24
)

// readMessages reads the content of a handshake record: KeyUpdate, and for a client session tickets, which are ignored. It
// refuses all other messages.
func (r *Records) readMessages(b []byte) error {
	if len(b) == 0 {
		return ErrEmptyMessage
	}
	for len(b) > 0 {
		switch {
		case r.have == skipping:
			left := binary.BigEndian.Uint32(r.message[:])
			n := min(int(left), len(b))
			b = b[n:]
			binary.BigEndian.PutUint32(r.message[:], left-uint32(n))
			if left == uint32(n) {
				r.have = 0
			}
		case r.have == headerDone: // of a KeyUpdate
			if len(b) > 1 {
				return ErrNotAligned
			}
			r.have = 0
			return r.keyUpdate(b[0])
		default:
			n := copy(r.message[r.have:], b)
			r.have += messageState(n)
			b = b[n:]
			if err := r.checkMessage(); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkMessage judges a message by its header, of which at least one byte is there.
func (r *Records) checkMessage() error {
	length := binary.BigEndian.Uint32(r.message[:]) & (1<<24 - 1)
	switch typ := r.message[0]; {
	case typ == messageKeyUpdate:
		if r.have == headerDone && length != 1 {
			return ErrKeyUpdate
		}
	case typ == messageNewSessionTicket && r.flags&flagClient != 0:
		if r.have < headerDone {
			return nil
		}
		if length == 0 || length > maxTicket {
			return ErrMessage
		}
		binary.BigEndian.PutUint32(r.message[:], length)
		r.have = skipping
		return r.countUseless()
	default:
		return ErrMessage
	}
	return nil
}

// keyUpdate moves the peer's direction to its next keys.
func (r *Records) keyUpdate(request byte) error {
	if request > 1 {
		return ErrKeyUpdate
	}
	if err := r.countUseless(); err != nil {
		return err
	}
	r.in.update(&suites[r.suite], r.longerIn())
	if request == 1 {
		r.flags |= flagReplyDue
	}
	return nil
}

// countUseless counts a record without data.
func (r *Records) countUseless() error {
	if r.useless++; r.useless > maxUseless {
		return ErrUseless
	}
	return nil
}
