package config

import (
	"cmp"
	"slices"

	"github.com/pelletier/go-toml/v2/unstable"
)

// keyLines returns, by path, the line from 1 on which each key and each table of data is first named. data is valid TOML.
// The keys of a class of topics have the path of their class. Keys inside inline tables have no entry.
func keyLines(data []byte) map[string]int {
	lines := map[string]int{}
	var table []string // names of the table that the parser is in
	classes := 0       // [[topic]] so far
	var p unstable.Parser
	p.Reset(data)
	for p.NextExpression() {
		e := p.Expression()
		var names []string
		line := 0
		for it := e.Key(); it.Next(); {
			names = append(names, string(it.Node().Data))
			line = cmp.Or(line, p.Shape(it.Node().Raw).Start.Line)
		}
		if e.Kind == unstable.KeyValue {
			names = slices.Concat(table, names)
		} else {
			table = names
		}
		if e.Kind == unstable.ArrayTable && len(names) == 1 && names[0] == classTable {
			classes++
		}
		path := ""
		for _, name := range names {
			path = join(path, name)
			lines[path] = cmp.Or(lines[path], line)
			if path == classTable && classes > 0 {
				path = classPath(classes - 1)
				lines[path] = cmp.Or(lines[path], line)
			}
		}
	}
	return lines
}
