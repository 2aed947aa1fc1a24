package machine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/prometheus/procfs"
)

// A procDir is the directory in which the kernel shows its figures: /proc, in tests a directory of fixtures.
type procDir string

// proc is the directory of this machine.
const proc procDir = "/proc"

// unlessHidden returns err, or nil if err means that the kernel hides a figure, or hides it from this process.
func unlessHidden(err error) error {
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return nil
	}
	return fmt.Errorf("loadtest: %w", err)
}

// read returns the content of a file, nil if the kernel does not show it.
func (p procDir) read(name string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(string(p), name))
	if err != nil {
		return nil, unlessHidden(err)
	}
	return b, nil
}

// numbers reads the first numbers of a file, which are separated by blanks. They keep their values if the kernel does not
// show the file.
func (p procDir) numbers(name string, into ...*int64) error {
	b, err := p.read(name)
	if b == nil {
		return err
	}
	f := bytes.Fields(b)
	if len(f) < len(into) {
		return fmt.Errorf("loadtest: %s has %d of %d numbers", name, len(f), len(into))
	}
	for i, n := range into {
		if *n, err = parseFigure(f[i]); err != nil {
			return fmt.Errorf("loadtest: %s: %w", name, err)
		}
	}
	return nil
}

// parseFigure parses a number of the kernel. A number beyond int64, which may stand for "no limit", is the largest int64.
func parseFigure(b []byte) (int64, error) {
	n, err := strconv.ParseInt(string(b), 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		err = nil
	}
	return n, err
}

// meminfo returns the lines of meminfo.
func (p procDir) meminfo() (m procfs.Meminfo, err error) {
	f, err := procfs.NewFS(string(p))
	if err == nil {
		m, err = f.Meminfo()
	}
	return m, unlessHidden(err)
}

// bytesOf returns a figure of meminfo in bytes, 0 for one that is not there.
func bytesOf(figure *uint64) int64 {
	if figure == nil {
		return 0
	}
	return int64(*figure)
}

// tcpSockets returns the number of TCP sockets and the pages of their buffers, from net/sockstat or net/sockstat6.
func (p procDir) tcpSockets(protocol string) (sockets, pages int64, err error) {
	f, err := procfs.NewFS(string(p))
	if err != nil {
		return 0, 0, unlessHidden(err)
	}
	read := f.NetSockstat
	if protocol == "TCP6" {
		read = f.NetSockstat6
	}
	stat, err := read()
	if err != nil {
		return 0, 0, unlessHidden(err)
	}
	for _, s := range stat.Protocols {
		if s.Protocol == protocol {
			sockets = int64(s.InUse)
			if s.Mem != nil {
				pages = int64(*s.Mem)
			}
		}
	}
	return sockets, pages, nil
}
