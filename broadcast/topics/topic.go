package topics

import (
	"container/list"
	"math"
	"sync/atomic"
)

// A Topic is one subject that has subscribers, or had some within the linger. There may be a million: 208 bytes, which
// is a size class.
type Topic struct {
	// Immutable.
	Name   string
	Class  *Class
	prefix string // see wire.Prefix
	Birth  uint64 // no message of the topic before this sequence is known of
	ID     uint32 // at most MaxTopicID; dense, reused after the topic's end

	// Any goroutine. Beside ID, where it takes no room.
	ended atomic.Bool // the hub has forgotten the topic; ID may belong to another one

	// Guarded by Hub.mu.
	seq       uint64 // of the newest message; Birth before the first
	newest    *Message
	since     uint64        // history holds every message after this one; beyond seq: a hole is behind seq; unknown = nobody can say
	cut       uint64        // the last hole: no cursor from before reaches across it; Birth before the first
	history   []*kept       // the oldest first
	exact     *interest     // in this very name, if any
	owner     *feed         // the feed whose copies count; see doc.go
	awaits    *handover     // the owner's copies do not count yet; nil = they do
	targets   []target      // the shards that want it
	targetsAt uint64        // registry.patternAt when targets were worked out; 0 = work them out
	heard     *list.Element // in a silenceList; nil without Class.StaleAfter

	told bool // its subscribers were told something of it, or a message waits for its delay
	torn bool // a gap is in front of its first message, in registry.torn

	ownerAt uint32 // registry.feedAt when owner was worked out; 0 = work it out

	place *list.Element // in newestList; nil without a newest message

	loading *load // with a stream: the answer about its past is on its way; nil = it is here

	state atomic.Pointer[Message] // stale, as subscribers were told last; nil = fresh. Stored with Hub.mu held
}

// MaxTopicID is the largest Topic.ID.
const MaxTopicID = 1<<29 - 1

// unknown is a sequence that nobody can say.
const unknown = math.MaxUint64

// Ended reports whether the hub has forgotten t. Any goroutine may call it.
func (t *Topic) Ended() bool { return t.ended.Load() }

// unheard reports whether nothing was ever published on t, as far as this process knows, and nothing told of it: a topic that
// ends cannot take back what its subscribers under a pattern were told. Guarded by Hub.mu.
func (t *Topic) unheard() bool {
	return t.newest == nil && !t.Class.Streamed() && t.seq == t.Birth && !t.told
}

// State returns the notice that t is stale, as its subscribers were told last; nil if it is fresh. Any goroutine may call it.
func (t *Topic) State() *Message { return t.state.Load() }
