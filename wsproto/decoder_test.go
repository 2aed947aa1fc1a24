package wsproto

import (
	"bytes"
	"errors"
	"testing"
	"unsafe"
)

// Each connection contains one Decoder, so a million of them cost 8 MB. The state of an unfinished frame is in the
// allocator's size class of 96 bytes.
func TestDecoderSize(t *testing.T) {
	if size := unsafe.Sizeof(Decoder{}); size > 8 {
		t.Errorf("Decoder is %d bytes, want 8", size)
	}
	if size := unsafe.Sizeof(partial{}); size > 96 {
		t.Errorf("partial is %d bytes, want at most 96", size)
	}
}

func TestConfigDefaults(t *testing.T) {
	for _, row := range []struct {
		cfg  *Config
		want int64
	}{
		{nil, DefaultMaxMessage},
		{&Config{}, DefaultMaxMessage},
		{&Config{MaxMessage: -1}, DefaultMaxMessage},
		{&Config{MaxMessage: 1}, 1},
		{&Config{MaxMessage: 16 << 20}, 16 << 20},
	} {
		if got := row.cfg.maxMessage(); got != row.want {
			t.Errorf("%+v: %d, want %d", row.cfg, got, row.want)
		}
	}
}

func TestNextNothing(t *testing.T) {
	var d Decoder
	m, n, err := d.Next(nil, nil)
	if m.Op != OpContinuation || m.Payload != nil || n != 0 || err != nil || !d.Idle() {
		t.Errorf("%+v, %d, %v, idle %v", m, n, err, d.Idle())
	}
}

// A whole frame is not copied: its payload points into the input. An append to it does not change the next frame.
func TestWholeFrameIsNotCopied(t *testing.T) {
	in := AppendMaskedFrame(nil, OpText, [4]byte{1, 2, 3, 4}, []byte("first"))
	in = AppendMaskedFrame(in, OpText, [4]byte{5, 6, 7, 8}, []byte("second"))
	var d Decoder
	m, n, err := d.Next(nil, in)
	if err != nil || string(m.Payload) != "first" {
		t.Fatal(m, err)
	}
	if &m.Payload[0] != &in[n-5] {
		t.Error("the payload is a copy")
	}
	_ = append(m.Payload, "garbage"...)
	if m, _, err = d.Next(nil, in[n:]); err != nil || string(m.Payload) != "second" {
		t.Errorf("%q, %v: the append went into the next frame", m.Payload, err)
	}
}

// A control frame between fragments is not copied either if it lies whole in the input.
func TestControlBetweenFragmentsIsNotCopied(t *testing.T) {
	in := AppendHeader(nil, Header{Op: OpText, Masked: true, Length: 1})
	in = append(in, 'a')
	in = AppendMaskedFrame(in, OpPing, [4]byte{1, 2, 3, 4}, []byte("ping"))
	var d Decoder
	m, n, err := d.Next(nil, in)
	if err != nil || m.Op != OpPing || string(m.Payload) != "ping" || &m.Payload[0] != &in[n-4] {
		t.Errorf("%v %q, %v", m.Op, m.Payload, err)
	}
	if d.Idle() {
		t.Error("idle inside a message")
	}
}

// The state of a message in pieces is released with that message, not with the next one.
func TestDecoderReleases(t *testing.T) {
	frame := AppendMaskedFrame(nil, OpBinary, [4]byte{1, 2, 3, 4}, make([]byte, 10_000))
	ping := AppendMaskedFrame(nil, OpPing, [4]byte{}, []byte("ping"))
	for _, in := range [][]byte{frame, ping} {
		for cut := 1; cut < len(in); cut += 1 + cut/10 {
			var d Decoder
			m, n, err := d.Next(nil, bytes.Clone(in[:cut]))
			if m.Op != OpContinuation || n != cut || err != nil || d.Idle() {
				t.Fatalf("first %d bytes: %v, %d, %v, idle %v", cut, m.Op, n, err, d.Idle())
			}
			if m, n, err = d.Next(nil, bytes.Clone(in[cut:])); m.Op == OpContinuation || n != len(in)-cut || err != nil {
				t.Fatalf("cut at %d: %v, %d, %v", cut, m.Op, n, err)
			}
			if !d.Idle() || d.p != nil {
				t.Fatalf("cut at %d: not idle after the message", cut)
			}
		}
	}
}

// The buffer is sized by the bytes that arrived, not by the length in the header.
func TestBufferGrowsWithWhatArrived(t *testing.T) {
	cfg := &Config{MaxMessage: 16 << 20}
	head := AppendHeader(nil, Header{Fin: true, Op: OpBinary, Masked: true, Length: 16 << 20})
	var d Decoder
	if _, _, err := d.Next(cfg, append(head, 1, 2, 3)); err != nil {
		t.Fatal(err)
	}
	if c := cap(d.p.buf); c > minBuffer {
		t.Errorf("3 bytes of 16 MiB hold a buffer of %d", c)
	}
	for total := 3; total < 1<<20; total += 1000 {
		if _, _, err := d.Next(cfg, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if c, most := cap(d.p.buf), max(2*(total+1000), minBuffer); c > most {
			t.Fatalf("%d bytes hold a buffer of %d", total+1000, c)
		}
	}
}

// A small frame that was cut gets a buffer of its own size.
func TestBufferOfSmallFrameIsExact(t *testing.T) {
	frame := AppendMaskedFrame(nil, OpBinary, [4]byte{}, make([]byte, 100))
	var d Decoder
	if _, _, err := d.Next(nil, frame[:50]); err != nil {
		t.Fatal(err)
	}
	if c := cap(d.p.buf); c != 100 {
		t.Errorf("buffer of %d for a frame of 100", c)
	}
}

// Messages in small pieces or in small fragments must not be copied again and again: the buffer may change only as
// often as it doubles.
func TestLargeMessageIsNotQuadratic(t *testing.T) {
	const size = 256 << 10
	cfg := &Config{MaxMessage: size}
	var oneByteFragments []byte
	for i := range size {
		h := Header{Fin: i == size-1, Masked: true, Length: 1}
		if i == 0 {
			h.Op = OpText
		}
		oneByteFragments = append(AppendHeader(oneByteFragments, h), 'x')
		if i%1000 == 0 { // a ping, cut below, uses the same buffer
			oneByteFragments = AppendMaskedFrame(oneByteFragments, OpPing, [4]byte{}, make([]byte, 125))
		}
	}
	for name, in := range map[string][]byte{
		"one frame":          AppendMaskedFrame(nil, OpText, [4]byte{1, 2, 3, 4}, bytes.Repeat([]byte("x"), size)),
		"one-byte fragments": oneByteFragments,
	} {
		for _, piece := range []int{100, 65536} {
			var d Decoder
			grown, last, pings := 0, 0, 0
			for rest := bytes.Clone(in); len(rest) > 0; {
				m, n, err := d.Next(cfg, rest[:min(piece, len(rest))])
				if err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
				if d.p != nil && cap(d.p.buf) != last {
					last = cap(d.p.buf)
					grown++
				}
				switch m.Op {
				case OpPing:
					pings++
				case OpText:
					if len(m.Payload) != size || len(rest) > 0 || bytes.Count(m.Payload, []byte("x")) != size {
						t.Fatalf("%s: message of %d bytes", name, len(m.Payload))
					}
				}
			}
			if !d.Idle() {
				t.Fatalf("%s: no message", name)
			}
			if grown > 12 { // from 256 bytes to 256 KiB there are 10 doublings
				t.Errorf("%s in pieces of %d: the buffer changed %d times", name, piece, grown)
			}
			if name != "one frame" && pings == 0 {
				t.Errorf("%s: no ping seen", name)
			}
		}
	}
}

// Messages of 16 MiB, the size in conformance suites, whole and in pieces.
func TestLargestMessages(t *testing.T) {
	const size = 16 << 20
	cfg := &Config{MaxMessage: size}
	frame := AppendMaskedFrame(nil, OpText, [4]byte{9, 8, 7, 6}, bytes.Repeat([]byte("0123456789abcdef"), size/16))
	for _, piece := range []int{len(frame), 65536} {
		in := bytes.Clone(frame)
		var d Decoder
		var got Message
		for len(in) > 0 {
			m, n, err := d.Next(cfg, in[:min(piece, len(in))])
			if err != nil {
				t.Fatal(err)
			}
			in, got = in[n:], m
		}
		if got.Op != OpText || len(got.Payload) != size || string(got.Payload[size-16:]) != "0123456789abcdef" {
			t.Errorf("pieces of %d: %v of %d bytes", piece, got.Op, len(got.Payload))
		}
	}
	cfg.MaxMessage--
	var d Decoder
	if _, _, err := d.Next(cfg, frame[:14]); !errors.Is(err, ErrMessageTooBig) {
		t.Errorf("one byte above the limit: error %v from its header", err)
	}
}

// Masking is checked on both sides. The key is zero: the payload does not change, but the frame counts as masked.
func TestClientSide(t *testing.T) {
	masked := AppendMaskedFrame(nil, OpText, [4]byte{}, []byte("x"))
	plain := AppendFrame(nil, OpText, []byte("x"))
	for _, row := range []struct {
		client bool
		in     []byte
		want   error
	}{
		{false, masked, nil}, {false, plain, ErrUnmasked}, {true, plain, nil}, {true, masked, ErrMasked},
	} {
		var d Decoder
		m, _, err := d.Next(&Config{Client: row.client}, bytes.Clone(row.in))
		if err != row.want || err == nil && string(m.Payload) != "x" {
			t.Errorf("client %v, % x: %q, %v, want %v", row.client, row.in, m.Payload, err, row.want)
		}
	}
}

func TestProtocolErrorAs(t *testing.T) {
	var d Decoder
	_, _, err := d.Next(nil, []byte{0x81, 0x05})
	var e *ProtocolError
	if !errors.As(err, &e) || e.Code != StatusProtocolError || err.Error() != "wsproto: unmasked client frame" {
		t.Errorf("%v", err)
	}
}
