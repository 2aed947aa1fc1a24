package eventloop

import (
	"context"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"tickcast/wsproto"
)

func get(path string, lines ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: test\r\n" + headerLines(lines)
}

func headerLines(lines []string) string {
	b := strings.Builder{}
	for _, line := range lines {
		b.WriteString(line + "\r\n")
	}
	return b.String() + "\r\n"
}

// upgrade returns the opening handshake with some lines replaced by lines of the same name.
func upgrade(lines ...string) string {
	head := strings.Split(strings.TrimSuffix(request(""), "\r\n\r\n"), "\r\n")
	for i := range head {
		name, _, _ := strings.Cut(head[i], " ")
		for _, line := range lines {
			if strings.HasPrefix(line, name) {
				head[i] = line
			}
		}
	}
	return strings.Join(head, "\r\n") + "\r\n\r\n"
}

func TestHTTPAnswers(t *testing.T) {
	s := start(t)
	c := s.dial()
	c.send(get("/"))
	first, _ := c.response("GET")
	etag := first.Header.Get("ETag")
	if etag == "" {
		t.Fatal("no ETag")
	}

	const page = "<!doctype html><title>Tickcast</title>\n"
	for _, row := range []struct {
		name    string
		request string
		status  int
		header  string // a line of the response; several are separated by |
		body    string // a part of the body; "-" = there is none
		ends    bool   // the connection ends after the response
	}{
		{"page", get("/"), 200, "Content-Type: text/html; charset=utf-8|Content-Length: 39|Cache-Control: no-cache|X-Content-Type-Options: nosniff", page, false},
		{"page by HEAD", "HEAD / HTTP/1.1\r\nHost: test\r\n\r\n", 200, "Content-Length: 39|Etag: " + etag, "-", false},
		{"page with a query", get("/?v=1"), 200, "Etag: " + etag, page, false},
		{"page that the client holds", get("/", "If-None-Match: "+etag), 304, "Etag: " + etag + "|Cache-Control: no-cache", "-", false},
		{"page that the client holds among others", get("/", `If-None-Match: "old", W/`+etag), 304, "", "-", false},
		{"page that the client holds in any form", get("/", "If-None-Match: *"), 304, "", "-", false},
		{"page that the client held", get("/", `If-None-Match: "old"`), 200, "Etag: " + etag, page, false},
		{"Connection: close", get("/", "Connection: close"), 200, "Connection: close", page, true},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 200, "Connection: close", page, true},
		{"HTTP/1.0 with keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, "Connection: keep-alive", page, false},
		{"empty line before the request", "\r\n" + get("/"), 200, "", page, false},

		{"no such page", get("/nothing"), 404, "Cache-Control: no-store", "no such page", false},
		{"no such page by HEAD", "HEAD /nothing HTTP/1.1\r\nHost: test\r\n\r\n", 404, "", "-", false},
		{"poll by HEAD", "HEAD /stream HTTP/1.1\r\nHost: test\r\n\r\n", 405, "Allow: GET, POST", "-", false},
		{"path below the stream", get("/stream/"), 404, "", "", false},
		{"POST to a page", "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n", 405, "Allow: GET, HEAD", "", false},
		{"OPTIONS", "OPTIONS / HTTP/1.1\r\nHost: test\r\n\r\n", 405, "Allow: GET, HEAD", "", false},

		{"POST with a body", "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody", 400, "Connection: close", "request with a body", true},
		{"chunked body", "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411, "Connection: close", "send Content-Length", true},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", 400, "", "Host", true},
		{"two Hosts", get("/", "Host: other"), 400, "", "Host", true},
		{"absolute target", get("http://test/"), 400, "", "", true},
		{"folded header", get("/", "A: b", " c"), 400, "", "", true},
		{"bare line feeds", "GET / HTTP/1.1\nHost: test\n\n", 400, "", "", true},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "", "", true},
		{"HTTP/2.0", "GET / HTTP/2.0\r\nHost: test\r\n\r\n", 505, "", "", true},
		{"HTTP/0.9", "GET /\r\n", 505, "", "", true},
		{"TLS ClientHello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "", "", true},
		{"binary garbage", "\x00\xff\x00\xff", 400, "", "", true},
		{"words", "hello, is it me you're looking for?", 400, "", "", true},
		{"endless method", strings.Repeat("A", 40), 400, "", "", true},
		{"endless target", "GET /" + strings.Repeat("a", 9000), 414, "", "", true},
		{"endless header", get("/", "A: "+strings.Repeat("a", 9000)), 431, "Connection: close", "", true},
		{"too many headers", get("/", strings.Split(strings.Repeat("A: b|", 101), "|")[:101]...), 431, "", "", true},

		{"stream without an upgrade", get("/stream", "Sec-WebSocket-Key: "+testKey, "Sec-WebSocket-Version: 13"), 426, "Upgrade: websocket", "", true},
		{"stream without topics", get("/stream"), 400, "Cache-Control: no-store", "topics is missing", true},
		{"stream by POST", "POST" + strings.TrimPrefix(upgrade(), "GET"), 405, "Allow: GET", "", true},
		{"old version", upgrade("Sec-WebSocket-Version: 8"), 426, "Sec-Websocket-Version: 13|Upgrade: websocket", "", true},
		{"no version", upgrade("Sec-WebSocket-Version: "), 426, "Sec-Websocket-Version: 13", "", true},
		{"key without Upgrade", get("/stream", "Sec-WebSocket-Key: "+testKey), 426, "Upgrade: websocket", "", true},
		{"version without Upgrade", get("/stream", "Connection: close", "Sec-WebSocket-Version: 13"), 426, "Upgrade: websocket", "", true},
		{"short key", upgrade("Sec-WebSocket-Key: c2hvcnQ="), 400, "", "Sec-WebSocket-Key", true},
		{"no Connection: Upgrade", upgrade("Connection: keep-alive"), 400, "", "Connection", true},
		{"upgrade by HTTP/1.0", upgrade("GET /stream HTTP/1.0"), 400, "", "HTTP/1.1", true},
		{"topic in place of topics", string(request("topic=px.A")), 400, "", "did you mean topics?", true},
		{"raw wildcard in the query", "GET /stream?topics=px.> HTTP/1.1\r\n", 400, "", "%3E", true},
		{"list of topics that is none", string(request("topics=%5B1%5D")), 400, "", "JSON list", true},
		{"malformed query", string(request("topics=%zz")), 400, "", "query", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := s.dial()
			c.t = t
			c.send(row.request)
			method, _, _ := strings.Cut(row.request, " ")
			r, body := c.response(method)
			if r.StatusCode != row.status {
				t.Fatalf("%s, want %d", r.Status, row.status)
			}
			for line := range strings.SplitSeq(row.header, "|") {
				name, value, _ := strings.Cut(line, ": ")
				if line != "" && !has(r, name, value) {
					t.Errorf("no %s among %v", line, r.Header)
				}
			}
			if _, err := http.ParseTime(r.Header.Get("Date")); err != nil {
				t.Error(err)
			}
			if row.body == "-" && body != "" || row.body != "-" && !strings.Contains(body, row.body) {
				t.Errorf("body %q, want %q", body, row.body)
			}
			if row.ends {
				c.ended()
				return
			}
			c.send(get("/")) // the next request on the same connection
			if r, body := c.response("GET"); r.StatusCode != 200 || body != page {
				t.Errorf("next request: %s %q", r.Status, body)
			}
		})
	}
}

// ab speaks HTTP/1.0: with -k it asks for keep-alive, and waits for ever unless the answer says that it is granted.
func TestApacheBenchKeepsItsConnections(t *testing.T) {
	ab, err := exec.LookPath("ab")
	if err != nil {
		t.Skip("no ab in PATH")
	}
	clearTextOnly(t)
	s := start(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, ab, "-k", "-q", "-n", "200", "-c", "4", "http://"+s.addr+"/").CombinedOutput()
	for _, want := range []string{"Complete requests:      200\n", "Keep-Alive requests:    200\n", "Failed requests:        0\n"} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("%v, without %q:\n%s", err, want, out)
		}
	}
}

// has reports whether value is one of the values of r's header of that name.
func has(r *http.Response, name, value string) bool {
	if name == "Connection" && value == "close" {
		return r.Close // net/http takes it out
	}
	for _, v := range r.Header.Values(name) {
		if v == value {
			return true
		}
	}
	return false
}

// RFC 9110 section 7.8: Upgrade names hop-by-hop protocols, so Connection must name Upgrade. net/http hides that header.
func TestUpgradeRequiredNamesItInConnection(t *testing.T) {
	s := start(t)
	for _, req := range []string{get("/stream", "Sec-WebSocket-Key: "+testKey), upgrade("Sec-WebSocket-Version: 8")} {
		c := s.dial()
		c.send(req)
		b, err := io.ReadAll(c.r)
		if err != nil || !strings.Contains(string(b), "\r\nConnection: Upgrade\r\n") || !strings.Contains(string(b), "\r\nConnection: close\r\n") {
			t.Errorf("%q, %v", b, err)
		}
	}
}

// dripped sends s byte by byte, each in a segment of its own as far as the kernel lets it.
func (c *client) dripped(s string) {
	c.t.Helper()
	for i := range len(s) {
		c.send(s[i : i+1])
	}
}

func TestRequestByteByByte(t *testing.T) {
	s := start(t)
	c := s.dial()
	for range 2 {
		c.dripped(get("/"))
		if r, _ := c.response("GET"); r.StatusCode != 200 {
			t.Fatal(r.Status)
		}
	}
	c.dripped(request(""))
	c.upgraded()
	c.dripped(masked(wsproto.OpText, `{"op":"ping","id":7}`))
	c.expect(`{"op":"ack","id":7`)
	s.onConns(func(_ *loop, c *conn) {
		if c.extra != nil || !c.decoder.Idle() {
			t.Error("the open connection holds a buffer")
		}
	})
}

func TestPipelinedRequests(t *testing.T) {
	s := start(t)
	c := s.dial()
	const n = 100
	c.send(strings.Repeat(get("/"), n) + get("/nothing") + "HEAD / HTTP/1.1\r\nHost: test\r\n\r\n" + get("/big.js", "Connection: close") + get("/"))
	for range n {
		if r, _ := c.response("GET"); r.StatusCode != 200 {
			t.Fatal(r.Status)
		}
	}
	if r, _ := c.response("GET"); r.StatusCode != 404 {
		t.Error(r.Status)
	}
	if r, _ := c.response("HEAD"); r.StatusCode != 200 {
		t.Error(r.Status)
	}
	if r, body := c.response("GET"); r.StatusCode != 200 || len(body) != 300<<10 {
		t.Error(r.Status, len(body))
	}
	c.ended() // after Connection: close no request is answered
}

// A request, the upgrade and the first frames, all before the first answer is read.
func TestUpgradeAndFramesInOneSegment(t *testing.T) {
	s := start(t)
	c := s.dial()
	c.send(get("/") + request("") +
		masked(wsproto.OpText, `{"op":"sub","id":1,"topics":["a"]}`) + masked(wsproto.OpPing, "now") + closeFrame(1000, "bye"))
	if r, _ := c.response("GET"); r.StatusCode != 200 {
		t.Fatal(r.Status)
	}
	c.upgraded()
	c.expect(`{"op":"ack","id":1`)
	if m := c.frame(wsproto.OpPong); string(m.Payload) != "now" {
		t.Errorf("pong %q", m.Payload)
	}
	c.expectClose(1000)
	c.ended()
	s.closedWith(1000)
}
