package eventloop

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/broadcast/topics"
)

// A reply is the answer to a poll.
type reply struct {
	status   int
	cursor   string
	messages []json.RawMessage
	text     string
	head     http.Header
}

// reply reads an answer.
func (c *client) reply() reply {
	c.t.Helper()
	r, body := c.response("GET")
	a := reply{status: r.StatusCode, cursor: r.Header.Get("Tickcast-Cursor"), text: body, head: r.Header}
	if r.StatusCode != 204 && r.Header.Get("Content-Type") == "application/json" {
		if err := json.Unmarshal([]byte(body), &a.messages); err != nil {
			c.t.Fatalf("%s: %v", body, err)
		}
	}
	return a
}

// poll sends a poll and reads its answer.
func (c *client) poll(query string, lines ...string) reply {
	c.t.Helper()
	c.send(get("/stream?"+query, lines...))
	return c.reply()
}

// wantReply checks a status and the messages by their beginnings.
func (c *client) wantReply(a reply, status int, prefixes ...string) {
	c.t.Helper()
	ok := a.status == status && len(a.messages) == len(prefixes)
	for i := 0; ok && i < len(prefixes); i++ {
		ok = strings.HasPrefix(string(a.messages[i]), prefixes[i])
	}
	if !ok {
		c.t.Fatalf("got %d %s, want %d %q", a.status, a.text, status, prefixes)
	}
}

func TestPoll(t *testing.T) {
	s := start(t, classes(lossless))
	c := s.dial()
	epoch := s.hub.Epoch()
	keep := s.open("topics=px.A,ord.A") // keeps the interest
	keep.expect(`{"op":"ack"`)
	s.hub.Publish("px.A", []byte("1"))

	first := c.poll("topics=px.A") // without a cursor, the newest at once
	c.wantReply(first, 200, `{"op":"ack","topics":[{"t":"px.A","mode":"last","cursor":"`+epoch+`:1"}]}`, `{"t":"px.A","s":1,"k":"snap","d":1}`)
	if first.cursor != epoch+":1,~"+epoch+":0" || first.head.Get("Cache-Control") != "no-store" || first.head.Get("X-Accel-Buffering") != "no" {
		t.Errorf("%v", first.head)
	}
	none := c.poll("wait=0s&topics=px.A&after=" + first.cursor)
	c.wantReply(none, 204)
	if none.cursor != first.cursor {
		t.Errorf("%s", none.cursor)
	}
	c.send(get("/stream?topics=px.A,ord.A&after=" + first.cursor)) // waits
	eventually(t, "it waits", func() bool { return s.stats().Polls == 1 })
	s.hub.Publish("ord.A", []byte("2"))
	second := c.reply()
	c.wantReply(second, 200, `{"t":"ord.A","s":2,"p":0,"d":2}`)
	s.hub.Publish("ord.A", []byte("3"))
	s.hub.Publish("px.A", []byte("4"))
	s.hub.Publish("ord.A", []byte("5"))
	third := c.poll("topics=px.A,ord.A&after=" + second.cursor) // came in between
	c.wantReply(third, 200, `{"op":"ack"`, `{"t":"ord.A","s":3,`, `{"t":"px.A","s":4,"k":"snap"`, `{"t":"ord.A","s":5,`)
	if third.cursor != epoch+":5,~"+epoch+":0" {
		t.Error(third.cursor)
	}
	c.wantReply(c.poll("wait=200ms&topics=px.A,ord.A&after="+third.cursor), 204)

	other := c.poll("topics=ord.A&after=elsewhere:7")
	c.wantReply(other, 200, `{"op":"ack","topics":[{"t":"ord.A","mode":"all","cursor":"`+epoch+`:5","recovered":false}]}`, `{"t":"ord.A","s":5,"k":"snap"`)
	if st := s.stats(); st.Polls != 0 || st.Polled["messages"] != 4 || st.Polled["nothing"] != 2 || st.WebSockets != 1 {
		t.Errorf("%+v", st)
	}
	s.onConns(func(_ *loop, c *conn) {
		if c.state == stateRequest && c.extra != nil {
			t.Error("an idle connection holds the state of a poll")
		}
	})
}

// Requests behind a poll wait for it, by HTTP/1.0 with keep-alive as well.
func TestPipelinedPolls(t *testing.T) {
	s := start(t)
	keep := s.open("topics=px.A") // keeps the interest
	keep.expect(`{"op":"ack"`)
	c := s.dial()
	after := "&after=" + c.poll("topics=px.A").cursor
	none := func() { // the answer may come before the count
		t.Helper()
		eventually(t, "none waits", func() bool { return s.stats().Polls == 0 })
	}
	waits := func() {
		t.Helper()
		eventually(t, "it waits", func() bool { return s.stats().Polls == 1 })
		s.onLoops(func(*loop) {}) // it is counted before it has subscribed
	}
	for _, row := range []struct{ version, line, connection string }{
		{"1.1", "Host: test", ""}, {"1.0", "Connection: keep-alive", "keep-alive"},
	} {
		none()
		request := "GET /stream?topics=px.A" + after + " HTTP/" + row.version + "\r\n" + row.line + "\r\n\r\n"
		page := strings.Replace(strings.Replace(request, "/stream?topics=px.A"+after, "/", 1), "\r\n\r\n", "\r\n\r\n", 1)
		c.send(request + page + request[:10])
		waits()
		c.send(request[10:] + page)
		s.hub.Publish("px.A", []byte("1"))
		a := c.reply()
		c.wantReply(a, 200, `{"t":"px.A"`)
		if got := a.head.Get("Connection"); got != row.connection {
			t.Errorf("Connection: %q", got)
		}
		for _, want := range []string{"<!doctype", "[", "<!doctype"} {
			if r, body := c.response("GET"); r.StatusCode != 200 || !strings.HasPrefix(body, want) {
				t.Fatalf("%s %q", r.Status, body)
			}
		}
		after = "&after=" + c.poll("topics=px.A").cursor
	}
	none()
	c.send(get("/stream?topics=px.A"+after, "Connection: close"))
	waits()
	s.hub.Publish("px.A", []byte("1"))
	c.wantReply(c.reply(), 200, `{"t":"px.A"`)
	c.ended()

	c = s.dial() // a client that leaves in the middle
	c.send(get("/stream?topics=px.A" + after + "9"))
	c.Close()
	keep.Close()
	eventually(t, "nothing is left", func() bool { st := s.stats(); return st.Polls == 0 && st.Connections == 0 })
	c = s.dial() // and one that sends too much
	after = "&after=" + s.dial().poll("topics=px.A").cursor
	none()
	c.send(get("/stream?topics=px.A" + after))
	waits()
	_, _ = io.WriteString(c, strings.Repeat("a", 64<<10))
	eventually(t, "it is cut off", func() bool { return s.stats().Polls == 0 })
}

// Requests behind a poll whose turn has not come when it is answered are served after it.
func TestRequestsThatWaitBehindAPoll(t *testing.T) {
	s := start(t)
	c := s.dial()
	first := get("/")
	c.send(get("/stream?topics=px.A&after="+c.poll("topics=px.A").cursor) + first[:10])
	eventually(t, "it waits", func() bool { return s.stats().Polls == 1 })
	s.onConns(func(l *loop, c *conn) {
		l.postponeInput(c, []byte(first[10:]+get("/stream?topics=px.A&wait=0s"))) // the round is over
		l.shard.EndPoll(c.slot)
	})
	c.wantReply(c.reply(), 204)
	if r, _ := c.response("GET"); r.StatusCode != 200 {
		t.Error(r.Status)
	}
	c.wantReply(c.reply(), 200, `{"op":"ack"`)
	s.onLoops(func(l *loop) {
		if n := l.counters.inputBytes.Load(); n != 0 {
			t.Errorf("%d bytes of input are left", n)
		}
	})
}

func TestPollIsRefused(t *testing.T) {
	s := start(t, func(_ *Config, h *broadcast.Config) {
		h.Subscribe = []string{"px.>"}
		h.Classes = []topics.Class{{Match: "px.bin", Payload: 2}}
		h.MaxTopicsPerConnection = 2
	})
	for _, row := range []struct {
		query  string
		status int
		text   string
	}{
		{"wait=1s", 400, "topics is missing"},
		{"topics=px.A&wait=long", 400, "wait"},
		{"topics=px.A&after=x", 400, "cursor"},
		{"topics=px.A&rate=x", 400, "rate"},
		{"topics=adm.A", 403, `"code":103`},
		{"topics=px.bin", 400, `"code":120`},
		{"topics=px.A&rate=1s", 400, `"code":121`},
		{"topics=" + strings.Repeat("px.A,", 1024) + "px.A", 429, `"code":106`},
	} {
		c := s.dial()
		if a := c.poll(row.query); a.status != row.status || !strings.Contains(a.text, row.text) {
			t.Errorf("%.50s: %d %s", row.query, a.status, a.text)
		}
	}
	c := s.dial()
	a := c.poll("topics=px.A,adm.A,px.B,px.C") // a part
	c.wantReply(a, 200, `{"op":"ack","topics":[{"t":"px.A"`)
	if !strings.Contains(a.text, `"code":103`) || !strings.Contains(a.text, `"code":106`) {
		t.Error(a.text)
	}
	// Known already, so no reason to answer at once.
	c.wantReply(c.poll("wait=200ms&topics=px.A,adm.A&after="+a.cursor), 200, `{"op":"ack"`)
}

// A notice is told once: the cursor says so to the next poll.
func TestPollsAreToldStaleOnce(t *testing.T) {
	s := start(t, classes(topics.Class{Match: "px.>", StaleAfter: time.Hour}))
	c := s.dial()
	after := c.poll("topics=px.A").cursor
	step := func(wait string, status int, prefixes ...string) {
		t.Helper()
		a := c.poll("topics=px.A&wait=" + wait + "&after=" + after)
		c.wantReply(a, status, prefixes...)
		after = a.cursor
	}
	step("0s", 204)
	s.hub.SetStale(true)
	s.onLoops(func(*loop) {})
	step("10s", 200, `{"op":"ack"`, `{"op":"stale","topics":[">"]`)
	step("0s", 204)
	go s.hub.SetStale(false)
	a := c.poll("topics=px.A&after=" + after)
	if a.status != 200 || !strings.Contains(a.text, `{"op":"fresh","topics":[">"]}`) {
		t.Fatal(a.text)
	}
	after = a.cursor
	step("0s", 204)
	late := s.dial()
	late.wantReply(late.poll("topics=px.A"), 200, `{"op":"ack"`)
}

// A slower rate says when a poll is answered. What it has not been sent by then comes with it, and nothing comes twice.
func TestPollAtARate(t *testing.T) {
	s := start(t, classes(topics.Class{Match: "px.>", Rates: []time.Duration{300 * time.Millisecond}}))
	c := s.dial()
	after := c.poll("topics=px.A,px.B&rate=300ms").cursor
	for round := range 3 {
		c.send(get("/stream?topics=px.A,px.B&rate=300ms&after=" + after))
		eventually(t, "it waits", func() bool { return s.stats().Polls == 1 && s.hub.Stats().Subscriptions == 2 })
		s.atOnce("px.A 1", "px.B 2", "px.A 3")
		a := c.reply()
		if after = a.cursor; a.status != 200 || len(a.messages) != 2 || !strings.Contains(a.text, `"d":3`) || !strings.Contains(a.text, `"d":2`) {
			t.Fatalf("round %d: %s", round, a.text)
		}
		c.wantReply(c.poll("wait=0s&topics=px.A,px.B&rate=300ms&after="+after), 204)
	}
}

// A long answer comes in parts.
func TestPollsHaveABound(t *testing.T) {
	s := start(t, classes(lossless), func(_ *Config, h *broadcast.Config) { h.PollBytes = 4 << 10 })
	keep := s.open("topics=ord.*")
	keep.expect(`{"op":"ack"`)
	c := s.dial()
	after := c.poll("topics=ord.A,ord.B").cursor
	for i := range 100 {
		s.hub.Publish("ord."+string("AB"[i%2]), fmt.Appendf(nil, `[%d,"%s"]`, i, strings.Repeat("x", 200)))
	}
	answers, next := 0, 0
	for ; next < 100; answers++ {
		a := c.poll("topics=ord.A,ord.B&after=" + after)
		if a.status != 200 || len(a.text) > 8<<10 {
			t.Fatalf("%d, %d bytes", a.status, len(a.text))
		}
		for _, m := range a.messages[1:] {
			if !strings.Contains(string(m), fmt.Sprintf(`"d":[%d,`, next)) {
				t.Fatalf("%s, want %d", m, next)
			}
			next++
		}
		after = a.cursor
	}
	if answers < 5 {
		t.Errorf("%d answers", answers)
	}
}

// A client that waits before it sends a body is asked for it, unless the request is refused already. A chunked body is refused without a
// look at its bytes, which are never taken for a request.
func TestBodies(t *testing.T) {
	s := start(t)
	c := s.dial()
	const body = `{"topics":["px.A"],"wait":"0s"}`
	head := fmt.Sprintf("POST /stream HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(body))
	for range 2 {
		c.send(head[:40])
		c.send(head[40:])
		line := make([]byte, len(continueResponse))
		if _, err := io.ReadFull(c.r, line); err != nil || string(line) != string(continueResponse) {
			t.Fatalf("%q, %v", line, err)
		}
		c.send(body[:7])
		c.send(body[7:])
		c.wantReply(c.reply(), 200, `{"op":"ack","topics":[{"t":"px.A"`)
	}
	c.send(head + body) // does not wait
	c.wantReply(c.reply(), 200, `{"op":"ack","topics":[{"t":"px.A"`)
	for request, status := range map[string]int{
		strings.Replace(head, fmt.Sprint("Length: ", len(body)), "Length: 99999999", 1):                 413,
		strings.Replace(head, "/stream", "/", 1):                                                        400,
		strings.Replace(head, "100-continue", "200-ok", 1) + body:                                       417,
		"POST /stream HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get("/"): 411,
	} {
		c := s.dial()
		c.send(request)
		if r, _ := c.response("POST"); r.StatusCode != status || !r.Close {
			t.Errorf("%q: %s, close %v", request, r.Status, r.Close)
		}
		if _, err := c.r.ReadByte(); err != io.EOF {
			t.Errorf("%q: after the answer %v", request, err)
		}
	}
}

// The topics of a JSON body are a list of strings; anything else is no topic.
func TestTopicsOfAJSONBody(t *testing.T) {
	s := start(t)
	for _, topics := range []string{`"px.A"`, "null", "5", `{"px.A":1}`, "[]", "[5]"} {
		body := `{"topics":` + topics + `}`
		c := s.dial()
		c.send(fmt.Sprintf("POST /latest HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		if a := c.reply(); a.status != 400 {
			t.Errorf("%s: %d %s", body, a.status, a.text)
		}
	}
}

func TestPollByPost(t *testing.T) {
	s := start(t, origins(t, "https://app.example.com"))
	c := s.dial()
	for _, body := range []string{`{"topics":["px.A","a,b"],"wait":"0s"}`, "wait=0s&topics=" + url.QueryEscape(`["px.A","a,b"]`)} {
		c.send(fmt.Sprintf("POST /stream HTTP/1.1\r\nHost: test\r\nOrigin: https://app.example.com\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		a := c.reply()
		c.wantReply(a, 200, `{"op":"ack","topics":[{"t":"px.A"`)
		if a.head.Get("Access-Control-Allow-Origin") != "https://app.example.com" || !strings.Contains(a.head.Get("Access-Control-Expose-Headers"), "Tickcast-Cursor") {
			t.Error(a.head)
		}
	}
	c.send("OPTIONS /stream HTTP/1.1\r\nHost: test\r\nOrigin: https://app.example.com\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,content-type\r\n\r\n")
	r, _ := c.response("OPTIONS")
	if r.StatusCode != 204 || !strings.Contains(r.Header.Get("Access-Control-Allow-Methods"), "POST") || !strings.Contains(r.Header.Get("Access-Control-Allow-Headers"), "Content-Type") {
		t.Errorf("%s %v", r.Status, r.Header)
	}
	c.send(get("/stream?topics=px.A&wait=0s", "Origin: https://evil.example"))
	if r, _ := c.response("GET"); r.StatusCode != 403 {
		t.Error(r.Status)
	}
}

func TestLatest(t *testing.T) {
	s := start(t, func(_ *Config, h *broadcast.Config) { h.Subscribe = []string{"px.>"} })
	c := s.dial()
	latest := func(query string) reply {
		c.send(get("/latest?" + query))
		return c.reply()
	}
	keep := s.open("topics=px.*")
	keep.expect(`{"op":"ack"`)
	c.wantReply(latest("topics=px.A"), 200)
	s.hub.Publish("px.A", []byte("1"))
	s.hub.Publish("px.B", []byte("2"))
	c.wantReply(latest("topics=px.A"), 200, `{"t":"px.A","s":1,"k":"snap","d":1}`)
	c.wantReply(latest("topics=px.*"), 200, `{"t":"px.A"`, `{"t":"px.B"`)
	c.wantReply(latest("topics=adm.A,px.B"), 200, `{"op":"ack","errors":[{"t":"adm.A"`, `{"t":"px.B"`)
	c.wantReply(latest("topics=adm.A"), 403, `{"op":"ack","errors":[{"t":"adm.A"`)
	body := `{"topics":["px.B"]}`
	c.send(fmt.Sprintf("POST /latest HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	c.wantReply(c.reply(), 200, `{"t":"px.B"`)
}

// The topics of a poll are kept for the next one, within the bound of an address.
func TestPollLinger(t *testing.T) {
	s := start(t, classes(lossless), func(_ *Config, h *broadcast.Config) {
		h.PollLinger, h.PollTopicsPerAddress = 3*time.Second, 2
	})
	c := s.dial()
	a := c.poll("topics=ord.A,ord.B,ord.C")
	if st := s.hub.Stats(); st.PolledTopics != 2 || st.UnkeptTopics != 1 {
		t.Errorf("%d kept, %d not", st.PolledTopics, st.UnkeptTopics)
	}
	s.hub.Publish("ord.A", []byte("1"))
	b := c.poll("topics=ord.A&after=" + a.cursor)
	c.wantReply(b, 200, `{"op":"ack","topics":[{"t":"ord.A","mode":"all","cursor":"`+s.hub.Epoch()+`:1","recovered":true}]}`, `{"t":"ord.A","s":1`)
	eventually(t, "nothing is kept", func() bool { return s.hub.Stats().PolledTopics == 0 })
	s.onLoops(func(l *loop) {
		if err := l.shard.Check(); err != nil {
			t.Error(err)
		}
	})
}

// Clients that poll, from any loop and on new connections now and then, miss nothing on lossless topics, and nothing comes twice.
func TestPollsMissNothing(t *testing.T) {
	const n = 5_000
	for query, mailbox := range map[string]int{"topics=ord.0,ord.1,ord.2": 1 << 20, "topics=ord.*,px.*": 16, "topics=%3E,ord.%3E": 1 << 20} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			class := lossless
			class.History = n
			s := start(t, classes(class), func(c *Config, h *broadcast.Config) {
				h.MailboxMessages, h.PollLinger, h.PollBytes = mailbox, time.Minute, 32<<10
			})
			s.t = t
			keep := s.open("topics=px.*")
			go func() {
				for _, err := keep.next(); err == nil; _, err = keep.next() {
				}
			}()
			var clients sync.WaitGroup
			ready := make(chan struct{}, 4)
			for k := range 4 {
				clients.Go(func() {
					random := rand.New(rand.NewPCG(uint64(k), 1))
					var r reception
					for after, c := "", s.dial(); r.next < n && !t.Failed(); {
						if random.IntN(10) == 0 {
							c.Close()
							c = s.dial()
						}
						q := query
						if after != "" {
							q += "&after=" + after
						}
						if _, err := io.WriteString(c, get("/stream?"+q)); err != nil {
							t.Error(err)
							return
						}
						if random.IntN(10) == 0 && after != "" { // the answer is lost
							time.Sleep(time.Duration(random.IntN(5)) * time.Millisecond)
							c.Close()
							c = s.dial()
							continue
						}
						resp, err := http.ReadResponse(c.r, nil)
						if err != nil {
							t.Error(err)
							return
						}
						var messages []json.RawMessage
						if resp.StatusCode != 204 {
							if err := json.NewDecoder(resp.Body).Decode(&messages); err != nil {
								t.Error(resp.Status, err)
								return
							}
							_, _ = io.Copy(io.Discard, resp.Body)
						}
						for _, m := range messages {
							if err := r.take(string(m)); err != nil {
								t.Errorf("client %d after %s: %v", k, after, err)
								return
							}
						}
						r.confirm()
						if after == "" {
							ready <- struct{}{}
						}
						after = resp.Header.Get("Tickcast-Cursor")
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
