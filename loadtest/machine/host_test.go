package machine

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestReadHost(t *testing.T) {
	m := ReadHost()
	if m.CPU == "" || m.Cores < 1 || m.Memory < 1<<20 || m.Kernel == "" || m.Go != runtime.Version() || m.Descriptors == 0 {
		t.Errorf("%+v", m)
	}
}

func TestCPUModel(t *testing.T) {
	text := "processor\t: 0\nmodel\t\t: 207\nmodel name\t: Some CPU: fast\n\nprocessor\t: 1\nmodel name\t: Other\n"
	if got := writeProc(t, map[string]string{"cpuinfo": text}).cpuModel(); got != "Some CPU: fast" {
		t.Errorf("%q", got)
	}
	if got := writeProc(t, map[string]string{"cpuinfo": "processor\t: 0\nBogoMIPS\t: 50.00\n"}).cpuModel(); got != "" {
		t.Errorf("%q", got)
	}
}

func TestBuildRevision(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "1a2b"}
	clean := debug.BuildSetting{Key: "vcs.modified", Value: "false"}
	dirty := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	for want, settings := range map[string][]debug.BuildSetting{
		"1a2b": {revision, clean}, "1a2b+dirty": {revision, dirty}, "": {dirty},
	} {
		if got := buildRevision(&debug.BuildInfo{Settings: settings}, true); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := buildRevision(nil, false); got != "" {
		t.Errorf("%q without build information", got)
	}
}
