package main

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"tickcast/loadtest"
)

// The clients are a process of their own, which takes orders on stdin and answers each on stdout.

// orderTimeout bounds the execution of one order.
const orderTimeout = 60 * time.Second

// An order is what a fleet's process is asked to do: what is set, in this order.
type order struct {
	Open       *loadtest.FleetConfig // start, wait until all are open
	Subscribed bool                  // wait until all subscriptions are acknowledged
	Data       int64                 // wait for that many data messages
	Close      bool                  // end all connections
}

// An answer is what comes back.
type answer struct {
	Error  string
	Totals loadtest.Totals
}

// serveFleet is a fleet's process.
func serveFleet(ctx context.Context, in io.Reader, out io.Writer) error {
	orders, answers := gob.NewDecoder(in), gob.NewEncoder(out)
	var fleet *loadtest.Fleet
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		err := o.execute(ctx, &fleet)
		var a answer
		if err != nil {
			a.Error = err.Error()
		}
		if fleet != nil {
			a.Totals = fleet.Totals()
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
}

// execute does what o says with the fleet, or with the one that it starts.
func (o *order) execute(ctx context.Context, fleet **loadtest.Fleet) (err error) {
	bounded, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	if o.Open != nil {
		if len(o.Open.Topics) == 0 { // not Tickcast's; nchan answers a subprotocol that it does not know with an empty one
			o.Open.Subprotocols = []string{} // here, since gob makes no difference between this and nil
		}
		if *fleet, err = loadtest.Start(ctx, *o.Open); err == nil {
			err = (*fleet).WaitOpen(bounded)
		}
	}
	if err == nil && o.Subscribed {
		err = (*fleet).WaitSubscribed(bounded)
	}
	if err == nil && o.Data > 0 {
		err = (*fleet).WaitData(bounded, o.Data)
	}
	if err == nil && o.Close {
		err = (*fleet).Close()
	}
	return err
}

// A fleet is such a process as its parent sees it.
type fleet struct {
	cmd *exec.Cmd
	in  *gob.Encoder
	out *gob.Decoder
}

// startFleet starts a fleet's process, which has no clients yet.
func startFleet() (*fleet, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "fleet")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &fleet{cmd, gob.NewEncoder(stdin), gob.NewDecoder(stdout)}, nil
}

// do gives an order and returns the answer.
func (f *fleet) do(o order) (loadtest.Totals, error) {
	if err := f.in.Encode(o); err != nil {
		return loadtest.Totals{}, fmt.Errorf("fleet: %w", err)
	}
	var a answer
	if err := f.out.Decode(&a); err != nil {
		return loadtest.Totals{}, fmt.Errorf("fleet: %w", err)
	}
	if a.Error != "" {
		return a.Totals, fmt.Errorf("fleet: %s", a.Error)
	}
	return a.Totals, nil
}

// stop ends the process.
func (f *fleet) stop() {
	f.cmd.Process.Kill()
	f.cmd.Wait()
}
