package machine

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

// writeProc lays out files as a procfs.
func writeProc(t *testing.T, files map[string]string) procDir {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return procDir(root)
}

func TestProcfs(t *testing.T) {
	p := writeProc(t, map[string]string{
		"three":        "1\t2\t 18446744073709551615\n",
		"word":         "1 x",
		"meminfo":      "Slab:  3 kB\nOther: 4 kB\n",
		"net/sockstat": "sockets: used 13\nTCP: inuse 1 orphan 2 mem 3\nTCP6: inuse 9\n",
	})
	var a, b, c int64
	if err := p.numbers("three", &a, &b, &c); err != nil || a != 1 || b != 2 || c != math.MaxInt64 {
		t.Errorf("%d %d %d, %v", a, b, c, err)
	}
	d := int64(7)
	if err := p.numbers("missing", &d); err != nil || d != 7 {
		t.Errorf("a missing file: %d, %v", d, err)
	}
	for _, name := range []string{"word", "net/sockstat"} {
		if err := p.numbers(name, &a, &b, &c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if m, err := p.meminfo(); err != nil || bytesOf(m.SlabBytes) != 3<<10 || bytesOf(m.MemTotalBytes) != 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err := writeProc(t, map[string]string{"meminfo": "Slab: x kB\n"}).meminfo(); err == nil {
		t.Errorf("x kB is no error: %+v", m)
	}
	if sockets, pages, err := p.tcpSockets("TCP"); err != nil || sockets != 1 || pages != 3 {
		t.Errorf("%d, %d, %v", sockets, pages, err)
	}
	if sockets, pages, err := p.tcpSockets("TCP6"); err != nil || sockets != 0 || pages != 0 {
		t.Errorf("%d, %d, %v", sockets, pages, err)
	}
	if sockets, _, err := writeProc(t, map[string]string{"net/sockstat": "TCP: inuse x\n"}).tcpSockets("TCP"); err == nil {
		t.Errorf("%d", sockets)
	}
	if err := os.Mkdir(filepath.Join(string(p), "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := p.numbers("dir", &a); err == nil {
		t.Error("a directory was read")
	}
}
