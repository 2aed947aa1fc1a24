package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"tickcast/loadtest/fleet"
)

// tickcastServer is Tickcast as it is shipped, with an event loop for each core and its NATS server inside the same
// process, whose port is the control port. Its messages are published through NATS, by a client of it, so the
// figures include the costs there. Heartbeats and pings are off. Trimming comes earlier than by default, to be over when
// memory is read. A topic without subscribers ends earlier too: otherwise clients would get the last message of earlier
// clients.
var tickcastServer = peer{
	name: "tickcast", language: "Go", version: thisTree, serve: serveTickcast, prepare: buildTickcast, dial: dialNATS,
	clients: func(cfg *fleet.Config) { cfg.Topics = []string{topic} },
}

// topic is the topic of clients that have to subscribe.
const topic = "px.AAPL"

// thisTree is the version of servers that are built from this repository.
func thisTree() string { return "this commit" }

// buildTickcast builds the server into dir unless it is there.
func buildTickcast(dir string) error {
	binary := filepath.Join(dir, "tickcast")
	if _, err := os.Stat(binary); err == nil {
		return nil
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "tickcast").Output()
	if err != nil {
		return fmt.Errorf("look for its source: %w", err)
	}
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/tickcast")
	cmd.Dir = strings.TrimSpace(string(root))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

func serveTickcast(_ context.Context, s site) error {
	return become(filepath.Join(s.dir, "tickcast"), nil,
		"GOMAXPROCS="+strconv.Itoa(s.cores),
		"TICKCAST_SERVER_LOOPS="+strconv.Itoa(s.cores),
		"TICKCAST_SERVER_LISTEN="+s.listen,
		"TICKCAST_SERVER_INTERNAL_LISTEN=",
		"TICKCAST_NATS_EMBEDDED_LISTEN="+s.control,
		"TICKCAST_CONNECTION_HEARTBEAT=1h",
		"TICKCAST_CONNECTION_PING_INTERVAL=1h",
		"TICKCAST_CONNECTION_IDLE_TIMEOUT=24h",
		"TICKCAST_RUNTIME_TRIM_AFTER=1s",
		"TICKCAST_NATS_LINGER=1s",
		"TICKCAST_LOG_LEVEL=warn",
	)
}

// natsPublisher publishes through NATS. It cannot see the server's clients, but their subscriptions are acknowledged.
type natsPublisher struct{ nc *nats.Conn }

func dialNATS(control string) (publisher, error) {
	nc, err := nats.Connect("nats://" + control)
	return natsPublisher{nc}, err
}

func (p natsPublisher) publish(message []byte) error    { return p.nc.Publish(topic, message) }
func (p natsPublisher) subscribers() (int, bool, error) { return 0, false, nil }
func (p natsPublisher) trim() error                     { return nil }
func (p natsPublisher) Close() error                    { p.nc.Close(); return nil }
