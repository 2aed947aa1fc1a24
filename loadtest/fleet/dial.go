package fleet

import (
	"crypto/tls"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// startDue starts the connections that are due. It returns the time until its next call; negative: not before an event.
func (w *worker) startDue() time.Duration {
	f := w.fleet
	for range dialBatch {
		if w.closing || w.pending >= w.inFlight {
			return w.untilExpiry()
		}
		if n := len(w.back); n > 0 {
			slot := w.back[n-1]
			w.back = w.back[:n-1]
			w.connect(slot)
			continue
		}
		if w.started == len(w.clients) {
			return w.untilExpiry()
		}
		// The schedule counts from the fleet's begin: a worker that is late catches up.
		if at := due(w.number(w.started), f.ramp, f.steps); at > 0 {
			if wait := at - time.Since(f.begun); wait > 0 {
				return sooner(wait, w.untilExpiry())
			}
		}
		w.started++
		w.connect(int32(w.started - 1))
	}
	return 0
}

// sooner returns the shorter of two waits. A negative wait has no end.
func sooner(a, b time.Duration) time.Duration {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}

// connect begins a non-blocking connect for the client in a slot.
func (w *worker) connect(slot int32) {
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
		w.endClient(slot, connectFault(err))
		return
	}
	c.fd = int32(fd)
	if n := f.receive; n > 0 {
		// Before connect(2), which negotiates the window's scale.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n); err != nil {
			w.endClient(slot, connectFault(err))
			return
		}
	}
	if addr, ok := f.sources.of(w.number(int(slot))); ok {
		// Without IP_BIND_ADDRESS_NO_PORT bind(2) would reserve a port for this connection alone. With it connect(2)
		// chooses the port, which needs to differ only for the same server.
		unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(addr, 0))); err != nil {
			w.endClient(slot, connectFault(err))
			return
		}
	}
	if err := unix.Connect(fd, peer); err != nil && err != unix.EINPROGRESS {
		w.endClient(slot, connectFault(err))
		return
	}
	err = unix.EpollCtl(w.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLOUT, Fd: slot})
	if err != nil {
		w.endClient(slot, connectFault(err))
	}
}

// finishConnect handles the end of a connect: it sends the opening handshake, or ends a client without a connection.
func (w *worker) finishConnect(i int32) {
	c := &w.clients[i]
	errno, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	if err == nil {
		err = w.watchEvents(i, unix.EPOLLIN)
	}
	if err != nil {
		w.endClient(i, connectFault(err))
		return
	}
	c.state = stateUpgrading
	if t := &w.fleet.targets[w.target(i)]; t.tls != nil {
		w.startTLS(i, t.tls)
		return
	}
	w.sendRequest(i)
}

// startTLS begins the TLS handshake of a client that is connected.
func (w *worker) startTLS(slot int32, config *tls.Config) {
	h, err := w.tls.handshakes.Client(config, func() {
		w.tls.pokes.add(slot)
		w.wakeUp()
	})
	if err != nil {
		w.endClient(slot, Fault{Kind: FaultTLS})
		return
	}
	w.tls.sessions[slot] = h
}

// sendRequest sends the opening handshake.
func (w *worker) sendRequest(i int32) {
	key := handshakeKey(w.fleet.seed, w.index(int(i)))
	w.out = wsproto.AppendRequest(w.out[:0], w.fleet.targets[w.target(i)].request(string(key[:])))
	w.send(i, w.out)
}

// endExpired ends the connections that were not open within the fleet's timeout.
func (w *worker) endExpired() {
	for w.untilExpiry() == 0 {
		w.endClient(w.attempts[0].slot, Fault{Kind: FaultTimeout})
	}
}

// untilExpiry returns the time until the oldest connection that is not open yet expires; negative: there is none.
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
