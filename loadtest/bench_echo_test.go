package loadtest

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

var echoMessages = flag.Int("echo.messages", 100, "echoes of a round, each with and without fan-out")

// BenchmarkEchoUnderFanout measures how long a loop that fans out without pause lets another client wait. The server
// has a single loop; several messages are kept under way to all subscribers of one topic, and on a connection of its own
// a client sends a message, waits for its echo, and sends the next a random time of up to 10 ms later, so that it does
// not keep step with the fan-out. The same is done with the server idle, in turns. On a machine with few processors
// some of the time is the client's own wait for one, in both. "busy" is the server's CPU time for the time that passed
// meanwhile: about one, less what the loop waited for a processor and for messages.
func BenchmarkEchoUnderFanout(b *testing.B) {
	n := connections(b) - 1
	b.Run(connsName(n), func(b *testing.B) {
		server, err := startTickcast(b, "TICKCAST_SERVER_LOOPS=1", "TICKCAST_DEBUG_ECHO_PATH=/echo")
		if err != nil {
			b.Skipf("no server to measure: %v", err)
		}
		fanout := server.listen(b, oneTopic(n), payload128())
		echo := dialEcho(b, strings.TrimSuffix(server.url, "/stream")+"/echo")
		fanout.send(b)
		for b.Loop() {
			var rounds []echoRound
			for range *benchRounds {
				rounds = append(rounds, measureEcho(b, echo, fanout))
			}
			reportEcho(b, rounds)
		}
	})
}

// An echoClient is a connection to the echo endpoint.
type echoClient struct{ conn *websocket.Conn }

// dialEcho connects to url until b ends.
func dialEcho(b *testing.B, url string) *echoClient {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), orderTimeout)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.CloseNow() })
	return &echoClient{conn}
}

// measure takes the time of n echoes.
func (e *echoClient) measure(n int) (Latencies, error) {
	ctx, cancel := context.WithTimeout(context.Background(), orderTimeout)
	defer cancel()
	var h histogram
	payload := benchPayload()
	for range n {
		time.Sleep(rand.N(10 * time.Millisecond))
		sent := time.Now()
		if err := e.conn.Write(ctx, websocket.MessageText, payload); err != nil {
			return nil, err
		}
		_, got, err := e.conn.Read(ctx)
		if err != nil {
			return nil, err
		}
		if string(got) != string(payload) {
			return nil, fmt.Errorf("%q came back", got)
		}
		h.add(int64(time.Since(sent)))
	}
	return h.snapshot(), nil
}

// An echoRound is how long echoes took.
type echoRound struct {
	idle, busy Latencies
	cpu        float64 // CPU time for time with fan-out
}

// measureEcho does one round.
func measureEcho(b *testing.B, echo *echoClient, fanout *contender) (r echoRound) {
	b.Helper()
	var err error
	if r.idle, err = echo.measure(*echoMessages); err != nil {
		b.Fatal(err)
	}
	var done atomic.Bool
	ended := make(chan error, 1)
	begun := time.Now()
	cpu := fanout.cost(b, func() {
		go func() {
			defer done.Store(true)
			var err error
			r.busy, err = echo.measure(*echoMessages)
			ended <- err
		}()
		fanout.fly(b, *coalesceFlight, func(int) bool { return !done.Load() })
	})
	r.cpu = cpu.Seconds() / time.Since(begun).Seconds()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	return r
}

// reportEcho reports quantiles of all rounds' echoes, and prints the rounds.
func reportEcho(b *testing.B, rounds []echoRound) {
	var idle, busy []Latencies
	for _, r := range rounds {
		idle, busy = append(idle, r.idle), append(busy, r.busy)
	}
	b.ReportMetric(0, "ns/op")
	for name, l := range map[string]Latencies{"idle": sum(idle), "fanout": sum(busy)} {
		b.ReportMetric(float64(l.Count()), name+"-echoes")
		b.ReportMetric(millis(l.Quantile(0.5)), name+"-p50-ms")
		b.ReportMetric(millis(l.Quantile(0.99)), name+"-p99-ms")
		b.ReportMetric(millis(l.Quantile(1)), name+"-max-ms")
	}
	b.ReportMetric(median(rounds, func(r echoRound) float64 { return r.cpu }), "busy")

	var table strings.Builder
	fmt.Fprintf(&table, "echo, ms  idle p50    p99    max  fan-out p50    p99    max  busy\n")
	row := func(name string, idle, busy Latencies, cpu float64) {
		fmt.Fprintf(&table, "%-8s %9.2f %6.2f %6.2f %12.2f %6.2f %6.2f %5.2f\n", name,
			millis(idle.Quantile(0.5)), millis(idle.Quantile(0.99)), millis(idle.Quantile(1)),
			millis(busy.Quantile(0.5)), millis(busy.Quantile(0.99)), millis(busy.Quantile(1)), cpu)
	}
	for i, r := range rounds {
		row(fmt.Sprintf("round %d", i+1), r.idle, r.busy, r.cpu)
	}
	row("all", sum(idle), sum(busy), median(rounds, func(r echoRound) float64 { return r.cpu }))
	b.Log(strings.TrimSuffix(table.String(), "\n"))
}

// sum adds up what was counted apart.
func sum(list []Latencies) Latencies {
	all := make(Latencies)
	for _, l := range list {
		for i, n := range l {
			all[i] += n
		}
	}
	return all
}
