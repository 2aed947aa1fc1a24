package eventloop

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// writeNow is write(2) without notice to the scheduler: the descriptor does not block, so the call returns at once.
func writeNow(fd int32, b []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// writeLast is writeNow for bytes behind which the sending side ends at once: they may wait for that, so that the kernel sends both in one
// segment, and the client wakes up once.
func writeLast(fd int32, b []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
			unix.MSG_MORE|unix.MSG_NOSIGNAL, 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// shutdownWrite ends the sending side. It fails only if the client is gone.
func shutdownWrite(fd int32) { _ = unix.Shutdown(int(fd), unix.SHUT_WR) }

// discardUnsent makes a close throw away the bytes that the client has not read. The kernel would keep them, and try to send
// them, for as long as the client answers its probes.
func discardUnsent(fd int32) {
	if unacknowledged(fd) > 0 {
		_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
}

// unacknowledged returns the number of bytes in the kernel that the client has not acknowledged.
func unacknowledged(fd int32) int {
	n, err := unix.IoctlGetInt(int(fd), unix.TIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}

// setSendBuffer sets the size of a socket's send buffer, to which the kernel adds as much for its own use.
func setSendBuffer(fd int32, size int) {
	_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, size) // a socket that is gone needs none
}

// unlockSendBuffer lets the kernel choose the size of a socket's send buffer again. It reports false before Linux 5.14.
func unlockSendBuffer(fd int32) bool {
	return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BUF_LOCK, 0) == nil
}

// lineBytes returns the number of bytes that the client takes in the shortest round trip and some seconds more; 0 = that is not known.
// It takes the bytes on their way and the present round trip, which includes the queue in front of a thin line. The kernel's own rate of
// delivery does not fall while the server sends little.
func lineBytes(fd int32, seconds float64) float64 {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || info.Rtt == 0 {
		return 0
	}
	underWay := unacknowledged(fd) - int(info.Notsent_bytes)
	return max(float64(underWay), 0) / float64(info.Rtt) * (seconds*1e6 + float64(info.Min_rtt))
}
