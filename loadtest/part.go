package loadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"time"

	"tickcast/loadtest/fleet"
	"tickcast/loadtest/machine"
)

// One process may open RLIMIT_NOFILE sockets, so a large run has several: the program starts itself again for each part
// of the clients. A part is a [fleet.Child]; its descriptor 3 is the run's tape.

// PartVariable is the environment variable that makes a program a part; main must then call [ServePart].
const PartVariable = "TICKLOAD_PART"

// partGC is the growth of the heap, in percent, after which a part collects garbage. It produces little garbage, and its
// memory would be missing to the measured processes.
const partGC = 20

// tapeDescriptor is the tape's descriptor in a part.
const tapeDescriptor = 3

// A partPlan is a part's share of the plan.
type partPlan struct {
	Fleet    fleet.Config
	Run      uint32 // 0: the run does not publish
	Lossless bool
	Bound    time.Duration
}

// A partOrder is an order to a part. The first field that is set selects it.
type partOrder struct {
	Plan   *partPlan // the first order
	Ready  bool      // return the usage without clients
	Begin  int64     // start the fleet, whose schedule counts from this time of CLOCK_MONOTONIC
	Storm  float64   // share of the clients that leaves and comes back
	Churn  bool      // let clients leave and come back from now on:
	Rate   float64   // clients a second
	Close  bool      // close the fleet
	Trim   bool      // give unused memory back
	Sample bool      // return a sample
	Topics bool      // with Sample: by topic as well
}

// partAnswer is the answer to an order.
type partAnswer struct {
	Count  int // of a storm
	Sample fleet.Sample
}

// A partProcess is a part in the eyes of the run.
type partProcess = fleet.Child[partOrder, partAnswer]

// startPart starts a process for a part. Its plan follows with the first order.
func startPart(program string, tape *fleet.Tape) (*partProcess, error) {
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("loadtest: find the own program: %w", err)
		}
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), PartVariable+"=1")
	cmd.ExtraFiles = []*os.File{tape.File()} // tapeDescriptor
	return fleet.StartChild[partOrder, partAnswer](cmd)
}

// ServePart is the main function of a part, see [PartVariable]. It returns when in has ended.
func ServePart(ctx context.Context, in io.Reader, out io.Writer) error {
	debug.SetGCPercent(partGC)
	p := &part{}
	defer p.close()
	return fleet.ServeOrders(in, out, func(o partOrder) (partAnswer, error) { return p.do(ctx, o) })
}

// A part is a process's share of a run.
type part struct {
	plan    *partPlan // nil before the first order
	account fleet.Account
	fleet   *fleet.Fleet // nil before it begins
}

// do carries out an order.
func (p *part) do(ctx context.Context, o partOrder) (a partAnswer, err error) {
	switch {
	case o.Plan != nil:
		p.plan = o.Plan
		tape, err := fleet.OpenTape(os.NewFile(tapeDescriptor, "tape"), len(o.Plan.Fleet.Topics))
		p.account = fleet.Account{Tape: tape, Run: o.Plan.Run, Lossless: o.Plan.Lossless, Bound: o.Plan.Bound}
		// The answer has all types, so that gob allocates its memory for them before the first figure is read.
		a.Sample.Lag = fleet.Counts{1: 1}
		return a, err
	case o.Ready:
		debug.FreeOSMemory()
		a.Sample.Usage = machine.OwnUsage()
	case o.Begin != 0:
		p.account.Begun = o.Begin
		p.fleet, err = fleet.StartAccounted(ctx, p.plan.Fleet, &p.account)
	case p.fleet == nil:
		err = errors.New("loadtest: part has not begun")
	case o.Storm > 0:
		a.Count = p.fleet.Storm(o.Storm)
	case o.Churn:
		p.fleet.Churn(o.Rate)
	case o.Close:
		err = p.fleet.Close()
	case o.Trim:
		debug.FreeOSMemory()
	case o.Sample:
		a.Sample = p.fleet.Sample(o.Topics)
	}
	return a, err
}

// close ends the fleet and gives the tape back.
func (p *part) close() {
	if p.fleet != nil {
		p.fleet.Close()
	}
	if p.account.Tape != nil {
		p.account.Tape.Close()
	}
}
