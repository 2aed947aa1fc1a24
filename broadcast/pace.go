package broadcast

// A pace bounds the names that are new to a shard, for each connection: a name takes time and memory of the hub and of NATS, and
// outlives its subscriber for a while. It holds only the connections that have named new ones lately.
type pace struct {
	rate, burst float64 // names a second; names at once
	debts       map[uint32]nameDebt
	kept        int // of debts, after the last look at all
}

// A nameDebt counts the new names of the connection in a slot that time has not worked off.
type nameDebt struct {
	names float64
	at    int64 // by the hub's clock
}

func newPace(rate, burst int) pace {
	return pace{rate: float64(rate), burst: float64(max(rate, burst)), debts: make(map[uint32]nameDebt)}
}

// left returns the debt at a time.
func (p *pace) left(d nameDebt, now int64) float64 {
	return max(d.names-float64(now-d.at)*p.rate/1e9, 0)
}

// take counts a new name of the connection in slot. It reports false if that is too much.
func (p *pace) take(slot uint32, now int64) bool {
	names := p.left(p.debts[slot], now) + 1
	if names > p.burst {
		return false
	}
	p.debts[slot] = nameDebt{names, now}
	if len(p.debts) > 2*p.kept+64 {
		for slot, d := range p.debts {
			if p.left(d, now) == 0 {
				delete(p.debts, slot)
			}
		}
		p.kept = len(p.debts)
	}
	return true
}

// forget forgets the connection in slot.
func (p *pace) forget(slot uint32) {
	if delete(p.debts, slot); len(p.debts) == 0 && p.kept > 0 {
		p.debts, p.kept = make(map[uint32]nameDebt), 0
	}
}
