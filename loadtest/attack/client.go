package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"tickcast/wsproto"
)

// A client is a WebSocket client that sends any bytes, and reads only on request.
type client struct {
	net.Conn
	r *bufio.Reader
}

const key = "dGhlIHNhbXBsZSBub25jZQ=="

// dial opens a stream. query may be empty.
func dial(addr, query string) (*client, error) {
	nc, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	c := &client{nc, bufio.NewReaderSize(nc, 4096)}
	_, _ = c.Write(wsproto.AppendRequest(nil, wsproto.ClientRequest{Host: addr, Path: "/stream" + query, Key: key}))
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	status, err := c.r.ReadString('\n')
	for line := status; err == nil && line != "\r\n"; {
		line, err = c.r.ReadString('\n')
	}
	if err == nil && !strings.Contains(status, " 101 ") {
		err = errors.New(strings.TrimSpace(status))
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// deafen makes the receive buffer small, for a client that does not read.
func (c *client) deafen() { _ = c.Conn.(*net.TCPConn).SetReadBuffer(2048) }

// send sends a text message. An error shows at the next read.
func (c *client) send(text string) {
	_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, _ = c.Write(wsproto.AppendMaskedFrame(nil, wsproto.OpText, [4]byte{1, 2, 3, 4}, []byte(text)))
}

// command sends an op about topics.
func (c *client) command(op string, topics []string, after string) {
	b, _ := json.Marshal(struct {
		Op     string   `json:"op"`
		Topics []string `json:"topics"`
		After  string   `json:"after,omitempty"`
	}{op, topics, after})
	c.send(string(b))
}

// next reads the payload of the next frame.
func (c *client) next(timeout time.Duration) ([]byte, error) {
	_ = c.SetReadDeadline(time.Now().Add(timeout))
	for size := 2; ; size++ {
		b, err := c.r.Peek(size)
		if err != nil {
			return nil, err
		}
		h, n, err := wsproto.ParseHeader(b)
		switch {
		case err != nil:
			return nil, err
		case n == 0:
			continue
		}
		_, _ = c.r.Discard(n)
		payload := make([]byte, h.Length)
		_, err = io.ReadFull(c.r, payload)
		if h.Op == wsproto.OpClose && err == nil {
			err = io.EOF
		}
		return payload, err
	}
}

// acked reads until the last page of an ack.
func (c *client) acked() error {
	for {
		b, err := c.next(10 * time.Second)
		if err != nil {
			return err
		}
		if strings.HasPrefix(string(b), `{"op":"ack"`) && !strings.Contains(string(b[:min(len(b), 120)]), `"more":true`) {
			return nil
		}
	}
}
