package topics

import (
	"errors"
	"strconv"
)

// ErrDenied is the refusal of a message to a subject that NATS does not let this server publish to.
var ErrDenied = errors.New("nats denies the subject to this server")

// ErrUnanswered is the end of the wait for a stream that does not say whether it has stored a message.
var ErrUnanswered = errors.New("the stream has not answered: the message may be stored, or not")

// A TooLargeError is the refusal of a message that NATS would not take.
type TooLargeError struct{ Most int64 } // bytes

func (e *TooLargeError) Error() string {
	return "nats takes messages of at most " + strconv.FormatInt(e.Most, 10) + " bytes"
}

// Send publishes a client's message through upstream. It fails with ErrDenied, a TooLargeError, or because upstream is away.
func (h *Hub) Send(topic string, data []byte) error {
	h.mu.Lock()
	up := h.upstream
	h.unlock()
	if up == nil {
		return ErrAway
	}
	return up.Publish(topic, data)
}

// StoredIn reports whether a stream is behind topic, which answers for the messages that it stores. The stream of a class with other
// subjects does not have the messages that clients publish to its topics.
func (h *Hub) StoredIn(topic string) bool {
	c := h.classes.of(topic)
	return c.Streamed() && !c.mapped
}

// Store publishes a client's message to a stream. w is answered when the stream has stored or refused it; see Stored. Store fails as
// Send does.
func (h *Hub) Store(topic string, data []byte, w *Waiter) error {
	h.mu.Lock()
	up := h.upstream
	w.left = 1
	h.unlock()
	if up == nil {
		return ErrAway
	}
	return up.Store(topic, data, func(err error) {
		h.mu.Lock()
		defer h.unlock()
		w.refusal = err
		h.answered(w)
	})
}

// Stored says why the message of w was not stored, or nil. From then on its answer matters to nobody.
func (h *Hub) Stored(w *Waiter) error {
	h.mu.Lock()
	defer h.unlock()
	w.released = true
	return w.refusal
}
