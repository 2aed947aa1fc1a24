package eventloop

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"tickcast/broadcast"
	"tickcast/broadcast/wire"
	"tickcast/wsproto"
)

// A poll is a request that waits for its answer.
type poll struct {
	until     uint32 // tick
	keepAlive bool
	http10    bool
	waits     bool // the shard has nothing for it yet
	latest    bool
	cors      []byte // as loop.cors
}

// pollWait is the time for which a poll waits that does not say. Chosen by us: proxies give up after 30 s or 60 s.
const pollWait = 25 * time.Second

// admitPoll judges a request that waits for messages, and begins to wait.
func (l *loop) admitPoll(c *conn, r *wsproto.Request, body []byte, latest bool) {
	f, ok := l.admitForm(c, r, body)
	if !ok {
		return
	}
	wait := pollWait
	if w := f.Get("wait"); w != "" {
		var err error
		if wait, err = time.ParseDuration(w); err != nil || wait < 0 {
			l.refuse(c, queryRejection, "wait must be a duration such as 25s")
			return
		}
	}
	claims, ok := l.identify(c, r, f.Values)
	if !ok {
		return
	}
	if latest {
		f.after = ""
	}
	p := &poll{
		until: l.now + ticks(min(wait, l.engine.cfg.PollWait)), keepAlive: r.KeepAlive(), http10: r.Minor == 0,
		latest: latest, cors: bytes.Clone(l.cors),
	}
	c.extra = &extra{poll: p}
	c.state, c.transport = stateOpen, transportPoll
	l.counters.polls.Add(1)
	l.shard.Join(c.slot, wire.CodecPoll, 0)
	if claims != nil {
		l.shard.Grant(c.slot, claims.Grant)
	}
	owner, _ := l.addressOf(c)
	l.shard.Poll(c.slot, &broadcast.PollCommand{Topics: f.topics, After: f.after, Rate: f.Get("rate"), Latest: latest, Owner: uint64(owner)})
	if c.state == stateOpen {
		l.keepPoll(c)
	}
}

// Waits notes that a poll has nothing to answer yet; see broadcast.Poller.
func (l *loop) Waits(slot uint32) {
	c := l.conns.At(slot)
	if c.extra.poll.waits = true; l.now >= c.extra.poll.until {
		l.shard.EndPoll(slot)
	}
}

// keepPoll applies the deadlines of a poll.
func (l *loop) keepPoll(c *conn) {
	p := c.extra.poll
	expiry, ok := l.checkToken(c)
	switch {
	case !ok:
		return
	case l.now < p.until:
	case p.waits:
		l.shard.EndPoll(c.slot)
		return
	default: // a stream is being asked, for a bounded time
		p.until = l.now + 1
	}
	next := min(p.until, l.now+wheelSize)
	if expiry > 0 {
		next = min(next, expiry)
	}
	l.wheel.schedule(c, next)
}

// refusedStatus returns the HTTP status of a poll that was refused, and further header lines.
func refusedStatus(e *wire.Error) (status int, headers string) {
	switch e.Code {
	case wire.CodeUnauthorized, wire.CodeExpired:
		return http.StatusUnauthorized, "WWW-Authenticate: Bearer\r\n"
	case wire.CodeDenied:
		return http.StatusForbidden, ""
	case wire.CodeLimit, wire.CodeTooMany:
		return http.StatusTooManyRequests, "Retry-After: 1\r\n"
	case wire.CodeNotAvailable:
		return http.StatusServiceUnavailable, "Retry-After: 1\r\n"
	case wire.CodeInternal:
		return http.StatusInternalServerError, ""
	default:
		return http.StatusBadRequest, ""
	}
}

const pollHeaders = "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n"

// Answer sends a poll its answer; see broadcast.Poller.
func (l *loop) Answer(slot uint32, a *broadcast.PollAnswer) {
	c := l.conns.At(slot)
	if c.extra == nil || c.extra.poll == nil {
		return
	}
	status, headers, result := http.StatusOK, "", pollMessages
	switch latest := c.extra.poll.latest; {
	case a.Refused != nil:
		status, headers = refusedStatus(a.Refused)
		result = pollRefused
	case len(a.Told)+len(a.Messages) > 0 || latest:
	default:
		status, result = http.StatusNoContent, pollNothing
	}
	l.polled[result]++
	head := l.pollHead(status)
	if a.Cursors != "" {
		head = append(append(append(head, "Tickcast-Cursor: "...), a.Cursors...), "\r\n"...)
	}
	head = append(head, headers...)
	var body []byte
	if status != http.StatusNoContent {
		body = append(append(append(body, '['), a.Told...), a.Messages...)
		if body[len(body)-1] == ',' {
			body = body[:len(body)-1]
		}
		body = append(body, "]\n"...)
		head = append(head, "Content-Type: application/json\r\nContent-Length: "...)
		head = append(strconv.AppendInt(head, int64(len(body)), 10), "\r\n"...)
	}
	l.endPolling(c, true, head, body)
}

func (l *loop) pollHead(status int) []byte {
	head := strconv.AppendInt([]byte("HTTP/1.1 "), int64(status), 10)
	return append(append(append(head, ' '), http.StatusText(status)...), "\r\n"+pollHeaders...)
}

// endPolling responds to a poll, and goes on with the next request.
func (l *loop) endPolling(c *conn, keepAlive bool, head, body []byte) {
	p, input := c.extra.poll, append(c.extra.request, c.extra.input...)
	l.counters.inputBytes.Add(-int64(len(c.extra.input)))
	l.leaveShard(c)
	l.counters.polls.Add(-1)
	c.extra = nil
	c.state, c.transport = stateRequest, transportHTTP
	l.leaveClient(c)
	cors, http10, bodiless := l.cors, l.http10, l.bodiless // of another request
	l.cors, l.http10, l.bodiless = p.cors, p.http10, false
	l.respond(c, keepAlive && p.keepAlive, head, body)
	l.cors, l.http10, l.bodiless = cors, http10, bodiless
	if len(input) > 0 && c.state == stateRequest {
		l.postponeInput(c, input)
	}
}

// endPoll answers a poll whose client has to go.
func (l *loop) endPoll(c *conn, code wsproto.StatusCode, reason string) {
	f := l.engine.goingAway()
	switch code {
	case StatusTokenExpired, StatusInvalidToken:
		f = status401
	case StatusKicked:
		f = status403
	case StatusInboundRate:
		f = status429
	}
	l.rejected[f.reason]++
	l.polled[pollRefused]++
	head, body := f.response(reason)
	l.endPolling(c, false, head, body)
}

// keepRequests keeps the requests behind a poll until it is answered.
func (l *loop) keepRequests(c *conn, b []byte) {
	x := c.extra
	if len(x.request)+len(b) > l.engine.cfg.MaxHeaderSize+l.engine.cfg.MaxMessageSize {
		l.rejected[rejectNotReading]++
		l.drop(c)
		return
	}
	x.request = append(x.request, b...)
}
