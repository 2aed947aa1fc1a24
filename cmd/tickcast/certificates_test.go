package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A pairFiles is a certificate and its key in files.
type pairFiles struct {
	cert, key string
	leaf      *x509.Certificate
}

// writePair makes a self-signed certificate for a name, and writes it to files in dir.
func writePair(t *testing.T, dir, name string) pairFiles {
	t.Helper()
	p, err := makePair(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// makePair is writePair before there is a test.
func makePair(dir, name string) (p pairFiles, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return p, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(127, 0, 0, 2)},
		NotAfter:    time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return p, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return p, err
	}
	p = pairFiles{cert: filepath.Join(dir, name+".pem"), key: filepath.Join(dir, name+".key")}
	for file, block := range map[string]*pem.Block{p.cert: {Type: "CERTIFICATE", Bytes: der}, p.key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			return p, err
		}
	}
	p.leaf, err = x509.ParseCertificate(der)
	return p, err
}

// startTLS runs the command with a single listener, with TLS, and returns its address.
func startTLS(t *testing.T, keys string, pairs ...pairFiles) (r *running, addr string) {
	t.Helper()
	var cert, key []string
	for _, p := range pairs {
		cert, key = append(cert, fmt.Sprintf("%q", p.cert)), append(key, fmt.Sprintf("%q", p.key))
	}
	r = startServer(t, fmt.Sprintf("[tls]\nlisten = [\"127.0.0.2:0\"]\ncert = [%s]\nkey = [%s]\nreload = \"100ms\"\n%s",
		strings.Join(cert, ","), strings.Join(key, ","), keys))
	if !strings.HasPrefix(r.stream, "wss://") || !strings.HasPrefix(r.page, "https://") {
		t.Fatalf("printed %s, %s", r.page, r.stream)
	}
	return r, strings.TrimSuffix(strings.TrimPrefix(r.page, "https://"), "/")
}

// peerOf returns the certificate that clients get for name.
func peerOf(t *testing.T, addr, name string) *x509.Certificate {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

// Certificates are chosen by name, and those of new connections change with their files. A pair that does not fit has no
// effect.
func TestCertificateFiles(t *testing.T) {
	dir := t.TempDir()
	a, b := writePair(t, dir, "a.test"), writePair(t, dir, "b.test")
	r, addr := startTLS(t, "", a, b)
	for _, p := range []pairFiles{a, b} {
		if !peerOf(t, addr, p.leaf.DNSNames[0]).Equal(p.leaf) {
			t.Errorf("another certificate for %v", p.leaf.DNSNames)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	c, _, err := websocket.Dial(ctx, r.stream, &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if _, hello, err := c.Read(ctx); err != nil || !strings.Contains(string(hello), "hello") {
		t.Fatalf("%s, %v", hello, err)
	}

	next := writePair(t, t.TempDir(), "a.test")
	copyFile(t, next.cert, a.cert) // the key does not fit yet
	eventually(t, "a pair that does not fit is reported", func() bool { return strings.Contains(r.log.String(), "cannot be used") })
	if !peerOf(t, addr, "a.test").Equal(a.leaf) {
		t.Error("the old certificate is not used any more")
	}
	copyFile(t, next.key, a.key)
	eventually(t, "the new certificate is used", func() bool { return peerOf(t, addr, "a.test").Equal(next.leaf) })
	if err := c.Ping(c.CloseRead(ctx)); err != nil {
		t.Errorf("a connection from before: %v", err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// getPage gets the page, and reports whether the session was resumed.
func getPage(addr string, config *tls.Config) (resumed bool, err error) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	resp, err := client.Get("https://" + addr + "/")
	if err != nil {
		return false, err
	}
	return resp.TLS.DidResume, resp.Body.Close()
}

func TestClientCertificates(t *testing.T) {
	dir := t.TempDir()
	server, known, unknown := writePair(t, dir, "server.test"), writePair(t, dir, "known.test"), writePair(t, dir, "unknown.test")
	for _, row := range []struct {
		mode        string
		none, wrong bool // the server admits clients without a certificate, or with an unknown one
	}{{"optional", true, false}, {"required", false, false}} {
		t.Run(row.mode, func(t *testing.T) {
			_, addr := startTLS(t, fmt.Sprintf("client_certs = %q\nclient_ca = %q\n", row.mode, known.cert), server)
			for _, client := range []struct {
				name string
				pair pairFiles
				want bool
			}{{"none", pairFiles{}, row.none}, {"unknown", unknown, row.wrong}, {"known", known, true}} {
				config := &tls.Config{InsecureSkipVerify: true}
				if client.pair.cert != "" {
					pair, err := tls.LoadX509KeyPair(client.pair.cert, client.pair.key)
					if err != nil {
						t.Fatal(err)
					}
					config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
				}
				if _, err := getPage(addr, config); (err == nil) != client.want {
					t.Errorf("%s: %v", client.name, err)
				}
			}
		})
	}
}

// The user of a certificate can be revoked without any token, and a certificate without a user fails in the handshake.
func TestUserOfClientCertificate(t *testing.T) {
	dir := t.TempDir()
	server, known := writePair(t, dir, "server.test"), writePair(t, dir, "known.test")
	pair, err := tls.LoadX509KeyPair(known.cert, known.key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}
	keys := fmt.Sprintf("client_certs = \"required\"\nclient_ca = %q\nclient_user = %%q\nclient_subscribe = [\"a\"]\n[subscribe]\ntopics = []\n", known.cert)
	r, _ := startTLS(t, fmt.Sprintf(keys, "san_dns"), server)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, r.stream+"?topics=a", &websocket.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: config}}})
	if err != nil {
		t.Fatal(err)
	}
	holder := &client{t, c}
	holder.until("the subscription", func(m serverMessage) bool { return m.Op == "ack" })
	if status, body := r.post("/revoke?user=known.test"); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if code := holder.closeCode(); code != 4503 {
		t.Errorf("closed with %d", code)
	}
	r.end()

	_, addr := startTLS(t, fmt.Sprintf(keys, "san_email"), server)
	if _, err := getPage(addr, config); err == nil {
		t.Error("a certificate without a user is accepted")
	}
}

// Servers with the same ticket keys resume each other's sessions.
func TestTicketKeysOfSeveralServers(t *testing.T) {
	dir := t.TempDir()
	server := writePair(t, dir, "server.test")
	keys := filepath.Join(dir, "tickets")
	if err := os.WriteFile(keys, []byte("# first\n"+strings.Repeat("ab", 32)+"\n"+strings.Repeat("cd", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "server.test", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for n := range 2 {
		_, addr := startTLS(t, fmt.Sprintf("ticket_keys = %q\n", keys), server)
		if resumed, err := getPage(addr, config); err != nil || resumed != (n == 1) {
			t.Errorf("server %d: resumed %v, %v", n, resumed, err)
		}
	}
}

// Of the clients that come back, nearly all resume: at a second server, after a rotation of the keys on both, and again with the
// tickets that the new key encrypts.
func TestResumptionAcrossServersAndKeys(t *testing.T) {
	t.Parallel()
	const clients = 100
	dir := t.TempDir()
	pair, keys := writePair(t, dir, "server.test"), filepath.Join(dir, "tickets")
	write := func(keysInOrder ...string) { // in one step: a server that reads half of it would count one change more
		err := os.WriteFile(keys+".new", []byte(strings.Join(keysInOrder, "\n")), 0o600)
		if err == nil {
			err = os.Rename(keys+".new", keys)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	first, second, third := strings.Repeat("ab", 32), strings.Repeat("cd", 32), strings.Repeat("ef", 32)
	write(first)
	var servers []*running
	var addrs []string
	for range 2 {
		r, addr := startTLS(t, fmt.Sprintf("ticket_keys = %q\n", keys), pair)
		servers, addrs = append(servers, r), append(addrs, addr)
	}
	var configs [clients]*tls.Config
	for i := range configs {
		configs[i] = &tls.Config{InsecureSkipVerify: true, ServerName: "server.test", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	}
	round := func(name, addr string, least, most int) {
		t.Helper()
		resumed := 0
		for _, config := range configs {
			did, err := getPage(addr, config)
			if err != nil {
				t.Fatal(err)
			}
			if did {
				resumed++
			}
		}
		if resumed < least || resumed > most {
			t.Errorf("%s: %d of %d resume", name, resumed, clients)
		}
	}
	rotate := func(changes int, keysInOrder ...string) {
		t.Helper()
		write(keysInOrder...)
		eventually(t, "both servers use the new keys", func() bool {
			for _, r := range servers {
				if strings.Count(r.log.String(), "use the changed files") < changes {
					return false
				}
			}
			return true
		})
	}
	round("the first time", addrs[0], 0, 0)
	round("at the second server", addrs[1], clients*99/100, clients)
	rotate(1, second, first)
	round("after a rotation", addrs[0], clients*99/100, clients)
	rotate(2, third, second) // the first key is gone; the tickets of the last round are the second's
	round("after two rotations", addrs[1], clients*99/100, clients)
	rotate(3, strings.Repeat("12", 32))
	round("without any known key", addrs[0], 0, 0)
}
