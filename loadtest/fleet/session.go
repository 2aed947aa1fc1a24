package fleet

import (
	"sync"

	"tickcast/eventloop/tlsrecord"
)

// pokes are the clients whose TLS handshakes need their worker's attention. Any goroutine.
type pokes struct {
	mu    sync.Mutex
	slots []int32
}

func (p *pokes) add(slot int32) {
	p.mu.Lock()
	p.slots = append(p.slots, slot)
	p.mu.Unlock()
}

func (p *pokes) takeAll() []int32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	slots := p.slots
	p.slots = nil
	return slots
}

// A secured is the state of a worker for wss targets.
type secured struct {
	sessions   map[int32]tlsrecord.Session // a *tlsrecord.Handshake until the session begins
	handshakes *tlsrecord.Pool
	pokes      pokes
	sealed     []byte // scratch of encrypt
}

// newSecured returns the state for a number of clients. One handshake computes at a time: each worker has a CPU.
func newSecured(clients int) *secured {
	return &secured{sessions: map[int32]tlsrecord.Session{}, handshakes: tlsrecord.NewPool(1, max(clients, 1), true)}
}

// end forgets the session of a client.
func (s *secured) end(slot int32) {
	if h, ok := s.sessions[slot].(*tlsrecord.Handshake); ok {
		h.Abort()
	}
	delete(s.sessions, slot)
}
