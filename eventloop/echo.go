package eventloop

import (
	"strings"

	"tickcast/wsproto"
)

// servesEcho reports whether r is for the echo endpoint. A path that ends in a slash stands for all paths below it, as in
// net/http; a page at such a path goes first, unless the request asks for an upgrade.
func (e *Engine) servesEcho(r *wsproto.Request) bool {
	echo := e.cfg.EchoPath
	if echo == "" {
		return false
	}
	path := string(r.Path)
	if r.Upgrade {
		return path == echo || strings.HasSuffix(echo, "/") && strings.HasPrefix(path, echo)
	}
	return path == echo && e.pages[path] == nil // the response says that an upgrade is missing
}

// echoPolicy agrees to every offer of compression.
var echoPolicy = wsproto.DeflatePolicy{
	ServerWindowBits: wsproto.MaxWindowBits, ClientWindowBits: wsproto.MaxWindowBits,
	ServerTakeover: true, ClientTakeover: true,
}

// admitEcho judges a request for the echo endpoint and upgrades the connection. The shard does not know it.
func (l *loop) admitEcho(c *conn, r *wsproto.Request) {
	if !l.mayUpgrade(c, r) {
		return
	}
	l.openWebSocket(c, transportEcho)
	d := r.Deflate(&echoPolicy)
	l.scratch = wsproto.AppendUpgrade(l.scratch[:0], r.Key, "", d)
	l.keepAlive(c)
	if l.answer(c, l.scratch, 0) {
		l.agreeDeflate(c, d)
	}
}

// sendBack answers a message with itself. It reports false if the connection is over.
func (l *loop) sendBack(c *conn, m wsproto.Message) bool {
	l.messages++
	if c.flags&flagDeflate != 0 && len(m.Payload) > 0 {
		l.answers = l.appendCompressed(l.answers, c, m.Op, m.Payload)
	} else {
		l.answers = wsproto.AppendFrame(l.answers, m.Op, m.Payload)
	}
	return l.countAnswer(c)
}
