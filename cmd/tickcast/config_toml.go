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
	file     string
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
	d := document{file: file, lines: keyLines(data), keys: map[string]key{}, from: from}
	for _, k := range c.keys() {
		d.keys[k.path] = k
		if s := k.section(); !slices.Contains(d.sections, s) {
			d.sections = append(d.sections, s)
		}
	}
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
				d.problems = append(d.problems, &keyError{at, d.where(at), err})
			}
		case !slices.Contains(d.sections, at):
			d.problems = append(d.problems, d.unknown(path, name, x))
		case isTable:
			d.table(sub, at)
		default:
			d.problems = append(d.problems, fmt.Errorf("%s: [%s] is a section, not a key", d.where(at), at))
		}
	}
}

// unknown returns the error for a name that the table at path should not have, with the name that was probably meant.
func (d *document) unknown(path, name string, x any) error {
	at := join(path, name)
	if list, ok := x.([]any); ok && len(list) > 0 {
		x = list[0] // [[topic]]
	}
	if _, isTable := x.(map[string]any); isTable {
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
	if path != "" {
		in = "in [" + path + "]"
	}
	hint := didYouMean(name, here)
	if len(elsewhere) > 0 {
		hint = fmt.Sprintf("%q belongs in %s", name, strings.Join(elsewhere, " or "))
	}
	return withHint(fmt.Errorf("%s: unknown key %q %s", d.where(at), name, in), hint)
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
	skeleton := reflect.New(tablesOnly(reflect.TypeFor[Config]())).Interface()
	err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(skeleton)
	note := func(e *toml.DecodeError) {
		line, _ := e.Position()
		for n := range e.Key() { // the tables of a.b.c = 1 have no line of their own
			path := strings.Join(e.Key()[:n+1], ".")
			if _, ok := lines[path]; !ok {
				lines[path] = line
			}
		}
	}
	var missing *toml.StrictMissingError
	var other *toml.DecodeError
	switch {
	case errors.As(err, &missing):
		for i := range missing.Errors {
			note(&missing.Errors[i])
		}
	case errors.As(err, &other): // a key in place of a table
		note(other)
	}
	return lines
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
