package topics

import "fmt"

// Quotes returns the number of updates of topics of ModeLast that wait, for tests. Any goroutine may call it.
func (b *Mailbox) Quotes() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.queue {
		if m.Kind == KindData && m.Topic.Class.Mode == ModeLast {
			n++
		}
	}
	return n
}

// Check holds the tables of the hub together, for tests: it returns the first contradiction. holds reports whether a shard holds
// a topic or pattern of that name. No other goroutine may use the shards meanwhile.
func (h *Hub) Check(holds func(shard int, name string) bool) error {
	h.mu.Lock()
	defer h.unlock()
	byID := make(map[uint32]string)
	for _, id := range h.free {
		if int(id) < len(h.byID) {
			byID[id] = "no topic"
		}
	}
	if len(h.topics) != h.tree.Len() || len(h.byID)-len(byID) != len(h.topics) {
		return fmt.Errorf("%d topics, %d in the tree, %d by id", len(h.topics), h.tree.Len(), len(h.byID)-len(byID))
	}
	for name, t := range h.topics {
		if other, taken := byID[t.ID]; taken || h.byID[t.ID] != t || t.Ended() {
			return fmt.Errorf("topic %q has the id of %q, or one of %d, or ended", name, other, len(h.byID))
		}
		byID[t.ID] = name
	}
	for name, i := range h.interests {
		wanted := 0
		for n, w := range i.shards {
			if has := holds(n, name); w != has {
				return fmt.Errorf("interest %q: shard %d wants it: %v, holds it: %v", name, n, w, has)
			}
			if w {
				wanted++
			}
		}
		if c := h.classes.over(name); c != nil && c.Always && c.Match == name {
			wanted++
		}
		if wanted != i.wanted {
			return fmt.Errorf("interest %q is wanted by %d, counted as %d", name, wanted, i.wanted)
		}
	}
	for t, s := range h.seams {
		if s.feed.seams[t] != s {
			return fmt.Errorf("the seam of topic %q is not that of its feed", t.Name)
		}
	}
	return nil
}
