package wsproto

import (
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The tests that docs/strictness.md names exist, and each error is in one of its rows: see its introduction.
func TestStrictness(t *testing.T) {
	doc, err := os.ReadFile("../docs/strictness.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range readEvidence(t).check(string(doc)) {
		t.Error(problem)
	}
}

// evidence holds the names that the rows of the tables may refer to.
type evidence struct {
	tests     map[string]map[string]bool // by package and name: the strings in the test and in its package's variables that it names
	vectors   map[string]bool            // file/rfc name
	sentinels map[string]int             // close code or HTTP status, 0 for errors of a client only
}

var (
	quoted    = regexp.MustCompile("`([^`]+)`")
	sentinel  = regexp.MustCompile("(?:([0-9]+) )?`(Err[A-Za-z0-9]+)`")
	separator = regexp.MustCompile(`^[|\- ]+$`)
)

// check returns the problems of doc's tables.
func (e *evidence) check(doc string) (problems []string) {
	problem := func(row, format string, args ...any) {
		problems = append(problems, fmt.Sprintf("%.60q...: %s", row, fmt.Sprintf(format, args...)))
	}
	missing := make(map[string]bool)
	for name := range e.sentinels {
		missing[name] = true
	}
	rows, before := 0, ""
	for line := range strings.Lines(doc) {
		line = strings.TrimSpace(line)
		heading := !strings.HasPrefix(before, "|")
		before = line
		if !strings.HasPrefix(line, "|") || heading || separator.MatchString(line) {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 4 {
			problem(line, "%d cells, want 4", len(cells))
			continue
		}
		for _, m := range sentinel.FindAllStringSubmatch(cells[2], -1) {
			code, name := m[1], m[2]
			want, ok := e.sentinels[name]
			if !ok {
				problem(line, "no error %s", name)
			} else if want != 0 && code != strconv.Itoa(want) {
				problem(line, "%s comes with %d, not with %q", name, want, code)
			}
			delete(missing, name)
		}
		held := strings.TrimSpace(cells[3])
		if reason, ok := strings.CutPrefix(held, "none:"); ok && strings.TrimSpace(reason) != "" {
			continue
		}
		names := quoted.FindAllStringSubmatch(held, -1)
		if len(names) == 0 {
			problem(line, "neither a test nor a reason")
		}
		for _, m := range names {
			if !e.hasTest(m[1]) {
				problem(line, "no test %s", m[1])
			}
		}
	}
	if rows == 0 {
		problems = append(problems, "no rows")
	}
	for name := range missing {
		problems = append(problems, "no row says when "+name+" comes")
	}
	slices.Sort(problems)
	return problems
}

// hasTest reports whether a test, a row of a test's table or a vector has that name.
func (e *evidence) hasTest(name string) bool {
	test, row, isRow := strings.Cut(name, "/")
	literals, ok := e.tests[test]
	switch {
	case !ok || !isRow:
		return ok
	case test == "TestVectors":
		return e.vectors[row]
	}
	return literals[row]
}

func readEvidence(t *testing.T) *evidence {
	t.Helper()
	e := &evidence{tests: make(map[string]map[string]bool), vectors: make(map[string]bool), sentinels: make(map[string]int)}
	dirs := make(map[string]bool)
	for _, depth := range []string{"../*", "../*/*"} {
		files, _ := filepath.Glob(depth + "/*_test.go")
		for _, file := range files {
			dirs[filepath.Dir(file)] = true
		}
	}
	for dir := range dirs {
		prefix := filepath.Base(dir) + "."
		if prefix == "wsproto." {
			prefix = ""
		}
		e.readTests(t, dir, prefix)
	}
	for _, v := range readVectors(t) {
		e.vectors[v.file+"/"+v.rfc+" "+v.name] = true
	}
	for _, file := range parseFiles(t, ".", false) {
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != gotoken.VAR {
				continue
			}
			for _, spec := range g.Specs {
				if name := spec.(*ast.ValueSpec).Names[0].Name; strings.HasPrefix(name, "Err") {
					e.sentinels[name] = 0
				}
			}
		}
	}
	for _, p := range protocolErrors {
		e.sentinels[p.name] = int(p.code)
	}
	for _, r := range requestErrors {
		e.sentinels[r.name] = r.status
	}
	return e
}

// readTests adds the tests of the package in dir, with prefix before their names.
func (e *evidence) readTests(t *testing.T, dir, prefix string) {
	t.Helper()
	named := make(map[string]ast.Node) // the package's variables
	var tests []*ast.FuncDecl
	for _, file := range parseFiles(t, dir, true) {
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && (strings.HasPrefix(d.Name.Name, "Test") || strings.HasPrefix(d.Name.Name, "Fuzz")) {
					tests = append(tests, d)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == gotoken.VAR {
						named[v.Names[0].Name] = v
					}
				}
			}
		}
	}
	for _, f := range tests {
		literals := make(map[string]bool)
		var collect func(ast.Node) bool
		collect = func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if n.Kind == gotoken.STRING {
					s, _ := strconv.Unquote(n.Value)
					literals[s] = true
				}
			case *ast.Ident:
				if v := named[n.Name]; v != nil {
					delete(named, n.Name) // it may refer to itself
					ast.Inspect(v, collect)
					named[n.Name] = v
				}
			}
			return true
		}
		ast.Inspect(f, collect)
		e.tests[prefix+f.Name.Name] = literals
	}
}

func parseFiles(t *testing.T, dir string, tests bool) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(dir + "/*.go")
	if err != nil || len(names) == 0 {
		t.Fatal(dir, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") != tests {
			continue
		}
		f, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// The check finds each kind of problem.
func TestStrictnessFinds(t *testing.T) {
	e := &evidence{
		tests:     map[string]map[string]bool{"TestA": {"row": true}, "eventloop.TestB": {}, "TestVectors": {}},
		vectors:   map[string]bool{"frames.txt/5.2 RSV1": true},
		sentinels: map[string]int{"ErrOne": 1002, "ErrTwo": 0},
	}
	const head = "| § | rule | what happens | held by |\n|---|---|---|---|\n"
	good := "| 1 | a | 1002 `ErrOne` | `TestA`, `TestA/row`, `TestVectors/frames.txt/5.2 RSV1` |\n| 2 | b | `ErrTwo` | `eventloop.TestB` |\n"
	for _, row := range []struct{ name, doc, want string }{
		{"nothing", head + good, ""},
		{"a reason", head + good + "| 3 | c | d | none: it is the client's |", ""},
		{"no reason", head + good + "| 3 | c | d | none: |", "neither a test"},
		{"an empty cell", head + good + "| 3 | c | d |  |", "neither a test"},
		{"words instead of a test", head + good + "| 3 | c | d | TestA |", "neither a test"},
		{"no such test", head + good + "| 3 | c | d | `TestA`, `TestC` |", "no test TestC"},
		{"a test of another package", head + good + "| 3 | c | d | `TestB` |", "no test TestB"},
		{"no such row", head + good + "| 3 | c | d | `TestA/no` |", "no test TestA/no"},
		{"no such vector", head + good + "| 3 | c | d | `TestVectors/frames.txt/5.2 RSV9` |", "no test TestVectors"},
		{"no such error", head + good + "| 3 | c | 1002 `ErrNone` | `TestA` |", "no error ErrNone"},
		{"another code", head + good + "| 3 | c | 1007 `ErrOne` | `TestA` |", "comes with 1002"},
		{"an error without its code", head + good + "| 3 | c | `ErrOne` | `TestA` |", "comes with 1002"},
		{"a cell too many", head + good + "| 3 | c | d | `TestA` | e |", "5 cells"},
		{"an error that no row has", head + strings.SplitAfter(good, "\n")[0] + "\n`ErrTwo`", "ErrTwo comes"},
		{"an empty table", head, "no rows"},
	} {
		got := strings.Join(e.check(row.doc), "\n")
		if (got == "") != (row.want == "") || !strings.Contains(got, row.want) {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}
