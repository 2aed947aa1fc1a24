package broadcast

import (
	"errors"
	"slices"
	"strings"
	"time"

	"tickcast/broadcast/subject"
	"tickcast/broadcast/topics"
)

var (
	errMatchLimit     = errors.New("wildcards match too many topics")
	errTooManyMatches = errors.New("wildcards match many topics, try again in a second")
)

// A filterTable holds a shard's filters and topics, and ties them to each other. It raises the shard's interest in a name
// with the first filter of that name and lowers it with the last.
type filterTable struct {
	// Immutable.
	hub   *topics.Hub
	shard int
	cfg   *Config
	rates []time.Duration        // by tier
	subs  *SlotTable[subscriber] // the shard's

	names     map[filterName]uint32 // index into list
	namesPeak topics.Peak
	list      []*filter               // nil = free
	free      []uint32                // free places in list, and perhaps some beyond its end
	byID      []*shardTopic           // by topic id
	wild      subject.Trie[[]*filter] // the filters with wildcards
	held      int64                   // subscriptions
	matches   int                     // pairs of a pattern and a topic: the lengths of all filter.topics
	made      int                     // of these, those that were charged and not worked off, up to second madeIn of the hub's clock
	madeIn    int64
	ending    []*filter // without subscribers, to be removed when there is time; see endSome
	late      bool      // the loop's round is over: work that can wait does
	steps     uint64    // work so far: filters and pairs that were made or removed, topics and debts that a command looked at

	indexes map[*subscriber]*entryIndex // during commands that name many topics
	growing map[*filter]*growth         // of the patterns with filter.growing

	tracked   int    // topics in byID
	shrinkAt  int    // of these, the number at which byID is looked at; see shrink
	unmatched uint64 // messages of new topics that found no room for their pairs

	found []topics.Known // scratch
	over  [][]*filter    // scratch: see matching
}

func newFilterTable(hub *topics.Hub, shard int, cfg *Config, subs *SlotTable[subscriber]) filterTable {
	return filterTable{hub: hub, shard: shard, cfg: cfg, rates: hub.Rates(), subs: subs, names: make(map[filterName]uint32)}
}

// find returns the filter of a name, or nil.
func (t *filterTable) find(n filterName) *filter {
	if index, known := t.names[n]; known {
		return t.list[index]
	}
	return nil
}

// add returns a new filter, which raises the interest in its name and takes over the topics that are known under it.
func (t *filterTable) add(n filterName) (*filter, error) {
	f, err := t.begin(n)
	if err == nil {
		err = t.complete(f)
	}
	return f, err
}

// begin is add, but that a pattern has no topics yet: grow ties them to it.
func (t *filterTable) begin(n filterName) (*filter, error) {
	pattern := subject.IsPattern(n.name)
	pairs := 0
	if !pattern {
		pairs = countFilters(t.matching(n.name))
	}
	if pattern || pairs > freeMatches {
		if err := t.mayMatch(pairs); err != nil {
			return nil, err
		}
	}
	known, at, err := t.hub.Raise(t.shard, n.name)
	if err != nil {
		return nil, err
	}
	f := t.insert(n)
	f.since, f.at = at, at
	t.made += pairs
	if !pattern {
		t.connectTopic(f, &known)
		return f, nil
	}
	t.wild.Insert(n.name, append(t.wild.Value(n.name), f))
	t.beginGrowth(f)
	return f, nil
}

// pin returns the filter of a name, which it makes if there is none as begin does, and keeps it without subscribers until unpin.
func (t *filterTable) pin(n filterName) (f *filter, err error) {
	if f = t.find(n); f == nil {
		if f, err = t.begin(filterName{strings.Clone(n.name), n.tier}); err != nil {
			return nil, err
		}
	}
	f.pins++
	return f, nil
}

func (t *filterTable) unpin(f *filter) {
	if f.pins--; len(f.places) == 0 {
		t.remove(f)
	}
}

// freeMatches is the number of patterns over a new topic that cost nothing: only more of them are a means to make others work.
// Chosen by us.
const freeMatches = 16

// mayMatch bounds the cost of pairs of a pattern and a topic that it matches, which take time and memory.
func (t *filterTable) mayMatch(more int) error {
	if t.matches >= t.cfg.MaxMatches || t.matches+more > t.cfg.MaxMatches {
		return errMatchLimit
	}
	return t.mayCharge()
}

// mayCharge bounds the work with such pairs: up to Config.MatchesPerSecond are worked off in a second.
func (t *filterTable) mayCharge() error {
	if second := t.hub.Now() / 1e9; second != t.madeIn {
		off := min(second-t.madeIn, int64(t.made/t.cfg.MatchesPerSecond+1)) * int64(t.cfg.MatchesPerSecond)
		t.madeIn, t.made = second, max(t.made-int(off), 0)
	}
	if t.made >= t.cfg.MatchesPerSecond {
		return errTooManyMatches
	}
	return nil
}

// chargeHeld charges work with all pairs of a filter that is there already.
func (t *filterTable) chargeHeld(f *filter) error {
	if f.topic != nil {
		return nil
	}
	err := t.mayCharge()
	if err == nil {
		t.made += len(f.topics)
	}
	return err
}

// listed reports whether f is in the tables, and not forgotten.
func (t *filterTable) listed(f *filter) bool {
	return int(f.index) < len(t.list) && t.list[f.index] == f
}

// paced reports whether some topics may be held at a slower rate.
func (t *filterTable) paced() bool { return len(t.rates) > 1 }

func (t *filterTable) insert(n filterName) *filter {
	f := &filter{filterName: n}
	if f.index, t.free = topics.TakePlace(t.list, t.free); int(f.index) < len(t.list) {
		t.list[f.index] = f
	} else {
		t.list = append(t.list, f)
	}
	t.names[n] = f.index
	t.steps++
	return f
}

// connectTopic ties the new filter f to its topic.
//
// Subtle: where another filter of this shard had the topic already, its messages up to the hub's newest are in the mailbox
// and still owed to that filter's subscribers. Only a topic that no filter with subscribers brings begins with the newest.
func (t *filterTable) connectTopic(f *filter, known *topics.Known) {
	st := t.findTopic(known.Topic)
	if st == nil {
		if st = t.addTopic(known.Topic); !st.brought() { // else a pattern has it, and brings it in order
			st.begin(known)
		}
	}
	if f.topic = st; f.tier == 0 {
		st.exact = f
	} else {
		f.tied = uint32(len(st.more))
		st.more = append(st.more, tie{f: f})
	}
}

// emptied returns scratch empty, so that it keeps no value alive.
func emptied[T any](scratch []T) []T {
	clear(scratch)
	return scratch[:0]
}

// remove removes a filter without subscribers unless it is pinned, at once or when there is time.
func (t *filterTable) remove(f *filter) {
	if f.pins > 0 || f.ending {
		return
	}
	f.ending = true
	t.ending = append(t.ending, f)
	if n, others := 0, len(t.ending)-1; !t.late {
		t.endSome(func() bool { n++; return n >= endsInline || len(t.ending) <= others })
	}
	if len(t.ending) > 0 {
		t.hub.Mailbox(t.shard).Wake() // a drain goes on
	}
}

// endsInline is the number of steps that are taken at once to remove a filter without subscribers. Chosen by us.
const endsInline = 64

// endSome removes filters without subscribers until done says so. It reports whether more are left.
func (t *filterTable) endSome(done func() bool) (more bool) {
	for n := len(t.ending); n > 0; n = len(t.ending) {
		f := t.ending[n-1]
		if len(f.places) > 0 || f.pins > 0 { // it has a subscriber again, or will have
			f.ending = false
		} else if !t.endStep(f) {
			if done() {
				return true
			}
			continue
		}
		t.ending[n-1] = nil
		t.ending = t.ending[:n-1]
		if done() {
			break
		}
	}
	if len(t.ending) == 0 {
		t.ending = nil
	}
	return len(t.ending) > 0
}

// endStep does a step of the removal of f, whose name goes first and then one topic after the other. It reports whether f is
// removed.
func (t *filterTable) endStep(f *filter) (removed bool) {
	t.steps++
	if t.listed(f) {
		t.forget(f)
	}
	last := len(f.topics) - 1
	if last >= 0 {
		t.untie(f.topics[last])
	}
	if last <= 0 {
		t.lower(f.name)
		return true
	}
	return false
}

// forget takes f's name out of the tables. The interest in the name stays up to the end of its last filter: the topics that are
// tied to f are known by it, and must not miss a message that a new filter of them would look for.
func (t *filterTable) forget(f *filter) {
	t.endGrowth(f)
	t.names = topics.Delete(t.names, f.filterName, &t.namesPeak)
	t.list, t.free = topics.FreePlace(t.list, t.free, f.index)
	switch {
	case f.topic == nil:
		if same := without(t.wild.Value(f.name), f); len(same) > 0 {
			t.wild.Insert(f.name, same)
		} else {
			t.wild.Remove(f.name)
		}
	case f.tier == 0:
		f.topic.exact = nil
		t.removeUnused(f.topic)
	default:
		t.untieFrom(f.topic, f.tied)
		t.removeUnused(f.topic)
	}
}

// lower lowers the interest in name if no filter of that name is left.
func (t *filterTable) lower(name string) {
	for tier := range t.rates {
		if _, known := t.names[filterName{name, uint8(tier)}]; known {
			return
		}
	}
	t.hub.Lower(t.shard, name)
}

// without removes f from list, in place. The list has at most one filter for each rate.
func without(list []*filter, f *filter) []*filter {
	if i := slices.Index(list, f); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}
