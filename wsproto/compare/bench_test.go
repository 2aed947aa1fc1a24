package compare

import (
	"bufio"
	"bytes"
	"io"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/gobwas/ws/wsutil"
	"github.com/gorilla/websocket"
	"github.com/lxzan/gws"

	"tickcast/wsproto"
)

// All libraries do the same work: from the bytes of a connection to a checked message (mask, UTF-8, size), from a payload to
// the bytes for a connection, from a request to the response. Each library is used in its cheapest way. A read returns one
// frame, the usual case.

var (
	payload128 = bytes.Repeat([]byte("0123456789abcdef"), 8)
	masked128  = wsproto.AppendMaskedFrame(nil, wsproto.OpText, [4]byte{0xde, 0xad, 0xbe, 0xef}, payload128)
)

const maxMessage = 16 << 10

func BenchmarkParse128(b *testing.B) {
	b.Run("lib=wsproto", func(b *testing.B) {
		t := &tape{piece: masked128, times: b.N}
		buf := make([]byte, 4096)
		cfg := &wsproto.Config{MaxMessage: maxMessage}
		var d wsproto.Decoder
		measure(b)
		got := 0
		for {
			n, err := t.Read(buf)
			if err != nil {
				break
			}
			for in := buf[:n]; len(in) > 0; {
				m, used, err := d.Next(cfg, in)
				if err != nil {
					b.Fatal(err)
				}
				in = in[used:]
				if m.Op == wsproto.OpText && len(m.Payload) == len(payload128) {
					got++
				}
			}
		}
		complete(b, got)
	})
	b.Run("lib=gobwas", func(b *testing.B) { // frame by frame, without the allocations of wsutil
		t := &tape{piece: masked128, times: b.N}
		r := bufio.NewReaderSize(t, 4096)
		buf := make([]byte, maxMessage)
		measure(b)
		got := 0
		for {
			h, err := ws.ReadHeader(r)
			if err != nil {
				break
			}
			if err := ws.CheckHeader(h, ws.StateServerSide); err != nil || h.Length > maxMessage {
				b.Fatal(err)
			}
			p := buf[:h.Length]
			if _, err := io.ReadFull(r, p); err != nil {
				b.Fatal(err)
			}
			ws.Cipher(p, h.Mask, 0)
			if h.OpCode == ws.OpText && utf8.Valid(p) && len(p) == len(payload128) {
				got++
			}
		}
		complete(b, got)
	})
	b.Run("lib=gobwas-wsutil", func(b *testing.B) {
		t := &tape{piece: masked128, times: b.N}
		r := wsutil.Reader{Source: bufio.NewReaderSize(t, 4096), State: ws.StateServerSide, CheckUTF8: true, MaxFrameSize: maxMessage}
		buf := make([]byte, maxMessage)
		measure(b)
		got := 0
		for {
			h, err := r.NextFrame()
			if err != nil {
				break
			}
			if n, err := io.ReadFull(&r, buf[:h.Length]); err != nil || n != len(payload128) { // the text is checked by then
				b.Fatal(n, err)
			}
			got++
		}
		complete(b, got)
	})
	b.Run("lib=gorilla", func(b *testing.B) {
		t, r := recorded(masked128, b.N)
		c := gorillaConn(b, gorillaUpgrader(true, false), t, r, bufio.NewWriter(t))
		c.SetReadLimit(maxMessage)
		buf := make([]byte, maxMessage)
		measure(b)
		got := 0
		for {
			op, m, err := c.NextReader()
			if err != nil {
				break
			}
			n := 0
			for err == nil { // io.ReadAll would allocate
				var k int
				k, err = m.Read(buf[n:])
				n += k
			}
			if op == websocket.TextMessage && utf8.Valid(buf[:n]) && n == len(payload128) { // the library leaves UTF-8 to its caller
				got++
			}
		}
		complete(b, got)
	})
	b.Run("lib=gws", func(b *testing.B) {
		t, r := recorded(masked128, b.N)
		h := &gwsCounter{}
		c := gwsConn(b, gwsUpgrader(h, true, false), t, r)
		measure(b)
		c.ReadLoop()
		complete(b, h.got)
	})
}

type gwsCounter struct {
	gws.BuiltinEventHandler
	got int
}

func (h *gwsCounter) OnMessage(_ *gws.Conn, m *gws.Message) {
	if m.Opcode == gws.OpcodeText && m.Data.Len() == len(payload128) {
		h.got++
	}
	_ = m.Close()
}

func BenchmarkAppend128(b *testing.B) {
	b.Run("lib=wsproto", func(b *testing.B) {
		t := new(tape)
		var buf []byte
		measure(b)
		for range b.N {
			buf = wsproto.AppendFrame(buf[:0], wsproto.OpText, payload128)
			_, _ = t.Write(buf)
		}
		written(b, t.written)
	})
	b.Run("lib=gobwas", func(b *testing.B) {
		t := new(tape)
		buf := new(bytes.Buffer) // otherwise header and payload take two writes
		measure(b)
		for range b.N {
			buf.Reset()
			if err := ws.WriteFrame(buf, ws.NewTextFrame(payload128)); err != nil {
				b.Fatal(err)
			}
			_, _ = t.Write(buf.Bytes())
		}
		written(b, t.written)
	})
	b.Run("lib=gorilla", func(b *testing.B) {
		t, r := recorded(nil, 0)
		c := gorillaConn(b, gorillaUpgrader(true, false), t, r, bufio.NewWriter(t))
		t.written = 0
		measure(b)
		for range b.N {
			if err := c.WriteMessage(websocket.TextMessage, payload128); err != nil {
				b.Fatal(err)
			}
		}
		written(b, t.written)
	})
	b.Run("lib=gws", func(b *testing.B) {
		t, r := recorded(nil, 0)
		c := gwsConn(b, gwsUpgrader(&gwsCounter{}, true, false), t, r)
		t.written = 0
		measure(b)
		for range b.N {
			if err := c.WriteMessage(gws.OpcodeText, payload128); err != nil {
				b.Fatal(err)
			}
		}
		written(b, t.written)
	})
}

// BenchmarkHandshake reads a request and writes the response that accepts it. The requests are Chrome's, once with its
// subprotocol and compression accepted and once without both, and the shortest valid one.
func BenchmarkHandshake(b *testing.B) {
	for _, row := range []struct {
		name, request         string
		protocol, compression bool
	}{
		{"chrome-negotiated", chromeRequest, true, true},
		{"chrome", chromeRequest, false, false},
		{"short", shortRequest, false, false},
	} {
		piece := []byte(row.request)
		b.Run("request="+row.name+"/lib=wsproto", func(b *testing.B) {
			t := &tape{piece: piece, times: b.N}
			in, out := make([]byte, 4096), make([]byte, 0, 512)
			var known []string
			if row.protocol {
				known = []string{subprotocol}
			}
			policy := &wsproto.DeflatePolicy{}
			measure(b)
			for range b.N {
				k, _ := t.Read(in)
				r, n, err := wsproto.ParseRequest(in[:k], wsproto.RequestLimits{})
				if err != nil || n != k || r.CheckUpgrade() != nil {
					b.Fatal(n, err)
				}
				var d wsproto.Deflate
				if row.compression {
					d = r.Deflate(policy)
				}
				out = wsproto.AppendUpgrade(out[:0], r.Key, r.Protocol(known), d)
				_, _ = t.Write(out)
			}
			answered(b, t, row.compression)
		})
		b.Run("request="+row.name+"/lib=gobwas", func(b *testing.B) {
			t := &tape{piece: piece, times: b.N}
			var u ws.Upgrader
			if row.protocol {
				u.Protocol = func(p []byte) bool { return string(p) == subprotocol }
			}
			var e wsflate.Extension
			if row.compression {
				u.Negotiate = e.Negotiate
			}
			measure(b)
			for range b.N {
				e = wsflate.Extension{Parameters: wsflate.Parameters{ServerNoContextTakeover: true, ClientNoContextTakeover: true}}
				if _, err := u.Upgrade(t); err != nil {
					b.Fatal(err)
				}
			}
			answered(b, t, row.compression)
		})
		b.Run("request="+row.name+"/lib=gorilla", func(b *testing.B) {
			t := &tape{piece: piece, times: b.N}
			r, w := bufio.NewReaderSize(t, 4096), bufio.NewWriterSize(t, 4096)
			u := gorillaUpgrader(row.protocol, row.compression)
			measure(b)
			for range b.N {
				r.Reset(t)
				gorillaConn(b, u, t, r, w)
			}
			answered(b, t, row.compression)
		})
		b.Run("request="+row.name+"/lib=gws", func(b *testing.B) {
			t := &tape{piece: piece, times: b.N}
			u, r := gwsUpgrader(&gwsCounter{}, row.protocol, row.compression), bufio.NewReaderSize(t, 4096)
			measure(b)
			for range b.N {
				r.Reset(t)
				gwsConn(b, u, t, r)
			}
			answered(b, t, row.compression)
		})
	}
}

func measure(b *testing.B) {
	b.ReportAllocs()
	b.ResetTimer()
}

func complete(b *testing.B, got int) {
	b.Helper()
	if got != b.N {
		b.Fatalf("%d messages of %d", got, b.N)
	}
}

func written(b *testing.B, n int) {
	b.Helper()
	if frame := 4 + len(payload128); n != frame*b.N { // 128 does not fit into a length of one byte
		b.Fatalf("%d bytes were written, want %d", n, frame*b.N)
	}
}

// answered checks that t got one response of a plausible length for each request.
func answered(b *testing.B, t *tape, compression bool) {
	b.Helper()
	least, most := len("HTTP/1.1 101 Switching Protocols\r\n"), 192
	if compression {
		least, most = 200, 384
	}
	if each := t.written / b.N; t.times != 0 || each < least || each > most {
		b.Fatalf("%d bytes for each response, %d requests left", each, t.times)
	}
}
