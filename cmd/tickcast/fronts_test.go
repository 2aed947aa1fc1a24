package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast/natstest"
)

// startNginx runs nginx with the settings of its package in front of a server, and returns its address. The lines are added to its
// location.
func startNginx(t *testing.T, s *running, lines ...string) string {
	t.Helper()
	return startFront(t, "nginx", func(dir, addr string) (conf string, args []string) {
		return fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
  access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  server { listen %[2]s; location / { proxy_pass %[3]s; %[4]s } }
}`, dir, addr, strings.TrimSuffix(s.page, "/"), strings.Join(lines, " ")), []string{"-c", filepath.Join(dir, "conf"), "-e", filepath.Join(dir, "error.log")}
	})
}

// startHAProxy runs HAProxy with the settings of its package in front of a server, and returns its address. The lines are added to its
// section for the server.
func startHAProxy(t *testing.T, s *running, lines ...string) string {
	t.Helper()
	return startFront(t, "haproxy", func(dir, addr string) (conf string, args []string) {
		host := strings.TrimSuffix(strings.TrimPrefix(s.page, "http://"), "/")
		return fmt.Sprintf(`defaults
  mode http
  option dontlognull
  timeout connect 5000
  timeout client 50000
  timeout server 50000
listen front
  bind %s
  %s
  server s %s
`, addr, strings.Join(lines, "\n  "), host), []string{"-db", "-f", filepath.Join(dir, "conf")}
	})
}

// startFront runs a proxy until the test ends, and returns its address. Without the proxy's command the test is skipped, unless
// TEST_BROWSER=required.
func startFront(t *testing.T, name string, configure func(dir, addr string) (conf string, args []string)) string {
	t.Helper()
	binary, err := exec.LookPath(name)
	if err != nil {
		binary = "/usr/sbin/" + name
	}
	if _, err := os.Stat(binary); err != nil {
		if os.Getenv("TEST_BROWSER") == "required" {
			t.Fatal("no " + name)
		}
		t.Skip("no " + name)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", natstest.FreePorts(t, 1)[0])
	dir := t.TempDir()
	conf, args := configure(dir, addr)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	var log syncBuffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return "http://" + addr
		}
		if time.Now().After(end) {
			more, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			t.Fatalf("%s does not start: %s%s", name, &log, more)
		}
	}
}
