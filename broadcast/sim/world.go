package sim

import (
	"fmt"
	"time"
)

const (
	wholeDay = 24 * time.Hour
	mostWait = 6 * time.Second // for an answer

	clients = 6
)

// The kinds of faults and events that a run may meet.
const (
	metDisconnect  = "disconnects"
	metFrozen      = "half-open links"
	metFrozenCut   = "half-open links that were cut"
	metStall       = "stalls of a node while messages wait"
	metDropped     = "messages dropped by pending limits"
	metReordered   = "copies reordered between connections"
	metHandover    = "handovers between connections"
	metAgain       = "ends of subscriptions put off"
	metDenied      = "subscriptions denied"
	metTaken       = "subscriptions ended by a permission that was taken"
	metGranted     = "permissions given back"
	metPurged      = "streams purged"
	metDeleted     = "streams deleted"
	metAnew        = "streams made anew"
	metEvicted     = "messages evicted from streams"
	metStreamGap   = "gaps of streams"
	metLag         = "consumers that lag while messages wait"
	metLagAnswer   = "answers of copies that lag"
	metNoAnswer    = "questions to streams that failed"
	metNoStream    = "streams not found"
	metNoLeader    = "leaders lost"
	metLeader      = "leaders elected"
	metBroken      = "connections broken in a write"
	metFull        = "full sockets"
	metSlow        = "slow consumers closed"
	metElsewhere   = "resumes at another node"
	metWild        = "resumes with a cursor of another client or of nobody"
	metRecovered   = "recovered"
	metUnrecovered = "not recovered"
	metError       = "error answers"
)

var kinds = []string{
	metDisconnect, metFrozen, metFrozenCut, metStall, metDropped, metReordered, metHandover, metAgain, metDenied, metTaken, metGranted, metPurged, metDeleted,
	metAnew, metEvicted, metStreamGap, metLag, metLagAnswer, metNoAnswer, metNoStream, metNoLeader, metLeader, metBroken, metFull, metSlow,
	metElsewhere, metWild, metRecovered, metUnrecovered, metError,
}

// A World is one run.
type World struct {
	setup     Setup
	log       func(line string) // nil = nowhere
	clock     clock
	nodes     []*node
	clients   []*client
	streams   []*stream
	published [mostTopics]uint64 // the number of the last message along each topic
	met       map[string]int     // faults and events, by kind
	hash      uint64             // of all that clients were told
	violation string             // the first
}

func newWorld(u Setup) *World {
	w := &World{setup: u, clock: clock{now: 1e9}, met: make(map[string]int), hash: 14695981039346656037}
	for i := range streams {
		s := &stream{w: w, number: i, leader: true}
		s.anew()
		w.streams = append(w.streams, s)
	}
	for i := range u.Nodes {
		w.nodes = append(w.nodes, newNode(w, i))
	}
	for i := range clients {
		w.clients = append(w.clients, &client{w: w, id: i})
	}
	return w
}

// note logs a line, if somebody looks.
func (w *World) note(format string, args ...any) {
	if w.log != nil {
		w.log(fmt.Sprintf("%d.%03d ms ", w.clock.now/1e6, w.clock.now/1e3%1000) + fmt.Sprintf(format, args...))
	}
}

// trace adds to the hash of the run.
func (w *World) trace(values ...uint64) {
	for _, v := range values {
		w.hash = (w.hash ^ v) * 1099511628211
		w.hash ^= w.hash >> 29
	}
}

// violate notes that a promise was broken.
func (w *World) violate(format string, args ...any) {
	if w.violation == "" {
		w.violation = fmt.Sprintf(format, args...)
	}
}
