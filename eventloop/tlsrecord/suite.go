package tlsrecord

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
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

// An expander is HKDF-Expand-Label with an empty context, RFC 8446 section 7.1, for several labels and one secret. crypto/hkdf would make
// an HMAC for each.
type expander struct {
	mac  hash.Hash
	info [32]byte // room
	out  [maxSecret]byte
}

func (s *suite) expander(secret []byte) *expander { return &expander{mac: hmac.New(s.hash, secret)} }

// expand returns n bytes, no more than the hash has: the first block of RFC 5869 section 2.3. They are valid until the next call.
func (e *expander) expand(label string, n int) []byte {
	info := append(e.info[:0], byte(n>>8), byte(n), byte(len(labelPrefix)+len(label)))
	info = append(append(info, labelPrefix...), label...)
	e.mac.Reset()
	e.mac.Write(append(info, 0, 1)) // no context; the number of the block
	return e.mac.Sum(e.out[:0])[:n]
}

const labelPrefix = "tls13 "

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
