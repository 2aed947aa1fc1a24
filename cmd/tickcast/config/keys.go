package config

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// envPrefix begins the environment variables that belong to this command.
const envPrefix = "TICKCAST_"

// classTable is the name of the array of tables that holds the classes of topics: [[topic]] in the file.
const classTable = "topic"

// A key is one value of a [Config].
type key struct {
	path  string // "nats.embedded.listen"; "topic.2.match" in the second [[topic]]
	value any    // points to the field: *string, *bool, *int, *[]string, *time.Duration or *Size

	byDefault string // as assignText takes it; "" = the zero value, or an empty list
}

// section and name return the two parts of the path: "nats.embedded" and "listen".
func (k key) section() string { return k.path[:strings.LastIndexByte(k.path, '.')] }
func (k key) name() string    { return k.path[strings.LastIndexByte(k.path, '.')+1:] }

// env returns the environment variable of k.
func (k key) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_"))
}

// keys returns the keys of c in the order of its fields, without those of its classes of topics; see classKeys.
func (c *Config) keys() []key { return appendKeys(nil, reflect.ValueOf(c).Elem(), "") }

func appendKeys(keys []key, table reflect.Value, prefix string) []key {
	for i := range table.NumField() {
		f, field := table.Field(i), table.Type().Field(i)
		path := prefix + field.Tag.Get("toml")
		switch {
		case !field.IsExported() || path == classTable:
		case f.Kind() == reflect.Struct:
			keys = appendKeys(keys, f, path+".")
		default:
			keys = append(keys, key{path, f.Addr().Interface(), field.Tag.Get("default")})
		}
	}
	return keys
}

// classKeys returns the keys of the i-th class of topics in the order of its fields.
func (c *Config) classKeys(i int) []key {
	return appendKeys(nil, reflect.ValueOf(&c.Classes[i]).Elem(), classPath(i)+".")
}

// classPath returns the path of the i-th class of topics: "topic.1" for the first, which has the index 0.
func classPath(i int) string { return fmt.Sprintf("%s.%d", classTable, i+1) }

// className names the i-th class of topics in messages.
func className(i int, match string) string {
	if match == "" {
		return fmt.Sprintf("entry %d", i+1)
	}
	return fmt.Sprintf("%.80q", match)
}

// join returns the path of name in the table at path, "" for the top.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// expects describes a valid value of k, for messages.
func (k key) expects() string {
	switch k.value.(type) {
	case *string:
		return "a string"
	case *bool:
		return "true or false"
	case *int:
		return "a whole number"
	case *[]string:
		return "a list of strings"
	case *time.Duration:
		return `a duration such as "25s"`
	case *Size:
		return `a size such as "16KiB"`
	}
	panic(fmt.Sprintf("key %s has the unknown type %T", k.path, k.value))
}

// assignText sets k to a value written as text: in the environment, or as a default. Lists are separated by commas; white
// space around their elements does not count.
func (k key) assignText(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("is not valid UTF-8")
	}
	switch p := k.value.(type) {
	case *string:
		*p = s
		return nil
	case *[]string:
		*p = splitList(s)
		return nil
	case *bool:
		if s == "true" || s == "false" {
			*p = s == "true"
			return nil
		}
	case *int:
		if n, err := strconv.Atoi(s); err == nil {
			*p = n
			return nil
		}
	case *time.Duration:
		return assign(p, parseDuration, s)
	case *Size:
		return assign(p, parseSize, s)
	}
	return fmt.Errorf("expects %s, not %q", k.expects(), s)
}

// assignTOML sets k to x, a value of the TOML decoder: string, bool, int64, float64, []any, or one of its types for tables
// and times.
func (k key) assignTOML(x any) error {
	switch x := x.(type) {
	case string:
		switch k.value.(type) {
		case *string, *time.Duration, *Size:
			return k.assignText(x)
		}
	case int64:
		switch k.value.(type) {
		case *int, *time.Duration, *Size:
			return k.assignText(strconv.FormatInt(x, 10))
		}
	case bool:
		if p, ok := k.value.(*bool); ok {
			*p = x
			return nil
		}
	case []any:
		if p, ok := k.value.(*[]string); ok {
			return assign(p, stringsOf, x)
		}
	}
	return fmt.Errorf("expects %s, not %s", k.expects(), kindOf(x))
}

// stringsOf returns the elements of a TOML list of strings.
func stringsOf(list []any) ([]string, error) {
	items := make([]string, len(list))
	for i, x := range list {
		var ok bool
		if items[i], ok = x.(string); !ok {
			return nil, fmt.Errorf("expects a list of strings, but element %d is %s", i+1, kindOf(x))
		}
	}
	return items, nil
}

// assign sets *p to the value that parse returns for x, unless it fails.
func assign[T, X any](p *T, parse func(X) (T, error), x X) error {
	v, err := parse(x)
	if err == nil {
		*p = v
	}
	return err
}

// splitList returns the elements of s between commas, without white space around them and without empty ones.
func splitList(s string) []string {
	list := []string{}
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// kindOf names the TOML type of x for messages.
func kindOf(x any) string {
	switch x := x.(type) {
	case string:
		return fmt.Sprintf("the string %.40q", x)
	case bool, int64, float64:
		return fmt.Sprint(x)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}
