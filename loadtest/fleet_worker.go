package loadtest

import (
	"encoding/binary"
	"fmt"
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
	fleet    *Fleet
	id       int
	stride   int
	inFlight int // bound of pending
	config   wsproto.Config
	ep, wake int
	orders   chan func()
	ended    chan struct{} // closed when run has returned

	// Owned by run.
	clients    []client
	started    int                   // slots below it have been in use
	attempts   []attempt             // in the order of their begin; those in front may have ended
	back       []int32               // clients that shall connect again
	pending    int                   // between connect(2) and the 101
	held       int                   // with a socket
	peers      []unix.Sockaddr       // of the fleet's targets
	ledger     *ledger               // nil if messages are not accounted for
	sessions   map[int32]*tlsSession // nil if there is no wss target
	poked      *pokes
	plain      []byte    // what a session decrypts into
	slow       []int32   // clients that read slowly
	slowDue    time.Time // when they read next
	leaving    churn
	places     []uint32                // scratch for a client's topics
	turned     int64                   // when epoll last reported, CLOCK_MONOTONIC
	lag        *hdrhistogram.Histogram // how long its events took to be handled, microseconds
	connects   *hdrhistogram.Histogram // from connect(2) to the 101, microseconds
	lastBack   int64                   // when the last client was subscribed again after a storm, CLOCK_MONOTONIC
	lastOpened int64                   // when the last client opened or failed, CLOCK_MONOTONIC
	special    int                     // slow and half-open clients
	dismissed  int64                   // sum over Totals.Dismissed of milliseconds since their connect(2)
	buf        []byte
	out        []byte // scratch for what is sent
	events     []unix.EpollEvent
	heads      map[int32][]byte // the incomplete answers to upgrade requests
	unsent     map[int32][]byte // what a full socket did not take
	rng        *rand.PCG
	totals     Totals
	settled    int // to be added to the fleet's tally
	replied    int
	gotData    int
	closing    bool
	until      time.Time // the end of closeGrace
	err        error     // also Close, after run

	// Any goroutine; guarded by mu.
	mu        sync.Mutex
	published Totals
	faults    map[Fault]int
}

// newWorker creates worker id of n. It holds descriptors until release.
func newWorker(f *Fleet, id, n, inFlight int, account *accountConfig) (*worker, error) {
	w := &worker{
		fleet: f, id: id, stride: n, inFlight: inFlight,
		config:   wsproto.Config{MaxMessage: maxMessage, Client: true},
		ep:       -1,
		wake:     -1,
		clients:  make([]client, (f.conns-id+n-1)/n),
		orders:   make(chan func(), 1),
		ended:    make(chan struct{}),
		lag:      newCoarse(),
		connects: newCoarse(),
		buf:      make([]byte, readBufferSize),
		events:   make([]unix.EpollEvent, eventBatch),
		heads:    map[int32][]byte{},
		unsent:   map[int32][]byte{},
		rng:      rand.NewPCG(f.seed, uint64(id)),
		faults:   map[Fault]int{},
	}
	for i := range f.targets {
		w.peers = append(w.peers, sockaddr(f.targets[i].addr))
		if f.targets[i].tls != nil && w.sessions == nil {
			w.sessions, w.poked, w.plain = map[int32]*tlsSession{}, &pokes{}, make([]byte, readBufferSize)
		}
	}
	for slot := range w.clients {
		c, number := &w.clients[slot], w.number(slot)
		if c.role, c.probe = f.plan.role(number), f.plan.probe(number); c.role != roleReader {
			w.special++
		}
	}
	if account != nil {
		w.ledger = newLedger(w, account)
	}
	var err error
	if w.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("loadtest: epoll: %w", err)
	}
	if w.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		w.release()
		return nil, fmt.Errorf("loadtest: eventfd: %w", err)
	}
	err = unix.EpollCtl(w.ep, unix.EPOLL_CTL_ADD, w.wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeSlot})
	if err != nil {
		w.release()
		return nil, fmt.Errorf("loadtest: epoll: %w", err)
	}
	return w, nil
}

// release gives the descriptors back; run has ended or was never called.
func (w *worker) release() {
	for _, fd := range []*int{&w.ep, &w.wake} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// wakeUp makes run look at Fleet.closing. Any goroutine, until release.
func (w *worker) wakeUp() { notify(w.wake) }

// notify adds one to an eventfd. It fails only if that is readable already.
func notify(eventfd int) {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	unix.Write(eventfd, one[:])
}

// run is the worker's loop, on its own goroutine until all is closed.
func (w *worker) run() {
	defer close(w.ended)
	for !w.done() {
		// Chores first: they make clients leave, which dial has come back.
		wait := w.chores()
		wait = sooner(w.dial(), wait)
		switch {
		case w.closing:
			wait = max(0, time.Until(w.until))
		case w.settled > 0:
			wait = 0 // a connect that failed at once is published without waiting for others
		}
		if err := w.turn(wait); err != nil {
			w.err = err
			break
		}
		if w.fleet.pause > 0 && w.pending == 0 {
			time.Sleep(w.fleet.pause)
		}
	}
	for i := range w.clients {
		w.drop(int32(i))
	}
	if w.poked != nil {
		w.poked.running.Wait()
	}
	// Those that were never started will not be: nobody shall wait for them.
	w.settled += len(w.clients) - w.started
	w.replied += len(w.clients) - w.started
	w.publish()
}

// turn waits for events, at most for the given time (negative: for ever), handles a batch of them, and publishes.
func (w *worker) turn(wait time.Duration) error {
	ms := -1
	if wait >= 0 {
		ms = int((wait + time.Millisecond - 1) / time.Millisecond)
	}
	n, err := unix.EpollWait(w.ep, w.events, ms)
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("loadtest: epoll: %w", err)
	}
	w.turned = w.fleet.now()
	for i := range max(n, 0) {
		ev := &w.events[i]
		if ev.Fd == wakeSlot {
			w.woken()
			continue
		}
		w.event(ev.Fd, ev.Events)
	}
	w.expire()
	if n > 0 {
		now := w.fleet.now()
		record(w.lag, now-w.turned)
		if w.ledger != nil && len(w.ledger.touched) > 0 {
			w.ledger.turnEnds(now)
		}
	}
	w.publish()
	return nil
}

// publish makes what was counted in this turn visible to others.
func (w *worker) publish() {
	if w.gotData > 0 {
		w.totals.LastData = w.fleet.now()
	}
	w.mu.Lock()
	w.published = w.totals
	w.mu.Unlock()
	// Subtle: the totals come first, so that who waited for a tally finds them complete.
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

// fault counts a fault.
func (w *worker) fault(f Fault) {
	w.mu.Lock()
	w.faults[f]++
	w.mu.Unlock()
}

// woken does what others asked for.
func (w *worker) woken() {
	readNow(int32(w.wake), w.buf[:8]) // resets the eventfd
	if w.poked != nil {
		w.takePokes()
	}
	select {
	case order := <-w.orders:
		order()
	default:
	}
	if w.fleet.closing.Load() {
		w.startClosing()
	}
}

// startClosing begins the closing handshake on each open connection and ends the others.
func (w *worker) startClosing() {
	if w.closing {
		return
	}
	w.closing, w.until = true, time.Now().Add(closeGrace)
	w.slow, w.back, w.leaving = nil, nil, churn{}
	for i := range w.clients {
		switch c := &w.clients[i]; c.state {
		case stateOpen:
			if (w.fleet.deaf || c.role != roleReader) && c.replied {
				w.watch(int32(i), unix.EPOLLIN) // failing, it is dropped after closeGrace
			}
			w.sendClose(int32(i), wsproto.StatusNormal)
			if c.state == stateOpen {
				c.state = stateClosing
			}
		case stateConnecting, stateUpgrading:
			w.drop(int32(i))
		}
	}
}

// done reports whether run has nothing left to wait for.
func (w *worker) done() bool {
	return w.closing && (w.held == 0 || !time.Now().Before(w.until))
}
