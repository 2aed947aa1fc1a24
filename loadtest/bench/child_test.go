package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"tickcast/loadtest/bare"
	"tickcast/loadtest/fleet"
	"tickcast/loadtest/machine"
)

// The benchmarks measure processes, so the test binary starts itself again as a fleet or as the bare server, each of them
// a [fleet.Child].

// childVariable is the environment variable that makes the test binary a child: "fleet", "bare", "crypto/tls", "visitors" or "holders".
const childVariable = "LOADTEST_CHILD"

// orderTimeout bounds the execution of one order.
const orderTimeout = 5 * time.Minute

// An order is a request to a child. The field that is set selects it; an empty order only asks for the answer.
type order struct {
	Open       *fleet.Config // fleet: start, wait until all clients are open
	Subscribed bool          // fleet: wait until all subscriptions are acknowledged
	Data       int64         // fleet: wait for that many data messages
	Latencies  bool          // fleet: return them
	Broadcast  []byte        // bare: write these frames to all connections
	Serve      *pairFiles    // crypto/tls: start with this certificate
	Visit      *visits       // visitors: make these connections
	Hold       *holds        // holders: open these WebSockets
}

// An answer is a child's state after an order.
type answer struct {
	URL       string       // bare; crypto/tls: its address
	Resumed   int          // visitors: connections whose session was resumed
	Totals    fleet.Totals // fleet
	Latencies fleet.Counts // fleet
	Sweep     bare.Sweep   // bare
}

func TestMain(m *testing.M) {
	var serve func(context.Context, io.Reader, io.Writer) error
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
	case "crypto/tls":
		serve = cryptoTLSChild
	case "holders":
		serve = holdersChild
	case "visitors":
		serve = visitorsChild
	default:
		fmt.Fprintf(os.Stderr, "%s=%s is no role\n", childVariable, role)
		os.Exit(2)
	}
	if err := serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// fleetChild is one fleet.
func fleetChild(ctx context.Context, in io.Reader, out io.Writer) error {
	var clients *fleet.Fleet
	return fleet.ServeOrders(in, out, func(o order) (a answer, err error) {
		ctx, cancel := context.WithTimeout(ctx, orderTimeout)
		defer cancel()
		if o.Open != nil {
			// The context of Start is the fleet's life, which is the process's.
			if clients, err = fleet.Start(context.Background(), *o.Open); err != nil {
				return a, err
			}
			err = clients.WaitOpen(ctx)
		}
		if err == nil && o.Subscribed {
			err = clients.WaitSubscribed(ctx)
		}
		if err == nil && o.Data > 0 {
			err = clients.WaitData(ctx, o.Data)
		}
		if clients != nil {
			a.Totals = clients.Totals()
			if o.Latencies {
				a.Latencies = clients.Latencies()
			}
		}
		return a, err
	})
}

// bareChild is one bare server.
func bareChild(ctx context.Context, in io.Reader, out io.Writer) error {
	server, err := bare.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	go server.Serve(ctx)
	return fleet.ServeOrders(in, out, func(o order) (a answer, err error) {
		ctx, cancel := context.WithTimeout(ctx, orderTimeout)
		defer cancel()
		a.URL = server.URL()
		if o.Broadcast != nil {
			a.Sweep, err = server.Broadcast(ctx, o.Broadcast)
		}
		return a, err
	})
}

// A child is a running child process as its parent sees it.
type child struct {
	*fleet.Child[order, answer]
	empty machine.Memory // of a fleet before it had clients
}

// startChild starts a child that ends with b.
func startChild(b *testing.B, role string) *child {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+role)
	c, err := fleet.StartChild[order, answer](cmd)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := c.End(); err != nil {
			b.Errorf("%s child: %v", role, err)
		}
	})
	return &child{Child: c}
}

// do gives an order and returns the answer. It is for the benchmark's goroutine.
func (c *child) do(b *testing.B, o order) answer {
	b.Helper()
	a, err := c.Do(o)
	if err != nil {
		b.Fatalf("child: %v", err)
	}
	return a
}
