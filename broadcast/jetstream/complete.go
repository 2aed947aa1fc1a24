package jetstream

import (
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast/subject"
)

// provesComplete reports whether info proves that no message with a sequence above after was removed. For each subject that
// is read, the stream still has at most left messages above after.
//
// The limits of a stream (age, number, bytes) remove the oldest messages of all, which raises the first sequence. The limit
// per subject removes the oldest messages of a subject and leaves holes. A subject with fewer messages than that limit has
// lost none.
//
// Messages that were removed by hand (deleted messages, purged subjects) count as never published, since NATS does not
// name them. In some streams messages end in other ways: they are acknowledged, have a lifetime of their own, or are
// replaced by a rollup. A mirror has holes where its origin had removed messages before they were copied. Such a stream is
// complete only if it has no holes at all.
func provesComplete(info *jetstream.StreamInfo, after, left uint64) bool {
	c, lostFront := info.Config, info.State.FirstSeq > after+1
	switch {
	case !lostFront && info.State.NumDeleted == 0:
		return true
	case c.Retention != jetstream.LimitsPolicy || c.AllowMsgTTL || c.AllowRollup || c.Mirror != nil:
		return false
	case c.MaxMsgsPerSubject > 0 && left >= uint64(c.MaxMsgsPerSubject):
		return false
	}
	perSubjectOnly := c.MaxMsgsPerSubject > 0 && c.MaxAge == 0 && c.MaxMsgs <= 0 && c.MaxBytes <= 0
	return !lostFront || perSubjectOnly && left > 0 // left == 0: the subject was purged
}

// holdsAll reports whether filter matches every message that a stream with config c can have.
func holdsAll(filter string, c jetstream.StreamConfig) bool {
	if filter == ">" {
		return true
	}
	return ownSubjects(c) && !slices.ContainsFunc(c.Subjects, func(s string) bool { return !subject.Covers(filter, s) })
}
