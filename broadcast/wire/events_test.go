package wire

import (
	"bytes"
	"io"
	"net/http/httputil"
	"strings"
	"testing"
)

// Events are chunks that any reader of HTTP/1.1 decodes, one data line each, whatever the JSON looks like.
func TestEvents(t *testing.T) {
	for _, row := range []struct{ id, message, want string }{
		{"", `{"a":1}`, "data: {\"a\":1}\n\n"},
		{"k:1", `{"a":1}`, "id: k:1\ndata: {\"a\":1}\n\n"},
		{"", "{\r\n\"a\"\n:\"\\n\"\r}", "data: {  \"a\" :\"\\n\" }\n\n"},
		{"k:1", strings.Repeat("x", 70_000), "id: k:1\ndata: " + strings.Repeat("x", 70_000) + "\n\n"},
	} {
		b := AppendEvent(nil, row.id, []byte(row.message))
		if ChunkSize(b) != len(b) || cap(b) > len(b)+maxChunkHead {
			t.Errorf("size %d, length %d, room %d", ChunkSize(b), len(b), cap(b))
		}
		if got := AppendUnchunked(nil, b); string(got) != row.want {
			t.Errorf("got %.100q", got)
		}
		two := append(bytes.Clone(b), AppendLine(nil, "retry: 5")...)
		if ChunkSize(two) != len(b) {
			t.Errorf("size of the first %d, want %d", ChunkSize(two), len(b))
		}
		two = append(two, LastChunk...)
		read, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(two)))
		if err != nil || string(read) != row.want+"retry: 5\n\n" || !bytes.Equal(read, AppendUnchunked(nil, two)) {
			t.Errorf("%v, %.100q", err, read)
		}
	}
	if n := testing.AllocsPerRun(100, func() { AppendEvent(nil, "k:1", []byte(`{"a":1}`)) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
	if e := string(EventOf(TextFrame([]byte(`{"op":"hb"}`)))); e != "13\r\ndata: {\"op\":\"hb\"}\n\n\r\n" {
		t.Errorf("%q", e)
	}
}

func TestParseCursors(t *testing.T) {
	cs, err := ParseCursors("a:1,b:22,~c:3")
	if err != nil || len(cs) != 3 || cs.In("b").Seq != 22 || cs.In("x") != nil {
		t.Errorf("%v, %v", cs, err)
	}
	for _, bad := range []string{"", ",", "a:1,", "a", "a:x", ":1", strings.Repeat("a:1,", MaxCursors) + "a:1"} {
		if _, err := ParseCursors(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
