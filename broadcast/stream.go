package broadcast

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A stream is one JetStream stream, which is read and never written. All methods are safe for any goroutine.
type stream struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	log     *slog.Logger
	name    string
	created time.Time
	state   atomic.Pointer[jetstream.StreamInfo] // as of the last time somebody asked
}

// A streamMessage is one message of a stream.
type streamMessage struct {
	subject string
	data    []byte
	seq     uint64    // in the stream: rising, seldom without holes for one subject
	time    time.Time // when the stream took it
}

// A streamSink takes what follow reads. All of it is called by the goroutine that called follow, which reads no further
// until the call is over.
type streamSink interface {
	// ready is called once, before all else: every message after the sequence after will be handed on. The stream's newest
	// message is last: up to there it is history.
	ready(after, last uint64)

	// message is called for each message, in the order of the stream, and never twice for one sequence.
	message(m streamMessage)

	// gap says that of the messages between after and before (both exclusive) some may have been removed from the stream
	// before they could be read. Those of them that are left still follow as messages.
	gap(after, before uint64)

	// current says whether messages are sure to arrive right now. It is called when that changes; at first it is not so.
	current(ok bool)
}

// A streamStart says where follow begins.
type streamStart struct {
	from           uint64 // the first sequence; 0 = only what comes from now on
	lastPerSubject bool   // first the newest message of each subject, then what comes from now on; from means nothing
}

var (
	errNoStream      = errors.New("broadcast: no jetstream stream holds the subject")
	errStreamChanged = errors.New("broadcast: the jetstream stream was deleted and made anew, or has lost its newest messages")

	errStreamShorter = errors.New("the stream ends before what was read of it")
	errStreamSilent  = errors.New("the consumer does not deliver what the stream has")
	errMessageMissed = errors.New("a message was lost between the consumer and here")
	errNoDirectGet   = errors.New("the stream does not allow direct get")
	errTooManyLast   = errors.New("too many subjects for direct get")
)

const (
	streamRequest   = 2 * time.Second        // how long one request to JetStream may take
	streamHeartbeat = time.Second            // a consumer is taken for dead after two of them
	streamIdle      = 3 * time.Second        // without messages: ask the stream itself whether that can be
	streamRetry     = 100 * time.Millisecond // between attempts to get a consumer
	streamBridge    = 200 * time.Millisecond // between looks at the stream while there is no consumer
	consumerExpires = 10 * time.Second       // the server removes a consumer that nobody reads
	streamPrefetch  = 1024                   // messages on their way from the server
	streamPageBytes = 8 << 20                // of one answer of direct get
	fetchedAtOnce   = 512                    // messages of one request to the consumer in the place of direct get
	shorterAttempts = 10                     // a server may lag behind another for a moment, not for so many attempts
)

// openStream finds the stream that holds all messages of subject, which may be a pattern. It fails with errNoStream if
// there is none: one that holds only part of the pattern would leave holes that nobody sees.
func openStream(ctx context.Context, nc *nats.Conn, subject string, log *slog.Logger) (*stream, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("broadcast: open stream: %w", err)
	}
	names := js.StreamNames(ctx, jetstream.WithStreamListSubject(subject)) // those that overlap with it
	for name := range names.Name() {
		s := &stream{nc: nc, js: js, log: log, name: name}
		info, err := s.info(ctx)
		if errors.Is(err, errNoStream) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if coveredBy(info.Config.Subjects, subject) {
			s.created = info.Created
			s.warn(info.Config)
			return s, nil
		}
		log.Warn("the stream holds only part of the subject", "stream", name, "has", info.Config.Subjects, "wanted", subject)
	}
	if err := names.Err(); err != nil {
		return nil, fmt.Errorf("broadcast: open stream: %w", err)
	}
	return nil, fmt.Errorf("%w %q", errNoStream, subject)
}

// warn tells of settings that make cursors unreliable or slow.
func (s *stream) warn(c jetstream.StreamConfig) {
	if c.Storage == jetstream.MemoryStorage && c.Replicas <= 1 {
		s.log.Warn("the stream starts again from 1 when its server restarts, and nothing shows it", "stream", s.name)
	}
	if !c.AllowDirect {
		s.log.Info("the stream does not allow direct get, its leader is asked for each message", "stream", s.name)
	}
}

// epoch is the same on every node of the cluster and after restarts, and another one for another stream, even of the same
// name: 8 characters A-Z, 2-7.
func (s *stream) epoch() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", s.name, s.created.UnixNano()))
	return base32.StdEncoding.EncodeToString(sum[:5])
}

// info asks the leader of the stream. An answer of another stream of the same name is errStreamChanged.
func (s *stream) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, streamRequest)
	defer cancel()
	found, err := s.js.Stream(ctx, s.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("%w any more: %s", errNoStream, s.name)
	}
	if err != nil {
		return nil, fmt.Errorf("broadcast: ask for stream %s: %w", s.name, err)
	}
	info := found.CachedInfo()
	if !s.created.IsZero() && !info.Created.Equal(s.created) {
		return nil, fmt.Errorf("%w: %s", errStreamChanged, s.name)
	}
	s.state.Store(info)
	return info, nil
}

// unbroken reports whether info shows that no message after the sequence after was removed. left is at least the number of
// messages of any one subject in question that the stream still has after it.
//
// The limits of a stream (age, number, bytes) remove the oldest messages of all, which raises the first sequence. The limit
// per subject removes the oldest of a subject and leaves holes; but as long as a subject has fewer messages than the
// limit, it has lost none. What was removed by hand (deleted messages, purged subjects) is taken as never published, since
// NATS does not say what it was. A stream whose messages end in other ways (acknowledged, by a lifetime of their own,
// replaced by a rollup) shows to be unbroken only if it has no holes at all.
func unbroken(info *jetstream.StreamInfo, after, left uint64) bool {
	c, fromFront := info.Config, info.State.FirstSeq > after+1
	switch {
	case !fromFront && info.State.NumDeleted == 0:
		return true
	case c.Retention != jetstream.LimitsPolicy || c.AllowMsgTTL || c.AllowRollup:
		return false
	case c.MaxMsgsPerSubject > 0 && left >= uint64(c.MaxMsgsPerSubject):
		return false
	}
	perSubjectOnly := c.MaxMsgsPerSubject > 0 && c.MaxAge == 0 && c.MaxMsgs <= 0 && c.MaxBytes <= 0
	return !fromFront || perSubjectOnly && left > 0 // nothing left at all: it was purged
}

// follow reads the messages whose subject matches filter, each once and in order, until ctx is done; then it returns nil.
// It gets over the loss of connections, servers, leaders and consumers by itself. It ends with errNoStream or
// errStreamChanged when what follows is not the same stream any more, and with errNATSClosed.
//
// It reads through a consumer of its own: one replica in memory, without acknowledgements. Whatever is odd about that (a
// sequence of the consumer is missing, no heartbeat, the connection was lost) ends it, and another one begins after the
// last message that was handed on. This is what nats.go's ordered consumer does too, but that one tells nobody what it
// cannot know, may wait for 10 s before it tries again, and does not ask whether it is the same stream and whole. A consumer
// is made by the leader of the cluster; while there is none, a stream that is followed as a whole is read by direct get.
//
// If filter covers all subjects of the stream, gap is exact: sequences have no holes then unless messages were removed. For
// part of a stream it can only be judged when a consumer begins, not while follow is slower than the stream's limits.
func (s *stream) follow(ctx context.Context, filter string, at streamStart, to streamSink) error {
	r := &streamReader{stream: s, to: to, filter: filter, newest: at.lastPerSubject}
	if at.from > 0 {
		r.last, r.placed = at.from-1, true
	}
	for {
		err := r.read(ctx)
		r.tell(false)
		switch {
		case ctx.Err() != nil:
			return nil
		case s.nc.IsClosed():
			return errNATSClosed
		case errors.Is(err, errStreamShorter) && r.shorter >= shorterAttempts:
			return fmt.Errorf("%w: %s", errStreamChanged, s.name)
		case errors.Is(err, errNoStream) || errors.Is(err, errStreamChanged):
			return err
		}
		r.logFailure(err)
		select {
		case <-ctx.Done():
		case <-time.After(streamRetry):
		}
	}
}

// A streamReader is one call of follow. It belongs to its goroutine.
type streamReader struct {
	stream *stream
	to     streamSink
	filter string

	last   uint64 // all up to this sequence was handed on, or announced as gap
	placed bool   // last has its first value

	newest    bool   // the newest message of each subject is still being read
	newestEnd uint64 // which ends with this sequence at the latest

	began   bool // ready was called
	ok      bool // what current was told last
	whole   bool // filter covers all the stream has
	shorter int  // attempts in a row that found the stream to end before last
	told    string
}

func (r *streamReader) tell(ok bool) {
	if r.ok != ok {
		r.ok = ok
		r.to.current(ok)
	}
}

// logFailure is loud once for each reason.
func (r *streamReader) logFailure(err error) {
	level := slog.LevelWarn
	if r.told == err.Error() {
		level = slog.LevelDebug
	}
	r.told = err.Error()
	r.stream.log.Log(context.Background(), level, "reading the stream is interrupted, trying on",
		"stream", r.stream.name, "after", r.last, "err", err)
}

// read makes a consumer and reads it until something is wrong, which it returns.
func (r *streamReader) read(ctx context.Context) error {
	ctx, release, err := whileConnected(ctx, r.stream.nc)
	if err != nil {
		return err
	}
	defer release()
	if err := r.place(ctx); err != nil {
		return err
	}
	consumer, info, err := r.prepare(ctx)
	if err != nil {
		return err
	}
	defer r.stream.forget(consumer)
	messages, err := consumer.Messages(jetstream.PullMaxMessages(streamPrefetch), jetstream.PullHeartbeat(streamHeartbeat),
		jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return fmt.Errorf("broadcast: read stream: %w", err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	if err := r.begin(info, consumer.CachedInfo()); err != nil {
		return err
	}
	return r.pump(ctx, messages)
}

// whileConnected returns a context that ends when the connection is lost: what the old server still had for us is lost too.
func whileConnected(ctx context.Context, nc *nats.Conn) (context.Context, func(), error) {
	lost := nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	if !nc.IsConnected() { // after StatusChanged: a loss from here on is told
		nc.RemoveStatusListener(lost)
		return nil, nil, errUpstreamAway
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() { // until release
		<-lost
		cancel(errUpstreamAway)
	}()
	return ctx, func() { nc.RemoveStatusListener(lost) }, nil // which closes lost
}

// place fixes what "from now on" means, before the first consumer: later ones must not skip what came in between.
func (r *streamReader) place(ctx context.Context) error {
	if r.placed || r.newest {
		return nil
	}
	info, err := r.stream.info(ctx)
	if err != nil {
		return err
	}
	r.last, r.placed = info.State.LastSeq, true
	return nil
}

// prepare makes a consumer and asks for the stream after that. It takes leaders, of the cluster and of the stream, and these
// may be elected for seconds. In the meantime it reads from whatever copy of the stream there is.
func (r *streamReader) prepare(ctx context.Context) (consumer jetstream.Consumer, info *jetstream.StreamInfo, err error) {
	config := readOnce(r.filter)
	config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, r.last+1
	if r.newest {
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverLastPerSubjectPolicy, 0
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		consumer, info, err = r.stream.consume(ctx, config)
	}()
	pause := time.NewTicker(streamBridge)
	defer pause.Stop()
	for {
		select {
		case <-done:
			return consumer, info, err
		case <-pause.C:
			if r.bridge(ctx) {
				pause.Reset(1) // there is more
			} else {
				pause.Reset(streamBridge)
			}
		}
	}
}

// bridge hands on some of what there is beyond the last message, without a consumer. It reads a whole stream only, where
// the sequences show whether something was removed, and only one that was read before.
func (r *streamReader) bridge(ctx context.Context) (more bool) {
	if !r.whole || r.newest || !r.stream.state.Load().Config.AllowDirect {
		return false
	}
	msgs, _, err := r.stream.directFrom(ctx, r.filter, r.last+1, fetchedAtOnce)
	if err != nil {
		r.stream.log.Debug("no copy of the stream answers", "stream", r.stream.name, "err", err)
		return false
	}
	for _, m := range msgs {
		r.skip(m.seq)
		r.last = m.seq
		r.to.message(m)
	}
	return len(msgs) == fetchedAtOnce
}

// consume makes a consumer and asks for the stream once it exists.
func (s *stream) consume(ctx context.Context, config jetstream.ConsumerConfig) (jetstream.Consumer, *jetstream.StreamInfo, error) {
	once, cancel := context.WithTimeout(ctx, streamRequest)
	defer cancel()
	consumer, err := s.js.CreateConsumer(once, s.name, config)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil, fmt.Errorf("%w any more: %s", errNoStream, s.name)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("broadcast: make consumer: %w", err)
	}
	info, err := s.info(ctx)
	if err != nil {
		s.forget(consumer)
		return nil, nil, err
	}
	return consumer, info, nil
}

// readOnce is a consumer that leaves nothing behind: made anew rather than kept alive.
func readOnce(filter string) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		FilterSubject: filter, AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1,
		InactiveThreshold: consumerExpires,
	}
}

// forget removes a consumer without waiting for it. If that fails it expires.
func (s *stream) forget(consumer jetstream.Consumer) {
	if !s.nc.IsConnected() {
		return
	}
	subject := "$JS.API.CONSUMER.DELETE." + s.name + "." + consumer.CachedInfo().Name
	if err := s.nc.PublishRequest(subject, s.nc.NewInbox(), nil); err != nil {
		s.log.Debug("a consumer is left to expire", "stream", s.name, "err", err)
	}
}

// begin looks at the stream as it is once the consumer exists: has it all that is to be read?
func (r *streamReader) begin(info *jetstream.StreamInfo, consumer *jetstream.ConsumerInfo) error {
	if info.State.LastSeq < r.last && r.placed {
		r.shorter++
		return errStreamShorter
	}
	r.shorter = 0
	r.whole = holdsAll(r.filter, info.Config)
	r.ready(info.State.LastSeq)
	switch {
	case r.newest:
		r.beginNewest(info.State, consumer.NumPending)
	case r.whole:
		r.skip(info.State.FirstSeq)
	case r.last < info.State.LastSeq && !unbroken(info, r.last, consumer.NumPending):
		r.to.gap(r.last, info.State.LastSeq+1)
	}
	r.tell(true)
	r.told = ""
	return nil
}

// holdsAll reports whether every message that a stream with config c can have matches filter.
func holdsAll(filter string, c jetstream.StreamConfig) bool {
	if filter == ">" {
		return true
	}
	if c.Mirror != nil || len(c.Sources) > 0 || c.SubjectTransform != nil {
		return false // it has other subjects than it listens to
	}
	return !slices.ContainsFunc(c.Subjects, func(s string) bool { return !Covers(filter, s) })
}

func (r *streamReader) ready(streamLast uint64) {
	if r.began {
		return
	}
	r.began = true
	after := streamLast // of what is older, the newest of each subject
	if r.placed {
		after = r.last
	}
	r.to.ready(after, streamLast)
}

// beginNewest notes where the newest messages end. If an earlier consumer died among them, this one may skip what was
// published and replaced in the meantime, which is told.
func (r *streamReader) beginNewest(state jetstream.StreamState, pending uint64) {
	if r.newestEnd > 0 && state.LastSeq > r.newestEnd {
		r.to.gap(r.newestEnd, state.LastSeq+1)
	}
	r.newestEnd = state.LastSeq
	if pending == 0 && r.last == 0 { // no subject had a message: whatever matches is new
		r.newest, r.placed, r.last = false, true, max(state.FirstSeq, 1)-1
	}
}

// skip tells of messages that were removed before they were read: the next one there can be is first.
func (r *streamReader) skip(first uint64) {
	if first > r.last+1 {
		r.to.gap(r.last, first)
		r.last = first - 1
	}
}

// pump hands on what the consumer delivers.
func (r *streamReader) pump(ctx context.Context, messages jetstream.MessagesContext) error {
	idle := r.last // where an idle stream stood when it was asked
	for delivered := uint64(0); ; {
		m, err := messages.Next(jetstream.NextMaxWait(streamIdle))
		switch {
		case errors.Is(err, nats.ErrTimeout):
			if err := r.check(ctx, &idle); err != nil {
				return err
			}
			continue
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("broadcast: read stream: %w", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("broadcast: read stream: %w", err)
		}
		if delivered++; meta.Sequence.Consumer != delivered {
			return errMessageMissed
		}
		r.hand(m, meta)
		r.tell(true) // check may have doubted it
	}
}

// hand takes a message, if it is not one that was handed on before.
func (r *streamReader) hand(m jetstream.Msg, meta *jetstream.MsgMetadata) {
	seq := meta.Sequence.Stream
	if seq <= r.last {
		return // an earlier consumer delivered it already, among the newest
	}
	if r.newest && (meta.NumPending == 0 || seq > r.newestEnd) {
		r.newest, r.placed = false, true
	} else if !r.newest && r.whole {
		r.skip(seq)
	}
	r.last = seq
	r.to.message(streamMessage{m.Subject(), m.Data(), seq, meta.Timestamp})
}

// check asks an idle stream's leader whether there is nothing to read. idle is the last sequence of the stream when it was
// asked the time before. The consumer may live on a server that is cut off from the leader and beat on, or be stuck. A
// leader that does not answer is no reason to leave a consumer that may be well, but messages are not sure to arrive.
func (r *streamReader) check(ctx context.Context, idle *uint64) error {
	info, err := r.stream.info(ctx)
	if err == nil && *idle > r.last && !r.newest {
		err = r.pass(ctx, *idle)
	}
	switch {
	case errors.Is(err, errNoStream) || errors.Is(err, errStreamChanged) || errors.Is(err, errStreamSilent):
		return err
	case err != nil:
		r.tell(false)
		return nil
	}
	*idle = info.State.LastSeq
	r.tell(true)
	return nil
}

// pass moves on to the sequence idle, which the stream had a while ago, if there is nothing to read before it.
func (r *streamReader) pass(ctx context.Context, idle uint64) error {
	next, err := r.stream.next(ctx, r.filter, r.last+1)
	switch {
	case err != nil:
		return err
	case next != nil:
		return errStreamSilent
	case r.whole:
		r.skip(idle + 1)
	}
	r.last = idle
	return nil
}

// last returns the newest message of each subject that pattern matches, by rising sequence, at most max of them. more says
// that there are others, with higher sequences. Any server that has a copy of the stream may answer, and be behind others
// by a moment: what follow has delivered can be newer.
func (s *stream) last(ctx context.Context, pattern string, max int) (msgs []streamMessage, more bool, err error) {
	if s.state.Load().Config.AllowDirect {
		msgs, more, err = s.lastDirect(ctx, pattern, max)
		if !errors.Is(err, errNoDirectGet) && !errors.Is(err, errTooManyLast) {
			return msgs, more, err
		}
	}
	if !isPattern(pattern) {
		m, err := s.get(ctx, getRequest{Last: pattern})
		if m == nil || err != nil {
			return nil, false, err
		}
		return []streamMessage{*m}, false, nil
	}
	return s.lastByConsumer(ctx, pattern, max)
}

func (s *stream) lastDirect(ctx context.Context, pattern string, max int) (msgs []streamMessage, more bool, err error) {
	request := getRequest{LastOf: []string{pattern}, MaxBytes: streamPageBytes}
	for {
		request.Batch = max - len(msgs)
		page, end, err := s.direct(ctx, request)
		if err != nil {
			return nil, false, err
		}
		msgs = append(msgs, page...)
		if end.pending == 0 || len(page) == 0 || len(msgs) >= max {
			return msgs, end.pending > 0, nil
		}
		request.Seq, request.UpTo = msgs[len(msgs)-1].seq+1, end.upTo // the answer was cut by its size
	}
}

// lastByConsumer is for streams without direct get, and for more subjects than it answers (1024).
func (s *stream) lastByConsumer(ctx context.Context, pattern string, max int) (msgs []streamMessage, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*streamRequest)
	defer cancel()
	config := readOnce(pattern)
	config.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy
	consumer, err := s.js.CreateConsumer(ctx, s.name, config)
	if err != nil {
		return nil, false, fmt.Errorf("broadcast: make consumer: %w", err)
	}
	defer s.forget(consumer)
	pending := consumer.CachedInfo().NumPending
	want := int(min(pending, uint64(max)))
	at := make(map[string]int, want)
	for taken := 0; taken < want; {
		batch, err := consumer.FetchNoWait(min(want-taken, fetchedAtOnce))
		if err != nil {
			return nil, false, fmt.Errorf("broadcast: read newest messages: %w", err)
		}
		before := taken
		for m := range batch.Messages() {
			taken++
			msgs = keepNewest(msgs, at, m)
		}
		if err := batch.Error(); err != nil {
			return nil, false, fmt.Errorf("broadcast: read newest messages: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		if taken == before { // the others were removed meanwhile
			break
		}
	}
	slices.SortFunc(msgs, func(a, b streamMessage) int { return cmp.Compare(a.seq, b.seq) })
	return msgs, pending > uint64(want), nil
}

// keepNewest adds m, which is newer than what msgs has of its subject: the consumer goes on with new messages.
func keepNewest(msgs []streamMessage, at map[string]int, m jetstream.Msg) []streamMessage {
	meta, err := m.Metadata()
	if err != nil {
		return msgs
	}
	found := streamMessage{m.Subject(), m.Data(), meta.Sequence.Stream, meta.Timestamp}
	if i, ok := at[found.subject]; ok {
		msgs[i] = found
		return msgs
	}
	at[found.subject] = len(msgs)
	return append(msgs, found)
}

// since returns the messages of subject (or pattern) with sequences after after, up to and including upto (0 = the newest
// of the stream now), oldest first, at most max. complete says that these are all there ever were, as far as can be shown:
//
//   - Limits remove the oldest messages, of the stream or of a subject. So if the message after is one of subject itself and
//     still there, all that came after it are. This costs nothing: reading begins with it. It shows nothing for a pattern,
//     whose other subjects may have lost theirs.
//   - Otherwise the state and the limits of the stream have to show it, see unbroken, asked for when all is read.
//   - A page must begin with the last message of the page before, else something was removed while reading.
//   - Any server with a copy may answer, and be behind. What does not reach upto is continued at the leader.
//
// Clocks of servers decide what age removes; that they differ is not considered.
func (s *stream) since(ctx context.Context, subject string, after, upto uint64, max int) (msgs []streamMessage, complete bool, err error) {
	if upto == 0 {
		info, err := s.info(ctx)
		if err != nil {
			return nil, false, err
		}
		if upto = info.State.LastSeq; upto < after {
			return nil, false, nil // after is of another life of the stream
		}
	}
	if upto <= after {
		return nil, true, nil
	}
	h := streamHistory{stream: s, subject: subject, after: after, upto: upto, max: max}
	if err := h.read(ctx); err != nil {
		return nil, false, err
	}
	msgs, more := h.within()
	if more || h.broken {
		return msgs, false, nil
	}
	c := s.state.Load().Config
	if h.anchored && !isPattern(subject) && c.Retention == jetstream.LimitsPolicy && !c.AllowMsgTTL {
		return msgs, true, nil
	}
	info, err := s.info(ctx)
	if err != nil {
		return nil, false, err
	}
	return msgs, unbroken(info, after, h.left()), nil
}

// A streamHistory is one call of since.
type streamHistory struct {
	stream      *stream
	subject     string
	after, upto uint64
	max         int

	msgs     []streamMessage // those after after; some may be beyond upto
	unread   uint64          // what the stream has of subject beyond msgs
	anchored bool            // the message after itself was found
	broken   bool            // something was removed while reading
}

func (h *streamHistory) read(ctx context.Context) error {
	direct := h.stream.state.Load().Config.AllowDirect
	for !h.broken {
		before := len(h.msgs)
		err := h.page(ctx, direct)
		switch {
		case direct && errors.Is(err, errNoDirectGet):
			direct = false
			continue
		case err != nil:
			return err
		case len(h.msgs) > h.max || h.end() >= h.upto:
			return nil
		case !direct && h.unread == 0:
			return nil
		}
		direct = direct && h.unread > 0 && len(h.msgs) > before // else that server has no more, but the leader may
	}
	return nil
}

// end is the sequence up to which all is read.
func (h *streamHistory) end() uint64 {
	if len(h.msgs) == 0 {
		return h.after
	}
	return h.msgs[len(h.msgs)-1].seq
}

// page reads on, beginning with the last message that was read, which shows that nothing behind it was removed.
func (h *streamHistory) page(ctx context.Context, direct bool) error {
	end, want := h.end(), h.max+2-len(h.msgs) // one again, and one to know whether there are more than max
	var page []streamMessage
	var err error
	if direct {
		page, h.unread, err = h.stream.directFrom(ctx, h.subject, max(end, 1), want)
	} else {
		page, h.unread, err = h.stream.leaderFrom(ctx, h.subject, max(end, 1), h.upto, want)
	}
	if err != nil {
		return err
	}
	again := len(page) > 0 && page[0].seq == end
	switch {
	case again:
		page = page[1:]
		h.anchored = h.anchored || end == h.after
	case end > h.after:
		h.broken = true
	}
	h.msgs = append(h.msgs, page...)
	return nil
}

// within returns the messages up to upto, at most max; more says whether there are others.
func (h *streamHistory) within() (msgs []streamMessage, more bool) {
	n, _ := slices.BinarySearchFunc(h.msgs, h.upto+1, func(m streamMessage, seq uint64) int { return cmp.Compare(m.seq, seq) })
	return h.msgs[:min(n, h.max)], n > h.max
}

// left is at least the number of messages after after that the stream has of any one subject.
func (h *streamHistory) left() uint64 {
	count, most := make(map[string]uint64), uint64(0)
	for _, m := range h.msgs {
		count[m.subject]++
		most = max(most, count[m.subject])
	}
	if h.unread > math.MaxUint64-most {
		return math.MaxUint64
	}
	return most + h.unread
}

// A getRequest asks for messages of a stream, see ADR-31 of NATS. Only direct get knows the last four fields.
type getRequest struct {
	Seq      uint64   `json:"seq,omitempty"`
	Last     string   `json:"last_by_subj,omitempty"`
	Next     string   `json:"next_by_subj,omitempty"` // from Seq on
	LastOf   []string `json:"multi_last,omitempty"`
	UpTo     uint64   `json:"up_to_seq,omitempty"`
	Batch    int      `json:"batch,omitempty"`
	MaxBytes int      `json:"max_bytes,omitempty"`
}

// A getEnd is what follows the last message of an answer.
type getEnd struct {
	pending uint64 // messages that match beyond the answer
	upTo    uint64 // only of LastOf: the sequence that the answer reflects
}

// directFrom returns at most n messages of subject from the sequence seq on, and how many the server has beyond them.
func (s *stream) directFrom(ctx context.Context, subject string, seq uint64, n int) ([]streamMessage, uint64, error) {
	msgs, end, err := s.direct(ctx, getRequest{Seq: seq, Next: subject, Batch: n, MaxBytes: streamPageBytes})
	return msgs, end.pending, err
}

// leaderFrom is directFrom at the leader, which knows all that the stream has, but gives one message at a time. It ends
// with the first message from upto on; then nobody knows how many there are beyond.
func (s *stream) leaderFrom(ctx context.Context, subject string, seq, upto uint64, n int) (msgs []streamMessage, unread uint64, err error) {
	for len(msgs) < n {
		m, err := s.next(ctx, subject, seq)
		if err != nil {
			return nil, 0, err
		}
		if m == nil {
			return msgs, 0, nil
		}
		msgs, seq = append(msgs, *m), m.seq+1
		if m.seq >= upto {
			break
		}
	}
	return msgs, math.MaxUint64, nil
}

// next returns the first message of subject (or pattern) from the sequence seq on; nil if there is none.
func (s *stream) next(ctx context.Context, subject string, seq uint64) (*streamMessage, error) {
	return s.get(ctx, getRequest{Seq: seq, Next: subject})
}

// codes of JetStream's errors
const (
	codeNoMessage = 10037
	codeNoStream  = 10059
)

// get asks the leader for one message; nil if there is none.
func (s *stream) get(ctx context.Context, request getRequest) (*streamMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, streamRequest)
	defer cancel()
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	m, err := s.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+s.name, body)
	if err != nil {
		return nil, fmt.Errorf("broadcast: get message: %w", err)
	}
	var answer struct {
		Error   *jetstream.APIError
		Message *struct {
			Subject string
			Seq     uint64
			Data    []byte
			Time    time.Time
		}
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return nil, fmt.Errorf("broadcast: get message: %w", err)
	}
	switch e, found := answer.Error, answer.Message; {
	case e != nil && e.ErrorCode == codeNoMessage:
		return nil, nil
	case e != nil && e.ErrorCode == codeNoStream:
		return nil, fmt.Errorf("%w any more: %s", errNoStream, s.name)
	case e != nil:
		return nil, fmt.Errorf("broadcast: get message: %w", e)
	case found == nil:
		return nil, errors.New("broadcast: get message: neither message nor error")
	default:
		return &streamMessage{found.Subject, found.Data, found.Seq, found.Time}, nil
	}
}

// direct asks any server that has a copy of the stream for messages. An answer that does not come to its end is an error.
//
// The module jetstreamext does the same, but drops what is needed here: the state at the end, the reason of a refusal, and
// whether the end was reached before the timeout.
func (s *stream) direct(ctx context.Context, request getRequest) ([]streamMessage, getEnd, error) {
	ctx, cancel := context.WithTimeout(ctx, streamRequest)
	defer cancel()
	body, err := json.Marshal(request)
	if err != nil {
		return nil, getEnd{}, err
	}
	inbox := s.nc.NewInbox()
	answers, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, getEnd{}, fmt.Errorf("broadcast: direct get: %w", err)
	}
	defer func() { _ = answers.Unsubscribe() }() // fails if the connection is closed
	if err := s.nc.PublishRequest("$JS.API.DIRECT.GET."+s.name, inbox, body); err != nil {
		return nil, getEnd{}, fmt.Errorf("broadcast: direct get: %w", err)
	}
	var msgs []streamMessage
	for {
		m, err := answers.NextMsgWithContext(ctx)
		if errors.Is(err, nats.ErrNoResponders) {
			return nil, getEnd{}, errNoDirectGet
		}
		if err != nil {
			return nil, getEnd{}, fmt.Errorf("broadcast: direct get: %w", err)
		}
		if m.Header.Get(jetstream.SequenceHeader) == "" {
			end, err := directEnd(m.Header, len(msgs))
			return msgs, end, err
		}
		got, err := directMessage(m)
		if err != nil {
			return nil, getEnd{}, err
		}
		msgs = append(msgs, got)
	}
}

// directEnd reads what ends an answer, after n messages.
func directEnd(h nats.Header, n int) (end getEnd, err error) {
	switch status, why := h.Get("Status"), h.Get("Description"); {
	case status == "204":
		if end.pending, err = strconv.ParseUint(h.Get("Nats-Num-Pending"), 10, 64); err != nil {
			return end, fmt.Errorf("broadcast: direct get: %w", err)
		}
		end.upTo, _ = strconv.ParseUint(h.Get("Nats-UpTo-Sequence"), 10, 64) // not for every request
		return end, nil
	case status == "404" && n == 0:
		return end, nil
	case status == "413":
		return end, errTooManyLast
	case status == "503":
		return end, errNoDirectGet
	default:
		return end, fmt.Errorf("broadcast: direct get: %s %s", status, why)
	}
}

func directMessage(m *nats.Msg) (streamMessage, error) {
	seq, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return streamMessage{}, fmt.Errorf("broadcast: direct get: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		return streamMessage{}, fmt.Errorf("broadcast: direct get: %w", err)
	}
	return streamMessage{m.Header.Get(jetstream.SubjectHeader), m.Data, seq, at}, nil
}
