package eventloop_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/broadcast/topics"
	"tickcast/eventloop"
)

// Chosen for the suite.
const (
	echoPath   = "/echo"
	maxMessage = 16 << 20         // bytes of the largest message that the server accepts
	patience   = 60 * time.Second // bounds every wait; a working server stays far below it
)

// A suite is a run of the conformance tests against one server, of which they know only the address. Frames, masks, UTF-8 and
// DEFLATE are written here a second time, so that a mistake in the server's own codec cannot hide. The expected answers are
// strict: where RFC 6455 demands one behaviour, another one is a failure even if it works.
type suite struct {
	addr   string
	named  int // cases that run was called for
	cases  atomic.Int64
	failed atomic.Int64
}

// underRace tells that the race detector is on.
var underRace bool

// raced is the part of the cases that run under the race detector, one of so many: the answers are the same, and the code that may race
// is passed by each of them.
const raced = 4

// enough failures show the fault. Many cases fail only after a long wait, so the others are skipped then.
const enough = 20

// run runs one case beside the others.
func (s *suite) run(t *testing.T, name string, f func(*testing.T)) {
	if s.named++; underRace && s.named%raced != 0 {
		return
	}
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		if s.failed.Load() >= enough {
			t.Skip("enough has failed")
		}
		defer func() {
			if t.Failed() {
				s.failed.Add(1)
			}
		}()
		s.cases.Add(1)
		f(t)
	})
}

// TestConformance holds the echo endpoint against RFC 6455 and RFC 7692.
func TestConformance(t *testing.T) {
	s := &suite{addr: serveEcho(t)}
	for _, theme := range []struct {
		name string
		run  func(*suite, *testing.T)
	}{
		{"framing", (*suite).framing},
		{"pings", (*suite).pings},
		{"reserved", (*suite).reserved},
		{"fragments", (*suite).fragments},
		{"fragments between", (*suite).fragmentsBetween},
		{"utf8", (*suite).utf8},
		{"utf8 at once", (*suite).utf8AtOnce},
		{"utf8 pairs", (*suite).utf8Pairs},
		{"close codes", (*suite).closeCodes},
		{"close order", (*suite).closeOrder},
		{"sizes", (*suite).sizes},
		{"round trips", (*suite).roundTrips},
		{"offers", (*suite).offers},
		{"compressed", (*suite).compressed},
		{"compressed forms", (*suite).compressedForms},
		{"compressed windows", (*suite).compressedWindows},
		{"compressed wrongly", (*suite).compressedWrongly},
		{"bombs", (*suite).bombs},
	} {
		t.Run(theme.name, func(t *testing.T) { theme.run(s, t) })
	}
	t.Logf("%d cases", s.cases.Load())
}

// serveEcho runs a server until the end of the test, and returns its address.
func serveEcho(t *testing.T) (addr string) {
	const loops = 2
	hub := broadcast.New(broadcast.Config{Config: topics.Config{Shards: loops}, Node: "test", Subscribe: []string{">"}, MaxMessageSize: maxMessage})
	engine, err := eventloop.New(eventloop.Config{
		Listen: []string{"127.0.0.1:0"}, StreamPath: "/stream", EchoPath: echoPath,
		Loops: loops, Backlog: 1024,
		MaxHeaderSize: 8 << 10, MaxMessageSize: maxMessage, QueueBytes: 128 << 10, EchoQueueBytes: 2 * maxMessage,
		HandshakeTimeout: patience, CloseTimeout: patience,
		Slice: 2 * time.Millisecond,
	}, hub)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- engine.Run(ctx, 0) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-result:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not return")
		}
	})
	select {
	case <-engine.Ready():
	case <-time.After(patience):
		t.Fatal("the server does not get ready")
	}
	return engine.Addrs()[0]
}
