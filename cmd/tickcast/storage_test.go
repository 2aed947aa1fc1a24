package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"
)

// underRace tells that the race detector is on.
var underRace bool

// smallDisk mounts a file system of some bytes.
func smallDisk(t *testing.T, size int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); errors.Is(err, syscall.EPERM) {
		t.Skip("no right to mount a small file system")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// The disk of the embedded JetStream is full for a while. Its topics are stale and the server is not ready. After that the
// stream stores messages again, without a restart.
func TestFullDiskOfTheEmbeddedJetStream(t *testing.T) {
	if underRace {
		t.Skip("nats-server's EnableJetStream writes a field that requests to JetStream read")
	}
	dir := smallDisk(t, 12<<20)
	s := startServer(t, fmt.Sprintf("[nats]\njetstream = true\n[nats.embedded]\nlisten = \"127.0.0.1:0\"\nstore_dir = %q\n"+
		"[[topic]]\nmatch = \"js.>\"\nmode = \"all\"\nsnapshot = \"jetstream\"\n", dir))
	nc := connect(t, s.nats)
	js, err := nc.JetStream(nats.MaxWait(patience))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.AddStream(&nats.StreamConfig{Name: "S", Subjects: []string{"js.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish("js.a", []byte(`"before"`)); err != nil {
		t.Fatal(err)
	}
	c := dial(t, s.stream+"?topics=js.a")
	holds := func(payload string) func(serverMessage) bool {
		return func(m serverMessage) bool { return m.Topic == "js.a" && string(m.Data) == payload }
	}
	c.until("the snapshot", holds(`"before"`))

	fill := filepath.Join(dir, "fill")
	if err := os.WriteFile(fill, make([]byte, 12<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	payload := bytes.Repeat([]byte("1"), 100_000)
	eventually(t, "the server is not ready", func() bool {
		nc.Publish("js.a", payload)
		status, body := s.get("/readyz")
		return status == 503 && bytes.Contains([]byte(body), []byte("cannot write"))
	})
	c.untilOp("stale")

	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	eventually(t, "messages are stored again", func() bool {
		_, err := js.Publish("js.a", []byte(`"after"`))
		return err == nil
	})
	c.until("the new message", holds(`"after"`))
	eventually(t, "the server is ready", func() bool { status, _ := s.get("/readyz"); return status == 200 })
}
