package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"tickcast/wsproto"
)

// An attackServer is the command as a process of its own.
type attackServer struct {
	t                     *testing.T
	addr, stream, metrics string
	cmd                   *exec.Cmd
	private               string // key of its tokens
}

// startAttackServer builds and starts the command.
func startAttackServer(t *testing.T) *attackServer {
	dir := t.TempDir()
	binary := filepath.Join(dir, "tickcast")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(hang.Close)
	private, public := keyFiles(t)
	config := filepath.Join(dir, "config.toml")
	text := fmt.Sprintf("[server]\nlisten = [\"127.0.0.1:0\"]\ninternal_listen = \"127.0.0.1:0\"\nproxy_protocol = \"optional\"\ntrusted_proxies = [\"127.9.9.9\"]\n"+
		"[auth]\nkeys = [%q]\njwks_url = %q\njwks_timeout = \"2s\"\nwait = \"1s\"\ngrace = \"0s\"\n"+
		"[limits]\nmax_connections_per_address = 100000\nmax_tracked_addresses = 5000\nhandshake_timeout = \"2s\"\n", public, hang.URL)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &attackServer{t: t, private: private, cmd: exec.Command(binary, "-config", config)}
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cmd.Process.Kill(); s.cmd.Wait() })
	for lines := bufio.NewScanner(out); s.metrics == "" && lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch fields[1] {
		case "stream":
			s.stream = fields[2]
		case "metrics":
			s.metrics = fields[2]
		}
	}
	u, _ := url.Parse(s.stream)
	s.addr = u.Host
	return s
}

// rss returns the resident memory in MB.
func (s *attackServer) rss() (mb int) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	_, line, _ := strings.Cut(string(b), "VmRSS:")
	fmt.Sscan(line, &mb)
	return mb / 1024
}

// bystanders returns the 99th percentile of the round trips of 20 clients that send pings until ctx ends.
func (s *attackServer) bystanders(ctx context.Context) time.Duration {
	var mu sync.Mutex
	var all []time.Duration
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			c, _, err := websocket.Dial(context.Background(), s.stream+"?topics=px.AAPL", nil)
			if err != nil {
				s.t.Error(err)
				return
			}
			defer c.CloseNow()
			for ctx.Err() == nil {
				began := time.Now()
				if err := c.Write(context.Background(), websocket.MessageText, []byte(`{"op":"ping","id":1}`)); err != nil {
					s.t.Error(err)
					return
				}
				for {
					_, b, err := c.Read(context.Background())
					if err != nil {
						s.t.Error(err)
						return
					}
					if strings.Contains(string(b), `"id":1`) {
						break
					}
				}
				mu.Lock()
				all = append(all, time.Since(began))
				mu.Unlock()
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	clients.Wait()
	slices.Sort(all)
	return all[len(all)*99/100]
}

// attackers runs n goroutines that attack again and again until ctx ends.
func attackers(ctx context.Context, n int, attack func()) {
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for ctx.Err() == nil {
				attack()
			}
		})
	}
	all.Wait()
}

// raw connects from an address of the loopback network, sends, and reads to the end.
func (s *attackServer) raw(from net.IP, send string) {
	d := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: from}}
	c, err := d.Dial("tcp", s.addr)
	if err != nil {
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	io.WriteString(c, send)
	io.Copy(io.Discard, io.LimitReader(c, 64<<10))
}

// TestAttacks prints a table: each attack on a real server, the latency of its other clients, the cost. It takes a minute of
// both CPUs, so it runs only if TEST_ATTACKS is set.
func TestAttacks(t *testing.T) {
	if os.Getenv("TEST_ATTACKS") == "" {
		t.Skip("TEST_ATTACKS is not set")
	}
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	open := func(query string) string {
		return string(wsproto.AppendRequest(nil, wsproto.ClientRequest{Host: "test", Path: "/stream" + query, Key: key}))
	}
	text := func(m string) string {
		return string(wsproto.AppendMaskedFrame(nil, wsproto.OpText, [4]byte{}, []byte(m)))
	}
	header := func(line string) string { return strings.TrimSuffix(open(""), "\r\n") + line + "\r\n\r\n" }
	any4 := func() net.IP {
		return net.IPv4(127, byte(1+rand.IntN(8)), byte(rand.IntN(256)), byte(1+rand.IntN(254)))
	}
	for _, attack := range []struct {
		name    string
		run     func(ctx context.Context, s *attackServer)
		metrics []string
	}{
		{"tokens of 8 KB by auth", func(ctx context.Context, s *attackServer) {
			bad := text(`{"op":"auth","token":"eyJhbGciOiJFZERTQSJ9.` + strings.Repeat("A", 8000) + `.AAAA"}`)
			attackers(ctx, 16, func() { s.raw(any4(), open("")+bad) })
		}, []string{`closed_total{code="4500"}`}},
		{"forged EdDSA tokens in headers", func(ctx context.Context, s *attackServer) {
			stranger, _ := keyFiles(t)
			bad := header("Authorization: Bearer " + tickcastToken(t, "-key", stranger, "-user", "x"))
			attackers(ctx, 16, func() { s.raw(any4(), bad) })
		}, []string{`rejected_total{reason="keys"}`, `rejected_total{reason="token"}`, "auth_key_fetches_total"}},
		{"1,000 tokens that expire in one second", func(ctx context.Context, s *attackServer) {
			token := tickcastToken(t, "-key", s.private, "-user", "x", "-subscribe", ">", "-for", "3s")
			attackers(ctx, 1, func() {
				var all sync.WaitGroup
				for range 1000 {
					all.Go(func() {
						c, err := net.Dial("tcp", s.addr)
						if err != nil {
							return
						}
						defer c.Close()
						c.SetDeadline(time.Now().Add(6 * time.Second))
						io.WriteString(c, header("Authorization: Bearer "+token))
						io.Copy(io.Discard, c)
					})
				}
				all.Wait()
			})
		}, []string{`closed_total{code="4002"}`}},
		{"addresses over IPv6 /64s", func(ctx context.Context, s *attackServer) {
			attackers(ctx, 16, func() {
				line := fmt.Sprintf("PROXY TCP6 2001:db8:%x:%x::1 ::2 1 2\r\n", rand.IntN(65536), rand.IntN(65536))
				s.raw(net.IPv4(127, 9, 9, 9), line+"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
			})
		}, []string{"tracked_addresses"}},
		{"commands without an end", func(ctx context.Context, s *attackServer) {
			flood := open("") + strings.Repeat(text(`{"op":"list"}`), 4000)
			attackers(ctx, 8, func() { s.raw(any4(), flood) })
		}, []string{`closed_total{code="4006"}`, `limited_total{limit="commands_per_second"}`}},
		{"words in place of HTTP", func(ctx context.Context, s *attackServer) {
			attackers(ctx, 16, func() { s.raw(any4(), "\x16\x03\x01 hello\r\n\r\n") })
		}, []string{`rejected_total{reason="bad_request"}`}},
		{"slowhttptest: 500 slow heads", func(ctx context.Context, s *attackServer) {
			exec.CommandContext(ctx, "slowhttptest", "-c", "500", "-H", "-i", "1", "-r", "500", "-u", "http://"+s.addr+"/", "-l", "5").Run()
		}, []string{`rejected_total{reason="timeout"}`}},
	} {
		s := startAttackServer(t)
		calm, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		without := s.bystanders(calm)
		cancel()
		before := s.rss()
		storm, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		done := make(chan struct{})
		go func() { defer close(done); attack.run(storm, s) }()
		with := s.bystanders(storm)
		after := s.rss()
		<-done
		cancel()
		figures := ""
		if resp, err := http.Get(s.metrics); err == nil {
			page, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			for line := range strings.Lines(string(page)) {
				for _, name := range attack.metrics {
					if strings.HasPrefix(line, "tickcast_"+name+" ") || strings.HasPrefix(line, "tickcast_websockets_"+name+" ") {
						figures += strings.TrimPrefix(strings.TrimSpace(line), "tickcast_") + "; "
					}
				}
			}
		}
		t.Logf("| %s | %s | %v | %v | %d -> %d MB |", attack.name, figures, without.Round(100*time.Microsecond), with.Round(100*time.Microsecond), before, after)
		if most := max(without*3/2, 25*time.Millisecond); with > most {
			t.Logf("^ more than %v", most)
		}
		s.cmd.Process.Kill()
	}
}
