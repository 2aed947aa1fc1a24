package broadcast

import (
	"tickcast/broadcast/topics"
)

// matching returns the filters of the patterns that match a topic. They are good until the next call.
func (t *filterTable) matching(name string) [][]*filter {
	t.over = t.wild.Match(t.over[:0], name)
	return t.over
}

// countFilters returns the number of filters in lists.
func countFilters(lists [][]*filter) (n int) {
	for _, same := range lists {
		n += len(same)
	}
	return n
}

// tie ties the pattern f to st.
func (t *filterTable) tie(f *filter, st *shardTopic) {
	f.reach(st.Position)
	f.topics = append(f.topics, match{st, uint32(len(st.more))})
	st.more = append(st.more, tie{f, uint32(len(f.topics) - 1)})
	t.matches++
	t.steps++
}

// untie unties m's topic from its pattern.
func (t *filterTable) untie(m match) {
	st, f, at := m.st, m.st.more[m.at].f, m.st.more[m.at].at
	t.untieFrom(st, m.at)
	last := len(f.topics) - 1
	if moved := f.topics[last]; int(at) != last {
		f.topics[at] = moved
		moved.st.more[moved.at].at = at
	}
	f.topics[last] = match{}
	f.topics = trimmed(f.topics[:last])
	t.matches--
	t.removeUnused(st)
}

// untieFrom takes element i out of st.more.
func (t *filterTable) untieFrom(st *shardTopic, i uint32) {
	last := len(st.more) - 1
	if moved := st.more[last]; int(i) != last {
		if st.more[i] = moved; moved.f.topic != nil {
			moved.f.tied = i
		} else {
			moved.f.topics[moved.at].at = i
		}
	}
	st.more[last] = tie{}
	st.more = trimmed(st.more[:last])
}

// findTopic returns the shard's entry of a topic, or nil.
func (t *filterTable) findTopic(topic *topics.Topic) *shardTopic {
	if st := t.topicByID(topic.ID); st != nil && st.topic == topic {
		return st
	}
	return nil
}

// topicByID returns the topic of an id, or nil.
func (t *filterTable) topicByID(id uint32) *shardTopic {
	if int(id) >= len(t.byID) {
		return nil
	}
	return t.byID[id]
}

// addTopic enters a topic, with the patterns that match it. An earlier topic of the same id has ended at the hub.
func (t *filterTable) addTopic(topic *topics.Topic) *shardTopic {
	for int(topic.ID) >= len(t.byID) {
		t.byID = append(t.byID, nil)
		t.shrinkAt = len(t.byID) / 8
	}
	if ended := t.byID[topic.ID]; ended != nil {
		t.dropTopic(ended)
	}
	st := &shardTopic{topic: topic, Position: topics.Position{Seq: topic.Birth}}
	t.byID[topic.ID] = st
	t.tracked++
	for _, same := range t.matching(topic.Name) {
		for _, f := range same {
			if t.tie(f, st); f.growing {
				t.noteTied(f, st)
			}
		}
	}
	return st
}

// dropTopic unties a topic that has ended at the hub from the patterns that matched it.
func (t *filterTable) dropTopic(st *shardTopic) {
	for i := len(st.more) - 1; i >= 0; i-- {
		if p := st.more[i]; p.f.topic == nil {
			t.untie(p.f.topics[p.at])
		}
	}
}

// findOrMatch returns the shard's entry of a topic with a message. A new topic gets one if a pattern matches it, and if there is
// room for the pairs that it makes; else the result is nil.
func (t *filterTable) findOrMatch(topic *topics.Topic) *shardTopic {
	st := t.findTopic(topic)
	if st != nil || t.wild.Len() == 0 || topic.Ended() { // the id of an ended topic may be another's
		return st
	}
	pairs := countFilters(t.matching(topic.Name))
	if t.matches+pairs > t.cfg.MaxMatches {
		t.unmatched++
		return nil
	}
	if pairs == 0 {
		return nil
	}
	st = t.addTopic(topic)
	t.removeUnused(st) // it is private
	if st = t.findTopic(topic); st != nil {
		t.beginGrown(st)
	}
	return st
}

// removeUnused removes a topic without a filter.
func (t *filterTable) removeUnused(st *shardTopic) {
	if st.exact == nil && len(st.more) == 0 && t.byID[st.topic.ID] == st {
		t.byID[st.topic.ID] = nil
		t.tracked--
		t.shrink()
	}
}

// shrinkFrom is the length of a table from which on it is worth to make it short again. Chosen by us.
const shrinkFrom = 512

// shrink gives the memory of byID back when it was much longer once. The ids of topics that are left may be high: so it does that once
// for each time that the topics are half as many.
func (t *filterTable) shrink() {
	if len(t.byID) < shrinkFrom || t.tracked > t.shrinkAt {
		return
	}
	t.shrinkAt = t.tracked / 2
	n := len(t.byID)
	for n > 0 && t.byID[n-1] == nil {
		n--
	}
	t.byID = append(make([]*shardTopic, 0, n), t.byID[:n]...)
}
