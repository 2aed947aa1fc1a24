package eventloop

import (
	"strings"

	"tickcast/wsproto"
)

// echoes reports whether r is for the echo endpoint. A path that ends in a slash stands for all paths below it, as in
// net/http; what else is served there goes first, unless the request wants to be upgraded.
func (e *Engine) echoes(r *wsproto.Request) bool {
	echo := e.cfg.EchoPath
	if echo == "" {
		return false
	}
	path := string(r.Path)
	if r.Upgrade {
		return path == echo || strings.HasSuffix(echo, "/") && strings.HasPrefix(path, echo)
	}
	return path == echo && e.pages[path] == nil // will be told what is missing
}

// freely is what the echo endpoint agrees to: everything.
var freely = wsproto.DeflatePolicy{
	ServerWindowBits: wsproto.MaxWindowBits, ClientWindowBits: wsproto.MaxWindowBits,
	ServerTakeover: true, ClientTakeover: true,
}

// admitEcho judges a request for the echo endpoint and upgrades it. The shard never hears of the connection.
func (l *loop) admitEcho(c *conn, r *wsproto.Request) {
	if !l.admissible(c, r) {
		return
	}
	l.begin(c)
	c.flags |= flagEcho
	d := r.Deflate(&freely)
	l.scratch = wsproto.AppendUpgrade(l.scratch[:0], r.Key, "", d)
	l.keepAlive(c)
	if l.control(c, l.scratch) {
		l.frames-- // the response is none
		l.deflate(c, d)
	}
}

// echo sends a message back. It reports false when the connection is over.
func (l *loop) echo(c *conn, m wsproto.Message) bool {
	l.messages++
	if c.flags&flagDeflate != 0 && len(m.Payload) > 0 {
		l.answers = l.appendCompressed(l.answers, c, m.Op, m.Payload)
	} else {
		l.answers = wsproto.AppendFrame(l.answers, m.Op, m.Payload)
	}
	return l.answered(c)
}
