package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"tickcast/broadcast/natstest"
	goclient "tickcast/client"
)

// readEvents reads a stream of events until done, and returns what it was sent: the data of messages of a topic, the acks, and the
// last event ID.
func readEvents(t *testing.T, page, query, lastID, topic string, done func(data []string, id string) bool) (data, acks []string, id string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", page+"stream?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); !done(data, id); {
		if !lines.Scan() {
			t.Fatalf("the stream ended: %v after %s", lines.Err(), data)
		}
		if value, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			id = value
		}
		value, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var m serverMessage
		if err := json.Unmarshal([]byte(value), &m); err != nil {
			t.Fatal(value, err)
		}
		if m.Op == "ack" {
			acks = append(acks, value)
		}
		if m.Topic == topic && m.Op == "" && !strings.Contains(value, `"k":"snap"`) {
			data = append(data, string(m.Data))
		}
	}
	return data, acks, id
}

// followOrders subscribes to js.a and, on core NATS, to ord.x by the Go client until the test ends. list returns the messages of js.a, and
// the topics whose loss was told.
func followOrders(t *testing.T, address string) (c *goclient.Client, list func() (data, lost []string)) {
	t.Helper()
	var mu sync.Mutex
	var data, lost []string
	c, err := goclient.New(address, goclient.Options{OnLost: func(l goclient.Lost) {
		mu.Lock()
		defer mu.Unlock()
		lost = append(lost, l.Topic)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Subscribe(func(m goclient.Message) {
		mu.Lock()
		defer mu.Unlock()
		if m.Topic == "js.a" && !m.Snapshot {
			data = append(data, string(m.Data))
		}
	}, goclient.SubscribeOptions{}, "js.a", "ord.x"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return c, func() ([]string, []string) {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(data), slices.Clone(lost)
	}
}

// Behind JetStream clients of WebSockets, events and polls resume over a restart of the server without loss or doubles, also with a
// topic of core NATS beside, whose epoch is another one and whose loss is told.
func TestResumeOverARestart(t *testing.T) {
	t.Parallel()
	config := fmt.Sprintf("[nats]\njetstream = true\n[nats.embedded]\nlisten = \"127.0.0.1:0\"\nstore_dir = %q\n"+
		"[[topic]]\nmatch = \"js.>\"\nmode = \"all\"\nsnapshot = \"jetstream\"\nhistory = 1000\n[[topic]]\nmatch = \"ord.>\"\nmode = \"all\"\nhistory = 10\n", t.TempDir())
	address := fmt.Sprintf("127.0.0.1:%d", natstest.FreePorts(t, 1)[0])
	s := startServer(t, config, "-listen", address)
	s.ready()
	js, err := connect(t, s.nats).JetStream(nats.MaxWait(patience))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.AddStream(&nats.StreamConfig{Name: "S", Subjects: []string{"js.>"}}); err != nil {
		t.Fatal(err)
	}
	next := 0 // the number of the next message
	publish := func(n int) (seq uint64) {
		t.Helper()
		for range n {
			for _, topic := range []string{"js.other", "js.a"} {
				ack, err := js.Publish(topic, fmt.Append(nil, next))
				if err != nil {
					t.Fatal(err)
				}
				seq = ack.Sequence
			}
			next++
		}
		return seq
	}
	publish(1)
	follower, followed := followOrders(t, "ws://"+address+"/stream")
	eventually(t, "the Go client is subscribed", func() bool {
		return follower.State("js.a") == goclient.TopicLive && follower.State("ord.x") == goclient.TopicLive
	})
	followedNext := next
	poll := func(query string) (*http.Response, string) {
		t.Helper()
		resp, err := http.Get(s.page + "stream?" + query)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s %s %v", resp.Status, body, err)
		}
		return resp, string(body)
	}
	type place struct {
		id   string
		next int // the number of the first message behind it
	}
	places := make(map[string]place)
	for _, query := range []string{"topics=js.a", "topics=js.a,ord.x", "topics=js.*"} {
		var seq uint64
		data, _, id := readEvents(t, s.page, query, "", "js.a", func(data []string, id string) bool {
			if id != "" && seq == 0 {
				seq = publish(2)
			}
			return len(data) == 2 && strings.HasSuffix(id, fmt.Sprint(":", seq))
		})
		if data[1] != fmt.Sprint(next-1) {
			t.Fatalf("%s: %s", query, data)
		}
		places[query] = place{id, next}
	}
	polled, _ := poll("topics=js.a,ord.x")
	polledNext := next
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	s = startServer(t, config, "-listen", address)
	s.ready()
	if js, err = connect(t, s.nats).JetStream(nats.MaxWait(patience)); err != nil {
		t.Fatal(err)
	}
	publish(10)
	expected := func(from int) (list []string) {
		for ; from < next; from++ {
			list = append(list, fmt.Sprint(from))
		}
		return list
	}
	for query, p := range places {
		want := expected(p.next)
		data, acks, _ := readEvents(t, s.page, query, p.id, "js.a", func(data []string, _ string) bool { return len(data) >= len(want) })
		if !slices.Equal(data, want) || strings.Contains(query, "ord.x") != strings.Contains(acks[0], `"recovered":false`) || !strings.Contains(acks[0], `"recovered":true`) {
			t.Errorf("%s from %s: %s %s, want %s", query, p.id, data, acks, want)
		}
	}
	_, body := poll("topics=js.a,ord.x&after=" + polled.Header.Get("Tickcast-Cursor"))
	var got []string
	for _, m := range regexp.MustCompile(`"t":"js.a","s":\d+,"p":\d+,"d":(\d+)`).FindAllStringSubmatch(body, -1) {
		got = append(got, m[1])
	}
	if !slices.Equal(got, expected(polledNext)) || !strings.Contains(body, `"recovered":true}`) || !strings.Contains(body, `"recovered":false}`) {
		t.Errorf("%s, want %s", body, expected(polledNext))
	}
	eventually(t, "the Go client has the last message", func() bool {
		data, lost := followed()
		return len(data) > 0 && data[len(data)-1] == fmt.Sprint(next-1) && len(lost) > 0
	})
	if data, lost := followed(); !slices.Equal(data, expected(followedNext)) || !slices.Equal(lost, []string{"ord.x"}) {
		t.Errorf("the Go client has %s, lost %s, want %s", data, lost, expected(followedNext))
	}
}
