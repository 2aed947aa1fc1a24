package broadcast

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A sinkRecorder is a streamSink that keeps everything.
type sinkRecorder struct {
	changed chan struct{} // something was added since the last look

	mu          sync.Mutex
	began       bool
	after, last uint64 // what ready was called with
	msgs        []streamMessage
	gaps        [][2]uint64
	ok          bool
}

func newSinkRecorder() *sinkRecorder { return &sinkRecorder{changed: make(chan struct{}, 1)} }

func (r *sinkRecorder) note(add func()) {
	r.mu.Lock()
	add()
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *sinkRecorder) ready(after, last uint64) {
	r.note(func() { r.began, r.after, r.last = true, after, last })
}
func (r *sinkRecorder) message(m streamMessage) { r.note(func() { r.msgs = append(r.msgs, m) }) }
func (r *sinkRecorder) gap(after, before uint64) {
	r.note(func() { r.gaps = append(r.gaps, [2]uint64{after, before}) })
}
func (r *sinkRecorder) current(ok bool) { r.note(func() { r.ok = ok }) }

// texts is "subject seq data" of each message.
func texts(msgs []streamMessage) (all []string) {
	for _, m := range msgs {
		all = append(all, fmt.Sprintf("%s %d %s", m.subject, m.seq, m.data))
	}
	return all
}

// await waits until done says yes; it is called with the lock held.
func (r *sinkRecorder) await(t *testing.T, what string, done func() bool) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		r.mu.Lock()
		yes := done()
		r.mu.Unlock()
		if yes {
			return
		}
		select {
		case <-r.changed:
		case <-timeout.C:
			t.Fatalf("waited too long for %s", what)
		}
	}
}

// follow follows until the test ends, and waits until messages arrive. The channel holds what follow returned.
func follow(t *testing.T, s *stream, filter string, at streamStart) (*sinkRecorder, <-chan error) {
	t.Helper()
	r := newSinkRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	result, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		result <- s.follow(ctx, filter, at, r)
	}()
	t.Cleanup(func() { cancel(); <-done })
	r.await(t, "the consumer", func() bool { return r.ok })
	return r, result
}

// startJetStream starts one server with a stream and returns a connection.
func startJetStream(t *testing.T, config jetstream.StreamConfig) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	ns := startNATS(t, &server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	nc := publisher(t, ns.ClientURL())
	return nc, createStream(t, nc, config)
}

func createStream(t *testing.T, nc *nats.Conn, config jetstream.StreamConfig) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	return js
}

func mustOpen(t *testing.T, nc *nats.Conn, subject string) *stream {
	t.Helper()
	s, err := openStream(t.Context(), nc, subject, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// store publishes "subject data" and so on.
func store(t *testing.T, js jetstream.JetStream, messages ...string) {
	t.Helper()
	for _, m := range messages {
		subject, data, _ := strings.Cut(m, " ")
		if _, err := js.Publish(t.Context(), subject, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStreamIsTheOneThatHoldsAllOfTheSubject(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "PART", Subjects: []string{"ord.new"}})
	createStream(t, nc, jetstream.StreamConfig{Name: "PX", Subjects: []string{"px.>"}})
	for subject, want := range map[string]string{"ord.new": "PART", "px.*.A": "PX", "px.>": "PX"} {
		if s := mustOpen(t, nc, subject); s.name != want {
			t.Errorf("stream of %s is %s, want %s", subject, s.name, want)
		}
	}
	for _, subject := range []string{"ord.>", "ord.old", "x"} {
		if _, err := openStream(t.Context(), nc, subject, slog.New(slog.DiscardHandler)); !errors.Is(err, errNoStream) {
			t.Errorf("openStream(%s) = %v, want errNoStream", subject, err)
		}
	}
	first := mustOpen(t, nc, "px.>").epoch()
	if !regexp.MustCompile(`^[A-Za-z0-9]{8}$`).MatchString(first) {
		t.Errorf("epoch is %q", first)
	}
	if other := mustOpen(t, nc, "ord.new").epoch(); other == first {
		t.Error("two streams have the same epoch")
	}
	if err := js.DeleteStream(t.Context(), "PX"); err != nil {
		t.Fatal(err)
	}
	createStream(t, nc, jetstream.StreamConfig{Name: "PX", Subjects: []string{"px.>"}})
	if again := mustOpen(t, nc, "px.>").epoch(); again == first {
		t.Error("a stream that was made anew has the same epoch")
	}
}

func TestFollowBeginsWhereItIsTold(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}})
	store(t, js, "ord.a 1", "ord.b 2", "ord.a 3", "ord.c.d 4")
	s := mustOpen(t, nc, "ord.>")
	tests := []struct {
		name, filter string
		at           streamStart
		after        uint64
		want         []string
	}{
		{"now", "ord.>", streamStart{}, 4, []string{"ord.a 5 5", "ord.b 6 6"}},
		{"a sequence", "ord.>", streamStart{from: 3}, 2, []string{"ord.a 3 3", "ord.c.d 4 4", "ord.a 5 5", "ord.b 6 6"}},
		{"the first", "ord.a", streamStart{from: 1}, 0, []string{"ord.a 1 1", "ord.a 3 3", "ord.a 5 5"}},
		{"the newest", "ord.*", streamStart{lastPerSubject: true}, 4, []string{"ord.b 2 2", "ord.a 3 3", "ord.a 5 5", "ord.b 6 6"}},
		{"the newest of none", "ord.none", streamStart{lastPerSubject: true}, 0, nil},
	}
	var recorders []*sinkRecorder
	for _, tt := range tests {
		r, _ := follow(t, s, tt.filter, tt.at)
		recorders = append(recorders, r)
	}
	store(t, js, "ord.a 5", "ord.b 6")
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := recorders[i]
			r.await(t, "the messages", func() bool { return len(r.msgs) >= len(tt.want) })
			if got := texts(r.msgs); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if len(r.gaps) > 0 || r.last != 4 || tt.name != "the newest of none" && r.after != tt.after {
				t.Errorf("ready(%d, %d), gaps %v", r.after, r.last, r.gaps)
			}
		})
	}
}

func TestFollowTellsOfRemovedMessages(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}, MaxMsgs: 3})
	store(t, js, "ord.a 1", "ord.a 2", "ord.b 3", "ord.a 4", "ord.a 5") // 3, 4, 5 are left
	s := mustOpen(t, nc, "ord.>")
	tests := []struct {
		filter string
		from   uint64
		gap    [2]uint64
	}{
		{"ord.>", 1, [2]uint64{0, 3}},
		{"ord.>", 3, [2]uint64{}},
		{"ord.a", 2, [2]uint64{1, 6}},
		{"ord.a", 3, [2]uint64{}},
	}
	for _, tt := range tests {
		r, _ := follow(t, s, tt.filter, streamStart{from: tt.from})
		r.await(t, "the newest", func() bool { return len(r.msgs) > 0 && r.msgs[len(r.msgs)-1].seq == 5 })
		if got := append(r.gaps, [2]uint64{})[0]; got != tt.gap || len(r.gaps) > 1 {
			t.Errorf("%s from %d: gaps %v, want %v", tt.filter, tt.from, r.gaps, tt.gap)
		}
	}
}

func TestFollowTellsOfDeletedMessagesInTheMiddle(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}})
	store(t, js, "ord.a 1", "ord.a 2", "ord.b 3")
	remove(t, js, "O", 2)
	r, _ := follow(t, mustOpen(t, nc, "ord.>"), "ord.>", streamStart{from: 1})
	r.await(t, "the newest", func() bool { return len(r.msgs) == 2 })
	if want := [][2]uint64{{1, 3}}; !slices.Equal(r.gaps, want) {
		t.Errorf("gaps %v, want %v", r.gaps, want)
	}
}

func remove(t *testing.T, js jetstream.JetStream, name string, seq uint64) {
	t.Helper()
	s, err := js.Stream(t.Context(), name)
	if err == nil {
		err = s.DeleteMsg(t.Context(), seq)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A stream whose newest message was deleted has nothing to read, though its last sequence is beyond what was read.
func TestFollowPassesDeletedMessagesAtTheEnd(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}})
	store(t, js, "ord.a 1", "ord.a 2")
	remove(t, js, "O", 2)
	r := newSinkRecorder()
	reader := &streamReader{stream: mustOpen(t, nc, "ord.>"), to: r, filter: "ord.>", whole: true, last: 1, placed: true}
	idle := uint64(1)
	for range 2 {
		if err := reader.check(t.Context(), &idle); err != nil {
			t.Fatal(err)
		}
	}
	if want := [][2]uint64{{1, 3}}; reader.last != 2 || !slices.Equal(r.gaps, want) {
		t.Errorf("read up to %d, gaps %v", reader.last, r.gaps)
	}
	store(t, js, "ord.a 3")
	err := reader.check(t.Context(), &idle)
	if err = errors.Join(err, reader.check(t.Context(), &idle)); !errors.Is(err, errStreamSilent) {
		t.Errorf("a message that was not delivered: %v", err)
	}
}

func TestFollowGoesOnWhenItsConsumerIsDeleted(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}})
	s := mustOpen(t, nc, "ord.>")
	r, _ := follow(t, s, "ord.*", streamStart{})
	store(t, js, "ord.a 1", "ord.b 2")
	r.await(t, "the first", func() bool { return len(r.msgs) == 2 })
	stored, err := js.Stream(t.Context(), "O")
	if err != nil {
		t.Fatal(err)
	}
	for name := range stored.ConsumerNames(t.Context()).Name() {
		if err := stored.DeleteConsumer(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	store(t, js, "ord.a 3")
	r.await(t, "the next", func() bool { return len(r.msgs) == 3 })
	if want := []string{"ord.a 1 1", "ord.b 2 2", "ord.a 3 3"}; !slices.Equal(texts(r.msgs), want) || len(r.gaps) > 0 {
		t.Errorf("got %q, gaps %v", texts(r.msgs), r.gaps)
	}
}

// What begins again among the newest messages of each subject delivers none twice, and tells what it may have skipped.
func TestFollowGoesOnAmongTheNewest(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}})
	store(t, js, "ord.a 1", "ord.b 2", "ord.c 3", "ord.d 4", "ord.c 5", "ord.c 6")
	r := newSinkRecorder()
	reader := &streamReader{stream: mustOpen(t, nc, "ord.>"), to: r, filter: "ord.>", newest: true, began: true,
		last: 2, newestEnd: 4} // as one that was interrupted after 1 and 2, when 4 was the newest
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = reader.read(ctx) }() // ends with ctx
	r.await(t, "the others", func() bool { return len(r.msgs) >= 2 })
	store(t, js, "ord.a 7")
	r.await(t, "a new one", func() bool { return len(r.msgs) >= 3 })
	cancel()
	<-done
	if want := []string{"ord.d 4 4", "ord.c 6 6", "ord.a 7 7"}; !slices.Equal(texts(r.msgs), want) {
		t.Errorf("got %q, want %q", texts(r.msgs), want)
	}
	if want := [][2]uint64{{4, 7}}; !slices.Equal(r.gaps, want) || reader.newest {
		t.Errorf("gaps %v, want %v", r.gaps, want)
	}
}

func TestFollowReadsOnWithoutAConsumer(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}, AllowDirect: true})
	store(t, js, "ord.a 1", "ord.a 2", "ord.b 3", "ord.a 4")
	remove(t, js, "O", 3)
	r := newSinkRecorder()
	reader := &streamReader{stream: mustOpen(t, nc, "ord.>"), to: r, filter: "ord.>", whole: true, last: 1, placed: true}
	for range 2 {
		if reader.bridge(t.Context()) {
			t.Error("bridge says that there is more")
		}
	}
	if want := []string{"ord.a 2 2", "ord.a 4 4"}; !slices.Equal(texts(r.msgs), want) || reader.last != 4 {
		t.Errorf("got %q, want %q", texts(r.msgs), want)
	}
	if want := [][2]uint64{{2, 4}}; !slices.Equal(r.gaps, want) {
		t.Errorf("gaps %v, want %v", r.gaps, want)
	}
}

func TestFollowEndsWhenTheStreamIsAnotherOne(t *testing.T) {
	for _, again := range []bool{false, true} {
		config := jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}}
		nc, js := startJetStream(t, config)
		r, result := follow(t, mustOpen(t, nc, "ord.>"), "ord.>", streamStart{})
		if err := js.DeleteStream(t.Context(), "O"); err != nil {
			t.Fatal(err)
		}
		want := errNoStream
		if again {
			createStream(t, nc, config)
			want = errStreamChanged
		}
		select {
		case err := <-result:
			if !errors.Is(err, want) {
				t.Errorf("follow = %v, want %v", err, want)
			}
		case <-time.After(patience):
			t.Fatal("follow goes on")
		}
		r.await(t, "not current", func() bool { return !r.ok })
	}
}

func TestLast(t *testing.T) {
	for _, direct := range []bool{true, false} {
		t.Run(fmt.Sprintf("direct %v", direct), func(t *testing.T) {
			nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}, AllowDirect: direct})
			store(t, js, "ord.a 1", "ord.b 2", "ord.a 3", "ord.c.d 4", "ord.b ")
			s := mustOpen(t, nc, "ord.>")
			tests := []struct {
				pattern string
				max     int
				want    []string
				more    bool
			}{
				{"ord.a", 10, []string{"ord.a 3 3"}, false},
				{"ord.*", 10, []string{"ord.a 3 3", "ord.b 5 "}, false},
				{"ord.>", 2, []string{"ord.a 3 3", "ord.c.d 4 4"}, true},
				{"ord.>", 3, []string{"ord.a 3 3", "ord.c.d 4 4", "ord.b 5 "}, false},
				{"ord.x", 10, nil, false},
				{"ord.x.*", 10, nil, false},
			}
			for _, tt := range tests {
				msgs, more, err := s.last(t.Context(), tt.pattern, tt.max)
				if err != nil || more != tt.more || !slices.Equal(texts(msgs), tt.want) {
					t.Errorf("last(%s, %d) = %q, %v, %v; want %q, %v", tt.pattern, tt.max, texts(msgs), more, err, tt.want, tt.more)
				}
			}
		})
	}
}

// Direct get refuses more than 1024 subjects.
func TestLastOfVeryManySubjects(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}, AllowDirect: true})
	const n = 1500
	for i := range n {
		if _, err := js.PublishAsync("ord."+strconv.Itoa(i), nil); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	s := mustOpen(t, nc, "ord.>")
	for _, max := range []int{2 * n, n - 1} {
		msgs, more, err := s.last(t.Context(), "ord.*", max)
		if err != nil || len(msgs) != min(n, max) || more != (n > max) {
			t.Errorf("last of %d: %d messages, more %v, %v", max, len(msgs), more, err)
		}
	}
}

func TestSince(t *testing.T) {
	orders := []string{"ord.a 1", "ord.b 2", "ord.a 3", "ord.c 4", "ord.a 5", "ord.b 6"}
	none := jetstream.StreamConfig{}
	tests := []struct {
		name        string
		config      jetstream.StreamConfig
		subject     string
		after, upto uint64
		max         int
		want        []uint64
		complete    bool
	}{
		{"all of a subject", none, "ord.a", 0, 0, 9, []uint64{1, 3, 5}, true},
		{"all", none, "ord.*", 0, 0, 9, []uint64{1, 2, 3, 4, 5, 6}, true},
		{"after one of it", none, "ord.a", 1, 0, 9, []uint64{3, 5}, true},
		{"after another", none, "ord.a", 2, 0, 9, []uint64{3, 5}, true},
		{"up to", none, "ord.a", 0, 4, 9, []uint64{1, 3}, true},
		{"up to one of it", none, "ord.a", 1, 3, 9, []uint64{3}, true},
		{"just max", none, "ord.a", 0, 4, 2, []uint64{1, 3}, true},
		{"more than max", none, "ord.a", 0, 0, 2, []uint64{1, 3}, false},
		{"more than max of a pattern", none, "ord.>", 2, 0, 3, []uint64{3, 4, 5}, false},
		{"nothing new", none, "ord.a", 6, 0, 9, nil, true},
		{"nothing new of it", none, "ord.c", 4, 0, 9, nil, true},
		{"the future", none, "ord.a", 7, 0, 9, nil, false},

		// 3 to 6 are left
		{"limit, after the first", jetstream.StreamConfig{MaxMsgs: 4}, "ord.a", 3, 0, 9, []uint64{5}, true},
		{"limit, before the first", jetstream.StreamConfig{MaxMsgs: 4}, "ord.a", 2, 0, 9, []uint64{3, 5}, true},
		{"limit, removed", jetstream.StreamConfig{MaxMsgs: 4}, "ord.a", 1, 0, 9, []uint64{3, 5}, false},

		// 2 to 6 are left; 1 was ord.a
		{"per subject, after one of it", jetstream.StreamConfig{MaxMsgsPerSubject: 2}, "ord.a", 3, 0, 9, []uint64{5}, true},
		{"per subject, perhaps removed", jetstream.StreamConfig{MaxMsgsPerSubject: 2}, "ord.a", 0, 0, 9, []uint64{3, 5}, false},
		{"per subject, one is fewer", jetstream.StreamConfig{MaxMsgsPerSubject: 2}, "ord.c", 0, 0, 9, []uint64{4}, true},
		{"per subject, none", jetstream.StreamConfig{MaxMsgsPerSubject: 2}, "ord.x", 0, 0, 9, nil, false},

		// 4, 5, 6 are left
		{"newest, after it", jetstream.StreamConfig{MaxMsgsPerSubject: 1}, "ord.a", 5, 0, 9, nil, true},
		{"newest, before it", jetstream.StreamConfig{MaxMsgsPerSubject: 1}, "ord.a", 2, 0, 9, []uint64{5}, false},
		{"newest, all after", jetstream.StreamConfig{MaxMsgsPerSubject: 1}, "ord.*", 4, 0, 9, []uint64{5, 6}, true}, // no holes
	}
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"x"}})
	for _, direct := range []bool{true, false} {
		for i, tt := range tests {
			t.Run(fmt.Sprintf("%s, direct %v", tt.name, direct), func(t *testing.T) {
				tt.config.Name = fmt.Sprintf("O%d%v", i, direct)
				tt.config.Subjects, tt.config.AllowDirect = []string{"ord.>"}, direct
				createStream(t, nc, tt.config)
				store(t, js, orders...)
				msgs, complete, err := mustOpen(t, nc, "ord.>").since(t.Context(), tt.subject, tt.after, tt.upto, tt.max)
				var got []uint64
				for _, m := range msgs {
					got = append(got, m.seq)
				}
				if err != nil || complete != tt.complete || !slices.Equal(got, tt.want) {
					t.Errorf("got %v, %v, %v; want %v, %v", got, complete, err, tt.want, tt.complete)
				}
				if err := js.DeleteStream(t.Context(), tt.config.Name); err != nil { // for the next that holds ord.>
					t.Fatal(err)
				}
			})
		}
	}
}

// A steady publisher stores "ord.0 0", "ord.1 1", ... with ever the same id until the stream has taken it.
type steady struct {
	cancel context.CancelFunc
	done   chan struct{}
	n      int // stored, when done
}

func startSteady(t *testing.T, nc *nats.Conn) *steady {
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p := &steady{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		for ctx.Err() == nil {
			text := strconv.Itoa(p.n)
			once, stop := context.WithTimeout(context.Background(), time.Second)
			_, err := js.Publish(once, "ord."+strconv.Itoa(p.n%7), []byte(text), jetstream.WithMsgID(text))
			stop()
			if err == nil {
				p.n++
			}
			select { // a pace, and a pause between attempts
			case <-ctx.Done():
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-p.done })
	return p
}

func TestFollowInACluster(t *testing.T) {
	c := startCluster(t)
	config := jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}, Replicas: 3, AllowDirect: true}
	js := createStream(t, c.connect(0), config)
	leader := c.leader("O")
	nc := c.connect(leader + 1)
	s := mustOpen(t, nc, "ord.>")
	for i := range c.servers {
		if other := mustOpen(t, c.connect(i), "ord.>"); other.epoch() != s.epoch() {
			t.Errorf("server %d says epoch %s, another %s", i, other.epoch(), s.epoch())
		}
	}
	whole, _ := follow(t, s, "ord.>", streamStart{from: 1})
	part, _ := follow(t, s, "ord.3", streamStart{from: 1})
	writer := startSteady(t, c.connect(leader+2))

	// goesOn waits until messages arrive that were published after now.
	goesOn := func(what string) {
		t.Helper()
		began := time.Now()
		whole.await(t, "messages after "+what, func() bool {
			return len(whole.msgs) > 0 && whole.ok && whole.msgs[len(whole.msgs)-1].time.After(began)
		})
		t.Logf("%s: messages go on after %v", what, time.Since(began).Round(time.Millisecond))
	}
	again := func(i int) {
		c.start(i)
		c.awaitMeta()
		c.awaitCurrent("O")
	}
	goesOn("the beginning")
	killed := c.leader("O")
	c.kill(killed)
	goesOn("the loss of the stream's leader")
	again(killed)

	killed = c.connected(nc)
	c.kill(killed)
	goesOn("the loss of the connected server")
	again(killed)

	killed = consumerServer(c, js, "O")
	c.kill(killed)
	goesOn("the loss of the consumer's server")
	again(killed)

	writer.cancel()
	<-writer.done
	checkFollowed(t, whole, part, writer.n)
	if again := mustOpen(t, c.connect(killed), "ord.>"); again.epoch() != s.epoch() {
		t.Errorf("the epoch became %s, was %s", again.epoch(), s.epoch())
	}
	msgs, complete, err := s.since(t.Context(), "ord.3", 0, 0, writer.n)
	if err != nil || !complete || len(msgs) != (writer.n+3)/7 {
		t.Errorf("since: %d messages, complete %v, %v", len(msgs), complete, err)
	}
	if msgs, more, err := s.last(t.Context(), "ord.*", 100); len(msgs) != 7 || more || err != nil {
		t.Errorf("last: %d messages, more %v, %v", len(msgs), more, err)
	}
}

// consumerServer returns the server of the consumer that follow reads the whole stream with.
func consumerServer(c *natsCluster, js jetstream.JetStream, name string) (i int) {
	c.t.Helper()
	s, err := js.Stream(c.t.Context(), name)
	if err != nil {
		c.t.Fatal(err)
	}
	c.await("a consumer", func() bool {
		for info := range s.ListConsumers(c.t.Context()).Info() {
			if info.Config.FilterSubject != "ord.>" || info.NumWaiting == 0 {
				continue // of another, or left to expire
			}
			i = c.find(func(s *server.Server) bool {
				return s.JetStreamIsConsumerLeader(server.DEFAULT_GLOBAL_ACCOUNT, name, info.Name)
			})
			if i >= 0 {
				return true
			}
		}
		return false
	})
	return i
}

// checkFollowed checks that n messages came, each once and in order, and those of ord.3 also where only they were wanted.
func checkFollowed(t *testing.T, whole, part *sinkRecorder, n int) {
	t.Helper()
	whole.await(t, "all messages", func() bool { return len(whole.msgs) >= n })
	var three []string
	for i, m := range whole.msgs {
		text := strconv.Itoa(i)
		if string(m.data) != text || m.seq != uint64(i+1) {
			t.Fatalf("message %d is %q with sequence %d", i, m.data, m.seq)
		}
		if i%7 == 3 {
			three = append(three, fmt.Sprintf("ord.3 %d %s", i+1, text))
		}
	}
	part.await(t, "all of one subject", func() bool { return len(part.msgs) >= len(three) })
	if !slices.Equal(texts(part.msgs), three) {
		t.Errorf("of one subject %d messages came, want %d, or their order is another", len(part.msgs), len(three))
	}
	if len(whole.msgs) != n || len(whole.gaps)+len(part.gaps) > 0 {
		t.Errorf("%d messages, want %d; gaps %v and %v", len(whole.msgs), n, whole.gaps, part.gaps)
	}
}
