package broadcast

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tickcast/broadcast/subject"
	"tickcast/broadcast/wire"
	"tickcast/broadcast/wire/wiretest"
)

// An oracle knows what was published, and judges every frame by docs/delivery.md, whose numbers its messages name. Payloads of
// a topic are 1, 2, 3, ..., lost ones included, so that a loss shows by itself.
type oracle struct {
	t    testing.TB
	done []string

	published map[string]uint64            // payload by topic
	seqs      map[string]map[uint64]uint64 // payload by topic and sequence, as the observer was told; of the present epoch
	newest    map[string]uint64            // of these, the newest payload
	accepted  map[string]uint64            // sequence by topic and payload, as the observer was told
	missed    map[string]bool              // by topic of mode last: its newest message was lost
	end       func(topic string) uint64    // the last sequence given out
	away      bool
}

// A viewer is a client, across its connections.
type viewer struct {
	name   string
	shard  int
	slot   uint32
	joined bool
	full   bool
	behind bool

	asked   []string               // topics and patterns of its command, while it waits for the answer
	after   map[string]wire.Cursor // with it: its cursors
	held    []string
	seq     map[string]uint64 // by topic: the sequence of its last message
	payload map[string]uint64 // by topic: it has all up to this one; absent = it cannot know
	gapped  map[string]bool   // by topic: it was told a gap since
	order   map[string]uint64 // by epoch: the sequence of the last update of a lossless topic in this connection
	stale   map[string]bool   // by topic, as it was told
	epoch   map[string]string // by topic, as it was told
	closed  string            // cursor of 4003
}

func newViewer(name string, shard int) *viewer {
	v := &viewer{name: name, shard: shard}
	v.forget()
	return v
}

// forget makes v a client that has never been there.
func (v *viewer) forget() {
	v.seq, v.payload, v.gapped, v.epoch = make(map[string]uint64), make(map[string]uint64), make(map[string]bool), make(map[string]string)
	v.closed = ""
}

func (o *oracle) fatalf(format string, args ...any) {
	o.t.Helper()
	o.t.Fatalf("%s\nafter\n%s", fmt.Sprintf(format, args...), strings.Join(o.done, "\n"))
}

func lossless(topic string) bool { return topic[0] != 'k' }

func (v *viewer) holds(topic string) bool {
	return slices.ContainsFunc(v.held, func(p string) bool { return subject.Covers(p, topic) })
}

// upto returns the newest payload of a topic with a sequence up to seq.
func (o *oracle) upto(topic string, seq uint64) (payload uint64) {
	for s, p := range o.seqs[topic] {
		if s <= seq {
			payload = max(payload, p)
		}
	}
	return payload
}

// told judges a frame that is written to v.
func (o *oracle) told(v *viewer, frame []byte) {
	m, err := wiretest.ParseTold(frame)
	if err != nil || !v.joined {
		o.fatalf("%s (joined: %v) was sent %q: %v", v.name, v.joined, frame, err)
	}
	text, _ := wiretest.PayloadOf(frame)
	o.done = append(o.done, "    "+v.name+" gets "+string(text))
	switch m.Op {
	case "":
		o.update(v, m)
	case "ack":
		o.acked(v, text)
	case "gap":
		v.gapped[m.T] = true
		if m.Why == "the stream was made anew" {
			delete(v.seq, m.T)
			delete(v.payload, m.T)
			v.order = make(map[string]uint64)
		}
	case "stale", "fresh":
		var names []string
		_ = json.Unmarshal(m.Topics, &names)
		for _, topic := range deliveryTopics {
			if names[0] == ">" || names[0] == topic {
				v.stale[topic] = m.Op == "stale"
			}
		}
	}
}

// update judges a message of a topic.
func (o *oracle) update(v *viewer, m told) {
	payload, _ := strconv.ParseUint(string(m.D), 10, 64)
	last, known := v.payload[m.T]
	seq := v.seq[m.T]
	switch {
	case !v.holds(m.T):
		o.fatalf("%s does not hold %s", v.name, m.T)
	case m.K == "" && m.S <= seq:
		o.fatalf("P6: %s was told %s at or before %d", v.name, m.Short(), seq)
	case lossless(m.T) && m.K == "" && known && payload != last+1 && !v.gapped[m.T]:
		o.fatalf("P2: %s was told %s after payload %d, without a gap", v.name, m.Short(), last)
	case lossless(m.T) && m.K == "" && known && m.P > seq && !v.gapped[m.T]:
		o.fatalf("P3: %s was told %s with p=%d after %d, without a gap", v.name, m.Short(), m.P, seq)
	case lossless(m.T) && m.K == "" && m.S <= v.order[o.epochOf(m.T)]:
		o.fatalf("P4: %s was told %s after %d", v.name, m.Short(), v.order[o.epochOf(m.T)])
	case !lossless(m.T) && known && payload < last:
		o.fatalf("P7: %s was told %s after payload %d", v.name, m.Short(), last)
	}
	if lossless(m.T) && m.K == "" {
		v.order[o.epochOf(m.T)] = m.S
	}
	v.seq[m.T], v.payload[m.T], v.gapped[m.T] = max(m.S, seq), max(payload, last), m.T[0] == 'd' && m.K != ""
}

// epochOf names the numbers of a topic's sequences: those of a stream, or of the server.
func (o *oracle) epochOf(topic string) string {
	if topic[0] == 's' {
		return "stream"
	}
	return "server"
}

// acked judges the answer to the command of v.
func (o *oracle) acked(v *viewer, text []byte) {
	var ack struct {
		Topics []struct {
			T, Cursor string
			Recovered *bool
		}
		Errors []struct {
			T    string
			Code int
		}
	}
	if err := json.Unmarshal(text, &ack); err != nil || len(ack.Topics)+len(ack.Errors) != len(v.asked) {
		o.fatalf("P8: %s asked for %v and was answered %s", v.name, v.asked, text)
	}
	v.asked = nil
	for _, e := range ack.Errors {
		if e.Code != 108 || e.T[0] != 's' {
			o.fatalf("P8: %s was answered %s", v.name, text)
		}
	}
	for _, a := range ack.Topics {
		v.held = append(v.held, a.T)
		epoch, digits, _ := strings.Cut(a.Cursor, ":")
		position, err := strconv.ParseUint(digits, 10, 64)
		from, resumed := v.after[a.T]
		after := from.Seq
		if resumed && *a.Recovered && a.Cursor != "" && from.Epoch != epoch {
			o.fatalf("P5: %s resumed %s after %v and was answered %s", v.name, a.T, from, text)
		}
		for _, topic := range deliveryTopics {
			if !subject.Covers(a.T, topic) {
				continue
			}
			v.gapped[topic] = topic[0] == 'd'
			switch {
			case resumed && *a.Recovered:
				if newest := o.end(topic); after > newest {
					o.fatalf("P5: %s resumed %s after %d, which is beyond %d, and recovered", v.name, topic, after, newest)
				}
				v.seq[topic] = after
				if lossless(topic) {
					v.payload[topic] = o.upto(topic, after)
				}
			case lossless(topic) && err == nil && topic[0] != 'd': // of a delayed one nobody here knows the sequences of holes
				if newest := o.end(topic); position > newest {
					o.fatalf("P5: %s was given %s in %s, which ends at %d", v.name, a.Cursor, topic, newest)
				}
				v.seq[topic], v.payload[topic] = position, o.upto(topic, position)
			default:
				delete(v.seq, topic)
				delete(v.payload, topic)
			}
			if epoch != "" {
				v.epoch[topic] = epoch
			}
		}
	}
}

// observed notes a message as the observer is told it, who has a mailbox without an end and is always there.
func (o *oracle) observed(frame []byte) {
	m, err := wiretest.ParseTold(frame)
	if err != nil {
		o.fatalf("the observer was sent %q: %v", frame, err)
	}
	if m.Op != "" {
		return
	}
	payload, _ := strconv.ParseUint(string(m.D), 10, 64)
	o.note(m.T, m.S, payload)
	o.accepted[m.T+string(m.D)] = m.S
	o.newest[m.T] = max(payload, o.newest[m.T])
	o.missed[m.T] = false
}

func (o *oracle) note(topic string, seq, payload uint64) {
	if o.seqs[topic] == nil {
		o.seqs[topic] = make(map[uint64]uint64)
	}
	o.seqs[topic][seq] = payload
}

// ended judges the close of v with 4003: it has all up to the cursor.
func (o *oracle) ended(v *viewer, reason string) {
	o.done = append(o.done, "    "+v.name+" is closed: "+reason)
	_, v.closed, _ = strings.Cut(reason, "resume after ")
	cursor, err := wire.ParseCursor(v.closed)
	if err != nil { // the queue began with the end of a stream
		return
	}
	for _, topic := range deliveryTopics {
		last, known := v.payload[topic]
		if want := o.upto(topic, cursor.Seq); lossless(topic) && known && o.accepted[topic+strconv.FormatUint(want, 10)] > 0 && v.holds(topic) && v.epoch[topic] == cursor.Epoch && !v.gapped[topic] && last < want {
			o.fatalf("P10: %s has %s up to payload %d, and may resume after %d, which is %s", v.name, topic, last, want, v.closed)
		}
	}
}

// settled judges v when all has been delivered and its socket is empty.
func (o *oracle) settled(v *viewer) {
	if len(v.asked) > 0 {
		o.fatalf("P8: %s was never answered for %v", v.name, v.asked)
	}
	for _, topic := range deliveryTopics {
		if !v.holds(topic) {
			continue
		}
		newest := o.newest[topic]
		if last, known := v.payload[topic]; known && last < newest {
			o.fatalf("P1: %s has %s up to payload %d, the newest is %d", v.name, topic, last, newest)
		}
		if want := o.away || o.missed[topic]; !lossless(topic) && newest > 0 && v.stale[topic] != want {
			o.fatalf("P9: %s believes that %s is stale: %v, want %v", v.name, topic, v.stale[topic], want)
		}
	}
}
