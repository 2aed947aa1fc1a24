package auth

import (
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// A Revocation ends the connections of a user or of one token, and refuses the tokens.
type Revocation struct {
	User  string    `json:"user,omitempty"`  // all tokens issued up to Since
	Token string    `json:"token,omitempty"` // the claim jti
	Since time.Time `json:"since"`           // when it was made
	Until time.Time `json:"until"`           // when the tokens have expired, and the revocation can be forgotten
}

var errRevocation = errors.New("auth: a revocation names a user or a token, and times")

// ParseRevocation reads the message of a revocation.
func ParseRevocation(b []byte) (r Revocation, err error) {
	if err := json.Unmarshal(b, &r); err != nil {
		return Revocation{}, errRevocation
	}
	return r, r.Check()
}

// Check returns an error unless r names a user or a token.
func (r *Revocation) Check() error {
	if (r.User == "") == (r.Token == "") || len(r.User) > maxIdentifier || len(r.Token) > maxIdentifier || !r.Until.After(r.Since) {
		return errRevocation
	}
	return nil
}

// Message returns r for the control subject.
func (r *Revocation) Message() []byte {
	b, _ := json.Marshal(r) // cannot fail
	return b
}

// Revoked holds the revocations in force. Their number is bounded. Any goroutine may use it.
type Revoked struct {
	most int

	mu     sync.Mutex
	users  map[string]Revocation
	tokens map[string]Revocation
}

// NewRevoked returns a table of at most most revocations; 0 = 10,000.
func NewRevoked(most int) *Revoked {
	r := new(Revoked)
	r.init(most)
	return r
}

func (r *Revoked) init(most int) {
	if most <= 0 {
		most = 10_000
	}
	r.most, r.users, r.tokens = most, make(map[string]Revocation), make(map[string]Revocation)
}

// Add puts a revocation in force. It reports false if another one, whose tokens expire first, had to be forgotten for it.
func (r *Revoked) Add(x Revocation, now time.Time) (kept bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list, name := r.users, x.User
	if x.Token != "" {
		list, name = r.tokens, x.Token
	}
	if former, ok := list[name]; ok {
		if former.Since.After(x.Since) {
			x.Since = former.Since
		}
		if former.Until.After(x.Until) {
			x.Until = former.Until
		}
		list[name] = x
		return true
	}
	kept = true
	if len(r.users)+len(r.tokens) >= r.most {
		kept = r.forget(now)
	}
	list[name] = x
	return kept
}

// forget removes the revocations whose tokens have expired, or the one whose tokens expire first.
func (r *Revoked) forget(now time.Time) (expired bool) {
	var first *Revocation
	for _, list := range []map[string]Revocation{r.users, r.tokens} {
		for name, x := range list {
			if x.Until.Before(now) {
				delete(list, name)
				expired = true
			} else if first == nil || x.Until.Before(first.Until) {
				first = &x
			}
		}
	}
	if expired || first == nil {
		return expired
	}
	if first.Token != "" {
		delete(r.tokens, first.Token)
	} else {
		delete(r.users, first.User)
	}
	return false
}

// Holds reports whether a token with these claims is revoked. A token without a time of issue counts as old.
func (r *Revoked) Holds(c *Claims, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.ID != "" {
		if x, ok := r.tokens[c.ID]; ok && x.Until.After(now) {
			return true
		}
	}
	x, ok := r.users[c.User]
	return c.User != "" && ok && x.Until.After(now) && !c.Issued.After(x.Since)
}

// Len returns the number of revocations; r may be nil.
func (r *Revoked) Len() int {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.users) + len(r.tokens)
}
