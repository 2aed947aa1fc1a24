// Package wiretest reads frames of the server as a client does, for tests.
package wiretest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"tickcast/broadcast/wire"
	"tickcast/wsproto"
)

// PayloadOf decodes a server's frame as a client does. It fails unless the frame is one whole text message of valid UTF-8
// and valid JSON.
func PayloadOf(frame []byte) ([]byte, error) {
	var d wsproto.Decoder
	b := bytes.Clone(frame) // the decoder unmasks in place; frames are shared
	m, n, err := d.Next(&wsproto.Config{Client: true, MaxMessage: 1 << 30}, b)
	switch {
	case err != nil:
		return nil, err
	case n != len(b) || !d.Idle():
		return nil, fmt.Errorf("%d of %d bytes are one message", n, len(b))
	case m.Op != wsproto.OpText:
		return nil, fmt.Errorf("opcode %v, want text", m.Op)
	case !utf8.Valid(m.Payload):
		return nil, fmt.Errorf("bad UTF-8: %q", m.Payload)
	case !json.Valid(m.Payload):
		return nil, fmt.Errorf("bad JSON: %q", m.Payload)
	}
	return m.Payload, nil
}

// Told is any message of the server: all fields of docs/protocol.md together.
type Told struct {
	Op        string          `json:"op"`
	ID        json.RawMessage `json:"id"`
	T         string          `json:"t"`
	S         uint64          `json:"s"`
	P         uint64          `json:"p"`
	K         string          `json:"k"`
	D         json.RawMessage `json:"d"`
	Topics    json.RawMessage `json:"topics"`
	Errors    []wire.AckError `json:"errors"`
	Code      wire.ErrorCode  `json:"code"`
	Msg       string          `json:"msg"`
	Conflated uint64          `json:"conflated"`
	More      bool            `json:"more"`
	Why       string          `json:"why"`
	TS        int64           `json:"ts"`
}

// ParseTold reads a frame; it fails on one that no client could read.
func ParseTold(frame []byte) (Told, error) {
	var m Told
	payload, err := PayloadOf(frame)
	if err == nil {
		err = json.Unmarshal(payload, &m)
	}
	return m, err
}

// Short writes a message as tests compare it: "px.A 5=1", "px.A 5=1 snap", or its op.
func (m Told) Short() string {
	switch {
	case m.Op == "lag":
		return fmt.Sprintf("lag %d", m.Conflated)
	case m.Op != "":
		return m.Op
	case m.K != "":
		return fmt.Sprintf("%s %d=%s %s", m.T, m.S, m.D, m.K)
	default:
		return fmt.Sprintf("%s %d=%s", m.T, m.S, m.D)
	}
}

// SplitFrames returns the frames that stand in b one after the other. Several are copied, since their bytes are the shard's.
func SplitFrames(b []byte) (list [][]byte) {
	if h, n, err := wsproto.ParseHeader(b); err != nil || n+int(h.Length) != len(b) {
		b = bytes.Clone(b)
	}
	for len(b) > 0 {
		h, n, err := wsproto.ParseHeader(b)
		if end := n + int(h.Length); err == nil && n > 0 && end <= len(b) {
			list, b = append(list, b[:end:end]), b[end:]
			continue
		}
		return append(list, b) // let whoever decodes it complain
	}
	return list
}
