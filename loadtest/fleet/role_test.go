package fleet

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// waiting returns the number of bytes that the client has not read yet.
func waiting(t *testing.T, w *worker) int {
	t.Helper()
	n, err := unix.IoctlGetInt(int(w.clients[0].fd), unix.TIOCINQ)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A slow client reads at its rate, in beats, for any amount of input.
func TestSlowClientReadsSlowly(t *testing.T) {
	w, server := openPair(t)
	w.fleet.slowRate = 5000
	w.clients[0].role = roleSlow
	step(t, w, server, textFrames(ackMessage))
	if w.totals.Acked != 1 || len(w.slow) != 1 {
		t.Fatalf("%+v, %d slow", w.totals, len(w.slow))
	}
	var sent []byte
	for len(sent) < 20_000 {
		sent = append(sent, textFrames(dataMessage)...)
	}
	step(t, w, server, sent)
	if got := waiting(t, w); got != len(sent) {
		t.Fatalf("%d bytes are left of %d: it reads by itself", got, len(sent))
	}
	const beats = 10 // one second
	for beat := range beats {
		w.slowDue = time.Time{}
		if wait := w.doChores(); wait <= 0 || wait > slowBeat {
			t.Fatalf("next beat in %v", wait)
		}
		w.doChores() // too early
		if got, want := len(sent)-waiting(t, w), (beat+1)*5000/beats; got != want {
			t.Errorf("%d bytes read after %d beats, want %d", got, beat+1, want)
		}
	}
	if w.totals.Data != 5000/uint64(len(textFrames(dataMessage))) {
		t.Errorf("%+v", w.totals)
	}
}

// A server may drop a client that does not read, in any way: this is no fault.
func TestSpecialClientsAreDismissed(t *testing.T) {
	for _, r := range []role{roleSlow, roleSilent} {
		for name, end := range map[string]func(server int){
			"close frame": func(server int) {
				unix.Write(server, wsproto.AppendClose(nil, 1008, ""))
				unix.Shutdown(server, unix.SHUT_RDWR)
			},
			"end":        func(server int) { unix.Shutdown(server, unix.SHUT_RDWR) },
			"write side": func(server int) { unix.Shutdown(server, unix.SHUT_WR) },
		} {
			w, server := openPair(t)
			w.fleet.slowRate = 1000
			w.clients[0].role = r
			step(t, w, server, textFrames(ackMessage))
			end(server)
			if err := w.runTurn(0); err != nil {
				t.Fatal(err)
			}
			w.doChores()
			if w.totals.Dismissed != 1 || w.totals.Lost != 0 || w.totals.Open != 0 || len(w.faults) != 0 || len(w.slow) != 0 {
				t.Errorf("role %d, %s: %+v, faults %v", r, name, w.totals, w.faults)
			}
		}
	}
}

// A reader that the server ends is lost, and so is a slow client whose subscription has no answer yet.
func TestOthersAreLost(t *testing.T) {
	for _, tt := range []struct {
		role role
		ack  bool
	}{{roleReader, true}, {roleReader, false}, {roleSlow, false}, {roleSilent, false}} {
		w, server := openPair(t)
		w.clients[0].role = tt.role
		if tt.ack {
			step(t, w, server, textFrames(ackMessage))
		}
		unix.Shutdown(server, unix.SHUT_RDWR)
		if err := w.runTurn(0); err != nil {
			t.Fatal(err)
		}
		if w.totals.Dismissed != 0 || w.totals.Lost != 1 {
			t.Errorf("%+v: %+v", tt, w.totals)
		}
	}
}

// A half-open client answers no ping. A slow one answers the pings that it has read.
func TestPingsOfSpecialClients(t *testing.T) {
	for r, pongs := range map[role]uint64{roleReader: 1, roleSlow: 1, roleSilent: 0} {
		w, server := openPair(t)
		w.fleet.slowRate = 10_000
		w.clients[0].role = r
		step(t, w, server, textFrames(ackMessage))
		step(t, w, server, wsproto.AppendFrame(nil, wsproto.OpPing, []byte("ping")))
		if r == roleSlow && w.totals.Pings != 0 {
			t.Errorf("role %d: answered at once", r)
		}
		w.doChores()
		var buf [64]byte
		n, err := unix.Read(server, buf[:])
		if w.totals.Pings != pongs || (pongs == 0) != (err == unix.EAGAIN) || pongs > 0 && n != 2+4+4 {
			t.Errorf("role %d: %d pings, read %d, %v", r, w.totals.Pings, n, err)
		}
	}
}

// A client whose pongs did not fit into its socket still reads at its rate.
func TestSlowClientStaysSlow(t *testing.T) {
	w, server := openPair(t)
	w.fleet.slowRate = 1000
	w.clients[0].role = roleSlow
	step(t, w, server, textFrames(ackMessage))
	for len(w.unsent) == 0 {
		w.send(0, make([]byte, 1000))
	}
	for buf := make([]byte, 4096); len(w.unsent) > 0; {
		for {
			if _, err := unix.Read(server, buf); err != nil {
				break
			}
		}
		if err := w.runTurn(0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := unix.Write(server, textFrames(dataMessage)); err != nil {
		t.Fatal(err)
	}
	n, err := unix.EpollWait(w.ep, w.events, 0)
	if n > 0 || err != nil {
		t.Errorf("epoll reports %d events without an effect, %v", n, err)
	}
	if w.clients[0].state != stateOpen {
		t.Errorf("state %d, faults %v", w.clients[0].state, w.faults)
	}
}
