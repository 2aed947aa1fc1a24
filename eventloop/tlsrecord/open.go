package tlsrecord

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"io"
)

// Open decrypts the next bytes from the peer in place; see [Session].
func (r *Records) Open(b []byte) (plain []byte, err error) {
	partial := r.takePartial()
	whole := len(partial) == 0 // b starts with a record
	if !whole {
		b = append(partial, b...)
	}
	var aead cipher.AEAD
	for {
		n, err := parseHeader(b)
		if err != nil {
			return plain, err
		}
		if n == 0 || n > len(b) {
			break
		}
		if aead == nil {
			aead = r.in.aead(r.longerIn())
		}
		content, err := r.openRecord(aead, b[:n])
		if err != nil {
			return plain, err
		}
		if r.in.number() == 0 { // there are new keys
			aead = nil
		}
		if plain == nil {
			plain = content
		} else {
			plain = append(plain, content...) // moves it down within b: there are record headers between the two
		}
		b, whole = b[n:], true
	}
	if whole {
		b = bytes.Clone(b) // the memory is the caller's, or holds plaintext
	}
	if len(b) > 0 {
		r.setPartial(b)
	}
	return plain, nil
}

// parseHeader returns the size of the first record in b, 0 = more is needed. The limit is judged before the record is there.
func parseHeader(b []byte) (size int, err error) {
	if len(b) < headerLen {
		return 0, nil
	}
	n := int(binary.BigEndian.Uint16(b[3:]))
	switch {
	case b[0] != typeData:
		return 0, ErrType
	case b[1] != recordMajor || b[2] != recordMinor:
		return 0, ErrVersion
	case n > maxSealed:
		return 0, ErrTooLong
	case n < tagLen:
		return 0, ErrTag
	}
	return headerLen + n, nil
}

// openRecord decrypts one record, and returns its data. Other content is handled.
func (r *Records) openRecord(aead cipher.AEAD, record []byte) (data []byte, err error) {
	b, err := r.in.open(aead, record)
	if err != nil {
		return nil, err
	}
	if len(b) > maxPlain+1 {
		return nil, ErrTooLong
	}
	end := len(b)
	for end > 0 && b[end-1] == 0 { // padding
		end--
	}
	if end == 0 {
		return nil, ErrOnlyPadding
	}
	typ, b := b[end-1], b[:end-1]
	if r.have > 0 && typ != typeHandshake {
		return nil, ErrInterleaved
	}
	switch typ {
	case typeData:
		if len(b) == 0 {
			return nil, r.countUseless()
		}
		r.useless = 0
		return b, nil
	case typeHandshake:
		return nil, r.readMessages(b)
	case typeAlert:
		return nil, r.readAlert(b)
	}
	return nil, ErrType
}

// readAlert returns the error for an alert: io.EOF for close_notify.
func (r *Records) readAlert(b []byte) error {
	if len(b) != 2 {
		return ErrAlertLength
	}
	switch alert := Alert(b[1]); alert {
	case alertCloseNotify:
		return io.EOF
	case alertUserCanceled: // some peers send it before close_notify
		return r.countUseless()
	default:
		return alert
	}
}
