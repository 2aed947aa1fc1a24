package upstream

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/broadcast/topics"
)

const (
	redialWait       = time.Second      // before the first attempt after nats.go gave up; doubles with each attempt
	redialWaitAtMost = 30 * time.Second //
	flushPatience    = time.Second      // for the answer to a PING, which is sent in any case

	deniedPubsAtMost = 1024             // subjects; one more, and all are forgotten
	deniedPubsFor    = 30 * time.Second // after that a client's message is sent to NATS again, as a test
)

// connect makes a new connection of nats.go for c, with all subscriptions.
func (c *conn) connect(nc *nats.Conn) {
	c.asking.Lock()
	defer c.asking.Unlock()
	c.mu.Lock()
	c.nc, c.ncPeak, c.ncTable = nc, 0, tableOf(nc)
	var subjects []string
	for subject, sub := range c.subscriptions {
		c.dropped += droppedFor(sub)
		subjects = append(subjects, subject)
	}
	c.mu.Unlock()
	for _, subject := range subjects {
		if err := c.ask(nc, subject); err != nil {
			c.log.Warn("nats refused a subscription", "subject", subject, "err", err)
		}
	}
	c.confirm()
}

// keep runs until ctx is done. When nats.go gives up, it connects anew with the same subscriptions. It also asks again for
// refused subscriptions.
func (c *conn) keep(ctx context.Context, dial func() (*nats.Conn, error)) {
	tick := time.NewTicker(askAgain)
	defer tick.Stop()
	for wait := redialWait; ; {
		select {
		case <-ctx.Done():
			return
		case <-c.kick:
			c.flush()
		case <-tick.C:
			if g := c.latest(); g != nil && g.askAgain(time.Now()) {
				c.flush()
			}
			if !c.current().IsClosed() {
				wait = redialWait
			}
		case <-c.closed:
			if !c.current().IsClosed() {
				continue
			}
			c.log.Warn("nats.go has closed the connection for good, connecting anew", "err", c.current().LastError(), "wait", wait)
			c.hub.SetAway("the connection was closed")
			c.setAway(true)
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
			wait = min(2*wait, redialWaitAtMost)
			if nc, err := dial(); err == nil {
				c.connect(nc)
			} else {
				c.logUnreachable(err)
				c.giveUp()
			}
		}
	}
}

// giveUp wakes keep: nats.go has closed the connection for good.
func (c *conn) giveUp() { wake(c.closed) }

// confirm schedules a PING. Its answer decides all subscriptions so far.
func (c *conn) confirm() { wake(c.kick) }

func wake(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}

func (c *conn) flush() {
	c.mu.Lock()
	nc, g, fenced := c.nc, c.guard, c.fenced
	c.mu.Unlock()
	if !nc.IsConnected() { // otherwise nats.go flushes when it connects
		return
	}
	err := nc.FlushTimeout(flushPatience) // a failure ends the connection
	if err == nil && g != nil && g.opaque && !g.isEnded() {
		c.mark(mark{guard: g, kind: markVerdict, fence: fenced})
	}
}

func (c *conn) subscribe(subject string) error {
	c.asking.Lock()
	defer c.asking.Unlock()
	return c.ask(c.current(), subject)
}

// ask subscribes to subject on nc.
func (c *conn) ask(nc *nats.Conn, subject string) error {
	sub, err := nc.ChanSubscribe(subject, c.messages)
	if errors.Is(err, nats.ErrConnectionClosed) {
		sub, err = new(nats.Subscription), nil // keep connects anew and subscribes then
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subscriptions[subject] = sub
	c.ncPeak = max(c.ncPeak, topics.Peak(len(c.subscriptions)))
	return nil
}

// countTables adds the subscriptions, the places in the tables of c and of nats.go, and the fences to total.
func (c *conn) countTables(total *topics.UpstreamCounts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.subscriptions)
	total.Subscriptions += n
	total.Places += c.subscriptionsPeak.Places(n) + c.ncPeak.Places(n)
	total.Fences += len(c.fences)
}

// unsubscribe lets the subscription go on until a fence among its messages.
func (c *conn) unsubscribe(subject string) error {
	c.addFence(fence{subject: subject})
	return nil
}

// A fence is a place among the messages of a connection: NATS has answered a PING there, or the connection has ended. It ends a
// subscription, or a handover from another connection.
type fence struct {
	number   uint64
	subject  string // or
	handover uint64
}

// addFence puts f behind all messages that NATS has sent so far.
func (c *conn) addFence(f fence) {
	c.mu.Lock()
	c.fenced++
	f.number = c.fenced
	c.fences = append(c.fences, f)
	if c.guard != nil && !c.guard.opaque { // else flush puts its mark
		c.guard.addFence(f.number)
	}
	c.mu.Unlock()
	c.confirm()
}

// fencesAtOnce is the number of fences that are carried out before messages have their turn, and stepsAtOnce the number of topics and
// subscriptions that are looked at for them, about. Chosen by us.
const (
	fencesAtOnce = 32
	stepsAtOnce  = 1024
)

// passSome carries out some of the fences whose place has come, and reports whether there are more. A later place is as good: see
// Hub.Ended. It is called by receive.
func (c *conn) passSome() (more bool) {
	for n, steps := 0, 0; n < fencesAtOnce && steps < stepsAtOnce; n++ {
		f, ok := c.nextPassed()
		if !ok {
			return false
		}
		if f.subject == "" {
			c.hub.HandedOver(f.handover, c.mine)
			continue
		}
		taken, err := c.end(f.subject)
		if steps += taken; err != nil {
			c.log.Warn("nats refused to unsubscribe", "subject", f.subject, "err", err)
		}
	}
	return c.due
}

// nextPassed removes the first fence whose place has come, if there is one, and notes whether there are more.
func (c *conn) nextPassed() (f fence, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	passed := func() bool { return len(c.fences) > 0 && c.fences[0].number <= c.passed }
	if ok = passed(); ok {
		f = c.fences[0]
		if c.fences = c.fences[1:]; len(c.fences) == 0 {
			c.fences = nil
		}
	}
	c.due = passed()
	return f, ok
}

// same returns mine if there are other connections.
func (c *conn) same() func(source string) bool {
	if c.others == nil {
		return nil
	}
	return c.mine
}

// handOver puts the fences of a handover of this connection's topics to others; 0 = there is none.
func (c *conn) handOver(handover uint64) {
	if handover > 0 {
		c.others(handover)
	}
}

// end ends a subscription, unless the hub wants it again. steps is as of topics.Ending.
func (c *conn) end(subject string) (steps int, err error) {
	c.asking.Lock() // Hub.Ended and the request are one for a subscription that comes behind
	defer c.asking.Unlock()
	e := c.hub.Ended(subject, c.same())
	if c.handOver(e.Handover); e.Again {
		c.addFence(fence{subject: subject})
	}
	if !e.Ended {
		return e.Steps, nil
	}
	c.mu.Lock()
	sub := c.subscriptions[subject]
	c.subscriptions = topics.Delete(c.subscriptions, subject, &c.subscriptionsPeak)
	if sub != nil {
		c.dropped += droppedFor(sub)
	}
	table := c.ncTable
	shrinks := table.mu != nil && c.ncPeak.Shrinks(len(c.subscriptions))
	c.mu.Unlock()
	if sub == nil {
		return e.Steps, nil
	}
	err = sub.Unsubscribe()
	if shrinks {
		table.shrink()
	}
	c.suspect = len(c.messages) + len(c.held) + 2 // nats.go may be about to add one
	if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
		err = nil
	}
	return e.Steps, err
}

// drops returns the number of messages that nats.go dropped. It stays 0 where the guard sees the lines: then the subscriptions are not
// looked at, which may be a million.
func (c *conn) drops() (total uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if total = c.dropped; c.guard != nil && !c.guard.opaque {
		return total
	}
	for _, sub := range c.subscriptions {
		total += droppedFor(sub)
	}
	return total
}

func droppedFor(sub *nats.Subscription) uint64 {
	n, err := sub.Dropped()
	if err != nil { // the connection is closed
		return 0
	}
	return uint64(n)
}

// denyPub records that NATS denies publishing to a subject.
func (c *conn) denyPub(subject string) {
	c.log.Warn("nats denies publishing to a subject", "subject", subject)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deniedPubs == nil || len(c.deniedPubs) >= deniedPubsAtMost {
		c.deniedPubs = make(map[string]time.Time)
	}
	c.deniedPubs[subject] = time.Now()
}

// mayPublish returns a known reason for which NATS would refuse a message now.
func (c *conn) mayPublish(subject string, size int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if said, denied := c.deniedPubs[subject]; denied {
		if time.Since(said) < deniedPubsFor {
			return topics.ErrDenied
		}
		delete(c.deniedPubs, subject)
	}
	if c.guard != nil {
		if most := c.guard.most.Load(); most > 0 && int64(size) > most {
			return &topics.TooLargeError{Most: most}
		}
	}
	return nil
}

// logUnreachable logs a failed attempt to connect. A new reason is a warning, since no other log line reports a wrong
// password.
func (c *conn) logUnreachable(err error) {
	why := err.Error()
	c.hub.SetAway(why)
	level := slog.LevelWarn
	if c.lastError == why {
		level = slog.LevelDebug
	}
	c.lastError = why
	c.log.Log(context.Background(), level, "cannot connect to nats, trying on", "err", err)
}

// handleError handles the errors that nats.go reports outside of any call.
func (c *conn) handleError(nc *nats.Conn, sub *nats.Subscription, err error) {
	switch {
	case errors.Is(err, nats.ErrSlowConsumer): // not behind a guard
		c.log.Warn("the feed is faster than this server, messages were dropped", "topic", sub.Subject)
		c.hub.Lose("the server was too slow", true, func(source string) bool { return source == sub.Subject })
	case nc.IsReconnecting():
		c.logUnreachable(err)
	case sub != nil:
		c.log.Warn("nats error", "topic", sub.Subject, "err", err)
	default:
		c.log.Warn("nats error", "err", err)
	}
}
