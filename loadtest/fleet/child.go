package fleet

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// A reply is the answer to an order, or the error text.
type reply[A any] struct {
	Error  string
	Answer A
}

// A Child is a process that receives orders of type O on stdin and answers each of them on stdout with an A, as values of
// gob; see [ServeOrders]. It ends with its stdin, and at the latest with this process. One goroutine may use it.
type Child[O, A any] struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	enc   *gob.Encoder
	dec   *gob.Decoder
	ended bool
}

// StartChild starts cmd as a child. Its stderr is that of this process.
func StartChild[O, A any](cmd *exec.Cmd) (*Child[O, A], error) {
	cmd.Stderr = os.Stderr
	// An interrupt from the terminal is for the parent alone, which ends its children.
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL, Setpgid: true}
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	err := errors.Join(errIn, errOut)
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("loadtest: start a process: %w", err)
	}
	return &Child[O, A]{cmd: cmd, in: in, enc: gob.NewEncoder(in), dec: gob.NewDecoder(out)}, nil
}

// PID returns the process id.
func (c *Child[O, A]) PID() int { return c.cmd.Process.Pid }

// Do gives an order and returns its answer.
func (c *Child[O, A]) Do(o O) (answer A, err error) {
	if err := c.enc.Encode(o); err != nil {
		return answer, fmt.Errorf("loadtest: process %d: %w", c.PID(), err)
	}
	var r reply[A]
	if err := c.dec.Decode(&r); err != nil {
		return answer, fmt.Errorf("loadtest: process %d ended: %w", c.PID(), err)
	}
	if r.Error != "" {
		err = errors.New(r.Error)
	}
	return r.Answer, err
}

// End closes the child's stdin and waits until the process has ended.
func (c *Child[O, A]) End() error {
	if c.ended {
		return nil
	}
	c.ended = true
	c.in.Close()
	return c.cmd.Wait()
}

// Kill ends the child at once.
func (c *Child[O, A]) Kill() { c.cmd.Process.Kill() }

// ServeOrders is the child's side: it passes each order to do and writes the answer, until in ends.
func ServeOrders[O, A any](in io.Reader, out io.Writer, do func(O) (A, error)) error {
	dec, enc := gob.NewDecoder(in), gob.NewEncoder(out)
	for {
		var o O
		if err := dec.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("loadtest: read an order: %w", err)
		}
		var r reply[A]
		var err error
		if r.Answer, err = do(o); err != nil {
			r.Error = err.Error()
		}
		if err := enc.Encode(r); err != nil {
			return fmt.Errorf("loadtest: answer an order: %w", err)
		}
	}
}
