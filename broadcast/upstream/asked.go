package upstream

import (
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// The pause before a refused subscription is retried. It doubles with each refusal, up to askAgainAtMost.
const (
	askAgain       = time.Second
	askAgainAtMost = 30 * time.Second
)

// An asked holds the lines that one connection has sent and NATS has not answered, and the subscriptions that NATS refused.
// NATS answers a SUB only with a refusal, and in order. A PONG therefore decides every line before its PING. The
// subscriptions of the connection bound its size.
type asked struct {
	lines   []line              // since the oldest PING without an answer
	unnamed int                 // refusals of lines before that PING that name no subject
	refused map[string]*refusal // by sid
}

// A line is a SUB, an UNSUB, a PING, or the place of a fence.
type line struct {
	verb         verb
	sid, subject string
	refused      bool   // by name
	fence        uint64 // see conn.fence; 0 = none
}

// A refusal is a subscription that NATS did not grant, and that is retried.
type refusal struct {
	sid, subject, why string
	at                time.Time     // of the next attempt
	wait              time.Duration // after that
	over              bool          // an UNSUB is on its way
}

// note records a line before it is sent.
func (a *asked) note(v verb, args []byte) {
	l := line{verb: v}
	switch words := strings.Fields(string(args)); {
	case v == verbSub && len(words) >= 2:
		l.subject, l.sid = words[0], words[len(words)-1]
	case v == verbUnsub && len(words) >= 1:
		l.sid = words[0]
		if r := a.refused[l.sid]; r != nil {
			r.over = true
		}
	case v != verbPing:
		return
	}
	a.lines = append(a.lines, l)
}

// noteFence records the place of a fence. Those in a row have one place: the last one stands for all.
func (a *asked) noteFence(number uint64) {
	if n := len(a.lines); n > 0 && a.lines[n-1].fence > 0 {
		a.lines[n-1].fence = number
	} else {
		a.lines = append(a.lines, line{fence: number})
	}
}

// pong handles the answer to the oldest PING. It returns the subjects whose refusal named no subject, the formerly refused
// subjects that NATS has now granted, and the last fence before the PING; 0 = none.
func (a *asked) pong(now time.Time) (refused []refusal, granted []string, fence uint64) {
	end := 0
	for end < len(a.lines) && a.lines[end].verb != verbPing {
		end++
	}
	if end == len(a.lines) {
		return nil, nil, 0 // a PONG without a PING
	}
	segment := a.lines[:end]
	over := a.overLimit(segment)
	for i, l := range segment {
		switch {
		case l.fence > 0:
			fence = l.fence
		case l.verb == verbUnsub:
			delete(a.refused, l.sid)
		case l.refused:
		case over[i]:
			refused = append(refused, a.refuse(l.sid, l.subject, "maximum subscriptions exceeded", now))
		case a.refused[l.sid] != nil:
			delete(a.refused, l.sid)
			granted = append(granted, l.subject)
		}
	}
	left := a.lines[end+1:]
	switch {
	case len(left) == 0:
		left = nil
	case len(left) <= end: // the array would keep all lines before
		left = slices.Clone(left)
	}
	a.lines, a.unnamed = left, 0
	return refused, granted, fence
}

// overLimit returns the indexes of the SUB lines that were refused without a name. The server was full when it read these
// lines. Its room before them is not known, but follows from the number of refusals: more room means fewer refusals.
func (a *asked) overLimit(segment []line) (over map[int]bool) {
	if a.unnamed == 0 {
		return nil
	}
	room := sort.Search(len(segment), func(room int) bool { return len(a.refusedWith(segment, room)) <= a.unnamed })
	return a.refusedWith(segment, room)
}

// refusedWith returns the indexes of the SUB lines that a server with room for so many subscriptions refuses.
func (a *asked) refusedWith(segment []line, room int) map[int]bool {
	over, without := make(map[int]bool), make(map[string]bool)
	for i, l := range segment {
		switch {
		case l.fence > 0:
		case l.verb == verbSub && l.refused:
			without[l.sid] = true
		case l.verb == verbSub && room == 0:
			over[i], without[l.sid] = true, true
		case l.verb == verbSub:
			room--
		case !without[l.sid] && a.refused[l.sid] == nil:
			room++
		}
	}
	return over
}

// refuse records a refusal and sets the time of the next attempt.
func (a *asked) refuse(sid, subject, why string, now time.Time) refusal {
	r := a.refused[sid]
	if r == nil {
		r = &refusal{sid: sid, subject: subject, wait: askAgain}
		if a.refused == nil {
			a.refused = make(map[string]*refusal)
		}
		a.refused[sid] = r
	}
	r.why, r.at = why, now.Add(r.wait)
	return *r
}

// refuseByName records a refusal that names its subject. It also names the sid if the subscription had been granted before.
func (a *asked) refuseByName(subject, sid, why string, now time.Time) (r refusal, ok bool) {
	for i := range a.lines {
		l := &a.lines[i]
		if sid != "" { // it was granted, by a line that waits for its PONG perhaps
			l.refused = l.refused || l.verb == verbSub && l.sid == sid
			continue
		}
		if l.verb == verbPing {
			break
		}
		if l.verb == verbSub && !l.refused && l.subject == subject {
			l.refused, sid = true, l.sid
		}
	}
	if sid == "" {
		return refusal{}, false
	}
	r = a.refuse(sid, subject, why, now)
	unsubscribed := func(l line) bool { return l.verb == verbUnsub && l.sid == sid }
	a.refused[sid].over = slices.ContainsFunc(a.lines, unsubscribed)
	return r, true
}

// due returns the lines that ask again for refused subscriptions.
func (a *asked) due(now time.Time) (lines []byte) {
	for sid, r := range a.refused {
		if !r.over && !r.at.After(now) {
			r.wait = min(2*r.wait, askAgainAtMost)
			r.at = now.Add(r.wait)
			lines = append(lines, "SUB "+r.subject+"  "+sid+"\r\n"...)
		}
	}
	return lines
}

var (
	deniedSub = regexp.MustCompile(`(?i)^permissions violation for subscription to ("(?:[^"\\]|\\.)*")(?:.*\(sid "(\d+)"\))?`)
	deniedPub = regexp.MustCompile(`(?i)^permissions violation for publish to ("(?:[^"\\]|\\.)*")`)
)

// deniedSubject finds the subject and the sid in an error of NATS.
func deniedSubject(in *regexp.Regexp, text string) (subject, sid string, ok bool) {
	m := in.FindStringSubmatch(text)
	if m == nil {
		return "", "", false
	}
	subject, err := strconv.Unquote(m[1])
	if len(m) > 2 {
		sid = m[2]
	}
	return subject, sid, err == nil
}
