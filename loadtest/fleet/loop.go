package fleet

import (
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// newWorker returns worker id of n. It holds descriptors until release.
func newWorker(f *common, id, n, inFlight int, account *Account) (*worker, error) {
	w := &worker{
		fleet: f, id: id, stride: n, inFlight: inFlight,
		config:   wsproto.Config{MaxMessage: maxMessage, Client: true},
		ep:       -1,
		wake:     -1,
		clients:  make([]client, (f.conns-id+n-1)/n),
		orders:   make(chan func(), 1),
		ended:    make(chan struct{}),
		rarities: rarities{heads: map[int32][]byte{}, unsent: map[int32][]byte{}},
		counts:   counts{lag: newCoarse(), connects: newCoarse()},
		scratch:  scratch{buf: make([]byte, readBufferSize), events: make([]unix.EpollEvent, eventBatch)},
		rng:      rand.NewPCG(f.seed, uint64(id)),
		faults:   map[Fault]int{},
	}
	if f.stamp != nil {
		w.stamped = NewHistogram()
	}
	for i := range f.targets {
		w.peers = append(w.peers, sockaddr(f.targets[i].addr))
		if f.targets[i].tls != nil && w.tls == nil {
			w.tls = newSecured(len(w.clients))
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

// run is the worker's loop, on its own goroutine until all connections are closed.
func (w *worker) run() {
	defer close(w.ended)
	for !w.finished() {
		// Chores first: clients that they make leave are connected again at once.
		wait := w.doChores()
		wait = sooner(w.startDue(), wait)
		switch {
		case w.closing:
			wait = max(0, time.Until(w.until))
		case w.settled > 0:
			wait = 0 // a connect that failed at once is published without waiting for others
		}
		if err := w.runTurn(wait); err != nil {
			w.err = err
			break
		}
		if w.fleet.pause > 0 && w.pending == 0 {
			time.Sleep(w.fleet.pause)
		}
	}
	for i := range w.clients {
		w.dropClient(int32(i))
	}
	if w.tls != nil {
		w.tls.handshakes.Wait()
	}
	// Release the waiters for clients that were never started.
	w.settled += len(w.clients) - w.started
	w.replied += len(w.clients) - w.started
	w.publish()
}

// runTurn waits for events, at most for the given time (negative: for ever), handles a batch of them, and publishes.
func (w *worker) runTurn(wait time.Duration) error {
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
			w.handleWakeUp()
			continue
		}
		w.handleEvent(ev.Fd, ev.Events)
	}
	w.endExpired()
	if n > 0 {
		now := w.fleet.now()
		record(w.lag, now-w.turned)
		if w.ledger != nil && len(w.ledger.touched) > 0 {
			w.ledger.stampBroadcasts(now)
		}
	}
	w.publish()
	return nil
}

// handleWakeUp handles pokes of TLS handshakes, an order, and the fleet's end.
func (w *worker) handleWakeUp() {
	readNow(int32(w.wake), w.buf[:8]) // resets the eventfd
	if w.tls != nil {
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
				w.watchEvents(int32(i), unix.EPOLLIN) // if it fails, the client is dropped after closeGrace
			}
			w.sendClose(int32(i), wsproto.StatusNormal)
			if c.state == stateOpen {
				c.state = stateClosing
			}
		case stateConnecting, stateUpgrading:
			w.dropClient(int32(i))
		}
	}
}

// finished reports whether all connections are closed or closeGrace is over.
func (w *worker) finished() bool {
	return w.closing && (w.held == 0 || !time.Now().Before(w.until))
}
