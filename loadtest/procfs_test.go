package loadtest

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// writeProc lays out files as a procfs.
func writeProc(t *testing.T, files map[string]string) procfs {
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
	return procfs(root)
}

func TestProcfs(t *testing.T) {
	p := writeProc(t, map[string]string{
		"three": "1\t2\t 18446744073709551615\n",
		"word":  "1 x",
		"sizes": "Slab:  3 kB\nOther: x kB\nSlabs: 4 kB\n",
		"size":  "Slab: x kB\n",
		"stat":  "sockets: used 13\nTCP: inuse 1 orphan 2 mem 3\nTCP6: inuse 9\n",
		"stats": "TCP: inuse x\n",
	})
	var a, b, c int64
	if err := p.numbers("three", &a, &b, &c); err != nil || a != 1 || b != 2 || c != math.MaxInt64 {
		t.Errorf("%d %d %d, %v", a, b, c, err)
	}
	d := int64(7)
	if err := p.numbers("missing", &d); err != nil || d != 7 {
		t.Errorf("a missing file: %d, %v", d, err)
	}
	for _, name := range []string{"word", "stat"} {
		if err := p.numbers(name, &a, &b, &c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := p.kilobytes("sizes", map[string]*int64{"Slab:": &a, "None:": &d}); err != nil || a != 3<<10 || d != 7 {
		t.Errorf("%d %d, %v", a, d, err)
	}
	if err := p.kilobytes("size", map[string]*int64{"Slab:": &a}); err == nil {
		t.Error("x kB is no error")
	}
	want := map[string]int64{"inuse": 1, "orphan": 2, "mem": 3}
	if got, err := p.sockets("stat", "TCP"); err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := p.sockets("stat", "SCTP"); err != nil || got != nil {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := p.sockets("stats", "TCP"); err == nil {
		t.Errorf("%v", got)
	}
	if err := os.Mkdir(filepath.Join(string(p), "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := p.numbers("dir", &a); err == nil {
		t.Error("a directory was read")
	}
}
