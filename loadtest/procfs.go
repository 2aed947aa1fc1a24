package loadtest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// A procfs is where the kernel shows its figures: /proc, in tests a directory of fixtures.
type procfs string

// proc is this machine's.
const proc procfs = "/proc"

// read returns a file, nil if this kernel has no such file or does not show it to this process.
func (p procfs) read(name string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(string(p), name))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("loadtest: %w", err)
	}
	return b, nil
}

// numbers reads the first numbers of a file, which are separated by blanks. If the file is not there, they stay as they
// are.
func (p procfs) numbers(name string, into ...*int64) error {
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

// kilobytes reads the lines "Name:   123 kB" of a file such as meminfo, into bytes. A name that is not there stays as it
// is.
func (p procfs) kilobytes(name string, into map[string]*int64) error {
	b, err := p.read(name)
	if err != nil {
		return err
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		f := bytes.Fields(s.Bytes())
		if len(f) < 2 || into[string(f[0])] == nil {
			continue
		}
		kb, err := parseFigure(f[1])
		if err != nil {
			return fmt.Errorf("loadtest: %s: %w", name, err)
		}
		*into[string(f[0])] = kb << 10
	}
	return nil
}

// sockets reads the names and numbers of one protocol's line in net/sockstat or net/sockstat6: "TCP: inuse 1 mem 2". It
// returns nil if there is no such line.
func (p procfs) sockets(name, protocol string) (map[string]int64, error) {
	b, err := p.read(name)
	if err != nil {
		return nil, err
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		f := bytes.Fields(s.Bytes())
		if len(f) == 0 || string(f[0]) != protocol+":" {
			continue
		}
		figures := make(map[string]int64)
		for f = f[1:]; len(f) >= 2; f = f[2:] {
			if figures[string(f[0])], err = parseFigure(f[1]); err != nil {
				return nil, fmt.Errorf("loadtest: %s: %w", name, err)
			}
		}
		return figures, nil
	}
	return nil, nil
}

// parseFigure reads a number of the kernel's. What is beyond int64, as "no limit" may be, is the largest int64.
func parseFigure(b []byte) (int64, error) {
	n, err := strconv.ParseInt(string(b), 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		err = nil
	}
	return n, err
}
