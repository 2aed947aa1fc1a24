package fleet

import (
	"bytes"
	"errors"

	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// handleInput handles bytes of the server, decrypted if need be.
func (w *worker) handleInput(i int32, b []byte) {
	c := &w.clients[i]
	if c.state == stateUpgrading {
		b = w.finishUpgrade(i, b)
	}
	for len(b) > 0 && c.state != stateEnded {
		m, n, err := c.decoder.Next(&w.config, b)
		if err != nil {
			w.endBroken(i, err)
			return
		}
		b = b[n:]
		w.handleMessage(i, m)
	}
}

// finishUpgrade handles the answer to the opening handshake and returns the bytes after it, nil while the answer is
// incomplete or if it ended the client.
func (w *worker) finishUpgrade(i int32, b []byte) []byte {
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
		w.endClient(i, Fault{Kind: FaultHandshake})
		return nil
	case n == 0:
		w.heads[i] = bytes.Clone(b)
		return nil
	case r.Status != 101:
		w.endClient(i, Fault{FaultStatus, r.Status})
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
	w.sendSubscribe(i)
	if c.state == stateEnded {
		return nil
	}
	return b[n:]
}

// sendSubscribe sends client i's subscribe message.
func (w *worker) sendSubscribe(i int32) {
	f := w.fleet
	if len(f.subscribe) > 0 {
		// out holds the payload and after it the frame.
		w.places = f.plan.appendTopics(w.places[:0], w.number(int(i)))
		w.out = f.subscribe.append(w.out[:0], w.number(int(i)), f.topics, w.places)
		p := len(w.out)
		w.out = wsproto.AppendMaskedFrame(w.out, wsproto.OpText, w.maskingKey(), w.out[:p])
		w.send(i, w.out[p:])
	}
	if !f.acks && w.clients[i].state == stateOpen {
		w.grant(i, true)
	}
}

// handleMessage handles one message of the server. A zero Op stands for an incomplete message.
func (w *worker) handleMessage(i int32, m wsproto.Message) {
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
				w.timeStamped(m.Payload)
			}
		case !c.replied:
			w.handleReply(i, m.Payload)
		}
		if w.fleet.answer != nil && bytes.Equal(m.Payload, w.fleet.answer) && c.state == stateOpen {
			w.out = wsproto.AppendMaskedFrame(w.out[:0], m.Op, w.maskingKey(), w.fleet.answerWith)
			w.send(i, w.out)
		}
	case wsproto.OpPing:
		if c.state != stateOpen {
			return // §5.5.2: no pong is due after a received close frame, and after ours it is useless
		}
		w.totals.Pings++
		w.out = wsproto.AppendMaskedFrame(w.out[:0], wsproto.OpPong, w.maskingKey(), m.Payload)
		w.send(i, w.out)
	case wsproto.OpClose:
		// RFC 6455 §5.5.1: an endpoint that receives a close frame and did not send one must send one.
		if c.state == stateOpen {
			code := m.Code
			w.sendClose(i, code)
			w.endClient(i, Fault{FaultClosed, int(code)})
			return
		}
		w.endClient(i, Fault{}) // the answer to ours
	}
}

// isData reports whether a message is a topic's data. If so, it accounts for the message.
func (w *worker) isData(i int32, payload []byte) bool {
	if w.ledger != nil {
		return w.accountFor(i, payload)
	}
	if w.fleet.prefix != nil {
		return bytes.HasPrefix(payload, w.fleet.prefix)
	}
	return bytes.HasPrefix(payload, dataPrefix)
}

// handleReply handles a message other than data while the subscribe command is unanswered.
func (w *worker) handleReply(i int32, payload []byte) {
	switch f := w.fleet; {
	case f.ack != nil:
		if !bytes.Contains(payload, f.ack) {
			return
		}
		w.grant(i, true)
	case bytes.HasPrefix(payload, ackPrefix) && !bytes.Contains(payload, ackErrors):
		w.grant(i, true)
	case bytes.HasPrefix(payload, ackPrefix), bytes.HasPrefix(payload, errPrefix):
		w.countFault(Fault{Kind: FaultSubscribe})
		w.grant(i, false)
	}
	// Other messages are hello and heartbeats.
}

// grant handles the answer to client i's subscription.
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
			w.startOwing(i, !w.fleet.acks)
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

// timeStamped records the latency of a data message with a stamp.
func (w *worker) timeStamped(payload []byte) {
	if sent := stamped(payload, w.fleet.stamp); sent > 0 {
		record(w.stamped, w.fleet.now()-sent)
	}
}

// endBroken ends client i after a protocol error of the server.
func (w *worker) endBroken(i int32, err error) {
	code := wsproto.StatusProtocolError
	var broke *wsproto.ProtocolError
	if errors.As(err, &broke) {
		code = broke.Code
	}
	w.sendClose(i, code)
	w.endClient(i, Fault{FaultProtocol, int(code)})
}
