package config

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Print writes c to w as TOML, each key with its origin in a comment. Load turns it into the same configuration.
func (c *Config) Print(w io.Writer) error {
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
		printKey(&b, k, c.from)
	}
	for i := range c.Classes {
		fmt.Fprintf(&b, "\n[[%s]]\n", classTable)
		for _, k := range c.classKeys(i) {
			printKey(&b, k, c.from)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// printKey writes the line of k.
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

// quoteTOML returns s, valid UTF-8, as a TOML basic string. Go quotes with \x, \a and \v, which TOML does not have.
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

// comment returns s with ? for each character that TOML forbids in a comment; the file name in an origin may hold any.
func comment(s string) string {
	return strings.Map(func(r rune) rune {
		if isControl(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}

// isControl reports whether r is a control character that TOML requires escaped.
func isControl(r rune) bool { return r < ' ' || r == 0x7f }
