package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"time"

	"tickcast/loadtest/fleet"
)

// The clients are a process of their own, a [fleet.Child].

// orderTimeout bounds the execution of one order.
const orderTimeout = 60 * time.Second

// An order is a request to the clients' process. Its fields that are set are carried out in this order; the answer is the totals.
type order struct {
	Open       *fleet.Config // start, wait until all are open
	Subscribed bool          // wait until all subscriptions are acknowledged
	Data       int64         // wait for that many data messages
	Close      bool          // end all connections
}

// serveClients is the clients' process.
func serveClients(ctx context.Context, in io.Reader, out io.Writer) error {
	var clients *fleet.Fleet
	return fleet.ServeOrders(in, out, func(o order) (t fleet.Totals, err error) {
		err = o.execute(ctx, &clients)
		if clients != nil {
			t = clients.Totals()
		}
		return t, err
	})
}

// execute carries o out with the fleet, or with the one that it starts.
func (o *order) execute(ctx context.Context, clients **fleet.Fleet) (err error) {
	bounded, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	if o.Open != nil {
		if len(o.Open.Topics) == 0 { // not Tickcast's; nchan answers a subprotocol that it does not know with an empty one
			o.Open.Subprotocols = []string{} // here, since gob makes no difference between this and nil
		}
		if *clients, err = fleet.Start(ctx, *o.Open); err == nil {
			err = (*clients).WaitOpen(bounded)
		}
	}
	if err == nil && o.Subscribed {
		err = (*clients).WaitSubscribed(bounded)
	}
	if err == nil && o.Data > 0 {
		err = (*clients).WaitData(bounded, o.Data)
	}
	if err == nil && o.Close {
		err = (*clients).Close()
	}
	return err
}

// clientProcess is the clients' process as its parent sees it.
type clientProcess = fleet.Child[order, fleet.Totals]

// startClients starts the process, which has no clients yet.
func startClients() (*clientProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return fleet.StartChild[order, fleet.Totals](exec.Command(self, "fleet"))
}
