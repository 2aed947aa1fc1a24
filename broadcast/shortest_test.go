package broadcast

import (
	"fmt"
	"slices"
	"testing"
)

// A probe is a test that may fail without anybody hearing of it.
type probe struct{ testing.TB }

type probeFailed struct{ what string }

func (probe) Helper()                           {}
func (probe) Fatalf(format string, args ...any) { panic(probeFailed{fmt.Sprintf(format, args...)}) }

// try runs a script and returns how it fails, or "".
func try(lines []string, mailbox int) (failure string) {
	defer func() {
		if r := recover(); r != nil {
			if f, ok := r.(probeFailed); ok {
				failure = f.what
				return
			}
			failure = fmt.Sprint(r)
		}
	}()
	runScript(probe{}, lines, mailbox)
	return ""
}

// shortest takes all lines out of a failing script that it fails without.
func shortest(lines []string, mailbox int) []string {
	for size := len(lines) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(lines); {
			if less := slices.Delete(slices.Clone(lines), at, at+size); try(less, mailbox) != "" {
				lines = less
			} else {
				at += size
			}
		}
	}
	return lines
}
