package main

import (
	"bufio"
	"crypto/tls"
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
	socket *net.TCPConn // of Conn
	r      *bufio.Reader
}

const key = "dGhlIHNhbXBsZSBub25jZQ=="

// A door is the way into a server.
type door struct {
	Addr   string
	Secure bool
}

// anyCertificate is the configuration of clients with TLS: the certificate of the server is made for each run.
var anyCertificate = &tls.Config{InsecureSkipVerify: true}

// connect opens a connection, without a request.
func (d *door) connect() (*client, error) {
	nc, err := net.DialTimeout("tcp", d.Addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	socket := nc.(*net.TCPConn)
	if d.Secure {
		nc = tls.Client(nc, anyCertificate)
	}
	return &client{nc, socket, bufio.NewReaderSize(nc, 4096)}, nil
}

// request returns the request for a stream, with further header lines. query may be empty.
func request(query string, lines ...string) string {
	head := string(wsproto.AppendRequest(nil, wsproto.ClientRequest{Host: "test", Path: "/stream" + query, Key: key}))
	return strings.TrimSuffix(head, "\r\n") + strings.Join(append(lines, ""), "\r\n") + "\r\n"
}

// dial opens a stream. query may be empty.
func (d *door) dial(query string, lines ...string) (*client, error) {
	c, err := d.connect()
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(c, request(query, lines...))
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
	_ = c.SetDeadline(time.Time{})
	return c, nil
}

// deafen makes the receive buffer small, for a client that does not read.
func (c *client) deafen() { _ = c.socket.SetReadBuffer(2048) }

// Close closes the socket at once.
func (c *client) Close() error { return c.socket.Close() }

// reset ends the connection with a reset.
func (c *client) reset() {
	_ = c.socket.SetLinger(0)
	_ = c.socket.Close()
}

// frame returns a text message of a client.
func frame(text string) string {
	return string(wsproto.AppendMaskedFrame(nil, wsproto.OpText, [4]byte{1, 2, 3, 4}, []byte(text)))
}

// send sends a text message. An error shows at the next read.
func (c *client) send(text string) {
	_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(c, frame(text))
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
		if h.Op == wsproto.OpPing && err == nil { // a client that answers none is closed after connection.heartbeat
			_, err = c.Write(wsproto.AppendMaskedFrame(nil, wsproto.OpPong, [4]byte{}, payload))
		}
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
