package tlsrecord

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
)

var fuzzCertificate = sync.OnceValues(testCertificate)

// connected returns a connection whose ends have Records or crypto/tls.
func connected(t testing.TB, clientOwn, serverOwn bool) (client, server Session) {
	t.Helper()
	cert, err := fuzzCertificate()
	if err == nil {
		client, server, err = connect(cert, NewPool(1, 1, clientOwn), NewPool(1, 1, serverOwn))
	}
	if err != nil {
		t.Fatal(err)
	}
	for s, own := range map[Session]bool{client: clientOwn, server: serverOwn} {
		if _, ok := s.(*Records); ok != own {
			t.Skip("crypto/tls chooses another suite on this machine")
		}
	}
	return client, server
}

// A fuzzed draws its decisions from the bytes of a fuzz input.
type fuzzed []byte

func (f *fuzzed) next() int {
	if len(*f) == 0 {
		return 0
	}
	b := (*f)[0]
	*f = (*f)[1:]
	return int(b)
}

// size returns a size up to most.
func (f *fuzzed) size(most int) int { return min(f.next()<<(f.next()%8), most) }

// openPieces opens b in the pieces that f decides on.
func (f *fuzzed) openPieces(s Session, b []byte) (plain []byte, err error) {
	for len(b) > 0 && err == nil {
		n := min(1+f.size(1<<15), len(b))
		var p []byte
		p, err = s.Open(bytes.Clone(b[:n]))
		plain = append(plain, p...)
		b = b[n:]
	}
	return plain, err
}

// FuzzOpen sends the same right and wrong records to a server with Records and to one with crypto/tls. Both must return the
// same data and refuse the same records.
func FuzzOpen(f *testing.F) {
	f.Add([]byte("\x00\x05\x00\x01\x01\x00\x05\x02\x05\x00\x03\x04\x05\x06\x07\x08"))
	f.Add(bytes.Repeat([]byte{1, 0}, 20))
	f.Fuzz(func(t *testing.T, script []byte) {
		clientA, own := connected(t, true, true)
		clientB, driven := connected(t, true, false)
		a, b := clientA.(*Records), clientB.(*Records)
		ops := fuzzed(script)
		for n := 0; n < 50 && len(ops) > 0; n++ {
			before := ops
			sentA, _ := ops.record(a)
			copyOfOps := before
			sentB, known := copyOfOps.record(b)
			split := ops
			plainA, errA := ops.openPieces(own, sentA)
			plainB, errB := split.openPieces(driven, sentB)
			if !bytes.Equal(plainA, plainB) || (errA == nil) != (errB == nil) || (errA == io.EOF) != errors.Is(errB, io.EOF) {
				if known && errA != nil { // stricter than crypto/tls
					return
				}
				t.Fatalf("Records reads %d bytes, %v; crypto/tls %d, %v", len(plainA), errA, len(plainB), errB)
			}
			if errA != nil {
				return
			}
			// And back, with the answers to KeyUpdate.
			for _, v := range []struct {
				from Session
				to   *Records
			}{{own, a}, {driven, b}} {
				if p, err := v.to.Open(v.from.Seal(nil, []byte("back"))); err != nil || string(p) != "back" {
					t.Fatalf("back: %q, %v", p, err)
				}
			}
		}
	})
}

// record returns a record of a client, right or wrong. known reports that crypto/tls accepts it although RFC 8446 forbids
// it.
func (f *fuzzed) record(r *Records) (b []byte, known bool) {
	switch f.next() % 10 {
	case 0, 1, 2:
		return r.Seal(nil, make([]byte, f.size(maxPlain*2))), false
	case 3:
		return r.updateKeys(nil, byte(f.next()%3)), false
	case 4: // any message, in a record or in part of one
		n := f.next() % 8
		message := []byte{24, 0, 0, 1, byte(f.next() % 3), 0, 0, 0}[:n]
		return r.sealRecord(nil, typeHandshake, message), true
	case 5: // padding
		return padded(r, nil, []byte{typeData, typeHandshake, typeAlert, 20, 0, 99}[f.next()%6], make([]byte, f.size(100)), f.size(maxPlain)), true
	case 6: // an alert
		return r.sealRecord(nil, typeAlert, []byte{byte(f.next() % 3), byte(f.next() % 100)}[:f.next()%3]), false
	case 7: // a changed byte
		b = r.Seal(nil, make([]byte, f.size(1000)+1))
		b[f.size(len(b)-1)] ^= byte(f.next())
		return b, b[0] != typeData
	case 8: // too long
		return r.sealRecord(nil, typeData, make([]byte, maxPlain+f.size(300))), false
	default: // empty
		return r.sealRecord(nil, typeData, nil), false
	}
}

// FuzzSeal sends data with changes of keys to a client and a server of crypto/tls, and back.
func FuzzSeal(f *testing.F) {
	f.Add([]byte("\x05\x01\x00\x03\x02\x09"))
	f.Fuzz(func(t *testing.T, script []byte) {
		ops := fuzzed(script)
		ourClient := ops.next()%2 == 1
		client, server := connected(t, ourClient, !ourClient)
		ours, theirs := server, client
		if ourClient {
			ours, theirs = client, server
		}
		r := ours.(*Records)
		for n := 0; n < 50 && len(ops) > 0; n++ {
			plain := bytes.Repeat([]byte{byte(n)}, ops.size(3*maxPlain))
			var sealed []byte
			switch ops.next() % 4 {
			case 0:
				sealed = r.updateKeys(sealed, byte(ops.next()%2))
			case 1:
				r.Keep()
			case 2:
				r.Forget()
			}
			got, err := ops.openPieces(theirs, r.Seal(sealed, plain))
			if err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("crypto/tls reads %d bytes of %d, %v", len(got), len(plain), err)
			}
			got, err = ops.openPieces(ours, theirs.Seal(nil, plain))
			if err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("Records reads %d bytes of %d, %v", len(got), len(plain), err)
			}
		}
		if _, err := theirs.Open(ours.End(nil, nil)); err != io.EOF {
			t.Fatalf("the end: %v", err)
		}
	})
}
