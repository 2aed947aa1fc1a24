package eventloop

import (
	"time"

	"tickcast/broadcast/auth"
)

// A kick ends the connections of a user or token, in slices over the slots of a loop.
type kick struct {
	user  string
	token uint64
	next  uint32 // slot
}

// matches reports whether p is of the user or token.
func (k *kick) matches(p *pass) bool {
	return k.token != 0 && p.token == k.token || k.user != "" && p.name() == k.user
}

// Revoke puts a revocation in force and ends the connections that it names with 4503. Any goroutine may call it. It reports false
// if an earlier revocation had to be forgotten for this one.
func (e *Engine) Revoke(r auth.Revocation) (kept bool) {
	if e.cfg.Auth.Revoked == nil {
		return false
	}
	kept = e.cfg.Auth.Revoked.Add(r, time.Now())
	for _, l := range e.shownLoops() {
		k := &kick{user: r.User, token: hashOf(r.Token)}
		l.post(l.task(func() { l.kick(k) }))
	}
	return kept
}

// kick goes on with k for a slice.
func (l *loop) kick(k *kick) {
	until := time.Now().Add(l.engine.cfg.Slice)
	for n := 1; k.next < l.conns.made; n++ {
		c := l.conns.At(k.next)
		k.next++
		p := l.conns.pass(c)
		ends := c.state == stateOpen && p != nil && k.matches(p)
		if ends { // all its subscriptions with it, which takes long
			l.kicked++
			l.Close(c.slot, StatusKicked, "the user or token was revoked")
		}
		if (ends || n%256 == 0) && time.Now().After(until) {
			l.continueWith(l.task(func() { l.kick(k) }))
			return
		}
	}
}
