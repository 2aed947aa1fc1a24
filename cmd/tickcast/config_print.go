package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// printConfig writes c to w as TOML, every key with its origin in a comment. applyTOML makes the same configuration of it.
func printConfig(w io.Writer, c *Config, from origins) error {
	var b strings.Builder
	if c.NATS.Password != "" || c.NATS.Token != "" || strings.Contains(strings.Join(c.NATS.URLs, ""), "@") {
		b.WriteString("# Holds a password or token: not for everybody's eyes.\n\n")
	}
	section := ""
	for _, k := range c.keys() {
		if s := k.section(); s != section {
			if section != "" {
				b.WriteByte('\n')
			}
			section = s
			fmt.Fprintf(&b, "[%s]\n", section)
		}
		printKey(&b, k, from)
	}
	for i := range c.Topics {
		fmt.Fprintf(&b, "\n[[%s]]\n", topicTable)
		for _, k := range c.topicKeys(i) {
			printKey(&b, k, from)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printKey(b *strings.Builder, k key, from origins) {
	origin := cmp.Or(from[k.path], "default")
	fmt.Fprintf(b, "%s = %s  # %s\n", k.name(), k.toml(), comment(origin))
}

// toml returns the value of k in TOML.
func (k key) toml() string {
	switch p := k.value.(type) {
	case *string:
		return quoteTOML(*p)
	case *bool:
		return strconv.FormatBool(*p)
	case *int:
		return strconv.Itoa(*p)
	case *[]string:
		items := make([]string, len(*p))
		for i, s := range *p {
			items[i] = quoteTOML(s)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case *time.Duration:
		return quoteTOML(formatDuration(*p))
	case *Size:
		return quoteTOML(p.String())
	}
	panic(fmt.Sprintf("key %s has the unknown type %T", k.path, k.value))
}

// quoteTOML returns s, valid UTF-8, as a TOML basic string. Go's quoting would not do: TOML has no \x, \a or \v.
func quoteTOML(s string) string {
	q := make([]byte, 0, len(s)+2)
	q = append(q, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			q = append(q, '\\', byte(r))
		case isControl(r):
			q = fmt.Appendf(q, "\\u%04X", r)
		default:
			q = utf8.AppendRune(q, r)
		}
	}
	return string(append(q, '"'))
}

// comment returns s without the characters that must not stand in a TOML comment: an origin holds a file's name.
func comment(s string) string {
	return strings.Map(func(r rune) rune {
		if isControl(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}

// isControl reports whether r is one of the control characters that TOML only takes escaped.
func isControl(r rune) bool { return r < ' ' || r == 0x7f }
