package fleet

import (
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// newTestTape returns a tape that the test's end closes.
func newTestTape(t testing.TB, topics int) *Tape {
	t.Helper()
	tape, err := NewTape(topics)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tape.Close)
	return tape
}

// All processes that map the same memory see the same counts, and no count is lost.
func TestTapeIsShared(t *testing.T) {
	const topics, each = 2000, 500 // more than a page
	one := newTestTape(t, topics)
	fd, err := unix.FcntlInt(one.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	other, err := OpenTape(os.NewFile(uintptr(fd), "tape"), topics)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if n := one.next(topics - 1); n != 1 || other.Count(topics-1) != 1 {
		t.Errorf("message %d, the other counts %d", n, other.Count(topics-1))
	}
	var group sync.WaitGroup
	for _, tape := range []*Tape{one, other, one, other} {
		group.Go(func() {
			for range each {
				tape.next(7)
			}
		})
	}
	group.Wait()
	if one.Count(7) != 4*each || other.Count(7) != 4*each || other.Count(8) != 0 {
		t.Errorf("counts %d, %d, %d", one.Count(7), other.Count(7), other.Count(8))
	}
}

// A run without topics has a tape too.
func TestTapeOfNothing(t *testing.T) {
	newTestTape(t, 0)
}

// A tape tells when the newest messages were due, and no time that is too early for one that it has forgotten.
func TestTapeTellsDueTimes(t *testing.T) {
	tape := newTestTape(t, 2)
	for n := range 3 * timesKept {
		seq := tape.next(1)
		tape.setDue(1, seq, int64(1000+n))
	}
	const last = 3 * timesKept
	if at := tape.newest(1); at != 1000+last-1 {
		t.Errorf("the newest was due at %d", at)
	}
	for _, seq := range []uint32{last, last - 1, last - timesKept/2} {
		if at := tape.due(1, seq); at != int64(1000+seq-1) {
			t.Errorf("message %d was due at %d", seq, at)
		}
	}
	if at := tape.due(1, 5); at < 1000+last-timesKept || at > 1000+last {
		t.Errorf("a message that is forgotten was due at %d", at)
	}
}
