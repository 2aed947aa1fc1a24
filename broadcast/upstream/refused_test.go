package upstream

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast"
	"tickcast/broadcast/natstest"
	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// refusing starts a NATS server with limits, a hub behind it, and a client that publishes. lift replaces the server's options.
func refusing(t *testing.T, opts server.Options, allow ...string) (h *broadcast.Shards, l *testLoop, say func(topic, payload string), lift func(func(*server.Options))) {
	users := func(allow []string) []*server.User {
		return []*server.User{
			{Username: "tick", Password: "x", Permissions: &server.Permissions{Subscribe: &server.SubjectPermission{Allow: allow}}},
			{Username: "feed", Password: "x"},
		}
	}
	opts.Port, opts.Users = -1, users(allow)
	ns := natstest.Start(t, &opts)
	port := ns.Port()
	cfg := openConfig()
	cfg.Classes = []topics.Class{{Match: "ord.>", Mode: topics.ModeAll, History: 10}}
	h = broadcast.New(cfg)
	l = startLoop(t, h.Shard(0))
	lines := make(logLines, 1000)
	runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}, User: "tick", Password: "x", Log: slog.New(slog.NewTextHandler(lines, nil))})
	awaitConnected(t, h)
	nc, err := Config{URLs: []string{ns.ClientURL()}, User: "feed", Password: "x"}.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	say = func(topic, payload string) { send(t, nc, topic, payload) }
	lift = func(change func(*server.Options)) {
		now := opts
		now.Port, now.Users = port, users(allow)
		change(&now)
		if err := ns.ReloadOptions(&now); err != nil {
			t.Fatal(err)
		}
	}
	return h, l, say, lift
}

// awaitStale waits until slot hears that a topic is stale.
func awaitStale(t *testing.T, l *testLoop, slot uint32, topic string) {
	t.Helper()
	l.await(t, slot, "stale "+topic, func(m told) bool { return m.Op == "stale" && string(m.Topics) == `["`+topic+`"]` })
}

// A subscription that NATS denies is stale and counted, and works when NATS grants it later.
func TestPermissionGrantedLater(t *testing.T) {
	h, l, say, lift := refusing(t, server.Options{}, "px.A", "_INBOX.>")
	l.join(0, "px.A", "px.B", "ord.A")
	awaitStale(t, l, 0, "px.B")
	awaitStale(t, l, 0, "ord.A")
	if st := h.Stats(); st.UpstreamRefused != 2 {
		t.Errorf("%d subscriptions are counted as refused, want 2", st.UpstreamRefused)
	}
	lift(func(o *server.Options) { o.Users[0].Permissions = nil })
	l.await(t, 0, "a gap in ord.A", func(m told) bool { return m.Op == "gap" && m.T == "ord.A" })
	l.await(t, 0, "fresh ord.A", func(m told) bool { return m.Op == "fresh" && string(m.Topics) == `["ord.A"]` })
	for _, topic := range []string{"px.A", "px.B", "ord.A"} {
		say(topic, "1")
		l.awaitData(t, 0, topic, "1")
	}
	if st := h.Stats(); st.UpstreamRefused != 0 {
		t.Errorf("%d subscriptions are counted as refused", st.UpstreamRefused)
	}
	// And taken back.
	lift(func(*server.Options) {})
	awaitStale(t, l, 0, "px.B")
}

// The server has room for fewer subscriptions than are wanted.
func TestTooManySubscriptions(t *testing.T) {
	h, l, say, _ := refusing(t, server.Options{MaxSubs: 3}, ">")
	l.join(0, "px.A", "px.B", "px.C", "px.D", "px.E")
	awaitStale(t, l, 0, "px.D")
	awaitStale(t, l, 0, "px.E")
	if st := h.Stats(); st.UpstreamRefused != 2 {
		t.Errorf("%d subscriptions are counted as refused, want 2", st.UpstreamRefused)
	}
	say("px.C", "1")
	l.awaitData(t, 0, "px.C", "1")
	l.do(func() { l.shard.Apply(0, []byte(`{"op":"unsub","topics":["px.A","px.B"]}`)) }) // there is room
	for _, topic := range []string{"px.C", "px.D", "px.E"} {
		l.mu.Lock()
		l.got[0] = nil
		l.mu.Unlock()
		for came := false; !came; time.Sleep(10 * time.Millisecond) {
			say(topic, "2")
			l.mu.Lock()
			for _, m := range l.got[0] {
				came = came || m.T == topic && string(m.D) == "2"
			}
			l.mu.Unlock()
		}
	}
	if st := h.Stats(); st.UpstreamRefused != 0 {
		t.Errorf("%d subscriptions are counted as refused", st.UpstreamRefused)
	}
}

func TestTooManyTokens(t *testing.T) {
	h, l, say, _ := refusing(t, server.Options{MaxSubTokens: 2}, ">")
	l.join(0, "px.A", "px.A.B")
	awaitStale(t, l, 0, "px.A.B")
	if st := h.Stats(); st.UpstreamRefused != 1 {
		t.Errorf("%d subscriptions are counted as refused, want 1", st.UpstreamRefused)
	}
	l.join(1, "px.A.B") // later subscribers hear it too
	awaitStale(t, l, 1, "px.A.B")
	say("px.A", "1")
	l.awaitData(t, 0, "px.A", "1")
}

// Against a model of a server: asked finds the refused subscriptions, although the server does not name them.
func TestAskedKnowsTheRefused(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 0))
		var a asked
		limit, there, refused, next := r.IntN(8), map[string]bool{}, map[string]bool{}, 0
		now := time.Now()
		for range 10 {
			if r.IntN(3) == 0 {
				limit = len(there) + r.IntN(4)
			}
			sub := func(sid string) {
				a.note(verbSub, []byte("s"+sid+"  "+sid))
				if refused[sid] = len(there) >= limit; refused[sid] {
					a.unnamed++ // comes before the PONG
				} else {
					there[sid] = true
				}
			}
			for range r.IntN(8) {
				switch sid := strconv.Itoa(r.IntN(next + 1)); {
				case r.IntN(3) > 0 || next == 0:
					next++
					sub(strconv.Itoa(next))
				case there[sid] || refused[sid]:
					a.note(verbUnsub, []byte(sid))
					delete(there, sid)
					delete(refused, sid)
				}
			}
			now = now.Add(time.Minute)
			for sid := range a.refused {
				if r.IntN(2) == 0 && refused[sid] {
					sub(sid)
				}
			}
			a.note(verbPing, nil)
			a.pong(now)
			for sid, is := range refused {
				if is != (a.refused[sid] != nil) {
					t.Fatalf("seed %d: sid %s refused: %v, known as %v", seed, sid, is, a.refused[sid] != nil)
				}
			}
		}
	}
}

// The answer to pub has the known reasons: a message that is too large for NATS, and a subject to which this server may not
// publish.
func TestPubThatNATSWouldNotTake(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1, MaxPayload: 1000, Users: []*server.User{
		{Username: "tick", Password: "x", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"chat.no"}}}},
	}})
	cfg := openConfig()
	cfg.Publish = []string{"chat.*"}
	h := broadcast.New(cfg)
	l := startLoop(t, h.Shard(0))
	n, _ := runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}, User: "tick", Password: "x"})
	awaitConnected(t, h)
	l.join(0)
	pub := func(topic string, size int) {
		l.do(func() {
			l.shard.Apply(0, fmt.Appendf(nil, `{"op":"pub","id":1,"topic":"%s","data":"%0*d"}`, topic, size-2, 0))
		})
	}
	pub("chat.a", 1000)
	l.awaitOp(t, 0, "ack")
	pub("chat.a", 1001)
	if m := l.awaitOp(t, 0, "err"); m[len(m)-1].Code != wire.CodeLimit {
		t.Errorf("told %+v", m)
	}
	pub("chat.no", 10)
	l.awaitOp(t, 0, "ack") // not known yet
	for deadline := time.Now().Add(patience); ; {
		n.flush(t)
		pub("chat.no", 10)
		got := l.await(t, 0, "an answer", func(m told) bool { return m.Op == "ack" || m.Op == "err" })
		if m := got[len(got)-1]; m.Op == "err" {
			if m.Code != wire.CodeDenied {
				t.Errorf("told %+v", m)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it is never known")
		}
	}
	pub("chat.a", 10)
	l.awaitOp(t, 0, "ack")
	if st := h.Stats(); st.UpstreamReconnects != 0 {
		t.Errorf("stats: %+v", st)
	}
}

// An operator lowers max_payload, and a client's message is then too large: NATS ends the connection, the server goes on, and from
// then on the limit is known.
func TestMaxPayloadLowered(t *testing.T) {
	opts := server.Options{Port: -1, MaxPayload: 10_000}
	ns := natstest.Start(t, &opts)
	cfg := openConfig()
	cfg.Publish = []string{"chat.*"}
	h := broadcast.New(cfg)
	l := startLoop(t, h.Shard(0))
	_, result := runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}})
	awaitConnected(t, h)
	l.join(0)
	now := opts
	now.Port, now.MaxPayload = ns.Port(), 1000
	if err := ns.ReloadOptions(&now); err != nil {
		t.Fatal(err)
	}
	pub := func() {
		l.do(func() {
			l.shard.Apply(0, fmt.Appendf(nil, `{"op":"pub","id":1,"topic":"chat.a","data":"%0*d"}`, 3000, 0))
		})
	}
	pub()
	l.awaitOp(t, 0, "ack") // the server does not know the limit yet
	l.awaitOp(t, 0, "stale")
	l.awaitOp(t, 0, "fresh")
	pub()
	if m := l.awaitOp(t, 0, "err"); m[len(m)-1].Code != wire.CodeLimit {
		t.Errorf("told %+v", m)
	}
	select {
	case err := <-result:
		t.Errorf("Run returned %v", err)
	default:
	}
}

// A stream still has a message from before max_payload was lowered: it arrives.
func TestLargerThanMaxPayload(t *testing.T) {
	opts := server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir(), MaxPayload: 10_000}
	ns := natstest.Start(t, &opts)
	js := natstest.CreateStream(t, natstest.Connect(t, ns.ClientURL()), jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}, AllowDirect: true})
	text := strings.Repeat("1", 5000)
	natstest.Store(t, js, "ord.A "+text)
	now := opts
	now.Port, now.MaxPayload = ns.Port(), 1000
	if err := ns.ReloadOptions(&now); err != nil {
		t.Fatal(err)
	}
	node := startNode(t, []string{ns.ClientURL()}, orders)
	node.loop.join(0, "ord.A")
	node.loop.awaitData(t, 0, "ord.A", text)
}
