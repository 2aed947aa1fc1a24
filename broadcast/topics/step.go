package topics

import "context"

// The simulator drives a hub on one goroutine: it calls Begin and Step in place of Run, and the steps of each StreamSteps in
// place of the goroutines that read a stream. Both ways run the same functions.

// Begin takes the place of Run.
func (h *Hub) Begin(up Upstream) {
	h.mu.Lock()
	defer h.unlock()
	h.upstream, h.stepped = up, true
}

// Kicked reports whether Step is due at once.
func (h *Hub) Kicked() bool { return len(h.kick) > 0 || len(h.delays.changed) > 0 }

// Step does all that is due: subscriptions, lingers, delays, silence. It returns when it is due again, unless it is kicked.
func (h *Hub) Step() (next int64) {
	for _, wake := range []chan struct{}{h.kick, h.delays.changed} {
		select {
		case <-wake:
		default:
		}
	}
	next = h.reconcile(context.Background(), h.upstream, &h.rec)
	for _, due := range []int64{h.mature(h.now()), h.silence(h.now())} {
		if due > 0 {
			next = min(next, due)
		}
	}
	return next
}

// StreamSteps are the steps of reading the stream behind a class.
type StreamSteps struct{ s *streamReader }

// StreamSteps returns the steps of a class, by its place in Config.Classes; nil without a stream.
func (h *Hub) StreamSteps(class int) *StreamSteps {
	if s := h.readers[class]; s != nil {
		return &StreamSteps{s}
	}
	return nil
}

// Wanted returns which reading of the stream is under way, from 1 on; 0 = none.
func (s *StreamSteps) Wanted() (reading int) {
	if s.s.stop == nil {
		return 0
	}
	return s.s.runs
}

// Opened notes that the stream was found. It returns where to read on; the messages go to Sink.
func (s *StreamSteps) Opened(epoch string) StreamStart { return s.s.opened(epoch) }

// Failed notes that the stream was not found, or can be read no longer. After a while it is looked for again.
func (s *StreamSteps) Failed(found bool, err error) {
	if !found {
		s.s.endLoads(false)
	}
	s.s.interrupted(err)
}

// Sink takes the messages.
func (s *StreamSteps) Sink() StreamSink { return s.s }

// Inquire returns the next question to the stream, or nil. It is called after StreamSink.Placed.
func (s *StreamSteps) Inquire() *Inquiry {
	if l := s.s.nextLoad(); l != nil {
		return s.s.inquire(l)
	}
	return nil
}

// Hear takes an answer. It reports whether q holds one more request.
func (s *StreamSteps) Hear(q *Inquiry, a Answer) (more bool) {
	s.s.hear(q, a)
	return !q.done
}

// Conclude ends q once the consumer has come as far as the answers, or without them if it is too late for that.
func (s *StreamSteps) Conclude(q *Inquiry, late bool) (done bool) {
	caughtUp := s.s.caughtUp(q)
	if caughtUp || late {
		s.s.conclude(q, caughtUp)
	}
	return caughtUp || late
}
