package topics

import "maps"

// A delivery is a message of upstream on its way to a topic.
type delivery struct {
	topic    string
	class    *Class
	payload  []byte
	received int64  // by the hub's clock
	source   string // subject of its feed; "" = it counts in any case
	seq      uint64 // of its stream; 0 = the registry gives one out
	waits    *Topic // of a message that waits for its delay, and ends with the topic; nil for all others
	hole     *hole  // not nil: it is no message, but the place of lost ones; only class and received are set as well
}

// A hole is the place of lost messages of topics without a stream.
type hole struct {
	why     string
	stale   bool                // topics of ModeLast are called stale
	sources map[string]struct{} // feeds that may have lost messages; nil = none
	spared  map[*Topic]struct{} // with sources: topics that another feed owned then. It concerns all others, new ones too
	names   map[string]struct{} // topics that it concerns in any case
}

// concerns reports whether messages of t may be among the lost ones.
func (o *hole) concerns(t *Topic) bool {
	_, named := o.names[t.Name]
	_, spared := o.spared[t]
	return named || o.sources != nil && !spared
}

func (o *hole) concernsFeed(f *feed) bool {
	_, affected := o.sources[f.subject]
	return affected
}

// delays hold the messages that wait for the delay of their class. Guarded by Hub.mu.
type delays struct {
	maxBytes int // of all queues together
	bytes    int
	queues   []*delayQueue // by class; nil without Class.Delay
	dropped  uint64        // messages beyond maxBytes
	changed  chan struct{} // wakes Hub.watchDelays; capacity 1
}

// A delayQueue holds the waiting messages of one class, in the order in which they came.
type delayQueue struct{ waiting []delivery }

// delayCost is about the memory of a waiting message beyond its payload.
const delayCost = 160

// fits reports whether d may wait.
func (ds *delays) fits(d delivery) bool { return ds.bytes+len(d.payload)+delayCost <= ds.maxBytes }

// add queues d. The payload is copied.
func (ds *delays) add(d delivery) {
	d.payload = append([]byte{}, d.payload...)
	ds.bytes += d.cost()
	ds.push(d)
}

// cost returns the memory that d counts while it waits.
func (d *delivery) cost() int { return len(d.payload) + delayCost*(1+len(d.names())) }

func (d *delivery) names() map[string]struct{} {
	if d.hole == nil {
		return nil
	}
	return d.hole.names
}

// addHole queues a hole behind the messages of a class. Holes without a message between them become one, so that there are
// no more than messages, and the names of dropped ones are one a topic beyond maxBytes at most.
func (ds *delays) addHole(c *Class, received int64, o hole) {
	q := ds.queues[c.index]
	if n := len(q.waiting); n > 0 && q.waiting[n-1].hole != nil {
		last := &q.waiting[n-1]
		ds.bytes -= last.cost()
		last.hole.merge(o)
		ds.bytes += last.cost()
		return
	}
	d := delivery{class: c, received: received, hole: &o}
	ds.bytes += d.cost()
	ds.push(d)
}

// merge makes o the place of another's lost messages as well.
func (o *hole) merge(other hole) {
	switch {
	case o.sources == nil:
		o.spared = other.spared
	case other.sources != nil:
		maps.DeleteFunc(o.spared, func(t *Topic, _ struct{}) bool { _, both := other.spared[t]; return !both })
	}
	o.sources, o.names = union(o.sources, other.sources), union(o.names, other.names)
	o.stale = o.stale || other.stale
}

func union(a, b map[string]struct{}) map[string]struct{} {
	if a == nil {
		return b
	}
	maps.Copy(a, b)
	return a
}

func (ds *delays) push(d delivery) {
	q := ds.queues[d.class.index]
	q.waiting = append(q.waiting, d)
	if len(q.waiting) == 1 {
		select {
		case ds.changed <- struct{}{}:
		default:
		}
	}
}

// due returns when the first message of q is due; 0 if q is empty.
func (q *delayQueue) due() int64 {
	if len(q.waiting) == 0 {
		return 0
	}
	return q.waiting[0].received + int64(q.waiting[0].class.Delay)
}

// next takes the first message out of q.
func (ds *delays) next(q *delayQueue) delivery {
	d := q.waiting[0]
	q.waiting[0] = delivery{}
	if q.waiting = q.waiting[1:]; len(q.waiting) == 0 {
		q.waiting = nil
	}
	ds.bytes -= d.cost()
	return d
}
