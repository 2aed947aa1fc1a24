package eventloop_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// A peer is a client's end of a WebSocket. It sends any frames, right or wrong.
type peer struct {
	net.Conn
	r      *bufio.Reader
	agreed []string // the lines of the server's Sec-WebSocket-Extensions
}

// dial opens a WebSocket that offers extensions, each a line of Sec-WebSocket-Extensions.
func (s *suite) dial(t *testing.T, extensions ...string) *peer {
	t.Helper()
	nc, err := net.DialTimeout("tcp", s.addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	const key = "x3JJHMbDL1EzLkh9GBhXDw=="
	request := "GET " + echoPath + " HTTP/1.1\r\nHost: " + s.addr + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n"
	for _, line := range extensions {
		request += "Sec-WebSocket-Extensions: " + line + "\r\n"
	}
	if _, err := io.WriteString(nc, request+"\r\n"); err != nil {
		t.Fatal(err)
	}
	p := &peer{Conn: nc, r: bufio.NewReaderSize(nc, 64<<10)}
	response, err := http.ReadResponse(p.r, &http.Request{Method: "GET"})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	h := response.Header
	if response.StatusCode != 101 || !strings.EqualFold(h.Get("Upgrade"), "websocket") || !strings.EqualFold(h.Get("Connection"), "upgrade") ||
		h.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]) || h["Sec-Websocket-Protocol"] != nil {
		t.Fatalf("answered %s %v", response.Status, h)
	}
	p.agreed = h["Sec-Websocket-Extensions"]
	return p
}

// A cut splits a stream of frames into writes: of that many bytes each, or one of these.
type cut int

const (
	atOnce   cut = 0   // one write for all
	byFrame  cut = -1  // one for each frame
	bytewise cut = 1   // one for each byte
	chopped  cut = 997 // pieces that end anywhere
)

func (c cut) String() string {
	switch c {
	case atOnce:
		return "at once"
	case byFrame:
		return "frame by frame"
	case bytewise:
		return "byte by byte"
	}
	return fmt.Sprintf("by %d bytes", int(c))
}

// write sends frames. It gives up when the server has ended the connection: the answers until then show whether that was right.
func (p *peer) write(how cut, frames ...frame) {
	if how == byFrame {
		for _, f := range frames {
			p.write(atOnce, f)
		}
		return
	}
	room := 0
	for _, f := range frames {
		room += len(f.payload) + 14
	}
	b := make([]byte, 0, room)
	for _, f := range frames {
		b = f.appendTo(b)
	}
	size := int(how)
	if how == atOnce {
		size = max(len(b), 1)
	}
	for piece := range slices.Chunk(b, size) {
		if _, err := p.Write(piece); err != nil {
			return
		}
	}
}

// expect reads frames and compares them with the wanted ones.
func (p *peer) expect(t *testing.T, want ...frame) {
	t.Helper()
	for _, f := range want {
		if got, err := readFrame(p.r); err != nil || !got.same(f) {
			t.Fatalf("want %v\n got %v, %v", f, got, err)
		}
	}
}

// expectClose reads a close frame with code, and then the orderly end of the connection: the close frame is the last frame.
func (p *peer) expectClose(t *testing.T, code uint16) {
	t.Helper()
	p.expect(t, closing(code, ""))
	if left, err := io.ReadAll(p.r); err != nil || len(left) > 0 {
		t.Fatalf("behind the close frame: % x, %v", left, err)
	}
}

// answers reads until the end of the connection. The error reports any end but one close frame.
func (p *peer) answers() (got []frame, err error) {
	for {
		f, err := readFrame(p.r)
		if err != nil {
			return got, fmt.Errorf("no close frame: %w", err)
		}
		got = append(got, f)
		if f.op != opClose {
			continue
		}
		if len(f.payload) > 2 && !utf8.ValidString(f.payload[2:]) {
			return got, fmt.Errorf("the reason is not UTF-8")
		}
		left, err := io.ReadAll(p.r)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("behind the close frame: % x", left)
		}
		return got, err
	}
}

// An exchange holds the frames that are sent on a connection of its own, and all frames that must come back. If these do not end
// with a close frame, both sides close with 1000.
type exchange struct {
	name string
	send []frame
	want []frame
}

// play runs an exchange once for each cut.
func (s *suite) play(t *testing.T, e exchange, cuts ...cut) { s.playOffering(t, nil, e, cuts...) }

// playOffering is play with lines of Sec-WebSocket-Extensions.
func (s *suite) playOffering(t *testing.T, extensions []string, e exchange, cuts ...cut) {
	send, want := e.send, e.want
	if n := len(want); n == 0 || want[n-1].op != opClose {
		bye := closing(1000, "")
		send = append(slices.Clip(send), bye)
		want = append(slices.Clip(want), bye)
	}
	for _, how := range cuts {
		s.run(t, e.name+", "+how.String(), func(t *testing.T) {
			p := s.dial(t, extensions...)
			written := make(chan struct{})
			go func() {
				defer close(written)
				p.write(how, send...)
			}()
			got, err := p.answers()
			if err != nil || !slices.EqualFunc(got, want, frame.same) {
				t.Errorf("sent %v\nwant %v\n got %v, %v%s", send, want, got, err, inHex(send))
			}
			p.Close()
			<-written
		})
	}
}

// inHex shows the bytes that were sent, if they are few.
func inHex(frames []frame) string {
	var b []byte
	for _, f := range frames {
		if len(f.payload) > 256 {
			return ""
		}
		b = f.appendTo(b)
	}
	return fmt.Sprintf("\nbytes % x", b)
}
