package client

import (
	"context"
	"io"
	"mime"
	"net/http"
)

const eventsType = "text/event-stream"

// An eventStream is a line by Server-Sent Events.
type eventStream struct {
	body   io.ReadCloser
	cancel context.CancelFunc
	reader *eventReader
	first  *received // read by the opening: a proxy may hold back the body
}

func openEvents(opening context.Context, d *dial) (line, ending) {
	ctx, cancel, opened := lineContext(opening)
	resp, err := d.ask(ctx, d.form, eventsType)
	if err != nil {
		cancel()
		return nil, ending{reason: err.Error()}
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != http.StatusOK || kind != eventsType {
		defer cancel()
		return nil, refusedForm(resp)
	}
	l := &eventStream{body: resp.Body, cancel: cancel, reader: newEventReader(resp.Body, messageMax)}
	first := l.receive()
	if first.end != nil || !opened() {
		l.close(false)
		return nil, ending{code: http.StatusNotAcceptable, reason: "no event came"}
	}
	l.first = &first
	return l, ending{}
}

func (l *eventStream) receive() received {
	if r := l.first; r != nil {
		l.first = nil
		return *r
	}
	ev, err := l.reader.next()
	if err != nil {
		return received{end: &ending{reason: err.Error()}}
	}
	return received{b: ev.data, cursors: ev.id, retry: ev.retry}
}

func (l *eventStream) close(bool) {
	l.cancel()
	_ = l.body.Close()
}
