package eventloop

import (
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Clients beyond the limit of new connections wait for their turn, and all of them get in at its pace.
func TestNewConnectionsWaitForTheirTurn(t *testing.T) {
	const limit, clients = 40, 100
	s := start(t, limits(func(l *Limits) { l.ConnectionsPerSecond, l.ConnectionsWait = limit, patience }))
	var wg sync.WaitGroup
	begin := time.Now()
	for range clients {
		c := s.dial()
		wg.Go(func() {
			if got := c.status(request("")); got != 101 {
				t.Errorf("status %d", got)
			}
		})
	}
	wg.Wait()
	if took := time.Since(begin); took < (clients-1)/limit*time.Second {
		t.Errorf("%d clients came in within %v", clients, took)
	}
	st := s.stats()
	if st.Rejected["rate"] != 0 || st.Limited["connections_per_second"] == 0 {
		t.Errorf("%d refused, %d beyond the limit", st.Rejected["rate"], st.Limited["connections_per_second"])
	}
	if st.Held != 0 {
		t.Errorf("%d are held", st.Held)
	}
}

// Clients for whom there is no turn within the wait are refused, each with a time of its own to come back.
func TestConnectionsBeyondTheWaitAreRefused(t *testing.T) {
	clearTextOnly(t)
	s := start(t, limits(func(l *Limits) { l.ConnectionsPerSecond, l.ConnectionsWait = 1, 6*time.Second }))
	var held []*client
	waits := map[int]bool{}
	for len(waits) < 3 {
		c := s.dial()
		c.send(request(""))
		held = append(held, c)
		if len(held) < 8 { // one that is admitted, and turns for six seconds
			continue
		}
		a := c.reply()
		if a.status == 101 { // a turn became free meanwhile
			continue
		}
		seconds, err := strconv.Atoi(a.head.Get("Retry-After"))
		if a.status != 503 || err != nil || seconds < 6 || seconds > 60 {
			t.Fatalf("%d %v", a.status, a.head)
		}
		waits[seconds] = true
	}
}

// dialHeld connects until n clients are held, and returns these: the turns of a second may come and go on a slow machine.
func (s *server) dialHeld(n int) (list []*client) {
	s.t.Helper()
	for s.stats().Held < int64(n) {
		accepted := s.stats().Accepted
		list = append(list, s.dial())
		eventually(s.t, "it is accepted", func() bool { return s.stats().Accepted > accepted })
	}
	return list[len(list)-n:]
}

// A held connection may end, or send more than a request has; neither keeps a place.
func TestHeldConnectionsThatEnd(t *testing.T) {
	s := start(t, limits(func(l *Limits) { l.ConnectionsPerSecond, l.ConnectionsWait = 1, patience }))
	c := s.dialHeld(3)
	loud, gone, patient := c[0], c[1], c[2]
	go io.WriteString(loud, strings.Repeat("x", 1<<20))
	gone.Close()
	if got := patient.status(request("")); got != 101 {
		t.Errorf("status %d", got)
	}
	eventually(t, "none is held", func() bool { return s.stats().Held == 0 })
}

// Held connections end with the server.
func TestHeldConnectionsEndWithTheServer(t *testing.T) {
	clearTextOnly(t)
	s := startWithGrace(t, patience, limits(func(l *Limits) { l.ConnectionsPerSecond, l.ConnectionsWait = 1, patience }))
	first := s.open("") // keeps the engine from ending
	all := s.dialHeld(10)
	waits := all[9] // for ten seconds
	waits.send(request(""))
	s.cancel()
	if a := waits.reply(); a.status != 503 || a.head.Get("Retry-After") == "" {
		t.Errorf("%d %v", a.status, a.head)
	}
	for _, c := range append(all, first) {
		c.Close()
	}
	s.join()
}
