package loadtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

var echoMessages = flag.Int("echo.messages", 100, "echoes of a round, each with and without fan-out")

// BenchmarkEchoUnderFanout measures how long a loop that fans out without pause lets another client wait. The server
// has a single loop; several messages are kept under way to all subscribers of one topic, and on a connection of its own
// a client sends a message, waits for its echo, and sends the next a random time of up to 10 ms later, so that it does
// not keep step with the fan-out. Two things say what part of that is the machine's: "idle" are echoes of the same
// server while nothing is fanned out, in turns with the others, and "neighbour" those of a second, idle server during
// the fan-out, which has to wait for a processor as the first does, and for nothing else.
//
// "busy" is the CPU time of the server that fans out, "waited" the time that its threads were ready and had no
// processor, both for the time that passed: together at least about one if the loop had no pause.
func BenchmarkEchoUnderFanout(b *testing.B) {
	n := connections(b) - 1
	b.Run(connsName(n), func(b *testing.B) {
		server, echo := startEcho(b)
		_, neighbour := startEcho(b)
		fanout := server.listen(b, oneTopic(n), payload128())
		fanout.send(b)
		for b.Loop() {
			var rounds []echoRound
			for range *benchRounds {
				rounds = append(rounds, measureEcho(b, echo, neighbour, fanout))
			}
			reportEcho(b, rounds)
		}
	})
}

// startEcho starts a server with one loop and a client of its echo.
func startEcho(b *testing.B) (*tickcastServer, *echoClient) {
	b.Helper()
	server, err := startTickcast(b, "TICKCAST_SERVER_LOOPS=1", "TICKCAST_DEBUG_ECHO_PATH=/echo")
	if err != nil {
		b.Skipf("no server to measure: %v", err)
	}
	return server, dialEcho(b, strings.TrimSuffix(server.url, "/stream")+"/echo")
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
	idle, neighbour, fanout Latencies
	busy, waited            float64 // during the fan-out
}

// measureEcho does one round.
func measureEcho(b *testing.B, echo, neighbour *echoClient, fanout *contender) (r echoRound) {
	b.Helper()
	var err error
	if r.idle, err = echo.measure(*echoMessages); err != nil {
		b.Fatal(err)
	}
	var neighbourErr error
	var done atomic.Bool
	ended := make(chan struct{})
	begun, waited := time.Now(), runDelay(b, fanout.server)
	cpu := fanout.cost(b, func() {
		go func() {
			defer close(ended)
			var both sync.WaitGroup
			both.Go(func() { r.fanout, err = echo.measure(*echoMessages) })
			both.Go(func() { r.neighbour, neighbourErr = neighbour.measure(*echoMessages) })
			both.Wait()
			done.Store(true)
		}()
		fanout.fly(b, *coalesceFlight, func(int) bool { return !done.Load() })
	})
	<-ended
	if err := errors.Join(err, neighbourErr); err != nil {
		b.Fatal(err)
	}
	took := time.Since(begun).Seconds()
	r.busy, r.waited = cpu.Seconds()/took, (runDelay(b, fanout.server)-waited).Seconds()/took
	return r
}

// runDelay returns how long the threads of a process, those that there are, were ready to run without a processor.
func runDelay(b *testing.B, pid int) (sum time.Duration) {
	b.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, task := range tasks {
		stat, _ := os.ReadFile(task) // a thread may just have ended
		var ran, waited int64
		fmt.Sscan(string(stat), &ran, &waited)
		sum += time.Duration(waited)
	}
	return sum
}

// reportEcho reports quantiles of all rounds' echoes, and prints the rounds.
func reportEcho(b *testing.B, rounds []echoRound) {
	var all echoRound
	all.busy = median(rounds, func(r echoRound) float64 { return r.busy })
	all.waited = median(rounds, func(r echoRound) float64 { return r.waited })
	all.idle, all.neighbour, all.fanout = Latencies{}, Latencies{}, Latencies{}
	for _, r := range rounds {
		all.idle.add(r.idle)
		all.neighbour.add(r.neighbour)
		all.fanout.add(r.fanout)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(all.fanout.Count()), "echoes")
	for name, l := range map[string]Latencies{"idle": all.idle, "neighbour": all.neighbour, "fanout": all.fanout} {
		b.ReportMetric(millis(l.Quantile(0.5)), name+"-p50-ms")
		b.ReportMetric(millis(l.Quantile(0.99)), name+"-p99-ms")
		b.ReportMetric(millis(l.Quantile(1)), name+"-max-ms")
	}
	b.ReportMetric(all.busy, "busy")
	b.ReportMetric(all.waited, "waited")

	var table strings.Builder
	fmt.Fprintf(&table, "echo, ms  idle p50    p99    max  neighbour p50    p99    max  fan-out p50    p99    max  busy  waited\n")
	row := func(name string, r echoRound) {
		fmt.Fprintf(&table, "%-8s", name)
		for i, l := range []Latencies{r.idle, r.neighbour, r.fanout} {
			fmt.Fprintf(&table, "%*.2f %6.2f %6.2f", []int{10, 15, 13}[i],
				millis(l.Quantile(0.5)), millis(l.Quantile(0.99)), millis(l.Quantile(1)))
		}
		fmt.Fprintf(&table, " %5.2f %7.2f\n", r.busy, r.waited)
	}
	for i, r := range rounds {
		row(fmt.Sprintf("round %d", i+1), r)
	}
	row("all", all)
	b.Log(strings.TrimSuffix(table.String(), "\n"))
}

// add adds what was counted elsewhere.
func (l Latencies) add(other Latencies) {
	for i, n := range other {
		l[i] += n
	}
}
