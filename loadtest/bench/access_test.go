package bench

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast/auth"
	"tickcast/loadtest/fleet"
	"tickcast/loadtest/machine"
)

// BenchmarkAccessMemory measures the memory of an idle connection, see BenchmarkIdleMemory: of a server that asks for no token, of
// one that does with clients without a token, and with a different token of another user for each client.
func BenchmarkAccessMemory(b *testing.B) {
	n := connections(b)
	secret := []byte(hex.EncodeToString(make([]byte, 32)))
	file := filepath.Join(b.TempDir(), "secret")
	if err := os.WriteFile(file, secret, 0o600); err != nil {
		b.Fatal(err)
	}
	for _, row := range []struct {
		name     string
		tokens   bool
		settings []string
	}{
		{"no auth", false, nil},
		{"auth, no tokens", false, []string{"TICKCAST_AUTH_SECRET=" + file}},
		{"a token each", true, []string{"TICKCAST_AUTH_SECRET=" + file}},
		{"a token each, all limits", true, []string{
			"TICKCAST_AUTH_SECRET=" + file, "TICKCAST_LIMITS_MAX_CONNECTIONS_PER_ADDRESS=100000", "TICKCAST_LIMITS_MAX_CONNECTIONS_PER_USER=10",
			"TICKCAST_LIMITS_CONNECTIONS_PER_SECOND=100000", "TICKCAST_LIMITS_CONNECTIONS_PER_SECOND_PER_ADDRESS=100000",
			"TICKCAST_LIMITS_BAN_AFTER=100", "TICKCAST_CONNECTION_MAX_AGE=24h",
		}},
	} {
		b.Run(row.name+"/"+connsName(n), func(b *testing.B) {
			for b.Loop() {
				server, err := startTickcast(b, row.settings...)
				if err != nil {
					b.Fatal(err)
				}
				h := holds{Addr: strings.TrimSuffix(strings.TrimPrefix(server.url, "ws://"), "/stream"), Count: n}
				if row.tokens {
					h.Secret = secret
				}
				empty := settled(b, server.pid)
				startChild(b, "holders").do(b, order{Hold: &h})
				idle := settled(b, server.pid)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(idle.RSS-empty.RSS)/float64(n), "rss-B/conn")
				b.ReportMetric(server.metric(b, "go_memstats_heap_alloc_bytes")/float64(n), "heap-B/conn")
				if got := int(server.metric(b, "tickcast_websockets")); got != n {
					b.Fatalf("%d WebSockets", got)
				}
			}
		})
	}
}

// holds are WebSockets that are opened one after the other and stay.
type holds struct {
	Addr   string // host:port
	Count  int
	Secret []byte // of auth.secret: each has a token of its own; nil = none has
}

// holdersChild opens WebSockets with a topic each.
func holdersChild(_ context.Context, in io.Reader, out io.Writer) error {
	var held []net.Conn
	return fleet.ServeOrders(in, out, func(o order) (a answer, err error) {
		if o.Hold == nil {
			return a, nil
		}
		for i := range o.Hold.Count {
			c, err := o.Hold.open(i)
			if err != nil {
				return a, fmt.Errorf("connection %d: %w", i, err)
			}
			held = append(held, c)
		}
		return a, nil
	})
}

// open opens WebSocket number i and waits for its subscription.
func (h *holds) open(i int) (net.Conn, error) {
	line := ""
	if h.Secret != nil {
		token, err := auth.Sign(h.Secret, "", map[string]any{
			"sub": fmt.Sprintf("user%06d", i), "jti": fmt.Sprintf("token%06d", i), "iat": time.Now().Unix(),
			"exp": time.Now().Add(24 * time.Hour).Unix(), "subscribe": []string{"px.>"}, "connections": 3,
		})
		if err != nil {
			return nil, err
		}
		line = "Authorization: Bearer " + token + "\r\n"
	}
	c, err := net.DialTimeout("tcp4", h.Addr, 30*time.Second)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err = io.WriteString(c, strings.Replace(upgradeHead, "\r\n\r\n", "\r\n"+line+"\r\n", 1)); err == nil {
		err = readUntil(c, `"op":"ack"`)
	}
	return c, errors.Join(err, c.SetDeadline(time.Time{}))
}

// BenchmarkCommandLimits measures the server's CPU time of a command with all limits on beside that without limits, on two servers in
// turn. The commands come many at once, so that system calls weigh little. "ratio" is the median of the rounds' ratios.
func BenchmarkCommandLimits(b *testing.B) {
	const off, on = 0, 1
	settings := [2][]string{
		{"TICKCAST_LIMITS_COMMANDS_PER_SECOND=0", "TICKCAST_LIMITS_INPUT_BYTES_PER_SECOND=0"},
		{
			"TICKCAST_LIMITS_COMMANDS_PER_SECOND=100000000", "TICKCAST_LIMITS_COMMANDS_BURST=100000000",
			"TICKCAST_LIMITS_INPUT_BYTES_PER_SECOND=256MiB", "TICKCAST_LIMITS_INPUT_BYTES_BURST=256MiB",
			"TICKCAST_LIMITS_MAX_CONNECTIONS_PER_ADDRESS=1000", "TICKCAST_LIMITS_CONNECTIONS_PER_SECOND=1000",
			"TICKCAST_LIMITS_CONNECTIONS_PER_SECOND_PER_ADDRESS=1000", "TICKCAST_LIMITS_BAN_AFTER=1000", "TICKCAST_CONNECTION_MAX_AGE=24h",
			"TICKCAST_LIMITS_MAX_CONNECTIONS_PER_USER=10",
		},
	}
	var servers [2]*tickcastServer
	var clients [2]net.Conn
	for i := range servers {
		server, err := startTickcast(b, append(settings[i], "TICKCAST_LIMITS_NEW_TOPICS_PER_SECOND=1000000000")...)
		if err != nil {
			b.Fatal(err)
		}
		h := holds{Addr: strings.TrimSuffix(strings.TrimPrefix(server.url, "ws://"), "/stream")}
		c, err := h.open(0)
		if err != nil {
			b.Fatal(err)
		}
		servers[i], clients[i] = server, c
	}
	const commands, each = 100_000, 100 // in a round, and sent together
	run := func(i int) time.Duration {
		before, err := machine.ProcessCPU(servers[i].pid)
		if err != nil {
			b.Fatal(err)
		}
		for range commands / each {
			exchange(b, clients[i], each)
		}
		return (processCPU(b, servers[i].pid) - before) / commands
	}
	run(off)
	run(on)
	type round struct{ off, on time.Duration }
	for b.Loop() {
		var rounds []round
		var table strings.Builder
		fmt.Fprintf(&table, "a command's server CPU, us\nround  without  with limits  ratio\n")
		ratio := func(r round) float64 { return float64(r.on) / float64(r.off) }
		for i := range *benchRounds {
			r := round{run(off), run(on)}
			rounds = append(rounds, r)
			fmt.Fprintf(&table, "%5d %8.2f %12.2f %6.2f\n", i+1, micros(r.off), micros(r.on), ratio(r))
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(median(rounds, func(r round) time.Duration { return r.off })), "without-cpu-ns/command")
		b.ReportMetric(float64(median(rounds, func(r round) time.Duration { return r.on })), "limits-cpu-ns/command")
		b.ReportMetric(median(rounds, ratio), "ratio")
		b.Log(strings.TrimSuffix(table.String(), "\n"))
	}
}

// exchange sends n commands in one write, in turn sub and unsub of the same topic, and reads their answers.
func exchange(b *testing.B, c net.Conn, n int) {
	b.Helper()
	var out []byte
	for i := range n {
		command := fmt.Sprintf(`{"op":"sub","id":%d,"topics":["px.MSFT"]}`, i)
		if i%2 == 1 {
			command = fmt.Sprintf(`{"op":"unsub","id":%d,"topics":["px.MSFT"]}`, i)
		}
		out = append(append(out, 0x81, 0x80|byte(len(command)), 0, 0, 0, 0), command...) // the masking key is 0
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.Write(out); err != nil {
		b.Fatal(err)
	}
	if err := readUntil(c, fmt.Sprintf(`"id":%d`, n-1)); err != nil {
		b.Fatal(err)
	}
}
