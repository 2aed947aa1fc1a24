package broadcast

import (
	"strings"
	"testing"
	"unicode/utf8"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
	"tickcast/broadcast/wire/wiretest"
)

// Each row is a command and all answers to it, from a hub without an upstream.
var commandTable = []struct{ name, in, want string }{
	{"unknown op", `{"op":"subb","id":9}`, `{"op":"err","id":9,"code":104,"msg":"unknown op \"subb\""}`},
	{"a long op is cut", `{"op":"` + strings.Repeat("x", 1000) + `"}`, `{"op":"err","code":104,"msg":"unknown op \"` + strings.Repeat("x", 32) + `...\""}`},
	{"ops are lower case", `{"op":"SUB","topics":["px.A"]}`, `{"op":"err","code":104,"msg":"unknown op \"SUB\""}`},

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
			`{"t":"px. ","code":107,"msg":"bad request: topic has a space, a control or format character, or bad UTF-8"}]}`},
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

func commandConfig() Config {
	return Config{Config: topics.Config{MaxTopicLength: 24}, Subscribe: []string{"px.>", "chat.*"}, Publish: []string{"chat.*"}, MaxTopicsPerConnection: 3}
}

func TestCommands(t *testing.T) {
	for _, c := range commandTable {
		t.Run(c.name, func(t *testing.T) {
			h := New(commandConfig())
			s := h.Shard(0)
			out := newRecorder(s)
			s.Join(0, wire.CodecJSON, 0)
			s.Apply(0, []byte(c.in))
			if len(out.got[0]) != 1 {
				t.Fatalf("%d answers to %s", len(out.got[0]), c.in)
			}
			got, err := wiretest.PayloadOf(out.got[0][0])
			want := strings.ReplaceAll(c.want, "EPOCH", epochOf(h))
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
			checkShards(t, h)
		})
	}
}

func TestPing(t *testing.T) {
	s := New(openConfig()).Shard(0)
	out := newRecorder(s)
	s.Join(0, wire.CodecJSON, 0)
	s.Apply(0, []byte(`{"op":"ping","id":6}`))
	m := out.takeTold(t, 0)
	if len(m) != 1 || m[0].Op != "ack" || string(m[0].ID) != "6" || m[0].TS < 1_700_000_000_000 {
		t.Errorf("got %+v, want an ack with the time in milliseconds", m)
	}
}

// Every command gets answers that its client can read, and keeps the shard intact.
func FuzzCommand(f *testing.F) {
	for _, c := range commandTable {
		f.Add(c.in, "")
	}
	f.Add(`{"op":"sub","topics":["px.A","px.>"],"after":"a:1"}`, `{"op":"unsub","topics":["px.A"]}`)
	f.Fuzz(func(t *testing.T, first, second string) {
		if !utf8.ValidString(first) || !utf8.ValidString(second) {
			t.Skip("the decoder refuses text that is not UTF-8")
		}
		h := New(commandConfig())
		s := h.Shard(0)
		out := newRecorder(s)
		s.Join(0, wire.CodecJSON, 0)
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
			out.takeShort(t, 0)
			checkShards(t, h)
		}
		s.Leave(0)
		if len(s.filters.names) != 0 || s.filters.held != 0 {
			t.Fatalf("%d filters and %d subscriptions are left of a client that is gone", len(s.filters.names), s.filters.held)
		}
	})
}
