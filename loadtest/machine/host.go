package machine

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// A Host is this machine and the build of this program, for a report. An unknown figure is zero.
type Host struct {
	CPU         string `json:"cpu"`
	Cores       int    `json:"cores"`
	Memory      int64  `json:"memory"`
	Kernel      string `json:"kernel"`
	Go          string `json:"go"`
	Revision    string `json:"revision"`    // of this program's source, "" if the build does not know it
	Descriptors uint64 `json:"descriptors"` // RLIMIT_NOFILE
}

// ReadHost returns the host.
func ReadHost() Host {
	h := Host{
		CPU:      runtime.GOARCH,
		Cores:    runtime.NumCPU(),
		Go:       runtime.Version(),
		Revision: buildRevision(debug.ReadBuildInfo()),
	}
	if model := proc.cpuModel(); model != "" {
		h.CPU = model
	}
	if m, err := proc.meminfo(); err == nil {
		h.Memory = bytesOf(m.MemTotalBytes)
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		h.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		h.Descriptors = files.Cur
	}
	return h
}

// cpuModel returns the model name of the first CPU, "" on architectures that have none.
func (p procDir) cpuModel() string {
	f, err := procfs.NewFS(string(p))
	if err != nil {
		return ""
	}
	if cpus, err := f.CPUInfo(); err == nil && len(cpus) > 0 {
		return cpus[0].ModelName
	}
	return ""
}

// buildRevision returns the commit of a build, with "+dirty" if the tree was not that of the commit, "" if it is not
// known. The parameters are the results of [debug.ReadBuildInfo].
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
