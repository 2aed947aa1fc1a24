package upstream

import (
	"os"
	"sync"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/broadcast/wire"
	"tickcast/broadcast/wire/wiretest"
	"tickcast/wsproto"
)

// told is any message of the server.
type told = wiretest.Told

func TestMain(m *testing.M) {
	broadcast.CheckOwners(true)
	os.Exit(m.Run())
}

// openConfig lets clients subscribe to everything.
func openConfig() broadcast.Config { return broadcast.Config{Subscribe: []string{">"}, Node: "test"} }

// patience bounds every wait for an event: far more than it takes, far less than a test run may.
const patience = 60 * time.Second

// A testLoop is a shard with a goroutine as its loop. It keeps the messages to the clients.
type testLoop struct {
	shard *broadcast.Shard
	tasks chan func()
	stop  chan struct{}

	mu      sync.Mutex
	got     map[uint32][]told
	changed chan struct{} // capacity 1
}

func startLoop(t *testing.T, s *broadcast.Shard) *testLoop {
	l := &testLoop{
		shard: s, tasks: make(chan func(), 64), stop: make(chan struct{}),
		got: make(map[uint32][]told), changed: make(chan struct{}, 1),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case task := <-l.tasks:
				task()
			case <-l.stop:
				return
			}
		}
	}()
	l.do(func() { s.Attach(l, func() { go l.post(l.drain) }) })
	t.Cleanup(func() {
		close(l.stop)
		<-ended
	})
	return l
}

// post queues a task unless the loop has ended: a wake may come late.
func (l *testLoop) post(task func()) {
	select {
	case l.tasks <- task:
	case <-l.stop:
	}
}

func (l *testLoop) drain() {
	if l.shard.Drain(100 * time.Microsecond) {
		go l.post(l.drain)
	}
}

// do runs f on the loop and waits for it.
func (l *testLoop) do(f func()) {
	done := make(chan struct{})
	l.tasks <- func() { defer close(done); f() }
	<-done
}

// join adds a client that holds topics.
func (l *testLoop) join(slot uint32, topics ...string) {
	l.do(func() {
		for _, f := range l.shard.Join(slot, wire.CodecJSON, 0) {
			l.Write(slot, f, 1)
		}
		if len(topics) > 0 {
			l.shard.Subscribe(slot, topics, "", "")
		}
	})
}

func (l *testLoop) Write(slot uint32, frames []byte, _ int) (int, bool) {
	for _, frame := range wiretest.SplitFrames(frames) {
		m, err := wiretest.ParseTold(frame)
		if err != nil {
			m = told{Op: "bad frame: " + err.Error()}
		}
		l.tell(slot, m)
	}
	return len(frames), true
}

func (l *testLoop) Close(slot uint32, code wsproto.StatusCode, reason string) {
	l.tell(slot, told{Op: "close", Code: wire.ErrorCode(code), Msg: reason})
	l.shard.Leave(slot)
}

func (l *testLoop) tell(slot uint32, m told) {
	l.mu.Lock()
	l.got[slot] = append(l.got[slot], m)
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// await waits until done is true for a message to slot, and returns all messages to slot up to that one. Its patience is with a slot
// that is told nothing: thousands of messages may take a slow machine longer.
func (l *testLoop) await(t *testing.T, slot uint32, what string, done func(told) bool) (list []told) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	begin := time.Now()
	for seen := 0; ; { // others than the test take nothing out
		l.mu.Lock()
		got := l.got[slot]
		if len(got) > seen && time.Since(begin) < 4*patience {
			timeout.Reset(patience)
		}
		for ; seen < len(got) && list == nil; seen++ {
			if done(got[seen]) {
				list, l.got[slot] = got[:seen+1], got[seen+1:]
			}
		}
		l.mu.Unlock()
		if list != nil {
			return list
		}
		select {
		case <-l.changed:
		case <-timeout.C:
			t.Fatalf("slot %d was not told %s, but %d other things", slot, what, len(got))
		}
	}
}

// awaitOp waits for a control message.
func (l *testLoop) awaitOp(t *testing.T, slot uint32, op string) []told {
	t.Helper()
	return l.await(t, slot, op, func(m told) bool { return m.Op == op })
}

// awaitData waits for an update of topic with this payload.
func (l *testLoop) awaitData(t *testing.T, slot uint32, topic, payload string) []told {
	t.Helper()
	return l.await(t, slot, topic+" "+payload, func(m told) bool { return m.T == topic && string(m.D) == payload })
}
