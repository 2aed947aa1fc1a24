package eventloop

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"tickcast/wsproto"
)

// respond sends a response and waits for the next request, or ends the connection.
func (l *loop) respond(c *conn, keepAlive bool, head, body []byte) {
	if keepAlive && (l.engine.draining.Load() || l.tooOld(c)) {
		keepAlive = false
	}
	b := append(l.scratch[:0], head...)
	b = append(b, l.dateLine()...)
	b = append(b, l.cors...)
	switch {
	case !keepAlive:
		b = append(b, "Connection: close\r\n"...)
	case l.http10: // its client takes the connection for closed unless it is told, RFC 9112 section 9.3
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	b = append(b, "\r\n"...)
	if !l.bodiless {
		b = append(b, body...)
	}
	l.scratch = reuse(b)
	l.lastResponse = !keepAlive
	alive := l.answer(c, b, 0)
	l.lastResponse = false
	switch {
	case !alive:
	case !keepAlive:
		l.linger(c)
	default:
		l.wheel.schedule(c, l.now+l.engine.handshake)
	}
}

// A refusal is a response to a request that is not served.
type refusal struct {
	status  int
	headers string
	reason  rejectReason
}

// upgradeHeaders: "A sender of Upgrade MUST also send an "Upgrade" connection option", RFC 9110 section 7.8.
const upgradeHeaders = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"

var (
	status401     = &refusal{401, "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n", rejectToken}
	status403     = &refusal{403, "", rejectOrigin}
	status403User = &refusal{403, "", rejectUser}
	status429     = &refusal{429, "Retry-After: 5\r\n", rejectRate}
	status404     = &refusal{404, "", rejectNotFound}
	status405     = &refusal{405, "Allow: GET, HEAD\r\n", rejectMethod}
	status408     = &refusal{408, "", rejectTimeout}
	status421     = &refusal{421, "", rejectHost}
	status503     = &refusal{503, "Retry-After: 5\r\n", rejectMaxConnections}

	status503Memory   = &refusal{503, "Retry-After: 5\r\n", rejectMemory}
	status429User     = &refusal{429, "Retry-After: 5\r\n", rejectUser}
	status503Keys     = &refusal{503, "Retry-After: 1\r\n", rejectKeys}
	status503Draining = &refusal{503, "Retry-After: 1\r\n", rejectDraining}

	formMethod     = &refusal{405, "Allow: GET, POST\r\n", rejectMethod}
	streamMethod   = &refusal{405, "Allow: GET\r\n", rejectMethod}
	upgradeNeeded  = &refusal{426, upgradeHeaders, rejectBadRequest}
	versionNeeded  = &refusal{426, upgradeHeaders, rejectVersion}
	proxyRejection = &refusal{400, "", rejectProxy}
	queryRejection = &refusal{400, "", rejectBadRequest}
)

// retryAfter returns the refusal with 503 of a client that may come back after a time, which is rounded up to seconds.
func retryAfter(after time.Duration, reason rejectReason) *refusal {
	seconds := int64((after + time.Second - 1) / time.Second)
	return &refusal{503, "Retry-After: " + strconv.FormatInt(max(seconds, 1), 10) + "\r\n", reason}
}

// refuseError answers a request that broke a rule of HTTP or of the opening handshake.
func (l *loop) refuseError(c *conn, err error) {
	var e *wsproto.RequestError
	if !errors.As(err, &e) {
		e = &wsproto.RequestError{Status: 500, Reason: "internal error"}
	}
	f := &refusal{e.Status, "", rejectBadRequest}
	switch {
	case errors.Is(err, wsproto.ErrVersion):
		f = versionNeeded
	case errors.Is(err, wsproto.ErrNotUpgrade):
		f = upgradeNeeded
	case e.Status == 431 || e.Status == 414 || e.Status == 413:
		f.reason = rejectTooLarge
	}
	if e.Status != 411 && e.Status != 417 { // which HTTP allows
		l.offend(c)
	}
	l.refuse(c, f, e.Reason)
}

// refuseRequest refuses one request; the connection lives on if the client asks for that.
func (l *loop) refuseRequest(c *conn, r *wsproto.Request, f *refusal, why string) {
	l.rejected[f.reason]++
	head, body := f.response(why)
	l.respond(c, r.KeepAlive(), head, body)
}

// refuse refuses a request or a connection, and ends the connection. Before the end of a TLS handshake no response is possible.
func (l *loop) refuse(c *conn, f *refusal, why string) {
	l.rejected[f.reason]++
	if !l.canRespond(c) {
		l.drop(c)
		return
	}
	head, body := f.response(why)
	l.respond(c, false, head, body)
}

func (f *refusal) response(why string) (head, body []byte) {
	body = append([]byte(why), '\n')
	head = append(head, "HTTP/1.1 "...)
	head = strconv.AppendInt(head, int64(f.status), 10)
	head = append(head, " "+http.StatusText(f.status)+"\r\n"...)
	head = append(head, "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"+f.headers+"Content-Length: "...)
	head = strconv.AppendInt(head, int64(len(body)), 10)
	return append(head, "\r\n"...), body
}

// dateLine returns the Date header, which RFC 9110 section 6.6.1 demands from a server with a clock.
func (l *loop) dateLine() []byte {
	if now := time.Now().Unix(); now != l.dateSecond || l.date == nil {
		l.dateSecond = now
		l.date = time.Unix(now, 0).UTC().AppendFormat(append(l.date[:0], "Date: "...), http.TimeFormat)
		l.date = append(l.date, "\r\n"...)
	}
	return l.date
}
