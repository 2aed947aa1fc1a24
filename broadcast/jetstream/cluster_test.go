package jetstream

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast/natstest"
)

// A steady publisher stores "ord.0 0", "ord.1 1", ... and repeats each with the same id until the stream has stored it.
type steady struct {
	cancel context.CancelFunc
	done   chan struct{}
	n      int // stored messages; read it after done
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
	c := natstest.StartCluster(t)
	config := jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}, Replicas: 3, AllowDirect: true}
	js := natstest.CreateStream(t, c.Connect(0), config)
	leader := c.Leader("O")
	nc := c.Connect(leader + 1)
	s := mustOpen(t, nc, "ord.>")
	for i := range c.Servers {
		if other := mustOpen(t, c.Connect(i), "ord.>"); other.Epoch() != s.Epoch() {
			t.Errorf("server %d says epoch %s, another %s", i, other.Epoch(), s.Epoch())
		}
	}
	whole, _ := follow(t, s, "ord.>", Start{From: 1})
	part, _ := follow(t, s, "ord.3", Start{From: 1})
	writer := startSteady(t, c.Connect(leader+2))

	// goesOn waits for a message that was published after the call.
	goesOn := func(event string) {
		t.Helper()
		began := time.Now()
		whole.await(t, "messages after "+event, func() bool {
			return len(whole.msgs) > 0 && whole.ok && whole.msgs[len(whole.msgs)-1].Time.After(began)
		})
		t.Logf("%s: messages go on after %v", event, time.Since(began).Round(time.Millisecond))
	}
	restart := func(i int) {
		c.Start(i)
		c.AwaitMeta()
		c.AwaitCurrent("O")
	}
	goesOn("the beginning")
	killed := c.Leader("O")
	c.Kill(killed)
	goesOn("the loss of the stream's leader")
	restart(killed)

	killed = c.Connected(nc)
	c.Kill(killed)
	goesOn("the loss of the connected server")
	restart(killed)

	killed = consumerServer(t, c, js, "O")
	c.Kill(killed)
	goesOn("the loss of the consumer's server")
	restart(killed)

	writer.cancel()
	<-writer.done
	checkFollowed(t, whole, part, writer.n)
	if again := mustOpen(t, c.Connect(killed), "ord.>"); again.Epoch() != s.Epoch() {
		t.Errorf("the epoch became %s, was %s", again.Epoch(), s.Epoch())
	}
	msgs, complete, err := s.Since(t.Context(), "ord.3", 0, 0, writer.n)
	if err != nil || !complete || len(msgs) != (writer.n+3)/7 {
		t.Errorf("since: %d messages, complete %v, %v", len(msgs), complete, err)
	}
	if msgs, _, more, err := s.Last(t.Context(), "ord.*", 100); len(msgs) != 7 || more || err != nil {
		t.Errorf("last: %d messages, more %v, %v", len(msgs), more, err)
	}
}

// consumerServer returns the server of the consumer through which Follow reads the whole stream.
func consumerServer(t *testing.T, c *natstest.Cluster, js jetstream.JetStream, name string) (i int) {
	t.Helper()
	s, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	c.Await("a consumer", func() bool {
		for info := range s.ListConsumers(t.Context()).Info() {
			if info.Config.FilterSubject != "ord.>" || info.NumWaiting == 0 {
				continue // another reader's, or left to expire
			}
			i = c.Find(func(s *server.Server) bool {
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

// checkFollowed checks that whole received n messages, each once and in order, and that part received those of ord.3.
func checkFollowed(t *testing.T, whole, part *sinkRecorder, n int) {
	t.Helper()
	whole.await(t, "all messages", func() bool { return len(whole.msgs) >= n })
	var three []string
	for i, m := range whole.msgs {
		text := strconv.Itoa(i)
		if string(m.Data) != text || m.Seq != uint64(i+1) {
			t.Fatalf("message %d is %q with sequence %d", i, m.Data, m.Seq)
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
