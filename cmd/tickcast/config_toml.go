package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// A document is one TOML file on its way into a Config.
type document struct {
	config   *Config
	file     string
	of       string         // for the part of a document that is a class of topics: its name
	lines    map[string]int // path of a key or table: its line, from 1
	keys     map[string]key // all that exist, by path
	sections []string       // all tables that exist
	from     origins
	problems []error
}

// applyTOML sets in c what the TOML text data says and notes in from where each key stands. file is its name in messages.
// It returns all problems joined: a syntax error alone, else unknown keys, unknown sections and values of a wrong type.
func applyTOML(c *Config, from origins, file string, data []byte) error {
	content := map[string]any{}
	if err := toml.Unmarshal(data, &content); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			line, _ := at.Position()
			return fmt.Errorf("%s:%d: %s", file, line, strings.TrimPrefix(at.Error(), "toml: "))
		}
		return fmt.Errorf("%s: %w", file, err)
	}
	d := document{config: c, file: file, lines: keyLines(data), keys: map[string]key{}, from: from}
	topicLines(d.lines, data)
	for _, k := range c.keys() {
		d.keys[k.path] = k
		if s := k.section(); !slices.Contains(d.sections, s) {
			d.sections = append(d.sections, s)
		}
	}
	d.sections = append(d.sections, topicTable)
	d.table(content, "")
	return errors.Join(d.problems...)
}

// table assigns what stands in the table at path, "" for the top.
func (d *document) table(content map[string]any, path string) {
	names := make([]string, 0, len(content))
	for name := range content {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(d.lines[join(path, a)], d.lines[join(path, b)]), cmp.Compare(a, b))
	})
	for _, name := range names {
		at, x := join(path, name), content[name]
		k, isKey := d.keys[at]
		sub, isTable := x.(map[string]any)
		switch {
		case isKey:
			d.from[at] = d.where(at)
			if err := k.assignTOML(x); err != nil {
				d.problems = append(d.problems, &keyError{at, d.of, d.where(at), err})
			}
		case !slices.Contains(d.sections, at):
			d.problems = append(d.problems, d.unknown(path, name, x))
		case at == topicTable:
			d.topics(x)
		case isTable:
			d.table(sub, at)
		default:
			d.problems = append(d.problems, fmt.Errorf("%s: [%s] is a section, not a key", d.where(at), at))
		}
	}
}

// topics assigns the classes of topics, x being all that the file has under their name.
func (d *document) topics(x any) {
	list, ok := x.([]any)
	if !ok {
		err := fmt.Errorf("%s: %s: expects a list of tables, not %s", d.where(topicTable), topicTable, kindOf(x))
		d.problems = append(d.problems, withHint(err, "begin each class of topics with [[topic]]"))
		return
	}
	for i, x := range list {
		if _, ok := x.(map[string]any); !ok {
			d.problems = append(d.problems, fmt.Errorf("%s: %s: expects a list of tables, but element %d is %s",
				d.where(topicTable), topicTable, i+1, kindOf(x)))
			return
		}
	}
	d.config.Topics = nil
	for range list {
		d.config.Topics = append(d.config.Topics, DefaultTopic(""))
	}
	for i, x := range list {
		d.topic(i, x.(map[string]any))
	}
}

// topic assigns the i-th class of topics. Keys of inline tables, whose line is not known, are told with that of the class,
// or with that of the list if it is not known either.
func (d *document) topic(i int, content map[string]any) {
	path, t := topicPath(i), &d.config.Topics[i]
	d.lines[path] = cmp.Or(d.lines[path], d.lines[topicTable])
	for name := range content {
		at := join(path, name)
		d.lines[at] = cmp.Or(d.lines[at], d.lines[path])
	}
	match, _ := content["match"].(string)
	part := document{file: d.file, of: topicName(i, match), lines: d.lines, keys: map[string]key{}, from: d.from}
	for _, k := range d.config.topicKeys(i) {
		part.keys[k.path] = k
	}
	d.from[path] = d.where(path)
	t.Subscribe = ""
	part.table(content, path)
	d.problems = append(d.problems, part.problems...)
	switch {
	case t.Subscribe != "":
	case t.Delay > 0:
		t.Subscribe = "always"
	default:
		t.Subscribe = "demand"
	}
}

// unknown returns the error for a name that the table at path should not have, with the name that was probably meant.
func (d *document) unknown(path, name string, x any) error {
	at := join(path, name)
	if list, ok := x.([]any); ok && len(list) > 0 {
		x = list[0] // [[server]]
	}
	if _, isTable := x.(map[string]any); isTable && d.of == "" {
		return withHint(fmt.Errorf("%s: unknown section [%s]", d.where(at), at), didYouMean(at, d.sections))
	}
	var here, elsewhere []string
	for _, k := range d.keys {
		switch {
		case k.section() == path:
			here = append(here, k.name())
		case k.name() == name:
			elsewhere = append(elsewhere, "["+k.section()+"]")
		}
	}
	slices.Sort(here)
	slices.Sort(elsewhere)
	in := "outside of any section"
	switch {
	case d.of != "":
		in = fmt.Sprintf("in [[%s]] %s", topicTable, d.of)
	case path != "":
		in = "in [" + path + "]"
	}
	hint := didYouMean(name, here)
	if hint == "" && isTopicKey(name) {
		elsewhere = append(elsewhere, "[["+topicTable+"]]")
	}
	if len(elsewhere) > 0 {
		hint = fmt.Sprintf("%q belongs in %s", name, strings.Join(elsewhere, " or "))
	}
	return withHint(fmt.Errorf("%s: unknown key %q %s", d.where(at), name, in), hint)
}

// isTopicKey reports whether classes of topics have a key of that name.
func isTopicKey(name string) bool {
	c := Config{Topics: make([]TopicConfig, 1)}
	return slices.ContainsFunc(c.topicKeys(0), func(k key) bool { return k.name() == name })
}

// where returns "config.toml:12" for the path of a key, or the file alone for keys of inline tables, whose line is not
// known.
func (d *document) where(path string) string {
	if line := d.lines[path]; line > 0 {
		return fmt.Sprintf("%s:%d", d.file, line)
	}
	return d.file
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// keyLines returns the line of every key and unknown table in data by path. It decodes into the tables of Config without
// their keys, so that to the strict decoder each key is one that it must report, with its position.
func keyLines(data []byte) map[string]int {
	lines := map[string]int{}
	for _, e := range missing(data, reflect.New(tablesOnly(reflect.TypeFor[Config]())).Interface()) {
		line, _ := e.Position()
		for n := range e.Key() { // the tables of a.b.c = 1 have no line of their own
			path := strings.Join(e.Key()[:n+1], ".")
			if _, ok := lines[path]; !ok {
				lines[path] = line
			}
		}
	}
	return lines
}

// topicLines adds to lines that of every class of topics in data and of each of its keys. The decoder does not tell which
// class a key is in: it is in the last one that began above it.
func topicLines(lines map[string]int, data []byte) {
	var begins []int
	for _, e := range missing(data, &struct{}{}) {
		if line, _ := e.Position(); slices.Equal(e.Key(), toml.Key{topicTable}) {
			begins = append(begins, line)
			lines[topicPath(len(begins)-1)] = line
			lines[topicTable] = begins[0] // keyLines may have given up above it
		}
	}
	var withoutKeys struct {
		Topics []struct{} `toml:"topic"`
	}
	for _, e := range missing(data, &withoutKeys) {
		line, _ := e.Position()
		n, _ := slices.BinarySearch(begins, line)
		if n == 0 || len(e.Key()) < 2 || e.Key()[0] != topicTable {
			continue
		}
		path := join(topicPath(n-1), e.Key()[1])
		lines[path] = cmp.Or(lines[path], line)
	}
}

// missing returns what the strict decoder finds in data that skeleton, a pointer to a struct, has no field for. It gives up
// at a key in place of a table and returns that one alone.
func missing(data []byte, skeleton any) []toml.DecodeError {
	err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(skeleton)
	var strict *toml.StrictMissingError
	var other *toml.DecodeError
	switch {
	case errors.As(err, &strict):
		return strict.Errors
	case errors.As(err, &other):
		return []toml.DecodeError{*other}
	}
	return nil
}

// tablesOnly returns the struct type t without its keys.
func tablesOnly(t reflect.Type) reflect.Type {
	var fields []reflect.StructField
	for i := range t.NumField() {
		if f := t.Field(i); f.Type.Kind() == reflect.Struct {
			fields = append(fields, reflect.StructField{Name: f.Name, Type: tablesOnly(f.Type), Tag: f.Tag})
		}
	}
	return reflect.StructOf(fields)
}
