package loadtest

import (
	"bytes"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// A client is one connection as its worker sees it. A fleet of a million holds a million of them, so its size is the
// load tester's memory: what is needed in rare states only (half a response, bytes that a full socket did not take, TLS)
// is kept in the worker's maps instead, and what can be computed again (key, topic) is not kept.
type client struct {
	decoder   wsproto.Decoder
	fd        int32
	begun     uint32 // when connect(2) was called, in tenths of a millisecond since the fleet began
	state     state
	role      role
	probe     bool // latencies are recorded
	replied   bool // the subscribe command was answered
	granted   bool // and not refused
	returning bool // it was open before
	secure    bool // the TLS handshake is over
	stormy    bool // it left in a storm and is not subscribed again
}

// A state is where a client is in its life; it only moves down this list, unless it comes back to connect again.
type state uint8

const (
	stateUnused     state = iota
	stateConnecting       // connect(2) called
	stateUpgrading        // request sent, no answer yet
	stateOpen
	stateClosing // close frame sent by Close
	stateEnded   // fd closed
)

// pending reports whether the client is on its way to be open.
func (s state) pending() bool { return s == stateConnecting || s == stateUpgrading }

// What the server's messages begin with. It writes them itself, so their first field is known.
var (
	dataPrefix = []byte(`{"t":`)
	ackPrefix  = []byte(`{"op":"ack"`)
	errPrefix  = []byte(`{"op":"err"`)
	ackErrors  = []byte(`"errors":[{`)
)

// event handles what epoll reported about client i. Events of a batch may be about a client that an earlier one ended.
func (w *worker) event(i int32, events uint32) {
	c := &w.clients[i]
	switch c.state {
	case stateConnecting:
		w.connected(i)
	case stateUpgrading, stateOpen, stateClosing:
		if events&unix.EPOLLOUT != 0 {
			w.flush(i)
		}
		if events&^unix.EPOLLOUT != 0 && c.state != stateEnded {
			if c.role != roleReader && c.replied && c.state == stateOpen {
				w.withdrawn(i, events)
				return
			}
			w.read(i, w.buf)
		}
	}
}

// read does one read(2) into buf for client i and handles what it brought. If there is more, epoll will say so again.
func (w *worker) read(i int32, buf []byte) {
	c := &w.clients[i]
	n, errno := readNow(c.fd, buf)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return
	case errno != 0:
		w.end(i, ioFault(errno))
		return
	case n == 0:
		if s, ok := w.sessions[i]; ok && !c.secure {
			w.cutShort(i, s)
			return
		}
		w.end(i, Fault{Kind: FaultEOF})
		return
	}
	if w.sessions != nil {
		if s, ok := w.sessions[i]; ok {
			w.decrypt(i, s, buf[:n])
			return
		}
	}
	w.input(i, buf[:n])
}

// input handles what the server sent.
func (w *worker) input(i int32, b []byte) {
	c := &w.clients[i]
	if c.state == stateUpgrading {
		b = w.upgraded(i, b)
	}
	for len(b) > 0 && c.state != stateEnded {
		m, n, err := c.decoder.Next(&w.config, b)
		if err != nil {
			w.broken(i, err)
			return
		}
		b = b[n:]
		w.message(i, m)
	}
}

// upgraded handles the answer to the opening handshake and returns the bytes after it. It is nil while the answer is
// incomplete or if it ended the client.
func (w *worker) upgraded(i int32, b []byte) []byte {
	c := &w.clients[i]
	if head, ok := w.heads[i]; ok {
		b = append(head, b...)
		delete(w.heads, i)
	}
	key := handshakeKey(w.fleet.seed, w.index(int(i)))
	req := w.fleet.targets[w.target(i)].request(string(key[:]))
	r, n, err := wsproto.ParseResponse(b, &req, wsproto.RequestLimits{})
	switch {
	case err != nil:
		w.end(i, Fault{Kind: FaultHandshake})
		return nil
	case n == 0:
		w.heads[i] = bytes.Clone(b)
		return nil
	case r.Status != 101:
		w.end(i, Fault{FaultStatus, r.Status})
		return nil
	}
	c.state = stateOpen
	w.pending--
	w.totals.Open++
	record(w.connects, int64(w.tenths()-c.begun)*int64(tenth))
	if c.returning {
		w.totals.Reopened++
	} else {
		w.settled++
		w.totals.Opened++
	}
	w.subscribe(i)
	if c.state == stateEnded {
		return nil
	}
	return b[n:]
}

// subscribe sends client i's subscribe message.
func (w *worker) subscribe(i int32) {
	f := w.fleet
	if len(f.subscribe) > 0 {
		// The payload comes first in out, so that both can share it; the frame follows.
		w.places = f.plan.appendTopics(w.places[:0], w.number(int(i)))
		w.out = f.subscribe.append(w.out[:0], w.number(int(i)), f.topics, w.places)
		p := len(w.out)
		w.out = wsproto.AppendMaskedFrame(w.out, wsproto.OpText, w.key(), w.out[:p])
		w.send(i, w.out[p:])
	}
	if !f.acks && w.clients[i].state == stateOpen {
		w.grant(i, true)
	}
}

// message handles one message of the server. A zero Op is the decoder's "not whole yet".
func (w *worker) message(i int32, m wsproto.Message) {
	c := &w.clients[i]
	switch m.Op {
	case wsproto.OpText, wsproto.OpBinary:
		w.totals.Messages++
		w.totals.Bytes += uint64(len(m.Payload))
		switch {
		case w.isData(i, m.Payload):
			w.totals.Data++
			w.gotData++
			if w.fleet.stamp != nil {
				w.clock(m.Payload)
			}
		case !c.replied:
			w.reply(i, m.Payload)
		}
		if w.fleet.answer != nil && bytes.Equal(m.Payload, w.fleet.answer) && c.state == stateOpen {
			w.out = wsproto.AppendMaskedFrame(w.out[:0], m.Op, w.key(), w.fleet.answerWith)
			w.send(i, w.out)
		}
	case wsproto.OpPing:
		if c.state != stateOpen {
			return // §5.5.2: no pong is due once a close frame was received, and after ours it is pointless
		}
		w.totals.Pings++
		w.out = wsproto.AppendMaskedFrame(w.out[:0], wsproto.OpPong, w.key(), m.Payload)
		w.send(i, w.out)
	case wsproto.OpClose:
		// RFC 6455 §5.5.1: an endpoint that receives a close frame and did not send one must send one.
		if c.state == stateOpen {
			code := m.Code
			w.sendClose(i, code)
			w.end(i, Fault{FaultClosed, int(code)})
			return
		}
		w.end(i, Fault{}) // the answer to ours
	}
}

// isData accounts for a message if it is a topic's data, and reports whether it is.
func (w *worker) isData(i int32, payload []byte) bool {
	if w.ledger != nil {
		return w.judge(i, payload)
	}
	if w.fleet.prefix != nil {
		return bytes.HasPrefix(payload, w.fleet.prefix)
	}
	return bytes.HasPrefix(payload, dataPrefix)
}

// reply handles a message that is not data and comes before the subscribe command was answered.
func (w *worker) reply(i int32, payload []byte) {
	switch f := w.fleet; {
	case f.ack != nil:
		if !bytes.Contains(payload, f.ack) {
			return
		}
		w.grant(i, true)
	case bytes.HasPrefix(payload, ackPrefix) && !bytes.Contains(payload, ackErrors):
		w.grant(i, true)
	case bytes.HasPrefix(payload, ackPrefix), bytes.HasPrefix(payload, errPrefix):
		w.fault(Fault{Kind: FaultSubscribe})
		w.grant(i, false)
	}
	// What is left is hello or a heartbeat.
}

// grant says that client i's subscription was answered.
func (w *worker) grant(i int32, ok bool) {
	c := &w.clients[i]
	c.replied, c.granted = true, ok
	if c.stormy {
		c.stormy = false
		w.totals.Away--
		w.lastBack = w.fleet.now()
	}
	if ok {
		w.totals.Subscribed++
		if w.ledger != nil {
			w.answered(i, !w.fleet.acks)
		}
	}
	if !c.returning {
		w.replied++
		if ok {
			w.totals.Acked++
		}
	}
	if w.closing {
		return
	}
	if events := w.interest(i); events != unix.EPOLLIN {
		w.watchOrEnd(i, events)
	}
	if c.role == roleSlow && !w.fleet.deaf && c.state == stateOpen {
		w.slow = append(w.slow, i)
	}
}

// interest returns the events that client i wants to know of, besides that there is room for what is unsent.
func (w *worker) interest(i int32) uint32 {
	switch c := &w.clients[i]; {
	case c.state != stateOpen || !c.replied:
		return unix.EPOLLIN
	case w.fleet.deaf:
		// Subtle: nothing waits to be sent when the server answers, so nobody listens to the socket after that but for
		// its errors, which epoll always reports.
		return 0
	case c.role != roleReader:
		return unix.EPOLLRDHUP // it reads when it likes, if at all
	}
	return unix.EPOLLIN
}

// watchOrEnd replaces the events that client i is interested in.
func (w *worker) watchOrEnd(i int32, events uint32) {
	if err := w.watch(i, events); err != nil {
		w.end(i, ioFault(err))
	}
}

// clock counts how long a data message took, if it says when it was sent.
func (w *worker) clock(payload []byte) {
	if sent := stamped(payload, w.fleet.stamp); sent > 0 {
		w.fleet.latencies.add(w.fleet.now() - sent)
	}
}

// stampOf returns what stands before the value of a member in compact JSON, nil without a name.
func stampOf(name string) []byte {
	if name == "" {
		return nil
	}
	return []byte(`"` + name + `":`)
}

// stamped returns the whole number behind mark in payload, 0 if there is none.
func stamped(payload, mark []byte) (n int64) {
	at := bytes.Index(payload, mark)
	if at < 0 {
		return 0
	}
	for _, c := range payload[at+len(mark):] {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// broken ends client i, whose server broke the protocol.
func (w *worker) broken(i int32, err error) {
	code := wsproto.StatusProtocolError
	var broke *wsproto.ProtocolError
	if errors.As(err, &broke) {
		code = broke.Code
	}
	w.sendClose(i, code)
	w.end(i, Fault{FaultProtocol, int(code)})
}

// readNow is read(2) without telling Go's scheduler, which unix.Read does: the descriptor does not block, so the call
// returns at once. The figure for it is BenchmarkReceive's.
func readNow(fd int32, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}
