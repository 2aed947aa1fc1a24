package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/nats-io/nats.go"
)

const losslessConfig = "[nats.embedded]\nlisten = \"127.0.0.1:0\"\n[[topic]]\nmatch = \"ord.>\"\nmode = \"all\"\nhistory = 100000\nsubscribe = \"always\"\n"

// keepCounting publishes 0, 1, 2 and so on to a subject.
func keepCounting(t *testing.T, s *running, subject string) {
	t.Helper()
	nc, err := nats.Connect(s.nats)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done; nc.Close() })
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			nc.Publish(subject, fmt.Append(nil, i))
			time.Sleep(2 * time.Millisecond) // a pace, not a wait
		}
	}()
}

// curl runs curl until what it prints matches pattern, and returns all of that.
func curl(t *testing.T, pattern string, args ...string) string {
	t.Helper()
	binary, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("no curl in PATH")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"-sS", "-i", "-N"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cancel()
	want, got := regexp.MustCompile(pattern), ""
	for r := bufio.NewReader(out); ; {
		line, err := r.ReadString('\n')
		if got += line; want.MatchString(got) {
			return got
		}
		if err != nil {
			t.Fatalf("curl %s: %v; no %s in\n%s", args, err, pattern, got)
		}
	}
}

// A shell reads the stream, polls, and asks for the newest messages.
func TestCurl(t *testing.T) {
	s := startServer(t, losslessConfig)
	keepCounting(t, s, "ord.A")
	page := strings.TrimSuffix(s.page, "/")
	const events = `(?s)text/event-stream.*retry: .*data: \{"op":"hello".*data: \{"op":"ack".*id: \w+:\d+\ndata: \{"t":"ord.A","s":\d+,"p":\d+,"d":\d+\}\n`
	curl(t, events, "-H", "Accept: text/event-stream", page+"/stream?topics=ord.A")
	curl(t, events, "-0", "-H", "Accept: text/event-stream", page+"/stream?topics=ord.A")
	curl(t, events, "-H", "Accept: text/event-stream", "-H", "Content-Type: application/json", "-d", `{"topics":["ord.A"]}`, page+"/stream")
	first := curl(t, `(?s)200 OK.*\n\[\{"op":"ack".*"k":"snap".*\]`, page+"/stream?topics=ord.A")
	cursor := regexp.MustCompile(`Tickcast-Cursor: (\S+)`).FindStringSubmatch(first)
	if cursor == nil {
		t.Fatal(first)
	}
	curl(t, `(?s)200 OK.*\n\[.*"t":"ord.A","s":\d+,"p":\d+,"d":\d+\}.*\]`, page+"/stream?topics=ord.A&after="+cursor[1])
	curl(t, `(?s)200 OK.*\n\[\{"t":"ord.A","s":\d+,"k":"snap","d":\d+\}\]`, page+"/latest?topics=ord.A")
	const body = `{"topics":["ord.A"]}`
	curl(t, `(?s)^HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK.*\n\[.*"t":"ord.A"`, "-H", "Expect: 100-continue", "--expect100-timeout", "60", "-d", body, page+"/latest")
	curl(t, `(?s)411 Length Required.*send Content-Length`, "-H", "Transfer-Encoding: chunked", "-d", body, page+"/latest")
	curl(t, `(?s)426.*Upgrade: websocket`, "-H", "Sec-WebSocket-Key: x", page+"/stream?topics=ord.A")
	cursor = regexp.MustCompile(`Tickcast-Cursor: (\S+)`).FindStringSubmatch(curl(t, `(?s)200 OK.*\]`, page+"/stream?topics=px.A"))
	curl(t, `(?s)204 No Content.*Tickcast-Cursor`, page+"/stream?wait=100ms&topics=px.A&after="+cursor[1])
	s.shows("tickcast_event_streams_opened_total 3", `tickcast_polls_answered_total{result="messages"} 5`)
}

// nginx as it is installed speaks HTTP/1.0 to the server, buffers responses and takes out Upgrade: events and polls pass at once,
// and an upgrade is refused at once.
func TestNginxWithItsDefaults(t *testing.T) {
	s := startServer(t, losslessConfig)
	keepCounting(t, s, "ord.A")
	proxy := startNginx(t, s)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	get := func(query string, lines ...string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, "GET", proxy+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(lines); i += 2 {
			r.Header.Set(lines[i], lines[i+1])
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	begin, last := time.Now(), -1
	r := get("/stream?topics=ord.A", "Accept", "text/event-stream")
	for lines := bufio.NewScanner(r.Body); last < 0 || time.Since(begin) < 500*time.Millisecond; {
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		var m struct {
			T, K string
			D    json.RawMessage
		}
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if err := json.Unmarshal([]byte(data), &m); err != nil {
			t.Fatal(data, err)
		}
		var n int
		if m.T == "" || m.K != "" || json.Unmarshal(m.D, &n) != nil {
			continue
		}
		if last >= 0 && n != last+1 {
			t.Fatalf("%d after %d", n, last)
		}
		if last < 0 && time.Since(begin) > patience/2 {
			t.Errorf("the first event came after %v", time.Since(begin))
		}
		last = n
	}
	if last < 20 {
		t.Errorf("%d events in half a second", last)
	}
	first := get("/stream?topics=ord.A")
	if body, err := io.ReadAll(first.Body); first.StatusCode != 200 || err != nil || !json.Valid(body) {
		t.Errorf("%s %s %v", first.Status, body, err)
	}
	second := get("/stream?topics=ord.A&after=" + first.Header.Get("Tickcast-Cursor"))
	if body, err := io.ReadAll(second.Body); second.StatusCode != 200 || err != nil || !strings.Contains(string(body), `"t":"ord.A"`) {
		t.Errorf("%s %s %v", second.Status, body, err)
	}
	begin = time.Now()
	if r := get("/stream?topics=ord.A", "Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="); r.StatusCode != 426 || time.Since(begin) > patience/2 {
		t.Errorf("%s after %v", r.Status, time.Since(begin))
	}
}

// A browser's EventSource reads lossless topics over several connections: each ends by its age, and the browser comes back with
// its last event ID. Nothing is missing, and nothing comes twice.
func TestEventSourceInABrowser(t *testing.T) {
	t.Parallel()
	browser := newBrowser(t, 800, 600)
	s := startServer(t, losslessConfig+"[connection]\nmax_age = \"1s\"\nmax_age_jitter = 0\n[limits]\nmax_connections_per_address = 0\n")
	keepCounting(t, s, "ord.A")
	run := steps(t, browser)
	for name, path := range map[string]string{"directly": s.page, "through nginx": startNginx(t, s) + "/"} {
		run(name, chromedp.Navigate(path), chromedp.Evaluate[chromedp.Void](`
			window.seen = []; window.ends = 0; window.opened = 0; window.fault = '';
			const source = new EventSource('/stream?topics=ord.A');
			source.onopen = () => window.opened++;
			source.onmessage = (e) => {
				const m = JSON.parse(e.data);
				if (m.op === 'close') window.ends++;
				if (m.op === 'ack' && window.opened > 1 && !m.topics[0].recovered) window.fault = e.data;
				if (m.op || m.k || typeof m.d !== 'number') return;
				if (window.seen.length && m.d !== window.seen.at(-1) + 1) window.fault = m.d + ' after ' + window.seen.at(-1);
				window.seen.push(m.d);
			};`),
			until(`window.fault || window.opened >= 3 && window.ends >= 2 && window.seen.length > 500`))
		if fault, err := chromedp.Run(browser, chromedp.Evaluate[string](`window.fault`)); err != nil || fault != "" {
			t.Errorf("%s: %s, %v", name, fault, err)
		}
	}
}

// A poll whose cursor comes after connection.poll_linger is told that it is not recovered; one that comes in time misses nothing.
func TestPollLinger(t *testing.T) {
	begin := func(linger string) (s *running, nc *nats.Conn, poll func() string) {
		s = startServer(t, "[nats]\nlinger = \"0s\"\n[connection]\npoll_linger = \""+linger+"\"\n[nats.embedded]\nlisten = \"127.0.0.1:0\"\n"+
			"[[topic]]\nmatch = \"ord.>\"\nmode = \"all\"\nhistory = 100\n")
		after := ""
		return s, connect(t, s.nats), func() string {
			t.Helper()
			r, err := http.Get(s.page + "stream?topics=ord.A" + after)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			body, err := io.ReadAll(r.Body)
			if err != nil || r.StatusCode != 200 {
				t.Fatalf("%s %s %v", r.Status, body, err)
			}
			after = "&after=" + r.Header.Get("Tickcast-Cursor")
			return string(body)
		}
	}
	s, nc, poll := begin("1m")
	poll()
	s.shows("tickcast_polled_topics 1")
	eventually(t, "NATS has the subscription", func() bool {
		nc.Publish("ord.A", []byte(`"first"`))
		nc.Flush()
		_, metrics := s.get("/metrics")
		return !strings.Contains(metrics, "\ntickcast_upstream_messages_total 0\n")
	})
	if body := poll(); !strings.Contains(body, `"recovered":true`) || !strings.Contains(body, `"d":"first"`) {
		t.Error(body)
	}

	s, nc, poll = begin("1s")
	poll()
	s.shows(`tickcast_polls_answered_total{result="messages"} 1`, "tickcast_polled_topics 0", "tickcast_topics 0")
	nc.Publish("ord.A", []byte(`"missed"`))
	nc.Flush()
	if body := poll(); !strings.Contains(body, `"recovered":false`) {
		t.Error(body)
	}
}
