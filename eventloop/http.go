package eventloop

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"time"

	"tickcast/wsproto"
)

// A page is a Page made ready to be sent.
type page struct {
	full        []byte // the response's head without Date and the empty line
	notModified []byte // the same for a client that holds this very body
	etag        []byte
	body        []byte
}

// securityHeaders let a page load nothing but its own files, and nobody frame it.
const securityHeaders = "X-Content-Type-Options: nosniff\r\n" +
	"Content-Security-Policy: default-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'\r\n" +
	"Referrer-Policy: same-origin\r\n"

func newPage(p Page) *page {
	sum := sha256.Sum256(p.Body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	caching := "ETag: " + etag + "\r\nCache-Control: no-cache\r\n"
	return &page{
		full: []byte("HTTP/1.1 200 OK\r\nContent-Type: " + p.ContentType + "\r\nContent-Length: " + strconv.Itoa(len(p.Body)) +
			"\r\n" + caching + securityHeaders),
		notModified: []byte("HTTP/1.1 304 Not Modified\r\n" + caching),
		etag:        []byte(etag),
		body:        p.Body,
	}
}

// readRequests takes what came before an upgrade: requests for pages, one after the other, or the opening handshake.
func (l *loop) readRequests(c *conn, b []byte) {
	if c.aside != nil {
		c.aside.head = append(c.aside.head, b...)
		b = c.aside.head
	}
	for len(b) > 0 && c.state == stateRequest {
		r, n, err := wsproto.ParseRequest(b, l.engine.requests)
		if err != nil {
			l.refuseError(c, err)
			return
		}
		if n == 0 {
			if c.aside == nil {
				c.aside = &aside{head: bytes.Clone(b)}
			}
			return
		}
		b = b[n:]
		c.aside = nil
		l.requests++
		l.serve(c, &r)
	}
	if len(b) > 0 && c.state == stateOpen {
		l.readFrames(c, b)
	}
}

// serve answers one request.
func (l *loop) serve(c *conn, r *wsproto.Request) {
	e := l.engine
	if c.gc.OutboundBuffered() > e.cfg.QueueBytes { // pipelines requests and does not read the answers
		l.rejected[rejectNotReading]++
		l.drop(c)
		return
	}
	if string(r.Path) == e.cfg.StreamPath {
		l.admit(c, r)
		return
	}
	if e.echoes(r) {
		l.admitEcho(c, r)
		return
	}
	p := e.pages[string(r.Path)]
	if p == nil {
		l.respondError(c, r, status404, "no such page")
		return
	}
	get := string(r.Method) == http.MethodGet
	if !get && string(r.Method) != http.MethodHead {
		l.respondError(c, r, status405, "only GET and HEAD")
		return
	}
	head, body := p.full, p.body
	if holds(r.IfNoneMatch, p.etag) {
		head, body = p.notModified, nil
	}
	if !get {
		body = nil
	}
	l.respond(c, r.KeepAlive(), head, body)
}

// holds reports whether the value of If-None-Match names etag, which has no comma, by the weak comparison of RFC 9110 section
// 8.8.3.2; * names every page.
func holds(value, etag []byte) bool {
	for tag := range bytes.SplitSeq(value, []byte(",")) {
		tag = bytes.Trim(tag, " \t")
		if string(tag) == "*" || bytes.Equal(bytes.TrimPrefix(tag, []byte("W/")), etag) {
			return true
		}
	}
	return false
}

// respond writes a response and gets ready for the next request, or ends the connection.
func (l *loop) respond(c *conn, keepAlive bool, head, body []byte) {
	if l.engine.draining.Load() {
		keepAlive = false
	}
	b := append(l.scratch[:0], head...)
	b = append(b, l.dateLine()...)
	if !keepAlive {
		b = append(b, "Connection: close\r\n"...)
	}
	b = append(b, "\r\n"...)
	l.scratch = b
	l.chunks = append(l.chunks[:0], b)
	if len(body) > 0 {
		l.chunks = append(l.chunks, body)
	}
	for _, chunk := range l.chunks {
		l.bytesSent += uint64(len(chunk))
	}
	_, err := c.gc.Writev(l.chunks)
	clear(l.chunks)
	switch {
	case err != nil: // gnet has closed the connection
	case !keepAlive:
		l.linger(c)
	default:
		l.checkBehind(c)
		l.schedule(c, l.now+l.times.handshake)
	}
}

// A refusal is a response that says no.
type refusal struct {
	status  int
	headers string
	reason  rejectReason
}

// upgradeHeaders: "A sender of Upgrade MUST also send an "Upgrade" connection option", RFC 9110 section 7.8.
const upgradeHeaders = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"

var (
	status404 = &refusal{404, "", rejectNotFound}
	status405 = &refusal{405, "Allow: GET, HEAD\r\n", rejectMethod}
	status408 = &refusal{408, "", rejectTimeout}
	status503 = &refusal{503, "Retry-After: 5\r\n", rejectMaxConnections}

	status503Draining = &refusal{503, "Retry-After: 1\r\n", rejectDraining}

	streamMethod   = &refusal{405, "Allow: GET\r\n", rejectMethod}
	upgradeNeeded  = &refusal{426, upgradeHeaders, rejectBadRequest}
	versionNeeded  = &refusal{426, upgradeHeaders, rejectVersion}
	queryRejection = &refusal{400, "", rejectBadRequest}
)

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
	case e.Status == 431 || e.Status == 414:
		f.reason = rejectTooLarge
	}
	l.refuse(c, f, e.Reason)
}

// respondError refuses one request; the connection lives on if the client wants it to.
func (l *loop) respondError(c *conn, r *wsproto.Request, f *refusal, why string) {
	l.rejected[f.reason]++
	head, body := f.response(why)
	if string(r.Method) == http.MethodHead {
		body = nil
	}
	l.respond(c, r.KeepAlive(), head, body)
}

// refuse refuses and ends the connection.
func (l *loop) refuse(c *conn, f *refusal, why string) {
	l.rejected[f.reason]++
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

// dateLine returns the Date header, which RFC 9110 section 6.6.1 wants of a server that has a clock.
func (l *loop) dateLine() []byte {
	if now := time.Now().Unix(); now != l.dateAt || l.date == nil {
		l.dateAt = now
		l.date = time.Unix(now, 0).UTC().AppendFormat(append(l.date[:0], "Date: "...), http.TimeFormat)
		l.date = append(l.date, "\r\n"...)
	}
	return l.date
}
