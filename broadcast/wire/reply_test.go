package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"
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

func TestControlFrames(t *testing.T) {
	no, yes := false, true
	for _, c := range []struct {
		name  string
		frame []byte
		want  string
	}{
		{"hello", Hello(HelloInfo{Node: "g1", Heartbeat: 15 * time.Second, Topics: 1024, MessageBytes: 16384}), `{"op":"hello","v":1,"node":"g1","heartbeat":15000,"limits":{"topics":1024,"message_bytes":16384}}`},
		{"fresh", FreshAll(), `{"op":"fresh","topics":[">"]}`},
		{"stale", StaleAll(), `{"op":"stale","topics":[">"],"why":"upstream disconnected"}`},
		{"heartbeat", Heartbeat(time.UnixMilli(1764000000123)), `{"op":"hb","ts":1764000000123}`},
		{"lag", Lag(412), `{"op":"lag","conflated":412,"dropped":0}`},
		{"pong", Pong(json.RawMessage("6"), time.UnixMilli(7)), `{"op":"ack","id":6,"ts":7}`},
		{"ack of nothing", (&Ack{}).Frame(nil), `{"op":"ack"}`},
		{"ack of an empty list", (&Ack{Topics: []AckTopic{}}).Frame(nil), `{"op":"ack","topics":[]}`},
		{"ack", (&Ack{
			Topics: []AckTopic{{"px.AAPL", "last", "", "k3Qd:918301", &yes}, {"px.>", "last", "250ms", "", &no}, {Topic: "q"}},
			Errors: []AckError{{"adm.x", CodeDenied, "permission denied"}},
		}).Frame(json.RawMessage(`"a&b"`)),
			`{"op":"ack","id":"a&b","topics":[{"t":"px.AAPL","mode":"last","cursor":"k3Qd:918301","recovered":true},` +
				`{"t":"px.>","mode":"last","rate":"250ms","recovered":false},{"t":"q"}],"errors":[{"t":"adm.x","code":103,"msg":"permission denied"}]}`},
		{"err", ErrFrame(json.RawMessage("9"), BadRequest("unknown op %q", "<subb>")), `{"op":"err","id":9,"code":107,"msg":"bad request: unknown op \"<subb>\""}`},
		{"err without an id", ErrFrame(nil, &Error{CodeInternal, "internal error"}), `{"op":"err","code":100,"msg":"internal error"}`},
		{"a topic is stale", Stale("a&b", "silent for 5s"), `{"op":"stale","topics":["a&b"],"why":"silent for 5s"}`},
		{"a topic is fresh", Fresh("px.A"), `{"op":"fresh","topics":["px.A"]}`},
		{"a gap", Gap("px.A", "messages are lost"), `{"op":"gap","t":"px.A","why":"messages are lost"}`},
		{"a value that cannot be marshalled", jsonFrame(func() {}), `{"op":"err","code":100,"msg":"internal error"}`},
	} {
		if got, err := payloadOf(c.frame); err != nil || string(got) != c.want {
			t.Errorf("%s: got  %s (%v)\nwant %s", c.name, got, err, c.want)
		}
	}
}

func TestAckFailTakesCodesFromTheError(t *testing.T) {
	var a Ack
	a.Fail("q", errors.New("a secret of the server"))
	a.Fail("r", &Error{CodeLimit, "limit exceeded"})
	if got, _ := payloadOf(a.Frame(nil)); string(got) !=
		`{"op":"ack","errors":[{"t":"q","code":100,"msg":"internal error"},{"t":"r","code":106,"msg":"limit exceeded"}]}` {
		t.Errorf("got %s", got)
	}
}
