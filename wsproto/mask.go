package wsproto

import (
	"encoding/binary"
	"math/bits"
)

// Mask applies the masking key to b in place, RFC 6455 §5.3. Masking and unmasking are the same. offset is the
// position of b[0] in the frame's payload, so that a payload may come in pieces. b may have any alignment.
func Mask(b []byte, key [4]byte, offset int) {
	k := binary.LittleEndian.Uint32(key[:])
	if k == 0 {
		return
	}
	k = bits.RotateLeft32(k, -8*(offset&3))
	kk := uint64(k)<<32 | uint64(k)

	// Four words per iteration: each line is one load, xor and store.
	for len(b) >= 32 {
		w := b[:32:32]
		binary.LittleEndian.PutUint64(w[0:], binary.LittleEndian.Uint64(w[0:])^kk)
		binary.LittleEndian.PutUint64(w[8:], binary.LittleEndian.Uint64(w[8:])^kk)
		binary.LittleEndian.PutUint64(w[16:], binary.LittleEndian.Uint64(w[16:])^kk)
		binary.LittleEndian.PutUint64(w[24:], binary.LittleEndian.Uint64(w[24:])^kk)
		b = b[32:]
	}
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^kk)
		b = b[8:]
	}
	if len(b) >= 4 {
		binary.LittleEndian.PutUint32(b, binary.LittleEndian.Uint32(b)^k)
		b = b[4:]
	}
	for i := range b {
		b[i] ^= byte(k)
		k >>= 8
	}
}

// rotateKey returns the key for the byte that comes n bytes later.
func rotateKey(key [4]byte, n int) [4]byte {
	k := binary.LittleEndian.Uint32(key[:])
	binary.LittleEndian.PutUint32(key[:], bits.RotateLeft32(k, -8*(n&3)))
	return key
}
