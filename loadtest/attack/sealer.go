package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"net"
	"strings"
	"time"
)

// A sealer is a client that seals its records itself after a handshake of TLS 1.3, so that it can break the rules.
type sealer struct {
	net.Conn // below TLS
	hash     func() hash.Hash
	keyLen   int // bytes
	secret   []byte
	aead     cipher.AEAD
	iv       []byte
	seq      uint64
}

// Types of records and of messages, RFC 8446 section 5.1 and 4.
const (
	typeHandshake   = 22
	typeData        = 23
	messageKeyUpdat = 24
)

// newSealer makes a handshake.
func newSealer(addr string) (*sealer, error) {
	nc, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	var log bytes.Buffer
	tc := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, KeyLogWriter: &log})
	if err := tc.Handshake(); err != nil {
		_ = nc.Close()
		return nil, err
	}
	s := &sealer{Conn: nc, hash: sha256.New, keyLen: 16}
	switch tc.ConnectionState().CipherSuite {
	case tls.TLS_AES_128_GCM_SHA256:
	case tls.TLS_AES_256_GCM_SHA384:
		s.hash, s.keyLen = sha512.New384, 32
	default:
		_ = nc.Close()
		return nil, errors.New("the suite is not AES-GCM")
	}
	for line := range strings.Lines(log.String()) {
		if f := strings.Fields(line); f[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(f[2])
			if err != nil {
				return nil, err
			}
			return s, s.setSecret(secret)
		}
	}
	return nil, errors.New("no secret in the log")
}

// expand is HKDF-Expand-Label with an empty context, RFC 8446 section 7.1.
func (s *sealer) expand(label string, n int) []byte {
	label = "tls13 " + label
	info := append([]byte{byte(n >> 8), byte(n), byte(len(label))}, label...)
	b, err := hkdf.Expand(s.hash, s.secret, string(append(info, 0)), n)
	if err != nil {
		panic(err) // only for lengths that no suite has
	}
	return b
}

func (s *sealer) setSecret(secret []byte) error {
	s.secret, s.seq = secret, 0
	s.iv = s.expand("iv", 12)
	block, err := aes.NewCipher(s.expand("key", s.keyLen))
	if err == nil {
		s.aead, err = cipher.NewGCM(block)
	}
	return err
}

// seal appends a record of a type to dst.
func (s *sealer) seal(dst []byte, typ byte, content string) []byte {
	nonce := bytes.Clone(s.iv)
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^s.seq)
	s.seq++
	size := len(content) + 1 + s.aead.Overhead()
	head := []byte{typeData, 3, 3, byte(size >> 8), byte(size)}
	return s.aead.Seal(append(dst, head...), nonce, append([]byte(content), typ), head)
}

// keyUpdate appends a KeyUpdate, which asks for one of the peer.
func (s *sealer) keyUpdate(dst []byte) []byte {
	dst = s.seal(dst, typeHandshake, string([]byte{messageKeyUpdat, 0, 0, 1, 1}))
	_ = s.setSecret(s.expand("traffic upd", s.hash().Size())) // it has a key of the right length
	return dst
}
