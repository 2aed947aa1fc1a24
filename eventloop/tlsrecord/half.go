package tlsrecord

import (
	"crypto/cipher"
	"encoding/binary"
	"slices"
)

// A half is the state of one direction. It has room for AES-128, which nearly all peers agree to; see longer.
type half struct {
	seq    [8]byte // big-endian number of the next record; not aligned, so that two halves need no padding
	secret [shortSecret]byte
	key    [shortKey]byte
	iv     [ivLen]byte
}

const (
	shortSecret = 32
	shortKey    = 16
)

// A longer is the second part of the secret and the key of AES-256. For AES-128 it is nil.
type longer struct {
	secret [maxSecret - shortSecret]byte
	key    [maxKey - shortKey]byte
}

// number returns the sequence number of the next record.
func (h *half) number() uint64 { return binary.BigEndian.Uint64(h.seq[:]) }

func (h *half) setNumber(n uint64) { binary.BigEndian.PutUint64(h.seq[:], n) }

// setSecret derives the keys of a traffic secret, RFC 8446 section 7.3.
func (h *half) setSecret(s *suite, secret []byte, more *longer) {
	e := s.expander(secret)
	key := e.expand("key", s.keyLen)
	copy(h.secret[:], secret)
	copy(h.key[:], key)
	if more != nil {
		copy(more.secret[:], secret[shortSecret:])
		copy(more.key[:], key[shortKey:])
	}
	copy(h.iv[:], e.expand("iv", ivLen))
	h.setNumber(0)
}

// update moves on to the next traffic secret, RFC 8446 section 7.2.
func (h *half) update(s *suite, more *longer) {
	secret := h.secret[:]
	if more != nil {
		secret = append(slices.Clip(secret), more.secret[:]...)
	}
	h.setSecret(s, s.expander(secret).expand("traffic upd", s.secretLen), more)
}

// aead returns the cipher of the key.
func (h *half) aead(more *longer) cipher.AEAD {
	if more == nil {
		return newAEAD(h.key[:])
	}
	return newAEAD(append(slices.Clip(h.key[:]), more.key[:]...))
}

// flipNonce turns the IV into the nonce of the next record, and back (RFC 8446 section 5.3). A nonce on the stack would escape to
// the heap.
func (h *half) flipNonce() {
	b := h.iv[ivLen-8:]
	binary.BigEndian.PutUint64(b, binary.BigEndian.Uint64(b)^h.number())
}

// open decrypts a record in place.
func (h *half) open(aead cipher.AEAD, record []byte) ([]byte, error) {
	h.flipNonce()
	b, err := aead.Open(record[headerLen:headerLen], h.iv[:], record[headerLen:], record[:headerLen])
	h.flipNonce()
	if err != nil {
		return nil, ErrTag
	}
	h.setNumber(h.number() + 1)
	return b, nil
}

// seal encrypts a record in place, whose tag is not there yet and has room behind it.
func (h *half) seal(aead cipher.AEAD, record []byte) []byte {
	h.flipNonce()
	b := aead.Seal(record[headerLen:headerLen], h.iv[:], record[headerLen:], record[:headerLen])
	h.flipNonce()
	h.setNumber(h.number() + 1)
	return record[:headerLen+len(b)]
}
