package broadcast

import (
	"bytes"
	"runtime"
	"strconv"
)

// checkOwners switches the owner check on.
var checkOwners = false

// CheckOwners switches the owner check on or off and returns the former setting. Only tests call it, before there is a
// goroutine beside theirs.
func CheckOwners(on bool) (was bool) {
	was, checkOwners = checkOwners, on
	return was
}

// An Owner is the goroutine that a value belongs to: the first that called Check. The zero value is ready.
type Owner struct{ goroutine uint64 }

// Check panics with fault if another goroutine than the owner calls. It costs nothing outside of tests.
func (o *Owner) Check(fault string) {
	if checkOwners {
		o.check(fault)
	}
}

func (o *Owner) check(fault string) {
	id := goroutineID()
	switch o.goroutine {
	case 0:
		o.goroutine = id
	case id:
	default:
		panic(fault)
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
