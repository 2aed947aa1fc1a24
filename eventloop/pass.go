package eventloop

import (
	"hash/maphash"

	"tickcast/broadcast"
	"tickcast/eventloop/admission"
)

// A pass describes the client behind a connection, beyond the address of its peer.
type pass struct {
	address admission.Key   // of a client behind a proxy; with proxied
	user    *admission.User // counts the connection; nil without a user
	token   uint64          // hash of the token's id; 0 = none
	expires uint32          // tick at which the token expires; 0 = never, or no token

	proxied bool
	proved  bool // a token was accepted
	noticed bool // the client was told that the token expires
	asking  bool // an auth waits in loop.asking
}

// pass returns c's pass; nil = nothing is known of the client but its address, as without tokens and proxies.
func (t *conns) pass(c *conn) *pass {
	if c.flags&flagPass == 0 {
		return nil
	}
	return &t.passes[c.slot/broadcast.SlotChunk][c.slot%broadcast.SlotChunk]
}

// makePass returns c's pass, which it makes if there is none.
func (t *conns) makePass(c *conn) *pass {
	if c.flags&flagPass == 0 {
		c.flags |= flagPass
		growChunks(&t.passes, c.slot)
		*t.pass(c) = pass{}
	}
	return t.pass(c)
}

// name returns the name of the pass's user; "" without one.
func (p *pass) name() string {
	if p.user == nil {
		return ""
	}
	return p.user.Name
}

var tokenSeed = maphash.MakeSeed()

// hashOf returns the hash of a token's id.
func hashOf(id string) uint64 {
	if id == "" {
		return 0
	}
	return max(maphash.String(tokenSeed, id), 1)
}
