package eventloop

import (
	"io"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// dataSegments returns the number of segments with data that the kernel has received for a connection.
func dataSegments(t *testing.T, nc net.Conn) (n uint32) {
	t.Helper()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) {
		var info *unix.TCPInfo
		if info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = info.Data_segs_in
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The bytes of writeLast leave with the end of the sending side. The kernel keeps them for 200 ms at most, which a busy machine may need
// between two calls.
func TestLastBytesLeaveWithTheEnd(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for range 20 {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		peer, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		early := uint32(0)
		raw, _ := peer.(*net.TCPConn).SyscallConn()
		_ = raw.Control(func(fd uintptr) {
			if n, errno := writeLast(int32(fd), []byte("last")); n != 4 || errno != 0 {
				t.Fatalf("%d bytes, %v", n, errno)
			}
			early = dataSegments(t, nc)
			shutdownWrite(int32(fd))
		})
		if b, err := io.ReadAll(nc); err != nil || string(b) != "last" {
			t.Fatalf("%q, %v", b, err)
		}
		if early == 0 && dataSegments(t, nc) == 1 {
			return
		}
	}
	t.Error("the bytes do not wait for the end")
}
