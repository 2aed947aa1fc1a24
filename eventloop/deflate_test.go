package eventloop

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/coder/websocket"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

// compressing switches compression on the stream on, with this policy.
func compressing(policy wsproto.DeflatePolicy) setting {
	return func(c *Config, h *broadcast.Config) {
		c.Compression = Compression{Enabled: true, Policy: policy, MinSize: 256}
		h.Deflater, h.MinCompress = wsproto.NewDeflater(1), 256
	}
}

// quote returns JSON of about n bytes, different for each seed, with words that all have in common.
func quote(seed, n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `{"bid":%d,"ask":%d,"size":%d},`, (seed+i)*7919%1000, (seed+i)*104729%1000, seed*i%100)
	}
	return `[` + strings.TrimSuffix(b.String(), ",") + `]`
}

// openWith upgrades with this offer of extensions, and from then on reads messages by the agreement.
func (c *client) openWith(path, offer string, agreed wsproto.Deflate) *client {
	c.t.Helper()
	c.send(requestFor(path, offer))
	r, body := c.response("GET")
	if r.StatusCode != 101 || !strings.HasPrefix(r.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate") {
		c.t.Fatalf("no compression: %s %q %v", r.Status, body, r.Header)
	}
	c.frames = &wsproto.Config{Client: true, MaxMessage: 1 << 20, Deflate: agreed, Inflater: new(wsproto.Inflater)}
	c.expect(`{"op":"hello"`)
	return c
}

var (
	noTakeover = wsproto.Deflate{ServerWindowBits: 15, ClientWindowBits: 15}
	takeover   = wsproto.Deflate{ServerWindowBits: 15, ClientWindowBits: 15, ServerTakeover: true, ClientTakeover: true}
)

func TestCompressionIsAgreedOn(t *testing.T) {
	const offer = "permessage-deflate; client_max_window_bits"
	for _, row := range []struct {
		name        string
		setting     setting
		offer, want string
	}{
		{"off", func(*Config, *broadcast.Config) {}, offer, ""},
		{"not offered", compressing(wsproto.DeflatePolicy{}), "", ""},
		{"nothing is kept", compressing(wsproto.DeflatePolicy{}), offer,
			"permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
		{"small windows", compressing(wsproto.DeflatePolicy{ServerWindowBits: 10, ClientWindowBits: 9, ServerTakeover: true, ClientTakeover: true}),
			offer, "permessage-deflate; server_max_window_bits=10; client_max_window_bits=9"},
		{"everything", compressing(echoPolicy), offer, "permessage-deflate"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := start(t, row.setting).dial()
			c.send(requestFor("/stream", row.offer))
			if got := c.upgraded().Header.Get("Sec-WebSocket-Extensions"); got != row.want {
				t.Errorf("answered %q, want %q", got, row.want)
			}
		})
	}
}

// Without agreement a compressed message is a reserved bit that is set, RFC 6455 section 5.2.
func TestCompressedWithoutAgreement(t *testing.T) {
	s := start(t, echoing("/echo"))
	frame := string(wsproto.NewDeflater(1).AppendMaskedFrame(nil, wsproto.OpText, clientMask, []byte(strings.Repeat("x", 500)), 15, nil))
	for _, c := range []*client{s.open(""), s.dial().openEcho()} {
		c.send(frame)
		c.expectClose(wsproto.StatusProtocolError)
	}
}

// A message is compressed once for all clients with the same window. A message to one client alone is not compressed.
func TestOneCompressionForAll(t *testing.T) {
	const subscribers = 100
	one := func(c *Config, _ *broadcast.Config) { c.Loops = 1 } // two loops may compress the same at once
	s := start(t, compressing(wsproto.DeflatePolicy{}), one)
	var all []*client
	for n := range subscribers {
		offer := "permessage-deflate"
		if n%2 == 1 {
			offer += "; server_max_window_bits=9"
		}
		c := s.dial().openWith("/stream?topics=a", offer, noTakeover)
		c.expect(`{"op":"ack"`)
		all = append(all, c)
	}
	plain := s.open("topics=a")
	plain.expect(`{"op":"ack"`)
	for round, row := range []struct {
		payload      string
		compressed   bool
		compressions uint64
	}{
		{`"short"`, false, 0},
		{quote(1, 400), true, 1}, // fits into both windows
		{quote(2, 4000), true, 3},
	} {
		s.hub.Publish("a", []byte(row.payload))
		want := fmt.Sprintf(`{"t":"a","s":%d,"d":%s}`, round+1, row.payload)
		for _, c := range all {
			if c.expect(want); c.compressed != row.compressed {
				t.Fatalf("round %d: compressed: %v", round, c.compressed)
			}
		}
		if plain.expect(want); plain.compressed {
			t.Error("compressed for a client that did not ask for it")
		}
		if n := s.hub.Stats().SharedCompressed; n != row.compressions {
			t.Errorf("round %d: %d compressions so far, want %d", round, n, row.compressions)
		}
	}
	if st := s.stats(); st.OwnCompressed != 0 || st.WindowBytes != 0 {
		t.Errorf("%+v", st)
	}
}

// With context takeover each client has frames of its own, which refer to earlier ones.
func TestServerContextTakeover(t *testing.T) {
	s := start(t, compressing(wsproto.DeflatePolicy{ServerTakeover: true}))
	c := s.dial().openWith("/stream?topics=a", "permessage-deflate; server_max_window_bits=12", takeover)
	c.expect(`{"op":"ack"`)
	late := s.dial().openWith("/stream", "permessage-deflate", takeover)
	payload := quote(1, 2000)
	var sent []uint64
	for seq := 1; seq <= 3; seq++ {
		before := s.stats().BytesSent
		s.hub.Publish("a", []byte(payload))
		c.expect(fmt.Sprintf(`{"t":"a","s":%d,"d":%s}`, seq, payload))
		sent = append(sent, s.stats().BytesSent-before)
	}
	if sent[1] > sent[0]/4 || sent[2] > sent[0]/4 {
		t.Errorf("the same payload again takes %d bytes", sent)
	}
	late.command(`{"op":"sub","id":1,"topics":["a"]}`)
	late.expect(`{"op":"ack"`)
	if text := late.expect(`{"t":"a","s":3,"k":"snap"`); !late.compressed || !strings.Contains(text, payload) {
		t.Errorf("compressed: %v, got %s", late.compressed, text)
	}
	late.send(masked(wsproto.OpPing, "x"))
	late.frame(wsproto.OpPong)
	st := s.stats()
	if st.OwnCompressed != 4 || s.hub.Stats().SharedCompressed != 0 {
		t.Errorf("%d frames are compressed for one client, %d for all", st.OwnCompressed, s.hub.Stats().SharedCompressed)
	}
	if st.WindowBytes < 4<<10 || st.WindowBytes > 4<<10+32<<10 {
		t.Errorf("%d bytes are kept", st.WindowBytes)
	}
	c.Close() // one vanishes, the other closes
	late.send(closeFrame(1000, ""))
	late.expectClose(1000)
	eventually(t, "nothing is kept any more", func() bool { return s.stats().WindowBytes == 0 })
}

// Frames to a client with context takeover stay in order and readable when its socket is full now and then.
func TestServerContextTakeoverOfASlowReader(t *testing.T) {
	s := start(t, compressing(wsproto.DeflatePolicy{ServerTakeover: true}), func(c *Config, _ *broadcast.Config) { c.Loops = 1 })
	c := s.slow().openWith("/stream?topics=a,b,c", "permessage-deflate", takeover)
	c.expect(`{"op":"ack"`)
	messages := uint64(0)
	publish := func() {
		for _, topic := range []string{"a", "b", "c"} {
			s.hub.Publish(topic, []byte(quote(int(messages), 600)))
		}
		if messages%50 == 0 {
			c.command(`{"op":"list"}`) // an answer in between
		}
		messages++
	}
	eventually(t, "the socket is full", func() bool { publish(); return s.hub.Stats().Conflated > 0 })
	for range 50 {
		publish()
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	for newest := map[string]uint64{}; newest["a"] < messages || newest["b"] < messages || newest["c"] < messages; {
		u := c.update()
		if u.Op != "" {
			continue
		}
		if u.Seq <= newest[u.Topic] {
			t.Fatalf("message %d of %s after %d", u.Seq, u.Topic, newest[u.Topic])
		}
		newest[u.Topic] = u.Seq
	}
}

// Commands may be compressed, with or without references to earlier ones.
func TestCompressedCommands(t *testing.T) {
	s := start(t, compressing(wsproto.DeflatePolicy{ClientTakeover: true}), func(c *Config, _ *broadcast.Config) { c.Loops = 1 })
	d := wsproto.NewDeflater(9)
	command := `{"op":"ping","id":"` + strings.Repeat("x", 60) + `"}`
	for _, row := range []struct {
		name, offer string
		w           *wsproto.Window
	}{
		{"each on its own", "permessage-deflate; client_no_context_takeover", nil},
		{"context takeover", "permessage-deflate", new(wsproto.Window)},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := s.dial().openWith("/stream", row.offer, noTakeover)
			for range 3 {
				frame := d.AppendMaskedFrame(nil, wsproto.OpText, clientMask, []byte(command), 15, row.w)
				if frame[0]&wsproto.RSV1Bit == 0 {
					t.Fatal("the command is not compressed")
				}
				c.dripped(string(frame))
				c.expect(`{"op":"ack","id":"xxx`)
			}
			if n := s.stats().WindowBytes; (n > 0) != (row.w != nil) {
				t.Errorf("%d bytes are kept", n)
			}
			c.send(closeFrame(1000, ""))
			c.expectClose(1000)
			eventually(t, "nothing is kept any more", func() bool { return s.stats().WindowBytes == 0 })
		})
	}
}

// compressedPayload returns the payload of a compressed frame with text.
func compressedPayload(t *testing.T, text string) string {
	t.Helper()
	frame := wsproto.NewDeflater(9).AppendFrame(nil, wsproto.OpText, []byte(text), 15, nil)
	h, n, err := wsproto.ParseHeader(frame)
	if err != nil || h.RSV == 0 {
		t.Fatalf("not compressed: %+v, %v", h, err)
	}
	return string(frame[n:])
}

// compressedFragment returns the first fragment of a compressed text.
func compressedFragment(fin bool, payload string) string {
	b := []byte(fragment(fin, wsproto.OpText, payload))
	b[0] |= wsproto.RSV1Bit
	return string(b)
}

func TestFragmentedCompressedCommand(t *testing.T) {
	s := start(t, compressing(wsproto.DeflatePolicy{}))
	c := s.dial().openWith("/stream", "permessage-deflate", noTakeover)
	p := compressedPayload(t, `{"op":"ping","id":"`+strings.Repeat("x", 60)+`"}`)
	c.send(compressedFragment(false, p[:3]) + masked(wsproto.OpPing, "between") + fragment(false, wsproto.OpContinuation, ""))
	c.frame(wsproto.OpPong)
	c.dripped(fragment(false, wsproto.OpContinuation, p[3:9]) + fragment(true, wsproto.OpContinuation, p[9:]))
	c.expect(`{"op":"ack","id":"xxx`)
}

// The loop stops to inflate some KB that would become 10 MB at the first byte beyond the limit.
func TestCompressedBomb(t *testing.T) {
	s := start(t, echoing("/echo"), compressing(wsproto.DeflatePolicy{}))
	bomb := compressedPayload(t, strings.Repeat("0", 10<<20))
	for path, greeting := range map[string]string{"/stream": `{"op":"hello"`, "/echo": ""} {
		c := s.dial()
		c.send(requestFor(path, "permessage-deflate"))
		if r, _ := c.response("GET"); r.StatusCode != 101 {
			t.Fatal(r.Status)
		}
		if greeting != "" {
			c.expect(greeting)
		}
		for left := bomb; left != ""; {
			part := left[:min(len(left), 8<<10)]
			left = left[len(part):]
			if op := wsproto.OpContinuation; len(part)+len(left) < len(bomb) {
				c.send(fragment(left == "", op, part))
			} else {
				c.send(compressedFragment(left == "", part))
			}
		}
		c.expectClose(wsproto.StatusMessageTooBig)
		c.ended()
	}
	if n := s.stats().WindowBytes; n != 0 {
		t.Errorf("%d bytes are kept", n)
	}
}

// Another implementation as a client of the stream, with context takeover on both sides and without.
func TestStreamToCoderWebsocket(t *testing.T) {
	for _, policy := range []wsproto.DeflatePolicy{{}, {ServerTakeover: true}, {ClientTakeover: true}, echoPolicy, {ServerWindowBits: 9, ServerTakeover: true}} {
		for _, mode := range []websocket.CompressionMode{websocket.CompressionContextTakeover, websocket.CompressionNoContextTakeover} {
			t.Run(fmt.Sprintf("%+v, mode %d", policy, mode), func(t *testing.T) {
				s := start(t, compressing(policy))
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				c, _, err := websocket.Dial(ctx, s.url("/stream?topics=a"), &websocket.DialOptions{
					HTTPClient:   webClient,
					Subprotocols: []string{"tickcast.v1.json"}, CompressionMode: mode, CompressionThreshold: 1,
				})
				if err != nil {
					t.Fatal(err)
				}
				defer c.CloseNow()
				c.SetReadLimit(1 << 20)
				expect := func(prefix string) {
					t.Helper()
					if _, b, err := c.Read(ctx); err != nil || !strings.HasPrefix(string(b), prefix) {
						t.Fatalf("want %s..., got %q, %v", prefix, b, err)
					}
				}
				expect(`{"op":"hello"`)
				expect(`{"op":"ack"`)
				for seq := range 20 {
					payload := quote(seq, 100*seq)
					s.hub.Publish("a", []byte(payload))
					expect(fmt.Sprintf(`{"t":"a","s":%d,"d":%s}`, seq+1, payload))
					if err := c.Write(ctx, websocket.MessageText, []byte(`{"op":"list","id":1}`)); err != nil {
						t.Fatal(err)
					}
					expect(`{"op":"ack","id":1,"topics":[{"t":"a"`)
				}
				if n := s.hub.Stats().SharedCompressed + s.stats().OwnCompressed; n < 15 {
					t.Errorf("%d messages were compressed", n)
				}
				if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A panic may leave the loop's Inflater in the middle of a message: the next one gets a new one.
func TestPanicReplacesTheInflater(t *testing.T) {
	s := start(t, compressing(wsproto.DeflatePolicy{}), func(c *Config, _ *broadcast.Config) { c.Loops = 1 })
	frame := compressedFragment(true, compressedPayload(t, `{"op":"ping","id":"`+strings.Repeat("x", 60)+`"}`))
	other := s.dial().openWith("/stream", "permessage-deflate", noTakeover)
	faulted := s.dial().openWith("/stream", "permessage-deflate", noTakeover)
	faulted.send(frame)
	faulted.expect(`{"op":"ack"`)
	fresh := func() (zero bool) {
		s.onLoops(func(l *loop) { zero = reflect.ValueOf(&l.inflater).Elem().IsZero() })
		return zero
	}
	if fresh() {
		t.Fatal("the Inflater was not used")
	}
	s.onConns(func(_ *loop, c *conn) {
		if c.slot == 1 {
			c.flags |= flagBehind // so that the answer to a command asks gnet
			c.gc = faulty{c.gc, c}
		}
	})
	faulted.send(frame)
	faulted.ended()
	if !fresh() {
		t.Error("the Inflater is the same")
	}
	other.send(frame)
	other.expect(`{"op":"ack"`)
}

// The scratch space for frames of one client is used again, unless a large frame has made it large.
func TestRoomForOwnFrames(t *testing.T) {
	l, _, _ := bareLoop(t, 1, compressing(wsproto.DeflatePolicy{ServerTakeover: true}))
	l.agreeDeflate(l.conns.At(0), wsproto.Deflate{ServerWindowBits: 15, ServerTakeover: true})
	write := func(size int) *byte {
		t.Helper()
		before := l.compressed
		l.Write(0, wsproto.AppendFrame(nil, wsproto.OpText, []byte(quote(int(before), size))), 1)
		if l.compressed != before+1 {
			t.Fatal("the frame is not compressed")
		}
		return unsafe.SliceData(l.packed)
	}
	room := write(4000)
	for range 10 {
		if write(1000) != room {
			t.Fatal("room is made for each frame")
		}
	}
	if write(1 << 20); cap(l.packed) > 64<<10 {
		t.Errorf("%d bytes are kept", cap(l.packed))
	}
}
