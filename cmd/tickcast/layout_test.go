package main

import (
	"go/ast"
	"go/types"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// againstLimits are the percentages of pairs of files that may run against a package's list of files. A package that is not
// named here has no limit, but its list must be complete.
var againstLimits = map[string]int{
	"tickcast/broadcast/subject":   0,
	"tickcast/broadcast/wire":      0,
	"tickcast/broadcast/jetstream": 0,
	"tickcast/cmd/tickcast/config": 0,
	"tickcast/loadtest/machine":    0,
	"tickcast/loadtest/feed":       0,
	"tickcast/client":              14,
	"tickcast/broadcast/topics":    14,
	"tickcast/broadcast":           14,
	"tickcast/loadtest/fleet":      14,
	"tickcast/eventloop":           14,
}

// The order of a package's files is the list under "# Layout" in its doc.go: definitions before their users. A pair of files
// runs against the list if the first uses a name that the second, later one defines.
func TestFilesFollowTheirLists(t *testing.T) {
	pkgs, err := packages.Load(&packages.Config{
		Dir:  "../..",
		Mode: packages.NeedName | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports | packages.NeedExportFile,
	}, "./...")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pkgs {
		if len(p.Errors) > 0 {
			t.Fatal(p.Errors)
		}
		list := layoutOf(p)
		limit, limited := againstLimits[p.PkgPath]
		if list == nil {
			if limited {
				t.Errorf("%s: doc.go has no list of files under # Layout", p.PkgPath)
			}
			continue
		}
		for _, f := range p.Syntax {
			if name := fileOf(p, f); name != "doc.go" && !slices.Contains(list, name) {
				t.Errorf("%s: %s is not in the list of doc.go", p.PkgPath, name)
			}
		}
		pairs, against := 0, []string(nil)
		for pair, name := range filePairs(p) {
			pairs++
			if slices.Index(list, pair[0]) < slices.Index(list, pair[1]) {
				against = append(against, pair[0]+" uses "+name+" of "+pair[1])
			}
		}
		slices.Sort(against)
		t.Logf("%s: %d of %d pairs against the list", p.PkgPath, len(against), pairs)
		if limited && len(against)*100 > limit*pairs {
			t.Errorf("%s: more than %d %% of the pairs run against the list:\n%s", p.PkgPath, limit, strings.Join(against, "\n"))
		}
	}
}

var goFile = regexp.MustCompile(`\b[a-z0-9_]+\.go\b`)

// layoutOf returns the files of a package in the order of its list, or nil without a list.
func layoutOf(p *packages.Package) (list []string) {
	for _, f := range p.Syntax {
		_, text, _ := strings.Cut(f.Doc.Text(), "# Layout\n")
		text, _, _ = strings.Cut(text, "\n# ")
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "\t") { // a line of the list, not of the text around it
				list = append(list, goFile.FindAllString(line, -1)...)
			}
		}
	}
	return list
}

func fileOf(p *packages.Package, n ast.Node) string {
	return filepath.Base(p.Fset.Position(n.Pos()).Filename)
}

// filePairs returns the pairs of files of which the first uses a name that the second defines: functions, types, variables,
// methods and fields. The value is one such name.
func filePairs(p *packages.Package) map[[2]string]string {
	pairs := make(map[[2]string]string)
	for id, used := range p.TypesInfo.Uses {
		switch o := used.(type) {
		case *types.Var: // of a generic type, as it was declared
			used = o.Origin()
			if !o.IsField() && o.Parent() != p.Types.Scope() {
				continue
			}
		case *types.Func:
			used = o.Origin()
		case *types.TypeName, *types.Const:
			if used.Parent() != p.Types.Scope() {
				continue
			}
		default:
			continue
		}
		if used.Pkg() != p.Types {
			continue
		}
		from, to := fileOf(p, id), filepath.Base(p.Fset.Position(used.Pos()).Filename)
		if from != to && from != "doc.go" {
			pairs[[2]string{from, to}] = used.Name()
		}
	}
	return pairs
}
