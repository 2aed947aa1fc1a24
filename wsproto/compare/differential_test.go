package compare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tickcast/wsproto"
)

// An outcome is a decoder's result for a stream: its messages, and whether it refused the stream or waits for more.
type outcome struct {
	messages []string
	refused  bool
}

func describe(op byte, payload []byte) string { return fmt.Sprintf("%d %q", op, payload) }

// byWsproto decodes a client's stream.
func byWsproto(stream []byte) (v outcome, err error) {
	b := bytes.Clone(stream) // Next unmasks in place
	cfg := &wsproto.Config{MaxMessage: maxMessage}
	for d := new(wsproto.Decoder); len(b) > 0; {
		m, n, err := d.Next(cfg, b)
		if err != nil {
			v.refused = true
			return v, err
		}
		b = b[n:]
		switch m.Op {
		case wsproto.OpContinuation:
		case wsproto.OpClose:
			v.messages = append(v.messages, fmt.Sprintf("8 %d %q", m.Code, m.Payload))
			return v, nil // later input is to be ignored
		default:
			v.messages = append(v.messages, describe(byte(m.Op), m.Payload))
		}
	}
	return v, nil
}

// byGobwas decodes a client's stream in the way of a careful user of gobwas/ws, with all checks of the library enabled.
func byGobwas(stream []byte) (v outcome, err error) {
	r := wsutil.Reader{
		Source: bytes.NewReader(stream), State: ws.StateServerSide, CheckUTF8: true, MaxFrameSize: maxMessage,
		OnIntermediate: func(h ws.Header, src io.Reader) error { return v.control(h, src) },
	}
	for {
		h, err := r.NextFrame()
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return v, nil
		case err != nil:
			v.refused = true
			return v, err
		}
		if h.OpCode.IsControl() {
			if err = v.control(h, &r); err == nil {
				err = r.Discard()
			}
		} else {
			var payload []byte
			if payload, err = io.ReadAll(io.LimitReader(&r, maxMessage+1)); err == nil {
				if len(payload) > maxMessage {
					err = wsutil.ErrFrameTooLarge
				} else {
					v.messages = append(v.messages, describe(byte(h.OpCode), payload))
				}
			}
		}
		switch {
		case errors.Is(err, errClosed), errors.Is(err, errUnfinished), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return v, nil
		case err != nil:
			v.refused = true
			return v, err
		}
	}
}

var (
	errClosed     = errors.New("the client has closed")
	errUnfinished = errors.New("the stream ends inside a control frame") // io.EOF would end the message around it
)

// control reads a control frame.
func (v *outcome) control(h ws.Header, src io.Reader) error {
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(src, payload); err != nil {
		return errUnfinished
	}
	if h.OpCode != ws.OpClose {
		v.messages = append(v.messages, describe(byte(h.OpCode), payload))
		return nil
	}
	code, reason := ws.StatusCode(1005), "" // no code on the wire
	if len(payload) > 0 {
		if code, reason = ws.ParseCloseFrameDataUnsafe(payload); code.Empty() {
			return ws.ErrProtocolStatusCodeNotInUse // a body of one byte
		}
		if err := ws.CheckCloseFrameData(code, reason); err != nil {
			return err
		}
	}
	v.messages = append(v.messages, fmt.Sprintf("8 %d %q", code, reason))
	return errClosed
}

// frame returns a frame of a client.
func frame(fin bool, op wsproto.Opcode, payload string) []byte {
	key := [4]byte{1, 2, 3, 4}
	b := wsproto.AppendHeader(nil, wsproto.Header{Fin: fin, Op: op, Masked: true, Key: key, Length: int64(len(payload))})
	b = append(b, payload...)
	wsproto.Mask(b[len(b)-len(payload):], key, 0)
	return b
}

// All known differences, each with the sentence of the RFC that decides it.
var differences = []struct {
	rfc     string
	example []byte
	is      func(stream []byte, ours, theirs outcome, ourErr error) bool
}{
	{
		`RFC 6455 section 5.2: "Note that in all cases, the minimal number of bytes MUST be used to encode the length".
		gobwas/ws accepts longer forms, also in control frames, whose minimal length never needs one.`,
		[]byte{0x82, 0xFE, 0, 5, 1, 2, 3, 4, 0, 0, 0, 0, 0},
		func(_ []byte, ours, theirs outcome, ourErr error) bool {
			return (errors.Is(ourErr, wsproto.ErrNonMinimalLength) || errors.Is(ourErr, wsproto.ErrControlTooLong)) &&
				begins(theirs.messages, ours.messages)
		},
	},
	{
		`RFC 6455 section 7.4.2: "Status codes in the range 1000-2999 are reserved for definition by this protocol, its future
		revisions, and extensions specified in a permanent and readily available public specification." The registry now has
		1012, 1013 and 1014. gobwas/ws refuses those that the RFC itself does not define.`,
		frame(true, wsproto.OpClose, "\x03\xf6"),
		func(_ []byte, ours, theirs outcome, _ error) bool {
			last := len(ours.messages) - 1
			return theirs.refused && last >= 0 && slices.Equal(ours.messages[:last], theirs.messages) &&
				slices.ContainsFunc([]string{"8 1012 ", "8 1013 ", "8 1014 "}, func(p string) bool {
					return strings.HasPrefix(ours.messages[last], p)
				})
		},
	},
	{
		`RFC 6455 section 7.4.2 ends with "Status codes in the range 4000-4999 are reserved for private use": it defines none above.
		gobwas/ws accepts those above.`,
		frame(true, wsproto.OpClose, "\x13\x88"),
		func(_ []byte, ours, theirs outcome, ourErr error) bool {
			last := len(theirs.messages) - 1
			if !errors.Is(ourErr, wsproto.ErrCloseCode) || last < 0 || !slices.Equal(ours.messages, theirs.messages[:last]) {
				return false
			}
			var code int
			_, err := fmt.Sscanf(theirs.messages[last], "8 %d ", &code)
			return err == nil && code > 4999
		},
	},
	{
		`RFC 6455 section 8.1 (and 5.1, 5.2, 5.5 in other words): an endpoint whose peer breaks a rule "MUST _Fail
		the WebSocket Connection_". It does not say when. gobwas/ws waits for the end of the header; the same stream with more
		bytes after it is refused.`,
		[]byte{0x83}, // a reserved opcode
		func(stream []byte, ours, theirs outcome, ourErr error) bool {
			if ourErr == nil || theirs.refused || !slices.Equal(ours.messages, theirs.messages) {
				return false
			}
			later, err := byGobwas(append(bytes.Clone(stream), bytes.Repeat([]byte{1}, 2*maxMessage)...))
			return err != nil && slices.Equal(later.messages, ours.messages)
		},
	},
}

// Each difference of the list exists.
func TestDifferences(t *testing.T) {
	for i, d := range differences {
		ours, ourErr := byWsproto(d.example)
		theirs, theirErr := byGobwas(d.example)
		if ours.refused == theirs.refused && slices.Equal(ours.messages, theirs.messages) {
			t.Errorf("no difference, both %q, %v, %v: %s", ours.messages, ourErr, theirErr, d.rfc)
		}
		for j, other := range differences {
			if is := other.is(d.example, ours, theirs, ourErr); is != (i == j) {
				t.Errorf("the example of difference %d is one of difference %d: %v", i, j, is)
			}
		}
	}
}

// begins reports whether all begins with the elements of first.
func begins(all, first []string) bool {
	return len(all) >= len(first) && slices.Equal(all[:len(first)], first)
}

// FuzzDifferential checks that gobwas/ws has the same outcome for every stream, except for the known differences.
func FuzzDifferential(f *testing.F) {
	for _, d := range differences {
		f.Add(d.example)
	}
	for _, seed := range [][]byte{
		frame(true, wsproto.OpText, "Hello"),
		frame(true, wsproto.OpText, "bad \xff"),
		frame(true, wsproto.OpText, "cut \xe2\x82"),
		frame(true, wsproto.OpBinary, string(make([]byte, 300))),
		frame(true, wsproto.OpPing, "p"),
		frame(true, wsproto.OpClose, ""),
		frame(true, wsproto.OpClose, "\x03"),
		frame(true, wsproto.OpClose, "\x03\xe8bye"),
		frame(true, wsproto.OpClose, "\x03\xed"),
		frame(true, wsproto.OpClose, "\x0b\xb8"),
		frame(true, wsproto.OpClose, "\x03\xe8\xff"),
		frame(true, wsproto.OpContinuation, "x"),
		slices.Concat(frame(false, wsproto.OpText, "\xe2"), frame(true, wsproto.OpPing, ""), frame(true, wsproto.OpContinuation, "\x82\xac")),
		slices.Concat(frame(false, wsproto.OpText, "a"), frame(true, wsproto.OpText, "b")),
		slices.Concat(frame(true, wsproto.OpText, "a"), frame(true, wsproto.OpBinary, "b"), frame(true, wsproto.OpPong, "c")),
		{0xC1, 0x80, 1, 2, 3, 4},
		{0x83, 0x80, 1, 2, 3, 4},
		{0x09, 0x80, 1, 2, 3, 4},
		{0x89, 0xFE, 0, 126},
		{0x81, 0x05, 'H', 'e', 'l', 'l', 'o'},
		{0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4},
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		ours, ourErr := byWsproto(stream)
		theirs, theirErr := byGobwas(stream)
		if ours.refused == theirs.refused && slices.Equal(ours.messages, theirs.messages) {
			return
		}
		for _, d := range differences {
			if d.is(stream, ours, theirs, ourErr) {
				return
			}
		}
		t.Fatalf("% x\nwsproto: %q, %v\ngobwas:  %q, %v", stream, ours.messages, ourErr, theirs.messages, theirErr)
	})
}
