package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The tests that the matrix of transports in docs/protocol.md names exist, in the packages that it names.
func TestTransportsNameTheirTests(t *testing.T) {
	doc, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, matrix, _ := strings.Cut(string(doc), "### Transports and features\n")
	matrix, _, _ = strings.Cut(matrix, "\n## ")
	names := regexp.MustCompile("(cmd |client )?`(broadcast\\.)?(Test\\w+)`").FindAllStringSubmatch(matrix, -1)
	if len(names) < 20 {
		t.Errorf("%d tests are named", len(names))
	}
	sources := make(map[string]string)
	for _, dir := range []string{"../../eventloop", "../../broadcast", "../../client", "."} {
		files, err := filepath.Glob(dir + "/*_test.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			sources[dir] += string(b)
		}
	}
	for _, n := range names {
		dir := "../../eventloop"
		switch {
		case n[1] == "client ":
			dir = "../../client"
		case n[1] != "":
			dir = "."
		case n[2] != "":
			dir = "../../broadcast"
		}
		if !strings.Contains(sources[dir], "\nfunc "+n[3]+"(") {
			t.Errorf("%s: no %s", dir, n[3])
		}
	}
}

// The tests that docs/client.md names for the Go client exist.
func TestGoClientNamesItsTests(t *testing.T) {
	doc, err := os.ReadFile("../../docs/client.md")
	if err != nil {
		t.Fatal(err)
	}
	_, matrix, _ := strings.Cut(string(doc), "client/*_test.go runs the Go client")
	names := regexp.MustCompile("`((Test|Fuzz)\\w+)`").FindAllStringSubmatch(matrix, -1)
	if len(names) < 20 {
		t.Errorf("%d tests are named", len(names))
	}
	files, err := filepath.Glob("../../client/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var sources strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sources.Write(b)
	}
	for _, n := range names {
		if !strings.Contains(sources.String(), "\nfunc "+n[1]+"(") {
			t.Errorf("client: no %s", n[1])
		}
	}
}
