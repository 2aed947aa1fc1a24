package eventloop

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// These tests let other implementations of TLS speak with the server.

// certificateFile returns a file with the certificate of all servers.
func certificateFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ca.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: testCertificate.Certificate[0]})
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// A program is a client in another process.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	output chan string // pieces of standard output and standard error
	seen   string
}

// runProgram starts a program until the end of the test. It skips the test if there is no such program.
func runProgram(t *testing.T, name string, args ...string) *program {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	p := &program{t: t, cmd: exec.CommandContext(ctx, name, args...), output: make(chan string, 1000)}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() {
		defer close(p.output)
		b := make([]byte, 4096)
		for {
			n, err := r.Read(b)
			if n > 0 {
				p.output <- string(b[:n])
			}
			if err != nil {
				r.Close()
				return
			}
		}
	}()
	t.Cleanup(func() {
		p.in.Close()
		cancel()
		for range p.output {
		}
		_ = p.cmd.Wait()
	})
	return p
}

// await waits for a text in the output behind the last one.
func (p *program) await(text string) {
	p.t.Helper()
	for all := p.seen; ; all = p.seen {
		if i := strings.Index(all, text); i >= 0 {
			p.seen = all[i+len(text):]
			return
		}
		piece, ok := <-p.output
		if !ok {
			p.t.Fatalf("the program ended without %q: %s", text, p.seen)
		}
		p.seen += piece
	}
}

// all returns the output until the end.
func (p *program) all() string {
	p.in.Close()
	for piece := range p.output {
		p.seen += piece
	}
	return p.seen
}

func (p *program) send(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, text); err != nil {
		p.t.Fatal(err)
	}
}

// openssl starts openssl s_client.
func (s *server) openssl(t *testing.T, args ...string) *program {
	t.Helper()
	return runProgram(t, "openssl", append([]string{"s_client", "-connect", s.addr, "-CAfile", certificateFile(t), "-servername", "test",
		"-verify_hostname", "test", "-verify_return_error", "-crlf"}, args...)...)
}

func TestOpenSSLVersionsAndSuites(t *testing.T) {
	s := start(t, onlyTLS)
	for _, row := range []struct {
		args string
		want string // "" = refused
	}{
		{"-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"},
		{"-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"},
		{"-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"},
		{"-tls1_3 -groups P-384", "TLSv1.3"}, // after a HelloRetryRequest, perhaps
		{"-tls1_2", "TLSv1.2"},
		{"-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-CHACHA20-POLY1305"},
		{"-tls1_1 -cipher DEFAULT@SECLEVEL=0", ""},
		{"-tls1 -cipher DEFAULT@SECLEVEL=0", ""},
		{"-tls1_2 -cipher NULL,AES128-SHA,DES-CBC3-SHA@SECLEVEL=0", ""},
	} {
		t.Run(row.args, func(t *testing.T) {
			p := s.openssl(t, append(strings.Fields(row.args), "-alpn", "h2,http/1.1")...)
			if row.want == "" {
				if out := p.all(); !strings.Contains(out, "Cipher is (NONE)") {
					t.Error(out)
				}
				return
			}
			p.await(row.want)
			p.await("ALPN protocol: http/1.1")
			p.await("Verify return code: 0 (ok)")
			p.send("GET / HTTP/1.1\nHost: test\nConnection: close\n\n")
			p.await("<title>Tickcast</title>")
			p.await("closed")
		})
	}
}

// Changes of keys from OpenSSL, with and without a request for ours, in both kinds of sessions.
func TestOpenSSLChangesKeys(t *testing.T) {
	eachSession(t, func(t *testing.T, sessions setting) {
		for _, suite := range []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"} {
			s := start(t, onlyTLS, sessions)
			p := s.openssl(t, "-tls1_3", "-ciphersuites", suite)
			p.await("Verify return code: 0 (ok)")
			for range 3 {
				for _, key := range []string{"K", "k"} { // with a request, and without
					p.send(key + "\n")
					p.await("KEYUPDATE")
					p.send("GET / HTTP/1.1\nHost: test\n\n")
					p.await("<title>Tickcast</title>")
				}
			}
			p.send("GET / HTTP/1.1\nHost: test\nConnection: close\n\n")
			p.await("<title>Tickcast</title>")
			p.await("closed")
		}
	})
}

// Changes of keys without end, and without data.
func TestOpenSSLFloodOfKeyUpdates(t *testing.T) {
	eachSession(t, func(t *testing.T, sessions setting) {
		s := start(t, onlyTLS, sessions)
		p := s.openssl(t, "-tls1_3")
		p.await("Verify return code: 0 (ok)")
		for range 16 {
			p.send("K\n")
			p.await("KEYUPDATE")
		}
		p.send("GET / HTTP/1.1\nHost: test\n\n") // that many are allowed
		p.await("<title>Tickcast</title>")
		for range 17 {
			p.send("K\n")
			p.await("KEYUPDATE")
		}
		p.await("unexpected message")
	})
}

func TestOpenSSLResumes(t *testing.T) {
	s := start(t, onlyTLS)
	session := filepath.Join(t.TempDir(), "session")
	p := s.openssl(t, "-tls1_3", "-sess_out", session)
	p.send("GET / HTTP/1.1\nHost: test\nConnection: close\n\n")
	p.await("closed")
	p.all()
	p = s.openssl(t, "-tls1_3", "-sess_in", session)
	p.await("Reused, TLSv1.3")
}

func TestCurlGetsPages(t *testing.T) {
	s := start(t, onlyTLS)
	p := runProgram(t, "curl", "--silent", "--show-error", "--cacert", certificateFile(t), "https://"+s.addr+"/", "https://"+s.addr+"/big.js")
	if out := p.all(); !strings.HasPrefix(out, "<!doctype html>") || len(out) < 300<<10 {
		t.Errorf("%d bytes: %.200s", len(out), out)
	}
}

const pythonClient = `
import base64, os, socket, ssl, sys
host, port = sys.argv[1].rsplit(":", 1)
context = ssl.create_default_context(cafile=sys.argv[2])
context.check_hostname = True
s = context.wrap_socket(socket.create_connection((host, int(port))), server_hostname="test")
key = base64.b64encode(os.urandom(16)).decode()
s.sendall(("GET /stream?topics=a HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % key).encode())
while True:
    b = s.recv(4096)
    if not b:
        break
    print(b.decode("latin1"), flush=True)
`

func TestPythonGetsMessages(t *testing.T) {
	s := start(t, onlyTLS)
	p := runProgram(t, "python3", "-c", pythonClient, s.addr, certificateFile(t))
	p.await(`"op":"ack"`)
	for n := range 5 {
		s.hub.Publish("a", fmt.Appendf(nil, `"message %d"`, n))
		p.await(fmt.Sprintf("message %d", n))
	}
}

const nodeClient = `
const C = globalThis.WebSocket ?? require("ws")
const c = new C("wss://" + process.argv[1] + "/stream?topics=a")
c.onmessage = (m) => console.log(String(m.data))
c.onerror = (e) => console.log("error", e.message, e.error)
c.onclose = (e) => { console.log("close", e.code); process.exit(0) }
`

func TestNodeGetsMessages(t *testing.T) {
	s := startWithGrace(t, patience, onlyTLS)
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip(err)
	}
	t.Setenv("NODE_EXTRA_CA_CERTS", certificateFile(t))
	flag := exec.Command("node", "--experimental-websocket", "-e", "")
	if err := flag.Run(); err != nil {
		t.Skip("no WebSocket in this node")
	}
	p := runProgram(t, "node", "--experimental-websocket", "-e", nodeClient, s.addr)
	p.await(`"op":"ack"`)
	for n := range 5 {
		s.hub.Publish("a", fmt.Appendf(nil, `"message %d"`, n))
		p.await(fmt.Sprintf("message %d", n))
	}
	s.cancel()
	p.await("close 1012")
}

const wsClient = `
const { WebSocket } = require(process.argv[1])
const ca = process.argv[3] && require("fs").readFileSync(process.argv[3])
const c = new WebSocket("wss://" + process.argv[2] + "/stream?topics=a", { ca, servername: "test" })
c.on("message", (m) => console.log(String(m)))
c.on("pong", (b) => console.log("pong", String(b)))
c.on("error", (e) => console.log("error", e.code))
c.on("close", (code) => { console.log("close", code); process.exit(0) })
c.on("open", () => c.ping("beat"))
`

// npmWS returns the directory of npm's ws. It skips the test if npm has not installed it.
func npmWS(t *testing.T) string {
	t.Helper()
	for _, dir := range []string{"../client/js/node_modules/ws", "../loadtest/peers/node/node_modules/ws"} {
		if abs, err := filepath.Abs(dir); err == nil {
			if _, err := os.Stat(abs); err == nil {
				return abs
			}
		}
	}
	t.Skip("npm's ws is not installed: make js")
	return ""
}

func TestNpmWSGetsMessages(t *testing.T) {
	ws := npmWS(t)
	s := startWithGrace(t, patience, onlyTLS)
	p := runProgram(t, "node", "-e", wsClient, ws, s.addr, certificateFile(t))
	p.await(`"op":"ack"`)
	p.await("pong beat")
	for n := range 5 {
		s.hub.Publish("a", fmt.Appendf(nil, `"message %d"`, n))
		p.await(fmt.Sprintf("message %d", n))
	}
	s.cancel()
	p.await("close 1012")
}

// ws refuses a certificate of an authority that it does not know, before any request.
func TestNpmWSVerifiesTheServer(t *testing.T) {
	ws := npmWS(t)
	s := start(t, onlyTLS)
	p := runProgram(t, "node", "-e", wsClient, ws, s.addr)
	p.await("error DEPTH_ZERO_SELF_SIGNED_CERT")
	p.await("close 1006")
	eventually(t, "the connection has ended", func() bool { return s.engine.Connections() == 0 })
}
