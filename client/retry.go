package client

import (
	"math/rand/v2"
	"time"
)

const (
	backoffMin   = 500 * time.Millisecond
	backoffFirst = 2 * time.Second // upper end of the first wait: the clients of a server that died come back spread over it
	backoffMax   = 20 * time.Second

	leavingMin = time.Second // for a server that goes away without naming a wait
	leavingMax = 15 * time.Second

	waitMax = 10 * time.Minute // bounds the wait that a server names
)

// backoff returns a random wait up to a limit that doubles with each attempt, counted from 0: "full jitter", so that clients that
// were cut off together do not come back together.
func backoff(attempt int) time.Duration {
	limit := backoffMax
	if attempt < 4 {
		limit = min(limit, backoffFirst<<attempt)
	}
	return between(backoffMin, limit)
}

// between returns a random time between two, of ten minutes at most.
func between(low, high time.Duration) time.Duration {
	low, high = min(max(low, 0), waitMax), min(max(high, 0), waitMax)
	if high <= low {
		return low
	}
	return low + rand.N(high-low)
}

// leaving returns the wait after a server that closed with a code and named no wait.
func leaving(code int) (time.Duration, bool) {
	switch code {
	case 1001, 1012, 1013:
		return between(leavingMin, leavingMax), true
	}
	return 0, false
}

// codeIdle is the close code of a server to which nothing was sent in time. The next subscription or command connects again.
const codeIdle = 4001

// isFinal reports whether a close code or HTTP status forbids a client to come back by itself.
func isFinal(code int) bool {
	return code == 401 || code == 403 || code == 1008 || code >= 4500 && code < 5000
}

// mayPass reports whether a refusal may be another one a little later: internal error, limit exceeded, not available, too many
// requests.
func mayPass(code int) bool { return code == 100 || code == 106 || code == 108 || code == 111 }
