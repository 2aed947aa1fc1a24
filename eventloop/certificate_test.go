package eventloop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/broadcast/auth"
	"tickcast/broadcast/auth/authtest"
)

// clientCertificate returns a certificate of a user, signed by the one of the servers, and valid since the hour before.
func clientCertificate(t *testing.T, user string, validSince time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: user}, NotBefore: validSince,
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, testCertificate.Leaf, &key.PublicKey, testCertificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// clientUsers makes a server take the users of certificates, who may read what is theirs; others may read nothing.
func clientUsers(c *Config, hub *broadcast.Config) {
	onlyTLS(c, hub)
	config := testTLSConfig().Config().Clone()
	config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, x509.NewCertPool()
	config.ClientCAs.AddCert(testCertificate.Leaf)
	c.TLS.Config = func() *tls.Config { return config }
	c.TLS.Clients = &auth.Certificates{Name: auth.NameCommon, Subscribe: []string{"orders.{user}.*"}}
	c.Auth.Revoked = auth.NewRevoked(10)
	hub.Subscribe = nil
}

// as returns a client with a certificate, which has sent its request.
func (s *server) as(config *tls.Config, head string) *client {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	c := s.clientOf(tls.Client(nc, config))
	c.send(head)
	return c
}

// certifiedBy returns the configuration of a client with a certificate.
func certifiedBy(cert tls.Certificate) *tls.Config {
	config := clientTLS.Clone()
	config.Certificates = []tls.Certificate{cert}
	return config
}

// refused reads the response of a request that is refused.
func (c *client) refused(status int, part string) {
	c.t.Helper()
	if r, body := c.response("GET"); r.StatusCode != status || !strings.Contains(body, part) {
		c.t.Errorf("%s %q, want %d with %q", r.Status, body, status, part)
	}
}

// The user of a certificate has rights, also when the session is resumed; a client without one has none.
func TestCertificateGivesRights(t *testing.T) {
	eachSession(t, func(t *testing.T, sessions setting) {
		s := start(t, clientUsers, sessions)
		config := certifiedBy(clientCertificate(t, "alice", time.Now().Add(-time.Hour)))
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for range 2 { // the second one resumes
			c := s.as(config, request(""))
			c.upgraded()
			c.command(`{"op":"sub","id":1,"topics":["orders.alice.1","orders.bob.1"]}`)
			c.expect(`{"op":"ack","id":1,"topics":[{"t":"orders.alice.1"`)
			s.hub.Publish("orders.bob.1", []byte("1"))
			s.hub.Publish("orders.alice.1", []byte("2"))
			if u := c.update(); u.Topic != "orders.alice.1" {
				t.Errorf("got %+v", u)
			}
		}
		if h := s.stats().TLSHandshakes; h["resumed"] != 1 {
			t.Errorf("%v", h)
		}
		c := s.as(clientTLS, request(""))
		c.upgraded()
		c.command(`{"op":"sub","id":1,"topics":["orders.alice.1"]}`)
		c.expect(`{"op":"ack","id":1,"errors":[{"t":"orders.alice.1","code":103`)
		poll := s.as(config, get("/latest?topics=orders.bob.1"))
		poll.refused(403, "")
	})
}

// The limit of a user's connections, and the end of the count.
func TestConnectionsOfACertificateUser(t *testing.T) {
	s := start(t, clientUsers, limits(func(l *Limits) { l.ConnectionsPerUser = 1 }))
	alice, bob := certifiedBy(clientCertificate(t, "alice", time.Now().Add(-time.Hour))), certifiedBy(clientCertificate(t, "bob", time.Now().Add(-time.Hour)))
	first := s.as(alice, request(""))
	first.upgraded()
	s.as(alice, request("")).refused(429, "user")
	s.as(bob, request("")).upgraded()
	first.Close()
	eventually(t, "the first connection is gone", func() bool { return s.stats().Users == 1 })
	s.as(alice, request("")).upgraded()
	s.onLoops(func(l *loop) {
		for slot := range l.certified {
			if l.conns.At(slot).flags&flagCertified == 0 {
				t.Error("a certificate outlives its connection")
			}
		}
	})
}

// A revocation ends the user's connections and refuses new ones, but not those with a certificate that is newer.
func TestCertificateUserIsRevoked(t *testing.T) {
	s := start(t, clientUsers)
	alice := certifiedBy(clientCertificate(t, "alice", time.Now().Add(-time.Hour)))
	bob := s.as(certifiedBy(clientCertificate(t, "bob", time.Now().Add(-time.Hour))), request(""))
	bob.upgraded()
	c := s.as(alice, request(""))
	c.upgraded()
	now := time.Now().Add(-time.Minute)
	s.engine.Revoke(auth.Revocation{User: "alice", Since: now, Until: now.Add(time.Hour)})
	c.expectClose(StatusKicked)
	s.as(alice, request("")).refused(403, "revoked")
	s.as(certifiedBy(clientCertificate(t, "alice", time.Now().Add(-2*time.Second))), request("")).upgraded()
	bob.command(`{"op":"ping","id":1}`)
	bob.expect(`{"op":"ack","id":1`)
	if st := s.stats(); st.Kicked != 1 || st.Revocations != 1 {
		t.Errorf("%d kicked, %d revocations", st.Kicked, st.Revocations)
	}
}

// A token beside a certificate must be of the same user; its claims then count.
func TestTokenBesideCertificate(t *testing.T) {
	p := authtest.Pairs(t)[2]
	v := auth.New(auth.Config{Keys: authtest.Keys(t, p)})
	s := start(t, clientUsers, func(c *Config, _ *broadcast.Config) {
		c.Auth = Auth{Verifier: v, Query: true, Wait: patience, MaxWaiting: 10}
	})
	alice := certifiedBy(clientCertificate(t, "alice", time.Now().Add(-time.Hour)))
	own := p.Sign(t, "", claimed(map[string]any{"sub": "alice"}))
	others := []string{p.Sign(t, "", claimed(map[string]any{"sub": "bob"})), p.Sign(t, "", claimed(map[string]any{"sub": nil}))}
	c := s.as(alice, request("token="+own))
	c.upgraded()
	c.command(`{"op":"sub","id":1,"topics":["px.FX.A","orders.alice.1"]}`)
	if got := c.expect(`{"op":"ack","id":1,"topics":[{"t":"px.FX.A"`); !strings.Contains(got, `"t":"orders.alice.1","code":103`) {
		t.Error(got)
	}
	for _, token := range others {
		s.as(alice, request("token="+token)).refused(403, "another user")
		c := s.as(alice, request(""))
		c.upgraded()
		c.command(`{"op":"auth","id":1,"token":"` + token + `"}`)
		c.expect(`{"op":"err","id":1,"code":103`)
	}
	c = s.as(alice, request(""))
	c.upgraded()
	c.command(`{"op":"auth","id":1,"token":"` + own + `"}`)
	c.expect(`{"op":"ack","id":1}`)
}

// A page of another site cannot use the certificate of a browser that visits it.
func TestCertificateOfABrowser(t *testing.T) {
	s := start(t, clientUsers)
	alice := certifiedBy(clientCertificate(t, "alice", time.Now().Add(-time.Hour)))
	for line, status := range map[string]int{
		"Sec-Fetch-Site: cross-site": 403, "Sec-Fetch-Site: same-site": 403, "Origin: https://evil.test": 403,
		"Sec-Fetch-Site: same-origin": 200, "Origin: https://test": 200,
	} {
		c := s.as(alice, get("/latest?topics=orders.alice.1", line))
		if r, body := c.response("GET"); r.StatusCode != status {
			t.Errorf("%s: %s %q", line, r.Status, body)
		}
	}
}

// openssl and curl show their certificates.
func TestCurlWithACertificate(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	s := start(t, clientUsers)
	cert := clientCertificate(t, "alice", time.Now().Add(-time.Hour))
	keyDER, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, "key": {Type: "PRIVATE KEY", Bytes: keyDER}}
	for name, block := range files {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(topic string, args ...string) string {
		args = append(args, "-sSk", "--noproxy", "*", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}", "https://"+s.addr+"/latest?topics="+topic)
		out, err := exec.Command(curl, args...).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return string(out)
	}
	shown := []string{"--cert", filepath.Join(dir, "cert"), "--key", filepath.Join(dir, "key")}
	if got := run("orders.alice.1", shown...); got != "200" {
		t.Errorf("with the certificate: %s", got)
	}
	if got := run("orders.bob.1", shown...); got == "200" {
		t.Error("alice reads for bob")
	}
	if got := run("orders.alice.1"); got == "200" {
		t.Error("anybody reads for alice")
	}
}
