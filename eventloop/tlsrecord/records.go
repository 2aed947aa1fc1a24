package tlsrecord

import "crypto/cipher"

// Records is the record layer of one connection with TLS 1.3 and AES-GCM. It is not safe for concurrent use.
type Records struct {
	in, out half
	longer  *[2]longer // of in and out; nil with AES-128
	rare    *rare      // nil = none, as in an idle connection

	message [4]byte      // the header of an unfinished message after the handshake, or the number of bytes to skip
	have    messageState // bytes of it
	suite   uint8
	useless uint8 // records without data since the last data
	flags   recordsFlags
}

// rare is the state that idle connections do not have.
type rare struct {
	partial []byte      // the start of an unfinished record
	kept    cipher.AEAD // of out; nil = built for each use
}

type recordsFlags uint8

const (
	flagClient   recordsFlags = 1 << iota // we are the client
	flagReplyDue                          // the peer has requested new keys of our direction
	flagEnded                             // our last record is sealed
)

// Chosen by us: crypto/tls has the same number.
const maxUseless = 16

// A messageState is the number of bytes in Records.message, or skipping.
type messageState uint8

const (
	headerDone messageState = 4
	skipping   messageState = 5 // Records.message is the number of bytes that are still to be skipped
)

// newRecords returns a record layer without secrets.
func newRecords(suiteIndex int, client bool) *Records {
	r := &Records{suite: uint8(suiteIndex)}
	if client {
		r.flags |= flagClient
	}
	if s := &suites[suiteIndex]; s.secretLen > shortSecret {
		r.longer = new([2]longer)
	}
	return r
}

func (r *Records) longerIn() *longer {
	if r.longer == nil {
		return nil
	}
	return &r.longer[0]
}

func (r *Records) longerOut() *longer {
	if r.longer == nil {
		return nil
	}
	return &r.longer[1]
}

// outAEAD returns the cipher of our direction.
func (r *Records) outAEAD() cipher.AEAD {
	if r.rare != nil && r.rare.kept != nil {
		return r.rare.kept
	}
	return r.out.aead(r.longerOut())
}

// takePartial returns the start of an unfinished record, which r forgets.
func (r *Records) takePartial() []byte {
	if r.rare == nil {
		return nil
	}
	b := r.rare.partial
	r.rare.partial = nil
	r.dropRare()
	return b
}

// setPartial keeps the start of an unfinished record.
func (r *Records) setPartial(b []byte) {
	if r.rare == nil {
		r.rare = new(rare)
	}
	r.rare.partial = b
}

// dropRare releases the rare state if it is empty.
func (r *Records) dropRare() {
	if r.rare != nil && r.rare.kept == nil && r.rare.partial == nil {
		r.rare = nil
	}
}

// Keep keeps the AEAD of our direction, 816 bytes, until Forget: Seal then takes a third of the time for a small record.
// Keep reports false if the AEAD is kept already.
func (r *Records) Keep() bool {
	if r.rare != nil && r.rare.kept != nil {
		return false
	}
	if r.rare == nil {
		r.rare = new(rare)
	}
	r.rare.kept = r.out.aead(r.longerOut())
	return true
}

// Forget releases the AEAD.
func (r *Records) Forget() {
	if r.rare != nil {
		r.rare.kept = nil
		r.dropRare()
	}
}
