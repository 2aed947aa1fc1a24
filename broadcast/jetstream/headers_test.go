package jetstream

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast/natstest"
)

// storeWith stores a message with one header.
func storeWith(t *testing.T, js jetstream.JetStream, subject, data, key, value string) {
	t.Helper()
	if key == "" {
		storeWithBadHeaders(t, js, subject, data)
		return
	}
	m := &nats.Msg{Subject: subject, Data: []byte(data), Header: nats.Header{key: []string{value}}}
	if _, err := js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// storeWithBadHeaders stores a message whose headers nats.go cannot read. The server does not look at them.
func storeWithBadHeaders(t *testing.T, js jetstream.JetStream, subject, data string) {
	t.Helper()
	before, err := js.AccountInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.Dial("tcp", js.Conn().ConnectedAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	const headers = "NATS/1.0\r\nno colon\r\n\r\n"
	if _, err := fmt.Fprintf(socket, "CONNECT {\"headers\":true,\"verbose\":false}\r\nHPUB %s %d %d\r\n%s%s\r\nPING\r\n",
		subject, len(headers), len(headers)+len(data), headers, data); err != nil {
		t.Fatal(err)
	}
	for in := bufio.NewScanner(socket); in.Scan() && in.Text() != "PONG"; {
	}
	for info := before; info.Store == before.Store; { // until it is stored
		if info, err = js.AccountInfo(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Publishers set the headers of their messages. nats.go takes an empty message with a header Status for one of the server's, and
// drops it.
func TestFollowPassesMessagesThatLookLikeControlMessages(t *testing.T) {
	for _, status := range []string{"100", "404", "x"} {
		t.Run(status, func(t *testing.T) {
			nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}})
			r, _ := follow(t, mustOpen(t, nc, "ord.>"), "ord.>", Start{})
			natstest.Store(t, js, "ord.a 1")
			storeWith(t, js, "ord.b", "", "Status", status)
			natstest.Store(t, js, "ord.a 3")
			r.await(t, "the message behind it", func() bool { return len(r.msgs) >= 3 })
			if want := []string{"ord.a 1 1", "ord.b 2 ", "ord.a 3 3"}; !slices.Equal(texts(r.msgs), want) || len(r.gaps) > 0 {
				t.Errorf("got %q, gaps %v", texts(r.msgs), r.gaps)
			}
		})
	}
}

// The server puts its headers behind those of the publisher, which may have the same names, above all in republished messages.
func TestDirectGetOfMessagesWithHeadersOfTheServer(t *testing.T) {
	for _, h := range [][2]string{
		{jetstream.SequenceHeader, "99"}, {jetstream.SubjectHeader, "ord.x"}, {jetstream.TimeStampHeaer, "x"}, {"Status", "204"},
		{"Status", "503"}, {"Nats-Num-Pending", "7"}, {"", ""},
	} {
		t.Run(h[0]+" "+h[1], func(t *testing.T) {
			nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}, AllowDirect: true})
			nc.SetErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}) // else nats.go prints
			natstest.Store(t, js, "ord.a 1")
			storeWith(t, js, "ord.b", "", h[0], h[1])
			natstest.Store(t, js, "ord.c 3")
			s := mustOpen(t, nc, "ord.>")
			for _, pattern := range []string{"ord.b", "ord.*"} {
				want := []string{"ord.a 1 1", "ord.b 2 ", "ord.c 3 3"}
				if pattern == "ord.b" {
					want = want[1:2]
				}
				if msgs, _, _, err := s.Last(t.Context(), pattern, 10); err != nil || !slices.Equal(texts(msgs), want) {
					t.Errorf("Last(%s) = %q, %v", pattern, texts(msgs), err)
				}
				if msgs, whole, err := s.Since(t.Context(), pattern, 0, 0, 10); err != nil || !whole || !slices.Equal(texts(msgs), want) {
					t.Errorf("Since(%s) = %q, %v, %v", pattern, texts(msgs), whole, err)
				}
			}
		})
	}
}
