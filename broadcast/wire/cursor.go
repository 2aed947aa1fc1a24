package wire

import (
	"strconv"
	"strings"
)

// Cursor is a position in a topic, written EPOCH:SEQ. Sequences of different epochs are not comparable.
type Cursor struct {
	Epoch string
	Seq   uint64
}

// ParseCursor reads a command's after. The error is an [*Error] with [CodeBadRequest].
func ParseCursor(s string) (Cursor, error) {
	epoch, digits, ok := strings.Cut(s, ":")
	seq, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || epoch == "" {
		return Cursor{}, BadRequest("after must be a cursor such as k3Qd:918273")
	}
	return Cursor{epoch, seq}, nil
}

// Cursors are positions in topics of several epochs, written one behind the other with commas between them.
type Cursors []Cursor

// MaxCursors bounds them. Chosen by us: most servers have one epoch, and one more for each stream.
const MaxCursors = 32

// ParseCursors reads a list of cursors. The error is an [*Error] with [CodeBadRequest].
func ParseCursors(s string) (cs Cursors, err error) {
	for part := range strings.SplitSeq(s, ",") {
		c, err := ParseCursor(part)
		if err == nil && len(cs) == MaxCursors {
			err = BadRequest("after holds more than %d cursors", MaxCursors)
		}
		if err != nil {
			return nil, err
		}
		cs = append(cs, c)
	}
	return cs, nil
}

// In returns the cursor of an epoch, or nil.
func (cs Cursors) In(epoch string) *Cursor {
	for i := range cs {
		if cs[i].Epoch == epoch {
			return &cs[i]
		}
	}
	return nil
}

func (c Cursor) String() string { return c.Epoch + ":" + strconv.FormatUint(c.Seq, 10) }
