package auth

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tickcast/broadcast/subject"
)

// Claims are the content of a valid token.
type Claims struct {
	User        string // "" = none
	ID          string // of the token, the claim jti; "" = none
	Issued      time.Time
	Expires     time.Time // zero = never
	Connections int       // limit of the user; 0 = without the claim
	Grant       *Grant
}

// Names are the names of the claims that issuers choose themselves.
type Names struct {
	User        string // default sub
	Subscribe   string // default subscribe: patterns of topics, a list or one string
	Publish     string // default publish
	Connections string // default connections: a number
}

func (n *Names) setDefaults() {
	for _, d := range []struct {
		name   *string
		preset string
	}{{&n.User, "sub"}, {&n.Subscribe, "subscribe"}, {&n.Publish, "publish"}, {&n.Connections, "connections"}} {
		if *d.name == "" {
			*d.name = d.preset
		}
	}
}

// Bounds of a token's content. Chosen by us.
const (
	maxPatterns   = 256
	maxPattern    = 2048 // bytes
	maxIdentifier = 256  // bytes of a user or of a token's id
)

// claimsOf reads the content of a token whose signature and times are good.
func (n *Names) claimsOf(m jwt.MapClaims) (c *Claims, err error) {
	c = new(Claims)
	if c.User, err = textOf(m, n.User); err != nil {
		return nil, err
	}
	if c.ID, err = textOf(m, "jti"); err != nil {
		return nil, err
	}
	if t, _ := m.GetExpirationTime(); t != nil {
		c.Expires = t.Time
	}
	if t, err := m.GetIssuedAt(); err != nil {
		return nil, errIssued
	} else if t != nil {
		c.Issued = t.Time
	}
	if x, ok := m[n.Connections]; ok {
		f, isNumber := x.(float64)
		if !isNumber || f != math.Trunc(f) || f < 1 || f > math.MaxInt32 {
			return nil, &Error{Reason: fmt.Sprintf("claim %s is not a number above 0", n.Connections)}
		}
		c.Connections = int(f)
	}
	g := new(Grant)
	if g.subscribe, g.saysSubscribe, err = patternsOf(m, n.Subscribe); err != nil {
		return nil, err
	}
	if g.publish, g.saysPublish, err = patternsOf(m, n.Publish); err != nil {
		return nil, err
	}
	c.Grant = g
	return c, nil
}

var errIssued = &Error{Reason: "claim iat is not a time"}

// textOf returns a claim that is a short string; "" without it.
func textOf(m jwt.MapClaims, name string) (string, error) {
	x, ok := m[name]
	s, isText := x.(string)
	if ok && (!isText || !isIdentifier(s)) {
		return "", &Error{Reason: fmt.Sprintf("claim %s is not a string of at most %d bytes", name, maxIdentifier)}
	}
	return strings.Clone(s), nil // not the whole token
}

// isIdentifier reports whether s can be the name of a user or the id of a token.
func isIdentifier(s string) bool {
	return len(s) <= maxIdentifier && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// patternsOf returns a claim that names topics.
func patternsOf(m jwt.MapClaims, name string) (patterns []string, says bool, err error) {
	x, says := m[name]
	if !says {
		return nil, false, nil
	}
	bad := &Error{Reason: fmt.Sprintf("claim %s is not a list of at most %d topics or patterns", name, maxPatterns)}
	list, isList := x.([]any)
	if s, isText := x.(string); isText {
		list = []any{s}
	} else if !isList || len(list) > maxPatterns {
		return nil, false, bad
	}
	for _, x := range list {
		p, isText := x.(string)
		if !isText || subject.Check(p, maxPattern, maxPattern) != nil {
			return nil, false, bad
		}
		patterns = append(patterns, strings.Clone(p))
	}
	return patterns, true, nil
}
