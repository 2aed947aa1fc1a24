package loadtest

import (
	"context"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestRunHolds(t *testing.T) {
	url := serveWS(t, func(ctx context.Context, c *websocket.Conn) {
		wantSubscribe(t, ctx, c)
		c.Write(ctx, websocket.MessageText, []byte(ackMessage))
		<-c.CloseRead(ctx).Done()
	})
	run, err := NewRun(testContext(t), Plan{
		Fleet:     FleetConfig{URL: url, Conns: 50, Topics: []string{"px.A"}},
		Processes: 3, Hold: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	var shown int
	r, err := run.Do(testContext(t), func(Progress) { shown++ })
	if err != nil {
		t.Fatal(err)
	}
	if !r.Clean || r.Connections.Opened != 50 || r.Connections.Subscribed != 50 || r.Connections.Lost != 0 || shown == 0 {
		t.Errorf("%d shown, report %+v", shown, r)
	}
}
