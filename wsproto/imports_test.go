package wsproto

import (
	"go/parser"
	gotoken "go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The package has no I/O, no clock and no logging. The imports of this list do none here: io is needed for the interfaces
// of the flate package, and sync for its pool.
func TestImports(t *testing.T) {
	allowed := map[string]bool{
		"bytes":           true,
		"crypto/sha1":     true,
		"encoding/base64": true,
		"encoding/binary": true,
		"errors":          true,
		"fmt":             true,
		"io":              true,
		"math/bits":       true,
		"slices":          true,
		"sync":            true,
		"unicode/utf8":    true,

		"github.com/klauspost/compress/flate": true,
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		checked++
		f, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			if path, err := strconv.Unquote(spec.Path.Value); err != nil || !allowed[path] {
				t.Errorf("%s imports %s", file, spec.Path.Value)
			}
		}
	}
	if checked == 0 {
		t.Error("no files")
	}
}
