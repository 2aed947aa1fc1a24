package upstream

import (
	"maps"
	"reflect"
	"sync"

	"github.com/nats-io/nats.go"
)

// A subTable is the table of subscriptions inside a connection of nats.go. Go's maps keep their largest size, and that one would for
// as long as the connection lives: 17 to 34 bytes for each subscription that there ever was at the same time.
type subTable struct {
	mu   *sync.RWMutex // nats.go holds it whenever it uses subs
	subs *map[int64]*nats.Subscription
}

// tableOf returns the table of nc. It has no name outside of nats.go: with a version that has other fields the result is the zero value,
// and the table keeps its size.
func tableOf(nc *nats.Conn) (t subTable) {
	c := reflect.ValueOf(nc).Elem()
	mu, subs := c.FieldByName("subsMu"), c.FieldByName("subs")
	if !mu.IsValid() || !subs.IsValid() || mu.Type() != reflect.TypeFor[sync.RWMutex]() || subs.Type() != reflect.TypeFor[map[int64]*nats.Subscription]() {
		return t
	}
	return subTable{(*sync.RWMutex)(mu.Addr().UnsafePointer()), (*map[int64]*nats.Subscription)(subs.Addr().UnsafePointer())}
}

// shrink replaces the map by a copy of the size that it needs.
func (t subTable) shrink() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if *t.subs == nil { // the connection is closed
		return
	}
	small := make(map[int64]*nats.Subscription, len(*t.subs))
	maps.Copy(small, *t.subs)
	*t.subs = small
}
