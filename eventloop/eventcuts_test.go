package eventloop

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"tickcast/broadcast"
)

// market publishes numbered messages on lossless topics, and others between them, until it has published all of n.
func (s *server) market(n int) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		for i := range n {
			s.hub.Publish(fmt.Sprintf("ord.%d", i%3), []byte(fmt.Sprint(i)))
			for k := range i % 4 {
				s.hub.Publish(fmt.Sprintf("px.%d", k), []byte(`{"bid":1.25,"ask":1.5}`))
			}
			if i%64 == 0 {
				time.Sleep(time.Millisecond) // a pace of bursts, which are written together
			}
		}
	}()
	return done
}

// A reception checks that every message of the lossless topics comes once and in its order.
type reception struct {
	next    int // number of the next message behind the last cursor
	claimed int // messages since then
}

// notRecovered matches an ack after which messages of lossless topics are missing.
var notRecovered = regexp.MustCompile(`"t":"ord[^}]*"recovered":false`)

func (r *reception) take(data string) error {
	var u update
	if err := json.Unmarshal([]byte(data), &u); err != nil {
		return err
	}
	switch {
	case u.Op == "ack" && notRecovered.MatchString(data):
		return fmt.Errorf("not recovered: %s", data)
	case u.Op == "gap" || u.Op == "close" || u.Op == "err":
		return fmt.Errorf("%s", data)
	case u.Op != "" || u.Kind != "" || !strings.HasPrefix(u.Topic, "ord."):
		return nil
	}
	var i int
	if err := json.Unmarshal(u.Data, &i); err != nil {
		return err
	}
	if want := r.next + r.claimed; i != want {
		return fmt.Errorf("message %d, want %d", i, want)
	}
	r.claimed++
	return nil
}

// confirm notes a cursor: what came before it need not come again.
func (r *reception) confirm() { r.next, r.claimed = r.next+r.claimed, 0 }

// Clients that are cut at any byte and come back with their last event ID miss nothing on lossless topics, and nothing comes
// twice: the cursor is the place behind the write that it ends, also under load and after a backlog.
func TestEventsSurviveCuts(t *testing.T) {
	const n = 5_000
	for _, row := range []struct {
		name, query, version string
		mailbox              int // with a few messages, most come from the history
	}{
		{"lossless", "topics=ord.0,ord.1,ord.2", "1.1", 1 << 20},
		{"a lossless pattern", "topics=ord.*", "1.1", 16},
		{"both modes", "topics=ord.0,ord.1,ord.2,px.*", "1.1", 1 << 20},
		{"both modes, a small mailbox", "topics=ord.0,ord.1,ord.2,px.*", "1.1", 16},
		{"everything, HTTP/1.0", "topics=%3E,ord.%3E", "1.0", 1 << 20},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			class := lossless
			class.History = n
			s := start(t, classes(class), func(c *Config, h *broadcast.Config) {
				h.QueueBytes = 1 << 20
				h.MailboxMessages = row.mailbox
			})
			s.t = t
			keep := s.open("topics=ord.*,px.*") // keeps the interest
			go func() {
				for _, err := keep.next(); err == nil; _, err = keep.next() {
				}
			}()
			request := "GET /stream?" + row.query + " HTTP/" + row.version + "\r\nHost: test\r\nAccept: text/event-stream\r\n"
			var clients sync.WaitGroup
			ready := make(chan struct{}, 4)
			for k := range 4 {
				clients.Go(func() {
					random := rand.New(rand.NewPCG(uint64(k), 1))
					r, id := reception{}, ""
					for cuts := 0; r.next < n; cuts++ {
						e, err := s.tryEvents(request + "Last-Event-ID: " + id + "\r\n\r\n")
						if err != nil {
							t.Error(err)
							return
						}
						e.id = id
						for left := 10 + random.IntN(500); (left > 0 || cuts > 20) && r.next < n; left-- {
							data, err := e.block()
							if err == nil && data != "" {
								err = r.take(data)
							}
							if err != nil {
								t.Errorf("client %d after %d cuts, id %s: %v", k, cuts, e.id, err)
								return
							}
							if e.id != id {
								if r.confirm(); id == "" {
									ready <- struct{}{}
								}
								id = e.id
							}
							if left%97 == 0 {
								time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond) // falls behind
							}
						}
						r.claimed = 0 // what stands behind the last cursor comes again
						e.Close()
					}
				})
			}
			for range 4 {
				<-ready
			}
			<-s.market(n)
			clients.Wait()
		})
	}
}
