package fleet

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// Sizes of a worker.
const (
	readBufferSize = 64 << 10
	eventBatch     = 512 // events taken from epoll at once
	dialBatch      = 64  // connections started before sockets are looked at again
	maxUnsent      = 64 << 10
	maxMessage     = 1 << 20

	wakeSlot = -1 // stands in an event for the eventfd
)

// A worker owns every n-th client of a fleet, n being the number of workers, and an epoll instance.
type worker struct {
	// Immutable after newWorker.
	fleet    *common
	id       int
	stride   int
	inFlight int // bound of pending
	config   wsproto.Config
	ep, wake int
	orders   chan func()
	ended    chan struct{} // closed when run has returned

	// Owned by run.
	clients []client
	schedule
	rarities
	cohorts
	counts
	scratch
	ledger  *ledger // nil if messages are not accounted for
	rng     *rand.PCG
	closing bool
	until   time.Time // the end of closeGrace
	err     error     // also Close, after run

	// Any goroutine; guarded by mu.
	mu        sync.Mutex
	published Totals
	faults    map[Fault]int
}

// A schedule is the state of a worker's connecting.
type schedule struct {
	started  int             // slots below it have been in use
	attempts []attempt       // in the order of their begin; the first ones may have ended
	back     []int32         // clients to be connected again
	pending  int             // connections between connect(2) and the 101
	held     int             // clients with a socket
	peers    []unix.Sockaddr // of the fleet's targets
}

// The rarities are data of clients in rare states, by slot.
type rarities struct {
	heads  map[int32][]byte // incomplete answers to upgrade requests
	unsent map[int32][]byte // bytes that a full socket refused
	tls    *secured         // nil if there is no wss target
}

// The cohorts of a worker are its clients with another role than reading.
type cohorts struct {
	slow    []int32   // clients that read slowly
	slowDue time.Time // when they read next
	leaving churn
	special int // number of slow and half-open clients
}

// The counts of a worker are its part of the figures. Histograms are in microseconds, times in CLOCK_MONOTONIC.
type counts struct {
	totals     Totals
	turned     int64                   // when epoll last reported
	lag        *hdrhistogram.Histogram // from a report of epoll until its events were handled
	connects   *hdrhistogram.Histogram // from connect(2) to the 101
	stamped    *hdrhistogram.Histogram // latencies of messages with a stamp, nil if there are none
	lastBack   int64                   // when the last client was subscribed again after a storm
	lastOpened int64                   // when the last client opened or failed
	dismissed  int64                   // sum over Totals.Dismissed of milliseconds since their connect(2)
	settled    int                     // to be added to the fleet's tallies
	replied    int
	gotData    int
}

// A scratch is memory that each use overwrites.
type scratch struct {
	buf    []byte // input
	out    []byte // output
	places []uint32
	events []unix.EpollEvent
}

// release closes the descriptors; run has ended or was never called.
func (w *worker) release() {
	for _, fd := range []*int{&w.ep, &w.wake} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// index returns the fleet-wide number of the worker's client in a slot. Slots are assigned round robin, so that the workers
// together start the clients in the order of their numbers.
func (w *worker) index(slot int) int { return slot*w.stride + w.id }

// number returns the number of the client in a slot within the run.
func (w *worker) number(slot int) int { return w.fleet.first + w.index(slot)*w.fleet.stride }

// target returns the place of the server of the client in a slot.
func (w *worker) target(slot int32) int { return w.number(int(slot)) % len(w.fleet.targets) }

// tenths returns the tenths of a millisecond since the fleet began. They wrap after five days, differences remain right.
func (w *worker) tenths() uint32 { return uint32(time.Since(w.fleet.begun) / tenth) }

// wakeUp makes run check Fleet.closing. Any goroutine may call it until release.
func (w *worker) wakeUp() { notify(w.wake) }

// notify adds one to an eventfd. It fails only if that is readable already.
func notify(eventfd int) {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	unix.Write(eventfd, one[:])
}

// publish makes the counts of this turn visible to other goroutines.
func (w *worker) publish() {
	if w.gotData > 0 {
		w.totals.LastData = w.fleet.now()
	}
	w.mu.Lock()
	w.published = w.totals
	w.mu.Unlock()
	// Subtle: the totals come first, so that a goroutine that waited for a tally finds them complete.
	if w.settled > 0 {
		w.lastOpened = w.fleet.now()
		w.fleet.settled.add(w.settled)
	}
	if w.replied > 0 {
		w.fleet.answered.add(w.replied)
	}
	if w.gotData > 0 {
		w.fleet.data.add(w.gotData)
	}
	w.settled, w.replied, w.gotData = 0, 0, 0
}

// countFault counts a fault.
func (w *worker) countFault(f Fault) {
	w.mu.Lock()
	w.faults[f]++
	w.mu.Unlock()
}

// watchEvents replaces the events that client i is interested in.
func (w *worker) watchEvents(i int32, events uint32) error {
	return unix.EpollCtl(w.ep, unix.EPOLL_CTL_MOD, int(w.clients[i].fd), &unix.EpollEvent{Events: events, Fd: i})
}

// interest returns the events to watch for client i, besides room for unsent bytes.
func (w *worker) interest(i int32) uint32 {
	switch c := &w.clients[i]; {
	case c.state != stateOpen || !c.replied:
		return unix.EPOLLIN
	case w.fleet.deaf:
		// Subtle: no bytes are unsent when the server answers, so from then on only errors of the socket matter, which
		// epoll always reports.
		return 0
	case c.role != roleReader:
		return unix.EPOLLRDHUP // it reads at its own pace, or not at all
	}
	return unix.EPOLLIN
}
