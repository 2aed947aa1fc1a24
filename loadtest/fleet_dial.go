package loadtest

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// index returns the fleet-wide number of the worker's client in a slot. Slots are dealt out round robin, so that the
// clients of all workers together are started in the order of their numbers.
func (w *worker) index(slot int) int { return slot*w.stride + w.id }

// number returns the number of the client in a slot within the run.
func (w *worker) number(slot int) int { return w.fleet.first + w.index(slot)*w.fleet.times }

// target returns the place of the server of the client in a slot.
func (w *worker) target(slot int32) int { return w.number(int(slot)) % len(w.fleet.targets) }

// An attempt is a connection on its way to be open.
type attempt struct {
	slot  int32
	begun uint32 // as in the client: another attempt of the same client began at another time
}

// dial starts the connections that are due and returns how long until it wants to be called again; negative: not
// before something happens.
func (w *worker) dial() time.Duration {
	f := w.fleet
	for range dialBatch {
		if w.closing || w.pending >= w.inFlight {
			return w.untilExpiry()
		}
		if n := len(w.back); n > 0 {
			slot := w.back[n-1]
			w.back = w.back[:n-1]
			w.start(slot)
			continue
		}
		if w.started == len(w.clients) {
			return w.untilExpiry()
		}
		// The schedule counts from the fleet's begin: a worker that was late catches up.
		if at := due(w.number(w.started), f.ramp, f.steps); at > 0 {
			if wait := at - time.Since(f.begun); wait > 0 {
				return sooner(wait, w.untilExpiry())
			}
		}
		w.started++
		w.totals.Started++
		w.start(int32(w.started - 1))
	}
	return 0
}

// sooner returns the shorter of two waits, of which a negative one has no end.
func sooner(a, b time.Duration) time.Duration {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}

// start begins a non-blocking connect for the client in a slot.
func (w *worker) start(slot int32) {
	c, f := &w.clients[slot], w.fleet
	w.pending++
	w.held++
	c.fd = -1
	c.state = stateConnecting
	c.begun = w.tenths()
	w.attempts = append(w.attempts, attempt{slot, c.begun})
	peer := w.peers[w.target(slot)]
	domain := unix.AF_INET6
	if _, ok := peer.(*unix.SockaddrInet4); ok {
		domain = unix.AF_INET
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		w.end(slot, connectFault(err))
		return
	}
	c.fd = int32(fd)
	if n := f.receive; n > 0 {
		// Before connect(2): the window's scale is agreed on there.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n); err != nil {
			w.end(slot, connectFault(err))
			return
		}
	}
	if addr, ok := f.sources.of(w.number(int(slot))); ok {
		// Without IP_BIND_ADDRESS_NO_PORT bind(2) would take a port that no other connection of this address may
		// use; with it the port is chosen at connect(2) and needs to differ only for the same server.
		unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(addr, 0))); err != nil {
			w.end(slot, connectFault(err))
			return
		}
	}
	if err := unix.Connect(fd, peer); err != nil && err != unix.EINPROGRESS {
		w.end(slot, connectFault(err))
		return
	}
	err = unix.EpollCtl(w.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLOUT, Fd: slot})
	if err != nil {
		w.end(slot, connectFault(err))
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
	if t := &w.fleet.targets[w.target(i)]; t.tls != nil {
		w.startTLS(i, t.tls)
		return
	}
	w.request(i)
}

// request sends the opening handshake.
func (w *worker) request(i int32) {
	key := handshakeKey(w.fleet.seed, w.index(int(i)))
	w.out = wsproto.AppendRequest(w.out[:0], w.fleet.targets[w.target(i)].request(string(key[:])))
	w.send(i, w.out)
}

// watch replaces the events that client i is interested in.
func (w *worker) watch(i int32, events uint32) error {
	return unix.EpollCtl(w.ep, unix.EPOLL_CTL_MOD, int(w.clients[i].fd), &unix.EpollEvent{Events: events, Fd: i})
}

// expire ends the connections that have taken longer than the fleet's timeout to open.
func (w *worker) expire() {
	for w.untilExpiry() == 0 {
		w.end(w.attempts[0].slot, Fault{Kind: FaultTimeout})
	}
}

// untilExpiry returns when the oldest connection that is not open yet runs out of time, negative if there is none.
func (w *worker) untilExpiry() time.Duration {
	for len(w.attempts) > 0 {
		a := w.attempts[0]
		if c := &w.clients[a.slot]; c.state.pending() && c.begun == a.begun {
			age := time.Duration(w.tenths()-a.begun) * tenth
			return max(0, w.fleet.timeout-age)
		}
		w.attempts = w.attempts[1:]
	}
	w.attempts = nil
	return -1
}

// tenth is the unit of a client's time.
const tenth = time.Millisecond / 10

// tenths returns the tenths of a millisecond since the fleet began. They wrap after five days, differences remain right.
func (w *worker) tenths() uint32 { return uint32(time.Since(w.fleet.begun) / tenth) }

// connectFault returns the fault for an error of connect(2), or of what prepares it.
func connectFault(err error) Fault {
	errno, _ := err.(unix.Errno)
	if errno == unix.ECONNREFUSED {
		return Fault{Kind: FaultRefused}
	}
	return Fault{FaultConnect, int(errno)}
}
