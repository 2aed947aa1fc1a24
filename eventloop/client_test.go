package eventloop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tickcast/wsproto"
)

// testKey and testAccept are the handshake of RFC 6455 section 1.3.
const (
	testKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	testAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// A client is a raw connection: it sends any bytes, right or wrong.
type client struct {
	net.Conn
	t          testing.TB
	r          *bufio.Reader
	frames     *wsproto.Config
	decoder    wsproto.Decoder
	rest       []byte // bytes that were read and not decoded
	room       [4096]byte
	compressed bool // whether the last message was compressed
}

// dial connects. Reads and writes that take longer than patience fail.
func (s *server) dial() *client {
	s.t.Helper()
	return s.dialWith(net.Dialer{Timeout: patience})
}

func (s *server) dialWith(d net.Dialer) *client {
	s.t.Helper()
	nc, err := d.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.clientOf(s.secured(nc))
}

// clientOf returns the client on a connection.
func (s *server) clientOf(nc net.Conn) *client {
	_ = nc.SetDeadline(time.Now().Add(patience))
	s.t.Cleanup(func() { nc.Close() })
	return newClient(s.t, nc)
}

func newClient(t testing.TB, nc net.Conn) *client {
	_ = nc.SetDeadline(time.Now().Add(patience))
	return &client{Conn: nc, t: t, r: bufio.NewReader(nc), frames: &clientFrames}
}

// tcp returns the connection below TLS.
func (c *client) tcp() *net.TCPConn { return tcpOf(c.Conn) }

// request is an opening handshake for the stream; query may be empty.
func request(query string) string {
	if query != "" {
		query = "?" + query
	}
	return string(wsproto.AppendRequest(nil, wsproto.ClientRequest{Host: "test", Path: "/stream" + query, Key: testKey}))
}

// open connects, upgrades and reads the greeting.
func (s *server) open(query string) *client {
	s.t.Helper()
	c := s.dial()
	c.send(request(query))
	c.upgraded()
	return c
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// response reads a response to a request with method.
func (c *client) response(method string) (*http.Response, string) {
	c.t.Helper()
	r, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("no response: %v", err)
	}
	if r.StatusCode == http.StatusSwitchingProtocols {
		return r, ""
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatalf("body: %v", err)
	}
	return r, string(body)
}

// upgraded reads the response to an upgrade, and the greeting.
func (c *client) upgraded() *http.Response {
	c.t.Helper()
	r, body := c.response("GET")
	if r.StatusCode != 101 {
		c.t.Fatalf("not upgraded: %s %q", r.Status, body)
	}
	c.expect(`{"op":"hello"`)
	return r
}

// atEnd checks that the server's side ends in order, without a further byte and without a reset.
func (c *client) atEnd() {
	c.t.Helper()
	if left, err := io.ReadAll(c.r); err != nil || len(left)+len(c.rest) > 0 {
		c.t.Fatalf("want the end of the connection, got %q, %q, %v", c.rest, left, err)
	}
}

// ended is atEnd, and then the client ends its own side.
func (c *client) ended() {
	c.t.Helper()
	c.atEnd()
	c.Close()
}

var (
	clientFrames = wsproto.Config{Client: true, MaxMessage: 1 << 20}
	clientMask   = [4]byte{0xde, 0xad, 0xbe, 0xef}
)

func masked(op wsproto.Opcode, payload string) string {
	return string(wsproto.AppendMaskedFrame(nil, op, clientMask, []byte(payload)))
}

// fragment returns a frame that may be a part of a message.
func fragment(fin bool, op wsproto.Opcode, payload string) string {
	b := wsproto.AppendHeader(nil, wsproto.Header{Fin: fin, Op: op, Masked: true, Key: clientMask, Length: int64(len(payload))})
	b = append(b, payload...)
	wsproto.Mask(b[len(b)-len(payload):], clientMask, 0)
	return string(b)
}

func closeFrame(code wsproto.StatusCode, reason string) string {
	return masked(wsproto.OpClose, string(wsproto.AppendCloseBody(nil, code, reason)))
}

func (c *client) command(s string) {
	c.t.Helper()
	c.send(masked(wsproto.OpText, s))
}

// next reads a message or control frame.
func (c *client) next() (wsproto.Message, error) {
	for {
		for len(c.rest) == 0 {
			n, err := c.r.Read(c.room[:])
			if n == 0 && err != nil { // crypto/tls returns the end with the last bytes
				return wsproto.Message{}, err
			}
			c.rest = c.room[:n]
		}
		if c.decoder.Idle() {
			c.compressed = c.rest[0]&wsproto.RSV1Bit != 0
		}
		m, n, err := c.decoder.Next(c.frames, c.rest)
		c.rest = c.rest[n:]
		if err != nil || m.Op != wsproto.OpContinuation {
			m.Payload = bytes.Clone(m.Payload)
			return m, err
		}
	}
}

// frame reads a message or control frame with opcode op.
func (c *client) frame(op wsproto.Opcode) wsproto.Message {
	c.t.Helper()
	m, err := c.next()
	if err != nil || m.Op != op {
		c.t.Fatalf("want a frame %v, got %v %d %q, %v", op, m.Op, m.Code, m.Payload, err)
	}
	return m
}

// expect reads a text message that begins with prefix.
func (c *client) expect(prefix string) string {
	c.t.Helper()
	text := string(c.frame(wsproto.OpText).Payload)
	if !strings.HasPrefix(text, prefix) {
		c.t.Fatalf("want a message %s..., got %s", prefix, text)
	}
	return text
}

// expectClose reads a close frame with code and then the end of the connection.
func (c *client) expectClose(code wsproto.StatusCode) {
	c.t.Helper()
	if m := c.frame(wsproto.OpClose); m.Code != code {
		c.t.Fatalf("closed with %d %q, want %d", m.Code, m.Payload, code)
	}
}

// subscribe subscribes to topic and reads the answer.
func (c *client) subscribe(topic string) {
	c.t.Helper()
	c.command(`{"op":"sub","id":1,"topics":["` + topic + `"]}`)
	c.expect(`{"op":"ack","id":1`)
}

// An update is a data message, see PROTOCOL.md.
type update struct {
	Op        string          `json:"op"`
	Topic     string          `json:"t"`
	Seq       uint64          `json:"s"`
	Kind      string          `json:"k"`
	Data      json.RawMessage `json:"d"`
	Conflated uint64          `json:"conflated"`
}

// update reads and parses a data message.
func (c *client) update() update {
	c.t.Helper()
	m := c.frame(wsproto.OpText)
	var u update
	if err := json.Unmarshal(m.Payload, &u); err != nil {
		c.t.Fatalf("%s: %v", m.Payload, err)
	}
	return u
}

// growing reads updates until the one with sequence last, with a pause before each read. It fails if sequences do not grow.
func (c *client) growing(last uint64, pause time.Duration) error {
	for seq := uint64(0); seq < last; {
		time.Sleep(pause)
		m, err := c.next()
		if err != nil {
			return err
		}
		var u update
		if err := json.Unmarshal(m.Payload, &u); err != nil {
			return err
		}
		if u.Op == "lag" {
			continue
		}
		if u.Seq <= seq {
			return fmt.Errorf("message %d after %d", u.Seq, seq)
		}
		seq = u.Seq
	}
	return nil
}
