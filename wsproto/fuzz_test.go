package wsproto

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzHeader checks that AppendHeader writes a parsed header back to the same bytes, and that other bytes give an error.
func FuzzHeader(f *testing.F) {
	for _, length := range boundaries {
		f.Add(AppendHeader(nil, Header{Fin: true, Op: OpText, Length: length}))
		f.Add(AppendHeader(nil, Header{RSV: 5, Op: 11, Masked: true, Key: [4]byte{1, 2, 3, 4}, Length: length}))
	}
	f.Add([]byte{0x82, 0x7E, 0, 125})
	f.Add([]byte{0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		h, n, err := ParseHeader(in)
		if err != nil {
			if n != 0 || !errors.Is(err, ErrNonMinimalLength) && !errors.Is(err, ErrLengthOverflow) {
				t.Fatalf("% x: %d, %v", in, n, err)
			}
			return
		}
		if n == 0 {
			if len(in) >= maxHeader {
				t.Fatalf("% x: wants more", in)
			}
			return
		}
		if out := AppendHeader(nil, h); !bytes.Equal(out, in[:n]) {
			t.Fatalf("% x: %+v, written back as % x", in[:n], h, out)
		}
		if h.Length < 0 || !h.Masked && h.Key != [4]byte{} {
			t.Fatalf("% x: %+v", in, h)
		}
	})
}

// FuzzDecoder checks that cuts in a stream change neither its messages nor its error, in bounded memory. decode checks the
// bound.
func FuzzDecoder(f *testing.F) {
	for _, v := range readVectors(f) {
		if len(v.in) < 4096 {
			f.Add(v.in, []byte{1, 2, 3}, uint16(v.cfg.MaxMessage), v.cfg.Client, v.cfg.deflates(), v.cfg.Deflate.ClientTakeover)
			f.Add(v.in, []byte{7}, uint16(200), v.cfg.Client, true, false)
		}
	}
	f.Fuzz(func(t *testing.T, in, cuts []byte, most uint16, client, deflate, takeover bool) {
		cfg := &Config{MaxMessage: int64(most), Client: client}
		if deflate {
			cfg.Inflater = new(Inflater)
			cfg.Deflate = Deflate{ServerWindowBits: 15, ClientWindowBits: 9, ServerTakeover: takeover, ClientTakeover: takeover}
		}
		want, wantDecoder, wantErr := decode(cfg, in)
		var pieces [][]byte
		for rest, i := in, 0; len(rest) > 0; i++ {
			n := 1
			if len(cuts) > 0 {
				n = int(cuts[i%len(cuts)])%len(rest) + 1
			}
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		got, gotDecoder, gotErr := decode(cfg, pieces...)
		if !slices.Equal(got, want) || gotErr != wantErr {
			t.Fatalf("% x\nwhole: %q, %v\ncut:   %q, %v", in, want, wantErr, got, gotErr)
		}
		if wantErr == nil && gotDecoder.Idle() != wantDecoder.Idle() {
			t.Fatalf("% x: idle %v whole, %v cut", in, wantDecoder.Idle(), gotDecoder.Idle())
		}
		var e *ProtocolError
		if wantErr != nil && !errors.As(wantErr, &e) {
			t.Fatal(wantErr)
		}
	})
}

// FuzzRequest checks that no request causes a panic, that the result does not depend on the cuts of the input, and that
// requests that net/http accepts too have the same meaning there.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(chromeRequest))
	f.Add([]byte(upgradeRequest()))
	f.Add(AppendRequest(nil, ClientRequest{Host: "a", Key: sampleKey, Protocols: []string{"a", "b"}}))
	for _, row := range badRequests {
		f.Add([]byte(strings.Replace(row.in, "<!>", "", 1)))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		lim := RequestLimits{MaxBytes: 1024, MaxHeaders: 20}
		r, n, err := ParseRequest(in, lim)
		verdict := false
		for cut := range len(in) + 1 {
			_, m, e := ParseRequest(in[:cut], lim)
			if verdict && (m != n || e != err) {
				t.Fatalf("%q: %d, %v; but %d bytes give %d, %v", in, n, err, cut, m, e)
			}
			if m > 0 || e != nil {
				if m != n || e != err {
					t.Fatalf("%q: %d, %v; but %d bytes give %d, %v", in, n, err, cut, m, e)
				}
				verdict = true
			}
		}
		if n == 0 {
			var as *RequestError
			if err != nil && !errors.As(err, &as) {
				t.Fatal(err)
			}
			return
		}
		if n > lim.MaxBytes || !bytes.HasSuffix(in[:n], []byte("\r\n\r\n")) {
			t.Fatalf("%q: %d", in, n)
		}
		upgradeErr := r.CheckUpgrade()
		if upgradeErr == nil && (r.Host == nil || len(r.Key) != 24) {
			t.Fatalf("%q passed", in)
		}
		std, stdErr := http.ReadRequest(bufio.NewReader(bytes.NewReader(bytes.TrimPrefix(in[:n], []byte("\r\n")))))
		if stdErr != nil {
			// net/url is stricter with percent-encoding and with brackets, which browsers leave unescaped.
			if _, urlErr := errors.AsType[*url.Error](stdErr); !urlErr {
				t.Fatalf("%q: only net/http refuses it: %v", in, stdErr)
			}
			return
		}
		if std.Method != string(r.Method) || std.RequestURI != string(r.Target) || std.Host != string(r.Host) ||
			std.URL.RawQuery != string(r.Query) || std.ProtoMinor != int(r.Minor) {
			t.Fatalf("%q\nnet/http: %s %s %s %q\nwsproto:  %s %s %s %q", in, std.Method, std.RequestURI, std.Host, std.URL.RawQuery,
				r.Method, r.Target, r.Host, r.Query)
		}
		if std.ContentLength != 0 || len(std.TransferEncoding) != 0 {
			t.Fatalf("%q has a body", in)
		}
		if upgradeErr == nil && std.Header.Get("Sec-WebSocket-Key") != string(r.Key) {
			t.Fatalf("%q: another key", in)
		}
	})
}

// FuzzResponse checks that no response causes a panic, and that the result does not depend on the cuts of the input.
func FuzzResponse(f *testing.F) {
	f.Add(AppendUpgrade(nil, []byte(sampleKey), "a", Deflate{}))
	f.Add([]byte("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		lim := RequestLimits{MaxBytes: 1024, MaxHeaders: 20}
		req := &ClientRequest{Key: sampleKey, Protocols: []string{"a", "b"}}
		r, n, err := ParseResponse(in, req, lim)
		for cut := range len(in) + 1 {
			if _, m, e := ParseResponse(in[:cut], req, lim); (m > 0 || e != nil) && (m != n || e != err) {
				t.Fatalf("%q: %d, %v; but %d bytes give %d, %v", in, n, err, cut, m, e)
			}
		}
		if n > 0 && (r.Status < 100 || r.Status > 999 || r.Status == 101 && !bytes.Contains(in[:n], []byte(sampleAccept))) {
			t.Fatalf("%q: %+v", in, r)
		}
	})
}

// FuzzUTF8 checks that the result is the standard library's at any split, and comes as early as possible.
func FuzzUTF8(f *testing.F) {
	for _, row := range badUTF8 {
		f.Add([]byte("some text before "+row.s), uint8(3))
	}
	f.Add([]byte("$¢€😀 and plain ASCII for a while, κόσμε"), uint8(9))
	f.Fuzz(func(t *testing.T, in []byte, cut uint8) {
		a := int(cut) % (len(in) + 1)
		s := stepUTF8(utf8Start, in)
		if split := stepUTF8(stepUTF8(utf8Start, in[:a]), in[a:]); split != s {
			t.Fatalf("% x: state %d, split at %d %d", in, s, a, split)
		}
		if (s == utf8Start) != utf8.Valid(in) {
			t.Fatalf("% x: state %d, utf8.Valid %v", in, s, utf8.Valid(in))
		}
		if _, prefix := utf8Oracle(in); prefix != (s != utf8Bad) {
			t.Fatalf("% x: state %d, but may become text: %v", in, s, prefix)
		}
	})
}
