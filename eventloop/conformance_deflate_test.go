package eventloop_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

const compressed = 4 // RSV1, RFC 7692 section 6

// A talk is a peer with an agreement on compressed messages.
type talk struct {
	*peer
	t *testing.T
	agreement
	out        bytes.Buffer
	deflater   *flate.Writer // writes to out
	in         inflater
	compressed int // messages that came compressed
}

func (p *peer) talk(t *testing.T, a agreement) *talk {
	k := &talk{peer: p, t: t, agreement: a}
	k.deflater, _ = flate.NewWriter(&k.out, flate.BestSpeed) // the level that begins anew quickly
	return k
}

// open is dial and talk for one offer, which is accepted.
func (s *suite) open(t *testing.T, line string) *talk {
	t.Helper()
	p := s.dial(t, line)
	a, err := offer{lines: []string{line}}.answered(p.agreed)
	if err != nil {
		t.Fatalf("offered %s, answered %q: %v", line, p.agreed, err)
	}
	return p.talk(t, a)
}

// compress compresses a message. The library has the largest window only, so for a smaller one the message is compressed in
// independent pieces of that size.
func (k *talk) compress(message string) string {
	k.out.Reset()
	size := max(len(message), 1)
	if k.clientBits < 15 {
		size = 1 << k.clientBits
	}
	for first := true; first || len(message) > 0; first = false {
		n := min(size, len(message))
		if !k.clientTakeover || k.clientBits < 15 {
			k.deflater.Reset(&k.out)
		}
		_, _ = k.deflater.Write([]byte(message[:n]))
		_ = k.deflater.Flush()
		message = message[n:]
	}
	return strings.TrimSuffix(k.out.String(), "\x00\x00\xff\xff")
}

// expect reads a message, compressed or not.
func (k *talk) expect(message string, op byte) {
	k.t.Helper()
	f, err := readFrame(k.r)
	if err != nil || f.op != op || f.more {
		k.t.Fatalf("want opcode %d, got %v, %v", op, f, err)
	}
	if f.rsv == compressed {
		k.compressed++
		if strings.HasSuffix(f.payload, "\x00\x00\xff\xff") {
			k.t.Errorf("the tail is not cut off: % x", f.payload[max(0, len(f.payload)-16):])
		}
		raw := f.payload
		if f.payload, err = k.in.message(raw, k.serverTakeover); err != nil {
			k.t.Fatalf("%v: % x", err, raw[:min(len(raw), 256)])
		}
		if k.in.farthest > 1<<k.serverBits {
			k.t.Fatalf("a reference %d bytes back, the window is %d", k.in.farthest, 1<<k.serverBits)
		}
	}
	if f.payload != message {
		k.t.Fatalf("want %v\n got %v", frame{op: op, payload: message}, frame{op: op, payload: f.payload})
	}
}

// The kinds of messages. Only the first two are sure to become shorter.
const (
	kindJSON = iota
	kindWords
	kindText
	kindBytes
	kinds // the number of kinds
)

// sample makes a message of n bytes.
func sample(kind, n int, r *rand.Rand) string {
	b := make([]byte, 0, n+64)
	for len(b) < n {
		switch kind {
		case kindJSON:
			b = fmt.Appendf(b, `{"symbol":"%c%c","bid":%d.%02d,"size":%d},`, 'A'+r.IntN(26), 'A'+r.IntN(26), r.IntN(500), r.IntN(100), 100*r.IntN(20))
		case kindWords:
			b = append(b, "All the same, all the same again. "...)
		case kindText:
			b = append(b, ' '+byte(r.IntN(95)))
		case kindBytes:
			b = append(b, byte(r.Uint32()))
		}
	}
	return string(b[:n])
}

// compressed sends a hundred messages with each agreement: of 16 bytes to 128 KiB, some of them uncompressed, some in fragments.
// It checks the distance of the references in the server's answers.
func (s *suite) compressed(t *testing.T) {
	for turn, o := range validOffers() {
		s.run(t, o.name, func(t *testing.T) {
			k := s.open(t, o.lines[0])
			r := rand.New(rand.NewPCG(2, uint64(turn)))
			for i := range 100 {
				kind, size := (turn+i+i/10)%kinds, 16<<(i%10)
				if i%25 == 24 {
					size = 16 << 10 << (i / 25)
				}
				message := sample(kind, size, r)
				m := data(message)
				if kind != kindBytes && i%3 != 0 {
					m.op = opText
				}
				if i%5 != 0 {
					m.payload, m.rsv = k.compress(message), compressed
				}
				if i%7 < 4 {
					k.write(atOnce, m)
				} else {
					fragments := inFragments(m, 1+len(m.payload)/(i%11+2))
					k.write(byFrame, slices.Insert(fragments, 1, ping("between"))...)
					k.peer.expect(t, pong("between"))
				}
				before := k.compressed
				k.expect(message, m.op)
				if k.compressed == before && kind <= kindWords && size >= 512 {
					t.Errorf("message %d of %d bytes did not come compressed", i, size)
				}
			}
			k.write(atOnce, closing(1000, ""))
			k.expectClose(t, 1000)
			s.cases.Add(99)
		})
	}
}
