package eventloop

import (
	"testing"

	"tickcast/broadcast"
	"tickcast/eventloop/admission"
)

// origins sets the list of allowed origins.
func origins(t testing.TB, list ...string) setting {
	o, err := admission.ParseOrigins(list)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config, _ *broadcast.Config) { c.Origins = o }
}

func TestOriginOfAnUpgrade(t *testing.T) {
	own := start(t)
	listed := start(t, origins(t, "https://app.example.com", "https://*.example.org"))
	for _, row := range []struct {
		name   string
		s      *server
		origin string
		status int
	}{
		{"no origin", own, "", 101},
		{"own host", own, "http://test", 101},
		{"other host", own, "http://evil.example", 403},
		{"null", own, "null", 403},
		{"listed", listed, "https://app.example.com", 101},
		{"listed by wildcard", listed, "https://a.example.org", 101},
		{"not listed", listed, "https://evil.example", 403},
		{"own host beside a list", listed, "http://test", 403},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := row.s.stats().Rejected["origin"]
			c := row.s.dial()
			c.t = t
			line := "X-Nothing: 1"
			if row.origin != "" {
				line = "Origin: " + row.origin
			}
			c.send(request("")[:len(request(""))-2] + line + "\r\n\r\n")
			r, _ := c.response("GET")
			if r.StatusCode != row.status {
				t.Errorf("%s", r.Status)
			}
			if after := row.s.stats().Rejected["origin"]; (after > before) != (row.status == 403) {
				t.Errorf("%d refusals before, %d after", before, after)
			}
		})
	}
}

func TestCrossOriginAnswers(t *testing.T) {
	own := start(t)
	listed := start(t, origins(t, "https://app.example.com"))
	const preflightOf = "OPTIONS /stream HTTP/1.1\r\nHost: test\r\nAccess-Control-Request-Method: GET\r\nOrigin: "
	for _, row := range []struct {
		name    string
		s       *server
		request string
		status  int
		allow   string // Access-Control-Allow-Origin
		vary    string
	}{
		{"page, no list", own, get("/", "Origin: https://app.example.com"), 200, "", ""},
		{"page", listed, get("/", "Origin: https://app.example.com"), 200, "https://app.example.com", "Origin"},
		{"page without an origin", listed, get("/"), 200, "", "Origin"},
		{"page, origin not listed", listed, get("/", "Origin: https://evil.example"), 200, "", "Origin"},
		{"error", listed, get("/nothing", "Origin: https://app.example.com"), 404, "https://app.example.com", "Origin"},
		{"refused upgrade", listed, get("/stream", "Origin: https://app.example.com", "Sec-WebSocket-Version: 13"), 426, "https://app.example.com", "Origin"},
		{"preflight", listed, preflightOf + "https://app.example.com\r\n\r\n", 204, "https://app.example.com", "Origin"},
		{"preflight, not listed", listed, preflightOf + "https://evil.example\r\n\r\n", 405, "", "Origin"},
		{"preflight, no list", own, preflightOf + "https://app.example.com\r\n\r\n", 405, "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := row.s.dial()
			c.t = t
			c.send(row.request)
			r, _ := c.response("HEAD") // its body does not matter
			if r.StatusCode != row.status || r.Header.Get("Access-Control-Allow-Origin") != row.allow || r.Header.Get("Vary") != row.vary {
				t.Errorf("%s %v", r.Status, r.Header)
			}
		})
	}
	c := listed.dial() // the lines of one request are not those of the next
	c.send(get("/", "Origin: https://app.example.com") + get("/"))
	for _, want := range []string{"https://app.example.com", ""} {
		if r, _ := c.response("GET"); r.Header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("%v, want %q", r.Header, want)
		}
	}
}

// A page may read why it is refused, and when it may come back, whatever the reason.
func TestCrossOriginRefusals(t *testing.T) {
	const page = "https://app.example.com"
	s := start(t, origins(t, page), limits(func(l *Limits) { l.Inbound = admission.Inbound{CommandsPerSecond: 1, CommandsBurst: 1} }))
	c := s.dial()
	c.send(get("/") + get("/stream?topics=px.A", "Origin: "+page))
	c.response("GET")
	if r, _ := c.response("GET"); r.StatusCode != 429 || r.Header.Get("Access-Control-Allow-Origin") != page {
		t.Errorf("%s %v", r.Status, r.Header)
	}
	c = s.dial()
	c.send("POST /stream HTTP/1.1\r\nHost: test\r\nOrigin: " + page + "\r\nContent-Length: 99999999\r\n\r\n")
	if r, _ := c.response("POST"); r.StatusCode != 413 || r.Header.Get("Access-Control-Allow-Origin") != page {
		t.Errorf("%s %v", r.Status, r.Header)
	}
}
