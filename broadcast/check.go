package broadcast

import (
	"bytes"
	"runtime"
	"strconv"
)

// checkOwner switches the owner check on. Only tests do, before the first shard is made.
var checkOwner = false

// An ownerCheck holds the goroutine that a shard belongs to: the first that called one of its methods.
type ownerCheck struct{ goroutine uint64 }

// check panics if another goroutine than the loop's calls. It costs nothing outside of tests.
func (s *Shard) check() {
	if !checkOwner {
		return
	}
	id := goroutineID()
	switch s.owner.goroutine {
	case 0:
		s.owner.goroutine = id
	case id:
	default:
		panic("broadcast: a shard was called outside of its loop")
	}
}

// goroutineID reads the number of the calling goroutine from its stack trace. It is slow.
func goroutineID() uint64 {
	var b [64]byte
	line := bytes.TrimPrefix(b[:runtime.Stack(b[:], false)], []byte("goroutine "))
	number, _, _ := bytes.Cut(line, []byte(" "))
	id, _ := strconv.ParseUint(string(number), 10, 64)
	return id
}
