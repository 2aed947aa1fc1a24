package client

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Message is a message of a topic.
type Message struct {
	Topic string
	// Seq is the sequence number, which grows along the topic.
	Seq uint64
	// Prev is the sequence number of the message before it, on topics of mode "all"; 0 if it is not known.
	Prev uint64
	// Snapshot marks the newest message as of the subscription, which is not a new one.
	Snapshot bool
	// Data is the payload, as the publisher sent it. A payload that is not JSON is a JSON string. It may be kept, and not be changed.
	Data json.RawMessage
}

// An Ack is the server's answer to a command.
type Ack struct {
	Topics []AckTopic  `json:"topics"`
	Errors []AckError  `json:"errors"`
	Time   json.Number `json:"ts"` // of ping: milliseconds since 1970
}

// An AckTopic says that a topic or pattern is subscribed or, after unsub, that it no longer is.
type AckTopic struct {
	Topic     string `json:"t"`
	Mode      string `json:"mode"` // "last" or "all"
	Cursor    string `json:"cursor"`
	Rate      string `json:"rate"`
	Recovered bool   `json:"recovered"`
}

// An AckError says that a topic or pattern was refused.
type AckError struct {
	Topic   string `json:"t"`
	Code    int    `json:"code"`
	Message string `json:"msg"`
}

// A Lag tells that the client read too slowly: so many messages of topics of mode "last" were replaced by newer ones.
type Lag struct {
	Conflated int `json:"conflated"`
	Dropped   int `json:"dropped"`
}

// An input is any message of the server. An op is empty for data.
type input struct {
	Op     string          `json:"op"`
	ID     int             `json:"id"`
	T      string          `json:"t"`
	S      uint64          `json:"s"`
	P      *uint64         `json:"p"`
	K      string          `json:"k"`
	D      json.RawMessage `json:"d"`
	Why    string          `json:"why"`
	Reason string          `json:"reason"` // of close
	After  [2]float64      `json:"after"`  // of drain: milliseconds
	Code   int             `json:"code"`
	Msg    string          `json:"msg"`
	More   bool            `json:"more"`
	TS     json.Number     `json:"ts"`

	Topics json.RawMessage `json:"topics"` // of ack: objects; of stale and fresh: strings
	Errors []AckError      `json:"errors"`

	Heartbeat int `json:"heartbeat"` // milliseconds
	Limits    struct {
		MessageBytes int `json:"message_bytes"`
	} `json:"limits"`
	Lag
}

func (in *input) message() Message {
	m := Message{Topic: in.T, Seq: in.S, Snapshot: in.K == "snap", Data: in.D}
	if in.P != nil {
		m.Prev = *in.P
	}
	return m
}

func (in *input) ack() (a Ack, err error) {
	a = Ack{Errors: in.Errors, Time: in.TS}
	if in.Topics != nil {
		err = json.Unmarshal(in.Topics, &a.Topics)
	}
	return a, err
}

func (in *input) names() (names []string, err error) {
	err = json.Unmarshal(in.Topics, &names)
	return names, err
}

// A position is a place in the messages of an epoch: a cursor. The zero value is no place.
type position struct {
	epoch string
	seq   uint64
}

func parseCursor(cursor string) (position, error) {
	epoch, seq, ok := strings.Cut(cursor, ":")
	n, err := strconv.ParseUint(seq, 10, 64)
	if !ok || epoch == "" || err != nil {
		return position{}, fmt.Errorf("client: %q is no cursor", cursor)
	}
	return position{epoch, n}, nil
}

func (p position) String() string {
	if p.epoch == "" {
		return ""
	}
	return p.epoch + ":" + strconv.FormatUint(p.seq, 10)
}

// parseCursors reads a list of cursors. It leaves out what is none.
func parseCursors(list string) (places []position) {
	for part := range strings.SplitSeq(list, ",") {
		if p, err := parseCursor(part); err == nil {
			places = append(places, p)
		}
	}
	return places
}

// lowerCursors returns the lower place of each epoch of two lists, in one list.
func lowerCursors(a, b string) string {
	places := parseCursors(a)
	for _, p := range parseCursors(b) {
		if i := slices.IndexFunc(places, func(q position) bool { return q.epoch == p.epoch }); i < 0 {
			places = append(places, p)
		} else {
			places[i].seq = min(places[i].seq, p.seq)
		}
	}
	return joinCursors(places)
}

// maxCursors cursors in one list are taken by every server.
const maxCursors = 32

func joinCursors(places []position) string {
	var list []string
	for _, p := range places[:min(len(places), maxCursors)] {
		list = append(list, p.String())
	}
	return strings.Join(list, ",")
}

// A command is what the client sends.
type command struct {
	Op     string            `json:"op"`
	ID     int               `json:"id"`
	Topics []string          `json:"topics,omitempty"`
	Rate   string            `json:"rate,omitempty"`
	After  map[string]string `json:"after,omitempty"`
	Topic  string            `json:"topic,omitempty"`
	Data   json.RawMessage   `json:"data,omitempty"`
	Token  string            `json:"token,omitempty"`
}

func (c command) encode() []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // Data is checked before
	}
	return b
}

func formatRate(rate time.Duration) string {
	if rate <= 0 {
		return ""
	}
	return rate.String()
}
