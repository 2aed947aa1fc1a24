package broadcast

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
	"unsafe"
)

func newTopic(name string) *topic {
	h := NewHub(Config{})
	return h.addTopic(name)
}

func TestDataFrames(t *testing.T) {
	for _, c := range []struct {
		name, topic, payload string
		seq                  uint64
		update, snapshot     string
	}{
		{"object", "px.AAPL", `{"b":189.12}`, 918302,
			`{"t":"px.AAPL","s":918302,"d":{"b":189.12}}`,
			`{"t":"px.AAPL","s":918302,"k":"snap","d":{"b":189.12}}`},
		{"raw bytes stay", "q", "[1 ,\t2]", 1, "{\"t\":\"q\",\"s\":1,\"d\":[1 ,\t2]}", "{\"t\":\"q\",\"s\":1,\"k\":\"snap\",\"d\":[1 ,\t2]}"},
		{"null", "q", `null`, 1, `{"t":"q","s":1,"d":null}`, `{"t":"q","s":1,"k":"snap","d":null}`},
		{"largest sequence", "q", `0`, math.MaxUint64,
			`{"t":"q","s":18446744073709551615,"d":0}`, `{"t":"q","s":18446744073709551615,"k":"snap","d":0}`},
		{"HTML stays", "a&b<", `"<&>"`, 1, `{"t":"a&b<","s":1,"d":"<&>"}`, `{"t":"a&b<","s":1,"k":"snap","d":"<&>"}`},
		{"quotes in the topic", `a"\b`, `0`, 1, `{"t":"a\"\\b","s":1,"d":0}`, `{"t":"a\"\\b","s":1,"k":"snap","d":0}`},
		{"text becomes a string", "q", "hello \"w\"\n", 1, `{"t":"q","s":1,"d":"hello \"w\"\u000a"}`, `{"t":"q","s":1,"k":"snap","d":"hello \"w\"\u000a"}`},
		{"nothing becomes an empty string", "q", "", 1, `{"t":"q","s":1,"d":""}`, `{"t":"q","s":1,"k":"snap","d":""}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			data, ok := appendPayload([]byte(c.payload))
			if !ok {
				t.Fatal("payload refused")
			}
			m := newMessage(newTopic(c.topic), c.seq, 0, data, data, 0)
			for _, f := range []struct {
				frame []byte
				want  string
			}{{m.frame, c.update}, {m.framed(CodecJSON, dirtSnap), c.snapshot}} {
				if got, err := payloadOf(f.frame); err != nil || string(got) != f.want {
					t.Errorf("got  %s (%v)\nwant %s", got, err, f.want)
				}
			}
			if !bytes.Equal(m.data, data) {
				t.Errorf("data = %q, want %q", m.data, data)
			}
			if first, second := m.framed(CodecJSON, dirtSnap), m.framed(CodecJSON, dirtSnap); &first[0] != &second[0] {
				t.Error("the snapshot is built each time")
			}
		})
	}
}

// The length of the header changes at 126 and 65536 bytes of payload.
func TestDataFrameLengths(t *testing.T) {
	topic := newTopic("q")
	overhead := len(`{"t":"q","s":1,"d":""}`)
	for _, size := range []int{overhead, 125, 126, 127, 65535, 65536, 1 << 20} {
		data := []byte(`"` + strings.Repeat("x", size-overhead) + `"`)
		m := newMessage(topic, 1, 0, data, data, 0)
		got, err := payloadOf(m.frame)
		if err != nil || len(got) != size || !bytes.Contains(got, data) {
			t.Errorf("payload of %d bytes was framed as %d bytes (%v)", size, len(got), err)
		}
		if got, err := payloadOf(m.framed(CodecJSON, dirtSnap)); err != nil || !bytes.Contains(got, data) {
			t.Errorf("snapshot of %d bytes: %v", size, err)
		}
	}
}

func TestNewMessageCopiesAndAllocatesOnce(t *testing.T) {
	topic, data := newTopic("px.AAPL"), []byte(`{"b":1}`)
	m := newMessage(topic, 1, 0, data, data, 0)
	data[2] = 'X'
	if m.data[2] != 'b' {
		t.Error("the message shares the payload's bytes")
	}
	if n := testing.AllocsPerRun(100, func() { appendUpdate(nil, m, dirtUpdate, data) }); n != 1 {
		t.Errorf("a frame takes %v allocations, want 1", n)
	}
}

func TestPayloads(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"a":[1,2]}`, `{"a":[1,2]}`},
		{" 1\n", " 1\n"},
		{`{"a":1`, `"{\"a\":1"`},
		{`NaN`, `"NaN"`},
		{"\x00\x1f\x7f", "\"\\u0000\\u001f\x7f\""},
		{"straße 日 \U0001F600", "\"straße 日 \U0001F600\""},
	} {
		got, ok := appendPayload([]byte(c.in))
		if !ok || string(got) != c.want {
			t.Errorf("payload %q = %q, %v; want %q", c.in, got, ok, c.want)
		}
	}
	// Bad UTF-8 in one text frame makes every browser that gets it close its connection with 1007. encoding/json lets it
	// pass inside of a string.
	for _, bad := range []string{"\xff", "\"\xff\"", "{\"a\":\"\xc3\"}", "{\"\xed\xa0\x80\":1}", "abc\xc0\xaf"} {
		if got, ok := appendPayload([]byte(bad)); ok {
			t.Errorf("payload %q was taken as %q", bad, got)
		}
	}
}

func TestAppendString(t *testing.T) {
	for _, s := range []string{"", "px.>", `"\/`, "a\x00\b\f\n\r\tz", "<&>", "日本\u2028", "\U0010FFFF"} {
		quoted := appendString([]byte("x"), s)
		var back string
		if err := json.Unmarshal(quoted[1:], &back); err != nil || back != s || quoted[0] != 'x' {
			t.Errorf("%q was written as %s: %q, %v", s, quoted, back, err)
		}
		if strings.ContainsAny(s, "<&>") && strings.Contains(string(quoted), `\u`) {
			t.Errorf("%q was escaped to %s", s, quoted)
		}
	}
	if got := string(appendString(nil, "a\xffb\xe6\x97")); got != "\"a\uFFFDb\uFFFD\uFFFD\"" {
		t.Errorf("bad UTF-8 was written as %q", got)
	}
}

func TestControlFrames(t *testing.T) {
	no, yes := false, true
	limited := Config{Node: "g1", Heartbeat: 15 * time.Second, MaxTopicsPerConnection: 1024, MaxMessageSize: 16384}
	for _, c := range []struct {
		name  string
		frame []byte
		want  string
	}{
		{"hello", helloFrame(limited), `{"op":"hello","v":1,"node":"g1","heartbeat":15000,"limits":{"topics":1024,"message_bytes":16384}}`},
		{"the hub's hello", NewHub(limited).hello, `{"op":"hello","v":1,"node":"g1","heartbeat":15000,"limits":{"topics":1024,"message_bytes":16384}}`},
		{"fresh", freshFrame, `{"op":"fresh","topics":[">"]}`},
		{"stale", staleFrame, `{"op":"stale","topics":[">"],"why":"upstream disconnected"}`},
		{"heartbeat", Heartbeat(time.UnixMilli(1764000000123)), `{"op":"hb","ts":1764000000123}`},
		{"lag", lagFrame(412), `{"op":"lag","conflated":412,"dropped":0}`},
		{"pong", pongFrame(json.RawMessage("6"), time.UnixMilli(7)), `{"op":"ack","id":6,"ts":7}`},
		{"ack of nothing", (&ack{}).frame(nil), `{"op":"ack"}`},
		{"ack of an empty list", (&ack{Topics: []ackTopic{}}).frame(nil), `{"op":"ack","topics":[]}`},
		{"ack", (&ack{
			Topics: []ackTopic{{"px.AAPL", "last", "", "k3Qd:918301", &yes}, {"px.>", "last", "250ms", "", &no}, {Topic: "q"}},
			Errors: []ackError{{"adm.x", CodeDenied, "permission denied"}},
		}).frame(json.RawMessage(`"a&b"`)),
			`{"op":"ack","id":"a&b","topics":[{"t":"px.AAPL","mode":"last","cursor":"k3Qd:918301","recovered":true},` +
				`{"t":"px.>","mode":"last","rate":"250ms","recovered":false},{"t":"q"}],"errors":[{"t":"adm.x","code":103,"msg":"permission denied"}]}`},
		{"err", errFrame(json.RawMessage("9"), badRequest("unknown op %q", "<subb>")), `{"op":"err","id":9,"code":107,"msg":"bad request: unknown op \"<subb>\""}`},
		{"err without an id", errFrame(nil, &CommandError{CodeInternal, "internal error"}), `{"op":"err","code":100,"msg":"internal error"}`},
		{"what cannot be marshalled", jsonFrame(func() {}), `{"op":"err","code":100,"msg":"internal error"}`},
	} {
		if got, err := payloadOf(c.frame); err != nil || string(got) != c.want {
			t.Errorf("%s: got  %s (%v)\nwant %s", c.name, got, err, c.want)
		}
	}
}

func TestAckFailTakesCodesFromTheError(t *testing.T) {
	var a ack
	a.fail("q", errors.New("what no client should read"))
	a.fail("r", &CommandError{CodeLimit, "limit exceeded"})
	if got, _ := payloadOf(a.frame(nil)); string(got) !=
		`{"op":"ack","errors":[{"t":"q","code":100,"msg":"internal error"},{"t":"r","code":106,"msg":"limit exceeded"}]}` {
		t.Errorf("got %s", got)
	}
}

// There may be a million subscribers: 40 bytes each is what Go's 8-byte alignment leaves of three pointers' worth of links
// and nine bytes of counters and flags. A field more costs 8 MB a million.
func TestSubscriberSize(t *testing.T) {
	if size := unsafe.Sizeof(subscriber{}); size > 40 {
		t.Errorf("a subscriber takes %d bytes, want at most 40", size)
	}
	if size := unsafe.Sizeof(entry{}) + unsafe.Sizeof(place{}); size != 16 {
		t.Errorf("a subscription takes %d bytes, want 16", size)
	}
	// A chunk that is not a size class of the allocator wastes the rest of its span.
	if size := unsafe.Sizeof([chunkSize]subscriber{}); size != 20480 {
		t.Errorf("a chunk takes %d bytes, want 20480, a size class", size)
	}
}
