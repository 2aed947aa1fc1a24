package admission

import (
	"sync"
	"time"
)

// AddressLimits bound the connections of one address. Zero means no limit.
type AddressLimits struct {
	Connections int           // open ones
	PerSecond   int           // new ones in any second; see NewRate
	BanAfter    int           // offences within BanWindow
	BanWindow   time.Duration //
	BanFor      time.Duration // how long a ban holds
	Track       int           // addresses in the table; at least 1
	DryRun      bool          // count only: connections beyond a limit are admitted
}

// Enabled reports whether there is a limit.
func (l *AddressLimits) Enabled() bool { return l.Connections > 0 || l.PerSecond > 0 || l.BanAfter > 0 }

// A Verdict is the judgement on a new connection.
type Verdict uint8

const (
	Admitted Verdict = iota
	TooMany          // connections of this address
	TooFast          // new connections of this address
	Banned
)

// Addresses is the table of the clients' addresses. Any goroutine may use it. Times are nanoseconds of any clock that does not go
// back.
type Addresses struct {
	limits AddressLimits

	mu        sync.Mutex
	list      map[Key]*address
	idle      address // head of the ring of addresses without a connection, the longest idle one first
	untracked uint64
	bans      uint64
}

// An address is one client, or all clients of a network.
type address struct {
	key         Key
	connections int32
	offences    int32
	since       int64 // the first of the offences
	bannedUntil int64
	recent      recent

	before, after *address // in Addresses.idle, without a connection
}

// NewAddresses returns a table, or nil without a limit.
func NewAddresses(l AddressLimits) *Addresses {
	if !l.Enabled() {
		return nil
	}
	l.Track = max(l.Track, 1)
	a := &Addresses{limits: l, list: make(map[Key]*address)}
	a.idle.before, a.idle.after = &a.idle, &a.idle
	return a
}

// Enter judges a new connection. counted reports that it counts until Leave. A refused connection does not count, and a
// connection whose address has no room in the table does not count either.
func (a *Addresses) Enter(k Key, now int64) (v Verdict, counted bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.entry(k, now)
	if e == nil {
		a.untracked++
		return Admitted, false
	}
	v = a.judge(e, now)
	if v != Admitted && !a.limits.DryRun {
		a.touch(e)
		return v, false
	}
	if e.connections++; e.connections == 1 {
		e.unlink()
	}
	return v, true
}

func (a *Addresses) judge(e *address, now int64) Verdict {
	l := &a.limits
	if e.bannedUntil > now {
		return Banned
	}
	if l.Connections > 0 && int(e.connections) >= l.Connections {
		return TooMany
	}
	if l.PerSecond > 0 && !e.recent.take(now, l.PerSecond) {
		return TooFast
	}
	return Admitted
}

// Leave ends a connection that was counted.
func (a *Addresses) Leave(k Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.list[k]
	if e == nil || e.connections == 0 {
		return
	}
	if e.connections--; e.connections > 0 {
		return
	}
	if e.offences == 0 && e.bannedUntil == 0 && a.limits.PerSecond == 0 {
		delete(a.list, k)
		return
	}
	a.link(e)
}

// Offend counts an offence of a client. It reports whether this offence bans the address.
func (a *Addresses) Offend(k Key, now int64) (banned bool) {
	if a.limits.BanAfter == 0 {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.entry(k, now)
	if e == nil {
		return false
	}
	if now-e.since > int64(a.limits.BanWindow) {
		e.offences, e.since = 0, now
	}
	if e.offences++; int(e.offences) < a.limits.BanAfter {
		return false
	}
	e.offences = 0
	e.bannedUntil = now + int64(a.limits.BanFor)
	a.bans++
	return true
}

// entry returns the entry of k. It creates a missing one if there is room.
func (a *Addresses) entry(k Key, now int64) *address {
	if e := a.list[k]; e != nil {
		return e
	}
	if len(a.list) >= a.limits.Track && !a.evict(now) {
		return nil
	}
	e := &address{key: k, since: now}
	a.list[k] = e
	a.link(e)
	return e
}

// evict forgets the address that has been idle longest, and a banned one only if there are many of them.
func (a *Addresses) evict(now int64) bool {
	const looks = 8
	oldest := a.idle.after
	for e, n := oldest, 0; e != &a.idle && n < looks; e, n = e.after, n+1 {
		if e.bannedUntil <= now {
			oldest = e
			break
		}
	}
	if oldest == &a.idle {
		return false
	}
	oldest.unlink()
	delete(a.list, oldest.key)
	return true
}

// link puts e at the end of the ring of idle addresses.
func (a *Addresses) link(e *address) {
	e.before, e.after = a.idle.before, &a.idle
	e.before.after, a.idle.before = e, e
}

func (e *address) unlink() {
	e.before.after, e.after.before = e.after, e.before
	e.before, e.after = nil, nil
}

// touch moves an idle e to the end of the ring.
func (a *Addresses) touch(e *address) {
	if e.before != nil {
		e.unlink()
		a.link(e)
	}
}

// AddressStats are the figures of a table.
type AddressStats struct {
	Tracked   int    // addresses in the table
	Untracked uint64 // connections since the start whose address had no room in the table
	Bans      uint64 // since the start
}

// Stats reads the figures; a may be nil.
func (a *Addresses) Stats() AddressStats {
	if a == nil {
		return AddressStats{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return AddressStats{len(a.list), a.untracked, a.bans}
}
