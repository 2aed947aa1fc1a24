package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast/auth"
	"tickcast/broadcast/auth/authtest"
)

var now = time.Unix(1_800_000_000, 0)

// valid returns claims that are valid at now, with changes; a nil value removes a claim.
func valid(changes map[string]any) map[string]any {
	c := map[string]any{"sub": "u1", "iss": "us", "aud": "tickcast", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "subscribe": []string{"px.>"}}
	for k, v := range changes {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

// hmacWith returns a token signed by HS256 with any bytes as its secret.
func hmacWith(secret []byte, claims map[string]any) string {
	text := strings.TrimSuffix(authtest.Unsigned(map[string]any{"alg": "HS256", "typ": "JWT"}, claims, nil), ".")
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(text))
	full := authtest.Unsigned(map[string]any{"alg": "HS256", "typ": "JWT"}, claims, h.Sum(nil))
	return full
}

func TestVerify(t *testing.T) {
	pairs := authtest.Pairs(t)
	v := auth.New(auth.Config{Keys: authtest.Keys(t, pairs...), Issuer: "us", Audience: "tickcast", Leeway: 10 * time.Second})
	unix := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for _, row := range []struct {
		name    string
		changes map[string]any
		want    string // a part of the error; "" = valid
	}{
		{"valid", nil, ""},
		{"two audiences", map[string]any{"aud": []string{"other", "tickcast"}}, ""},
		{"expired within the leeway", map[string]any{"exp": unix(-5 * time.Second)}, ""},
		{"expired", map[string]any{"exp": unix(-time.Minute)}, "expired"},
		{"no expiry", map[string]any{"exp": nil}, "no expiry"},
		{"not yet", map[string]any{"nbf": unix(time.Minute)}, "not valid yet"},
		{"not yet within the leeway", map[string]any{"nbf": unix(5 * time.Second)}, ""},
		{"wrong issuer", map[string]any{"iss": "them"}, "another issuer"},
		{"no issuer", map[string]any{"iss": nil}, "claims"},
		{"wrong audience", map[string]any{"aud": "other"}, "another audience"},
		{"no audience", map[string]any{"aud": nil}, "claims"},
		{"expiry as text", map[string]any{"exp": "tomorrow"}, "claims"},
		{"topics as one string", map[string]any{"subscribe": "px.>"}, ""},
		{"topics as a number", map[string]any{"subscribe": 7}, "subscribe"},
		{"malformed topic", map[string]any{"subscribe": []string{"px..a"}}, "subscribe"},
		{"reserved topic", map[string]any{"publish": []string{"$SYS.>"}}, "publish"},
		{"too many topics", map[string]any{"subscribe": strings.Split(strings.Repeat("a ", 256)+"a", " ")}, "subscribe"},
		{"connections", map[string]any{"connections": 3}, ""},
		{"no connections", map[string]any{"connections": 0}, "connections"},
		{"half a connection", map[string]any{"connections": 0.5}, "connections"},
		{"user as a number", map[string]any{"sub": 5}, "sub"},
		{"long user", map[string]any{"sub": strings.Repeat("u", 257)}, "sub"},
		{"control character in the user", map[string]any{"sub": "a\nb"}, "sub"},
	} {
		for _, p := range pairs {
			c, err := v.Verify(p.Sign(t, "", valid(row.changes)), now)
			var refusal *auth.Error
			switch {
			case row.want == "" && err != nil:
				t.Errorf("%s, %s: %v", row.name, p.Algorithm, err)
			case row.want == "" && row.changes == nil && (c.User != "u1" || !c.Expires.Equal(now.Add(time.Hour))):
				t.Errorf("%s, %s: %+v", row.name, p.Algorithm, c)
			case row.want != "" && (!errors.As(err, &refusal) || !strings.Contains(refusal.Reason, row.want)):
				t.Errorf("%s, %s: %v", row.name, p.Algorithm, err)
			case row.want != "" && refusal.Expired != (row.want == "expired"):
				t.Errorf("%s, %s: Expired is %v", row.name, p.Algorithm, refusal.Expired)
			}
		}
	}
}

func TestForgedTokens(t *testing.T) {
	pairs := authtest.Pairs(t)
	rs := pairs[1]
	v := auth.New(auth.Config{Keys: authtest.Keys(t, pairs...)})
	only := auth.New(auth.Config{Keys: authtest.Keys(t, rs)})
	der := authtest.NewPair(t, "RS256")
	good := rs.Sign(t, "", valid(nil))
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"none":                     authtest.Unsigned(map[string]any{"alg": "none"}, valid(nil), nil),
		"None":                     authtest.Unsigned(map[string]any{"alg": "None"}, valid(nil), nil),
		"no algorithm":             authtest.Unsigned(map[string]any{"typ": "JWT"}, valid(nil), nil),
		"HMAC with the public key": hmacWith(rs.Public, valid(nil)),
		"HMAC with an empty key":   hmacWith(nil, valid(nil)),
		"HMAC with another key":    authtest.NewPair(t, "HS256").Sign(t, "", valid(nil)),
		"another RSA key":          der.Sign(t, "", valid(nil)),
		"signature cut":            parts[0] + "." + parts[1] + ".",
		"no signature":             parts[0] + "." + parts[1],
		"four parts":               good + ".x",
		"content of another":       parts[0] + "." + strings.Split(der.Sign(t, "", valid(map[string]any{"sub": "root"})), ".")[1] + "." + parts[2],
		"empty":                    "",
		"dots":                     "..",
		"padding":                  good + "=",
		"not base64":               "!." + parts[1] + "." + parts[2],
		"critical header":          authtest.Unsigned(map[string]any{"alg": "RS256", "crit": []string{"exp"}}, valid(nil), []byte("x")),
		"too long":                 good + strings.Repeat("A", auth.MaxToken),
	} {
		for _, v := range []*auth.Verifier{v, only} {
			if c, err := v.Verify(token, now); err == nil {
				t.Errorf("%s: %+v", name, c)
			} else if strings.Contains(err.Error(), "eyJ") {
				t.Errorf("%s: the error shows the token: %v", name, err)
			}
		}
	}
}

func TestKeyFiles(t *testing.T) {
	pairs := authtest.Pairs(t)
	for name, content := range map[string][]byte{
		"a private key": pairs[2].Private, "a certificate request": []byte("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"),
		"nothing": nil, "words": []byte("words"), "broken": []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
	} {
		if k, err := auth.PublicKeys(content); err == nil {
			t.Errorf("%s: %d keys", name, len(k))
		}
	}
	for name, content := range map[string][]byte{"short": []byte("secret\n"), "a public key": pairs[1].Public, "a private key": pairs[1].Private} {
		if _, err := auth.Secret(content); err == nil {
			t.Errorf("%s is taken for a secret", name)
		}
	}
	if k, err := auth.PublicKeys(append(append([]byte{}, pairs[1].Public...), pairs[2].Public...)); err != nil || len(k) != 2 {
		t.Errorf("two keys in a file: %d, %v", len(k), err)
	}
}

// Equal grants are shared, and an unused grant is forgotten.
func TestGrantsAreShared(t *testing.T) {
	p := authtest.Pairs(t)[0]
	v := auth.New(auth.Config{Keys: authtest.Keys(t, p)})
	grant := func(user string, topics ...string) *auth.Grant {
		c, err := v.Verify(p.Sign(t, "", valid(map[string]any{"sub": user, "subscribe": topics})), now)
		if err != nil {
			t.Fatal(err)
		}
		return c.Grant
	}
	a, b, c := grant("a", "px.>"), grant("b", "px.>"), grant("c", "px.>", "news.>")
	if a != b || a == c {
		t.Error("not shared, or shared too much")
	}
	if may, says := a.MaySubscribe("px.A"); !may || !says {
		t.Error("px.A is not allowed")
	}
	if may, says := a.MaySubscribe(">"); may || !says {
		t.Error("> is allowed")
	}
	if _, says := a.MayPublish("px.A"); says {
		t.Error("there is no claim about publishing")
	}
	runtime.KeepAlive(a)
}

func TestRevoked(t *testing.T) {
	v := auth.New(auth.Config{MaxRevocations: 3})
	r := &v.Revoked
	claims := func(user, id string, issued time.Duration) *auth.Claims {
		return &auth.Claims{User: user, ID: id, Issued: now.Add(issued)}
	}
	r.Add(auth.Revocation{User: "u", Since: now, Until: now.Add(time.Hour)}, now)
	r.Add(auth.Revocation{Token: "t", Since: now, Until: now.Add(time.Minute)}, now)
	for _, row := range []struct {
		name   string
		claims *auth.Claims
		after  time.Duration
		want   bool
	}{
		{"user", claims("u", "", -time.Second), 0, true},
		{"user, issued at that moment", claims("u", "", 0), 0, true},
		{"user, issued since", claims("u", "", time.Second), 0, false},
		{"user, issue not known", &auth.Claims{User: "u"}, 0, true},
		{"user, when it is over", claims("u", "", 0), 2 * time.Hour, false},
		{"another user", claims("v", "", 0), 0, false},
		{"no user", claims("", "", 0), 0, false},
		{"token", claims("v", "t", 0), 0, true},
		{"token, issued since", claims("v", "t", time.Second), 0, true},
		{"token, when it is over", claims("v", "t", 0), 2 * time.Minute, false},
	} {
		if got := r.Holds(row.claims, now.Add(row.after)); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
	if !r.Add(auth.Revocation{Token: "t2", Since: now, Until: now.Add(time.Hour)}, now) {
		t.Error("one was forgotten though there is room")
	}
	if r.Add(auth.Revocation{Token: "t3", Since: now, Until: now.Add(time.Hour)}, now) || r.Len() != 3 {
		t.Errorf("%d revocations", r.Len())
	}
	if r.Holds(claims("v", "t", 0), now) || !r.Holds(claims("u", "", 0), now) {
		t.Error("the wrong one was forgotten")
	}
	for _, bad := range []string{"", "{}", `{"user":"u","token":"t"}`, `{"user":"u"}`, "null", "[]"} {
		if _, err := auth.ParseRevocation([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	x := auth.Revocation{User: "u", Since: now.UTC(), Until: now.Add(time.Hour).UTC()}
	if got, err := auth.ParseRevocation(x.Message()); err != nil || got != x {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzVerify(f *testing.F) {
	pairs := authtest.Pairs(f)
	for _, p := range pairs {
		f.Add(p.Sign(f, "k", valid(nil)))
	}
	f.Add(authtest.Unsigned(map[string]any{"alg": "none"}, valid(nil), nil))
	f.Add("..")
	v := auth.New(auth.Config{Keys: authtest.Keys(f, pairs...)})
	good := map[string]bool{}
	for _, p := range pairs {
		good[p.Sign(f, "k", valid(nil))] = true
	}
	f.Fuzz(func(t *testing.T, token string) {
		c, err := v.Verify(token, now)
		if (c == nil) == (err == nil) {
			t.Errorf("%v, %v", c, err)
		}
		var refusal *auth.Error
		if err != nil && !errors.As(err, &refusal) {
			t.Errorf("%v", err)
		}
		if err == nil && c.User != "u1" { // the fuzzer has no key, and the seeds name u1 only
			t.Errorf("%q is valid: %+v", token, c)
		}
	})
}

func FuzzRevocation(f *testing.F) {
	f.Add([]byte(`{"user":"u","since":"2026-01-01T00:00:00Z","until":"2026-01-02T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := auth.ParseRevocation(b)
		if err == nil && r.Check() != nil {
			t.Errorf("%+v", r)
		}
	})
}
