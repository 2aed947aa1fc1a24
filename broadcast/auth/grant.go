package auth

import (
	"runtime"
	"strings"
	"sync"
	"weak"

	"tickcast/broadcast/subject"
)

// A Grant holds the topics that a token allows. It is immutable, and shared by tokens that allow the same. A nil Grant has
// no claim.
type Grant struct {
	subscribe, publish         []string // patterns
	saysSubscribe, saysPublish bool     // the token has the claim, perhaps an empty one
}

// MaySubscribe reports whether the token has a claim about topics to read, and whether that covers name, a topic or pattern.
func (g *Grant) MaySubscribe(name string) (may, says bool) {
	if g == nil || !g.saysSubscribe {
		return false, false
	}
	return subject.CoveredBy(g.subscribe, name), true
}

// MayPublish reports whether the token has a claim about topics to publish to, and whether that covers topic.
func (g *Grant) MayPublish(topic string) (may, says bool) {
	if g == nil || !g.saysPublish {
		return false, false
	}
	return subject.CoveredBy(g.publish, topic), true
}

// key is equal for equal grants. No pattern holds a control character.
func (g *Grant) key() string {
	var b strings.Builder
	list := func(says bool, patterns []string) {
		if says {
			b.WriteByte('\x01')
		}
		for _, p := range patterns {
			b.WriteString(p)
			b.WriteByte('\x02')
		}
	}
	list(g.saysSubscribe, g.subscribe)
	b.WriteByte('\x03')
	list(g.saysPublish, g.publish)
	return b.String()
}

// grants holds the grants that are in use.
type grants struct {
	mu   sync.Mutex
	list map[string]weak.Pointer[Grant]
}

// share returns the shared grant that equals g.
func (t *grants) share(g *Grant) *Grant {
	key := g.key()
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.list[key].Value(); known != nil {
		return known
	}
	if t.list == nil {
		t.list = make(map[string]weak.Pointer[Grant])
	}
	t.list[key] = weak.Make(g)
	runtime.AddCleanup(g, t.forget, key)
	return g
}

// forget removes a grant that is not in use any more, unless there is a new one of the same key.
func (t *grants) forget(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.list[key].Value() == nil {
		delete(t.list, key)
	}
}
