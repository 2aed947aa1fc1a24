package main

import (
	"bytes"
	"compress/flate"
	"strings"
)

// onDeflate are attacks with compressed messages.
var onDeflate = []attack{
	{name: "compressed messages that become 10 MB", keys: "limits.max_message_size",
		run: shouting(deflating + compressed(strings.Repeat("a", 10<<20))), counts: `websockets_closed_total{code="1009"}`},
	{name: "data that is not DEFLATE", keys: "close 1007",
		run: shouting(deflating + rawFrame(0xc1, strings.Repeat("\xff", 1000))), counts: `websockets_closed_total{code="1007"}`},
	{name: "compressed lists of topics, without an end", keys: "flow.slice, limits",
		run:    shouting(deflating + strings.Repeat(compressed(`{"op":"unsub","topics":["`+strings.Repeat(`a","`, 4000)+`a"]}`), 2000)),
		counts: "commands_total"},
}

// deflating is the request of a client that compresses.
var deflating = request("", "Sec-WebSocket-Extensions: permessage-deflate")

// compressed returns a compressed message of a client.
func compressed(text string) string {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err == nil {
		_, _ = w.Write([]byte(text))
		err = w.Flush()
	}
	if err != nil {
		panic(err) // only for levels that do not exist
	}
	return rawFrame(0xc1, strings.TrimSuffix(b.String(), "\x00\x00\xff\xff"))
}
