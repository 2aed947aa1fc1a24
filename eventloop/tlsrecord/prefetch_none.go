//go:build !amd64 && !arm64

package tlsrecord

import "unsafe"

func prefetch(unsafe.Pointer, uintptr) {}
