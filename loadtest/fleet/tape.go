package fleet

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Tape holds the number of published messages of each topic, and the due times of the newest. It lies in memory that the
// processes of a run share. The publisher adds to it, and each client reads it when its subscription is answered, since from
// there on the server owes it every message.
//
// Subtle: a message is counted before it is published. A client that reads the tape at the server's answer may therefore
// count a message that is published only after that. It then expects one message too few, but never one too many.
type Tape struct {
	file   *os.File
	mapped []byte
	times  []atomic.Int64 // when the newest messages of each topic were to be sent, CLOCK_MONOTONIC: timesKept a topic
	counts []atomic.Uint32
}

// timesKept is the number of messages of a topic whose due times a tape keeps.
const timesKept = 512

// NewTape returns an empty tape for so many topics.
func NewTape(topics int) (*Tape, error) {
	fd, err := unix.MemfdCreate("tickload", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("loadtest: shared memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "tickload")
	if err := f.Truncate(tapeSize(topics)); err != nil {
		f.Close()
		return nil, fmt.Errorf("loadtest: shared memory: %w", err)
	}
	return OpenTape(f, topics)
}

// OpenTape maps the tape of another process. It owns f from now on.
func OpenTape(f *os.File, topics int) (*Tape, error) {
	b, err := unix.Mmap(int(f.Fd()), 0, int(tapeSize(topics)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("loadtest: shared memory: %w", err)
	}
	n := max(topics, 1)
	times := unsafe.Slice((*atomic.Int64)(unsafe.Pointer(unsafe.SliceData(b))), n*timesKept)
	counts := unsafe.Slice((*atomic.Uint32)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), n*timesKept*sizeOfTime)), n)
	return &Tape{f, b, times, counts}, nil
}

const sizeOfTime, sizeOfCount = 8, 4

func tapeSize(topics int) int64 { return int64(max(topics, 1)) * (timesKept*sizeOfTime + sizeOfCount) }

// next counts a message of a topic that is about to be published, and returns its number, from 1 on.
func (t *Tape) next(topic int) uint32 { return t.counts[topic].Add(1) }

// Count returns how many messages of a topic were published. Numbers wrap after 4 billion.
func (t *Tape) Count(topic uint32) uint32 { return t.counts[topic].Load() }

// setDue notes when a message that was counted is due.
func (t *Tape) setDue(topic int, seq uint32, at int64) { t.timeOf(uint32(topic), seq).Store(at) }

// newest returns when the newest message of a topic was due.
func (t *Tape) newest(topic uint32) int64 { return t.timeOf(topic, t.Count(topic)).Load() }

// due returns when a message of a topic was due, or a later message if the tape keeps its time no longer.
func (t *Tape) due(topic, seq uint32) int64 {
	if oldest := t.Count(topic) - (timesKept - 2); int32(oldest-seq) > 0 { // the publisher may be about to take the place of one
		seq = oldest
	}
	return t.timeOf(topic, seq).Load()
}

func (t *Tape) timeOf(topic, seq uint32) *atomic.Int64 {
	return &t.times[int(topic)*timesKept+int(seq%timesKept)]
}

// Close releases the memory; t must not be used after that.
func (t *Tape) Close() {
	unix.Munmap(t.mapped)
	t.file.Close()
}

// File returns the shared memory, for another process; t keeps it.
func (t *Tape) File() *os.File { return t.file }
