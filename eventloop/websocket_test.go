package eventloop

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"tickcast/broadcast"
	"tickcast/broadcast/upstream"
	"tickcast/wsproto"
)

func TestOpeningHandshake(t *testing.T) {
	s := start(t)
	for _, row := range []struct{ name, offered, chosen string }{
		{"no subprotocol", "", ""},
		{"the known one", "tickcast.v1.json", "tickcast.v1.json"},
		{"the first known one", "other, tickcast.v1.json", "tickcast.v1.json"},
		{"none is known", "other, TICKCAST.V1.JSON", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := s.dial()
			c.t = t
			req := request("")
			if row.offered != "" {
				req = strings.TrimSuffix(req, "\r\n") + "Sec-WebSocket-Protocol: " + row.offered + "\r\n\r\n"
			}
			c.send(req)
			r := c.upgraded()
			if got := r.Header.Get("Sec-WebSocket-Accept"); got != testAccept {
				t.Errorf("accept %q", got)
			}
			if got := r.Header.Get("Sec-WebSocket-Protocol"); got != row.chosen {
				t.Errorf("subprotocol %q, want %q", got, row.chosen)
			}
			for name, want := range map[string]string{"Upgrade": "websocket", "Connection": "Upgrade"} {
				if got := r.Header.Get(name); got != want {
					t.Errorf("%s: %s", name, got)
				}
			}
		})
	}
}

// Another implementation of the protocol, from the opening to the closing handshake.
func TestCoderWebsocketAsClient(t *testing.T) {
	s := start(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, s.url("/stream"), &websocket.DialOptions{
		HTTPClient:      webClient,
		Subprotocols:    []string{"tickcast.v1.json"},
		CompressionMode: websocket.CompressionContextTakeover, // which the server must decline
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if c.Subprotocol() != "tickcast.v1.json" {
		t.Errorf("subprotocol %q", c.Subprotocol())
	}
	expect := func(prefix string) {
		t.Helper()
		kind, b, err := c.Read(ctx)
		if err != nil || kind != websocket.MessageText || !strings.HasPrefix(string(b), prefix) {
			t.Fatalf("want %s..., got %v %q %v", prefix, kind, b, err)
		}
	}
	expect(`{"op":"hello","v":1,"node":"test"`)
	if err := c.Write(ctx, websocket.MessageText, []byte(`{"op":"sub","id":1,"topics":["a"]}`)); err != nil {
		t.Fatal(err)
	}
	expect(`{"op":"ack","id":1,"topics":[{"t":"a"`)
	s.hub.Publish("a", []byte(`{"bid":1.5}`))
	expect(`{"t":"a","s":1,"d":{"bid":1.5}}`)
	pinged := make(chan error, 1)
	go func() { pinged <- c.Ping(ctx) }()
	reading := c.CloseRead(ctx) // reads the pong
	if err := <-pinged; err != nil {
		t.Error(err)
	}
	if err := c.Close(websocket.StatusNormalClosure, "done"); err != nil {
		t.Errorf("closing handshake: %v", err)
	}
	<-reading.Done()
	s.closedWith(1000)
}

func TestCommands(t *testing.T) {
	s := start(t, func(_ *Config, h *broadcast.Config) { h.Subscribe = []string{"px.>"} })
	c := s.open("")
	for _, row := range []struct{ name, sent, want string }{
		{"sub", `{"op":"sub","id":"x","topics":["px.A","adm.x"]}`, `{"op":"ack","id":"x","topics":[{"t":"px.A","mode":"last","cursor":"`},
		{"list", `{"op":"list","id":2}`, `{"op":"ack","id":2,"topics":[{"t":"px.A"`},
		{"ping", `{"op":"ping","id":3}`, `{"op":"ack","id":3,"ts":`},
		{"unsub", `{"op":"unsub","id":4,"topics":["px.A"]}`, `{"op":"ack","id":4,"topics":[{"t":"px.A"}]}`},
		{"unknown op", `{"op":"subb","id":5}`, `{"op":"err","id":5,"code":104`},
		{"not JSON", `hello`, `{"op":"err","code":107`},
		{"nothing", ``, `{"op":"err","code":107`},
		{"pub without a right", `{"op":"pub","id":6,"topic":"px.A","data":1}`, `{"op":"err","id":6,"code":103`},
	} {
		c.command(row.sent)
		if text := string(c.frame(wsproto.OpText).Payload); !strings.HasPrefix(text, row.want) {
			t.Errorf("%s: got %s, want %s...", row.name, text, row.want)
		}
	}
	if n := s.stats().MessagesReceived; n != 8 {
		t.Errorf("%d messages are counted", n)
	}
}

func TestFragmentedCommand(t *testing.T) {
	s := start(t)
	c := s.open("")
	c.send(fragment(false, wsproto.OpText, `{"op":"ping",`) + masked(wsproto.OpPing, "between") + fragment(false, wsproto.OpContinuation, `"id":`))
	if m := c.frame(wsproto.OpPong); string(m.Payload) != "between" {
		t.Errorf("pong %q", m.Payload)
	}
	c.send(fragment(false, wsproto.OpContinuation, ``))
	c.dripped(fragment(false, wsproto.OpContinuation, `1`) + fragment(true, wsproto.OpContinuation, `2}`))
	c.expect(`{"op":"ack","id":12`)
	s.onConns(func(_ *loop, c *conn) {
		if !c.decoder.Idle() {
			t.Error("a buffer is left")
		}
	})
}

func TestPingIsAnswered(t *testing.T) {
	s := start(t)
	c := s.open("")
	for _, payload := range []string{"", "x", strings.Repeat("p", 125)} {
		c.send(masked(wsproto.OpPing, payload))
		if m := c.frame(wsproto.OpPong); string(m.Payload) != payload {
			t.Errorf("pong %q for %q", m.Payload, payload)
		}
	}
	c.send(masked(wsproto.OpPong, "nobody asked")) // a heartbeat one way, RFC 6455 section 5.5.3
	c.command(`{"op":"ping","id":1}`)
	c.expect(`{"op":"ack","id":1`)
}

func TestTopicsInTheAddress(t *testing.T) {
	s := start(t)
	first := s.open("topics=px.A")
	first.expect(`{"op":"ack","topics":[{"t":"px.A"`)
	s.hub.Publish("px.A", []byte("1"))
	cursor := first.update()
	s.hub.Publish("px.A", []byte("2"))
	first.update()

	c := s.open("topics=px.A,px.B&topics=px.C")
	ack := c.expect(`{"op":"ack","topics":[{"t":"px.A"`)
	for _, topic := range []string{"px.B", "px.C"} {
		if !strings.Contains(ack, `{"t":"`+topic+`"`) {
			t.Errorf("no %s in %s", topic, ack)
		}
	}
	if u := c.update(); u.Topic != "px.A" || u.Kind != "snap" || string(u.Data) != "2" || u.Seq <= cursor.Seq {
		t.Errorf("snapshot %+v", u)
	}
	s.hub.Publish("px.C", []byte("3"))
	if u := c.update(); u.Topic != "px.C" || string(u.Data) != "3" {
		t.Errorf("%+v", u)
	}

	at := func(cursor string) string {
		_, ack, _ := strings.Cut(ack, `"cursor":"`)
		now, _, _ := strings.Cut(ack, `"`)
		return strings.ReplaceAll(cursor, "NOW", now)
	}
	for _, row := range []struct{ name, query, want string }{
		{"up to date", at("topics=px.A&after=NOW"), `"recovered":true}]}`},
		{"of another epoch", "topics=px.A&after=xxxx:1", `"recovered":false}]}`},
		{"malformed", "topics=px.A&after=1", `"code":107`},
		{"unknown tier", "topics=px.A&rate=1s", `"code":121`},
		{"empty topic", "topics=", `"code":107`},
		{"escaped", "topics=px%2EA%2Cpx.*", `{"t":"px.*"`},
	} {
		c := s.open(row.query)
		if text := string(c.frame(wsproto.OpText).Payload); !strings.Contains(text, row.want) {
			t.Errorf("%s: got %s, want ...%s...", row.name, text, row.want)
		}
	}
}

// The loss of upstream is reported to present and to new clients.
func TestStaleIsTold(t *testing.T) {
	s := start(t)
	c := s.open("topics=a")
	c.expect(`{"op":"ack"`)
	upstream, err := upstream.Connect(s.hub.Hub, upstream.Config{URLs: []string{"nats://127.0.0.1:1"}, ReconnectWait: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- upstream.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	c.expect(`{"op":"stale","topics":[">"]`)
	s.open("").expect(`{"op":"stale","topics":[">"]`)
}
