package admission

// Inbound bounds the input of one connection. A rate of 0 means no limit.
type Inbound struct {
	CommandsPerSecond, CommandsBurst uint32 // a burst after a pause
	BytesPerSecond, BytesBurst       uint32
}

// Enabled reports whether there is a limit.
func (l *Inbound) Enabled() bool { return l.CommandsPerSecond > 0 || l.BytesPerSecond > 0 }

// MaxBurst is the largest burst.
const MaxBurst = 1 << 28

// A Bucket counts the recent input of a connection against its limits, in 8 bytes: tenths of commands and of bytes that have
// not drained yet. The zero value is empty. The connection holds the time of the last call of Flow.
type Bucket struct{ commands, bytes uint32 }

// Flow drains the limits' share of some tenths of a second.
func (b *Bucket) Flow(tenths uint32, l *Inbound) {
	b.commands = less(b.commands, tenths, l.CommandsPerSecond)
	b.bytes = less(b.bytes, tenths, l.BytesPerSecond)
}

func less(filled, tenths, perSecond uint32) uint32 {
	if gone := uint64(tenths) * uint64(perSecond); gone < uint64(filled) {
		return filled - uint32(gone)
	}
	return 0
}

// Command counts a command and reports whether it is within the limit.
func (b *Bucket) Command(l *Inbound) bool {
	return l.CommandsPerSecond == 0 || fill(&b.commands, 1, l.CommandsBurst)
}

// Bytes counts bytes of input and reports whether they are within the limit.
func (b *Bucket) Bytes(n int, l *Inbound) bool {
	return l.BytesPerSecond == 0 || fill(&b.bytes, uint64(n), l.BytesBurst)
}

func fill(filled *uint32, n uint64, burst uint32) bool {
	sum := uint64(*filled) + 10*n
	if sum > 10*uint64(burst) {
		return false
	}
	*filled = uint32(sum)
	return true
}
