package broadcast

import (
	"encoding/json"

	"tickcast/broadcast/auth"
	"tickcast/broadcast/subject"
	"tickcast/broadcast/wire"
)

// An Authenticator verifies the tokens of the command auth. An Outlet that is one answers the command with Granted or Refuse, at
// once or later, or ends the client.
type Authenticator interface {
	Authenticate(slot uint32, id json.RawMessage, token string)
}

var (
	errDenied       = &wire.Error{Code: wire.CodeDenied, Reason: "permission denied"}
	errPartlyClosed = &wire.Error{Code: wire.CodeDenied, Reason: "permission denied: topics under it are not public"}
	errUnauthorized = &wire.Error{Code: wire.CodeUnauthorized, Reason: "unauthorized"}
	errTokenLacks   = &wire.Error{Code: wire.CodeDenied, Reason: "permission denied: the new token does not cover it"}
	errNoTokens     = &wire.Error{Code: wire.CodeNotAvailable, Reason: "not available: this server asks for no token"}
)

// grantOf returns the grant of a client; nil without a token.
func (s *Shard) grantOf(slot uint32, sub *subscriber) *auth.Grant {
	if sub.flags&flagGranted == 0 {
		return nil
	}
	return s.grants[slot]
}

// setGrant gives the client in slot a grant in place of the one that it has.
func (s *Shard) setGrant(slot uint32, sub *subscriber, g *auth.Grant) {
	if s.grants == nil {
		s.grants = make(map[uint32]*auth.Grant)
	}
	s.grants[slot] = g
	sub.flags |= flagGranted
	s.parked.forgetPermits(slot)
	if r := s.runs.bySlot[slot]; r != nil && r.cmd != nil {
		r.cmd.tiers = nil
	}
}

// removeGrant forgets the grant of a client that leaves.
func (s *Shard) removeGrant(slot uint32, sub *subscriber) {
	if sub.flags&flagGranted != 0 {
		delete(s.grants, slot)
	}
}

// mayRead checks whether the client in slot may read all topics under name, which is valid. A pattern is refused as a whole if
// some of its topics are closed to the client.
func (s *Shard) mayRead(slot uint32, sub *subscriber, name string) *wire.Error {
	g := s.grantOf(slot, sub)
	if may, says := g.MaySubscribe(name); says {
		if !may {
			return errDenied
		}
		return nil
	}
	if !subject.CoveredBy(s.cfg.Subscribe, name) {
		return errDenied
	}
	switch some, all := s.hub.Private(name); {
	case !some:
		return nil
	case all && g == nil:
		return errUnauthorized
	default:
		return errPartlyClosed
	}
}

// mayPublish checks whether the client in slot may publish to a valid topic.
func (s *Shard) mayPublish(slot uint32, sub *subscriber, topic string) *wire.Error {
	may, says := s.grantOf(slot, sub).MayPublish(topic)
	if !says {
		may = subject.CoveredBy(s.cfg.Publish, topic)
	}
	if !may {
		return errDenied
	}
	return nil
}

// Grant gives the client in slot the grant of the token that came with its request, before any of its commands.
func (s *Shard) Grant(slot uint32, g *auth.Grant) {
	s.checkOwner()
	s.setGrant(slot, s.subs.At(slot), g)
}

// Granted answers the command auth, whose token is valid. The client holds g from now on. The answer names the subscriptions that
// g does not cover; they have ended.
func (s *Shard) Granted(slot uint32, id json.RawMessage, g *auth.Grant) {
	s.checkOwner()
	s.flush(slot) // gathered before
	sub := s.subs.At(slot)
	if !sub.joined() {
		return
	}
	s.setGrant(slot, sub, g)
	sub.flags |= flagSubscribed // it has done something in time
	var a wire.Ack
	for k := sub.n; k > 0; k-- { // a subscription that ends leaves its index to a later one, which was looked at
		s.filters.steps++
		if name := s.filters.filterAt(sub, k-1).name; s.mayRead(slot, sub, name) != nil {
			s.removeHeld(slot, sub, k-1)
			a.Fail(name, errTokenLacks)
		}
	}
	if len(a.Errors) > 0 {
		s.dropDebts(sub)
	}
	s.writeAck(slot, &a, id)
}

// Refuse answers the command auth, whose token is not accepted, with an error. The client keeps its subscriptions.
func (s *Shard) Refuse(slot uint32, id json.RawMessage, e *wire.Error) {
	s.checkOwner()
	s.flush(slot)
	if s.subs.At(slot).joined() {
		s.stats.errors.Add(1)
		s.write(slot, wire.ErrFrame(id, e))
	}
}

// applyAuth hands the token to the outlet.
func (s *Shard) applyAuth(slot uint32, c *wire.Command) error {
	a, ok := s.out.(Authenticator)
	switch {
	case !ok:
		return errNoTokens
	case c.Token == "":
		return wire.BadRequest("auth needs a token")
	}
	a.Authenticate(slot, c.ID, c.Token)
	return nil
}
