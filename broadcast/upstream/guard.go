package upstream

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A guard is the net.Conn under nats.go: one connection to a NATS server. nats.go sees only lines that it can process. A
// line that would make it panic, or close the connection for good, ends the guard with an error, and nats.go connects again.
//
// nats.go drops messages when the channel of a subscription is full. The guard therefore reads only while the channel has
// room for all messages of one read. A NATS server that is faster than the hub has to wait.
type guard struct {
	owner   // set by it
	log     *slog.Logger
	silence time.Duration // after which a silent server counts as dead

	opaque bool                        // a WebSocket: frames, whose lines the guard cannot read
	secure func() (*tls.Config, error) // nil = never
	always bool                        // TLS, even if the server only offers it
	closed chan struct{}               // at the end of the connection
	most   atomic.Int64                // INFO's max_payload; 0 = not known
	socket net.Conn                    // a TLS client from the first line of nats.go on, if the server wants one

	// Owned by the reader: nats.go connects, and then reads, on one goroutine at a time.
	in          []byte
	next, known int // in[next:known] is checked and goes to nats.go; an unchecked line begins after it
	parse       parser
	pongs       int       // 1: the server has accepted CONNECT; 2: and the subscriptions
	heard       time.Time // time of the latest PONG, or of the latest wait for the hub
	failure     error     // of the reader

	writing    sync.Mutex  // held by writes
	wantTLS    atomic.Bool // before the next write
	connecting atomic.Bool // nats.go is

	mu    sync.Mutex
	ended bool
	sent  parser
	part  []byte // a part of a line that was sent
	asked asked
}

const (
	readBuffer = 32 << 10
	// headroom is the largest number of messages in one read: the smallest message is "MSG a 1 0\r\n\r\n". nats.go's own
	// buffer has the same size. A few places are for the marks of conn.
	headroom = readBuffer/13 + 64
)

var errSilent = errors.New("upstream: nats is silent, the link is taken for broken")

// An owner receives the events of a guard: a conn, or a test.
type owner interface {
	awaitRoom(closed <-chan struct{}) (waited bool) // until headroom places are free, or closed is closed
	mark(m mark)                                    // at this place among the messages
	lost(g *guard, err error)                       // the socket has ended
	confirm()                                       // a PING is wanted
	denyPub(subject string)                         // NATS does not let this server publish to it
}

// A mark stands in the channel of messages at the place of an event of the connection.
type mark struct {
	guard   *guard
	kind    markKind
	refused []refusal
	granted []string
	fence   uint64 // this fence and all before it stand here; 0 = none
}

type markKind uint8

const (
	markDialed  markKind = iota // a new socket: the messages after it are of another connection
	markLinked                  // the server has all subscriptions except the refused ones
	markVerdict                 // the server has refused or granted some
)

// Read returns checked lines to nats.go.
func (g *guard) Read(p []byte) (int, error) {
	if g.opaque {
		g.await()
		n, err := g.receive(p)
		return n, g.endOn(err)
	}
	for g.next == g.known { // nats.go has read all checked lines
		if g.failure != nil {
			return 0, g.endOn(g.failure)
		}
		if !g.look() && g.failure == nil {
			g.failure = g.fill()
		}
	}
	n := copy(p, g.in[g.next:g.known])
	g.next += n
	return n, nil
}

// fill reads once from the socket, behind the unchecked part of a line.
func (g *guard) fill() error {
	g.await()
	rest := copy(g.in[:cap(g.in)], g.in[g.known:])
	g.in, g.next, g.known = g.in[:rest], 0, 0
	if cap(g.in)-rest < readBuffer/2 { // parser bounds the length of a line
		g.in = append(make([]byte, 0, 2*rest+readBuffer), g.in...)
	}
	n, err := g.receive(g.in[rest:min(cap(g.in), rest+readBuffer)])
	if g.in = g.in[:rest+n]; n > 0 {
		return nil // the next read returns the error again
	}
	return err
}

// receive reads from the socket. A server that answers no PING counts as dead.
func (g *guard) receive(p []byte) (int, error) {
	if g.connecting.Load() { // nats.go has set a deadline
		return g.socket.Read(p)
	}
	now, limit := time.Now(), g.silence
	if g.pongs > 0 && now.Sub(g.heard) > limit {
		return 0, errSilent
	}
	if err := g.socket.SetReadDeadline(now.Add(limit)); err != nil {
		return 0, err
	}
	n, err := g.socket.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errSilent
	}
	return n, err
}

// await waits until the channel has room for all messages of a read.
func (g *guard) await() {
	if g.awaitRoom(g.closed) {
		g.heard = time.Now() // no answer was read during the wait
	}
}

// look checks the lines in the buffer, and reports whether some of them are ready for nats.go. A line that matters to conn
// is checked only when nats.go has read all lines before it, so that the mark has its right place among the messages.
func (g *guard) look() bool {
	for g.failure == nil && g.known < len(g.in) {
		before := g.parse
		v, args, n, err := g.parse.next(g.in[g.known:])
		if n > 0 && (v == verbPong || v == verbErr) && g.next < g.known {
			g.parse = before
			break
		}
		hidden := false
		if n > 0 {
			hidden, err = g.take(v, args)
		}
		if g.failure = err; n == 0 || err != nil {
			break
		}
		if g.known += n; hidden {
			g.next = g.known
		}
	}
	return g.next < g.known
}

// take handles one line of the server, and reports whether the guard hides it from nats.go.
func (g *guard) take(v verb, args []byte) (hidden bool, err error) {
	switch v {
	case verbPayload, verbMsg, verbPing, verbOK:
	case verbInfo:
		return false, g.takeInfo(args)
	case verbPong:
		g.takePong()
	case verbErr:
		if g.pongs > 0 { // else it answers CONNECT, and nats.go counts a failed attempt
			return true, g.takeErr(strings.Trim(strings.TrimSpace(string(args)), "'"))
		}
	default:
		return false, errLine
	}
	return false, nil
}

func (g *guard) takeInfo(args []byte) error {
	var info struct {
		MaxPayload   int64 `json:"max_payload"`
		TLSRequired  bool  `json:"tls_required"`
		TLSAvailable bool  `json:"tls_available"`
	}
	if err := json.Unmarshal(args, &info); err != nil {
		return fmt.Errorf("%w: %w", errLine, err)
	}
	g.most.Store(info.MaxPayload)
	if g.pongs == 0 && g.secure != nil && (info.TLSRequired || g.always && info.TLSAvailable) {
		if _, already := g.socket.(*tls.Conn); !already {
			g.wantTLS.Store(true)
		}
	}
	return nil
}

func (g *guard) takePong() {
	now := time.Now()
	g.heard = now
	g.mu.Lock()
	refused, granted, fence := g.asked.pong(now)
	g.mu.Unlock()
	if g.pongs++; g.pongs == 2 {
		g.mark(mark{guard: g, kind: markLinked, refused: refused, fence: fence})
	} else if len(refused)+len(granted) > 0 || fence > 0 {
		g.mark(mark{guard: g, kind: markVerdict, refused: refused, granted: granted, fence: fence})
	}
}

// takeErr handles an error of the server. A refused subscription or publication does not end the connection. Any other error
// does, since the server ends it too.
func (g *guard) takeErr(text string) error {
	switch lower := strings.ToLower(text); {
	case strings.HasPrefix(lower, "maximum subscriptions exceeded"), lower == "invalid subject":
		g.mu.Lock()
		g.asked.unnamed++
		g.mu.Unlock()
		g.confirm() // the next PONG decides which
		return nil
	case strings.HasPrefix(lower, "permissions violation"):
	default:
		return errors.New("nats: " + text)
	}
	if subject, sid, ok := deniedSubject(deniedSub, text); ok {
		g.mu.Lock()
		r, known := g.asked.refuseByName(subject, sid, text, time.Now())
		g.mu.Unlock()
		if known {
			g.mark(mark{guard: g, kind: markVerdict, refused: []refusal{r}})
		}
	} else if subject, _, ok := deniedSubject(deniedPub, text); ok {
		g.denyPub(subject)
	}
	g.log.Debug("nats denies a subject", "err", text)
	return nil
}

// Write sends lines of nats.go, and records those that NATS may refuse.
func (g *guard) Write(p []byte) (int, error) {
	g.writing.Lock()
	defer g.writing.Unlock()
	if g.opaque {
		return g.socket.Write(p)
	}
	if g.wantTLS.Load() { // nats.go answers INFO
		if err := g.startTLS(); err != nil {
			return 0, err
		}
	}
	g.note(p)
	return g.socket.Write(p)
}

func (g *guard) startTLS() error {
	g.wantTLS.Store(false)
	if g.known < len(g.in) {
		return errLine // a line before the handshake could come from an attacker
	}
	config, err := g.secure()
	if err != nil {
		return err
	}
	client := tls.Client(g.socket, config)
	if err := client.Handshake(); err != nil {
		return fmt.Errorf("upstream: tls to nats: %w", err)
	}
	g.socket = client
	return nil
}

// note records the lines that NATS may refuse.
func (g *guard) note(p []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.part) > 0 {
		p = append(g.part, p...)
	}
	for len(p) > 0 {
		v, args, n, err := g.sent.next(p)
		if err != nil { // not a line that nats.go sends
			p = nil
		}
		if n == 0 {
			break
		}
		g.asked.note(v, args)
		p = p[n:]
	}
	g.part = append(g.part[:0:0], p...)
}

// askAgain sends the refused subscriptions that are due, and reports whether there are any.
func (g *guard) askAgain(now time.Time) bool {
	g.mu.Lock()
	lines := g.asked.due(now)
	g.mu.Unlock()
	if len(lines) == 0 {
		return false
	}
	_, _ = g.Write(lines) // the reader gets the error too
	return true
}

// addFence puts a fence before the next PING.
func (g *guard) addFence(fence uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked.noteFence(fence)
}

// refusals returns the subjects of the subscriptions that NATS refuses now.
func (g *guard) refusals() map[string]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	subjects := make(map[string]bool)
	for _, r := range g.asked.refused {
		subjects[r.subject] = true
	}
	return subjects
}

// refusedNow returns the number of the subscriptions that NATS refuses now.
func (g *guard) refusedNow() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.asked.refused)
}

// askedNow returns the number of lines that NATS has not answered.
func (g *guard) askedNow() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.asked.lines)
}

func (g *guard) isEnded() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ended
}

// SetDeadline begins and ends the attempt of nats.go to connect.
func (g *guard) SetDeadline(t time.Time) error {
	g.connecting.Store(!t.IsZero())
	err := g.socket.SetDeadline(t)
	if err == nil && t.IsZero() { // a read may be under way
		err = g.socket.SetReadDeadline(time.Now().Add(g.silence))
	}
	return err
}

// Close ends the socket for nats.go.
func (g *guard) Close() error {
	_ = g.endOn(net.ErrClosed)
	return nil
}

// endOn ends the connection if err is not nil, and returns err.
func (g *guard) endOn(err error) error {
	if err == nil {
		return nil
	}
	g.mu.Lock()
	first := !g.ended
	g.ended = true
	g.mu.Unlock()
	if first {
		close(g.closed)
		_ = g.socket.Close() // this ends a write that hangs
		g.lost(g, err)
	}
	return err
}

func (g *guard) LocalAddr() net.Addr                { return g.socket.LocalAddr() }
func (g *guard) RemoteAddr() net.Addr               { return g.socket.RemoteAddr() }
func (g *guard) SetReadDeadline(t time.Time) error  { return g.socket.SetReadDeadline(t) }
func (g *guard) SetWriteDeadline(t time.Time) error { return g.socket.SetWriteDeadline(t) }
