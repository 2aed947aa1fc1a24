package loadtest

import (
	"bufio"
	"bytes"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// ReadMachine returns what is known of this machine and of this program's build; what is not stays zero.
func ReadMachine() Machine {
	m := Machine{
		CPU:      runtime.GOARCH,
		Cores:    runtime.NumCPU(),
		Go:       runtime.Version(),
		Revision: buildRevision(debug.ReadBuildInfo()),
	}
	if b, err := proc.read("cpuinfo"); err == nil {
		if model := cpuModel(b); model != "" {
			m.CPU = model
		}
	}
	_ = proc.kilobytes("meminfo", map[string]*int64{"MemTotal:": &m.Memory})
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		m.Descriptors = files.Cur
	}
	return m
}

// cpuModel returns the first "model name" of cpuinfo, "" on architectures that have none.
func cpuModel(cpuinfo []byte) string {
	for s := bufio.NewScanner(bytes.NewReader(cpuinfo)); s.Scan(); {
		if name, model, ok := bytes.Cut(s.Bytes(), []byte(":")); ok && string(bytes.TrimSpace(name)) == "model name" {
			return string(bytes.TrimSpace(model))
		}
	}
	return ""
}

// buildRevision returns the commit of a build, with "+dirty" if the tree was not that of the commit, "" if it is not
// known. The parameters are what [debug.ReadBuildInfo] returns.
func buildRevision(info *debug.BuildInfo, ok bool) string {
	if !ok {
		return ""
	}
	var revision, dirty string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + dirty
}
