package tlsrecord

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
)

// secrets are the traffic secrets of a handshake in the key log. They count the records that crypto/tls has sealed with ours.
type secrets struct {
	client         bool // we are the client
	ofUs, ofPeer   []byte
	out            half // to count
	more           longer
	aead           cipher.AEAD
	suiteForSealed int
}

// The labels of the key log, https://www.ietf.org/archive/id/draft-ietf-tls-keylogfile-02.html
var (
	labelClient = []byte("CLIENT_TRAFFIC_SECRET_0")
	labelServer = []byte("SERVER_TRAFFIC_SECRET_0")
)

// Write takes a line of the key log: label, random number of the client, secret. A line that is not understood leaves no secret, and
// crypto/tls keeps the connection.
func (s *secrets) Write(line []byte) (int, error) {
	label, rest, _ := bytes.Cut(line, space)
	isClient := bytes.Equal(label, labelClient)
	if !isClient && !bytes.Equal(label, labelServer) {
		return len(line), nil
	}
	_, digits, _ := bytes.Cut(bytes.TrimSpace(rest), space)
	secret := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(secret, digits); err != nil || len(secret) == 0 || len(secret) > maxSecret {
		return len(line), nil
	}
	if isClient == s.client {
		s.setOurs(secret)
	} else {
		s.ofPeer = secret
	}
	return len(line), nil
}

var space = []byte{' '}

// setOurs prepares the counting. The length of the secret identifies the suite. ChaCha20 has the same length as one of them,
// but is no suite of Records: its records do not match, and are not counted.
func (s *secrets) setOurs(secret []byte) {
	s.ofUs = secret
	for i := range suites {
		if suites[i].secretLen == len(secret) {
			s.suiteForSealed = i
			var more *longer
			if len(secret) > shortSecret {
				more = &s.more
			}
			s.out.setSecret(&suites[i], secret, more)
			s.aead = s.out.aead(more)
		}
	}
}

// countRecords counts the records in b that are sealed with our traffic secret: those that it can decrypt. crypto/tls writes
// b.
func (s *secrets) countRecords(b []byte) {
	if s.aead == nil {
		return
	}
	room := flights.Get().(*[flightRoom]byte)
	defer flights.Put(room)
	for len(b) >= headerLen {
		n := headerLen + int(binary.BigEndian.Uint16(b[3:]))
		if n > len(b) {
			return
		}
		if b[0] == typeData && n >= headerLen+tagLen {
			_, _ = s.out.open(s.aead, append(room[:0], b[:n]...)) // counts it, or fails
		}
		b = b[n:]
	}
}

// records returns the record layer after a handshake with the suite, nil = not possible.
func (s *secrets) records(suite uint16) *Records {
	i := suiteOf(suite)
	if i < 0 || i != s.suiteForSealed || len(s.ofUs) != suites[i].secretLen || len(s.ofPeer) != suites[i].secretLen {
		return nil
	}
	r := newRecords(i, s.client)
	r.in.setSecret(&suites[i], s.ofPeer, r.longerIn())
	r.out = s.out // with the number of the records that crypto/tls has sealed
	if !s.client {
		r.rare = &rare{kept: s.aead}
	}
	if more := r.longerOut(); more != nil {
		*more = s.more
	}
	return r
}
