package fleet

import (
	"bytes"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
	"time"

	"tickcast/loadtest/machine"
)

// A tick is a message of a run's own publisher, as JSON of this form:
//
//	{"load":2718281828,"k":17,"n":12,"m":345,"at":1764333444555,"pad":"....","crc":"89abcdef"}
//
// It contains all fields that a reader needs to check it.
type tick struct {
	run    uint32 // load: which run published it
	topic  uint32 // k: place of its topic in the plan
	seq    uint32 // n: its number among those of the topic, from 1 on
	number uint64 // m: its number in the run, from 0 on
	at     int64  // intended time of sending, CLOCK_MONOTONIC in nanoseconds
}

const (
	tickStart = `{"load":`
	tickEnd   = `","crc":"`
	hexDigits = 8
)

// crcTable is Castagnoli's polynomial, for which CPUs have an instruction.
var crcTable = crc32.MakeTable(crc32.Castagnoli)

// appendTick appends t, padded to size bytes if it is shorter.
func appendTick(dst []byte, t tick, size int) []byte {
	start := len(dst)
	dst = strconv.AppendUint(append(dst, tickStart...), uint64(t.run), 10)
	dst = strconv.AppendUint(append(dst, `,"k":`...), uint64(t.topic), 10)
	dst = strconv.AppendUint(append(dst, `,"n":`...), uint64(t.seq), 10)
	dst = strconv.AppendUint(append(dst, `,"m":`...), t.number, 10)
	dst = strconv.AppendInt(append(dst, `,"at":`...), t.at, 10)
	dst = append(dst, `,"pad":"`...)
	for len(dst)-start+len(tickEnd)+hexDigits+2 < size {
		dst = append(dst, "0123456789abcdefghijklmnopqrstuvwxyz"[(len(dst)-start)%36])
	}
	sum := crc32.Checksum(dst[start:], crcTable)
	dst = append(dst, tickEnd...)
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[sum>>shift&15])
	}
	return append(dst, `"}`...)
}

// parseTick finds the first tick in a message and returns the bytes behind it, where more ticks may be. Servers may put any
// bytes around ticks. found reports the beginning of a tick; whole, that the tick is unchanged. A changed tick has the
// numbers that could be read.
func parseTick(b []byte) (t tick, behind []byte, found, whole bool) {
	at := bytes.Index(b, []byte(tickStart))
	if at < 0 {
		return tick{}, nil, false, false
	}
	b = b[at:]
	behind = b[len(tickStart):]
	rest := behind
	number := func(bits int, mark string) (n uint64) {
		digits := 0
		for digits < len(rest) && rest[digits]-'0' < 10 {
			digits++
		}
		n, err := strconv.ParseUint(string(rest[:digits]), 10, bits)
		if err != nil || !bytes.HasPrefix(rest[digits:], []byte(mark)) {
			rest = nil
			return 0
		}
		rest = rest[digits+len(mark):]
		return n
	}
	t.run = uint32(number(32, `,"k":`))
	t.topic = uint32(number(32, `,"n":`))
	t.seq = uint32(number(32, `,"m":`))
	t.number = number(64, `,"at":`)
	t.at = int64(number(63, `,"pad":"`))
	pad := bytes.Index(rest, []byte(tickEnd))
	if pad < 0 || len(rest) < pad+len(tickEnd)+hexDigits+2 {
		return t, behind, true, false
	}
	rest = rest[pad+len(tickEnd):]
	summed := b[:len(b)-len(rest)-len(tickEnd)]
	var sum uint32
	for _, c := range rest[:hexDigits] {
		switch {
		case c-'0' < 10:
			sum = sum<<4 | uint32(c-'0')
		case c-'a' < 6:
			sum = sum<<4 | uint32(c-'a'+10)
		default:
			return t, behind, true, false
		}
	}
	if sum != crc32.Checksum(summed, crcTable) || rest[hexDigits] != '"' || rest[hexDigits+1] != '}' {
		return t, behind, true, false
	}
	return t, rest[hexDigits+2:], true, true
}

// A SourceConfig describes the messages of a run.
type SourceConfig struct {
	Tape     *Tape
	Run      uint32
	Subjects []string // of the topics
	Payload  int      // bytes; shorter ones than a tick with its numbers are not possible
	Zipf     float64  // topics are drawn with this exponent; 0: in turn
}

// NewSource returns a function that makes the next message of a run: a tick that was due at the given time, appended to
// dst, and its subject. It counts the message on the tape. One goroutine may call it.
func NewSource(cfg SourceConfig) func(dst []byte, due time.Time) (subject string, payload []byte) {
	topics := len(cfg.Subjects)
	draws := assignment{seed: rand.Uint64(), topics: topics, each: 1}
	if cfg.Zipf > 0 {
		draws.zipf = zipf(topics, cfg.Zipf)
	}
	wall, mono := time.Now(), machine.Monotime()
	var number uint64
	var places []uint32
	return func(dst []byte, due time.Time) (string, []byte) {
		places = draws.appendTopics(places[:0], int(number))
		k := places[0]
		t := tick{
			run: cfg.Run, topic: k, seq: cfg.Tape.next(int(k)), number: number,
			at: mono + int64(due.Sub(wall)),
		}
		cfg.Tape.setDue(int(k), t.seq, t.at)
		number++
		return cfg.Subjects[k], appendTick(dst, t, cfg.Payload)
	}
}
