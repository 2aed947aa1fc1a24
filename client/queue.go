package client

import "slices"

// A queue holds what the application has to be told, in order, until the lock is given back. Guarded by Client.mu.
type queue struct {
	options *Options
	items   []item
	spare   []item
	err     error // what nobody listens for: it ends Run
}

// An item is a message to a handler, or any other call.
type item struct {
	to   *Subscription
	m    Message
	call func()
}

func (q *queue) message(to *Subscription, m Message) { q.items = append(q.items, item{to: to, m: m}) }

func (q *queue) call(f func()) { q.items = append(q.items, item{call: f}) }

func (q *queue) lost(l Lost) {
	if f := q.options.OnLost; f != nil {
		q.call(func() { f(l) })
		return
	}
	q.fail(&l)
}

func (q *queue) error(e *Error) {
	if f := q.options.OnError; f != nil {
		q.call(func() { f(e) })
		return
	}
	if !e.Retry {
		q.fail(e)
	}
}

func (q *queue) fail(err error) {
	if q.err == nil {
		q.err = err
	}
}

func (q *queue) status(s Status) {
	if f := q.options.OnStatus; f != nil {
		s.Stale = slices.Clone(s.Stale)
		q.call(func() { f(s) })
	}
}

func (q *queue) topic(topic string, state TopicState) {
	if f := q.options.OnTopic; f != nil {
		q.call(func() { f(topic, state) })
	}
}

func (q *queue) lag(l Lag) {
	if f := q.options.OnLag; f != nil {
		q.call(func() { f(l) })
	}
}

func (q *queue) notice(b []byte) {
	if f := q.options.OnNotice; f != nil {
		q.call(func() { f(b) })
	}
}
