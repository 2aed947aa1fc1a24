package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

// onAddresses are attacks from many addresses, with a proxy's word for them.
var onAddresses = []attack{
	{name: "addresses over IPv6 /64s", keys: "limits.max_tracked_addresses", run: manyPrefixes, counts: "tracked_addresses"},
	{name: "PROXY headers of strangers", keys: "server.trusted_proxies",
		run: shouting("PROXY TCP6 2001:db8::1 ::2 1 2\r\n" + request("")), counts: `rejected_total{reason="bad_request"}`},
}

// onFull are attacks with more connections than the server takes.
var onFull = []attack{
	{name: "connections beyond the limit", keys: "limits.max_connections",
		run: crowd(2000), counts: `rejected_total{reason="max_connections"}`},
}

// onCrowd are attacks with more connections than are allowed to one, or to all in a second.
var onCrowd = []attack{
	{name: "connections beyond their rate", keys: "limits.connections_per_second", run: rush, counts: `rejected_total{reason="rate"}`},
	{name: "connections of one address", keys: "limits.max_connections_per_address",
		run: oneAddress, counts: `limited_total{limit="connections_per_address"}`},
	{name: "offences of one address", keys: "limits.ban_after", run: offences, counts: `rejected_total{reason="banned"}`},
}

// from connects from an address of this machine.
func (t *target) from(ip net.IP) (net.Conn, error) {
	d := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: ip}}
	c, err := d.Dial("tcp", t.Addr)
	if err == nil {
		_ = c.SetDeadline(time.Now().Add(time.Second))
	}
	return c, err
}

// anyAddress returns one of 500,000 addresses of this machine.
func anyAddress() net.IP {
	return net.IPv4(127, byte(1+rand.IntN(8)), byte(rand.IntN(256)), byte(1+rand.IntN(254)))
}

// manyPrefixes says in the name of a proxy that each connection is of another /64. Each commits an offence, which the server has to remember.
func manyPrefixes(ctx context.Context, t *target) {
	again(ctx, 64, func(int) {
		c, err := t.from(net.IPv4(127, 9, 9, 9))
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = fmt.Fprintf(c, "PROXY TCP6 2001:db8:%x:%x::1 ::2 1 2\r\n%s\x81\x05hello", rand.IntN(65536), rand.IntN(65536), request(""))
		_, _ = io.Copy(io.Discard, c)
	})
}

// crowd holds n streams of many addresses, and comes again with those that were refused.
func crowd(n int) func(context.Context, *target) {
	return func(ctx context.Context, t *target) {
		again(ctx, n, func(int) {
			c, err := t.from(anyAddress())
			if err != nil {
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Time{})
			defer context.AfterFunc(ctx, func() { _ = c.Close() })()
			_, _ = io.WriteString(c, request("?topics=px.1"))
			_, _ = io.Copy(io.Discard, c)
			time.Sleep(100 * time.Millisecond)
		})
	}
}

// rush opens streams of many addresses as fast as possible, and leaves.
func rush(ctx context.Context, t *target) {
	again(ctx, 64, func(int) {
		c, err := t.from(anyAddress())
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, request(""))
		_, _ = c.Read(make([]byte, 1))
	})
}

// oneAddress opens streams from one address.
func oneAddress(ctx context.Context, t *target) {
	again(ctx, 500, func(int) {
		c, err := t.from(net.IPv4(127, 3, 3, 3))
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, request("?topics=px.1"))
		_, _ = io.Copy(io.Discard, c)
	})
}

// offences breaks the protocol from one address.
func offences(ctx context.Context, t *target) {
	again(ctx, 64, func(int) {
		c, err := t.from(net.IPv4(127, 3, 3, 3))
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, request("")+"\x81\x05hello")
		_, _ = io.Copy(io.Discard, c)
	})
}
