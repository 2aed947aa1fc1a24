package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	errSilent = errors.New("the consumer does not deliver messages that the stream has")
	errMissed = errors.New("a message was lost between the consumer and here")
)

const (
	heartbeat       = time.Second            // after two missing ones the consumer counts as dead
	prefetch        = 1024                   // messages on their way from the server
	idleTimeout     = 3 * time.Second        // without messages; then the stream itself is asked
	retryPause      = 100 * time.Millisecond // between attempts to get a consumer
	bridgePause     = 200 * time.Millisecond // between reads by direct get while there is no consumer
	shorterAttempts = 30                     // a server may lag behind another for a moment, but not for so many attempts
)

// Follow reads the messages whose subject matches filter, each once and in order, until ctx is done; then it returns nil. It
// survives the loss of connections, servers, leaders and consumers. It fails when the stream was deleted, was replaced by
// a new one or does not hold the pattern any more, with ErrRewound, and with ErrClosed.
//
// It reads through a consumer of its own. Any irregularity (a missing sequence of the consumer, no heartbeat, a lost
// connection) ends the consumer, and another one begins after the last message that was delivered. The leader of the
// cluster makes consumers. While it makes no consumer, direct get reads a stream that is followed as a whole.
//
// If filter covers all subjects of the stream, Gap is exact: only removed messages leave holes in the sequences. For a part
// of a stream Follow can judge holes only when a consumer begins, and not while it is slower than the stream's limits.
func (s *Stream) Follow(ctx context.Context, filter string, start Start, to Sink) error {
	r := &reader{stream: s, to: to, filter: filter, newest: start.LastPerSubject}
	if start.From > 0 {
		r.last, r.placed = start.From-1, true
	}
	for {
		before := r.last
		err := r.readConsumer(ctx)
		r.setCurrent(false)
		switch {
		case ctx.Err() != nil:
			return nil
		case s.nc.IsClosed():
			return ErrClosed
		case errors.Is(err, errShorter) && r.shorter >= shorterAttempts:
			return fmt.Errorf("%w: %s", ErrRewound, s.name)
		case errors.Is(err, errNoStream) || errors.Is(err, errPart) || errors.Is(err, errChanged) || errors.Is(err, ErrRewound):
			return err
		}
		r.logFailure(err)
		if r.ready && r.last == before {
			r.passEmpty(ctx)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
}

// passEmpty reads on from the leader, without a consumer, up to the first message that is not empty. nats.go takes an empty message
// whose publisher has set a header Status for one of the server's, so that no consumer ever brings it here.
func (r *reader) passEmpty(ctx context.Context) {
	for range fetchedAtOnce {
		m, err := r.stream.next(ctx, r.filter, r.last+1)
		if err != nil || m == nil {
			return
		}
		if _, err := r.stream.info(ctx); err != nil { // it may be another stream
			return
		}
		r.deliver(*m, 1)
		if len(m.Data) > 0 {
			return
		}
	}
}

// readConsumer makes a consumer and reads it until an irregularity, which it returns.
func (r *reader) readConsumer(ctx context.Context) error {
	ctx, release, err := whileConnected(ctx, r.stream.nc)
	if err != nil {
		return err
	}
	defer release()
	if err := r.fixPlace(ctx); err != nil {
		return err
	}
	consumer, info, err := r.openConsumer(ctx)
	if err != nil {
		return err
	}
	defer r.stream.deleteConsumer(consumer)
	if err := r.checkLast(ctx); err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(prefetch), jetstream.PullHeartbeat(heartbeat),
		jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return fmt.Errorf("jetstream: read consumer: %w", err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	if err := r.begin(info, consumer.CachedInfo().NumPending); err != nil {
		return err
	}
	return r.deliverAll(ctx, messages)
}

// fixPlace turns "only new messages" into a sequence before the first consumer. A later consumer then skips no message that
// came in between.
func (r *reader) fixPlace(ctx context.Context) error {
	if r.placed || r.newest {
		return nil
	}
	info, err := r.stream.info(ctx)
	if err != nil {
		return err
	}
	r.last, r.placed = info.State.LastSeq, true
	return nil
}

// openConsumer makes a consumer and asks for the stream's state after that. Both need leaders, of the cluster and of the
// stream, whose election may take seconds. In the meantime it reads from any copy of the stream.
func (r *reader) openConsumer(ctx context.Context) (consumer jetstream.Consumer, info *jetstream.StreamInfo, err error) {
	from := r.last + 1
	if r.newest {
		from = 0
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if consumer, err = r.stream.createConsumer(ctx, r.filter, from); err != nil {
			return
		}
		if info, err = r.stream.info(ctx); err != nil {
			r.stream.deleteConsumer(consumer)
		}
	}()
	pause := time.NewTicker(bridgePause)
	defer pause.Stop()
	for {
		select {
		case <-done:
			return consumer, info, err
		case <-pause.C:
			if r.readDirect(ctx) {
				pause.Reset(1)
			} else {
				pause.Reset(bridgePause)
			}
		}
	}
}

// readDirect delivers messages after the last one without a consumer, and reports whether there may be more. It reads only a
// whole stream, whose sequences show removed messages, and only after a first consumer.
func (r *reader) readDirect(ctx context.Context) (more bool) {
	if !r.whole || r.newest || !r.stream.state.Load().Config.AllowDirect {
		return false
	}
	msgs, pending, err := r.stream.directFrom(ctx, r.filter, r.last+1, fetchedAtOnce)
	if err != nil {
		r.stream.log.Debug("no copy of the stream answers", "stream", r.stream.name, "err", err)
		return false
	}
	for _, m := range msgs {
		r.deliver(m, pending)
	}
	return len(msgs) == fetchedAtOnce
}

// deliverAll delivers the messages of a consumer.
func (r *reader) deliverAll(ctx context.Context, messages jetstream.MessagesContext) error {
	idle := r.last // the stream's last sequence in the previous answer
	for delivered := uint64(0); ; {
		m, err := messages.Next(jetstream.NextMaxWait(idleTimeout))
		switch {
		case errors.Is(err, nats.ErrTimeout):
			if err := r.checkIdle(ctx, &idle); err != nil {
				return err
			}
			continue
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("jetstream: read consumer: %w", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("jetstream: read consumer: %w", err)
		}
		if delivered++; meta.Sequence.Consumer != delivered {
			return errMissed
		}
		r.deliver(newMessage(m, meta), meta.NumPending)
		r.setCurrent(true) // checkIdle may have set it to false
	}
}

// checkIdle asks the leader of an idle stream whether there are messages to read. idle is the stream's last sequence in the
// previous answer. The consumer may be stuck, or may live on a server that is cut off from the leader and still sends
// heartbeats. Without an answer from the leader the consumer may still work, so it is kept. But the arrival of messages is
// then uncertain.
func (r *reader) checkIdle(ctx context.Context, idle *uint64) error {
	info, err := r.stream.info(ctx)
	if err == nil && *idle > r.last && !r.newest {
		err = r.skipIdle(ctx, *idle)
	}
	switch {
	case errors.Is(err, errNoStream) || errors.Is(err, errPart) || errors.Is(err, errChanged) || errors.Is(err, errSilent):
		return err
	case err != nil:
		r.setCurrent(false)
		return nil
	}
	*idle = info.State.LastSeq
	r.setCurrent(true)
	return nil
}

// skipIdle moves on to the sequence idle, which the stream had a while ago, if there are no messages to read before it.
func (r *reader) skipIdle(ctx context.Context, idle uint64) error {
	next, err := r.stream.next(ctx, r.filter, r.last+1)
	switch {
	case err != nil:
		return err
	case next != nil:
		return errSilent
	case r.whole:
		r.skipTo(idle + 1)
	}
	if r.last < idle {
		r.last, r.lastAt = idle, time.Time{}
	}
	return nil
}
