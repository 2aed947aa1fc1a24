package broadcast

import (
	"slices"
	"sync/atomic"

	"tickcast/broadcast/auth"
	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
	"tickcast/wsproto"
)

// An Outlet is the way of a shard to its clients: the connections of its event loop, by slot. The shard calls it on that
// loop only. A write may find the connection broken and end it, which calls Leave before the write returns.
type Outlet interface {
	// Write sends count whole frames, one after the other. It reports ok if the socket took them all. If not, the connection
	// has ended or is behind: then taken counts the bytes of the frames that the outlet accepted; it buffers the part that the
	// socket refused. Frames after that were not accepted and stay with the shard, which sends no data until Writable. At
	// least one frame is accepted.
	Write(slot uint32, frames []byte, count int) (taken int, ok bool)
	// Close ends the client's connection with a close frame, and calls Leave.
	Close(slot uint32, code wsproto.StatusCode, reason string)
}

// A Writing is a write of whole frames to one client, and its outcome.
type Writing struct {
	Frames []byte // one after the other
	Slot   uint32
	Count  int // of frames

	// The results of Outlet.Write.
	Taken int
	OK    bool
}

// WritingsMost is the most writings that an outlet gets at once. Chosen by us: what sixteen ciphers need fits in the nearest cache.
const WritingsMost = 16

// A GroupOutlet is an outlet for which several writes are cheaper than each of them alone.
type GroupOutlet interface {
	// WriteAll is Outlet.Write for each of some clients, WritingsMost at most and each once, and sets the outcomes.
	WriteAll(writings []Writing)
}

// A Shard holds the subscribers of one event loop. All methods but Wake belong to that loop. A subscriber is named by its
// slot, a small number that the loop gives out and may give to another connection after Leave. It has more than 25 fields since it owns
// its parts by value.
type Shard struct {
	// Immutable after Attach.
	hub    *topics.Hub
	cfg    *Config
	index  int
	out    Outlet
	poller Poller      // out, if it has polls
	groups GroupOutlet // out, if it is one
	hello  []byte      // the frame that greets every client

	lossless bool // some class has topics of ModeAll

	// Any goroutine.
	mailbox *topics.Mailbox
	stats   shardStats

	// Owned by the loop.
	owner   Owner
	subs    SlotTable[subscriber]
	joined  int64                  // clients
	grants  map[uint32]*auth.Grant // by slot, of clients with a token
	filters filterTable
	inbox   inbox
	fanout  fanout
	batch   batch
	group   writeGroup
	tiers   tiers
	alarm   alarm
	slow    slowList
	parked  parkedTable
	runs    runList
	pace    pace
	places  places

	polls     map[uint32]*poll // by slot; nil before the first
	lingering lingering
	told      uint64 // number of the last notice of stale, fresh, or a gap before a new topic

	gathering bool // a bundle is written to make room for the message of the fan-out

	listings map[uint32]*listing // answers to list that wait for a socket, by slot
	pages    map[uint32][][]byte // of other answers that wait so, by slot; nil before the first
	framer   framer
	scratch  scratch

	shardTotals // owned by the loop
}

// shardTotals count since the start. The end of each drain publishes them as shardStats.
type shardTotals struct{ delivered, coalesced, conflated uint64 }

// scratch is space that is used again by each call.
type scratch struct {
	greeting [][]byte
	ends     []int           // see writeDirty
	owed     []*shardTopic   // see changeRate
	notice   *topics.Message // see keepNotice; may be nil
	backlog  *backlog        // see spareBacklog; may be nil
}

// shardStats are the figures of a shard. Any goroutine may read them.
type shardStats struct {
	subscribers, subscriptions atomic.Int64
	deliveries, conflated      atomic.Uint64
	commands, errors           atomic.Uint64
	compressed, coalesced      atomic.Uint64
	slow, shed, unmatched      atomic.Uint64
	unkept                     atomic.Uint64
	lingering                  atomic.Int64
	filters, pairs             atomic.Int64
	topics, places             atomic.Int64
}

// newShard returns a shard. budget bounds the bytes in the queues of all shards.
func newShard(hub *topics.Hub, cfg *Config, index int, hello []byte, budget *budget) *Shard {
	s := &Shard{hub: hub, cfg: cfg, index: index, hello: hello, mailbox: hub.Mailbox(index)}
	s.lossless = slices.ContainsFunc(cfg.Classes, func(c topics.Class) bool { return c.Mode == topics.ModeAll })
	s.filters = newFilterTable(hub, index, cfg, &s.subs)
	s.alarm = alarm{hub: hub, wake: s.Wake}
	s.tiers = newTiers(hub, &s.alarm)
	s.slow.budget = budget
	s.listings = make(map[uint32]*listing)
	s.places = newPlaces(hub)
	s.pace = newPace(cfg.NewTopicsPerSecond, cfg.MaxTopicsPerConnection)
	s.framer = framer{deflater: cfg.Deflater, minimum: int64(cfg.MinCompress), compressed: &s.stats.compressed}
	return s
}

// Attach ties the shard to its loop, before any other call. wake schedules a Drain on the loop, soon; it is called from any
// goroutine.
func (s *Shard) Attach(out Outlet, wake func()) {
	s.out = out
	s.poller, _ = out.(Poller)
	s.groups, _ = out.(GroupOutlet)
	s.mailbox.Attach(wake)
}

// Wake schedules a Drain on the loop, unless one is scheduled. Any goroutine may call it.
func (s *Shard) Wake() { s.mailbox.Wake() }

// checkOwner panics if another goroutine than the loop's calls.
func (s *Shard) checkOwner() { s.owner.Check("broadcast: a shard was called outside of its loop") }

// Subscribed reports whether the client in slot has ever held a subscription, or published.
func (s *Shard) Subscribed(slot uint32) bool {
	s.checkOwner()
	return s.subs.At(slot).flags&flagSubscribed != 0
}

// Codec returns the codec of the client in slot.
func (s *Shard) Codec(slot uint32) wire.Codec {
	s.checkOwner()
	return s.subs.At(slot).codec
}

// LookAtClock makes a fan-out under way look at the clock with its next step. An outlet calls it after a long write.
func (s *Shard) LookAtClock() {
	s.checkOwner()
	s.fanout.steps |= lookAtClock - 1
}

// lookAtClock is the number of steps between two looks at the clock.
const lookAtClock = 32

// budgetSpent counts a step and reports whether the slice is over. It reads the clock every 32 steps only. The count runs on
// across messages, so that many small fan-outs cannot exceed the slice.
func (s *Shard) budgetSpent(until int64) bool {
	s.fanout.steps++
	return s.fanout.steps%lookAtClock == 0 && s.hub.Now() >= until
}

// countSteps counts n steps, of which none looks at the clock; the one behind them does, if one of them should have.
func (s *Shard) countSteps(n int) {
	if int(s.fanout.steps%lookAtClock)+n < lookAtClock {
		s.fanout.steps += uint32(n)
	} else {
		s.fanout.steps |= lookAtClock - 1
	}
}

// removeEntry removes subscription k of a subscriber.
func (s *Shard) removeEntry(sub *subscriber, k uint32) {
	s.fanout.noteHole(s.filters.removeEntry(sub, k, s.fanout.underWay()))
	s.stats.subscriptions.Store(s.filters.held)
}

// addEntry gives the subscriber in slot a subscription to f.
func (s *Shard) addEntry(slot uint32, sub *subscriber, f *filter) {
	s.filters.addEntry(slot, sub, f)
	s.stats.subscriptions.Store(s.filters.held)
}

// publishTables publishes the sizes of the tables to stats.
func (s *Shard) publishTables() {
	s.stats.filters.Store(int64(len(s.filters.names)))
	s.stats.pairs.Store(int64(s.filters.matches))
	s.stats.topics.Store(int64(s.filters.tracked))
	s.stats.places.Store(int64(cap(s.filters.byID)))
	s.stats.unmatched.Store(s.filters.unmatched)
}

// spareBacklog returns an empty backlog, the same each time until it becomes a client's. Most clients that subscribe are owed
// nothing, and backlogs of a ramp among memory that stays would never be given back.
func (s *Shard) spareBacklog() *backlog {
	if s.scratch.backlog == nil {
		s.scratch.backlog = new(backlog)
	}
	*s.scratch.backlog = backlog{}
	return s.scratch.backlog
}
