package wsproto

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// chromeRequest is Chrome's request for new WebSocket("ws://localhost:8080/stream?topics=px.AAPL").
const chromeRequest = "GET /stream?topics=px.AAPL HTTP/1.1\r\n" +
	"Host: localhost:8080\r\n" +
	"Connection: Upgrade\r\n" +
	"Pragma: no-cache\r\n" +
	"Cache-Control: no-cache\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36\r\n" +
	"Upgrade: websocket\r\n" +
	"Origin: http://localhost:8080\r\n" +
	"Sec-WebSocket-Version: 13\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-US,en;q=0.9\r\n" +
	"Cookie: session=0123456789abcdef0123456789abcdef\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" +
	"Sec-WebSocket-Protocol: tickcast.v1.bin, tickcast.v1.json\r\n" +
	"\r\n"

func BenchmarkDecodeText128(b *testing.B) {
	frame := AppendMaskedFrame(nil, OpText, [4]byte{1, 2, 3, 4}, bytes.Repeat([]byte("x"), 128))
	in := make([]byte, len(frame))
	var d Decoder
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		copy(in, frame) // Next unmasks in place
		if m, n, err := d.Next(nil, in); m.Op != OpText || n != len(in) || err != nil {
			b.Fatal(m, n, err)
		}
	}
}

func BenchmarkDecodeCut64K(b *testing.B) {
	frame := AppendMaskedFrame(nil, OpText, [4]byte{1, 2, 3, 4}, bytes.Repeat([]byte("x"), 64<<10))
	in := make([]byte, len(frame))
	cfg := &Config{MaxMessage: 1 << 20}
	var d Decoder
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		copy(in, frame)
		for i := 0; i < len(in); {
			_, n, err := d.Next(cfg, in[i:min(i+1448, len(in))])
			if i += n; err != nil {
				b.Fatal(err)
			}
		}
		if !d.Idle() {
			b.Fatal("message not complete")
		}
	}
}

func BenchmarkAppendFrame128(b *testing.B) {
	payload := bytes.Repeat([]byte("x"), 128)
	var dst []byte
	b.SetBytes(128)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendFrame(dst[:0], OpText, payload)
	}
}

func BenchmarkParseRequest(b *testing.B) {
	in := []byte(chromeRequest)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if r, n, err := ParseRequest(in, RequestLimits{}); n != len(in) || err != nil || !r.Upgrade {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkCheckUpgrade(b *testing.B) {
	r, _, err := ParseRequest([]byte(chromeRequest), RequestLimits{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := r.CheckUpgrade(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendUpgrade(b *testing.B) {
	key := []byte("dGhlIHNhbXBsZSBub25jZQ==")
	dst := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendUpgrade(dst[:0], key, "tickcast.v1.json", Deflate{})
	}
}

func BenchmarkMask(b *testing.B) {
	for _, size := range []int{16, 128, 1024, 16 << 10} {
		buf, key := make([]byte, size), [4]byte{1, 2, 3, 4}
		wide := bytes.Repeat(key[:], size/4)
		src := make([]byte, size)
		for _, f := range []struct {
			name string
			run  func()
		}{
			{"Mask", func() { Mask(buf, key, 1) }},
			{"naive", func() { naiveMask(buf, key, 1) }},
			{"xorbytes", func() { subtle.XORBytes(buf, buf, wide) }}, // the bound of assembly code, with the key expanded beforehand
			{"copy", func() { copy(buf, src) }},
		} {
			b.Run(fmt.Sprintf("%s/%d", f.name, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					f.run()
				}
			})
		}
	}
}

func BenchmarkUTF8(b *testing.B) {
	for _, text := range []struct{ name, s string }{
		{"ascii", `{"op":"sub","id":2,"topics":["px.AAPL","px.FX.*"],"rate":"250ms"}`},
		{"mixed", `{"op":"pub","id":4,"topic":"chat.room1","data":{"text":"Grüße aus Köln, señor"}}`},
		{"greek", "Ὦ ξεῖν', ἀγγέλλειν Λακεδαιμονίοις ὅτι τῇδε κείμεθα, τοῖς κείνων ῥήμασι πειθόμενοι. "},
		{"chinese", "消息从服务器推送到一百万个客户端连接"},
	} {
		p := []byte(strings.Repeat(text.s, 4096/len(text.s)))
		b.Run("wsproto/"+text.name, func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				if !validUTF8(p) {
					b.Fatal("not valid")
				}
			}
		})
		b.Run("stdlib/"+text.name, func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				if !utf8.Valid(p) {
					b.Fatal("not valid")
				}
			}
		})
	}
}
