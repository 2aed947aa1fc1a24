package topics

import (
	"context"
	"crypto/rand"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// New returns a hub. It delivers the messages that are given to Publish; Run connects it to upstream.
func New(cfg Config) *Hub {
	setDefault := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	setDefault(&cfg.Shards, 1)
	setDefault(&cfg.MaxTopics, 1_000_000)
	cfg.MaxTopics = min(cfg.MaxTopics, MaxTopicID)
	setDefault(&cfg.MaxTopicLength, 255)
	setDefault(&cfg.MaxTopicTokens, 16)
	setDefault(&cfg.MailboxMessages, 16384)
	setDefault(&cfg.MailboxBytes, 16<<20)
	setDefault(&cfg.ConflateAbove, min(512, cfg.MailboxMessages))
	setDefault(&cfg.HistoryBytes, 256<<20)
	setDefault(&cfg.DelayBytes, 256<<20)
	setDefault(&cfg.NewestBytes, 512<<20)
	setDefault(&cfg.PayloadDepth, 64)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = systemClock{time.Now()}
	}
	if cfg.Epoch == nil {
		cfg.Epoch = func() string { return rand.Text()[:8] }
	}
	h := &Hub{log: cfg.Log}
	h.registry = registry{
		cfg: cfg, clock: cfg.Clock,
		kick:       make(chan struct{}, 1),
		topicTable: topicTable{topics: make(map[string]*Topic)},
		interests:  make(map[string]*interest),
		feeds:      make(map[string]*feed),
		seams:      make(map[*Topic]*seam),
		orphans:    make(map[string]*Topic),
		torn:       make(map[*Topic]tear),
		heirs:      make(map[*Topic]heirs),
		patternAt:  1,
		feedAt:     1,
		history:    histories{maxBytes: cfg.HistoryBytes},
		newest:     newestList{maxBytes: cfg.NewestBytes},
		delays:     delays{maxBytes: cfg.DelayBytes, changed: make(chan struct{}, 1)},
	}
	for range cfg.Shards {
		h.boxes = append(h.boxes, &Mailbox{maxMessages: cfg.MailboxMessages, maxBytes: cfg.MailboxBytes, conflateAbove: cfg.ConflateAbove})
	}
	h.NewEpoch()
	h.addClasses(cfg.Classes)
	return h
}

func (h *Hub) addClasses(list []Class) {
	h.classes, h.rates = newClasses(list, h.cfg.PayloadDepth)
	n := len(h.classes)
	h.streams, h.silent, h.delays.queues = make([]*streamState, n), make([]*silenceList, n), make([]*delayQueue, n)
	h.readers = make([]*streamReader, n)
	for i, c := range h.classes {
		c.cursor = func(at Position) string { return h.Cursor(c, at) }
		if c.mapped {
			h.mapped = append(h.mapped, c)
		}
		if c.StaleAfter > 0 {
			h.silent[i] = new(silenceList)
		}
		if c.Delay > 0 {
			h.delays.queues[i] = new(delayQueue)
		}
		if c.Streamed() {
			h.streams[i] = &streamState{feed: feed{subject: c.subjects(), class: c}, kick: make(chan struct{}, 1)}
			h.readers[i] = &streamReader{streamState: h.streams[i], hub: h, class: c}
		}
	}
	for _, c := range h.classes {
		if c.Always {
			h.pin(c)
		}
	}
}

// pin keeps the topics of a class wanted for good. It is called before there is any other interest.
func (h *Hub) pin(c *Class) {
	h.mu.Lock()
	defer h.unlock()
	if i, err := h.interestIn(c.Match); err == nil { // classes are fewer than topics may be
		h.want(i)
	}
}

// Run asks upstream for the wishes of the shards until ctx is done. It is called once.
func (h *Hub) Run(ctx context.Context, up Upstream) {
	h.mu.Lock()
	h.upstream = up
	h.unlock()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() { h.watchSilence(ctx.Done()) })
	tasks.Go(func() { h.watchDelays(ctx.Done()) })
	h.watchWishes(ctx, up)
	for _, s := range h.readers {
		if s != nil {
			s.end()
		}
	}
}

// watchDelays delivers delayed messages when they are due, until done is closed.
func (h *Hub) watchDelays(done <-chan struct{}) {
	if !slices.ContainsFunc(h.classes, func(c *Class) bool { return c.Delay > 0 }) {
		return
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := h.now()
		wait := time.Hour
		if next := h.mature(now); next > 0 {
			wait = max(time.Duration(next-now), 0)
		}
		timer.Reset(wait)
		select {
		case <-done:
			return
		case <-h.delays.changed:
		case <-timer.C:
		}
	}
}

// watchSilence calls silent topics stale until done is closed.
func (h *Hub) watchSilence(done <-chan struct{}) {
	shortest := time.Duration(0)
	for _, c := range h.classes {
		if c.StaleAfter > 0 && (shortest == 0 || c.StaleAfter < shortest) {
			shortest = c.StaleAfter
		}
	}
	if shortest == 0 {
		return
	}
	// A topic that is new meanwhile is silent no sooner than after the shortest time.
	timer := time.NewTimer(shortest)
	defer timer.Stop()
	for {
		select {
		case <-done:
			return
		case <-timer.C:
		}
		now := h.now()
		wait := shortest
		if next := h.silence(now); next > 0 {
			wait = min(wait, time.Duration(next-now))
		}
		timer.Reset(max(wait, time.Millisecond))
	}
}
