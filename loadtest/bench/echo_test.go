package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

var echoMessages = flag.Int("echo.messages", 100, "echoes of a round, each with and without fan-out")

// BenchmarkEchoUnderFanout measures the wait of another client at a loop that fans out without pause. The server has a
// single loop, and several messages are kept under way to all subscribers of one topic. On a connection of its own a client
// sends a message, waits for its echo, and sends the next after a random time of up to 10 ms, so that it does not keep step
// with the fan-out. Two figures show the machine's part of the wait. "idle" are echoes of the same server without a fan-out,
// in turns with the others. "neighbour" are those of a second, idle server during the fan-out, which waits only for a
// processor.
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

// measure returns the durations of n echoes, in rising order.
func (e *echoClient) measure(n int) (durations, error) {
	ctx, cancel := context.WithTimeout(context.Background(), orderTimeout)
	defer cancel()
	var took durations
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
		took = append(took, time.Since(sent))
	}
	slices.Sort(took)
	return took, nil
}

// An echoRound holds the durations of echoes.
type echoRound struct {
	idle, neighbour, fanout durations
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

// runDelay returns the time that the present threads of a process were ready to run without a processor.
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
	for _, r := range rounds {
		all.idle = append(all.idle, r.idle...)
		all.neighbour = append(all.neighbour, r.neighbour...)
		all.fanout = append(all.fanout, r.fanout...)
	}
	for _, d := range []durations{all.idle, all.neighbour, all.fanout} {
		slices.Sort(d)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(all.fanout)), "echoes")
	for name, l := range map[string]durations{"idle": all.idle, "neighbour": all.neighbour, "fanout": all.fanout} {
		b.ReportMetric(millis(l.quantile(0.5)), name+"-p50-ms")
		b.ReportMetric(millis(l.quantile(0.99)), name+"-p99-ms")
		b.ReportMetric(millis(l.quantile(1)), name+"-max-ms")
	}
	b.ReportMetric(all.busy, "busy")
	b.ReportMetric(all.waited, "waited")

	var table strings.Builder
	fmt.Fprintf(&table, "echo, ms  idle p50    p99    max  neighbour p50    p99    max  fan-out p50    p99    max  busy  waited\n")
	row := func(name string, r echoRound) {
		fmt.Fprintf(&table, "%-8s", name)
		for i, l := range []durations{r.idle, r.neighbour, r.fanout} {
			fmt.Fprintf(&table, "%*.2f %6.2f %6.2f", []int{10, 15, 13}[i],
				millis(l.quantile(0.5)), millis(l.quantile(0.99)), millis(l.quantile(1)))
		}
		fmt.Fprintf(&table, " %5.2f %7.2f\n", r.busy, r.waited)
	}
	for i, r := range rounds {
		row(fmt.Sprintf("round %d", i+1), r)
	}
	row("all", all)
	b.Log(strings.TrimSuffix(table.String(), "\n"))
}

// durations are in rising order.
type durations []time.Duration

// quantile returns the duration that the share q of all does not exceed, 0 if there are none.
func (d durations) quantile(q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return d[max(1, int(q*float64(len(d))+0.5))-1]
}
