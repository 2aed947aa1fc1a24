package eventloop

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"tickcast/broadcast/wire"
	"tickcast/wsproto"
)

// wantsEvents reports whether a request asks for Server-Sent Events.
func wantsEvents(r *wsproto.Request) bool {
	for entry := range bytes.SplitSeq(r.Accept, []byte(",")) {
		kind, _, _ := bytes.Cut(entry, []byte(";"))
		if strings.EqualFold(string(bytes.Trim(kind, " \t")), "text/event-stream") {
			return true
		}
	}
	return false
}

// admitStream judges a request for the stream. Its own fields choose the transport. A proxy that does not know WebSocket takes out
// Upgrade and leaves the other fields: such a request is refused at once, or the client would wait for a poll.
func (l *loop) admitStream(c *conn, r *wsproto.Request, body []byte) {
	switch {
	case r.Upgrade || r.Key != nil || r.Version != nil:
		l.admitWebSocket(c, r)
	case wantsEvents(r):
		if f, ok := l.admitForm(c, r, body); ok {
			l.openEvents(c, r, f)
		}
	default:
		l.admitPoll(c, r, body, false)
	}
}

const eventsHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\nConnection: close\r\n"

// openEvents makes the connection a stream of events.
func (l *loop) openEvents(c *conn, r *wsproto.Request, f topicForm) {
	claims, ok := l.identify(c, r, f.Values)
	if !ok {
		return
	}
	head := append(append([]byte(eventsHead), l.dateLine()...), l.cors...)
	c.state, c.transport, c.opened, c.sent = stateOpen, transportEvents, l.now, l.now
	b := l.scratch[:0]
	if r.Minor == 0 {
		c.transport = transportEvents10
		b = wire.AppendChunk(b, append(head, "\r\n"...)) // its packing takes the ends of chunks off
	} else {
		b = append(append(b, head...), "Transfer-Encoding: chunked\r\n\r\n"...)
	}
	l.tally.openedEvents++
	l.counters.eventStreams.Add(1)
	b = wire.AppendLine(b, "retry: "+strconv.FormatInt(retryEvents().Milliseconds(), 10))
	for _, event := range l.shard.Join(c.slot, wire.CodecEvents, 0) {
		b = append(b, event...)
	}
	l.scratch = b
	if claims != nil {
		l.shard.Grant(c.slot, claims.Grant)
	}
	if !l.answer(c, b, 1) {
		return
	}
	if l.keepAlive(c); c.state != stateOpen { // it may write, or end the connection
		return
	}
	l.shard.Subscribe(c.slot, f.topics, f.after, f.Get("rate"))
}

// retryEvents returns the time after which a browser opens a stream of events again that ended without a word. Chosen by us; not
// the same for all, who may end at once.
func retryEvents() time.Duration { return time.Second + rand.N(2*time.Second) }

// discardInput reads input of a client of events, which has nothing to say.
func (l *loop) discardInput(*conn, []byte) {}

// unchunk appends events as a client of HTTP/1.0 reads them.
func (l *loop) unchunk(dst []byte, _ *conn, chunks []byte) []byte {
	return wire.AppendUnchunked(dst[:0], chunks)
}

// endEvents sends the last event, and ends the connection when the client has read it, or does not for Config.CloseTimeout.
func (l *loop) endEvents(c *conn, code wsproto.StatusCode, reason string) {
	l.leaveShard(c)
	c.state, c.code = stateClosing, code
	if l.tell(c, append(wire.EventOf(wire.Closing(code, reason)), wire.LastChunk...)) {
		l.linger(c)
	}
}
