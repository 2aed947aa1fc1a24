package auth

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestUserOfCertificate(t *testing.T) {
	uri, _ := url.Parse("spiffe://a.test/feed")
	full := &x509.Certificate{
		Subject: pkix.Name{CommonName: "alice"}, DNSNames: []string{"a.test", "b.test"}, EmailAddresses: []string{"a@b.test"}, URIs: []*url.URL{uri},
	}
	for _, row := range []struct {
		field NameField
		cert  *x509.Certificate
		user  string // "" = an error
	}{
		{NameCommon, full, "alice"},
		{NameDNS, full, "a.test"},
		{NameEmail, full, "a@b.test"},
		{NameURI, full, "spiffe://a.test/feed"},
		{NameCommon, &x509.Certificate{DNSNames: []string{"a.test"}}, ""},
		{NameDNS, &x509.Certificate{Subject: pkix.Name{CommonName: "alice"}}, ""},
		{NameEmail, &x509.Certificate{}, ""},
		{NameURI, &x509.Certificate{}, ""},
		{NameCommon, &x509.Certificate{Subject: pkix.Name{CommonName: strings.Repeat("a", 257)}}, ""},
		{NameCommon, &x509.Certificate{Subject: pkix.Name{CommonName: "a\nb"}}, ""},
	} {
		c := Certificates{Name: row.field}
		if user, err := c.User(row.cert); user != row.user || (err != nil) != (row.user == "") {
			t.Errorf("%s: %q, %v", row.field, user, err)
		}
	}
}

// A user has the topics of the patterns, and never those of another one by a dot or a wildcard in the name.
func TestRightsOfCertificate(t *testing.T) {
	c := Certificates{Name: NameCommon, Subscribe: []string{"news.*", "orders.{user}.>", "{user}.x"}, Publish: []string{"to.{user}"}}
	claims := func(user string) *Claims {
		t.Helper()
		begun := time.Now()
		got, err := c.Claims(&x509.Certificate{Subject: pkix.Name{CommonName: user}, NotBefore: begun})
		if err != nil || got.User != user || !got.Issued.Equal(begun) {
			t.Fatalf("%+v, %v", got, err)
		}
		return got
	}
	for _, row := range []struct {
		user, topic string
		subscribe   bool
	}{
		{"alice", "news.a", true}, {"alice", "orders.alice.1", true}, {"alice", "orders.alice.>", true}, {"alice", "alice.x", true},
		{"alice", "orders.bob.1", false}, {"alice", "orders.>", false}, {"alice", "orders.*.1", false},
		{"*", "orders.bob.1", false}, {">", "orders.bob.1", false}, {">", "news.a", true}, {"alice.b", "orders.alice.b.1", false},
		{"a b", "orders.a b.1", false}, {"_x", "_x.x", false}, {"_x", "orders._x.1", true}, {"$x", "$x.x", false},
	} {
		if may, says := claims(row.user).Grant.MaySubscribe(row.topic); may != row.subscribe || !says {
			t.Errorf("%s: %s %v, %v", row.user, row.topic, may, says)
		}
	}
	if may, _ := claims("alice").Grant.MayPublish("to.alice"); !may {
		t.Error("alice may not publish")
	}
	if may, _ := claims("*").Grant.MayPublish("to.alice"); may {
		t.Error("* may publish for alice")
	}
	if one, other := claims("alice").Grant, claims("alice").Grant; one != other {
		t.Error("equal grants are not shared")
	}
	c = Certificates{Name: NameCommon}
	g := claims("alice").Grant
	if _, says := g.MaySubscribe("a"); says || g == nil {
		t.Error("without patterns there are rights")
	}
}
