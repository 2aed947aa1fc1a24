package wsproto_test

import (
	"errors"
	"fmt"

	"tickcast/wsproto"
)

// The server's part of the opening handshake.
func ExampleParseRequest() {
	in := wsproto.AppendRequest(nil, wsproto.ClientRequest{
		Host: "localhost:8080", Path: "/stream?topics=px.AAPL", Key: "dGhlIHNhbXBsZSBub25jZQ==",
		Protocols: []string{"tickcast.v1.bin", "tickcast.v1.json"},
	})

	r, n, err := wsproto.ParseRequest(in, wsproto.RequestLimits{})
	if err == nil && n > 0 {
		err = r.CheckUpgrade()
	}
	var refused *wsproto.RequestError
	switch {
	case errors.As(err, &refused):
		fmt.Println("answer", refused.Status, refused.Reason)
	case n == 0:
		fmt.Println("read more")
	default:
		out := wsproto.AppendUpgrade(nil, r.Key, r.Protocol([]string{"tickcast.v1.json"}), wsproto.Deflate{})
		fmt.Printf("%s?%s\n%q\n", r.Path, r.Query, out[:len("HTTP/1.1 101")])
	}
	// Output:
	// /stream?topics=px.AAPL
	// "HTTP/1.1 101"
}

// Frames arrive in pieces and become whole messages. A broken rule is an error with its close code.
func ExampleDecoder_Next() {
	stream := wsproto.AppendMaskedFrame(nil, wsproto.OpPing, [4]byte{1, 2, 3, 4}, []byte("are you there"))
	stream = wsproto.AppendMaskedFrame(stream, wsproto.OpText, [4]byte{5, 6, 7, 8}, []byte("Hello"))
	stream = wsproto.AppendFrame(stream, wsproto.OpText, []byte("unmasked")) // forbidden for a client

	var d wsproto.Decoder
	for _, b := range [][]byte{stream[:10], stream[10:]} {
		for len(b) > 0 {
			m, n, err := d.Next(nil, b)
			var broken *wsproto.ProtocolError
			if errors.As(err, &broken) {
				fmt.Printf("% x\n", wsproto.AppendClose(nil, broken.Code, "")) // and close the connection
				return
			}
			if m.Op != wsproto.OpContinuation {
				fmt.Printf("%v %q\n", m.Op, m.Payload)
			}
			b = b[n:]
		}
	}
	// Output:
	// ping "are you there"
	// text "Hello"
	// 88 02 03 ea
}
