package loadtest

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The benchmarks measure processes, so the test binary starts itself again as a fleet or as the bare server. A child
// takes orders on stdin and answers each on stdout; it ends with its stdin, and at the latest with its parent.

// childVariable is the environment variable that makes the test binary a child: "fleet" or "bare".
const childVariable = "LOADTEST_CHILD"

// orderTimeout bounds the execution of one order.
const orderTimeout = 60 * time.Second

// An order is what a child is asked to do. The field that is set says what.
type order struct {
	Open       *FleetConfig // fleet: start, wait until all are open
	Subscribed bool         // fleet: wait until all subscriptions are acknowledged
	Data       int64        // fleet: wait for that many data messages
	Latencies  bool         // fleet: tell them
	Broadcast  []byte       // bare: write these frames to all
}

// An answer is what comes back.
type answer struct {
	Error  string
	URL    string // bare: its first, unasked message
	Totals Totals // fleet
	Sweep  Sweep  // bare

	Latencies Latencies // fleet
}

func TestMain(m *testing.M) {
	if os.Getenv(PartVariable) != "" {
		if err := ServePart(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	var serve func(context.Context, *gob.Decoder, *gob.Encoder) error
	switch role := os.Getenv(childVariable); role {
	case "":
		code := m.Run()
		if buildDir != "" {
			os.RemoveAll(buildDir)
		}
		os.Exit(code)
	case "fleet":
		serve = fleetChild
	case "bare":
		serve = bareChild
	default:
		fmt.Fprintf(os.Stderr, "%s=%s is no role\n", childVariable, role)
		os.Exit(2)
	}
	if err := serve(context.Background(), gob.NewDecoder(os.Stdin), gob.NewEncoder(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// fleetChild is one fleet.
func fleetChild(ctx context.Context, in *gob.Decoder, out *gob.Encoder) error {
	var fleet *Fleet
	return takeOrders(in, out, func(o order) (a answer, err error) {
		ctx, cancel := context.WithTimeout(ctx, orderTimeout)
		defer cancel()
		if o.Open != nil {
			// The context of Start is the fleet's life, which is the process's.
			if fleet, err = Start(context.Background(), *o.Open); err != nil {
				return a, err
			}
			err = fleet.WaitOpen(ctx)
		}
		if err == nil && o.Subscribed {
			err = fleet.WaitSubscribed(ctx)
		}
		if err == nil && o.Data > 0 {
			err = fleet.WaitData(ctx, o.Data)
		}
		if fleet != nil {
			a.Totals = fleet.Totals()
			if o.Latencies {
				a.Latencies = fleet.Latencies()
			}
		}
		return a, err
	})
}

// bareChild is one bare server.
func bareChild(ctx context.Context, in *gob.Decoder, out *gob.Encoder) error {
	server, err := ListenBare("127.0.0.1:0")
	if err != nil {
		return err
	}
	go server.Serve(ctx)
	if err := out.Encode(answer{URL: server.URL()}); err != nil {
		return err
	}
	return takeOrders(in, out, func(o order) (answer, error) {
		ctx, cancel := context.WithTimeout(ctx, orderTimeout)
		defer cancel()
		sweep, err := server.Broadcast(ctx, o.Broadcast)
		return answer{Sweep: sweep}, err
	})
}

// takeOrders answers orders until stdin ends.
func takeOrders(in *gob.Decoder, out *gob.Encoder, do func(order) (answer, error)) error {
	for {
		var o order
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		a, err := do(o)
		if err != nil {
			a.Error = err.Error()
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

// A child is a running child process as its parent sees it.
type child struct {
	pid   int
	in    *gob.Encoder
	out   *gob.Decoder
	empty Memory // of a fleet before it had clients
}

// startChild starts a child that ends with b.
func startChild(b *testing.B, role string) *child {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+role)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			b.Errorf("%s child: %v", role, err)
		}
	})
	return &child{pid: cmd.Process.Pid, in: gob.NewEncoder(stdin), out: gob.NewDecoder(stdout)}
}

// do gives an order and returns the answer. It is for the benchmark's goroutine.
func (c *child) do(b *testing.B, o order) answer {
	b.Helper()
	if err := c.in.Encode(o); err != nil {
		b.Fatal(err)
	}
	return c.next(b)
}

// next returns the child's next answer.
func (c *child) next(b *testing.B) answer {
	b.Helper()
	var a answer
	if err := c.out.Decode(&a); err != nil {
		b.Fatalf("child: %v", err)
	}
	if a.Error != "" {
		b.Fatalf("child: %s", a.Error)
	}
	return a
}
