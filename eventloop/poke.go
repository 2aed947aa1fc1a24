package eventloop

import (
	"context"
	"net"
	"os"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// A poke lets a loop come back to itself. The loop writes a byte to one end of a socket pair; gnet finds the other end readable
// beside all other sockets and calls OnTraffic in the same round. gnet itself offers no such way: a task that is queued on the
// loop runs before the loop looks at its sockets. A task that another goroutine queues wakes another thread, which took about a
// twentieth of the time of a fan-out.
type poke struct {
	fd    int             // our end; -1 = not there (yet): tasks go through another goroutine
	tasks []gnet.Runnable // to be run
	spare []gnet.Runnable
	sent  bool // a byte is on its way
}

var pokeByte = []byte{0}

// newPoke makes the pair and gives gnet its end, which arrives at el some time later.
func newPoke(el gnet.EventLoop) *poke {
	p := &poke{fd: -1}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return p
	}
	f := os.NewFile(uintptr(fds[0]), "poke")
	c, err := net.FileConn(f) // a copy, of which gnet makes its own
	_ = f.Close()
	if err == nil {
		_, err = el.Enroll(gnet.NewContext(context.Background(), &pokeEnd{p, fds[1]}), c)
	}
	if err != nil {
		_ = unix.Close(fds[1])
	}
	return p
}

// A pokeEnd is the context of gnet's end.
type pokeEnd struct {
	*poke
	ours int // the other descriptor
}

// attach is called on the loop when gnet has its end.
func (e *pokeEnd) attach() { e.fd = e.ours }

// detach is called on the loop when gnet has closed its end, at the engine's stop.
func (e *pokeEnd) detach() {
	e.fd = -1
	_ = unix.Close(e.ours)
}

// runTasks runs the tasks that were added before.
func (p *poke) runTasks() {
	p.sent = false
	tasks := p.tasks
	p.tasks = p.spare[:0]
	for i, t := range tasks {
		tasks[i] = nil
		_ = t.Run(context.Background()) // has no error: see loop.task
	}
	p.spare = tasks
}

// addTask schedules t behind the loop's next look at its sockets. It reports false if it cannot.
func (p *poke) addTask(t gnet.Runnable) bool {
	if p.fd < 0 {
		return false
	}
	if !p.sent {
		if n, _ := writeNow(int32(p.fd), pokeByte); n != 1 {
			return false
		}
		p.sent = true
	}
	p.tasks = append(p.tasks, t)
	return true
}
