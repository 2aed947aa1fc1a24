package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "tickcast/"

// mayImport is the map of arrows: for each package of this module, the packages of this module that it may import. The
// arrows form no cycle. Imports of tests do not count.
var mayImport = map[string]string{
	"wsproto":   "",
	"client":    "", // so that programs that use it contain no server
	"client/js": "",

	"client/proxytest": "", // for tests
	"examples/go":      "client",

	"broadcast/subject":       "",
	"broadcast/wire":          "wsproto",
	"broadcast/topics":        "broadcast/wire broadcast/subject wsproto",
	"broadcast/jetstream":     "broadcast/subject",
	"broadcast/upstream":      "broadcast/topics broadcast/jetstream",
	"broadcast/auth":          "broadcast/subject",
	"broadcast/auth/authtest": "broadcast/auth", // for tests
	"broadcast":               "broadcast/auth broadcast/topics broadcast/wire broadcast/subject wsproto",
	"broadcast/wire/wiretest": "broadcast/wire wsproto", // for tests
	"broadcast/sim":           "broadcast broadcast/topics broadcast/wire broadcast/subject wsproto",
	"broadcast/natstest":      "", // for tests
	"eventloop":               "broadcast broadcast/auth broadcast/topics broadcast/wire eventloop/admission eventloop/tlsrecord wsproto",
	"eventloop/admission":     "",
	"eventloop/tlsrecord":     "",

	"cmd/message":         "",
	"cmd/tickcast/config": "broadcast/auth broadcast/topics broadcast/wire broadcast/subject eventloop/admission wsproto cmd/message",
	"cmd/tickcast/web":    "client/js",
	"cmd/tickcast": "cmd/tickcast/config cmd/tickcast/web eventloop eventloop/admission broadcast broadcast/auth broadcast/topics broadcast/upstream broadcast/wire " +
		"loadtest/feed wsproto cmd/message",

	"loadtest/feed":    "",
	"loadtest/machine": "",
	"loadtest/bare":    "wsproto",
	"loadtest/fleet":   "loadtest/machine eventloop/tlsrecord wsproto",
	"loadtest":         "loadtest/fleet loadtest/feed loadtest/machine loadtest/bare",
	"loadtest/attack":  "loadtest/fleet wsproto",
	"loadtest/report":  "loadtest",
	"loadtest/bench":   "loadtest loadtest/fleet loadtest/feed loadtest/machine loadtest/bare",
	"cmd/tickload":     "loadtest loadtest/report cmd/message",
}

// mayUse lists the packages that may import a library, by the start of its path.
var mayUse = map[string]string{
	"github.com/panjf2000/gnet/":           "eventloop",
	"github.com/nats-io/nats.go":           "broadcast/upstream broadcast/jetstream broadcast/natstest loadtest/feed",
	"github.com/nats-io/nats-server/":      "cmd/tickcast broadcast/natstest",
	"github.com/coder/websocket":           "client",
	"github.com/golang-jwt/jwt/":           "broadcast/auth",
	"github.com/MicahParks/keyfunc/":       "broadcast/auth",
	"github.com/pelletier/go-toml/":        "cmd/tickcast/config",
	"github.com/HdrHistogram/":             "loadtest loadtest/fleet",
	"github.com/klauspost/compress/":       "wsproto",
	"github.com/prometheus/client_golang/": "cmd/tickcast",
	"github.com/prometheus/common/":        "loadtest",
	"github.com/prometheus/procfs":         "loadtest/machine",
	"golang.org/x/crypto/acme":             "cmd/tickcast",
	"golang.org/x/sys/unix":                "broadcast/upstream eventloop loadtest/machine loadtest/bare loadtest/fleet loadtest/report cmd/tickload",
}

// mayUseOnly lists the packages of the standard library that small packages may import: without net, os, time and log.
var mayUseOnly = map[string]string{
	"wsproto":           "bytes crypto/sha1 encoding/base64 encoding/binary errors fmt io math/bits slices sync unicode/utf8",
	"broadcast/subject": "errors fmt reflect slices strconv strings unicode unicode/utf8",
}

// imports returns the imports of each package of this module. Names are without the name of the module.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := make(map[string][]string)
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[strings.TrimPrefix(p.ImportPath, module)] = p.Imports
	}
}

// TestImportRule holds the packages to the arrows.
func TestImportRule(t *testing.T) {
	packages := imports(t)
	for name, imported := range packages {
		row, ok := mayImport[name]
		if !ok {
			t.Errorf("package %s is not on the map", name)
		}
		for _, i := range imported {
			other, ours := strings.CutPrefix(i, module)
			if ours && !slices.Contains(strings.Fields(row), other) {
				t.Errorf("%s imports %s", name, other)
			}
		}
	}
	for name := range mayImport {
		if _, ok := packages[name]; !ok {
			t.Errorf("there is no package %s: the map is out of date", name)
		}
	}
}

// TestLibraryRule holds libraries to the packages that may import them, and small packages to a few of the standard library.
func TestLibraryRule(t *testing.T) {
	used := make(map[string]bool)
	for name, imported := range imports(t) {
		few, isSmall := mayUseOnly[name]
		for _, i := range imported {
			first, _, _ := strings.Cut(i, "/")
			isLibrary := strings.Contains(first, ".")
			if isSmall && !isLibrary && !slices.Contains(strings.Fields(few), i) && !strings.HasPrefix(i, module) {
				t.Errorf("%s imports %s", name, i)
			}
			if !isLibrary {
				continue
			}
			allowed := false
			for library, places := range mayUse {
				if strings.HasPrefix(i, library) {
					used[library] = true
					allowed = allowed || slices.Contains(strings.Fields(places), name)
				}
			}
			if !allowed {
				t.Errorf("%s imports %s", name, i)
			}
		}
	}
	for library := range mayUse {
		if !used[library] {
			t.Errorf("nothing imports %s: the rule is out of date", library)
		}
	}
}

// The table of packages in README.md is the map of arrows, but for the packages that serve tests alone.
func TestReadmeHasTheMap(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	last := func(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
	rows := make(map[string][]string)
	_, table, _ := strings.Cut(string(readme), "| package | task | may import |\n")
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			break
		}
		var names []string
		for name := range strings.SplitSeq(cells[3], ",") {
			if name = strings.TrimSpace(name); name != "" {
				names = append(names, last(name))
			}
		}
		slices.Sort(names)
		rows[strings.TrimSpace(cells[1])] = names
	}
	for name, arrows := range mayImport {
		if strings.HasSuffix(name, "test") && name != "loadtest" {
			continue
		}
		var want []string
		for _, to := range strings.Fields(arrows) {
			want = append(want, last(to))
		}
		slices.Sort(want)
		if got, there := rows[name]; !there || !slices.Equal(got, want) {
			t.Errorf("the row of %s names %q, the map %q", name, got, want)
		}
		delete(rows, name)
	}
	for name := range rows {
		if strings.Trim(name, "-") != "" {
			t.Errorf("the table has a row of %s, which is no package", name)
		}
	}
}
