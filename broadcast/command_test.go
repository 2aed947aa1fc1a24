package broadcast

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// Each row is what a client says and all that it is answered, with a hub that has no upstream.
var commandTable = []struct{ name, in, want string }{
	// Ids are echoed as they came.
	{"id is a number", `{"op":"list","id":5}`, `{"op":"ack","id":5,"topics":[]}`},
	{"id is a fraction", `{"op":"list","id":-1.50e2}`, `{"op":"ack","id":-1.50e2,"topics":[]}`},
	{"id is a string", `{"op":"list","id":"a<b>\u0041"}`, `{"op":"ack","id":"a<b>\u0041","topics":[]}`},
	{"id is absent", `{"op":"list"}`, `{"op":"ack","topics":[]}`},
	{"id is null", `{"op":"list","id":null}`, `{"op":"ack","topics":[]}`},
	{"id is as long as may be", `{"op":"list","id":"` + strings.Repeat("x", 64) + `"}`,
		`{"op":"ack","id":"` + strings.Repeat("x", 64) + `","topics":[]}`},
	{"id is too long", `{"op":"list","id":"` + strings.Repeat("x", 65) + `"}`, badID},
	{"id is a huge number", `{"op":"list","id":` + strings.Repeat("9", 65) + `}`, badID},
	{"id is an object", `{"op":"list","id":{"a":1}}`, badID},
	{"id is an array", `{"op":"list","id":[1]}`, badID},
	{"id is true", `{"op":"list","id":true}`, badID},

	// What is not a command.
	{"nothing", ``, `{"op":"err","code":107,"msg":"bad request: not JSON at byte 0"}`},
	{"half of one", `{"op":"list"`, `{"op":"err","code":107,"msg":"bad request: not JSON at byte 12"}`},
	{"two", `{"op":"list"} {}`, `{"op":"err","code":107,"msg":"bad request: not JSON at byte 15"}`},
	{"text", `hello`, `{"op":"err","code":107,"msg":"bad request: not JSON at byte 1"}`},
	{"too deep", strings.Repeat("[", 20000), `{"op":"err","code":107,"msg":"bad request: not JSON at byte 10001"}`},
	{"an array", `[1]`, `{"op":"err","code":107,"msg":"bad request: not a JSON object"}`},
	{"a string", `"sub"`, `{"op":"err","code":107,"msg":"bad request: not a JSON object"}`},
	{"null", `null`, `{"op":"err","code":107,"msg":"bad request: no op"}`},
	{"no op", `{"id":1}`, `{"op":"err","id":1,"code":107,"msg":"bad request: no op"}`},
	{"op is a number", `{"op":1,"id":7}`, `{"op":"err","id":7,"code":107,"msg":"bad request: \"op\" must not be a number"}`},
	{"topics is a string", `{"id":8,"op":"sub","topics":"px.A"}`, `{"op":"err","id":8,"code":107,"msg":"bad request: \"topics\" must not be a string"}`},
	{"a topic is a number", `{"id":8,"op":"sub","topics":[1]}`, `{"op":"err","id":8,"code":107,"msg":"bad request: \"topics\" must not be a number"}`},
	{"bad type and bad id", `{"op":1,"id":[]}`, `{"op":"err","code":107,"msg":"bad request: \"op\" must not be a number"}`},
	{"unknown op", `{"op":"subb","id":9}`, `{"op":"err","id":9,"code":104,"msg":"unknown op \"subb\""}`},
	{"a long op is cut", `{"op":"` + strings.Repeat("x", 1000) + `"}`, `{"op":"err","code":104,"msg":"unknown op \"` + strings.Repeat("x", 32) + `...\""}`},
	{"ops are lower case", `{"op":"SUB","topics":["px.A"]}`, `{"op":"err","code":104,"msg":"unknown op \"SUB\""}`},
	{"unknown fields", `{"op":"list","id":1,"color":{"a":[]}}`, `{"op":"ack","id":1,"topics":[]}`},

	// sub
	{"sub", `{"op":"sub","id":2,"topics":["px.A"]}`, `{"op":"ack","id":2,"topics":[{"t":"px.A","mode":"last","cursor":"EPOCH:0"}]}`},
	{"sub to a pattern", `{"op":"sub","topics":["px.>"]}`, `{"op":"ack","topics":[{"t":"px.>","mode":"last"}]}`},
	{"sub without topics", `{"op":"sub","id":2}`, `{"op":"err","id":2,"code":107,"msg":"bad request: sub needs topics"}`},
	{"sub to no topics", `{"op":"sub","id":2,"topics":[]}`, `{"op":"err","id":2,"code":107,"msg":"bad request: sub needs topics"}`},
	{"sub twice in one", `{"op":"sub","topics":["px.A","px.A"]}`,
		`{"op":"ack","topics":[{"t":"px.A","mode":"last","cursor":"EPOCH:0"},{"t":"px.A","mode":"last","cursor":"EPOCH:0"}]}`},
	{"each topic fails alone", `{"op":"sub","topics":["","px.A","px..B","adm.x","$SYS.>","px.` + strings.Repeat("x", 30) + `","px. "]}`,
		`{"op":"ack","topics":[{"t":"px.A","mode":"last","cursor":"EPOCH:0"}],"errors":[` +
			`{"t":"","code":107,"msg":"bad request: empty topic"},` +
			`{"t":"px..B","code":107,"msg":"bad request: topic has an empty token"},` +
			`{"t":"adm.x","code":103,"msg":"permission denied"},` +
			`{"t":"$SYS.>","code":103,"msg":"permission denied: topics that start with $ or _ are reserved"},` +
			`{"t":"px.` + strings.Repeat("x", 30) + `","code":107,"msg":"bad request: topic too long"},` +
			`{"t":"px. ","code":107,"msg":"bad request: topic has a space, a control character or bad UTF-8"}]}`},
	{"too many topics", `{"op":"sub","id":1,"topics":["` + strings.Repeat(`","`, commandTopics) + `"]}`,
		`{"op":"err","id":1,"code":106,"msg":"limit exceeded: more than 1024 topics in one command"}`},
	{"a pattern wider than what is allowed", `{"op":"sub","topics":[">"]}`, `{"op":"ack","errors":[{"t":">","code":103,"msg":"permission denied"}]}`},
	{"beyond the connection's limit", `{"op":"sub","topics":["px.A","px.B","px.C","px.D","px.A"]}`,
		`{"op":"ack","topics":[{"t":"px.A","mode":"last","cursor":"EPOCH:0"},{"t":"px.B","mode":"last","cursor":"EPOCH:0"},` +
			`{"t":"px.C","mode":"last","cursor":"EPOCH:0"},{"t":"px.A","mode":"last","cursor":"EPOCH:0"}],` +
			`"errors":[{"t":"px.D","code":106,"msg":"limit exceeded: too many topics on this connection"}]}`},
	{"rate", `{"op":"sub","id":2,"topics":["px.A"],"rate":"250ms"}`, `{"op":"ack","id":2,"errors":[{"t":"px.A","code":121,"msg":"no such rate tier: 250ms"}]}`},
	{"after is no cursor", `{"op":"sub","id":2,"topics":["px.A"],"after":"5"}`,
		`{"op":"err","id":2,"code":107,"msg":"bad request: after must be a cursor such as k3Qd:918273"}`},
	{"after of another epoch", `{"op":"sub","topics":["px.A","px.*"],"after":"other:1"}`,
		`{"op":"ack","topics":[{"t":"px.A","mode":"last","cursor":"EPOCH:0","recovered":false},{"t":"px.*","mode":"last","recovered":false}]}`},

	// unsub
	{"unsub without topics", `{"op":"unsub","id":3}`, `{"op":"err","id":3,"code":107,"msg":"bad request: unsub needs topics"}`},
	{"unsub from what is not held", `{"op":"unsub","id":3,"topics":["px.A",""]}`,
		`{"op":"ack","id":3,"errors":[{"t":"px.A","code":102,"msg":"not subscribed"},{"t":"","code":102,"msg":"not subscribed"}]}`},

	// pub
	{"pub, but NATS is away", `{"op":"pub","id":4,"topic":"chat.a","data":1}`, `{"op":"err","id":4,"code":108,"msg":"not available: nats is not connected"}`},
	{"pub to a pattern", `{"op":"pub","id":4,"topic":"chat.*","data":1}`, `{"op":"err","id":4,"code":107,"msg":"bad request: wildcards are not allowed here"}`},
	{"pub to nothing", `{"op":"pub","id":4,"data":1}`, `{"op":"err","id":4,"code":107,"msg":"bad request: empty topic"}`},
	{"pub without data", `{"op":"pub","id":4,"topic":"chat.a"}`, `{"op":"err","id":4,"code":107,"msg":"bad request: pub needs data"}`},
	{"pub where it is not allowed", `{"op":"pub","id":4,"topic":"px.A","data":1}`, `{"op":"err","id":4,"code":103,"msg":"permission denied"}`},

	{"auth", `{"op":"auth","id":1,"token":"eyJ"}`, `{"op":"err","id":1,"code":108,"msg":"not available: this server asks for no token"}`},
}

const badID = `{"op":"err","code":107,"msg":"bad request: id must be a number or a string of at most 64 bytes"}`

func commandConfig() Config {
	return Config{Subscribe: []string{"px.>", "chat.*"}, Publish: []string{"chat.*"}, MaxTopicsPerConnection: 3, MaxTopicLength: 24}
}

func TestCommands(t *testing.T) {
	for _, c := range commandTable {
		t.Run(c.name, func(t *testing.T) {
			h := NewHub(commandConfig())
			s := h.Shard(0)
			out := newRecorder(s)
			s.Join(0, CodecJSON, 0)
			s.Apply(0, []byte(c.in))
			if len(out.got[0]) != 1 {
				t.Fatalf("%d answers to %s", len(out.got[0]), c.in)
			}
			got, err := payloadOf(out.got[0][0])
			want := strings.ReplaceAll(c.want, "EPOCH", *h.epoch.Load())
			if err != nil || string(got) != want {
				t.Errorf("%s\ngot  %s (%v)\nwant %s", c.in, got, err, want)
			}
			st := h.Stats()
			if st.Commands != 1 {
				t.Errorf("%d commands are counted", st.Commands)
			}
			if failed := uint64(strings.Count(want, `"code":`)); st.CommandErrors != failed {
				t.Errorf("%d errors are counted, want %d", st.CommandErrors, failed)
			}
			checkShard(t, s)
		})
	}
}

func TestPing(t *testing.T) {
	s := NewHub(openConfig()).Shard(0)
	out := newRecorder(s)
	s.Join(0, CodecJSON, 0)
	s.Apply(0, []byte(`{"op":"ping","id":6}`))
	m := out.takeTold(t, 0)
	if len(m) != 1 || m[0].Op != "ack" || string(m[0].ID) != "6" || m[0].TS < 1_700_000_000_000 {
		t.Errorf("got %+v, want an ack with the time in milliseconds", m)
	}
}

func TestCommandErrorsAreForClients(t *testing.T) {
	_, err := ParseCommand([]byte(`{"id":3}`))
	var e *CommandError
	if !errors.As(err, &e) || e.Code != CodeBadRequest || e.Error() != "broadcast: bad request: no op" {
		t.Errorf("got %v", err)
	}
}

func TestParseCursor(t *testing.T) {
	for in, want := range map[string]cursor{
		"k3Qd:918273": {"k3Qd", 918273}, "a:0": {"a", 0}, "a:18446744073709551615": {"a", 1<<64 - 1},
	} {
		if got, err := parseCursor(in); err != nil || got != want {
			t.Errorf("%q = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", ":", ":1", "a", "a:", "a:-1", "a:x", "a:1:2", "a:18446744073709551616", "a:+1", "a: 1"} {
		if got, err := parseCursor(in); err == nil {
			t.Errorf("%q = %v, want an error", in, got)
		}
	}
}

func TestQuoted(t *testing.T) {
	for in, want := range map[string]string{
		"subb": `"subb"`, "a\"\n\x00": `"a\"\n\x00"`, strings.Repeat("x", 32): `"` + strings.Repeat("x", 32) + `"`,
		strings.Repeat("x", 31) + "日": `"` + strings.Repeat("x", 31) + `\xe6..."`,
	} {
		if got := quoted(in); got != want {
			t.Errorf("quoted(%q) = %s, want %s", in, got, want)
		}
	}
}

// Whatever a client says, it gets answers that it can read, and nothing in the shard breaks.
func FuzzCommand(f *testing.F) {
	for _, c := range commandTable {
		f.Add(c.in, "")
	}
	f.Add(`{"op":"sub","topics":["px.A","px.>"],"after":"a:1"}`, `{"op":"unsub","topics":["px.A"]}`)
	f.Fuzz(func(t *testing.T, first, second string) {
		if !utf8.ValidString(first) || !utf8.ValidString(second) {
			t.Skip("the decoder refuses text that is not UTF-8")
		}
		h := NewHub(commandConfig())
		s := h.Shard(0)
		out := newRecorder(s)
		s.Join(0, CodecJSON, 0)
		h.Publish("px.A", []byte("1"))
		for _, in := range []string{first, second} {
			s.Apply(0, []byte(in))
			list := out.takeTold(t, 0)
			if len(list) == 0 || list[0].Op != "ack" && list[0].Op != "err" {
				t.Fatalf("%q was answered by %+v", in, list)
			}
			if m := list[0]; m.Op == "err" && (m.Code == 0 || m.Msg == "") {
				t.Fatalf("%q was answered by an empty error", in)
			}
			h.Publish("px.A", []byte("2"))
			drainAll(s)
			out.take(t, 0)
			checkShard(t, s)
		}
		s.Leave(0)
		if len(s.names) != 0 || s.held != 0 {
			t.Fatalf("%d filters and %d subscriptions are left of a client that is gone", len(s.names), s.held)
		}
	})
}
