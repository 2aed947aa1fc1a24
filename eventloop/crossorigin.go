package eventloop

import (
	"tickcast/eventloop/admission"
	"tickcast/wsproto"
)

// noteOrigin sets the lines of CORS for the answers to r: a page of an allowed origin may read them. Without a list of origins
// no other page may, and no answer depends on the origin.
func (l *loop) noteOrigin(r *wsproto.Request) {
	e := l.engine
	if !e.crossOrigin {
		return
	}
	l.cors = append(l.cors[:0], "Vary: Origin\r\n"...)
	if r.Origin == nil || !e.cfg.Origins.Allows(r.Origin, r.Host) {
		return
	}
	l.cors = append(l.cors, "Access-Control-Allow-Origin: "...)
	l.cors = append(l.cors, r.Origin...)
	l.cors = append(l.cors, "\r\nAccess-Control-Expose-Headers: Tickcast-Cursor, Retry-After\r\n"...)
	if e.credentials {
		l.cors = append(l.cors, "Access-Control-Allow-Credentials: true\r\n"...)
	}
}

// originAllowed judges the origin of a request, and answers it if it is refused. Only browsers send Origin, and not in every
// request: one that a cookie authenticates may come from any page unless the browser denies it.
func (l *loop) originAllowed(c *conn, r *wsproto.Request, byCookie bool) bool {
	switch {
	case r.Origin != nil && !l.engine.cfg.Origins.Allows(r.Origin, r.Host):
		l.refuse(c, status403, "this origin is not allowed")
	case r.Origin == nil && byCookie && !admission.SameSite(r.FetchSite):
		l.refuse(c, status403, "a cookie needs an Origin, or Sec-Fetch-Site: same-origin")
	default:
		return true
	}
	return false
}

// preflight is the answer to a browser that asks before it sends a request of another origin.
var preflight = []byte("HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Methods: GET, HEAD, POST\r\n" +
	"Access-Control-Allow-Headers: Authorization, Cache-Control, Content-Type, Last-Event-ID\r\nAccess-Control-Max-Age: 600\r\n")

// answerPreflight answers a preflight request of an allowed origin. It reports false if r is none.
func (l *loop) answerPreflight(c *conn, r *wsproto.Request) bool {
	e := l.engine
	if r.Origin == nil || !e.crossOrigin || !e.cfg.Origins.Allows(r.Origin, r.Host) {
		return false
	}
	l.respond(c, r.KeepAlive(), preflight, nil)
	return true
}
