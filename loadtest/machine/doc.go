// Package machine reads the resources of this machine, its limits, and their use by processes and the kernel. All figures
// come from /proc and a few system calls of Linux. Every function may be called by any goroutine.
//
// A figure that the kernel hides, or hides from this process, is zero and no error: containers and old kernels hide some. A
// visible figure that cannot be read is an error.
//
// # Layout
//
//	procfs.go      /proc: single numbers, meminfo, sockstat
//	own.go         usage of this process, and the clock of the machine
//	process.go     CPU time and memory of any process
//	processes.go   the same for several processes together
//	kernel.go      memory of the kernel, CPU time of the machine
//	host.go        the machine and the build, for reports
//	listeners.go   the processes that listen at an address; the addresses of this machine
//	limits.go      limits of this process and of the machine
//	check.go       the limits that a number of connections would exceed, and the commands that raise them
//
// # Why
//
// Why prometheus/procfs does not read everything: it reads all descriptors of a process and all lines of /proc/net/tcp,
// where a million connections are a million lines and the first few are enough; it takes a short line of /proc/stat for
// zeros; and a number beyond int64, which stands for "no limit", is an error to it.
package machine
