package eventloop

import (
	"context"
	"net"
	"os"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// A poke lets a loop come back to itself: the loop writes a byte to one end of a socket pair, and gnet finds the other end
// readable beside whatever else is, and tells it in the same round. gnet offers nothing for that: a task that is queued on the
// loop runs before the loop looks at its sockets, and one that is queued by another goroutine costs a wake-up of another
// thread, which took about a twentieth of the time of a fan-out.
type poke struct {
	fd    int             // our end; -1 = not there (yet): tasks go through another goroutine
	tasks []gnet.Runnable // to be run
	spare []gnet.Runnable
	sent  bool // a byte is on its way
}

var pokeByte = []byte{0}

// newPoke makes the pair and gives gnet its end, which arrives some time later.
func newPoke(l *loop) *poke {
	p := &poke{fd: -1}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return p
	}
	f := os.NewFile(uintptr(fds[0]), "poke")
	c, err := net.FileConn(f) // a copy, of which gnet makes its own
	_ = f.Close()
	if err == nil {
		_, err = l.el.Enroll(gnet.NewContext(context.Background(), &pokeEnd{p, fds[1]}), c)
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

// opened is called on the loop when gnet has its end.
func (e *pokeEnd) opened() { e.fd = e.ours }

// closed is called on the loop when gnet has closed its end: when the engine stops.
func (e *pokeEnd) closed() {
	e.fd = -1
	_ = unix.Close(e.ours)
}

// run runs what is due.
func (p *poke) run() {
	p.sent = false
	tasks := p.tasks
	p.tasks = p.spare[:0]
	for i, t := range tasks {
		tasks[i] = nil
		_ = t.Run(context.Background()) // has no error: see loop.task
	}
	p.spare = tasks
}

// add has t run after the loop has looked at its sockets. It reports false if it cannot.
func (p *poke) add(t gnet.Runnable) bool {
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
