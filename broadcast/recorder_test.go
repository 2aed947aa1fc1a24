package broadcast

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"tickcast/wsproto"
)

// payloadOf decodes a server's frame as a client does. It fails unless the frame is one whole text message of valid UTF-8
// and valid JSON.
func payloadOf(frame []byte) ([]byte, error) {
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

// told is any message of the server, all of docs/protocol.md's fields together.
type told struct {
	Op        string          `json:"op"`
	ID        json.RawMessage `json:"id"`
	T         string          `json:"t"`
	S         uint64          `json:"s"`
	P         uint64          `json:"p"`
	K         string          `json:"k"`
	D         json.RawMessage `json:"d"`
	Topics    json.RawMessage `json:"topics"`
	Errors    []ackError      `json:"errors"`
	Code      ErrorCode       `json:"code"`
	Msg       string          `json:"msg"`
	Conflated uint64          `json:"conflated"`
	Why       string          `json:"why"`
	TS        int64           `json:"ts"`
}

// parseTold reads a frame; it fails on one that no client could read.
func parseTold(frame []byte) (told, error) {
	var m told
	payload, err := payloadOf(frame)
	if err == nil {
		err = json.Unmarshal(payload, &m)
	}
	return m, err
}

// short writes a message as tests compare it: "px.A 5=1", "px.A 5=1 snap", or its op.
func (m told) short() string {
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

// A recorder is an Outlet that keeps what it is given, by slot.
type recorder struct {
	shard *Shard
	got   map[uint32][][]byte
	room  map[uint32]int  // how many more frames the socket takes at once; absent = all
	dead  map[uint32]bool // the connection ends at the next write
	wakes atomic.Int64    // an alarm wakes on a goroutine of its own
}

// newRecorder attaches a recorder to s, whose loop is the calling test.
func newRecorder(s *Shard) *recorder {
	r := &recorder{shard: s, got: make(map[uint32][][]byte), room: make(map[uint32]int), dead: make(map[uint32]bool)}
	s.Attach(r, func() { r.wakes.Add(1) })
	return r
}

func (r *recorder) Write(slot uint32, frames []byte, _ int) (taken int, ok bool) {
	if r.dead[slot] {
		delete(r.dead, slot)
		r.shard.Leave(slot)
		return 0, false
	}
	for _, frame := range splitFrames(frames) {
		r.got[slot] = append(r.got[slot], frame)
		taken += len(frame)
		if room, limited := r.room[slot]; limited {
			if r.room[slot] = room - 1; room <= 0 {
				return taken, false
			}
		}
	}
	return taken, true
}

func (r *recorder) Close(slot uint32, code wsproto.StatusCode, reason string) {
	r.got[slot] = append(r.got[slot], wsproto.AppendClose(nil, code, reason))
	r.shard.Leave(slot)
}

// splitFrames returns the frames that stand in b one after the other. Several are copied, since their bytes are the shard's.
func splitFrames(b []byte) (list [][]byte) {
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

// take returns what slot was told since the last call, in short.
func (r *recorder) take(t *testing.T, slot uint32) []string {
	t.Helper()
	var list []string
	for _, m := range r.takeTold(t, slot) {
		list = append(list, m.short())
	}
	return list
}

// takeTold returns what slot was told since the last call.
func (r *recorder) takeTold(t *testing.T, slot uint32) []told {
	t.Helper()
	var list []told
	for _, f := range r.got[slot] {
		m, err := parseTold(f)
		if err != nil {
			t.Fatalf("slot %d was sent %q: %v", slot, f, err)
		}
		list = append(list, m)
	}
	r.got[slot] = nil
	return list
}
