package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"tickcast/wsproto"
)

// A told is a message of the server.
type told struct {
	op     string // "" = data
	topic  int    // of data and gap
	seq    uint64
	prev   uint64
	index  uint64 // the payload: the number of the message along its topic
	snap   bool
	size   int // bytes of the frame
	all    bool
	answer *answer // of ack and err
}

func (m *told) String() string {
	switch {
	case m.answer != nil:
		return m.op + m.answer.String()
	case m.op == "" || m.op == "gap" || m.op == "stale" && !m.all || m.op == "fresh" && !m.all:
		snap := ""
		if m.snap {
			snap = " snap"
		}
		return fmt.Sprintf("%s%s s %d p %d: %d%s", m.op, universe[m.topic].name, m.seq, m.prev, m.index, snap)
	}
	return m.op
}

// An answer is an ack or err.
type answer struct {
	ID     int
	Topics []struct {
		T         string
		Mode      string
		Cursor    string
		Recovered *bool
	}
	Errors []struct {
		T    string
		Code int
		Msg  string
	}
	Code int
	Msg  string

	at        int64              // when the server wrote the answer
	published [mostTopics]uint64 // the last message of each topic when the server wrote the answer
	calm      [mostTopics]uint64 // node.calm when the server wrote the answer
	removed   [mostTopics]uint64 // the last message of each topic that its stream had lost by then
}

func (a *answer) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, " %d", a.ID)
	for _, t := range a.Topics {
		fmt.Fprintf(&b, " %s %s", t.T, t.Cursor)
		if t.Recovered != nil {
			fmt.Fprintf(&b, " recovered %v", *t.Recovered)
		}
		b.WriteByte(',')
	}
	for _, e := range a.Errors {
		fmt.Fprintf(&b, " %s %d %s,", e.T, e.Code, e.Msg)
	}
	if a.Code != 0 {
		fmt.Fprintf(&b, " %d %s", a.Code, a.Msg)
	}
	return b.String()
}

// parseTold reads the first frame of b and returns it with its length.
func parseTold(b []byte) (m told, err error) {
	h, n, err := wsproto.ParseHeader(b)
	if err != nil || n == 0 || n+int(h.Length) > len(b) {
		return m, fmt.Errorf("bad frame %q: %v", b, err)
	}
	m.size = n + int(h.Length)
	payload := b[n:m.size]
	if rest, ok := bytes.CutPrefix(payload, []byte(`{"t":"`)); ok {
		return m, m.parseData(rest)
	}
	var v struct {
		Op     string
		T      string
		Topics json.RawMessage
	}
	switch { // the usual ones without a decoder
	case bytes.HasPrefix(payload, []byte(`{"op":"ack"`)), bytes.HasPrefix(payload, []byte(`{"op":"err"`)):
		m.op, m.answer = string(payload[7:10]), new(answer)
		return m, json.Unmarshal(payload, m.answer)
	case bytes.HasPrefix(payload, []byte(`{"op":"hello"`)):
		m.op = "hello"
		return m, nil
	}
	if err := json.Unmarshal(payload, &v); err != nil {
		return m, fmt.Errorf("%q: %w", payload, err)
	}
	m.op, m.topic = v.Op, -1
	switch v.Op {
	case "gap":
		m.topic = topicByName([]byte(v.T))
	case "stale", "fresh":
		name := bytes.Trim(v.Topics, `[]"`)
		m.all, m.topic = string(name) == ">", topicByName(name)
	case "lag":
		return m, nil
	default:
		return m, fmt.Errorf("unknown message %q", payload)
	}
	if m.topic < 0 && bytes.Contains(payload, []byte(`"raw.`)) {
		m.op = "other"
	} else if m.topic < 0 && !m.all {
		return m, fmt.Errorf("unknown topic in %q", payload)
	}
	return m, nil
}

// parseData reads the fields of a data message behind {"t":" in the order of the server.
func (m *told) parseData(b []byte) error {
	whole := b
	name, b, _ := bytes.Cut(b, []byte(`"`))
	if m.topic = topicByName(name); m.topic < 0 && bytes.HasPrefix(name, []byte("raw.")) { // the subject of a mapped class by itself
		m.op = "other"
		return nil
	}
	number := func(key string) (v uint64) {
		rest, ok := bytes.CutPrefix(b, []byte(key))
		if !ok {
			return 0
		}
		for b = rest; len(b) > 0 && '0' <= b[0] && b[0] <= '9'; b = b[1:] {
			v = 10*v + uint64(b[0]-'0')
		}
		return v
	}
	m.seq = number(`,"s":`)
	m.prev = number(`,"p":`)
	if rest, ok := bytes.CutPrefix(b, []byte(`,"k":"snap"`)); ok {
		m.snap, b = true, rest
	}
	m.index = number(`,"d":`)
	if m.topic < 0 || m.seq == 0 || m.index == 0 || string(b) != "}" {
		return fmt.Errorf("bad data message %q", whole)
	}
	return nil
}
