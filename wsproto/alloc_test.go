package wsproto

import (
	"bytes"
	"testing"
)

// The work for each connection and each message does not allocate.
func TestNoAllocations(t *testing.T) {
	payload := bytes.Repeat([]byte("x"), 128)
	frame := AppendMaskedFrame(nil, OpText, [4]byte{1, 2, 3, 4}, payload)
	ping := AppendMaskedFrame(nil, OpPing, [4]byte{1, 2, 3, 4}, []byte("ping"))
	closing := AppendMaskedFrame(nil, OpClose, [4]byte{1, 2, 3, 4}, []byte("\x03\xe8bye"))
	stream := bytes.Join([][]byte{frame, ping, frame, closing}, nil)
	in := make([]byte, len(stream))
	dst := make([]byte, 0, 512)
	request := []byte(chromeRequest)
	bad := []byte("GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n")
	parsed, _, err := ParseRequest(request, RequestLimits{})
	if err != nil {
		t.Fatal(err)
	}
	req := &ClientRequest{Key: string(parsed.Key), Protocols: []string{"superchat", "chat"}}
	response := AppendUpgrade(nil, parsed.Key, "chat", Deflate{})
	known := []string{"tickcast.v1.raw", "tickcast.v1.json"}
	var d Decoder
	for _, row := range []struct {
		name string
		run  func()
	}{
		{"Decoder.Next on whole frames", func() {
			copy(in, stream)
			for rest := in; len(rest) > 0; {
				m, n, err := d.Next(nil, rest)
				if err != nil || m.Op == OpContinuation {
					t.Fatal(m, err)
				}
				rest = rest[n:]
			}
		}},
		{"Decoder.Next with an error", func() {
			var d Decoder
			if _, _, err := d.Next(nil, []byte{0x81, 0x05}); err != ErrUnmasked {
				t.Fatal(err)
			}
		}},
		{"AppendFrame", func() { dst = AppendFrame(dst[:0], OpText, payload) }},
		{"AppendMaskedFrame", func() { dst = AppendMaskedFrame(dst[:0], OpText, [4]byte{1, 2, 3, 4}, payload) }},
		{"AppendClose", func() { dst = AppendClose(dst[:0], StatusNormal, "bye") }},
		{"ParseRequest", func() {
			if _, n, err := ParseRequest(request, RequestLimits{}); n != len(request) || err != nil {
				t.Fatal(n, err)
			}
		}},
		{"ParseRequest of half a request", func() {
			if _, n, err := ParseRequest(request[:300], RequestLimits{}); n != 0 || err != nil {
				t.Fatal(n, err)
			}
		}},
		{"ParseRequest with an error", func() {
			if _, _, err := ParseRequest(bad, RequestLimits{}); err != ErrHeaderName {
				t.Fatal(err)
			}
		}},
		{"CheckUpgrade", func() {
			if err := parsed.CheckUpgrade(); err != nil {
				t.Fatal(err)
			}
		}},
		{"Protocol", func() {
			if parsed.Protocol(known) != "tickcast.v1.json" {
				t.Fatal("wrong protocol")
			}
		}},
		{"AppendUpgrade", func() { dst = AppendUpgrade(dst[:0], parsed.Key, "tickcast.v1.json", Deflate{}) }},
		{"ParseResponse", func() {
			if r, _, err := ParseResponse(response, req, RequestLimits{}); r.Status != 101 || err != nil {
				t.Fatal(err)
			}
		}},
	} {
		if n := testing.AllocsPerRun(100, row.run); n != 0 {
			t.Errorf("%s: %v allocations", row.name, n)
		}
	}
}

// A frame in two pieces costs its state and its buffer, two allocations.
func TestCutFrameAllocations(t *testing.T) {
	frame := AppendMaskedFrame(nil, OpText, [4]byte{1, 2, 3, 4}, bytes.Repeat([]byte("x"), 128))
	in := make([]byte, len(frame))
	var d Decoder
	n := testing.AllocsPerRun(100, func() {
		copy(in, frame)
		d.Next(nil, in[:50])
		if m, _, err := d.Next(nil, in[50:]); m.Op != OpText || err != nil {
			t.Fatal(m, err)
		}
	})
	if n > 2 {
		t.Errorf("%v allocations, want 2", n)
	}
}
