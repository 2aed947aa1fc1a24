package wire

import (
	"bytes"
	"strconv"

	"tickcast/wsproto"
)

// An event of Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html) stands in a chunk of its own
// (RFC 9112 section 7.1): then a message's event is the same bytes for all clients, and a write is any number of them.

// AppendEvent appends the event of a message, which is JSON, in a chunk. id is the cursor behind the message; "" = none. It makes
// at most one allocation when dst is nil.
func AppendEvent(dst []byte, id string, message []byte) []byte {
	n := len("data: ") + len(message) + len("\n\n")
	if id != "" {
		n += len("id: ") + len(id) + len("\n")
	}
	dst = appendChunkHead(dst, n)
	if id != "" {
		dst = append(append(append(dst, "id: "...), id...), '\n')
	}
	dst = append(dst, "data: "...)
	at := len(dst)
	dst = append(dst, message...)
	for line := dst[at:]; ; { // JSON has line ends between its tokens only, where they mean as much as a space
		i := bytes.IndexAny(line, "\r\n")
		if i < 0 {
			break
		}
		line[i] = ' '
		line = line[i+1:]
	}
	return append(dst, "\n\n\r\n"...)
}

// AppendLine appends one line of a stream of events and an empty line, in a chunk: an id without a message, a retry, a comment.
func AppendLine(dst []byte, line string) []byte {
	dst = appendChunkHead(dst, len(line)+len("\n\n"))
	return append(append(dst, line...), "\n\n\r\n"...)
}

// AppendChunk appends bytes in a chunk.
func AppendChunk(dst, b []byte) []byte {
	return append(append(appendChunkHead(dst, len(b)), b...), "\r\n"...)
}

// LastChunk ends a stream of events.
const LastChunk = "0\r\n\r\n"

// EventOf returns the event of a text frame, such as a reply.
func EventOf(frame []byte) []byte { return AppendEvent(nil, "", PayloadOf(frame)) }

// PayloadOf returns the payload of a frame of this package.
func PayloadOf(frame []byte) []byte {
	_, n, _ := wsproto.ParseHeader(frame)
	return frame[n:]
}

// maxChunkHead is the longest first line of a chunk of this package.
const maxChunkHead = len("7fffffff\r\n")

// appendChunkHead appends the first line of a chunk of n bytes, and makes room for the whole chunk if dst is nil.
func appendChunkHead(dst []byte, n int) []byte {
	if dst == nil {
		dst = make([]byte, 0, maxChunkHead+n+len("\r\n"))
	}
	return append(strconv.AppendInt(dst, int64(n), 16), "\r\n"...)
}

// ChunkSize returns the length of the first of chunks, which are of this package, with its head and its end.
func ChunkSize(chunks []byte) int {
	n := 0
	for i, c := range chunks {
		switch {
		case c == '\r':
			return min(i+n+2*len("\r\n"), len(chunks))
		case c >= 'a':
			n = n<<4 | int(c-'a'+10)
		default:
			n = n<<4 | int(c-'0')
		}
	}
	return len(chunks) // not reached
}

// AppendUnchunked appends the content of chunks, which are of this package.
func AppendUnchunked(dst, chunks []byte) []byte {
	for len(chunks) > 0 {
		chunk := chunks[:ChunkSize(chunks)]
		chunks = chunks[len(chunk):]
		head := bytes.IndexByte(chunk, '\n') + 1
		dst = append(dst, chunk[head:max(len(chunk)-len("\r\n"), head)]...)
	}
	return dst
}

// AppendElement appends a message, which is JSON, as an element of an array, with a comma behind it.
func AppendElement(dst []byte, message []byte) []byte {
	if dst == nil {
		dst = make([]byte, 0, len(message)+1)
	}
	return append(append(dst, message...), ',')
}
