package loadtest

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// index returns the fleet-wide number of the worker's client in slot i. Slots are dealt out round robin, so that the
// clients of all workers together are started in the order of their numbers.
func (w *worker) index(i int) int { return i*w.stride + w.id }

// dial starts the connections that are due and returns how long until it wants to be called again; negative: not
// before something happens.
func (w *worker) dial() time.Duration {
	f := w.fleet
	for range dialBatch {
		if w.closing || w.started == len(w.clients) || w.pending >= w.inFlight {
			return w.untilExpiry()
		}
		if f.ramp > 0 {
			// The schedule counts from the fleet's begin: a worker that was late catches up.
			due := time.Duration(float64(w.index(w.started)) / float64(f.ramp) * float64(time.Second))
			if wait := due - time.Since(f.begun); wait > 0 {
				if expiry := w.untilExpiry(); expiry >= 0 {
					wait = min(wait, expiry)
				}
				return wait
			}
		}
		w.start(int32(w.started))
	}
	return 0
}

// start begins a non-blocking connect for the client in slot i, the next unused one.
func (w *worker) start(i int32) {
	c := &w.clients[i]
	w.started++
	w.totals.Started++
	w.pending++
	w.held++
	c.fd = -1
	c.state = stateConnecting
	c.begun = w.millis()
	domain := unix.AF_INET6
	if w.fleet.target.addr.Addr().Is4() {
		domain = unix.AF_INET
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		w.end(i, connectFault(err))
		return
	}
	c.fd = int32(fd)
	if n := w.fleet.receive; n > 0 {
		// Before connect(2): the window's scale is agreed on there.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n); err != nil {
			w.end(i, connectFault(err))
			return
		}
	}
	if addr, ok := w.fleet.sources.of(w.index(int(i))); ok {
		// Without IP_BIND_ADDRESS_NO_PORT bind(2) would take a port that no other connection of this address may
		// use; with it the port is chosen at connect(2) and needs to differ only for the same server.
		unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(addr, 0))); err != nil {
			w.end(i, connectFault(err))
			return
		}
	}
	if err := unix.Connect(fd, w.peer); err != nil && err != unix.EINPROGRESS {
		w.end(i, connectFault(err))
		return
	}
	err = unix.EpollCtl(w.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLOUT, Fd: i})
	if err != nil {
		w.end(i, connectFault(err))
	}
}

// connected handles the end of a connect: it sends the opening handshake, or learns why there is no connection.
func (w *worker) connected(i int32) {
	c := &w.clients[i]
	errno, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	if err == nil {
		err = w.watch(i, unix.EPOLLIN)
	}
	if err != nil {
		w.end(i, connectFault(err))
		return
	}
	c.state = stateUpgrading
	key := handshakeKey(w.fleet.seed, w.index(int(i)))
	w.out = wsproto.AppendRequest(w.out[:0], w.fleet.target.request(string(key[:])))
	w.send(i, w.out)
}

// watch replaces the events that client i is interested in.
func (w *worker) watch(i int32, events uint32) error {
	return unix.EpollCtl(w.ep, unix.EPOLL_CTL_MOD, int(w.clients[i].fd), &unix.EpollEvent{Events: events, Fd: i})
}

// expire ends the connections that have taken longer than the fleet's timeout to open.
func (w *worker) expire() {
	for w.untilExpiry() == 0 {
		w.end(int32(w.oldest), Fault{Kind: FaultTimeout})
	}
}

// untilExpiry returns when the oldest connection that is not open yet runs out of time, negative if there is none.
// They were started in the order of their slots, so all slots before the oldest are settled for good.
func (w *worker) untilExpiry() time.Duration {
	for w.oldest < w.started && !w.clients[w.oldest].state.pending() {
		w.oldest++
	}
	if w.oldest == w.started {
		return -1
	}
	age := time.Duration(w.millis()-w.clients[w.oldest].begun) * time.Millisecond
	return max(0, w.fleet.timeout-age)
}

// millis returns the milliseconds since the fleet began. They wrap after 49 days, differences remain right.
func (w *worker) millis() uint32 { return uint32(time.Since(w.fleet.begun).Milliseconds()) }

// connectFault returns the fault for an error of connect(2), or of what prepares it.
func connectFault(err error) Fault {
	errno, _ := err.(unix.Errno)
	if errno == unix.ECONNREFUSED {
		return Fault{Kind: FaultRefused}
	}
	return Fault{FaultConnect, int(errno)}
}
