package loadtest

import (
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// newTestTape returns a tape that the test's end closes.
func newTestTape(t testing.TB, topics int) *tape {
	t.Helper()
	tape, err := newTape(topics)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tape.close)
	return tape
}

// Who maps the same memory sees the same counts, and nobody's is lost.
func TestTapeIsShared(t *testing.T) {
	const topics, each = 2000, 500 // more than a page
	one := newTestTape(t, topics)
	fd, err := unix.FcntlInt(one.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	other, err := openTape(os.NewFile(uintptr(fd), "tape"), topics)
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	if n := one.next(topics - 1); n != 1 || other.count(topics-1) != 1 {
		t.Errorf("message %d, the other counts %d", n, other.count(topics-1))
	}
	var group sync.WaitGroup
	for _, tape := range []*tape{one, other, one, other} {
		group.Go(func() {
			for range each {
				tape.next(7)
			}
		})
	}
	group.Wait()
	if one.count(7) != 4*each || other.count(7) != 4*each || other.count(8) != 0 {
		t.Errorf("counts %d, %d, %d", one.count(7), other.count(7), other.count(8))
	}
}

// A run without topics has a tape too.
func TestTapeOfNothing(t *testing.T) {
	newTestTape(t, 0)
}
