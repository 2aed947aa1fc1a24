package tlsrecord

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"testing"
	"unsafe"
)

// pair returns both ends of a connection with a suite.
func pair(suiteIndex int) (client, server *Records) {
	var secrets [2][]byte
	for i := range secrets {
		secrets[i] = make([]byte, suites[suiteIndex].secretLen)
		_, _ = rand.Read(secrets[i])
	}
	side := func(client bool, in, out []byte) *Records {
		r := newRecords(suiteIndex, client)
		r.in.setSecret(&suites[suiteIndex], in, r.longerIn())
		r.out.setSecret(&suites[suiteIndex], out, r.longerOut())
		return r
	}
	return side(true, secrets[0], secrets[1]), side(false, secrets[1], secrets[0])
}

// eachSuite runs a test with each suite.
func eachSuite(t *testing.T, f func(t *testing.T, client, server *Records)) {
	for i, name := range []string{"AES-128", "AES-256"} {
		t.Run(name, func(t *testing.T) {
			client, server := pair(i)
			f(t, client, server)
		})
	}
}

// An idle connection with TLS holds this and the pointer to it.
func TestRecordsAreSmall(t *testing.T) {
	if n := unsafe.Sizeof(Records{}); n != 160 { // a size class of the runtime
		t.Errorf("%d bytes", n)
	}
}

func TestSelfTest(t *testing.T) {
	if err := SelfTest(); err != nil {
		t.Fatal(err)
	}
}

func TestSealOfBusyConnectionAllocatesNothing(t *testing.T) {
	_, server := pair(0)
	if !server.Keep() || server.Keep() {
		t.Error("Keep does not tell whether the cipher was kept already")
	}
	dst, plain := make([]byte, 0, 1<<10), make([]byte, 132)
	if n := testing.AllocsPerRun(100, func() { dst = server.Seal(dst[:0], plain) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	server.Forget()
	if n := testing.AllocsPerRun(100, func() { dst = server.Seal(dst[:0], plain) }); n != 2 {
		t.Errorf("%v allocations, and the cipher has 2", n)
	}
}

func TestSizesOfPlaintext(t *testing.T) {
	eachSuite(t, func(t *testing.T, client, server *Records) {
		for _, n := range []int{0, 1, 15, 16, 132, maxPlain - 1, maxPlain, maxPlain + 1, 100_000} {
			plain := make([]byte, n)
			_, _ = rand.Read(plain)
			sealed := server.Seal(nil, plain)
			if records := (n + maxPlain - 1) / maxPlain; len(sealed) != n+records*(headerLen+overhead) {
				t.Errorf("%d bytes were sealed as %d", n, len(sealed))
			}
			if got, err := client.Open(sealed); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("%d bytes: got %d, %v", n, len(got), err)
			}
		}
	})
}

// A stream that is cut anywhere has the same plaintext: small records, a KeyUpdate, and padding among them.
func TestEverySplit(t *testing.T) {
	eachSuite(t, func(t *testing.T, client, server *Records) {
		stream := client.Seal(nil, []byte("first"))
		stream = client.Seal(client.updateKeys(stream, 1), []byte("second"))
		stream = padded(client, stream, typeData, []byte("third"), 40)
		stream = client.sealRecord(stream, typeData, nil)
		stream = client.Seal(stream, []byte("fourth"))
		const want = "firstsecondthirdfourth"
		for i := range stream {
			for j := i; j <= len(stream); j++ {
				s := *server
				if s.longer != nil {
					s.longer = &[2]longer{*s.longerIn(), *s.longerOut()}
				}
				b := slices.Clone(stream)
				var got []byte
				for _, piece := range [][]byte{b[:i], b[i:j], b[j:]} {
					plain, err := s.Open(piece)
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, plain...)
				}
				if string(got) != want || s.rare != nil {
					t.Fatalf("cut at %d and %d: %q", i, j, got)
				}
			}
		}
	})
}

// padded appends a record with padding.
func padded(r *Records, dst []byte, typ byte, content []byte, zeros int) []byte {
	inner := append(append(slices.Clone(content), typ), make([]byte, zeros)...)
	n := len(inner) - 1
	// sealRecord appends the type behind the content: the last zero is the "type" here.
	return r.sealRecord(dst, inner[n], inner[:n])
}

func TestBrokenRules(t *testing.T) {
	header := func(b ...byte) func(*Records) []byte { return func(*Records) []byte { return b } }
	message := func(b ...byte) func(*Records) []byte {
		return func(r *Records) []byte { return r.sealRecord(nil, typeHandshake, b) }
	}
	for _, row := range []struct {
		name string
		send func(client *Records) []byte
		want error
	}{
		{"alert in clear text", header(typeAlert, 3, 3, 0, 2, 1, 0), ErrType},
		{"handshake in clear text", header(typeHandshake, 3, 3, 0, 4), ErrType},
		{"change cipher spec", header(20, 3, 3, 0, 1, 1), ErrType},
		{"HTTP", header('G', 'E', 'T', ' ', '/'), ErrType},
		{"another version", header(typeData, 3, 1, 0, 100), ErrVersion},
		{"too long, by its header", header(typeData, 3, 3, 0x41, 0x01), ErrTooLong},
		{"shorter than a tag", header(typeData, 3, 3, 0, 15), ErrTag},
		{"wrong tag", func(r *Records) []byte { b := r.Seal(nil, []byte("x")); b[len(b)-1] ^= 1; return b }, ErrTag},
		{"wrong length", func(r *Records) []byte { b := r.Seal(nil, []byte("xx")); b[4]--; return b }, ErrTag},
		{"replayed", func(r *Records) []byte { b := r.Seal(nil, []byte("x")); return append(b, b...) }, ErrTag},
		{"left out", func(r *Records) []byte { r.Seal(nil, []byte("x")); return r.Seal(nil, []byte("x")) }, ErrTag},
		{"more plaintext than allowed", func(r *Records) []byte { return r.sealRecord(nil, typeData, make([]byte, maxPlain+1)) }, ErrTooLong},
		{"only padding", func(r *Records) []byte { return r.sealRecord(nil, 0, make([]byte, 100)) }, ErrOnlyPadding},
		{"nothing", func(r *Records) []byte { return r.sealRecord(nil, 0, nil) }, ErrOnlyPadding},
		{"unknown type", func(r *Records) []byte { return r.sealRecord(nil, 24, []byte{1}) }, ErrType},
		{"protected change cipher spec", func(r *Records) []byte { return r.sealRecord(nil, 20, []byte{1}) }, ErrType},
		{"long alert", func(r *Records) []byte { return r.sealRecord(nil, typeAlert, []byte{1, 0, 0}) }, ErrAlertLength},
		{"fatal alert", func(r *Records) []byte { return r.sealRecord(nil, typeAlert, []byte{2, 42}) }, Alert(42)},
		{"empty handshake record", message(), ErrEmptyMessage},
		{"client hello", message(1, 0, 0, 1, 0), ErrMessage},
		{"session ticket from a client", message(4, 0, 0, 1, 0), ErrMessage},
		{"post-handshake authentication", message(13, 0, 0, 1, 0), ErrMessage},
		{"key update of two bytes", message(24, 0, 0, 2, 0, 0), ErrKeyUpdate},
		{"key update of a wrong value", message(24, 0, 0, 1, 2), ErrKeyUpdate},
		{"data behind a key update", message(24, 0, 0, 1, 0, 24), ErrNotAligned},
		{"data inside of a key update", func(r *Records) []byte {
			return r.Seal(r.sealRecord(nil, typeHandshake, []byte{24, 0}), []byte("x"))
		}, ErrInterleaved},
		{"empty records", func(r *Records) (b []byte) {
			for range maxUseless + 1 {
				b = r.sealRecord(b, typeData, nil)
			}
			return b
		}, ErrUseless},
		{"key updates", func(r *Records) (b []byte) {
			for range maxUseless + 1 {
				b = r.updateKeys(b, 1)
			}
			return b
		}, ErrUseless},
		{"the end", func(r *Records) []byte { return r.End(nil, nil) }, io.EOF},
	} {
		t.Run(row.name, func(t *testing.T) {
			client, server := pair(0)
			before := client.Seal(nil, []byte("before"))
			plain, err := server.Open(append(before, row.send(client)...))
			if err != row.want || !bytes.HasPrefix(plain, []byte("before")) {
				t.Fatalf("got %q, %v; want %v", plain, err, row.want)
			}
			_, answer := client.Open(server.End(nil, err))
			if p, ok := errors.AsType[*ProtocolError](row.want); ok && answer != p.Alert {
				t.Errorf("the answer is %v", answer)
			}
			if b := server.Seal(server.End(nil, nil), []byte("x")); len(b) > 0 {
				t.Error("a record after the last one")
			}
		})
	}
}

func TestUserCanceledIsNotTheEnd(t *testing.T) {
	client, server := pair(0)
	stream := client.Seal(client.sealRecord(nil, typeAlert, []byte{1, byte(alertUserCanceled)}), []byte("x"))
	if plain, err := server.Open(stream); err != nil || string(plain) != "x" {
		t.Errorf("%q, %v", plain, err)
	}
}

// The keys of our direction change before the limit, and so does a kept AEAD.
func TestKeysChangeBeforeTheLimit(t *testing.T) {
	eachSuite(t, func(t *testing.T, client, server *Records) {
		server.Keep()
		server.out.setNumber(updateAfter - 2)
		client.in.setNumber(updateAfter - 2)
		secret := server.out.secret
		for i := range 5 {
			if plain, err := client.Open(server.Seal(nil, []byte{byte(i)})); err != nil || len(plain) != 1 {
				t.Fatalf("record %d: %v", i, err)
			}
		}
		if server.out.secret == secret || server.out.number() != 3 {
			t.Errorf("the keys are the same, at record %d", server.out.number())
		}
	})
}

// Many requests for new keys have one answer, and it leaves with the next data.
func TestKeyUpdatesAreAnsweredOnce(t *testing.T) {
	client, server := pair(0)
	var stream []byte
	for range maxUseless {
		stream = client.updateKeys(stream, 1)
	}
	if _, err := server.Open(stream); err != nil {
		t.Fatal(err)
	}
	sealed := server.Seal(nil, []byte("x"))
	if want := 2*(headerLen+overhead) + 5 + 1; len(sealed) != want {
		t.Errorf("the answer has %d bytes, want %d", len(sealed), want)
	}
	if plain, err := client.Open(sealed); err != nil || string(plain) != "x" {
		t.Errorf("%q, %v", plain, err)
	}
	if sealed = server.Seal(nil, []byte("x")); len(sealed) != headerLen+overhead+1 {
		t.Error("a second answer")
	}
}

// A client ignores session tickets in any pieces, but only up to a limit.
func TestClientIgnoresTickets(t *testing.T) {
	client, server := pair(0)
	ticket := append([]byte{messageNewSessionTicket, 0, 1, 44}, make([]byte, 300)...)
	var stream []byte
	for _, b := range ticket {
		stream = server.sealRecord(stream, typeHandshake, []byte{b})
	}
	stream = server.sealRecord(stream, typeHandshake, append(slices.Clone(ticket), ticket...))
	if plain, err := client.Open(server.Seal(stream, []byte("x"))); err != nil || string(plain) != "x" {
		t.Fatalf("%q, %v", plain, err)
	}
	for range maxUseless {
		if _, err := client.Open(server.sealRecord(nil, typeHandshake, ticket)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Open(server.sealRecord(nil, typeHandshake, ticket)); err != ErrUseless {
		t.Errorf("tickets without end: %v", err)
	}
}

// A record that comes byte by byte is kept in memory of about its size, and copied a few times only.
func TestRecordByteByByte(t *testing.T) {
	client, server := pair(0)
	sealed := client.Seal(nil, make([]byte, maxPlain))
	total := 0
	for i := range sealed {
		plain, err := server.Open(sealed[i : i+1 : i+1])
		if err != nil || partialOf(server) > 2*(i+16) {
			t.Fatalf("byte %d: %v, %d bytes are kept", i, err, partialOf(server))
		}
		total += len(plain)
	}
	if total != maxPlain || server.rare != nil {
		t.Errorf("%d bytes, %d are kept", total, partialOf(server))
	}
}

// partialOf returns the memory of the start of an unfinished record.
func partialOf(r *Records) int {
	if r.rare == nil {
		return 0
	}
	return cap(r.rare.partial)
}
