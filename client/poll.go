package client

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"
)

const (
	pollWait  = 25 * time.Second // proxies give up after 30 s or 60 s
	pollPause = time.Second      // between two polls that are answered at once with no message
)

// A polling is a line by long polling.
type polling struct {
	dial   *dial
	ctx    context.Context
	cancel context.CancelFunc
	form   url.Values // of the next poll
	due    []received // of the answers
	idle   bool       // it had no message of a topic
	asked  time.Time
}

// openPoll asks for what there is: the answer says that there is a way.
func openPoll(opening context.Context, d *dial) (line, ending) {
	ctx, cancel, opened := lineContext(opening)
	l := &polling{dial: d, ctx: ctx, cancel: cancel, form: maps.Clone(d.form)}
	l.form.Set("wait", "0s")
	e := l.pollUnplaced()
	if e == nil {
		e = l.poll()
	}
	if e == nil && !opened() {
		e = &ending{reason: "the answer came too late"}
	}
	if e != nil {
		cancel()
		return nil, *e
	}
	l.form.Set("wait", pollWait.String())
	l.idle = false
	return l, ending{}
}

func (l *polling) receive() received {
	for len(l.due) == 0 {
		if e := l.nextPoll(); e != nil {
			return received{end: e}
		}
	}
	r := l.due[0]
	l.due = l.due[1:]
	return r
}

// pollUnplaced polls the topics without a cursor of their own, if there are others with one: a poll behind the cursors of others
// brings no newest message that is before these, and no ack. The server's refusal of these topics comes with the poll of all.
func (l *polling) pollUnplaced() *ending {
	if l.dial.unplaced == "" {
		return nil
	}
	all := l.form
	l.form = maps.Clone(all)
	l.form.Set("topics", l.dial.unplaced)
	l.form.Del("after")
	e := l.poll()
	if e == nil {
		l.due = l.due[:len(l.due)-1] // the cursors are not those of all topics
		all.Set("after", lowerCursors(all.Get("after"), l.form.Get("after")))
	} else if e.code == http.StatusBadRequest || e.code == http.StatusForbidden {
		e = nil
	}
	l.form = all
	return e
}

// nextPoll polls, after a pause if there is nothing but notices, at once and again.
func (l *polling) nextPoll() *ending {
	if early := pollPause - time.Since(l.asked); l.idle && early > 0 {
		pause := time.NewTimer(early)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-l.ctx.Done():
			return &ending{reason: "closed"}
		}
	}
	e := l.poll()
	if e != nil && e.code == http.StatusUnauthorized && l.dial.token != "" {
		return &ending{again: true} // nobody says before that the token expires: another poll has another one, or is refused for good
	}
	return e
}

// poll sends one request, and takes its answer.
func (l *polling) poll() *ending {
	l.asked = time.Now()
	resp, err := l.dial.ask(l.ctx, l.form, "*/*")
	if err != nil {
		return &ending{reason: err.Error()}
	}
	var messages []json.RawMessage
	switch resp.StatusCode {
	case http.StatusOK:
		messages, err = readAnswer(resp.Body)
	case http.StatusNoContent:
		messages = []json.RawMessage{allRecovered(l.form.Get("topics"))}
		err = resp.Body.Close()
	default:
		e := refusedForm(resp)
		return &e
	}
	if err != nil {
		return &ending{code: http.StatusNotAcceptable, reason: "malformed answer: " + err.Error()}
	}
	l.take(messages, resp.Header.Get("Tickcast-Cursor"))
	return nil
}

// take takes an answer. Its cursors are behind all its messages.
func (l *polling) take(messages []json.RawMessage, cursors string) {
	l.idle = true
	for _, m := range messages {
		l.due = append(l.due, received{b: m})
		l.idle = l.idle && isNotice(m)
	}
	l.due = append(l.due, received{cursors: cursors})
	if cursors != "" {
		l.form.Set("after", cursors)
	}
}

func (l *polling) close(bool) { l.cancel() }

func readAnswer(body io.ReadCloser) (messages []json.RawMessage, err error) {
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, messageMax+1))
	if err == nil && len(b) > messageMax {
		err = errTooLong
	}
	if err == nil {
		err = json.Unmarshal(b, &messages)
	}
	return messages, err
}

// isNotice reports whether a message is none of a topic.
func isNotice(m json.RawMessage) bool {
	var in struct {
		Op string `json:"op"`
	}
	return json.Unmarshal(m, &in) != nil || in.Op != ""
}

// allRecovered returns the ack that an answer without content stands for: nothing new means that nothing is missing.
func allRecovered(topics string) json.RawMessage {
	var names []string
	if json.Unmarshal([]byte(topics), &names) != nil {
		return json.RawMessage(`{"op":"hb"}`)
	}
	list := make([]AckTopic, len(names))
	for i, name := range names {
		list[i] = AckTopic{Topic: name, Recovered: true}
	}
	b, err := json.Marshal(map[string]any{"op": "ack", "topics": list})
	if err != nil {
		panic(err) // strings alone
	}
	return b
}
