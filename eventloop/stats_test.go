package eventloop

import (
	"io"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

func TestStatsCountEveryByte(t *testing.T) {
	clearTextOnly(t)
	s := start(t)
	sent := get("/") + get("/nothing") + request("topics=a") +
		masked(wsproto.OpText, `{"op":"ping"}`) + masked(wsproto.OpPing, "x") + masked(wsproto.OpPong, "y") + closeFrame(1000, "")
	c := s.dial()
	c.send(sent)
	received, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	s.closedWith(1000)
	st := s.stats()
	if st.BytesReceived != uint64(len(sent)) || st.BytesSent != uint64(len(received)) {
		t.Errorf("%d bytes in, %d out; want %d and %d", st.BytesReceived, st.BytesSent, len(sent), len(received))
	}
	for _, row := range []struct {
		name      string
		got, want uint64
	}{
		{"accepted", st.Accepted, 1},
		{"opened", st.Opened, 1},
		{"requests", st.HTTPRequests, 3},
		{"messages", st.MessagesReceived, 1},
		{"frames", st.FramesSent, 5}, // greeting, two acks, pong, close
	} {
		if row.got != row.want {
			t.Errorf("%s: %d, want %d", row.name, row.got, row.want)
		}
	}
	for reason, n := range st.Rejected {
		if want := map[string]uint64{"not_found": 1}[reason]; n != want {
			t.Errorf("%d rejections for %s, want %d", n, reason, want)
		}
	}
}

// Lag grows while the loop stands still, not only afterwards.
func TestLagOfALoopThatStandsStill(t *testing.T) {
	s := start(t, func(c *Config, _ *broadcast.Config) { c.Loops = 1 })
	if lag := s.engine.Lag(); lag != 0 {
		t.Errorf("%v without a loop", lag)
	}
	s.open("")
	const still = 200 * time.Millisecond
	s.onLoops(func(*loop) {
		eventually(t, "the lag grows", func() bool { return s.engine.Lag() > still })
		if st := s.engine.Stats(); len(st.LoopLag) != 1 || st.LoopLag[0] < still.Seconds() {
			t.Errorf("%v", st.LoopLag)
		}
	})
	eventually(t, "the lag is over", func() bool { return s.engine.Lag() < still })
}

func TestNewChecksTheLimitOfOpenFiles(t *testing.T) {
	_, err := New(Config{Loops: 1, MaxConnections: 2 << 30}, broadcast.New(broadcast.Config{}))
	if err == nil || !strings.HasPrefix(err.Error(), "eventloop: max_connections 2147483648 needs a limit of open files of ") {
		t.Error(err)
	}
}
