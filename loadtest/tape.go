package loadtest

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A tape is how many messages have been published on each topic so far. It lies in memory that the processes of a run
// share: the publisher adds to it, and each client looks at it when its subscription is answered, since from there on
// it is owed every message.
//
// Subtle: a message is counted before it is published. One that is published after a server's answer was counted
// after it as well, so a client that looks when the answer comes never expects too little; and what it takes for
// published already, it merely need not get.
type tape struct {
	file   *os.File
	mapped []byte
	counts []atomic.Uint32
}

// newTape returns an empty tape for so many topics.
func newTape(topics int) (*tape, error) {
	fd, err := unix.MemfdCreate("tickload", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("loadtest: shared memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "tickload")
	if err := f.Truncate(tapeSize(topics)); err != nil {
		f.Close()
		return nil, fmt.Errorf("loadtest: shared memory: %w", err)
	}
	return openTape(f, topics)
}

// openTape maps the tape of another process. It takes f.
func openTape(f *os.File, topics int) (*tape, error) {
	b, err := unix.Mmap(int(f.Fd()), 0, int(tapeSize(topics)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("loadtest: shared memory: %w", err)
	}
	counts := unsafe.Slice((*atomic.Uint32)(unsafe.Pointer(unsafe.SliceData(b))), max(topics, 1))
	return &tape{f, b, counts}, nil
}

func tapeSize(topics int) int64 { return int64(max(topics, 1)) * int64(unsafe.Sizeof(uint32(0))) }

// next counts a message of a topic that is about to be published, and returns its number, from 1 on.
func (t *tape) next(topic int) uint32 { return t.counts[topic].Add(1) }

// count returns how many messages of a topic were published. Numbers wrap after 4 billion.
func (t *tape) count(topic uint32) uint32 { return t.counts[topic].Load() }

// close gives the memory back; nobody may use t any more.
func (t *tape) close() {
	unix.Munmap(t.mapped)
	t.file.Close()
}
