package wire

import "encoding/json"

// PageBytes is about the size of a page of an ack. Chosen by us: an answer must not be a burden of its own.
const PageBytes = 16 << 10

// size returns the approximate bytes of t in a frame.
func (t *AckTopic) size() int { return len(t.Topic) + len(t.Mode) + len(t.Rate) + len(t.Cursor) + 64 }

// size returns the approximate bytes of e in a frame.
func (e *AckError) size() int { return len(e.Topic) + len(e.Msg) + 48 }

// cut removes a first page from a and returns it. The rest may be empty.
func (a *Ack) cut() (page Ack) {
	n, bytes := 0, 0
	for ; n < len(a.Topics) && bytes < PageBytes; n++ {
		bytes += a.Topics[n].size()
	}
	page.Topics, a.Topics = a.Topics[:n], a.Topics[n:]
	n = 0
	for ; n < len(a.Errors) && bytes < PageBytes; n++ {
		bytes += a.Errors[n].size()
	}
	page.Errors, a.Errors = a.Errors[:n], a.Errors[n:]
	return page
}

// Frames returns the frames ack: one, or pages with "more" true in all but the last. a must not be used after that.
func (a *Ack) Frames(id json.RawMessage) (frames [][]byte) {
	for {
		page := a.cut()
		if len(a.Topics)+len(a.Errors) == 0 {
			return append(frames, page.frame(id, false))
		}
		frames = append(frames, page.frame(id, true))
	}
}

// A Page gathers the topics of an ack until it is full.
type Page struct {
	ack   Ack
	bytes int
}

// Add adds a topic and reports whether the page is full.
func (p *Page) Add(t AckTopic) (full bool) {
	p.ack.Topics = append(p.ack.Topics, t)
	p.bytes += t.size()
	return p.bytes >= PageBytes
}

// Fail adds a topic with err as [ErrorOf] returns it, and reports whether the page is full.
func (p *Page) Fail(topic string, err error) (full bool) {
	p.ack.Fail(topic, err)
	p.bytes += p.ack.Errors[len(p.ack.Errors)-1].size()
	return p.bytes >= PageBytes
}

// Frame returns the frame of the page. more reports whether another page follows. An empty page has an empty list of topics.
func (p *Page) Frame(id json.RawMessage, more bool) []byte {
	if p.ack.Topics == nil && p.ack.Errors == nil {
		p.ack.Topics = []AckTopic{}
	}
	return p.ack.frame(id, more)
}
