package broadcast

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tickcast/broadcast/auth"
	"tickcast/broadcast/auth/authtest"
	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// The oracle of permissions knows topics and patterns, and no covers, tries or tables.

// fits reports whether a pattern matches a topic, token by token.
func fits(pattern, topic []string) bool {
	switch {
	case len(pattern) == 0:
		return len(topic) == 0
	case pattern[0] == ">":
		return len(topic) > 0
	case len(topic) == 0 || pattern[0] != "*" && pattern[0] != topic[0]:
		return false
	}
	return fits(pattern[1:], topic[1:])
}

func fitsOne(patterns []string, topic string) bool {
	for _, p := range patterns {
		if fits(strings.Split(p, "."), strings.Split(topic, ".")) {
			return true
		}
	}
	return false
}

// A permitted client is a client as the oracle sees it.
type permitted struct {
	claims []string // with token
	token  bool
	joined bool
}

// A permissionRun is one run of random steps.
type permissionRun struct {
	t       *testing.T
	r       *rand.Rand
	h       *Shards
	s       *Shard
	out     *recorder
	pair    *authtest.Pair
	v       *auth.Verifier
	clients [5]permitted
	steps   []string
	data    int // messages that were delivered
}

// The classes of the run: lossless with a history, delayed and mapped, closed ones, and one that is open inside of a closed one.
var permissionClasses = []topics.Class{
	{Match: "a.b.>", Mode: topics.ModeAll, History: 50},
	{Match: "late.*", Subject: "a.$1", Delay: 50 * time.Millisecond},
	{Match: "c.a.*"},
	{Match: "c.>", Private: true, History: 50},
	{Match: "b.*", Rates: []time.Duration{20 * time.Millisecond}},
}

var permissionAnonymous = []string{"a.>", "c.>", "late.>", "b"}

// mayRead is the oracle: whether a client may be told of a topic.
func (p *permitted) mayRead(topic string) bool {
	if p.token {
		return fitsOne(p.claims, topic)
	}
	if !fitsOne(permissionAnonymous, topic) {
		return false
	}
	for _, c := range permissionClasses {
		if fitsOne([]string{c.Match}, topic) {
			return !c.Private
		}
	}
	return true
}

// universe returns all topics of the run.
var universe = func() (list []string) {
	tokens := []string{"a", "b", "c", "late"}
	for _, x := range tokens {
		list = append(list, x)
		for _, y := range tokens {
			list = append(list, x+"."+y)
		}
	}
	list = append(list, "a.b.a", "a.b.b", "c.a.b", "c.b.c")
	return list
}()

func (p *permissionRun) name(wild bool) string {
	tokens := strings.Split(universe[p.r.IntN(len(universe))], ".")
	if wild {
		for i := range tokens {
			if p.r.IntN(3) == 0 {
				tokens[i] = "*"
			}
		}
		if p.r.IntN(3) == 0 {
			tokens[len(tokens)-1] = ">"
		}
	}
	return strings.Join(tokens, ".")
}

// grant returns a grant of random claims, as a token gives it.
func (p *permissionRun) grant() (*auth.Grant, []string) {
	claims := []string{}
	for range 1 + p.r.IntN(4) {
		claims = append(claims, p.name(true))
	}
	c, err := p.v.Verify(p.pair.Sign(p.t, "", map[string]any{"sub": "u", "subscribe": claims, "exp": time.Now().Add(time.Hour).Unix()}), time.Now())
	if err != nil {
		p.t.Fatal(err)
	}
	return c.Grant, claims
}

// check judges all that was sent to the client in slot: data up to the answer with id changed under its former claims.
func (p *permissionRun) check(slot uint32, former *permitted) {
	p.t.Helper()
	judge := &p.clients[slot]
	if former != nil {
		judge = former
	}
	for _, m := range p.out.takeTold(p.t, slot) {
		switch {
		case m.Op == "ack" && string(m.ID) == `"changed"`:
			judge = &p.clients[slot]
		case m.Op == "ack":
			p.checkAck(&m, judge)
		case m.Op == "stale" || m.Op == "fresh" || m.Op == "hello" || m.Op == "lag" || m.Op == "err":
		default: // data, gap
			p.data++
			if !judge.mayRead(m.T) {
				p.fail("client %d is told of %s with %+v", slot, m.T, *judge)
			}
		}
	}
}

func (p *permissionRun) fail(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf(format+"\nafter\n%s", append(args, strings.Join(p.steps, "\n"))...)
}

// checkAck holds an answer to sub against the oracle: a topic is given exactly if the client may read it, a pattern only if the
// client may read all topics under it.
func (p *permissionRun) checkAck(m *told, c *permitted) {
	p.t.Helper()
	var given []wire.AckTopic
	_ = json.Unmarshal(m.Topics, &given)
	for _, g := range given {
		for _, topic := range universe {
			if fitsOne([]string{g.Topic}, topic) && !c.mayRead(topic) {
				p.fail("%+v may have %s, and so %s", *c, g.Topic, topic)
			}
		}
	}
	for _, e := range m.Errors {
		if refused := e.Code == wire.CodeDenied || e.Code == wire.CodeUnauthorized; refused && !strings.ContainsAny(e.Topic, "*>") && c.mayRead(e.Topic) {
			p.fail("%+v may not have %s: %d", *c, e.Topic, e.Code)
		}
	}
}

func (p *permissionRun) step() {
	slot := uint32(p.r.IntN(len(p.clients)))
	c := &p.clients[slot]
	note := func(format string, args ...any) { p.steps = append(p.steps, fmt.Sprintf(format, args...)) }
	switch n := p.r.IntN(26); {
	case !c.joined || n == 0 && p.r.IntN(3) == 0:
		if c.joined {
			note("leave %d", slot)
			p.s.Leave(slot)
		}
		*c = permitted{joined: true}
		delete(p.out.room, slot)
		p.out.got[slot] = nil
		p.s.Join(slot, wire.CodecJSON, 0)
		if p.r.IntN(2) == 0 {
			var g *auth.Grant
			g, c.claims = p.grant()
			c.token = true
			p.s.Grant(slot, g)
		}
		note("join %d %+v", slot, *c)
	case n < 6:
		name, after, rate := p.name(p.r.IntN(2) == 0), "", ""
		if p.r.IntN(3) == 0 {
			after = fmt.Sprintf("%s:%d", epochOf(p.h), p.r.IntN(200))
		}
		if p.r.IntN(4) == 0 {
			rate = "20ms"
		}
		note("sub %d %s %s %s", slot, name, after, rate)
		p.s.Subscribe(slot, []string{name}, after, rate)
	case n < 8:
		name := p.name(p.r.IntN(2) == 0)
		note("unsub %d %s", slot, name)
		p.s.Apply(slot, fmt.Appendf(nil, `{"op":"unsub","topics":[%q]}`, name))
	case n < 10:
		former := *c
		g, claims := p.grant()
		c.claims, c.token = claims, true
		note("refresh %d %v", slot, claims)
		p.s.Granted(slot, []byte(`"changed"`), g)
		p.check(slot, &former)
	case n < 11:
		note("slow %d", slot)
		p.out.room[slot] = 1
	case n < 12:
		note("writable %d", slot)
		delete(p.out.room, slot)
		p.s.Writable(slot)
	case n < 13:
		time.Sleep(time.Duration(p.r.IntN(40)) * time.Millisecond)
		synctest.Wait()
	case n < 14:
		note("a slice")
		p.s.Drain(0)
	case n < 16:
		note("drain")
		drainAll(p.s)
	default:
		topic := universe[p.r.IntN(len(universe))]
		note("publish %s", topic)
		p.h.Publish(topic, []byte("1"))
	}
	for slot := range p.clients {
		p.check(uint32(slot), nil)
	}
}

// TestPermissionsAgainstAnOracle gives clients random claims, takes them away, and lets them subscribe to random topics and
// patterns: nothing is delivered that the claims do not cover, through wildcards, histories, snapshots, slower rates, delayed
// classes and refreshes.
func TestPermissionsAgainstAnOracle(t *testing.T) {
	pair := authtest.Pairs(t)[0]
	runs, data := 12, 0
	if testing.Short() {
		runs = 4
	}
	for seed := range uint64(runs) {
		synctest.Test(t, func(t *testing.T) {
			h := New(Config{Subscribe: permissionAnonymous, Config: topics.Config{Classes: permissionClasses}})
			s := h.Shard(0)
			p := &permissionRun{
				t: t, r: rand.New(rand.NewPCG(seed, 7)), h: h, s: s, out: newRecorder(s),
				pair: pair, v: auth.New(auth.Config{Keys: authtest.Keys(t, pair)}),
			}
			defer startRun(h, silentUpstream{})()
			for range 600 {
				p.step()
			}
			checkShards(t, h)
			data += p.data
		})
	}
	if data < 20*runs {
		t.Errorf("only %d messages were judged", data)
	}
	t.Logf("%d messages were judged", data)
}
