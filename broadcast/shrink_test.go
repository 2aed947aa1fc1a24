package broadcast

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
)

// A probe is a test whose failure stays unreported.
type probe struct{ testing.TB }

type probeFailed struct{ what string }

func (probe) Helper()                           {}
func (probe) Fatalf(format string, args ...any) { panic(probeFailed{fmt.Sprintf(format, args...)}) }

// failure runs a script and returns its failure, or "".
func failure(t *testing.T, lines []string, mailbox int) (failure string) {
	synctest.Test(t, func(*testing.T) {
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
	})
	return failure
}

// shrink removes all lines from a failing script that it fails without.
func shrink(t *testing.T, lines []string, mailbox int) []string {
	for size := len(lines) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(lines); {
			if less := slices.Delete(slices.Clone(lines), at, at+size); failure(t, less, mailbox) != "" {
				lines = less
			} else {
				at += size
			}
		}
	}
	return lines
}
