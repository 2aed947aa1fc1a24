package tlsrecord

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"hash"
)

// A suite is a cipher suite of TLS 1.3 with AES-GCM, RFC 8446 appendix B.4.
type suite struct {
	id        uint16
	hash      func() hash.Hash
	secretLen int // bytes; also identifies the suite
	keyLen    int // bytes
}

var suites = [...]suite{
	{tls.TLS_AES_128_GCM_SHA256, sha256.New, 32, 16},
	{tls.TLS_AES_256_GCM_SHA384, sha512.New384, maxSecret, maxKey},
}

const (
	maxSecret = 48
	maxKey    = 32
)

// suiteOf returns the index of the suite with the id, -1 = none.
func suiteOf(id uint16) int {
	for i := range suites {
		if suites[i].id == id {
			return i
		}
	}
	return -1
}

// expand is HKDF-Expand-Label with an empty context, RFC 8446 section 7.1.
func (s *suite) expand(secret []byte, label string, n int) []byte {
	label = "tls13 " + label
	info := append([]byte{byte(n >> 8), byte(n), byte(len(label))}, label...)
	b, err := hkdf.Expand(s.hash, secret, string(append(info, 0)), n)
	if err != nil {
		panic(err) // only for lengths that no suite has
	}
	return b
}

// newAEAD returns AES-GCM with the key.
func newAEAD(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for lengths that no suite has
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // not for AES
	}
	return aead
}
