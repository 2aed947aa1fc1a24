package wire

import (
	"bytes"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"tickcast/wsproto"
)

var (
	freshAll = TextFrame([]byte(`{"op":"fresh","topics":[">"]}`))
	staleAll = TextFrame([]byte(`{"op":"stale","topics":[">"],"why":"upstream disconnected"}`))
)

// FreshAll returns the frame fresh for all topics. The bytes are shared.
func FreshAll() []byte { return freshAll }

// StaleAll returns the frame stale for all topics: upstream is disconnected. The bytes are shared.
func StaleAll() []byte { return staleAll }

// A framer writes JSON. Pooling its buffer and encoder saves most of a reply's garbage.
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

// framerBytes is the largest buffer that returns to the pool.
const framerBytes = 16 << 10

// jsonFrame frames v, which must be marshallable.
func jsonFrame(v any) []byte {
	f := framers.Get().(*framer)
	f.b.Reset()
	if err := f.e.Encode(v); err != nil { // the encoder is not used again after an error
		return ErrFrame(nil, ErrorOf(err))
	}
	frame := TextFrame(bytes.TrimSuffix(f.b.Bytes(), []byte("\n")))
	if f.b.Cap() <= framerBytes {
		framers.Put(f)
	}
	return frame
}

// HelloInfo is the content of the greeting.
type HelloInfo struct {
	Node         string
	Heartbeat    time.Duration
	Topics       int // limit of topics of a connection
	MessageBytes int // limit of a client's message
}

// Hello returns the greeting of a new connection.
func Hello(h HelloInfo) []byte {
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
	}{"hello", 1, h.Node, h.Heartbeat.Milliseconds(), limits{h.Topics, h.MessageBytes}})
}

// Ack is the reply to a command about topics: each topic succeeds or fails alone.
type Ack struct {
	Topics []AckTopic
	Errors []AckError
}

// AckTopic is the result of a topic or pattern.
type AckTopic struct {
	Topic     string `json:"t"`
	Mode      string `json:"mode,omitempty"`
	Rate      string `json:"rate,omitempty"`
	Cursor    string `json:"cursor,omitempty"` // none for a pattern
	Recovered *bool  `json:"recovered,omitempty"`
}

// AckError is the error of a topic or pattern.
type AckError struct {
	Topic string    `json:"t"`
	Code  ErrorCode `json:"code"`
	Msg   string    `json:"msg"`
}

// Fail adds topic with err as [ErrorOf] returns it.
func (a *Ack) Fail(topic string, err error) {
	e := ErrorOf(err)
	a.Errors = append(a.Errors, AckError{topic, e.Code, e.Reason})
}

// Frame returns the frame ack with the command's id, which may be nil.
func (a *Ack) Frame(id json.RawMessage) []byte { return a.frame(id, false) }

func (a *Ack) frame(id json.RawMessage, more bool) []byte {
	return jsonFrame(struct {
		Op     string          `json:"op"`
		ID     json.RawMessage `json:"id,omitempty"`
		More   bool            `json:"more,omitempty"`
		Topics []AckTopic      `json:"topics,omitzero"`
		Errors []AckError      `json:"errors,omitempty"`
	}{"ack", id, more, a.Topics, a.Errors})
}

// ErrFrame returns the frame err: the whole command failed.
func ErrFrame(id json.RawMessage, e *Error) []byte {
	return jsonFrame(struct {
		Op   string          `json:"op"`
		ID   json.RawMessage `json:"id,omitempty"`
		Code ErrorCode       `json:"code"`
		Msg  string          `json:"msg"`
	}{"err", id, e.Code, e.Reason})
}

// Pong returns the reply to a client's ping. It holds the server's time in milliseconds, so that the client learns the
// error of its own clock.
func Pong(id json.RawMessage, now time.Time) []byte {
	return jsonFrame(struct {
		Op string          `json:"op"`
		ID json.RawMessage `json:"id,omitempty"`
		TS int64           `json:"ts"`
	}{"ack", id, now.UnixMilli()})
}

// Heartbeat returns the frame hb, for idle clients.
func Heartbeat(now time.Time) []byte {
	return TextFrame(append(strconv.AppendInt([]byte(`{"op":"hb","ts":`), now.UnixMilli(), 10), '}'))
}

// Expire returns the frame expire: the client's token expires in that time.
func Expire(in time.Duration) []byte {
	return TextFrame(append(strconv.AppendInt([]byte(`{"op":"expire","in":`), int64(max(in, 0)/time.Second), 10), '}'))
}

// Lag returns the frame lag: a slow client missed so many conflated messages.
func Lag(conflated uint64) []byte {
	return TextFrame(append(strconv.AppendUint([]byte(`{"op":"lag","conflated":`), conflated, 10), `,"dropped":0}`...))
}

// Drain returns the frame drain: the server is about to end, and wishes the client back after one time and before another.
func Drain(after, before time.Duration) []byte {
	b := strconv.AppendInt([]byte(`{"op":"drain","after":[`), after.Milliseconds(), 10)
	b = strconv.AppendInt(append(b, ','), before.Milliseconds(), 10)
	return TextFrame(append(b, `]}`...))
}

// Closing returns the frame close, the last one of a transport that has no close frame.
func Closing(code wsproto.StatusCode, reason string) []byte {
	return jsonFrame(struct {
		Op     string             `json:"op"`
		Code   wsproto.StatusCode `json:"code"`
		Reason string             `json:"reason"`
	}{"close", code, reason})
}

// Stale returns the frame stale: the topic is silent, or may have changed unseen.
func Stale(topic, why string) []byte { return topicState("stale", topic, why) }

// Fresh returns the frame fresh: the topic has a message again.
func Fresh(topic string) []byte { return topicState("fresh", topic, "") }

func topicState(op, topic, why string) []byte {
	return jsonFrame(struct {
		Op     string   `json:"op"`
		Topics []string `json:"topics"`
		Why    string   `json:"why,omitempty"`
	}{op, []string{topic}, why})
}

// Gap returns the frame gap: messages of the topic are lost.
func Gap(topic, why string) []byte {
	return jsonFrame(struct {
		Op    string `json:"op"`
		Topic string `json:"t"`
		Why   string `json:"why"`
	}{"gap", topic, why})
}
