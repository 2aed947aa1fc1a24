package eventloop

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/broadcast/auth"
	"tickcast/broadcast/auth/authtest"
	"tickcast/broadcast/wire"
	"tickcast/eventloop/admission"
)

// Thousands of clients with a token of their own each, and three sets of topics: at most 400 bytes for each, those of the shard
// included.
func TestMemoryOfTokens(t *testing.T) {
	const clients = 3_000
	p := authtest.Pairs(t)[0]
	v := auth.New(auth.Config{Keys: authtest.Keys(t, p)})
	e := &Engine{users: new(admission.Users)}
	l := &loop{engine: e, shard: broadcast.New(broadcast.Config{}).Shard(0)}
	conns := make([]conn, clients)
	for slot := range conns {
		l.shard.Join(uint32(slot), wire.CodecJSON, 0)
	}
	heap := func() (bytes int64) { // once it stands still: servers of earlier tests may be about to end
		still := 0
		eventually(t, "the heap stands still", func() bool {
			runtime.GC()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			now := int64(m.HeapAlloc)
			if still++; max(now-bytes, bytes-now) > 16<<10 {
				still = 0
			}
			bytes = now
			time.Sleep(10 * time.Millisecond)
			return still >= 3
		})
		return bytes
	}
	before := heap()
	for slot := range conns {
		token := p.Sign(t, "", claimed(map[string]any{"sub": fmt.Sprintf("user-%d", slot), "jti": fmt.Sprint(slot),
			"subscribe": []string{"px.>", fmt.Sprintf("news.%d.*", slot%3)}}))
		claims, err := v.Verify(token, time.Now())
		if err != nil || !l.admitUser(&conns[slot], claims) {
			t.Fatal(err)
		}
		l.shard.Grant(uint32(slot), claims.Grant)
	}
	each := float64(heap()-before) / clients
	t.Logf("%.0f bytes for each client", each)
	if each < 50 || each > 400 {
		t.Errorf("%.0f bytes for each client", each)
	}
	runtime.KeepAlive(conns)
	runtime.KeepAlive(l)
}
