package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"tickcast/broadcast/natstest"
)

// pebble is the ACME server of Let's Encrypt for tests. The tests build it from the module proxy.
const pebble = "github.com/letsencrypt/pebble/v2/cmd/"

const pebbleVersion = "@v2.10.3"

// acmeName is the name in the certificates of these tests. pebble's resolver gives it the address 127.0.0.1.
const acmeName = "push.tickcast.test"

// pebbleBinaries builds pebble and its resolver, once for all tests, and returns their directory. Without a module proxy the test is
// skipped, unless TEST_ACME=required.
func pebbleBinaries(t *testing.T) string {
	t.Helper()
	built, err := buildPebble()
	if err == nil {
		return built
	}
	if os.Getenv("TEST_ACME") == "required" {
		t.Fatal(err)
	}
	t.Skip(err)
	return ""
}

var buildPebble = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "tickcast-pebble"+pebbleVersion)
	cmd := exec.Command("go", "install", pebble+"pebble"+pebbleVersion, pebble+"pebble-challtestsrv"+pebbleVersion)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("pebble cannot be built: %w\n%s", err, out)
	}
	return dir, nil
})

// An authority is a running pebble.
type authority struct {
	directory string // its URL
	ca        string // file with the certificate of that
	roots     *x509.CertPool
}

// startAuthority runs pebble. Its certificates are valid for life; it checks names at two ports.
func startAuthority(t *testing.T, life time.Duration, httpPort, tlsPort int) authority {
	t.Helper()
	binaries, dir, ports := pebbleBinaries(t), t.TempDir(), natstest.FreePorts(t, 3)
	p := writePair(t, dir, "localhost")
	content, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": fmt.Sprintf("127.0.0.1:%d", ports[0]), "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", ports[1]),
		"certificate": p.cert, "privateKey": p.key, "httpPort": httpPort, "tlsPort": tlsPort,
		"profiles":   map[string]any{"default": map[string]any{"description": "for tests", "validityPeriod": int(life.Seconds())}},
		"retryAfter": map[string]any{"authz": 1, "order": 1},
	}})
	config := filepath.Join(dir, "pebble.json")
	if err == nil {
		err = os.WriteFile(config, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	dns := fmt.Sprintf("127.0.0.1:%d", ports[2])
	startProgram(t, filepath.Join(binaries, "pebble-challtestsrv"), "-dnsserver", dns, "-defaultIPv6", "", "-http01", "", "-https01", "",
		"-tlsalpn01", "", "-doh", "", "-management", "")
	startProgram(t, filepath.Join(binaries, "pebble"), "-config", config, "-dnsserver", dns)
	a := authority{directory: fmt.Sprintf("https://localhost:%d/dir", ports[0]), ca: p.cert, roots: x509.NewCertPool()}
	known := x509.NewCertPool()
	known.AddCert(p.leaf)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: known}}}
	eventually(t, "the authority answers", func() bool {
		for _, url := range []string{a.directory, fmt.Sprintf("https://localhost:%d/roots/0", ports[1])} {
			resp, err := client.Get(url)
			if err != nil {
				return false
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			a.roots.AppendCertsFromPEM(b) // the second one
		}
		return true
	})
	return a
}

// startProgram runs a program until the test ends. Its output is shown if the test fails.
func startProgram(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=5")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(name), out.String())
		}
	})
}

// startACME runs the command with certificates of a, a listener with TLS and one that redirects.
func startACME(t *testing.T, a authority, cache string, tlsPort, httpPort int) *running {
	t.Helper()
	return startServer(t, fmt.Sprintf("[tls]\nlisten = [\"127.0.0.1:%d\"]\nredirect_listen = [\"127.0.0.1:%d\"]\nreload = \"100ms\"\n"+
		"[tls.acme]\ndomains = [%q]\ndirectory = %q\nca = %q\ncache = %q\nemail = \"admin@tickcast.test\"\n",
		tlsPort, httpPort, acmeName, a.directory, a.ca, cache))
}

// certified returns the certificate of the server at a port, which the authority must have issued for acmeName; nil without one.
func (a authority) certified(port int) *x509.Certificate {
	c, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{ServerName: acmeName, RootCAs: a.roots})
	if err != nil {
		return nil
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

// A certificate is issued after a check by TLS-ALPN-01, and renewed under a connection, which does not notice.
func TestACMERenews(t *testing.T) {
	t.Parallel()
	ports := natstest.FreePorts(t, 3)
	a := startAuthority(t, 40*time.Second, ports[2], ports[0]) // by HTTP nobody answers
	r := startACME(t, a, filepath.Join(t.TempDir(), "cache"), ports[0], ports[1])
	var first *x509.Certificate
	within(t, 3*patience, "a certificate is issued", func() bool { first = a.certified(ports[0]); return first != nil })

	ctx, cancel := context.WithTimeout(context.Background(), 9*patience)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: &tls.Config{ServerName: acmeName, RootCAs: a.roots}}
	var c *websocket.Conn
	eventually(t, "a client is connected", func() (ok bool) { // which it is not while the certificate has expired
		var err error
		c, _, err = websocket.Dial(ctx, fmt.Sprintf("wss://127.0.0.1:%d/stream?topics=a", ports[0]), &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
		return err == nil
	})
	defer c.CloseNow()
	go func() { // it answers pings, and there is the answer to its subscription
		for err := error(nil); err == nil; {
			_, _, err = c.Read(ctx)
		}
	}()
	within(t, 3*patience, "the certificate is renewed", func() bool {
		next := a.certified(ports[0])
		return next != nil && next.SerialNumber.Cmp(first.SerialNumber) != 0
	})
	if err := c.Ping(ctx); err != nil {
		t.Errorf("a connection from before: %v", err)
	}
	if log := r.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the log has an error:\n%s", log)
	}
}

// A certificate is issued after a check by HTTP-01, whose answers are beside the redirect, and the next server has it from the
// cache.
func TestACMEByHTTP(t *testing.T) {
	t.Parallel()
	ports, cache := natstest.FreePorts(t, 3), filepath.Join(t.TempDir(), "cache")
	a := startAuthority(t, 24*time.Hour, ports[1], ports[2]) // by TLS nobody answers
	r := startACME(t, a, cache, ports[0], ports[1])
	var first *x509.Certificate
	within(t, 3*patience, "a certificate is issued", func() bool { first = a.certified(ports[0]); return first != nil })
	if info, err := os.Stat(cache); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the cache: %v, %v", info.Mode(), err)
	}
	stay := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for host, want := range map[string]string{acmeName: fmt.Sprintf("308 https://%s:%d/x?y=1", acmeName, ports[0]), "other.test": "421 "} {
		req, _ := http.NewRequest("GET", fmt.Sprintf("http://127.0.0.1:%d/x?y=1", ports[1]), nil)
		req.Host = host
		resp, err := stay.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Location")); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	startACME(t, authority{directory: "https://127.0.0.1:1/dir", ca: a.ca}, cache, ports[0], ports[1]) // which nobody serves
	var second *x509.Certificate
	eventually(t, "the certificate is there again", func() bool { second = a.certified(ports[0]); return second != nil })
	if !second.Equal(first) {
		t.Error("the second server has another certificate")
	}
}

// Without the authority the server runs, says what is wrong, and still has the certificates from files.
func TestACMEWithoutAnAuthority(t *testing.T) {
	dir := t.TempDir()
	own := writePair(t, dir, "own.test")
	r, addr := startTLS(t, fmt.Sprintf("[tls.acme]\ndomains = [%q]\ncache = %q\ndirectory = \"https://127.0.0.1:1/dir\"\n", acmeName, filepath.Join(dir, "cache")), own)
	eventually(t, "the failure is in the log", func() bool {
		log := r.log.String()
		return strings.Contains(log, "cannot be ordered") && strings.Contains(log, acmeName) && strings.Contains(log, "connection refused")
	})
	if !peerOf(t, addr, "own.test").Equal(own.leaf) {
		t.Error("another certificate for own.test")
	}
	if c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: acmeName, InsecureSkipVerify: true}); err == nil {
		c.Close()
		t.Error("there is a certificate")
	}
	begun := time.Now()
	if err := r.end(); err != nil || time.Since(begun) > patience/2 {
		t.Errorf("the end: %v after %v", err, time.Since(begun))
	}
}
