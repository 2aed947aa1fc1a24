package tlsrecord

import (
	"errors"
	"slices"
)

// Seal appends plain in as few records as possible; see [Session].
func (r *Records) Seal(dst, plain []byte) []byte {
	if r.flags&flagEnded != 0 {
		return dst
	}
	for len(plain) > 0 {
		if r.flags&flagReplyDue != 0 || r.out.number() >= updateAfter {
			dst = r.updateKeys(dst, 0)
		}
		n := min(len(plain), maxPlain)
		dst = r.sealRecord(dst, typeData, plain[:n])
		plain = plain[n:]
	}
	return dst
}

// updateKeys moves our direction to its next keys. With request 1 it also requests new keys of the peer's direction.
func (r *Records) updateKeys(dst []byte, request byte) []byte {
	dst = r.sealRecord(dst, typeHandshake, []byte{messageKeyUpdate, 0, 0, 1, request})
	r.out.update(&suites[r.suite], r.longerOut())
	r.flags &^= flagReplyDue
	if r.rare != nil && r.rare.kept != nil {
		r.rare.kept = r.out.aead(r.longerOut())
	}
	return dst
}

// sealRecord appends one record.
func (r *Records) sealRecord(dst []byte, typ byte, content []byte) []byte {
	start, n := len(dst), len(content)+overhead
	dst = slices.Grow(dst, headerLen+n)
	dst = append(dst, typeData, recordMajor, recordMinor, byte(n>>8), byte(n))
	dst = append(dst, content...)
	dst = append(dst, typ)
	return dst[:start+len(r.out.seal(r.outAEAD(), dst[start:]))]
}

// End appends our last record: close_notify, or the alert that belongs to an error of Open. After it, Seal appends nothing.
func (r *Records) End(dst []byte, err error) []byte {
	if r.flags&flagEnded != 0 {
		return dst
	}
	level, alert := byte(1), alertCloseNotify
	if err != nil {
		p, ok := errors.AsType[*ProtocolError](err)
		if !ok { // the peer has ended the connection
			r.flags |= flagEnded
			return dst
		}
		level, alert = 2, p.Alert
	}
	dst = r.sealRecord(dst, typeAlert, []byte{level, byte(alert)})
	r.flags |= flagEnded
	return dst
}
