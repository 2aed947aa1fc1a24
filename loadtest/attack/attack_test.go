package main

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The tables of the documents name the attacks: each name exists, and each attack stands in a table.
func TestDocsNameTheAttacks(t *testing.T) {
	missing := map[string]bool{}
	for _, g := range groups {
		for _, a := range g.attacks {
			if missing[a.name] {
				t.Errorf("two attacks are %q", a.name)
			}
			missing[a.name] = true
		}
	}
	known := len(missing)
	italic := regexp.MustCompile(`\*([^*]+)\*`)
	named := map[string]bool{}
	for file, first := range map[string]string{"operation.md": "| input | reaction | attack |", "tls.md": "| input | reaction | test | attack |"} {
		b, err := os.ReadFile("../../docs/" + file)
		if err != nil {
			t.Fatal(err)
		}
		_, table, ok := strings.Cut(string(b), first+"\n")
		if !ok {
			t.Fatalf("%s has no table of attacks", file)
		}
		table, _, _ = strings.Cut(table, "\n\n")
		for _, row := range strings.Split(table, "\n") {
			cells := strings.Split(strings.TrimSuffix(row, "|"), "|")
			for _, m := range italic.FindAllStringSubmatch(cells[len(cells)-1], -1) {
				named[m[1]] = true
				if !missing[m[1]] {
					t.Errorf("%s: there is no attack %q", file, m[1])
				}
			}
		}
	}
	for name := range missing {
		if !named[name] {
			t.Errorf("no document names the attack %q", name)
		}
	}
	if known < 60 {
		t.Errorf("%d attacks", known)
	}
}

// A sealer's records are those of TLS 1.3, also behind a change of keys.
func TestSealer(t *testing.T) {
	p, err := newProps()
	if err != nil {
		t.Fatal(err)
	}
	defer p.remove()
	cert, err := tls.LoadX509KeyPair(p.file(certificate), p.file(certificateK))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan string, 1)
	go func() {
		var nc net.Conn
		if nc, err = ln.Accept(); err == nil {
			defer nc.Close()
			_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
			b := make([]byte, 6)
			_, err = io.ReadFull(nc, b)
			got <- string(b)
		}
		close(got)
	}()
	s, err := newSealer(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := s.seal(nil, typeData, "abc")
	b = s.seal(s.keyUpdate(b), typeData, "def")
	if _, err := s.Write(b); err != nil {
		t.Fatal(err)
	}
	if text := <-got; text != "abcdef" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// The server can verify the tokens, and the hello is a whole record.
func TestPropsOfAttacks(t *testing.T) {
	p, err := newProps()
	if err != nil {
		t.Fatal(err)
	}
	defer p.remove()
	for _, name := range []string{tokenKey, strangerKey} {
		if text, err := token(p.dir, name, "k", time.Hour); err != nil || strings.Count(text, ".") != 2 {
			t.Errorf("%q, %v", text, err)
		}
	}
	if h := hello(); len(h) < 100 || h[0] != typeHandshake || len(h) != 5+int(h[3])<<8+int(h[4]) {
		t.Errorf("%d bytes: %x", len(h), h)
	}
	for _, g := range groups {
		if keys := p.fill(g.on.keys); strings.Contains(keys, "{") {
			t.Errorf("%s: %s", g.name, keys)
		}
	}
}
