package broadcast

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tickcast/broadcast/subject"
	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
	"tickcast/broadcast/wire/wiretest"
)

// say applies a command of slot 0. It returns the last answer, and the data that came with it.
func say(t *testing.T, s *Shard, out *recorder, command string) (answer string, data []string) {
	t.Helper()
	s.Apply(0, []byte(command))
	for _, f := range out.got[0] {
		payload, err := wiretest.PayloadOf(f)
		if err != nil {
			t.Fatal(err)
		}
		if m, _ := wiretest.ParseTold(f); m.Op == "ack" || m.Op == "err" {
			answer = string(payload)
		} else {
			data = append(data, m.Short())
		}
	}
	out.got[0] = nil
	return strings.ReplaceAll(answer, epochOf(s.hub), "EPOCH"), data
}

func TestCursors(t *testing.T) {
	for _, c := range []struct{ name, topic, after, answer, data string }{
		{"none", "px.A", "", `{"t":"px.A","mode":"last","cursor":"EPOCH:3"}`, "px.A 3=2 snap"},
		{"same position", "px.A", "EPOCH:3", `{"t":"px.A","mode":"last","cursor":"EPOCH:3","recovered":true}`, "px.A 3=2 snap"},
		{"earlier", "px.A", "EPOCH:2", `{"t":"px.A","mode":"last","cursor":"EPOCH:3","recovered":false}`, "px.A 3=2 snap"},
		{"later, by another topic's message", "px.A", "EPOCH:4", `{"t":"px.A","mode":"last","cursor":"EPOCH:3","recovered":true}`, "px.A 3=2 snap"},
		{"later than can be", "px.A", "EPOCH:5", `{"t":"px.A","mode":"last","cursor":"EPOCH:3","recovered":false}`, "px.A 3=2 snap"},
		{"another epoch", "px.A", "xEPOCH:3", `{"t":"px.A","mode":"last","cursor":"EPOCH:3","recovered":false}`, "px.A 3=2 snap"},
		{"a pattern has no position", "px.*", "EPOCH:3", `{"t":"px.*","mode":"last","recovered":false}`, "px.A 3=2 snap|px.B 4=9 snap"},
		{"a topic that a pattern watched", "px.C", "EPOCH:3", `{"t":"px.C","mode":"last","cursor":"EPOCH:0","recovered":true}`, ""},
		{"a topic that was not watched", "q", "EPOCH:3", `{"t":"q","mode":"last","cursor":"EPOCH:4","recovered":false}`, ""},
		{"a topic without messages", "px.C", "EPOCH:4", `{"t":"px.C","mode":"last","cursor":"EPOCH:0","recovered":true}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := New(openConfig())
			s := h.Shard(0)
			out := newRecorder(s)
			s.Join(9, wire.CodecJSON, 0)
			s.Subscribe(9, []string{"px.>"}, "", "")
			for i := range 3 {
				h.Publish("px.A", fmt.Appendf(nil, "%d", i))
			}
			h.Publish("px.B", []byte("9"))
			drainAll(s)
			s.Join(0, wire.CodecJSON, 0)
			command := fmt.Sprintf(`{"op":"sub","topics":[%q]}`, c.topic)
			if c.after != "" {
				command = fmt.Sprintf(`{"op":"sub","topics":[%q],"after":%q}`, c.topic, strings.ReplaceAll(c.after, "EPOCH", epochOf(h)))
			}
			answer, data := say(t, s, out, command)
			slices.Sort(data)
			if want := `{"op":"ack","topics":[` + c.answer + `]}`; answer != want {
				t.Errorf("answer %s\nwant   %s", answer, want)
			}
			if got := strings.Join(data, "|"); got != c.data {
				t.Errorf("data %q, want %q", got, c.data)
			}
			h.Publish(c.topic, []byte("7")) // the next message comes in any case
			drainAll(s)
			if got := out.takeShort(t, 0); !subject.IsPattern(c.topic) && (len(got) != 1 || !strings.HasSuffix(got[0], "=7")) {
				t.Errorf("got %v after it", got)
			}
			checkShards(t, h)
		})
	}
}

func TestListAndUnsub(t *testing.T) {
	h := New(openConfig())
	s := h.Shard(0)
	out := newRecorder(s)
	s.Join(0, wire.CodecJSON, 0)
	if s.Subscribed(0) {
		t.Error("subscribed before the first subscription")
	}
	s.Subscribe(0, []string{"px.A", "px.*", "q"}, "", "")
	h.Publish("q", []byte("1"))
	drainAll(s)
	out.takeShort(t, 0)
	for _, c := range []struct{ command, want string }{
		{`{"op":"list","id":1}`, `{"op":"ack","id":1,"topics":[{"t":"px.A","mode":"last","cursor":"EPOCH:0"},{"t":"px.*","mode":"last"},{"t":"q","mode":"last","cursor":"EPOCH:1"}]}`},
		{`{"op":"unsub","id":2,"topics":["px.A","px.A","r"]}`, `{"op":"ack","id":2,"topics":[{"t":"px.A"}],"errors":[{"t":"px.A","code":102,"msg":"not subscribed"},{"t":"r","code":102,"msg":"not subscribed"}]}`},
		{`{"op":"list"}`, `{"op":"ack","topics":[{"t":"q","mode":"last","cursor":"EPOCH:1"},{"t":"px.*","mode":"last"}]}`},
		{`{"op":"unsub","topics":["q","px.*"]}`, `{"op":"ack","topics":[{"t":"q"},{"t":"px.*"}]}`},
		{`{"op":"list"}`, `{"op":"ack","topics":[]}`},
	} {
		if got, _ := say(t, s, out, c.command); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.command, got, c.want)
		}
		checkShards(t, h)
	}
	if !s.Subscribed(0) {
		t.Error("a client that has held a subscription counts as one that never did")
	}
	s.Leave(0)
	s.Leave(0)
	s.Leave(1 << 20) // a slot without a client
	if st := h.Stats(); st.Subscribers != 0 || st.Subscriptions != 0 {
		t.Errorf("stats after the last has left: %+v", st)
	}
}

// The address of the request holds the first command.
func TestSubscribeFromTheAddress(t *testing.T) {
	h := New(openConfig())
	s := h.Shard(0)
	out := newRecorder(s)
	s.Join(0, wire.CodecJSON, 0)
	for _, c := range []struct {
		topics      []string
		after, rate string
		want        string
	}{
		{[]string{"px.A", "px..B"}, "", "", `{"op":"ack","topics":[{"t":"px.A","mode":"last","cursor":"EPOCH:0"}],"errors":[{"t":"px..B","code":107,"msg":"bad request: topic has an empty token"}]}`},
		{[]string{"px.A"}, "nonsense", "", `{"op":"err","code":107,"msg":"bad request: after must be a cursor such as k3Qd:918273"}`},
		{[]string{"px.A"}, "", "1s", `{"op":"ack","errors":[{"t":"px.A","code":121,"msg":"no such rate tier: 1s"}]}`},
		{nil, "", "", `{"op":"err","code":107,"msg":"bad request: sub needs topics"}`},
	} {
		s.Subscribe(0, c.topics, c.after, c.rate)
		got, _ := wiretest.PayloadOf(out.got[0][0])
		if want := strings.ReplaceAll(c.want, "EPOCH", epochOf(h)); string(got) != want {
			t.Errorf("%v: got  %s\nwant %s", c, got, want)
		}
		out.got[0] = nil
	}
}

func TestTopicLimitOfTheServer(t *testing.T) {
	h := New(Config{Config: topics.Config{MaxTopics: 2}, Subscribe: []string{">"}})
	s := h.Shard(0)
	out := newRecorder(s)
	s.Join(0, wire.CodecJSON, 0)
	got, _ := say(t, s, out, `{"op":"sub","topics":["a","b","c","b","x.*","y.*","z.*"]}`)
	for _, refused := range []string{"c", "z.*"} { // subjects and patterns are counted apart
		if !strings.Contains(got, `{"t":"`+refused+`","code":106,"msg":"limit exceeded: the server holds too many topics"}`) {
			t.Errorf("%s is not refused in %s", refused, got)
		}
	}
	if s.filters.held != 4 || h.Stats().Topics != 2 {
		t.Errorf("%d subscriptions, %d topics; want 4, 2", s.filters.held, h.Stats().Topics)
	}
	h.Publish("x.1", []byte("1"))
	if st := h.Stats(); st.UpstreamInvalid != 1 || st.Topics != 2 {
		t.Errorf("a message of a topic too many: %+v", st)
	}
	checkShards(t, h)
}

// pubUpstream takes the messages of clients.
type pubUpstream struct {
	silentUpstream
	sent   []string
	err    error
	counts topics.UpstreamCounts
}

func (u *pubUpstream) Publish(topic string, data []byte) error {
	u.sent = append(u.sent, topic+" "+string(data))
	if u.err != nil {
		u.counts.PublishErrors++
	}
	return u.err
}

func (u *pubUpstream) Counts() topics.UpstreamCounts { return u.counts }

func TestPub(t *testing.T) { synctest.Test(t, testPub) }

func testPub(t *testing.T) {
	h := New(Config{Publish: []string{"chat.>"}})
	s := h.Shard(0)
	out := newRecorder(s)
	s.Join(0, wire.CodecJSON, 0)
	up := new(pubUpstream)
	defer startRun(h, up)()
	synctest.Wait()
	command := []byte(`{"op":"pub","id":4,"topic":"chat.room1","data":{ "text":"<hi>" }}`)
	s.Apply(0, command)
	clear(command) // the loop reads the next bytes into the same buffer
	if got := out.takeShort(t, 0); !slices.Equal(got, []string{"ack"}) {
		t.Errorf("answered %v", got)
	}
	if !slices.Equal(up.sent, []string{`chat.room1 { "text":"<hi>" }`}) {
		t.Errorf("upstream got %q, want the data as it came", up.sent)
	}
	if _, _ = say(t, s, out, `{"op":"pub","topic":"chat.a","data":null}`); up.sent[1] != "chat.a null" {
		t.Errorf("upstream got %q", up.sent)
	}
	up.err = errors.New("no room")
	if got, _ := say(t, s, out, `{"op":"pub","topic":"chat.a","data":1}`); got != `{"op":"err","code":108,"msg":"not available: no room"}` {
		t.Errorf("answered %s", got)
	}
	if n := h.Stats().PublishErrors; n != 1 {
		t.Errorf("%d errors are counted", n)
	}
}

func TestHelloTellsTheLimits(t *testing.T) {
	s := New(Config{Node: "g1", Heartbeat: 15 * time.Second, MaxTopicsPerConnection: 1024, MaxMessageSize: 16384}).Shard(0)
	newRecorder(s)
	const want = `{"op":"hello","v":1,"node":"g1","heartbeat":15000,"limits":{"topics":1024,"message_bytes":16384}}`
	if got, err := wiretest.PayloadOf(s.Join(0, wire.CodecJSON, 0)[0]); err != nil || string(got) != want {
		t.Errorf("got  %s (%v)\nwant %s", got, err, want)
	}
}

func TestJoinGreets(t *testing.T) {
	h := New(openConfig())
	s := h.Shard(0)
	out := newRecorder(s)
	greeting := func(slot uint32) (list []string) {
		for _, f := range s.Join(slot, wire.CodecJSON, 0) {
			m, err := wiretest.ParseTold(f)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, m.Short())
		}
		return list
	}
	if got := greeting(0); !slices.Equal(got, []string{"hello"}) {
		t.Errorf("greeted with %v", got)
	}
	h.SetStale(true)
	if err := h.Ready(); !errors.Is(err, topics.ErrAway) {
		t.Errorf("ready: %v", err)
	}
	if got := greeting(600); !slices.Equal(got, []string{"hello", "stale"}) { // in another chunk
		t.Errorf("greeted with %v while upstream is away", got)
	}
	h.SetStale(true) // it was stale before
	drainAll(s)
	h.SetStale(false)
	h.SetStale(true)
	h.SetStale(false) // only the last counts
	drainAll(s)
	if a, b := out.takeShort(t, 0), out.takeShort(t, 600); !slices.Equal(a, []string{"stale", "fresh"}) || !slices.Equal(b, []string{"fresh"}) {
		t.Errorf("told %v and %v", a, b)
	}
	if err := h.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
}

// A client with a cursor gets the messages that it missed, on a topic that it holds already as well.
func TestCursorOnAHeldTopic(t *testing.T) {
	h := New(openConfig())
	s := h.Shard(0)
	out := newRecorder(s)
	s.Join(0, wire.CodecJSON, 0)
	say(t, s, out, `{"op":"sub","topics":["px.A"]}`)
	h.Publish("px.A", []byte("1"))
	h.Publish("px.A", []byte("2"))
	drainAll(s)
	out.takeShort(t, 0)
	answer, data := say(t, s, out, fmt.Sprintf(`{"op":"sub","topics":["px.A"],"after":"%s:1"}`, epochOf(h)))
	if want := `{"op":"ack","topics":[{"t":"px.A","mode":"last","cursor":"EPOCH:2","recovered":false}]}`; answer != want {
		t.Errorf("answer %s\nwant   %s", answer, want)
	}
	if want := []string{"px.A 2=2 snap"}; !slices.Equal(data, want) {
		t.Errorf("data %q, want %q", data, want)
	}
}
