package loadtest

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A tape is how many messages have been published on each topic so far, and when the newest was due. It lies in memory
// that the processes of a run share: the publisher adds to it, and each client looks at it when its subscription is
// answered, since from there on it is owed every message.
//
// Subtle: a message is counted before it is published. One that is published after a server's answer was counted
// after it as well, so a client that looks when the answer comes never expects too little; and what it takes for
// published already, it merely need not get.
type tape struct {
	file   *os.File
	mapped []byte
	newest []atomic.Int64 // when the newest message of each topic was to be sent, CLOCK_MONOTONIC
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
	n := max(topics, 1)
	newest := unsafe.Slice((*atomic.Int64)(unsafe.Pointer(unsafe.SliceData(b))), n)
	counts := unsafe.Slice((*atomic.Uint32)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), n*sizeOfTime)), n)
	return &tape{f, b, newest, counts}, nil
}

const sizeOfTime, sizeOfCount = 8, 4

func tapeSize(topics int) int64 { return int64(max(topics, 1)) * (sizeOfTime + sizeOfCount) }

// next counts a message of a topic that is about to be published, and returns its number, from 1 on.
func (t *tape) next(topic int) uint32 { return t.counts[topic].Add(1) }

// count returns how many messages of a topic were published. Numbers wrap after 4 billion.
func (t *tape) count(topic uint32) uint32 { return t.counts[topic].Load() }

// close gives the memory back; nobody may use t any more.
func (t *tape) close() {
	unix.Munmap(t.mapped)
	t.file.Close()
}
