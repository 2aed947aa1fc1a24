package eventloop

import (
	"net/http"
	"net/url"
	"time"

	"tickcast/broadcast/wire"
	"tickcast/wsproto"
)

// A topicForm is an admitted request for topics that does not open a WebSocket.
type topicForm struct {
	url.Values
	topics []string
	after  string // cursors; "" = none
}

// admitForm judges a request for topics, by GET or POST. It answers a request that is refused, and reports false.
func (l *loop) admitForm(c *conn, r *wsproto.Request, body []byte) (f topicForm, ok bool) {
	if !l.hasRoom(c) {
		return f, false
	}
	switch string(r.Method) {
	case http.MethodGet, http.MethodPost:
	case http.MethodHead: // its answer has no body
		l.refuseRequest(c, r, formMethod, "only GET and POST")
		return f, false
	default:
		l.refuse(c, formMethod, "only GET and POST")
		return f, false
	}
	if !l.originAllowed(c, r, false) || !l.admitForwarded(c, r) {
		return f, false
	}
	if f.Values, f.topics, ok = l.readForm(c, r, body); !ok {
		return f, false
	}
	why := ""
	if f.after = f.Get("after"); f.after != "" {
		if _, err := wire.ParseCursors(f.after); err != nil {
			why = err.(*wire.Error).Reason
		}
	}
	if len(r.LastEventID) > 0 { // newer than the address, which an EventSource keeps
		f.after = string(r.LastEventID)
		if _, err := wire.ParseCursors(f.after); err != nil { // not of this server
			f.after = "?:0"
		}
	}
	if rate := f.Get("rate"); rate != "" {
		if d, err := time.ParseDuration(rate); err != nil || d < 0 {
			why = "rate must be a duration such as 250ms"
		}
	}
	if len(f.topics) == 0 {
		why = "topics is missing: ?topics=px.AAPL,px.FX.*"
	}
	if why != "" {
		l.refuse(c, queryRejection, why)
		return f, false
	}
	return f, true
}
