package fleet

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestResolveTarget(t *testing.T) {
	for _, tt := range []struct{ url, addr, host, path string }{
		{"ws://127.0.0.1:8080/stream", "127.0.0.1:8080", "127.0.0.1:8080", "/stream"},
		{"ws://127.0.0.1", "127.0.0.1:80", "127.0.0.1", "/"},
		{"ws://[::1]:81/a?b=c#d", "[::1]:81", "[::1]:81", "/a?b=c"},
	} {
		got, err := resolveTarget(context.Background(), tt.url)
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		if got.addr.String() != tt.addr || got.host != tt.host || got.path != tt.path {
			t.Errorf("%s: %+v", tt.url, got)
		}
	}
}

func TestTemplate(t *testing.T) {
	topics := []string{"px.A", "px.B"}
	five := []string{"a", "b", "c", "d", "e"}
	for _, tt := range []struct {
		text    string
		topics  []string
		i       int
		perConn int
		want    string
	}{
		{"", nil, 5, 1, ""},
		{"", topics, 1, 1, `{"op":"sub","id":1,"topics":["px.B"]}`},
		{"", topics, 1, 2, `{"op":"sub","id":1,"topics":["px.B","px.A"]}`},
		{`{"id":{i}}`, topics, 17, 1, `{"id":17}`},
		{`{i}{topic}{i}`, topics, 2, 1, `2px.A2`},
		{`{topic}`, nil, 2, 1, ``},
		{`{"a":{},"{x}":"{i"}`, topics, 2, 1, `{"a":{},"{x}":"{i"}`},
		{`{topic}`, five, 4, 3, `e","a","b`},
		{`{topic}`, five, 9, 3, `e","b","d`},
		{`{topic}`, five, 5 * 4, 3, `a","b","c`}, // all four steps have been used
	} {
		plan := newAssignment(Config{Topics: tt.topics, TopicsPerConn: tt.perConn})
		got := string(parseTemplate(tt.text, tt.topics).append(nil, tt.i, tt.topics, plan.appendTopics(nil, tt.i)))
		if got != tt.want {
			t.Errorf("%q for client %d: %q, want %q", tt.text, tt.i, got, tt.want)
		}
	}
}

// No client has a topic twice, for any number of topics.
func TestAppendTopicsDiffer(t *testing.T) {
	for n := 1; n <= 30; n++ {
		for _, zipf := range []float64{0, 1.1} {
			plan := newAssignment(Config{Topics: make([]string, n), TopicsPerConn: n, Zipf: zipf})
			for i := range n * n {
				got := plan.appendTopics(nil, i)
				slices.Sort(got)
				if len(got) != n || len(slices.Compact(got)) != n {
					t.Fatalf("%d topics, client %d: %v", n, i, got)
				}
			}
		}
	}
}

func TestHandshakeKeysDiffer(t *testing.T) {
	a, b, c := handshakeKey(1, 1), handshakeKey(1, 2), handshakeKey(2, 1)
	if a == b || a == c || a != handshakeKey(1, 1) {
		t.Errorf("keys %q, %q, %q", a, b, c)
	}
}

func TestPlanSources(t *testing.T) {
	const each, easy = 25408, 12704 // connections of a source address: at most, and with a fast search for ports
	loopback, other := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1")
	given := []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.9")}
	for _, tt := range []struct {
		name    string
		conns   int
		given   []netip.Addr
		server  netip.Addr
		want    map[int]string // connection: source
		wantErr string
	}{
		{"few", each, nil, other, map[int]string{0: "", each - 1: ""}, ""},
		{"few on loopback", easy, nil, loopback, map[int]string{0: "", easy - 1: ""}, ""},
		{"many on loopback", 2*easy + 1, nil, loopback,
			map[int]string{0: "127.0.0.2", 1: "127.0.0.3", 2: "127.0.0.4", 3: "127.0.0.2", 3*easy + 1: "127.0.0.3"}, ""},
		{"beyond a byte", 300 * easy, nil, loopback, map[int]string{299: "127.0.1.45"}, ""},
		{"many elsewhere", 1000 * each, nil, other, nil, "need 1000 source addresses, this host has"},
		{"given", each + 1, given, other, map[int]string{0: "192.0.2.7", 1: "192.0.2.9"}, ""},
		{"given, few", 1, given[:1], other, map[int]string{0: "192.0.2.7"}, ""},
		{"too few given", 3 * each, given, loopback, nil, "need 3 source addresses, 2 given"},
		{"other family", 1, []netip.Addr{netip.IPv6Loopback()}, loopback, nil, "cannot reach"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := planSources(Config{Conns: tt.conns, Sources: tt.given}, Targets{{addr: netip.AddrPortFrom(tt.server, 80)}}, each)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Errorf("got %v, want %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range tt.want {
				got := ""
				if a, ok := s.of(i); ok {
					got = a.String()
				}
				if got != want {
					t.Errorf("connection %d from %q, want %q", i, got, want)
				}
			}
		})
	}
}

func TestExpandPorts(t *testing.T) {
	for _, tt := range []struct {
		url  string
		want []string
	}{
		{"ws://h/p", []string{"ws://h/p"}},
		{"ws://h:1/p", []string{"ws://h:1/p"}},
		{"ws://h:8000-8002/p?a=1-2", []string{"ws://h:8000/p?a=1-2", "ws://h:8001/p?a=1-2", "ws://h:8002/p?a=1-2"}},
		{"wss://[::1]:9-10", []string{"wss://[::1]:9", "wss://[::1]:10"}},
		{"ws://h:65535-65535/", []string{"ws://h:65535/"}},
		{"ws://h/:1-2/", []string{"ws://h/:1-2/"}},
		{"ws://h:1-2x/", []string{"ws://h:1-2x/"}}, // no range: the port is refused later
		{"ws://h:0-2/", nil},
		{"ws://h:3-2/", nil},
		{"ws://h:1-65536/", nil},
	} {
		got, err := expandPorts(tt.url)
		if !slices.Equal(got, tt.want) || (err != nil) != (tt.want == nil) {
			t.Errorf("%s: %q, %v", tt.url, got, err)
		}
	}
}

func FuzzExpandPorts(f *testing.F) {
	f.Add("ws://127.0.0.1:8000-8053/stream")
	f.Add("ws://h:0-99999")
	f.Add("ws://[::1]:1-2?x")
	f.Fuzz(func(t *testing.T, raw string) {
		urls, err := expandPorts(raw)
		switch {
		case err != nil && urls != nil, err == nil && (len(urls) == 0 || len(urls) > maxTargets):
			t.Fatalf("%d URLs, %v", len(urls), err)
		case len(urls) < 2:
			return
		}
		for _, u := range urls {
			if more, err := expandPorts(u); err != nil || len(more) != 1 || more[0] != u {
				t.Fatalf("%q is not one URL: %q, %v", u, more, err)
			}
		}
	})
}
