//go:build amd64 || arm64

package tlsrecord

import "unsafe"

// prefetch asks the processor for the cache lines of size bytes at an address, more than 0, and does not wait for them. A line is taken
// to be 64 bytes; where it is longer, some are asked for twice.
//
//go:noescape
func prefetch(at unsafe.Pointer, size uintptr)
