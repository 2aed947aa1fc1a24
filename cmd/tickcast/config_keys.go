package main

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

// topicTable is the name of the array of tables for classes of topics, [[topic]] in the file.
const topicTable = "topic"

// A key is one value of a [Config].
type key struct {
	path  string // "nats.embedded.listen"; "topic.2.match" in the second [[topic]]
	value any    // points to the field: *string, *bool, *int, *[]string, *time.Duration or *Size
}

// section returns the table of k, "nats.embedded", and name its name there.
func (k key) section() string { return k.path[:strings.LastIndexByte(k.path, '.')] }
func (k key) name() string    { return k.path[strings.LastIndexByte(k.path, '.')+1:] }

// env returns the environment variable of k.
func (k key) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_"))
}

// keys returns all keys of c in the order of its fields, but not those of its classes of topics; see topicKeys.
func (c *Config) keys() []key { return appendKeys(nil, reflect.ValueOf(c).Elem(), "") }

func appendKeys(keys []key, table reflect.Value, prefix string) []key {
	for i := range table.NumField() {
		f := table.Field(i)
		path := prefix + table.Type().Field(i).Tag.Get("toml")
		switch {
		case f.Kind() == reflect.Struct:
			keys = appendKeys(keys, f, path+".")
		case path != topicTable:
			keys = append(keys, key{path, f.Addr().Interface()})
		}
	}
	return keys
}

// topicKeys returns the keys of the i-th class of topics in the order of its fields.
func (c *Config) topicKeys(i int) []key {
	return appendKeys(nil, reflect.ValueOf(&c.Topics[i]).Elem(), topicPath(i)+".")
}

// topicPath returns the path of the i-th class of topics: "topic.1" for the first, which has the index 0.
func topicPath(i int) string { return fmt.Sprintf("%s.%d", topicTable, i+1) }

// topicName names the i-th class of topics in messages.
func topicName(i int, match string) string {
	if match == "" {
		return fmt.Sprintf("entry %d", i+1)
	}
	return fmt.Sprintf("%.80q", match)
}

// expects says what a value of k looks like, for messages.
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

// assignText sets k to what s means: a value from the environment or a flag. Lists are separated by commas; white space
// around their elements does not count.
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
		return assign(p, ParseSize, s)
	}
	return fmt.Errorf("expects %s, not %q", k.expects(), s)
}

// assignTOML sets k to x, a value as the TOML decoder makes them: string, bool, int64, float64, []any, or a type of its
// own for tables and times.
func (k key) assignTOML(x any) error {
	switch p := k.value.(type) {
	case *string:
		if s, ok := x.(string); ok {
			*p = s
			return nil
		}
	case *bool:
		if b, ok := x.(bool); ok {
			*p = b
			return nil
		}
	case *int:
		if n, ok := x.(int64); ok {
			*p = int(n)
			return nil
		}
	case *[]string:
		list, ok := x.([]any)
		if !ok {
			break
		}
		items := make([]string, len(list))
		for i := range list {
			if items[i], ok = list[i].(string); !ok {
				return fmt.Errorf("expects a list of strings, but element %d is %s", i+1, kindOf(list[i]))
			}
		}
		*p = items
		return nil
	case *time.Duration:
		switch x := x.(type) {
		case string:
			return assign(p, parseDuration, x)
		case int64:
			return assign(p, parseDuration, strconv.FormatInt(x, 10))
		}
	case *Size:
		switch x := x.(type) {
		case string:
			return assign(p, ParseSize, x)
		case int64:
			return assign(p, ParseSize, strconv.FormatInt(x, 10))
		}
	}
	return fmt.Errorf("expects %s, not %s", k.expects(), kindOf(x))
}

// assign sets *p to what parse makes of s, unless that fails.
func assign[T any](p *T, parse func(string) (T, error), s string) error {
	v, err := parse(s)
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
