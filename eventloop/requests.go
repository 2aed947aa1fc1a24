package eventloop

import (
	"bytes"
	"net/http"

	"tickcast/wsproto"
)

// readRequests reads requests for pages, one after the other, or the opening handshake.
func (l *loop) readRequests(c *conn, b []byte) {
	if c.extra != nil {
		c.extra.request = append(c.extra.request, b...)
		b = c.extra.request
	}
	defer l.forgetRequest()
	limits := wsproto.RequestLimits{MaxBytes: l.engine.cfg.MaxHeaderSize, Body: true}
	for len(b) > 0 && c.state == stateRequest {
		r, n, err := wsproto.ParseRequest(b, limits)
		if n > 0 {
			l.noteRequest(&r)
			err = l.judgeBody(c, &r)
		}
		if err != nil {
			l.refuseError(c, err)
			return
		}
		if n == 0 || len(b) < n+r.BodyLength {
			if n > 0 && n == len(b) && r.Continue && !l.answer(c, continueResponse, 0) {
				return
			}
			if c.extra == nil {
				c.extra = &extra{request: bytes.Clone(b)}
			}
			return
		}
		body := b[n : n+r.BodyLength]
		b = b[n+r.BodyLength:]
		c.extra = nil
		l.requests++
		if !l.withinCommands(c) {
			return
		}
		l.serve(c, &r, body)
		l.forgetRequest()
	}
	if len(b) > 0 && c.state == stateOpen {
		l.row(c).read(l, c, b)
	}
}

// noteRequest notes the form of the answer to r, until forgetRequest.
func (l *loop) noteRequest(r *wsproto.Request) {
	l.noteOrigin(r)
	l.http10, l.bodiless = r.Minor == 0, string(r.Method) == http.MethodHead
}

func (l *loop) forgetRequest() { l.cors, l.http10, l.bodiless = l.cors[:0], false, false }

// continueResponse asks for the body of a request whose client waits for that, as curl does with large ones. Without it such clients
// wait for a second.
var continueResponse = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// judgeBody judges the body of a request: one for topics may have one, and one that is redirected, which goes unread.
func (l *loop) judgeBody(c *conn, r *wsproto.Request) error {
	switch {
	case r.BodyLength == 0:
		return nil
	case c.flags&flagRedirect == 0 && string(r.Path) != l.engine.cfg.StreamPath && string(r.Path) != l.engine.latestPath:
		return wsproto.ErrBody
	case r.BodyLength > l.engine.cfg.MaxMessageSize:
		return wsproto.ErrBodyTooLarge
	}
	return nil
}

// serve answers one request.
func (l *loop) serve(c *conn, r *wsproto.Request, body []byte) {
	e := l.engine
	if c.gc.OutboundBuffered() > e.cfg.QueueBytes { // pipelines requests and does not read the answers
		l.rejected[rejectNotReading]++
		l.drop(c)
		return
	}
	if c.flags&flagRedirect != 0 {
		l.redirect(c, r)
		return
	}
	if string(r.Method) == http.MethodOptions && l.answerPreflight(c, r) {
		return
	}
	if string(r.Path) == e.cfg.StreamPath {
		l.admitStream(c, r, body)
		return
	}
	if string(r.Path) == e.latestPath {
		l.admitPoll(c, r, body, true)
		return
	}
	if e.servesEcho(r) {
		l.admitEcho(c, r)
		return
	}
	p := e.pages[string(r.Path)]
	if p == nil {
		l.refuseRequest(c, r, status404, "no such page")
		return
	}
	if string(r.Method) != http.MethodGet && !l.bodiless {
		l.refuseRequest(c, r, status405, "only GET and HEAD")
		return
	}
	head, body := p.full, p.body
	if p.heldBy(r.IfNoneMatch) {
		head, body = p.notModified, nil
	}
	l.respond(c, r.KeepAlive(), head, body)
}
