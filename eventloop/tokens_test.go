package eventloop

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/broadcast/auth"
	"tickcast/broadcast/auth/authtest"
	"tickcast/broadcast/topics"
	"tickcast/wsproto"
)

// tokens makes a server ask for tokens; anonymous clients may read nothing.
func tokens(v *auth.Verifier, changes ...func(*Auth)) setting {
	return func(c *Config, hub *broadcast.Config) {
		c.Auth = Auth{Verifier: v, Cookie: "session", Query: true, Wait: patience, MaxWaiting: 10, Notice: time.Minute, Grace: patience}
		hub.Subscribe = nil
		for _, change := range changes {
			change(&c.Auth)
		}
	}
}

// claimed returns claims that are valid now, with changes; nil removes one.
func claimed(changes map[string]any) map[string]any {
	c := map[string]any{"sub": "u1", "iss": "us", "aud": "tickcast", "exp": time.Now().Add(time.Hour).Unix(),
		"iat": time.Now().Add(-time.Second).Unix(), "subscribe": []string{"px.FX.*"}}
	for k, v := range changes {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

// requestWith is an opening handshake with a further line.
func requestWith(query, line string) string {
	return strings.TrimSuffix(request(query), "\r\n") + line + "\r\n\r\n"
}

// TestTokenMatrix holds each algorithm, each place and each fault of a token together.
func TestTokenMatrix(t *testing.T) {
	pairs := authtest.Pairs(t)
	v := auth.New(auth.Config{Keys: authtest.Keys(t, pairs...), Issuer: "us", Audience: "tickcast"})
	s := start(t, tokens(v))
	past, future := time.Now().Add(-time.Hour).Unix(), time.Now().Add(time.Hour).Unix()
	places := []struct {
		name string
		send func(token string) *client // after it, the client has been refused or is upgraded
	}{
		{"Authorization", func(token string) *client { return s.try(requestWith("", "Authorization: bearer "+token)) }},
		{"subprotocol", func(token string) *client {
			return s.try(requestWith("", "Sec-WebSocket-Protocol: tickcast.v1.json, tickcast.token."+token))
		}},
		{"cookie", func(token string) *client {
			return s.try(requestWith("", "Cookie: a=b; session="+token+"\r\nSec-Fetch-Site: same-origin"))
		}},
		{"query", func(token string) *client { return s.try(request("token=" + token)) }},
		{"message", func(token string) *client {
			c := s.open("")
			c.command(`{"op":"auth","id":1,"token":"` + token + `"}`)
			return c
		}},
	}
	for i, p := range pairs {
		for _, fault := range []struct {
			name   string
			token  string
			answer wsproto.StatusCode // to the message; 0 = accepted, 109 = error 109
		}{
			{"valid", p.Sign(t, "", claimed(nil)), 0},
			{"expired", p.Sign(t, "", claimed(map[string]any{"exp": past})), 109},
			{"not yet", p.Sign(t, "", claimed(map[string]any{"nbf": future})), StatusInvalidToken},
			{"wrong issuer", p.Sign(t, "", claimed(map[string]any{"iss": "them"})), StatusInvalidToken},
			{"wrong audience", p.Sign(t, "", claimed(map[string]any{"aud": "them"})), StatusInvalidToken},
			{"another key", authtest.NewPair(t, p.Algorithm).Sign(t, "", claimed(nil)), StatusInvalidToken},
			{"none", authtest.Unsigned(map[string]any{"alg": "none"}, claimed(nil), nil), StatusInvalidToken},
			{"HMAC with the public key", hmacWith(pairs[max(i, 1)].Public, claimed(nil)), StatusInvalidToken},
		} {
			for _, place := range places {
				t.Run(p.Algorithm+"/"+place.name+"/"+fault.name, func(t *testing.T) {
					c := place.send(fault.token)
					c.t = t
					if place.name == "message" {
						switch fault.answer {
						case 0:
							c.expect(`{"op":"ack","id":1}`)
						case 109:
							c.expect(`{"op":"err","id":1,"code":109`)
						default:
							c.expectClose(fault.answer)
						}
					} else if r, body := c.response("GET"); (r.StatusCode == 101) != (fault.answer == 0) || r.StatusCode != 101 && r.StatusCode != 401 {
						t.Fatalf("%s %q", r.Status, body)
					} else if strings.Contains(body+fmt.Sprint(r.Header), fault.token) {
						t.Error("the answer shows the token")
					} else if fault.answer == 0 {
						c.expect(`{"op":"hello"`)
					}
					if fault.answer == 0 {
						c.command(`{"op":"sub","id":2,"topics":["px.FX.A","px.>","px.FX.*"]}`)
						got := c.expect(`{"op":"ack","id":2,"topics":[{"t":"px.FX.A"`)
						if !strings.Contains(got, `{"t":"px.>","code":103`) || !strings.Contains(got, `{"t":"px.FX.*","mode"`) {
							t.Error(got)
						}
					}
					c.Close()
				})
			}
		}
	}
}

// try sends a request on a new connection.
func (s *server) try(request string) *client {
	c := s.dial()
	c.send(request)
	return c
}

// hmacWith returns a token that is signed by HS256 with any bytes.
func hmacWith(secret []byte, claims map[string]any) string {
	header := map[string]any{"alg": "HS256", "typ": "JWT"}
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(strings.TrimSuffix(authtest.Unsigned(header, claims, nil), ".")))
	return authtest.Unsigned(header, claims, h.Sum(nil))
}

// secretServer is a server with one secret.
func secretServer(t testing.TB, settings ...setting) (*server, *authtest.Pair) {
	p := authtest.Pairs(t)[0]
	v := auth.New(auth.Config{Keys: authtest.Keys(t, p)})
	return start(t, append([]setting{tokens(v)}, settings...)...), p
}

func (c *client) auth(token string) {
	c.t.Helper()
	c.command(`{"op":"auth","id":"a","token":"` + token + `"}`)
}

func TestClientWithoutAToken(t *testing.T) {
	s, _ := secretServer(t, func(c *Config, hub *broadcast.Config) {
		hub.Subscribe = []string{"free.>"}
		hub.Classes = []topics.Class{{Match: "free.closed.>", Private: true}}
	})
	c := s.open("")
	c.command(`{"op":"sub","id":1,"topics":["free.a","free.open.*","px.A","free.closed.a","free.closed.*","free.>"]}`)
	got := c.expect(`{"op":"ack"`)
	for _, part := range []string{`"topics":[{"t":"free.a","mode`, `{"t":"free.open.*","mode`, `{"t":"px.A","code":103`, `{"t":"free.closed.a","code":101`,
		`{"t":"free.closed.*","code":101`, `{"t":"free.>","code":103`} {
		if !strings.Contains(got, part) {
			t.Errorf("no %s in %s", part, got)
		}
	}
}

func TestPlacesThatAreNotAllowed(t *testing.T) {
	s, p := secretServer(t, func(c *Config, _ *broadcast.Config) { c.Auth.Query = false })
	token := p.Sign(t, "", claimed(nil))
	for _, row := range []struct {
		name, request string
		status        int
	}{
		{"query", request("token=" + token), 400},
		{"cookie, not a browser", requestWith("", "Cookie: session="+token), 403},
		{"cookie, from the same site", requestWith("", "Cookie: session="+token+"\r\nSec-Fetch-Site: same-site"), 403},
		{"cookie, by the user", requestWith("", "Cookie: session="+token+"\r\nSec-Fetch-Site: none"), 101},
		{"cookie, own page", requestWith("", "Cookie: session="+token+"\r\nOrigin: http://test"), 101},
		{"cookie, other page", requestWith("", "Cookie: session="+token+"\r\nOrigin: http://evil.example"), 403},
		{"another cookie", requestWith("", "Cookie: xsession="+token), 101},
		{"empty cookie", requestWith("", "Cookie: session="), 101},
		{"Basic", requestWith("", "Authorization: Basic dTpw"), 101},
		{"empty Bearer", requestWith("", "Authorization: Bearer "), 101},
		{"8 KB in the header", requestWith("", "Authorization: Bearer "+strings.Repeat("a", 8200)), 431},
	} {
		c := s.try(row.request)
		if r, body := c.response("GET"); r.StatusCode != row.status {
			t.Errorf("%s: %s %q", row.name, r.Status, body)
		}
		c.Close()
	}
	c := s.open("")
	c.auth(strings.Repeat("a", 9000))
	c.expectClose(StatusInvalidToken)
}

func TestRefresh(t *testing.T) {
	s, p := secretServer(t)
	c := s.open("")
	c.auth(p.Sign(t, "", claimed(map[string]any{"subscribe": []string{"a.>", "b.>"}, "publish": "a.x"})))
	c.expect(`{"op":"ack","id":"a"}`)
	c.command(`{"op":"sub","id":1,"topics":["a.1","b.1","a.*","b.*"]}`)
	c.expect(`{"op":"ack","id":1,"topics":[{"t":"a.1","mode":"last"`)
	c.command(`{"op":"pub","id":2,"topic":"a.y","data":1}`)
	c.expect(`{"op":"err","id":2,"code":103`)
	c.command(`{"op":"pub","id":3,"topic":"a.x","data":1}`)
	c.expect(`{"op":"err","id":3,"code":108`) // allowed; there is no NATS

	c.auth(p.Sign(t, "", claimed(map[string]any{"subscribe": []string{"b.>"}})))
	got := c.expect(`{"op":"ack","id":"a","errors":[`)
	if strings.Count(got, `"code":103`) != 2 || !strings.Contains(got, `{"t":"a.1"`) || !strings.Contains(got, `{"t":"a.*"`) {
		t.Error(got)
	}
	s.hub.Publish("a.1", []byte("1"))
	s.hub.Publish("b.1", []byte("2"))
	if u := c.update(); u.Topic != "b.1" {
		t.Errorf("%+v", u)
	}
	c.auth(p.Sign(t, "", claimed(map[string]any{"sub": "u2", "subscribe": []string{">"}})))
	c.expect(`{"op":"err","id":"a","code":103`)
	c.command(`{"op":"sub","id":4,"topics":["a.1"]}`)
	c.expect(`{"op":"ack","id":4,"errors":[{"t":"a.1","code":103`)
	if n := s.stats().Users; n != 1 {
		t.Errorf("%d users", n)
	}
	c.Close()
	eventually(t, "no user is left", func() bool { return s.stats().Users == 0 })
}

func TestExpiry(t *testing.T) {
	s, p := secretServer(t, func(c *Config, _ *broadcast.Config) {
		c.Auth.Notice, c.Auth.Grace = time.Minute, 100*time.Millisecond
		c.Subprotocols = []string{"tickcast.v1.raw"}
	})
	soon := func() string {
		return p.Sign(t, "", claimed(map[string]any{"exp": time.Now().Add(6 * time.Second).Unix()}))
	}
	c := s.open("")
	c.auth(soon())
	c.expect(`{"op":"ack"`)
	c.expect(`{"op":"expire","in":`)
	c.auth(soon()) // in place
	c.expect(`{"op":"ack"`)
	c.expect(`{"op":"expire","in":`)
	raw := s.try(requestWith("topics=px.FX.A", "Sec-WebSocket-Protocol: tickcast.v1.raw\r\nAuthorization: Bearer "+soon()))
	if r, body := raw.response("GET"); r.StatusCode != 101 {
		t.Fatal(r.Status, body)
	}
	c.expectClose(StatusTokenExpired)
	for {
		if m, err := raw.next(); err != nil {
			t.Fatal(err)
		} else if m.Op == wsproto.OpClose && m.Code == StatusTokenExpired {
			break
		} else if m.Op == wsproto.OpText && strings.Contains(string(m.Payload), "expire") {
			t.Fatal("a raw client is told")
		}
	}
}

func TestConnectionsOfAUser(t *testing.T) {
	s, p := secretServer(t, limits(func(l *Limits) { l.ConnectionsPerUser = 1 }))
	token := p.Sign(t, "", claimed(nil))
	first := s.open("token=" + token)
	if r, _ := s.try(request("token=" + token)).response("GET"); r.StatusCode != 429 {
		t.Error(r.Status)
	}
	c := s.open("")
	c.auth(token)
	c.expectClose(StatusTooMany)
	more := p.Sign(t, "", claimed(map[string]any{"connections": 2}))
	s.open("token=" + more)
	if r, _ := s.try(request("token=" + p.Sign(t, "", claimed(map[string]any{"sub": "u2"})))).response("GET"); r.StatusCode != 101 {
		t.Error("another user:", r.Status)
	}
	first.Close()
	if n := s.stats().Limited["connections_per_user"]; n != 2 {
		t.Errorf("%d times", n)
	}
}

func TestRevocation(t *testing.T) {
	s, p := secretServer(t)
	token := func(user, id string) string { return p.Sign(t, "", claimed(map[string]any{"sub": user, "jti": id})) }
	a, b, c := s.open("token="+token("a", "1")), s.open("token="+token("a", "2")), s.open("token="+token("b", "3"))
	free := s.open("")
	now := time.Now()
	if !s.engine.Revoke(auth.Revocation{User: "a", Since: now, Until: now.Add(time.Hour)}) {
		t.Error("not kept")
	}
	a.expectClose(StatusKicked)
	b.expectClose(StatusKicked)
	if r, body := s.try(request("token=" + token("a", "4"))).response("GET"); r.StatusCode != 401 {
		t.Error(r.Status, body)
	}
	s.engine.Revoke(auth.Revocation{Token: "3", Since: now, Until: now.Add(time.Hour)})
	c.expectClose(StatusKicked)
	free.command(`{"op":"ping","id":1}`)
	free.expect(`{"op":"ack","id":1`)
	free.auth(token("b", "3"))
	free.expectClose(StatusInvalidToken)
	if st := s.stats(); st.Kicked != 3 || st.Revocations != 2 {
		t.Errorf("%+v", st)
	}
	s.open("token=" + p.Sign(t, "", claimed(map[string]any{"sub": "a", "iat": now.Add(time.Second).Unix()}))) // logged in again
}

// A server of keys that does not answer: 503 before the upgrade; a command auth waits, and is answered once the keys are there.
func TestTokensWaitForKeys(t *testing.T) {
	p := authtest.Pairs(t)[2]
	var ready atomic.Bool
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !ready.Load() {
			w.WriteHeader(503)
			return
		}
		w.Write(authtest.Set(p.JWK("k")))
	}))
	defer keys.Close()
	v := auth.New(auth.Config{URL: keys.URL, AskEvery: 10 * time.Millisecond})
	s := start(t, tokens(v, func(a *Auth) { a.MaxWaiting = 1 }))
	impatient := start(t, tokens(auth.New(auth.Config{URL: keys.URL}), func(a *Auth) { a.Wait = 200 * time.Millisecond }))
	token := p.Sign(t, "k", claimed(nil))
	if r, _ := s.try(request("token=" + token)).response("GET"); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Error(r.Status)
	}
	slow := impatient.open("")
	slow.auth(token)
	slow.expectClose(wsproto.StatusTryAgainLater)

	var waiting []*client
	for range 4 { // on two loops
		c := s.open("")
		c.auth(token)
		waiting = append(waiting, c)
	}
	waiting[0].auth(token)
	eventually(t, "some wait", func() bool {
		n := 0
		s.onLoops(func(l *loop) { n += len(l.asking) })
		return n == 2
	})
	ready.Store(true)
	ctx := t.Context()
	go v.Run(ctx)
	accepted, refused := 0, 0
	for _, c := range waiting {
		for {
			m, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			if text := string(m.Payload); strings.Contains(text, `"code":111`) {
				continue // the second auth
			} else if strings.HasPrefix(text, `{"op":"ack"`) {
				accepted++
			} else if m.Code == wsproto.StatusTryAgainLater {
				refused++
			} else {
				t.Errorf("%d %s", m.Code, text)
			}
			break
		}
	}
	if accepted != 2 || refused != 2 {
		t.Errorf("%d accepted, %d refused", accepted, refused)
	}
}

// Work with all connections of a user, with the tokens of many requests, and with all tokens that wait for keys, looks at the clock after each connection.
func TestWorkWithManyTokensIsSliced(t *testing.T) {
	const clients = 20
	shortest := func(c *Config, _ *broadcast.Config) { c.Slice, c.Loops = 1, 1 }
	s, p := secretServer(t, shortest)
	for i := range clients {
		s.open("token=" + p.Sign(t, "", claimed(map[string]any{"sub": "a", "jti": strconv.Itoa(i)})))
	}
	s.onLoops(func(l *loop) {
		if l.kick(&kick{user: "a"}); l.kicked != 1 {
			t.Errorf("%d connections were ended at once", l.kicked)
		}
	})
	eventually(t, "all are ended", func() bool { return s.stats().Kicked == clients })

	s, p = secretServer(t, shortest)
	for i := range clients {
		s.open("token=" + p.Sign(t, "", claimed(map[string]any{"jti": strconv.Itoa(i)})))
	}
	s.onConns(func(l *loop, c *conn) {
		l.conns.pass(c).expires = 1
		l.wheel.remove(c)
		l.wheel.link(c, expired)
	})
	s.onLoops(func(l *loop) {
		l.engine.grace, l.now = 0, max(l.now, 2)
		more, closing := l.runExpired(time.Now()), 0
		for slot := range l.conns.made {
			if l.conns.At(slot).state == stateClosing {
				closing++
			}
		}
		if closing != 1 || !more {
			t.Errorf("%d connections were ended at once", closing)
		}
	})

	s, p = secretServer(t, shortest)
	for range clients {
		s.dial().endHandshake()
	}
	eventually(t, "all are there", func() bool { return s.engine.Connections() == clients })
	s.onLoops(func(l *loop) {
		for slot := range l.conns.made {
			if c := l.conns.At(slot); c.state == stateRequest {
				l.postponeInput(c, []byte(request("token="+p.Sign(t, "", claimed(map[string]any{"jti": strconv.Itoa(int(slot))})))))
			}
		}
		if l.runTurns(); l.tally.opened != 1 {
			t.Errorf("%d tokens of requests were judged in a round", l.tally.opened)
		}
	})
	eventually(t, "all tokens are judged", func() bool { return s.stats().Opened == clients })

	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }))
	defer keys.Close()
	s = start(t, tokens(auth.New(auth.Config{URL: keys.URL}), func(a *Auth) { a.MaxWaiting = clients }), shortest)
	token := authtest.Pairs(t)[2].Sign(t, "k", claimed(nil))
	for range clients {
		s.open("").auth(token)
	}
	judged := func() (n int) {
		s.onLoops(func(l *loop) {
			for _, q := range l.asking {
				if q.judged == l.fetches && l.fetches > 0 {
					n++
				}
			}
		})
		return n
	}
	eventually(t, "all wait", func() (all bool) {
		s.onLoops(func(l *loop) { all = len(l.asking) == clients })
		return all
	})
	s.onLoops(func(l *loop) {
		l.fetches++
		l.judgeAsking()
		n := 0
		for _, q := range l.asking {
			if q.judged == l.fetches {
				n++
			}
		}
		if n != 1 || len(l.asking) != clients {
			t.Errorf("%d of %d tokens were judged at once", n, len(l.asking))
		}
	})
	eventually(t, "all are judged", func() bool { return judged() == clients })
}

func FuzzBearer(f *testing.F) {
	f.Add("Authorization: Bearer abc", "token=x")
	f.Add("Cookie: a; session=\"x\"; =", "")
	f.Add("Sec-WebSocket-Protocol: tickcast.token.", "")
	a := &Auth{Cookie: "session"}
	f.Fuzz(func(t *testing.T, line, token string) {
		r, n, err := wsproto.ParseRequest([]byte("GET / HTTP/1.1\r\nHost: test\r\n"+line+"\r\n\r\n"), wsproto.RequestLimits{})
		if err != nil || n == 0 {
			return
		}
		got, place := a.bearer(&r, map[string][]string{"token": {token}})
		if place == noToken || place == tokenInQuery && got != token || place != tokenInQuery && !strings.Contains(line, got) {
			t.Errorf("%q from %d", got, place)
		}
	})
}
