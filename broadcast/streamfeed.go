package broadcast

// A streamFeed reads the JetStream stream behind a class.
type streamFeed struct {
	feed feed
}

func newStreamFeed(h *Hub, c *class) *streamFeed { return nil }

type load struct{}

type parked struct{}

func (s *streamFeed) begin()                            {}
func (s *streamFeed) end()                              {}
func (s *streamFeed) load(t *topic)                     {}
func (s *streamFeed) loadPattern(i *interest)           {}
func (s *streamFeed) epochNow() string                  { return "" }
func (s *Shard) retryParked()                           {}
func (s *Shard) unpark(slot uint32)                     {}
func (s *Shard) park(slot uint32, a *subscription) bool { return false }
