package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"tickcast/wsproto"
)

// onInput are attacks with requests and frames that break rules, or never end.
var onInput = []attack{
	{name: "half a request, for ever", keys: "limits.handshake_timeout", run: slowloris, counts: `rejected_total{reason="timeout"}`},
	{name: "words in place of HTTP", keys: "the answer",
		run: shouting("\x16\x03\x01 hello\r\n\r\n"), counts: `rejected_total{reason="bad_request"}`},
	{name: "heads without an end", keys: "limits.max_header_size",
		run: shouting("GET / HTTP/1.1\r\nX: " + strings.Repeat("a", 100_000)), counts: `rejected_total{reason="too_large"}`},
	{name: "bodies over the limit", keys: "limits.max_message_size",
		run:    shouting("POST /stream HTTP/1.1\r\nHost: test\r\nContent-Length: 10000000\r\n\r\n" + strings.Repeat("a", 100_000)),
		counts: `rejected_total{reason="too_large"}`},
	{name: "requests without an end", keys: "limits.commands_per_second",
		run:    shouting(strings.Repeat("GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n", 4000)),
		counts: `limited_total{limit="commands_per_second"}`},
	{name: "commands without an end", keys: "limits.commands_per_second",
		run:    shouting(request("") + strings.Repeat(frame(`{"op":"list"}`), 4000)),
		counts: `websockets_closed_total{code="4006"}`},
	{name: "bytes without an end", keys: "limits.input_bytes_per_second",
		run:    shouting(request("") + strings.Repeat(frame(`{"op":"ping","id":"`+strings.Repeat("a", 16_000)+`"}`), 400)),
		counts: `limited_total{limit="bytes_per_second"}`},
	{name: "text that is not JSON", keys: "the answer",
		run: shouting(request("") + strings.Repeat(frame(`{"op":"sub","topics":[`), 500)), counts: "command_errors_total"},
	{name: "unmasked frames", keys: "close 1002",
		run: shouting(request("") + "\x81\x05hello"), counts: `websockets_closed_total{code="1002"}`},
	{name: "compressed frames without an agreement", keys: "close 1002",
		run: shouting(request("") + rawFrame(0xc1, "hello")), counts: `websockets_closed_total{code="1002"}`},
	{name: "bad UTF-8", keys: "close 1007",
		run: shouting(request("") + rawFrame(0x81, strings.Repeat("a", 10_000)+"\xff")), counts: `websockets_closed_total{code="1007"}`},
	{name: "messages over the limit", keys: "limits.max_message_size",
		run:    shouting(request("") + "\x81\xff\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00" + strings.Repeat("a", 100_000)),
		counts: `websockets_closed_total{code="1009"}`},
	{name: "fragments of one byte, without an end", keys: "limits.max_message_size",
		run:    shouting(request("") + rawFrame(0x01, "a") + strings.Repeat(rawFrame(0x00, "a"), 20_000)),
		counts: `websockets_closed_total{code="1009"}`},
	{name: "pub of JSON of 1,000 levels", keys: "flow.payload_depth", run: deepPub, counts: "upstream_text_total"},
	{name: "streams without a subscription", keys: "limits.first_message_timeout",
		run: silent, counts: `websockets_closed_total{code="4001"}`},
	{name: "connections, and resets", keys: "nothing", run: resets, counts: "connections_accepted_total"},
	{name: "slowhttptest -H, slow heads", keys: "limits.handshake_timeout",
		run: slowHTTP("-H", "/"), needs: slowHTTPTest, counts: `rejected_total{reason="timeout"}`},
	{name: "slowhttptest -B, slow bodies", keys: "limits.handshake_timeout",
		run: slowHTTP("-B", "/stream"), needs: slowHTTPTest, counts: `rejected_total{reason="timeout"}`},
	{name: "slowhttptest -X, slow reading", keys: "flow.queue_bytes",
		run: slowHTTP("-X", "/"), needs: slowHTTPTest, counts: "http_requests_total"},
}

// rawFrame returns a masked frame of at most 64 KB with any first byte.
func rawFrame(first byte, payload string) string {
	b := wsproto.AppendMaskedFrame(nil, wsproto.OpText, [4]byte{}, []byte(payload))
	b[0] = first
	return string(b)
}

// shout sends text on a new connection and reads the answers to their end, for a second at most.
func (t *target) shout(text string) {
	c, err := t.connect()
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	go func() { _, _ = io.WriteString(c, text) }()
	_, _ = io.Copy(io.Discard, io.LimitReader(c, 1<<20))
}

// shouting shouts on many connections.
func shouting(text string) func(context.Context, *target) {
	return func(ctx context.Context, t *target) { again(ctx, 64, func(int) { t.shout(text) }) }
}

// slowloris holds 1,000 halves of requests, and sends a line for each of them now and then.
func slowloris(ctx context.Context, t *target) {
	again(ctx, 1000, func(int) {
		c, err := t.connect()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "GET /stream HTTP/1.1\r\nHost: test\r\n")
		for ctx.Err() == nil {
			_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
			if _, err := c.r.Peek(1); err == nil { // an answer
				return
			}
			if _, err := io.WriteString(c, "X-a: b\r\n"); err != nil {
				return
			}
		}
	})
}

// deepPub publishes JSON that is deep, within the limit of commands.
func deepPub(ctx context.Context, t *target) {
	deep := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	each(ctx, t, 20, "?topics=pub.deep", func(_ int, c *client) {
		go func() { _, _ = io.Copy(io.Discard, c) }()
		for ctx.Err() == nil {
			c.send(`{"op":"pub","topic":"pub.deep","data":` + deep + `}`)
			time.Sleep(20 * time.Millisecond)
		}
	})
}

// silent holds 1,000 streams and says nothing.
func silent(ctx context.Context, t *target) {
	each(ctx, t, 1000, "", func(_ int, c *client) { _, _ = io.Copy(io.Discard, c) })
}

// resets opens streams, and ends each with a reset at some point of the handshake or behind it.
func resets(ctx context.Context, t *target) {
	text := request("?topics=px.1") + frame(`{"op":"list"}`)
	again(ctx, 64, func(i int) {
		c, err := t.connect()
		if err != nil {
			return
		}
		defer c.reset()
		_ = c.SetDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(c, text[:len(text)*(i%8)/7])
		if i%8 == 7 {
			_, _ = c.r.Peek(1)
		}
	})
}

const slowHTTPTest = "slowhttptest"

// slowHTTP runs slowhttptest with 1,000 connections to a path.
func slowHTTP(mode, path string) func(context.Context, *target) {
	return func(ctx context.Context, t *target) {
		end, _ := ctx.Deadline()
		seconds := fmt.Sprint(max(int(time.Until(end).Seconds()), 1))
		cmd := exec.CommandContext(ctx, slowHTTPTest, mode, "-c", "1000", "-i", "1", "-r", "1000", "-k", "10", "-l", seconds, "-u", "http://"+t.Addr+path)
		_ = cmd.Run() // its status is its judgement
	}
}
