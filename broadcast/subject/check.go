package subject

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The reasons for which a name is refused. Clients read these texts in error 107, or in error 103 for ErrReserved.
var (
	ErrReserved = errors.New("topics that start with $ or _ are reserved")

	errEmpty    = errors.New("empty topic")
	errLong     = errors.New("topic too long")
	errTokens   = errors.New("topic has too many tokens")
	errToken    = errors.New("topic has an empty token")
	errChar     = errors.New("topic has a space, a control or format character, or bad UTF-8")
	errWildcard = errors.New("wildcard inside a token, or > before the end")
	errConcrete = errors.New("wildcards are not allowed here")
)

// Check returns nil if name is a subject or pattern of at most maxLength bytes and maxTokens tokens, else the reason.
// Names that start with $ or _ carry NATS's own traffic and give ErrReserved.
func Check(name string, maxLength, maxTokens int) error {
	switch {
	case name == "":
		return errEmpty
	case len(name) > maxLength:
		return errLong
	case name[0] == '$' || name[0] == '_':
		return ErrReserved
	case !utf8.ValidString(name):
		return errChar
	case strings.Count(name, ".") >= maxTokens:
		return errTokens
	}
	for tail, more := name, true; more; {
		var token string
		token, tail, more = strings.Cut(tail, ".")
		if token == "*" || token == ">" && !more {
			continue
		}
		if err := checkToken(token); err != nil {
			return err
		}
	}
	return nil
}

// unseen are the characters, by Unicode class, that make two topics look alike, or a name look like two: control and format
// characters, and separators of words, lines and paragraphs. They are U+0085, U+00A0, U+200B and U+202E among others.
var unseen = []*unicode.RangeTable{unicode.Cc, unicode.Cf, unicode.Zs, unicode.Zl, unicode.Zp}

// checkToken returns nil if token is valid and has no wildcard.
func checkToken(token string) error {
	if token == "" {
		return errToken
	}
	for _, r := range token {
		switch {
		case r <= ' ' || r == 0x7f || r >= utf8.RuneSelf && unicode.In(r, unseen...):
			return errChar
		case r == '*' || r == '>':
			return errWildcard
		}
	}
	return nil
}

// CheckConcrete is Check for a name without wildcards.
func CheckConcrete(name string, maxLength, maxTokens int) error {
	if err := Check(name, maxLength, maxTokens); err != nil {
		return err
	}
	if IsPattern(name) {
		return errConcrete
	}
	return nil
}

// IsPattern reports whether the valid name has wildcards.
func IsPattern(name string) bool { return strings.ContainsAny(name, "*>") }
