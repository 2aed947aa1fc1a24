package broadcast

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"tickcast/wsproto"
)

// Control messages are few and belong to one client, or change rarely: they are built with encoding/json, except for
// those that are the same for everyone.

var (
	freshFrame = textFrame([]byte(`{"op":"fresh","topics":[">"]}`))
	staleFrame = textFrame([]byte(`{"op":"stale","topics":[">"],"why":"upstream disconnected"}`))
)

func textFrame(payload []byte) []byte {
	const header = 10 // the longest of a server
	return wsproto.AppendFrame(make([]byte, 0, header+len(payload)), wsproto.OpText, payload)
}

// A framer writes JSON. Its buffer and its encoder would be most of the garbage of an answer.
type framer struct {
	b bytes.Buffer
	e *json.Encoder
}

var framers = sync.Pool{New: func() any {
	f := new(framer)
	f.e = json.NewEncoder(&f.b)
	f.e.SetEscapeHTML(false) // topics may hold > and &
	return f
}}

// framerBytes is how large a buffer may be to be used again.
const framerBytes = 16 << 10

// jsonFrame frames v, which always can be marshalled. Any goroutine may call it.
func jsonFrame(v any) []byte {
	f := framers.Get().(*framer)
	f.b.Reset()
	if err := f.e.Encode(v); err != nil { // an encoder that has failed is not used again
		return errFrame(nil, &CommandError{CodeInternal, "internal error"})
	}
	frame := textFrame(bytes.TrimSuffix(f.b.Bytes(), []byte("\n")))
	if f.b.Cap() <= framerBytes {
		framers.Put(f)
	}
	return frame
}

func helloFrame(cfg Config) []byte {
	type limits struct {
		Topics       int `json:"topics"`
		MessageBytes int `json:"message_bytes"`
	}
	return jsonFrame(struct {
		Op        string `json:"op"`
		Version   int    `json:"v"`
		Node      string `json:"node"`
		Heartbeat int64  `json:"heartbeat"` // milliseconds
		Limits    limits `json:"limits"`
	}{"hello", 1, cfg.Node, cfg.Heartbeat.Milliseconds(), limits{cfg.MaxTopicsPerConnection, cfg.MaxMessageSize}})
}

type ackTopic struct {
	Topic     string `json:"t"`
	Mode      string `json:"mode,omitempty"`
	Rate      string `json:"rate,omitempty"`
	Cursor    string `json:"cursor,omitempty"` // none for a pattern
	Recovered *bool  `json:"recovered,omitempty"`
}

type ackError struct {
	Topic string    `json:"t"`
	Code  ErrorCode `json:"code"`
	Msg   string    `json:"msg"`
}

type ack struct {
	Topics []ackTopic
	Errors []ackError
}

func (a *ack) fail(topic string, err error) {
	e := &CommandError{CodeInternal, "internal error"}
	errors.As(err, &e)
	a.Errors = append(a.Errors, ackError{topic, e.Code, e.Reason})
}

func (a *ack) frame(id json.RawMessage) []byte {
	return jsonFrame(struct {
		Op     string          `json:"op"`
		ID     json.RawMessage `json:"id,omitempty"`
		Topics []ackTopic      `json:"topics,omitzero"`
		Errors []ackError      `json:"errors,omitempty"`
	}{"ack", id, a.Topics, a.Errors})
}

// pongFrame answers a client's ping with the time of this server in milliseconds, so that the client can tell how far
// its own clock is off.
func pongFrame(id json.RawMessage, now time.Time) []byte {
	return jsonFrame(struct {
		Op string          `json:"op"`
		ID json.RawMessage `json:"id,omitempty"`
		TS int64           `json:"ts"`
	}{"ack", id, now.UnixMilli()})
}

func errFrame(id json.RawMessage, e *CommandError) []byte {
	return jsonFrame(struct {
		Op   string          `json:"op"`
		ID   json.RawMessage `json:"id,omitempty"`
		Code ErrorCode       `json:"code"`
		Msg  string          `json:"msg"`
	}{"err", id, e.Code, e.Reason})
}

// Heartbeat returns the frame {"op":"hb"} for idle clients. The bytes are shared. Any goroutine may call it.
func Heartbeat(now time.Time) []byte {
	return textFrame(append(strconv.AppendInt([]byte(`{"op":"hb","ts":`), now.UnixMilli(), 10), '}'))
}

func lagFrame(conflated uint64) []byte {
	return textFrame(append(strconv.AppendUint([]byte(`{"op":"lag","conflated":`), conflated, 10), `,"dropped":0}`...))
}

// quoted shortens and quotes what a client sent, to be told back.
func quoted(s string) string {
	const most = 32
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.Quote(s)
}

// epochOf returns the first half of the cursors of a class's topics.
func (h *Hub) epochOf(c *class) string {
	if c.stream != nil {
		return c.stream.epochNow()
	}
	return *h.epoch.Load()
}

// cursor returns a position in c's topics; "" while it is not known which stream they come from.
func (h *Hub) cursor(c *class, seq uint64) string {
	if c.stream != nil && c.stream.epoch.Load() == nil {
		return ""
	}
	return h.epochOf(c) + ":" + strconv.FormatUint(seq, 10)
}

// topicState is what all subscribers of a topic are told about it.
func topicState(topic string, kind messageKind, why string) any {
	if kind == kindGap || kind == kindRestart {
		return struct {
			Op    string `json:"op"`
			Topic string `json:"t"`
			Why   string `json:"why"`
		}{"gap", topic, why}
	}
	op := "fresh"
	if kind == kindStale {
		op = "stale"
	}
	return struct {
		Op     string   `json:"op"`
		Topics []string `json:"topics"`
		Why    string   `json:"why,omitempty"`
	}{op, []string{topic}, why}
}
