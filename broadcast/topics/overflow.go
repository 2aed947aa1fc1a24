package topics

import "slices"

// An overflow holds the entries beyond a mailbox's bounds: of each topic the newest of each sort, in the order of their posts.
type overflow struct {
	list []*Message // nil = replaced
	at   map[overflowKey]int
}

// An overflowKey names the entries that replace each other: updates of a topic, its states, its gaps.
type overflowKey struct {
	topic *Topic
	sort  Kind
}

// gapBehind is the sort of a gap behind the update of its topic that waits. The other one, KindGap, is before that update.
const gapBehind = KindMark

func keyOf(m *Message) overflowKey {
	switch m.Kind {
	case KindFresh:
		return overflowKey{m.Topic, KindStale}
	case KindRestart:
		return overflowKey{m.Topic, KindGap}
	}
	return overflowKey{m.Topic, m.Kind}
}

func (o *overflow) empty() bool { return len(o.at) == 0 }

// restarts reports whether a restart of a topic waits, behind which its messages must stay.
func (o *overflow) restarts(t *Topic) bool {
	_, there := o.at[overflowKey{t, KindGap}]
	return there
}

// add appends m in place of the entries that it makes needless, and returns how many updates are among those. The gap
// before m, or Message.Prev, tells their loss.
func (o *overflow) add(m *Message) (replaced uint64) {
	key := keyOf(m)
	data, first, behind := overflowKey{m.Topic, KindData}, overflowKey{m.Topic, KindGap}, overflowKey{m.Topic, gapBehind}
	switch m.Kind {
	case KindData:
		if o.remove(data) {
			replaced++
		}
		o.advance(first, behind)
	case KindRestart: // all before it is of another time
		if o.remove(data) {
			replaced++
		}
		o.remove(first)
		o.remove(behind)
	case KindGap:
		if _, waits := o.at[data]; waits {
			key = behind
		} else if i, there := o.at[first]; there && o.list[i].Kind == KindRestart { // it says more
			return 0
		}
		if o.remove(key) { // it stands for both
			m = m.Widened(0)
		}
	default:
		o.remove(key)
	}
	if o.at == nil {
		o.at = make(map[overflowKey]int)
	}
	if len(o.list) > 2*len(o.at)+64 {
		o.compact()
	}
	o.at[key] = len(o.list)
	o.list = append(o.list, m)
	return replaced
}

// advance makes the gap behind the update that has gone the first one, unless a restart is there, which says more.
func (o *overflow) advance(first, behind overflowKey) {
	at, there := o.at[behind]
	if !there {
		return
	}
	if i, there := o.at[first]; there && o.list[i].Kind == KindRestart {
		o.remove(behind)
		return
	}
	o.remove(first)
	delete(o.at, behind)
	o.list[at] = o.list[at].Widened(0)
	o.at[first] = at
}

func (o *overflow) remove(key overflowKey) bool {
	i, there := o.at[key]
	if there {
		o.list[i] = nil
		delete(o.at, key)
	}
	return there
}

// compact closes the holes of the list.
func (o *overflow) compact() {
	closed := make([]*Message, 0, len(o.at))
	moved := make([]int, len(o.list))
	for i, m := range o.list {
		moved[i] = len(closed)
		if m != nil {
			closed = append(closed, m)
		}
	}
	for key, i := range o.at {
		o.at[key] = moved[i]
	}
	o.list = closed
}

// take returns the entries and forgets them.
func (o *overflow) take() []*Message {
	list := slices.DeleteFunc(o.list, func(m *Message) bool { return m == nil })
	*o = overflow{}
	return list
}
