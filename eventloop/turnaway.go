package eventloop

// A turnAway is why a connection was refused before its first request.
type turnAway uint32

const (
	awayFull         turnAway = iota // Config.MaxConnections
	awayDraining                     // the server ends
	awayTooMany                      // new connections in all
	awayAddressFull                  // connections of the address
	awayAddressFresh                 // new connections of the address
)

// reason returns the label of the metrics.
func (why turnAway) reason() rejectReason {
	switch why {
	case awayFull:
		return rejectMaxConnections
	case awayDraining:
		return rejectDraining
	default:
		return rejectRate
	}
}

// answerTo returns the answer to a connection that was turned away.
func (l *loop) answerTo(why turnAway) (*refusal, string) {
	switch why {
	case awayFull:
		return status503, "too many connections"
	case awayTooMany:
		e := l.engine
		return retryAfter(e.accepts.Later(e.now64(), e.cfg.Limits.ConnectionsWait), rejectRate), "too many new connections"
	case awayAddressFull:
		return status429, "too many connections of this address"
	case awayAddressFresh:
		return status429, "too many new connections of this address"
	default:
		return l.engine.goingAway(), "the server is going away"
	}
}

// turnAway refuses a connection that can be answered. Its answer waits for the first byte of a request, at most Config.CloseTimeout:
// a response that comes before its request belongs to none, and net/http, among others, throws it away.
func (l *loop) turnAway(c *conn, why turnAway) {
	l.rejected[why.reason()]++
	c.state, c.opened = stateTurnedAway, uint32(why)
	l.wheel.schedule(c, l.now+l.engine.closing)
}

// answerTurnedAway sends the answer to c and ends it, if it was turned away.
func (l *loop) answerTurnedAway(c *conn) {
	if c.state != stateTurnedAway {
		return
	}
	f, why := l.answerTo(turnAway(c.opened))
	c.state = stateRequest
	head, body := f.response(why)
	l.respond(c, false, head, body)
}
