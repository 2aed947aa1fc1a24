package broadcast

import "testing"

// Lists of subscriptions hold little room that is not used, however they came to their length.
func TestSubscriptionsTakeLittleRoom(t *testing.T) {
	const topics, most = 100, 100 + 100/8 + 8 // what the allocator rounds up is room as well
	all := numbered("px.T", 0, topics)
	commands := map[string][][]string{"one command": {all}, "many commands": nil}
	for _, name := range all {
		commands["many commands"] = append(commands["many commands"], []string{name})
	}
	for name, list := range commands {
		t.Run(name, func(t *testing.T) {
			s := NewHub(openConfig()).Shard(0)
			newRecorder(s)
			s.Join(0, CodecJSON, 0)
			for _, names := range list {
				s.Subscribe(0, names, "", "")
			}
			sub := s.subs.at(0)
			if sub.n != topics || cap(*sub.more) > most {
				t.Errorf("%d topics have room for %d", sub.n, cap(*sub.more))
			}
			checkShard(t, s)
			for _, name := range all[10:] {
				s.unsubscribe(0, sub, name)
			}
			if sub.n != 10 || cap(*sub.more) > 20 {
				t.Errorf("%d topics have room for %d", sub.n, cap(*sub.more))
			}
			checkShard(t, s)
			for _, name := range all[1:10] {
				s.unsubscribe(0, sub, name)
			}
			if sub.more != nil {
				t.Error("one topic has a list")
			}
		})
	}
}

// Of a command's topics some may be refused: what was expected for them is given back.
func TestRefusedTopicsTakeNoRoom(t *testing.T) {
	s := NewHub(Config{Subscribe: []string{"px.>"}}).Shard(0)
	newRecorder(s)
	s.Join(0, CodecJSON, 0)
	s.Subscribe(0, append(numbered("q.T", 0, 500), "px.A"), "", "")
	if sub := s.subs.at(0); sub.n != 1 || sub.more != nil {
		t.Errorf("%d topic, and a list: %v", sub.n, sub.more != nil)
	}
	s.Join(1, CodecJSON, 0)
	s.Subscribe(1, append(numbered("q.T", 0, 500), "px.A", "px.B", "px.C"), "", "")
	if sub := s.subs.at(1); sub.n != 3 || cap(*sub.more) > 16 {
		t.Errorf("%d topics have room for %d", sub.n, cap(*sub.more))
	}
	checkShard(t, s)
}
