package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"tickcast/cmd/message"
)

// A document is a TOML file that is applied to a Config.
type document struct {
	config   *Config
	file     string
	class    string         // if it is one class of topics of a file: the name of the class
	lines    map[string]int // path of a key or table: its line, from 1
	keys     map[string]key // all keys that exist, by path
	sections []string       // all tables that exist
	problems []error
}

// applyTOML sets the keys of c that are in data, a TOML text; file is its name in messages. The error is a syntax error alone,
// or joins all problems: unknown keys, unknown sections and values of a wrong type.
func applyTOML(c *Config, file string, data []byte) error {
	content := map[string]any{}
	if err := toml.Unmarshal(data, &content); err != nil {
		var syntax *toml.DecodeError
		if errors.As(err, &syntax) {
			line, _ := syntax.Position()
			return fmt.Errorf("%s:%d: %s", file, line, strings.TrimPrefix(syntax.Error(), "toml: "))
		}
		return fmt.Errorf("%s: %w", file, err)
	}
	d := document{config: c, file: file, lines: keyLines(data), keys: map[string]key{}}
	for _, k := range c.keys() {
		d.keys[k.path] = k
		if s := k.section(); !slices.Contains(d.sections, s) {
			d.sections = append(d.sections, s)
		}
	}
	d.sections = append(d.sections, classTable)
	d.applyTable(content, "")
	return errors.Join(d.problems...)
}

// applyTable assigns the keys of the table at path, "" for the top.
func (d *document) applyTable(content map[string]any, path string) {
	names := slices.SortedFunc(maps.Keys(content), func(a, b string) int {
		return cmp.Or(cmp.Compare(d.lines[join(path, a)], d.lines[join(path, b)]), cmp.Compare(a, b))
	})
	for _, name := range names {
		keyPath, x := join(path, name), content[name]
		k, isKey := d.keys[keyPath]
		sub, isTable := x.(map[string]any)
		switch {
		case isKey:
			d.config.from[keyPath] = d.where(keyPath)
			if err := k.assignTOML(x); err != nil {
				d.add(&keyError{keyPath, d.class, d.where(keyPath), err})
			}
		case !slices.Contains(d.sections, keyPath):
			d.add(d.unknown(path, name, x))
		case keyPath == classTable:
			d.applyClasses(x)
		case isTable:
			d.applyTable(sub, keyPath)
		default:
			d.add(fmt.Errorf("%s: [%s] is a section, not a key", d.where(keyPath), keyPath))
		}
	}
}

// applyClasses assigns the classes of topics; x is the value of topic in the file.
func (d *document) applyClasses(x any) {
	list, ok := x.([]any)
	if !ok {
		err := fmt.Errorf("%s: %s: expects a list of tables, not %s", d.where(classTable), classTable, kindOf(x))
		d.add(message.WithHint(err, "begin each class of topics with [[topic]]"))
		return
	}
	for i, x := range list {
		if _, ok := x.(map[string]any); !ok {
			d.add(fmt.Errorf("%s: %s: expects a list of tables, but element %d is %s",
				d.where(classTable), classTable, i+1, kindOf(x)))
			return
		}
	}
	d.config.Classes = nil
	for range list {
		d.config.Classes = append(d.config.Classes, defaultClass(""))
	}
	for i, x := range list {
		d.applyClass(i, x.(map[string]any))
	}
}

// applyClass assigns the i-th class of topics. Keys of inline tables have no line; they get the line of their class or, if it
// has none either, that of the list.
func (d *document) applyClass(i int, content map[string]any) {
	path, c := classPath(i), &d.config.Classes[i]
	d.lines[path] = cmp.Or(d.lines[path], d.lines[classTable])
	for name := range content {
		keyPath := join(path, name)
		d.lines[keyPath] = cmp.Or(d.lines[keyPath], d.lines[path])
	}
	match, _ := content["match"].(string)
	part := document{config: d.config, file: d.file, class: className(i, match), lines: d.lines, keys: map[string]key{}}
	for _, k := range d.config.classKeys(i) {
		part.keys[k.path] = k
	}
	d.config.from[path] = d.where(path)
	c.Subscribe = ""
	part.applyTable(content, path)
	d.add(part.problems...)
	switch {
	case c.Subscribe != "":
	case c.Delay > 0:
		c.Subscribe = "always"
	default:
		c.Subscribe = defaultClass("").Subscribe
	}
}

// unknown returns the error for a name that the table at path does not have, with a hint at the name that was probably meant.
func (d *document) unknown(path, name string, x any) error {
	keyPath := join(path, name)
	if list, ok := x.([]any); ok && len(list) > 0 {
		x = list[0] // [[server]]
	}
	if _, isTable := x.(map[string]any); isTable && d.class == "" {
		return message.WithHint(fmt.Errorf("%s: unknown section [%s]", d.where(keyPath), keyPath), didYouMean(keyPath, d.sections))
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
	case d.class != "":
		in = fmt.Sprintf("in [[%s]] %s", classTable, d.class)
	case path != "":
		in = "in [" + path + "]"
	}
	hint := didYouMean(name, here)
	if hint == "" && isClassKey(name) {
		elsewhere = append(elsewhere, "[["+classTable+"]]")
	}
	if len(elsewhere) > 0 {
		hint = fmt.Sprintf("%q belongs in %s", name, strings.Join(elsewhere, " or "))
	}
	return message.WithHint(fmt.Errorf("%s: unknown key %q %s", d.where(keyPath), name, in), hint)
}

// isClassKey reports whether name is a key of classes of topics.
func isClassKey(name string) bool {
	c := Config{Classes: make([]Class, 1)}
	return slices.ContainsFunc(c.classKeys(0), func(k key) bool { return k.name() == name })
}

// add appends problems.
func (d *document) add(problems ...error) { d.problems = append(d.problems, problems...) }

// where returns the origin of the key at path, "config.toml:12", or the file alone for keys of inline tables.
func (d *document) where(path string) string {
	if line := d.lines[path]; line > 0 {
		return fmt.Sprintf("%s:%d", d.file, line)
	}
	return d.file
}
