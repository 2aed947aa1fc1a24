package eventloop

import (
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"github.com/panjf2000/gnet/v2"

	"tickcast/broadcast/auth"
	"tickcast/broadcast/wire"
	"tickcast/wsproto"
)

// identify finds out who has sent a request, by the certificate of the connection and the token of the request, and counts the user's
// connection. It answers a request that is refused, and reports false. claims is nil for a client without both.
func (l *loop) identify(c *conn, r *wsproto.Request, query url.Values) (claims *auth.Claims, ok bool) {
	l.leavePass(c) // of an earlier request
	certified := l.certificateOf(c)
	if certified != nil && !l.mayUseCertificate(c, r, certified) {
		return nil, false
	}
	switch claims, ok = l.verifyToken(c, r, query); {
	case !ok:
		return nil, false
	case claims == nil:
		claims = certified
	case certified != nil && claims.User != certified.User:
		l.offend(c)
		l.refuse(c, status403User, "the token is another user's than the certificate")
		return nil, false
	}
	if claims != nil && !l.admitUser(c, claims) {
		l.refuse(c, status429User, "too many connections of this user")
		return nil, false
	}
	return claims, true
}

// verifyToken returns the claims of the token of a request, nil without one. It answers a request that is refused, and reports false.
func (l *loop) verifyToken(c *conn, r *wsproto.Request, query url.Values) (claims *auth.Claims, ok bool) {
	a := &l.engine.cfg.Auth
	if a.Verifier == nil {
		return nil, true
	}
	token, place := a.bearer(r, query)
	switch {
	case place == noToken:
		return nil, true
	case place == tokenInQuery && !a.Query:
		l.refuse(c, queryRejection, "a token in the query is not allowed here: use Authorization, a subprotocol or the command auth")
		return nil, false
	case place == tokenInCookie && !l.originAllowed(c, r, true):
		return nil, false
	}
	claims, err := a.Verifier.Verify(token, time.Now())
	var refusal *auth.Error
	switch {
	case errors.Is(err, auth.ErrAsk):
		l.refuse(c, status503Keys, "the keys of tokens are being fetched")
		return nil, false
	case errors.As(err, &refusal):
		l.offend(c)
		l.refuse(c, status401, refusal.Reason)
		return nil, false
	}
	return claims, true
}

// admitUser counts a connection of a user, and notes the token. It reports false if the user has too many.
func (l *loop) admitUser(c *conn, claims *auth.Claims) bool {
	e, p := l.engine, l.conns.makePass(c)
	if !p.proved && claims.User != "" {
		most := e.cfg.Limits.ConnectionsPerUser
		if claims.Connections > 0 {
			most = claims.Connections
		}
		user, ok := e.users.Enter(claims.User, most)
		if !ok && l.exceeded(limitUserConnections) {
			return false
		} else if !ok {
			user, _ = e.users.Enter(claims.User, 0)
		}
		p.user = user
	}
	p.proved, p.noticed, p.expires, p.token = true, false, 0, hashOf(claims.ID)
	if !claims.Expires.IsZero() {
		const longest = 10 * 365 * 24 * time.Hour // fits in ticks
		p.expires = l.now + max(ticks(min(max(time.Until(claims.Expires), 0), longest)), 1)
	}
	return true
}

// leavePass forgets who the client is, and ends the count of the user's connection.
func (l *loop) leavePass(c *conn) {
	p := l.conns.pass(c)
	if p == nil {
		return
	}
	if p.user != nil {
		l.engine.users.Leave(p.user)
	}
	p.user, p.proved, p.expires, p.token = nil, false, 0, 0
}

// leaveClient ends the counts of a client whose poll is answered: the connection stays, and may be a proxy's that forwards requests of
// others.
func (l *loop) leaveClient(c *conn) {
	l.leavePass(c)
	if c.flags&flagTrusted != 0 { // the address was that of the request
		l.leaveAddress(c)
	}
}

// An asking is a command auth whose token cannot be judged before the keys are fetched.
type asking struct {
	slot  uint32
	gc    gnet.Conn // of the connection: another one may be in the slot by now
	id    json.RawMessage
	token string
	until uint32 // tick

	judged uint32 // after this fetch of keys
}

// Authenticate answers the command auth; see broadcast.Authenticator.
func (l *loop) Authenticate(slot uint32, id json.RawMessage, token string) {
	c := l.conns.At(slot)
	a, p := &l.engine.cfg.Auth, l.conns.pass(c)
	switch {
	case a.Verifier == nil:
		l.shard.Refuse(slot, id, &wire.Error{Code: wire.CodeNotAvailable, Reason: "not available: this server asks for no token"})
	case p != nil && p.asking:
		l.shard.Refuse(slot, id, &wire.Error{Code: wire.CodeTooMany, Reason: "too many requests: an earlier token waits for its keys"})
	case !l.judge(asking{slot: slot, id: id, token: token}):
		if len(l.asking) >= a.MaxWaiting {
			l.closeWith(c, wsproto.StatusTryAgainLater, "the keys of tokens are not there")
			return
		}
		l.conns.makePass(c).asking = true
		l.asking = append(l.asking, asking{slot, c.gc, append(json.RawMessage(nil), id...), token, l.now + max(ticks(a.Wait), 1), l.fetches})
	}
}

// judge answers an auth. It reports false if the keys are not there yet.
func (l *loop) judge(q asking) bool {
	c := l.conns.At(q.slot)
	p := l.conns.pass(c)
	claims, err := l.engine.cfg.Auth.Verifier.Verify(q.token, time.Now())
	var refusal *auth.Error
	switch {
	case errors.Is(err, auth.ErrAsk):
		return false
	case errors.As(err, &refusal) && refusal.Expired:
		l.shard.Refuse(q.slot, q.id, &wire.Error{Code: wire.CodeExpired, Reason: refusal.Reason})
	case errors.As(err, &refusal):
		l.offend(c)
		l.closeWith(c, StatusInvalidToken, refusal.Reason)
	case p != nil && p.proved && p.name() != claims.User:
		l.shard.Refuse(q.slot, q.id, &wire.Error{Code: wire.CodeDenied, Reason: "permission denied: the token is another user's"})
	case !l.admitUser(c, claims):
		l.closeWith(c, StatusTooMany, "too many connections of this user")
	default:
		l.shard.Granted(q.slot, q.id, claims.Grant)
		if c.state == stateOpen {
			l.keepAlive(c)
		}
	}
	return true
}

// judgeAsking judges the tokens that wait for keys again, once after each fetch, and ends the clients that have waited too long. It works
// in slices: the check of a signature takes long.
func (l *loop) judgeAsking() {
	list, until := l.asking, time.Now().Add(l.engine.cfg.Slice)
	l.asking = nil
	for i, q := range list {
		before := q.judged
		if l.judgeAgain(&q) {
			l.asking = append(l.asking, q)
		}
		if q.judged != before && time.Now().After(until) {
			l.asking = append(l.asking, list[i+1:]...)
			l.continueWith(l.task(l.judgeAsking))
			return
		}
	}
}

// judgeAgain judges a token that waits. It reports whether it waits on.
func (l *loop) judgeAgain(q *asking) (waits bool) {
	c := l.conns.At(q.slot)
	if c.gc != q.gc || c.state != stateOpen {
		return false
	}
	late := l.now >= q.until
	if fetched := q.judged != l.fetches; fetched || late {
		if q.judged = l.fetches; l.judge(*q) {
			if p := l.conns.pass(c); p != nil { // the connection may be over
				p.asking = false
			}
			return false
		}
	}
	if late {
		l.closeWith(c, wsproto.StatusTryAgainLater, "the keys of tokens are not there")
	}
	return !late
}

// keysFetched lets the tokens that wait be judged. The verifier's goroutine calls it.
func (e *Engine) keysFetched() {
	for _, l := range e.shownLoops() {
		l.post(l.tasks.keys)
	}
}

// checkToken applies the expiry of c's token: a notice before it, the end after it. It returns the next tick to look at, 0 = none,
// and false if the connection is over.
func (l *loop) checkToken(c *conn) (next uint32, ok bool) {
	p, e := l.conns.pass(c), l.engine
	if p == nil || p.expires == 0 {
		return 0, true
	}
	if l.now >= p.expires+e.grace {
		l.closeWith(c, StatusTokenExpired, "the token has expired")
		return 0, false
	}
	if notice := p.expires - min(e.notice, p.expires); !p.noticed && l.now < notice {
		return notice, true
	}
	if !p.noticed {
		p.noticed = true
		left := time.Duration(p.expires-min(l.now, p.expires)) * tick
		if t := l.row(c); t.notices && !l.answer(c, t.formOf(wire.Expire(left)), 1) {
			return 0, false
		}
	}
	return p.expires + e.grace, true
}
