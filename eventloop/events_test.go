package eventloop

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/broadcast/topics"
)

// An eventStream reads Server-Sent Events as a browser does.
type eventStream struct {
	*client
	lines *bufio.Reader
	head  *http.Response
	id    string // last event ID
	retry string
	beats int // comments
}

// events opens a stream of events. lines are further lines of the request.
func (s *server) events(query string, lines ...string) *eventStream {
	s.t.Helper()
	e, err := s.tryEvents(get("/stream?"+query, append(lines, "Accept: text/event-stream")...))
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

func (s *server) tryEvents(request string) (*eventStream, error) {
	c := s.dial()
	if _, err := io.WriteString(c, request); err != nil {
		return nil, err
	}
	head, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, err
	}
	if head.StatusCode != 200 || head.Header.Get("Content-Type") != "text/event-stream" {
		return nil, fmt.Errorf("%s %v", head.Status, head.Header)
	}
	return &eventStream{client: c, head: head, lines: bufio.NewReader(head.Body)}, nil
}

// next returns the data of the next event. The error is io.EOF at a proper end of the stream.
func (e *eventStream) next() (data string, err error) {
	for data == "" && err == nil {
		data, err = e.block()
	}
	return data, err
}

// block reads up to the next empty line, and returns the data of the event if there is one.
func (e *eventStream) block() (data string, err error) {
	id, has := e.id, false
	for {
		line, err := e.lines.ReadString('\n')
		if err != nil {
			return "", err
		}
		switch field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); field {
		case "id":
			id = value
		case "data":
			if has {
				return "", errors.New("two data lines")
			}
			data, has = value, true
		case "retry":
			e.retry = value
		case ":":
			e.beats++
		case "":
			e.id = id
			return data, nil
		default:
			return "", fmt.Errorf("line %q", line)
		}
	}
}

// want reads an event that begins with prefix.
func (e *eventStream) want(prefix string) string {
	e.t.Helper()
	data, err := e.next()
	if err != nil || !strings.HasPrefix(data, prefix) {
		e.t.Fatalf("want an event %s..., got %s, %v", prefix, data, err)
	}
	return data
}

// untilID reads until the last event ID is id; nothing but comments may come.
func (e *eventStream) untilID(id string) {
	e.t.Helper()
	for e.id != id {
		line, err := e.lines.ReadString('\n')
		if err != nil || strings.HasPrefix(line, "data") {
			e.t.Fatalf("want id %s, got %q, %v", id, line, err)
		}
		if value, ok := strings.CutPrefix(line, "id: "); ok {
			e.id = strings.TrimSuffix(value, "\n")
		}
	}
}

// classes sets the classes of topics.
func classes(list ...topics.Class) setting {
	return func(_ *Config, h *broadcast.Config) { h.Classes = list }
}

var lossless = topics.Class{Match: "ord.>", Mode: topics.ModeAll, History: 1000}

// A subscription of a topic of mode last gets the messages of WebSocket clients, and its cursors in blocks of their own.
func TestEvents(t *testing.T) {
	s := start(t, classes(lossless))
	e := s.events("topics=px.A")
	for name, want := range map[string]string{"Cache-Control": "no-store", "X-Accel-Buffering": "no"} {
		if got := e.head.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	e.want(`{"op":"hello"`)
	if e.retry == "" {
		t.Error("no retry")
	}
	e.want(`{"op":"ack","topics":[{"t":"px.A","mode":"last","cursor":"`)
	epoch := s.hub.Epoch()
	e.untilID(epoch + ":0")
	s.hub.Publish("px.A", []byte("{\n\"a\": 1}"))
	if got := e.want(`{"t":"px.A","s":1,"d":{`); got != `{"t":"px.A","s":1,"d":{ "a": 1}}` {
		t.Error(got)
	}
	e.untilID(epoch + ":1")
	s.hub.Publish("px.A", []byte("2"))
	e.want(`{"t":"px.A","s":2,"d":2}`)
	e.untilID(epoch + ":2")

	late := s.events("topics=px.A", "Last-Event-ID: "+epoch+":1")
	late.want(`{"op":"hello"`)
	late.want(`{"op":"ack","topics":[{"t":"px.A","mode":"last","cursor":"` + epoch + `:2","recovered":false}]}`)
	late.want(`{"t":"px.A","s":2,"k":"snap","d":2}`)
	late.untilID(epoch + ":2")
	if st := s.stats(); st.EventStreams != 2 || st.OpenedEvents != 2 || st.WebSockets != 0 {
		t.Errorf("%+v", st)
	}
}

// Where all topics are lossless and of one epoch the cursor stands in the event itself.
func TestEventsOfLosslessTopics(t *testing.T) {
	s := start(t, classes(lossless))
	e := s.events("topics=ord.A,ord.B.*")
	e.want(`{"op":"hello"`)
	e.want(`{"op":"ack"`)
	epoch := s.hub.Epoch()
	e.untilID(epoch + ":0")
	for i, topic := range []string{"ord.A", "ord.B.x", "px.Z", "ord.A"} {
		s.hub.Publish(topic, []byte("1"))
		if topic != "px.Z" {
			e.want(fmt.Sprintf(`{"t":"%s","s":%d,"p":`, topic, i+1-i/3))
		}
	}
	if e.id != epoch+":3" {
		t.Errorf("id %s", e.id)
	}
	for name, line := range map[string]string{"Last-Event-ID": "Last-Event-ID: " + epoch + ":1", "neither": "X-A: b"} {
		query := "topics=ord.A,ord.B.*&after=" + epoch + ":1"
		if name == "Last-Event-ID" {
			query = "topics=ord.A,ord.B.*&after=" + epoch + ":3" // older than the line
		}
		again := s.events(query, line)
		again.want(`{"op":"hello"`)
		again.want(`{"op":"ack","topics":[{"t":"ord.A","mode":"all","cursor":"` + epoch + `:3","recovered":true},{"t":"ord.B.*"`)
		again.want(`{"t":"ord.B.x","s":2`)
		if again.id != epoch+":2" {
			t.Errorf("id %s", again.id)
		}
		again.want(`{"t":"ord.A","s":3`)
		again.untilID(epoch + ":3")
	}
}

// A client of HTTP/1.0 reads events up to the end of the connection.
func TestEventsOfHTTP10(t *testing.T) {
	s := start(t)
	c := s.dial()
	c.send("GET /stream?topics=px.A HTTP/1.0\r\nAccept: text/event-stream;q=1, */*\r\n\r\n")
	r, err := http.ReadResponse(c.r, nil)
	if err != nil || len(r.TransferEncoding) > 0 || !r.Close {
		t.Fatal(r, err)
	}
	e := &eventStream{client: c, head: r, lines: bufio.NewReader(r.Body)}
	e.want(`{"op":"hello"`)
	e.want(`{"op":"ack"`)
	s.hub.Publish("px.A", []byte("1"))
	e.want(`{"t":"px.A","s":1,"d":1}`)
	s.onConns(func(l *loop, c *conn) { l.Close(c.slot, StatusMaxAge, "old") })
	e.want(`{"op":"close","code":4005,"reason":"old"}`)
	if _, err := e.next(); err != io.EOF {
		t.Error(err)
	}
	c.Close()
	eventually(t, "it is counted", func() bool { return s.stats().ClosedEvents[4005] == 1 && s.stats().EventStreams == 0 })
}

func TestEventsByPost(t *testing.T) {
	s := start(t)
	for _, body := range []string{`{"topics":["px.A","a,b"]}`, ` {"topics":["px.A","a,b"],"rate":""}`, "topics=px.A&topics=%5B%22a%2Cb%22%5D"} {
		request := fmt.Sprintf("POST /stream HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		for _, cut := range []int{0, len(request) - 1, len(request) - len(body), len(request) - len(body) - 2} {
			c := s.dial()
			c.send(request[:cut])
			c.send(request[cut:])
			r, err := http.ReadResponse(c.r, nil)
			if err != nil || r.StatusCode != 200 {
				t.Fatal(r, err)
			}
			e := &eventStream{client: c, head: r, lines: bufio.NewReader(r.Body)}
			e.want(`{"op":"hello"`)
			if ack := e.want(`{"op":"ack"`); !strings.Contains(ack, `"t":"px.A"`) || !strings.Contains(ack, `"t":"a,b"`) {
				t.Error(ack)
			}
			c.Close()
		}
	}
}

func TestEventsAreRefused(t *testing.T) {
	s := start(t)
	events := func(query string, lines ...string) string {
		return get("/stream?"+query, append(lines, "Accept: text/event-stream")...)
	}
	for _, row := range []struct {
		name, request string
		status        int
		body          string
	}{
		{"no topics", events(""), 400, "topics is missing"},
		{"topic", events("topic=a"), 400, "did you mean"},
		{"cursor", events("topics=a&after=x"), 400, "cursor"},
		{"rate", events("topics=a&rate=fast"), 400, "rate"},
		{"origin", events("topics=a", "Origin: https://evil.example"), 403, "origin"},
		{"key without an upgrade", events("topics=a", "Sec-WebSocket-Key: "+testKey), 426, ""},
		{"version without an upgrade", events("topics=a", "Sec-WebSocket-Version: 13"), 426, ""},
		{"PUT", strings.Replace(events("topics=a"), "GET", "PUT", 1), 405, ""},
		{"body that is no form", "POST /stream HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\nContent-Length: 3\r\n\r\n%zz", 400, "form"},
		{"body that is no JSON", "POST /stream HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\nContent-Length: 3\r\n\r\n{a}", 400, "JSON"},
		{"large body", "POST /stream HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\nContent-Length: 300000\r\n\r\n", 413, "large"},
		{"body elsewhere", "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc", 400, "body"},
		{"body of GET", events("topics=a", "Content-Length: 3") + "abc", 400, "body"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := s.dial()
			c.t = t
			c.send(row.request)
			if r, body := c.response("GET"); r.StatusCode != row.status || !strings.Contains(body, row.body) {
				t.Errorf("%s %q", r.Status, body)
			}
			c.ended()
		})
	}
}

// An idle stream has comments, whatever else it has.
func TestHeartbeatOfEvents(t *testing.T) {
	const every = 200 * time.Millisecond
	s := start(t, func(c *Config, _ *broadcast.Config) { c.Heartbeat = every })
	begin := time.Now()
	e := s.events("topics=px.A")
	e.want(`{"op":"hello"`)
	e.want(`{"op":"ack"`)
	go func() {
		time.Sleep(2 * time.Second) // the heartbeats are the subject
		s.hub.Publish("px.A", []byte("1"))
	}()
	e.want(`{"t":"px.A"`)
	if d := time.Since(begin); e.beats < 2 || e.beats > int(d/(every-tick)) { // a deadline may be a tick early
		t.Errorf("%d heartbeats in %v", e.beats, d)
	}
}

// A client that subscribes to nothing in time is told so.
func TestFirstMessageTimeoutOfEvents(t *testing.T) {
	s := start(t, func(c *Config, h *broadcast.Config) {
		c.FirstMessageTimeout = 200 * time.Millisecond
		h.Subscribe = []string{"px.>"}
	})
	e := s.events("topics=adm.A")
	e.want(`{"op":"hello"`)
	e.want(`{"op":"ack","errors":[{"t":"adm.A","code":103`)
	e.want(`{"op":"close","code":4001`)
	if _, err := e.next(); err != io.EOF {
		t.Error(err)
	}
}

// A client that does not read is conflated on topics of mode last, and closed with a cursor on lossless ones: with it, it misses
// nothing.
func TestSlowClientOfEvents(t *testing.T) {
	payload := []byte(`"` + strings.Repeat("x", 1000) + `"`)
	for _, query := range []string{"topics=px.A", "topics=ord.A", "topics=ord.A,px.A"} {
		t.Run(query, func(t *testing.T) {
			s := start(t, classes(lossless), func(_ *Config, h *broadcast.Config) { h.QueueBytes = 64 << 10 })
			s.t = t
			e := s.events(query)
			e.want(`{"op":"hello"`)
			e.want(`{"op":"ack"`)
			topic := strings.TrimPrefix(strings.Split(query, ",")[0], "topics=")
			const n = 5000 // beyond what the sockets hold
			published := 0
			behind := func() bool { n, _ := s.buffered(); return n > 0 }
			for ; published < n && !(behind() && published%100 == 0 && topic == "px.A" && published > 4000); published++ {
				s.hub.Publish(topic, payload)
				if published%50 == 0 { // the mailbox is no part of this
					s.onLoops(func(*loop) {})
				}
				if topic == "ord.A" && s.hub.Stats().SlowClosed > 0 {
					break
				}
			}
			var last uint64
			for last < uint64(published) {
				data, err := e.next()
				if err != nil {
					t.Fatalf("after %d of %d: %v", last, published, err)
				}
				var u update
				if err := json.Unmarshal([]byte(data), &u); err != nil {
					t.Fatal(err)
				}
				if u.Op == "close" {
					if topic != "ord.A" || !strings.Contains(data, "4003") || e.id != fmt.Sprintf("%s:%d", s.hub.Epoch(), last) ||
						!strings.Contains(data, "resume after "+e.id) {
						t.Fatalf("%s after %d, id %s", data, last, e.id)
					}
					if _, err := e.next(); err != io.EOF {
						t.Fatal(err)
					}
					e = s.events(query, "Last-Event-ID: "+e.id)
					e.want(`{"op":"hello"`)
					if ack := e.want(`{"op":"ack"`); !strings.Contains(ack, `"t":"ord.A","mode":"all","cursor":"`+s.hub.Epoch()) || !strings.Contains(ack, `"recovered":true`) {
						t.Fatal(ack)
					}
					continue
				}
				if u.Op == "" {
					if topic == "ord.A" && u.Seq != last+1 || u.Seq <= last {
						t.Fatalf("%d after %d", u.Seq, last)
					}
					last = u.Seq
				}
			}
			if topic == "ord.A" && s.hub.Stats().SlowClosed == 0 || topic == "px.A" && s.hub.Stats().Conflated == 0 {
				t.Errorf("%+v", s.hub.Stats())
			}
		})
	}
}

// A slower rate brings the newest message alone, and the cursors behind it.
func TestEventsAtARate(t *testing.T) {
	s := start(t, classes(topics.Class{Match: "px.>", Rates: []time.Duration{200 * time.Millisecond}}))
	e := s.events("topics=px.A&rate=200ms")
	e.want(`{"op":"hello"`)
	e.want(`{"op":"ack","topics":[{"t":"px.A","mode":"last","rate":"200ms"`)
	for i := range 3 {
		s.atOnce("px.A 1", "px.A 2")
		e.want(fmt.Sprintf(`{"t":"px.A","s":%d,"d":2}`, 2*i+2))
		e.untilID(fmt.Sprintf("%s:%d", s.hub.Epoch(), 2*i+2))
	}
}

func TestEventsAreToldStale(t *testing.T) {
	s := start(t)
	e := s.events("topics=px.A")
	e.want(`{"op":"hello"`)
	e.want(`{"op":"ack"`)
	s.hub.SetStale(true)
	e.want(`{"op":"stale","topics":[">"]`)
	late := s.events("topics=px.A")
	late.want(`{"op":"hello"`)
	late.want(`{"op":"stale","topics":[">"]`)
	s.hub.SetStale(false)
	e.want(`{"op":"fresh","topics":[">"]`)
}
