package sim

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast"
	"tickcast/broadcast/natstest"
	"tickcast/broadcast/topics"
	"tickcast/broadcast/upstream"
	"tickcast/broadcast/wire"
	"tickcast/wsproto"
)

// A side carries out the steps of a fault: the models, or a real NATS server behind the product's own packages upstream and
// jetstream. Both tell what one client hears.
type side interface {
	sub(names ...string)
	pub(topic string)
	cut()    // the connection ends
	freeze() // the link drops all packets
	notice() // the silence of a frozen link is noticed
	stall()  // the server is faster than the link, and ends it
	up()     // the link works again
	deny(topic string)
	allow()
	purge()
	remove()           // the stream
	make()             // the stream, anew
	keep(n int)        // messages in the stream: older ones are evicted
	lead(leads bool)   // whether the stream has a leader; real in a cluster alone
	change()           // of the leader; real in a cluster alone
	retry(name string) // sub until it is taken
	patience()         // the time is up for what waits
	heard() []string
}

// A script is a fault, step by step.
type script struct {
	name  string
	steps []func(side)
}

// TestModelsAreLikeNATS carries out each fault of the models that has a counterpart with a real server. After each step the client
// must have heard the same, in the same order.
func TestModelsAreLikeNATS(t *testing.T) {
	for _, tt := range []script{
		{"disconnect", []func(side){
			func(s side) { s.sub("ord.a", "px.a") }, func(s side) { s.pub("ord.a") }, func(s side) { s.pub("px.a") }, side.cut,
			func(s side) { s.pub("ord.a") }, func(s side) { s.pub("px.a") }, side.up, func(s side) { s.pub("ord.a") }, func(s side) { s.pub("px.a") },
		}},
		{"half-open", []func(side){
			func(s side) { s.sub("ord.a", "px.a") }, func(s side) { s.pub("ord.a") }, side.freeze, func(s side) { s.pub("ord.a") }, side.notice,
			side.up, func(s side) { s.pub("ord.a") },
		}},
		{"slow consumer", []func(side){
			func(s side) { s.sub("ord.a", "ord.c.d") }, func(s side) { s.pub("ord.a") }, side.stall, side.up, func(s side) { s.pub("ord.a") },
		}},
		{"permission", []func(side){
			func(s side) { s.deny("ord.a") }, func(s side) { s.sub("ord.a", "ord.b") }, func(s side) { s.pub("ord.b") }, side.allow,
			func(s side) { s.pub("ord.a") }, func(s side) { s.pub("ord.b") },
		}},
		{"permission taken", []func(side){
			func(s side) { s.sub("ord.a", "px.a") }, func(s side) { s.pub("ord.a") }, func(s side) { s.pub("px.a") }, func(s side) { s.deny("ord.a") },
			func(s side) { s.pub("ord.a") }, func(s side) { s.pub("px.a") }, side.allow, func(s side) { s.pub("ord.a") },
		}},
		{"stream purged", []func(side){
			func(s side) { s.pub("js.a") }, func(s side) { s.sub("js.a") }, func(s side) { s.pub("js.a") }, side.purge,
			func(s side) { s.pub("js.a") }, func(s side) { s.sub("js.b") },
		}},
		{"stream deleted", []func(side){
			func(s side) { s.sub("js.a") }, func(s side) { s.pub("js.a") }, side.remove, side.make, func(s side) { s.pub("js.a") },
		}},
		{"stream made anew", []func(side){
			func(s side) { s.sub("js.a") }, func(s side) { s.pub("js.a") }, side.make, func(s side) { s.pub("js.a") }, func(s side) { s.pub("js.a") },
		}},
		{"stream and a disconnect", []func(side){
			func(s side) { s.sub("js.a") }, func(s side) { s.pub("js.a") }, side.cut, func(s side) { s.pub("js.a") }, side.up, func(s side) { s.pub("js.a") },
		}},
		{"stream that evicts", []func(side){
			func(s side) { s.keep(3) }, func(s side) { s.sub("js.a", "js.b") }, func(s side) { s.pub("js.a") }, func(s side) { s.pub("js.b") }, side.cut,
			func(s side) {
				for range 5 {
					s.pub("js.a")
				}
			}, side.up, func(s side) { s.pub("js.a") }, func(s side) { s.pub("js.b") },
		}},
		{"stream purged behind a cut", []func(side){
			func(s side) { s.sub("js.a", "js.b") }, func(s side) { s.pub("js.a") }, side.cut, func(s side) { s.pub("js.a") }, side.purge,
			side.up, func(s side) { s.pub("js.a") },
		}},
		{"stream deleted behind a cut", []func(side){
			func(s side) { s.sub("js.a") }, func(s side) { s.pub("js.a") }, side.cut, side.remove, side.up, side.make, func(s side) { s.pub("js.a") },
		}},
	} {
		t.Run(tt.name, func(t *testing.T) { t.Parallel(); compare(t, tt, newRealSide(t)) })
	}
}

// TestModelsAreLikeACluster is TestModelsAreLikeNATS for the faults of three servers with three copies of the stream.
func TestModelsAreLikeACluster(t *testing.T) {
	for _, tt := range []script{
		{"another leader", []func(side){
			func(s side) { s.sub("js.a") }, func(s side) { s.pub("js.a") }, side.change, func(s side) { s.pub("js.a") },
			func(s side) { s.sub("js.b", "js.c") }, func(s side) { s.pub("js.b") },
		}},
		{"no leader", []func(side){
			func(s side) { s.pub("js.a") }, func(s side) { s.lead(false) }, func(s side) { s.sub("js.a") }, side.patience, func(s side) { s.lead(true) },
			func(s side) { s.retry("js.a") }, func(s side) { s.pub("js.a") },
		}},
	} {
		t.Run(tt.name, func(t *testing.T) { t.Parallel(); compare(t, tt, newClusterSide(t)) })
	}
}

// compare carries a script out with the models and with real.
func compare(t *testing.T, script script, real side) {
	t.Helper()
	model := newModelSide()
	for i, step := range script.steps {
		step(model)
		step(real)
		want := model.heard()
		for deadline := time.Now().Add(natstest.Patience); ; time.Sleep(time.Millisecond) {
			got := real.heard()
			if slices.Equal(got, want) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("step %d: the model tells\n%q, NATS tells\n%q", i, want, got)
			}
		}
	}
}

// say describes a message to a client; "" = it says nothing of a fault.
func say(m *told) string {
	switch {
	case m.op == "hello" || m.op == "other" || m.op == "" && universe[m.topic].name == "ord.c.d" || m.op == "gap" && universe[m.topic].name == "ord.c.d":
		return "" // the flood of stall is on ord.c.d
	case m.answer != nil:
		return fmt.Sprintf("%s of %d, %d errors", m.op, len(m.answer.Topics), len(m.answer.Errors))
	case m.all:
		return m.op + " all"
	case m.op != "":
		return m.op + " " + universe[m.topic].name
	}
	text := fmt.Sprintf("%s %d", universe[m.topic].name, m.index)
	if m.snap {
		text += " snap"
	} else if m.prev == 0 && universe[m.topic].lossless {
		text += " p0"
	}
	return text
}

// A modelSide is a world of one node.
type modelSide struct {
	w    *World
	list []string
}

func newModelSide() *modelSide {
	s := &modelSide{w: newWorld(Setup{Nodes: 1, Loops: 1, Conns: 1, Mailbox: 1000, Conflate: 1000, Queue: 1 << 20, Pending: 1000, History: 50, Keep: 1000})}
	s.w.clients[0].hears = func(m *told) { s.list = append(s.list, say(m)) }
	s.w.clients[0].join(s.w.nodes[0], s.w.nodes[0].loops[0])
	return s
}

func (s *modelSide) link() *link { return s.w.nodes[0].links[0] }

func (s *modelSide) settle() { s.w.quiet(3*time.Second, false) }

func (s *modelSide) sub(list ...string) {
	var of []int
	for _, name := range list {
		of = append(of, nameOf(name))
	}
	s.w.clients[0].subscribe(new(command), of, "")
	s.settle()
}

func (s *modelSide) pub(topic string) {
	s.w.publish(topicByName([]byte(topic)), 1, 0)
	s.settle()
}

func (s *modelSide) cut() {
	s.link().cut(0)
	s.settle()
}

func (s *modelSide) freeze() { s.link().frozen = true }
func (s *modelSide) notice() { s.cut() }
func (s *modelSide) stall()  { s.cut() }

func (s *modelSide) up() {
	s.link().up()
	s.settle()
}

func (s *modelSide) deny(topic string) {
	s.w.nodes[0].deny(topicByName([]byte(topic)), true)
	s.settle()
}

func (s *modelSide) allow() {
	s.w.nodes[0].allow(false)
	s.settle()
}

func (s *modelSide) purge() {
	s.w.streams[0].content = nil
	s.settle()
}

func (s *modelSide) remove() {
	s.w.streams[0].exists, s.w.streams[0].content = false, nil
	s.settle()
}

func (s *modelSide) make() {
	s.w.streams[0].anew()
	s.settle()
}

func (s *modelSide) keep(n int) { s.w.setup.Keep = n }

func (s *modelSide) lead(leads bool) {
	s.w.streams[0].leader = leads
	s.settle()
}

func (s *modelSide) change() { s.lead(false); s.lead(true) }

func (s *modelSide) retry(name string) { s.sub(name) }

func (s *modelSide) patience() { s.w.quiet(10*time.Second, false) }

func (s *modelSide) heard() []string { return heard(s.list) }

// heard leaves out the empty texts, and all but one of equal gaps in a row.
func heard(list []string) []string {
	list = slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" })
	return slices.Compact(list)
}

// A realSide is a hub behind a NATS server, over a link that can be cut.
type realSide struct {
	t         *testing.T
	ns        *natstest.Server
	opts      server.Options
	link      *proxy
	shard     *broadcast.Shard
	tasks     chan func()
	js        jetstream.JetStream
	nc        *nats.Conn
	published [mostTopics]int

	mu   sync.Mutex
	list []string
}

const silence = time.Second

func newRealSide(t *testing.T) *realSide {
	s := new(realSide)
	s.opts = server.Options{
		Port: -1, JetStream: true, StoreDir: t.TempDir(), MaxPending: 1 << 20, WriteDeadline: 100 * time.Millisecond,
		Users: []*server.User{{Username: "tick", Password: "x"}, {Username: "feed", Password: "x"}},
	}
	first := s.opts
	s.ns = natstest.Start(t, &first)
	s.link = startProxy(t, s.ns.Addr().String())
	s.nc = natstest.Connect(t, s.ns.ClientURL(), nats.UserInfo("feed", "x"))
	s.js = natstest.CreateStream(t, s.nc, streamConfig)
	s.start(t, upstream.Config{URLs: []string{"nats://" + s.link.addr}, User: "tick", Password: "x"})
	return s
}

// start runs the hub over upstream, and its client.
func (s *realSide) start(t *testing.T, cfg upstream.Config) {
	s.t, s.tasks = t, make(chan func(), 1000)
	hub := broadcast.New(broadcast.Config{
		Config: topics.Config{Classes: classesOf(50)}, Subscribe: []string{">"}, QueueBytes: 1 << 20,
	})
	cfg.ReconnectWait, cfg.PingInterval, cfg.ConnectTimeout = 5*time.Millisecond, silence/3, silence
	up, err := upstream.Connect(hub.Hub, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = up.Run(ctx) })
	s.shard = hub.Shard(0)
	running.Go(func() {
		for {
			select {
			case task := <-s.tasks:
				task()
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	for hub.Stale() {
		time.Sleep(time.Millisecond)
	}
	s.do(func() {
		s.shard.Attach(s, func() { go s.post(s.drain) })
		s.shard.Join(0, wire.CodecJSON, 0)
	})
}

var streamConfig = jetstream.StreamConfig{Name: "JS", Subjects: []string{"js.>"}, AllowDirect: true}

func (s *realSide) post(task func()) {
	select {
	case s.tasks <- task:
	case <-s.t.Context().Done():
	}
}

func (s *realSide) do(task func()) {
	done := make(chan struct{})
	s.tasks <- func() { defer close(done); task() }
	<-done
}

func (s *realSide) drain() {
	if s.shard.Drain(time.Millisecond) {
		go s.post(s.drain)
	}
}

// Write is part of broadcast.Outlet.
func (s *realSide) Write(_ uint32, frames []byte, _ int) (taken int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for taken < len(frames) {
		m, err := parseTold(frames[taken:])
		if err != nil {
			s.list = append(s.list, err.Error())
			break
		}
		taken += m.size
		s.list = append(s.list, say(&m))
	}
	return len(frames), true
}

// Close is part of broadcast.Outlet.
func (s *realSide) Close(uint32, wsproto.StatusCode, string) { s.t.Error("the client was closed") }

func (s *realSide) sub(list ...string) {
	s.do(func() { s.shard.Subscribe(0, list, "", "") })
	for _, name := range list { // the model knows no time between the answer and NATS
		if universe[nameOf(name)].stream < 0 {
			s.ns.Await(s.t, "SUB "+name)
		}
	}
}

func (s *realSide) pub(topic string) {
	i := topicByName([]byte(topic))
	s.published[i]++
	text := strconv.Itoa(s.published[i])
	if universe[i].stream >= 0 {
		natstest.Store(s.t, s.js, topic+" "+text)
		return
	}
	if err := s.nc.Publish(topic, []byte(text)); err != nil {
		s.t.Fatal(err)
	}
	if err := s.nc.FlushTimeout(natstest.Patience); err != nil {
		s.t.Fatal(err)
	}
}

func (s *realSide) cut()    { s.link.set(proxyCut) }
func (s *realSide) freeze() { s.link.set(proxyFrozen) }
func (s *realSide) notice() {}
func (s *realSide) up()     { s.link.set(proxyUp) }

func (s *realSide) stall() {
	s.link.set(proxyStalled)
	flood := []byte(strings.Repeat("1", 64<<10))
	for s.ns.NumSlowConsumers() == 0 {
		if err := s.nc.Publish("ord.c.d", flood); err != nil {
			s.t.Fatal(err)
		}
	}
	s.link.set(proxyCut)
}

func (s *realSide) deny(topic string) {
	s.reload(&server.Permissions{Subscribe: &server.SubjectPermission{Deny: []string{topic}}})
}

func (s *realSide) allow() { s.reload(nil) }

func (s *realSide) reload(p *server.Permissions) {
	opts := s.opts
	opts.Port, opts.Host, opts.NoSigs, opts.NoLog = s.ns.Port(), "127.0.0.1", true, true
	opts.Users = []*server.User{{Username: "tick", Password: "x", Permissions: p}, {Username: "feed", Password: "x"}}
	if err := s.ns.ReloadOptions(&opts); err != nil {
		s.t.Fatal(err)
	}
}

func (s *realSide) purge() {
	stream, err := s.js.Stream(s.t.Context(), "JS")
	if err == nil {
		err = stream.Purge(s.t.Context())
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *realSide) remove() {
	if err := s.js.DeleteStream(s.t.Context(), "JS"); err != nil {
		s.t.Fatal(err)
	}
}

func (s *realSide) make() {
	_ = s.js.DeleteStream(s.t.Context(), "JS") // it may be gone
	if _, err := s.js.CreateStream(s.t.Context(), streamConfig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *realSide) keep(n int) {
	cfg := streamConfig
	cfg.MaxMsgs = int64(n)
	if _, err := s.js.UpdateStream(s.t.Context(), cfg); err != nil {
		s.t.Fatal(err)
	}
}

func (s *realSide) patience() {} // compare waits

func (s *realSide) retry(name string) {
	before := len(s.said())
	s.sub(name)
	for deadline := time.Now().Add(natstest.Patience); ; time.Sleep(time.Millisecond) {
		list := s.said()
		switch {
		case time.Now().After(deadline):
			s.t.Fatalf("%s is never taken: %q", name, list)
		case len(list) == before:
		case strings.HasSuffix(list[before], " 1 errors"):
			s.forget(before)
			s.sub(name)
		default:
			return
		}
	}
}

func (s *realSide) said() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

func (s *realSide) forget(from int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = s.list[:from]
}

func (s *realSide) lead(bool) { s.t.Fatal("a single server has its leader always") }
func (s *realSide) change()   { s.t.Fatal("a single server has its leader always") }

// A clusterSide is a hub behind three servers, of which it is connected to the first.
type clusterSide struct {
	realSide
	cluster *natstest.Cluster
}

func newClusterSide(t *testing.T) *clusterSide {
	s := &clusterSide{cluster: natstest.StartCluster(t)}
	s.nc = s.cluster.Connect(0)
	cfg := streamConfig
	cfg.Replicas = len(s.cluster.Servers)
	s.js = natstest.CreateStream(t, s.nc, cfg)
	s.cluster.AwaitCurrent(cfg.Name)
	s.start(t, upstream.Config{URLs: s.cluster.URLs()[:1]})
	return s
}

func (s *clusterSide) lead(leads bool) {
	for i := range s.cluster.Servers[1:] {
		if leads {
			s.cluster.Start(i + 1)
		} else {
			s.cluster.Kill(i + 1)
		}
	}
	if leads {
		s.cluster.AwaitMeta()
		s.cluster.Leader(streamConfig.Name)
		s.cluster.AwaitCurrent(streamConfig.Name)
	} else {
		s.cluster.Await("the end of the leader", func() bool {
			return !s.cluster.Servers[0].JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, streamConfig.Name)
		})
	}
}

func (s *clusterSide) change() {
	before := s.cluster.Leader(streamConfig.Name)
	if _, err := s.nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+streamConfig.Name, nil, natstest.Patience); err != nil {
		s.t.Fatal(err)
	}
	s.cluster.Await("another leader", func() bool { return s.cluster.Leader(streamConfig.Name) != before })
}

func (s *realSide) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return heard(s.list)
}
