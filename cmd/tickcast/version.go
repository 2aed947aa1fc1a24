package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set at link time: -ldflags "-X main.version=v1.2.3". If it is empty, the build information has the version.
var version string

// A build identifies a program.
type build struct {
	version  string // "devel" = not known
	revision string // of the source: 12 characters, and "-dirty" if files were changed; "" = not known
}

// thisBuild returns the build of the running program.
func thisBuild() build {
	b := build{version: version}
	info, ok := debug.ReadBuildInfo()
	if ok {
		if b.version == "" && info.Main.Version != "(devel)" {
			b.version = info.Main.Version
		}
		dirty := ""
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				b.revision = s.Value[:min(12, len(s.Value))]
			case s.Key == "vcs.modified" && s.Value == "true":
				dirty = "-dirty"
			}
		}
		if b.revision != "" {
			b.revision += dirty
		}
	}
	if b.version == "" {
		b.version = "devel"
	}
	return b
}

// String returns the line of -version: tickcast v1.2.3 (1a2b3c4d5e6f) go1.26.0 linux/amd64.
func (b build) String() string {
	revision := ""
	if b.revision != "" {
		revision = " (" + b.revision + ")"
	}
	return fmt.Sprintf("tickcast %s%s %s %s/%s", b.version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
