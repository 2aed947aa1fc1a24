package broadcast

import "tickcast/broadcast/topics"

// A growth is the work that is left to tie a new pattern to the topics that it matches. The pattern has no subscribers until it is
// over. Its shard gets the messages of all its topics meanwhile; see topicOf.
type growth struct {
	walk  *topics.Walk
	found []*topics.Topic          // to be tied next
	tied  map[*shardTopic]struct{} // that were new to the shard meanwhile: they were tied to all patterns at once
}

// beginGrowth notes that the new pattern f, in which the shard's interest is raised, is to be tied to its topics.
func (t *filterTable) beginGrowth(f *filter) {
	if t.growing == nil {
		t.growing = make(map[*filter]*growth)
	}
	f.growing, f.unused = true, true
	t.growing[f] = &growth{walk: t.hub.Under(f.name)}
}

// endGrowth ends the growth of f, if it is under way.
func (t *filterTable) endGrowth(f *filter) {
	if t.growing[f] != nil {
		f.growing = false
		if delete(t.growing, f); len(t.growing) == 0 {
			t.growing = nil
		}
	}
}

// complete ends the growth of f at once.
func (t *filterTable) complete(f *filter) error {
	for more := true; more; {
		var err error
		if more, err = t.grow(f, t.steps+growAtOnce); err != nil {
			return err
		}
	}
	return nil
}

// growAtOnce is the number of topics that complete ties at a time. Chosen by us.
const growAtOnce = 256

// grow ties f to topics until t.steps is end, and reports whether there are more. Without room for the pairs it fails: the name of f
// is free then, and the rest of it is removed when there is time.
func (t *filterTable) grow(f *filter, end uint64) (more bool, err error) {
	g := t.growing[f]
	if g == nil && !t.listed(f) { // the growth that another client went on with has failed
		return false, errMatchLimit
	}
	for g != nil && t.steps < end {
		if len(g.found) == 0 {
			if g.found = t.hub.Next(g.walk, nil); len(g.found) == 0 {
				t.endGrowth(f)
				return false, nil
			}
		}
		n := min(len(g.found), int(end-t.steps))
		if t.matches+n > t.cfg.MaxMatches {
			t.forget(f)
			if len(f.places) == 0 {
				t.remove(f)
			}
			return false, errMatchLimit
		}
		t.found = t.hub.KnownOf(t.found[:0], g.found[:n])
		done := 0
		for ; done < n && t.steps < end; done++ { // other patterns may match them too
			t.connectPattern(f, g, &t.found[done])
		}
		t.made += done
		g.found, t.found = g.found[done:], emptied(t.found)
	}
	return g != nil, nil
}

// connectPattern ties f, which grows, to a topic that it matches; see connectTopic.
func (t *filterTable) connectPattern(f *filter, g *growth, known *topics.Known) {
	topic := known.Topic
	st := t.findTopic(topic)
	_, tied := g.tied[st]
	switch {
	case tied || topic.Ended():
		t.steps++
	case st != nil:
		t.tie(f, st)
	default:
		st = t.addTopic(topic)
		if delete(g.tied, st); !st.brought() {
			st.begin(known)
		}
	}
}

// noteTied notes that f, which grows, is tied to st.
func (t *filterTable) noteTied(f *filter, st *shardTopic) {
	g := t.growing[f]
	if g.tied == nil {
		g.tied = make(map[*shardTopic]struct{})
	}
	g.tied[st] = struct{}{}
}

// beginGrown begins st, which is new, where the hub is if only patterns that grow match it: all that came before is in the snapshot
// of their subscribers.
func (t *filterTable) beginGrown(st *shardTopic) {
	if t.growing == nil || st.brought() {
		return
	}
	if known := t.hub.KnownOf(nil, []*topics.Topic{st.topic}); !st.topic.Ended() {
		st.begin(&known[0])
	}
}

// brought reports whether a filter that may have subscribers brings t.
func (t *shardTopic) brought() bool {
	if t.exact != nil {
		return true
	}
	for _, tied := range t.more {
		if !tied.f.growing {
			return true
		}
	}
	return false
}
