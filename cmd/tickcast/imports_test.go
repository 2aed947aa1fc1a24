package main

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "tickcast"

// mayImport are the arrows between the packages of this module; a command may import all of them.
var mayImport = map[string][]string{
	"wsproto":   {},
	"broadcast": {"wsproto"},
	"eventloop": {"wsproto", "broadcast"},
	"loadtest":  {"wsproto"},

	"loadtest/report": {"loadtest"},
}

// onlyIn are the files that may import a library, by the start of its path. An entry that ends in / is a directory.
var onlyIn = map[string][]string{
	"github.com/panjf2000/gnet/":     {"eventloop/"},
	"github.com/nats-io/nats.go":     {"broadcast/nats.go", "broadcast/stream.go", "loadtest/publisher.go"},
	"github.com/nats-io/nats-server": {"cmd/tickcast/"},
	"github.com/pelletier/go-toml/":  {"cmd/"},
	"github.com/HdrHistogram/":       {"loadtest/"},
	"gonum.org/":                     {"loadtest/report/"},
	"github.com/prometheus/":         {"cmd/tickcast/", "loadtest/metrics.go"},
}

// TestImportRule holds the packages to the arrows.
func TestImportRule(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		if strings.HasPrefix(name, "cmd/") {
			continue
		}
		allowed, ok := mayImport[name]
		if !ok {
			t.Errorf("package %s is not on the map", p.ImportPath)
		}
		seen++
		for _, i := range p.Imports {
			if dep, ours := strings.CutPrefix(i, module+"/"); ours && !slices.Contains(allowed, dep) {
				t.Errorf("%s imports %s", p.ImportPath, i)
			}
		}
	}
	if seen != len(mayImport) {
		t.Errorf("go list shows %d of the %d packages", seen, len(mayImport))
	}
}

// isModule reports whether a directory is a Go module of its own.
func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// TestLibraryRule holds libraries to the files that may know them. Tests may use what they like.
func TestLibraryRule(t *testing.T) {
	root := filepath.Join("..", "..")
	found := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root:
			return filepath.SkipDir
		case d.IsDir() && path != root && isModule(path):
			return filepath.SkipDir // it may know what it likes
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			for library, places := range onlyIn {
				if !strings.HasPrefix(imported, library) {
					continue
				}
				found[library] = true
				if !slices.ContainsFunc(places, func(p string) bool {
					return name == p || strings.HasSuffix(p, "/") && strings.HasPrefix(name, p)
				}) {
					t.Errorf("%s imports %s", name, imported)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for library := range onlyIn {
		if !found[library] {
			t.Errorf("nothing imports %s: the rule is out of date", library)
		}
	}
}
