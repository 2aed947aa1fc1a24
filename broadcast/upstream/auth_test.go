package upstream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"tickcast/broadcast"
	"tickcast/broadcast/natstest"
	"tickcast/broadcast/topics"
)

// roundTrip proves that NATS accepts the hub: a message published with the same settings reaches its client.
func roundTrip(t *testing.T, ns *natstest.Server, cfg Config) {
	t.Helper()
	h := broadcast.New(openConfig())
	l := startLoop(t, h.Shard(0))
	n, _ := runUpstream(t, h, cfg)
	l.join(0, "px.A")
	ns.Await(t, "SUB px.A")
	n.flush(t)
	nc, err := cfg.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	send(t, nc, "px.A", "1")
	l.awaitData(t, 0, "px.A", "1")
}

func TestNATSUserAndToken(t *testing.T) {
	for _, c := range []struct {
		name       string
		opts       server.Options
		good, evil Config
	}{
		{"user", server.Options{Username: "tick", Password: "secret"}, Config{User: "tick", Password: "secret"}, Config{User: "tick", Password: "wrong"}},
		{"token", server.Options{Authorization: "secret"}, Config{Token: "secret"}, Config{Token: "wrong"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.opts.Port = -1
			ns := natstest.Start(t, &c.opts)
			c.good.URLs, c.evil.URLs = []string{ns.ClientURL()}, []string{ns.ClientURL()}
			roundTrip(t, ns, c.good)

			awaitRefusal(t, c.evil)
		})
	}
}

// awaitRefusal connects with settings that the NATS server does not accept: the hub stays stale and the log says why.
func awaitRefusal(t *testing.T, cfg Config) {
	t.Helper()
	lines := make(logLines, 100)
	cfg.Log = slog.New(slog.NewTextHandler(lines, nil))
	h := broadcast.New(openConfig())
	runUpstream(t, h, cfg)
	lines.await(t, "Authorization Violation")
	if h.Ready() == nil {
		t.Error("ready without being let in")
	}
}

// logLines are a log's lines, for tests to wait for.
type logLines chan string

func (l logLines) Write(line []byte) (int, error) {
	select {
	case l <- string(line):
	default:
	}
	return len(line), nil
}

func (l logLines) await(t *testing.T, what string) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case line := <-l:
			if strings.Contains(line, what) {
				return
			}
		case <-timeout.C:
			t.Fatalf("the log does not say %q", what)
		}
	}
}

// A NATS server that refuses the password for a while does not end Run. The clients stay, and hear fresh after that.
func TestNATSRefusesForAWhile(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1, Username: "tick", Password: "old"})
	lines := make(logLines, 1000)
	h := broadcast.New(openConfig())
	l := startLoop(t, h.Shard(0))
	cfg := Config{URLs: []string{ns.ClientURL()}, User: "tick", Password: "old", Log: slog.New(slog.NewTextHandler(lines, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	n, result := runUpstream(t, h, cfg)
	l.join(0, "px.A")
	ns.Await(t, "SUB px.A") // it is in
	port := ns.Port()
	ns.Stop()
	ns = natstest.Start(t, &server.Options{Port: port, Username: "tick", Password: "new"})
	for range 3 {
		lines.await(t, "authorization violation")
	}
	ns.Stop()
	ns = natstest.Start(t, &server.Options{Port: port, Username: "tick", Password: "old"})
	l.awaitOp(t, 0, "fresh")
	ns.Await(t, "SUB px.A")
	n.flush(t)
	nc, err := cfg.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	send(t, nc, "px.A", "1")
	l.awaitData(t, 0, "px.A", "1")
	select {
	case err := <-result:
		t.Errorf("Run returned %v", err)
	default:
	}
}

func TestNATSCredentialsFile(t *testing.T) {
	opts, err := server.ProcessConfigFile("testdata/nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	opts.Port = -1
	ns := natstest.Start(t, opts)
	cfg := Config{URLs: []string{ns.ClientURL()}, CredentialsFile: "testdata/user.creds"}
	roundTrip(t, ns, cfg)

	creds, err := os.ReadFile(cfg.CredentialsFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"missing": nil, "text": []byte("not credentials"), "without the seed": creds[:len(creds)/2]} {
		cfg.CredentialsFile = filepath.Join(t.TempDir(), "user.creds")
		if content != nil {
			if err := os.WriteFile(cfg.CredentialsFile, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := Connect(broadcast.New(openConfig()).Hub, cfg); err == nil {
			n.close()
			t.Errorf("a credentials file that is %s was taken", name)
		}
	}
	cfg.CredentialsFile = ""
	awaitRefusal(t, cfg)
}

// An authority signs certificates for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := new(authority)
	a.key, a.cert = nil, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	certFile, _ := a.sign(t, a.cert)
	a.file = certFile
	return a
}

// sign makes a key and its certificate, and returns their files. The first one that it signs is the authority's own.
func (a *authority) sign(t *testing.T, cert *x509.Certificate) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if a.key == nil {
		a.key = key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", keyDER)
}

func (a *authority) leaf(usage x509.ExtKeyUsage) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		KeyUsage: x509.KeyUsageDigitalSignature, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
}

// The NATS server has a certificate of a private authority, and asks for the client's certificate.
func TestNATSOverTLS(t *testing.T) {
	ca := newAuthority(t)
	serverCert, serverKey := ca.sign(t, ca.leaf(x509.ExtKeyUsageServerAuth))
	clientCert, clientKey := ca.sign(t, ca.leaf(x509.ExtKeyUsageClientAuth))
	pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	caPEM, err := os.ReadFile(ca.file)
	if err != nil || !pool.AppendCertsFromPEM(caPEM) {
		t.Fatal("no authority", err)
	}
	ns := natstest.Start(t, &server.Options{Port: -1, TLS: true, TLSVerify: true, MaxSubTokens: 3, TLSTimeout: patience.Seconds(), TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}})
	cfg := Config{URLs: []string{ns.ClientURL()}, CAFile: ca.file, CertFile: clientCert, KeyFile: clientKey}
	roundTrip(t, ns, cfg)

	h := broadcast.New(openConfig()) // the guard reads refusals of NATS inside TLS
	l := startLoop(t, h.Shard(0))
	runUpstream(t, h, cfg)
	l.join(0, "a.b.c.d")
	awaitStale(t, l, 0, "a.b.c.d")

	missing := filepath.Join(t.TempDir(), "missing.pem")
	for name, cfg := range map[string]Config{
		"authority":          {CAFile: missing},
		"client certificate": {CertFile: missing, KeyFile: clientKey},
		"client key":         {CertFile: clientCert, KeyFile: missing},
	} {
		cfg.URLs = []string{ns.ClientURL()}
		if n, err := Connect(broadcast.New(openConfig()).Hub, cfg); err == nil {
			n.close()
			t.Errorf("a missing %s was taken", name)
		}
	}
}

// A WebSocket hides the lines of NATS. Clients hear of the hole of an outage all the same.
func TestNATSOverWebSocket(t *testing.T) {
	opts := server.Options{Port: -1, Websocket: server.WebsocketOpts{Host: "127.0.0.1", Port: -1, NoTLS: true}}
	ns := natstest.Start(t, &opts)
	url := ns.WebsocketURL()
	cfg := openConfig()
	cfg.Classes = []topics.Class{{Match: "ord.>", Mode: topics.ModeAll, History: 10}}
	h := broadcast.New(cfg)
	l := startLoop(t, h.Shard(0))
	n, _ := runUpstream(t, h, Config{URLs: []string{url}, PingInterval: time.Second})
	awaitConnected(t, h)
	l.join(0, "ord.A")
	for _, text := range []string{"1", "2"} {
		ns.Await(t, "SUB ord.A")
		n.flush(t)
		send(t, natstest.Connect(t, ns.ClientURL()), "ord.A", text)
		l.awaitData(t, 0, "ord.A", text)
		if text == "1" {
			if err := n.conns[0].current().ForceReconnect(); err != nil {
				t.Fatal(err)
			}
			l.awaitOp(t, 0, "gap")
			l.awaitOp(t, 0, "fresh")
		}
	}
	n.conns[0].current().Close() // as nats.go does after an error that it does not know
	l.awaitOp(t, 0, "gap")
	l.awaitOp(t, 0, "fresh")
}

// A pattern that NATS denies must not make the granted topics under it stale.
func TestDeniedPatternOwnsNothing(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1, Users: []*server.User{
		{Username: "tick", Password: "secret", Permissions: &server.Permissions{Subscribe: &server.SubjectPermission{Allow: []string{"px.>"}}}},
		{Username: "feed", Password: "secret"},
	}})
	lines := make(logLines, 100)
	h := broadcast.New(openConfig())
	l := startLoop(t, h.Shard(0))
	n, _ := runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}, User: "tick", Password: "secret", Log: slog.New(slog.NewTextHandler(lines, nil))})
	l.join(0, ">")
	lines.await(t, "nats denies a subject")
	l.join(1, "px.A")
	ns.Await(t, "SUB px.A")
	n.flush(t) // it is in
	nc, err := Config{URLs: []string{ns.ClientURL()}, User: "feed", Password: "secret"}.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	send(t, nc, "px.A", "1")
	l.awaitData(t, 1, "px.A", "1")
}

// The lines to NATS that wait for an answer are not kept where no answer can be seen.
func TestSubscriptionsOverWebSocketEnd(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1, Websocket: server.WebsocketOpts{Host: "127.0.0.1", Port: -1, NoTLS: true}})
	cfg := openConfig()
	cfg.Linger = time.Millisecond
	h := broadcast.New(cfg)
	l := startLoop(t, h.Shard(0))
	n, _ := runUpstream(t, h, Config{URLs: []string{ns.WebsocketURL()}})
	awaitConnected(t, h)
	for range 20 {
		l.join(0, "px.A")
		ns.Await(t, "SUB px.A")
		l.do(func() { l.shard.Apply(0, []byte(`{"op":"unsub","topics":["px.A"]}`)) })
		ns.Await(t, "UNSUB")
	}
	if asked := n.Counts().Asked; asked > 1 {
		t.Errorf("%d lines are kept", asked)
	}
}
