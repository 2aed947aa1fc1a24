package wsproto

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

const sampleKey, sampleAccept = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

func TestAppendRequest(t *testing.T) {
	got := string(AppendRequest([]byte("dst"), ClientRequest{
		Host: "localhost:8080", Path: "/stream?topics=a", Key: sampleKey, Origin: "http://localhost",
		Protocols: []string{"b", "a"}, Header: [][2]string{{"Authorization", "Bearer x"}, {"User-Agent", "tickload"}},
	}))
	want := "dstGET /stream?topics=a HTTP/1.1\r\nHost: localhost:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://localhost\r\n" +
		"Sec-WebSocket-Protocol: b, a\r\nAuthorization: Bearer x\r\nUser-Agent: tickload\r\n\r\n"
	if got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// A request of this package's client is answered by this package's server, and the client accepts the answer.
func TestHandshakeRoundTrip(t *testing.T) {
	for _, protocols := range [][]string{nil, {"a"}, {"x", "b", "a"}} {
		req := &ClientRequest{Host: "localhost", Key: sampleKey, Protocols: protocols}
		in := AppendRequest(nil, *req)
		r, n, err := ParseRequest(in, RequestLimits{})
		if err != nil || n != len(in) || string(r.Target) != "/" {
			t.Fatalf("%q: %d, %v", in, n, err)
		}
		if err := r.CheckUpgrade(); err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		want := r.Protocol([]string{"a", "b"})
		out := AppendUpgrade(nil, r.Key, want, Deflate{})
		frame := AppendFrame(out, OpText, []byte("early"))
		resp, n, err := ParseResponse(frame, req, RequestLimits{})
		if err != nil || n != len(out) || resp.Status != 101 || string(resp.Protocol) != want || resp.Minor != 1 {
			t.Fatalf("%q: %+v, %d, %v", out, resp, n, err)
		}
		for n := range len(out) {
			if resp, used, err := ParseResponse(out[:n], req, RequestLimits{}); used != 0 || err != nil || resp.Status != 0 {
				t.Fatalf("the first %d bytes: %+v, %d, %v", n, resp, used, err)
			}
		}
	}
}

func TestParseResponse(t *testing.T) {
	accept := "Sec-WebSocket-Accept: " + sampleAccept + "\r\n"
	const upgrade, connection = "Upgrade: websocket\r\n", "Connection: Upgrade\r\n"
	const line = "HTTP/1.1 101 Switching Protocols\r\n"
	for _, row := range []struct {
		name   string
		in     string
		status int
		want   error
	}{
		{"101", line + upgrade + connection + accept + "\r\n", 101, nil},
		{"101 in other words", "HTTP/1.1 101 \r\nConnection: foo, UPGRADE\r\nupgrade: WebSocket\r\nServer: x\r\n" + accept + "\r\n", 101, nil},
		{"101 without a reason and its space", "HTTP/1.1 101\r\n" + upgrade + connection + accept + "\r\n", 101, nil},
		{"101 with a protocol", line + upgrade + connection + accept + "Sec-WebSocket-Protocol: a\r\n\r\n", 101, nil},
		{"no Upgrade", line + connection + accept + "\r\n", 0, ErrResponseUpgrade},
		{"another Upgrade", line + "Upgrade: h2c\r\n" + connection + accept + "\r\n", 0, ErrResponseUpgrade},
		{"Upgrade in a list", line + "Upgrade: h2c, websocket\r\n" + connection + accept + "\r\n", 0, ErrResponseUpgrade},
		{"Upgrade with a version", line + "Upgrade: websocket/13\r\n" + connection + accept + "\r\n", 0, ErrResponseUpgrade},
		{"Upgrade twice", line + upgrade + upgrade + connection + accept + "\r\n", 0, ErrDuplicate},
		{"no Connection", line + upgrade + accept + "\r\n", 0, ErrResponseConnection},
		{"no Accept", line + upgrade + connection + "\r\n", 0, ErrAccept},
		{"wrong Accept", line + upgrade + connection + "Sec-WebSocket-Accept: " + sampleKey + "\r\n\r\n", 0, ErrAccept},
		{"Accept in another case", line + upgrade + connection + strings.ToUpper(accept) + "\r\n", 0, ErrAccept},
		{"two Accepts", line + upgrade + connection + accept + accept + "\r\n", 0, ErrDuplicate},
		{"two protocols", line + "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n", 0, ErrDuplicate},
		{"list of protocols", line + upgrade + connection + accept + "Sec-WebSocket-Protocol: a, b\r\n\r\n", 0, ErrResponseProtocol},
		{"a protocol that was not offered", line + upgrade + connection + accept + "Sec-WebSocket-Protocol: c\r\n\r\n", 0, ErrResponseProtocol},
		{"a protocol in another case", line + upgrade + connection + accept + "Sec-WebSocket-Protocol: A\r\n\r\n", 0, ErrResponseProtocol},
		{"empty protocol", line + upgrade + connection + accept + "Sec-WebSocket-Protocol:\r\n\r\n", 0, ErrResponseProtocol},
		{"an extension", line + upgrade + connection + accept + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 0, ErrResponseExtension},

		{"503", "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 4\r\n\r\nbody", 503, nil},
		{"426 of HTTP/1.0", "HTTP/1.0 426 \xff reason\r\n\r\n", 426, nil},

		{"bare LF", "HTTP/1.1 101\n", 0, ErrStatusLine},
		{"bare LF behind a reason", "HTTP/1.1 101 a\n", 0, ErrBareLF},
		{"bare CR", "HTTP/1.1 101\rx", 0, ErrBareCR},
		{"bad header", "HTTP/1.1 101 \r\nUpgrade : websocket\r\n\r\n", 0, ErrHeaderName},
		{"bad list", "HTTP/1.1 101 \r\nConnection: a b\r\n\r\n", 0, ErrTokenList},
		{"bad Upgrade", "HTTP/1.1 101 \r\nUpgrade: a b\r\n\r\n", 0, ErrResponseUpgrade},
		{"no HTTP", "ICY 200 OK\r\n", 0, ErrStatusLine},
		{"HTTP/2", "HTTP/2 200\r\n", 0, ErrHTTPVersion},
		{"no space before the status", "HTTP/1.1\t200 OK\r\n", 0, ErrStatusLine},
		{"status of two digits", "HTTP/1.1 20 OK\r\n", 0, ErrStatusLine},
		{"status of four digits", "HTTP/1.1 2000 OK\r\n", 0, ErrStatusLine},
		{"status below 100", "HTTP/1.1 099 OK\r\n", 0, ErrStatusLine},
		{"control byte in the reason", "HTTP/1.1 200 \x1b[2J\r\n", 0, ErrStatusLine},
		{"too many headers", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 101), 0, ErrTooManyHeaders},
		{"too long a head", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", DefaultMaxHead), 0, ErrHeadTooLarge},
		{"too long a status line", "HTTP/1.1 200 " + strings.Repeat("b", DefaultMaxHead), 0, ErrHeadTooLarge},
		{"unfinished version", "HTTP/1", 0, nil},
		{"unfinished status", "HTTP/1.1 10", 0, nil},
		{"unfinished head", line + upgrade, 0, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, n, err := ParseResponse([]byte(row.in), &ClientRequest{Key: sampleKey, Protocols: []string{"a", "b"}}, RequestLimits{})
			if err != row.want && !errors.Is(err, row.want) {
				t.Fatalf("error %v, want %v", err, row.want)
			}
			head, _, whole := strings.Cut(row.in, "\r\n\r\n")
			if err == nil && whole {
				if n != len(head)+4 || r.Status != row.status {
					t.Errorf("%d of %d, status %d", n, len(head)+4, r.Status)
				}
			} else if n != 0 || r.Status != 0 {
				t.Errorf("%d, %+v without a response", n, r)
			}
		})
	}
	r, _, err := ParseResponse([]byte("HTTP/1.1 503 x\r\nRetry-After: 5\r\n\r\n"), &ClientRequest{}, RequestLimits{})
	if err != nil || !bytes.Equal(r.RetryAfter, []byte("5")) {
		t.Errorf("Retry-After %q, %v", r.RetryAfter, err)
	}
}
