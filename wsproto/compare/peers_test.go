package compare

import (
	"bufio"
	"net"
	"net/http"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/lxzan/gws"
)

// chromeRequest is the request of Chrome for new WebSocket("ws://localhost:8080/stream?topics=px.AAPL", ["tickcast.v1.json"]).
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
	"Sec-WebSocket-Protocol: tickcast.v1.json\r\n" +
	"\r\n"

// shortRequest has only the fields that RFC 6455 requires.
const shortRequest = "GET /stream HTTP/1.1\r\n" +
	"Host: localhost:8080\r\n" +
	"Upgrade: websocket\r\n" +
	"Connection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Sec-WebSocket-Version: 13\r\n" +
	"\r\n"

const subprotocol = "tickcast.v1.json"

// hijacker passes a connection to a handler of net/http.
type hijacker struct {
	http.ResponseWriter
	conn net.Conn
	rw   *bufio.ReadWriter
}

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.conn, h.rw, nil }
func (h hijacker) Header() http.Header                          { return http.Header{} }
func (h hijacker) WriteHeader(int)                              {}

func gorillaUpgrader(protocol, compression bool) *websocket.Upgrader {
	u := &websocket.Upgrader{
		EnableCompression: compression,
		CheckOrigin:       func(*http.Request) bool { return true }, // the other libraries do not check it
	}
	if protocol {
		u.Subprotocols = []string{subprotocol}
	}
	return u
}

// gorillaConn upgrades t. The next bytes of its reader r are the request.
func gorillaConn(tb testing.TB, u *websocket.Upgrader, t *tape, r *bufio.Reader, w *bufio.Writer) *websocket.Conn {
	request, err := http.ReadRequest(r)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := u.Upgrade(hijacker{conn: t, rw: bufio.NewReadWriter(r, w)}, request, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// gwsUpgrader returns an upgrader whose connections check text, as those of the other libraries do.
func gwsUpgrader(handler gws.Event, protocol, compression bool) *gws.Upgrader {
	o := &gws.ServerOption{
		CheckUtf8Enabled: true, ReadMaxPayloadSize: maxMessage, WriteMaxPayloadSize: maxMessage,
		PermessageDeflate: gws.PermessageDeflate{Enabled: compression},
	}
	if protocol {
		o.SubProtocols = []string{subprotocol}
	}
	return gws.NewUpgrader(handler, o)
}

// gwsConn upgrades t. The next bytes of its reader r are the request.
func gwsConn(tb testing.TB, u *gws.Upgrader, t *tape, r *bufio.Reader) *gws.Conn {
	request, err := http.ReadRequest(r)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := u.UpgradeFromConn(t, r, request)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// recorded returns a tape that plays the request and then piece n times, and a reader of it.
func recorded(piece []byte, n int) (*tape, *bufio.Reader) {
	t := &tape{piece: piece, times: n, rest: []byte(chromeRequest)}
	return t, bufio.NewReaderSize(t, 4096)
}
