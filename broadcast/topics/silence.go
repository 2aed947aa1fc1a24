package topics

import "container/list"

// A silenceList holds the topics of a class that may fall silent, the longest silent one first. Guarded by Hub.mu.
type silenceList struct{ order list.List } // of *heardTopic

// A heardTopic is a topic and the time of its last message, by the hub's clock.
type heardTopic struct {
	topic *Topic
	at    int64
}

// touch moves t to the end: it was heard now.
func (l *silenceList) touch(t *Topic, now int64) {
	if t.heard == nil {
		t.heard = l.order.PushBack(&heardTopic{t, now})
		return
	}
	t.heard.Value.(*heardTopic).at = now
	l.order.MoveToBack(t.heard)
}

// remove takes t out, if it is there.
func (l *silenceList) remove(t *Topic) {
	if t.heard != nil {
		l.order.Remove(t.heard)
		t.heard = nil
	}
}

// first returns the topic that has been silent the longest, and since when; nil if the list is empty.
func (l *silenceList) first() (t *Topic, heard int64) {
	e := l.order.Front()
	if e == nil {
		return nil, 0
	}
	h := e.Value.(*heardTopic)
	return h.topic, h.at
}
