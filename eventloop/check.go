package eventloop

import (
	"bytes"
	"runtime"
	"strconv"
)

// checkOwner switches the owner check on. Only tests do, before the first engine is made.
var checkOwner = false

// An ownerCheck holds the goroutine that a loop belongs to: the first that was seen on it.
type ownerCheck struct{ goroutine uint64 }

// check panics if another goroutine than the loop's is running. It costs nothing outside of tests.
func (l *loop) check() {
	if !checkOwner {
		return
	}
	id := goroutineID()
	switch l.owner.goroutine {
	case 0:
		l.owner.goroutine = id
	case id:
	default:
		panic("eventloop: a loop's state was used outside of the loop")
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
