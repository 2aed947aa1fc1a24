package client

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"time"
)

// An event is an event of text/event-stream, or a comment, which has no field.
type event struct {
	data  []byte // nil = none
	id    string
	retry time.Duration
}

// An eventReader reads text/event-stream, https://html.spec.whatwg.org/multipage/server-sent-events.html, with its three kinds of line
// ends. It ignores the field event, which the server does not send.
type eventReader struct {
	r       *bufio.Reader
	max     int    // bytes of a line, and of an event's data
	line    []byte // the present one
	afterCR bool   // a line feed belongs to the line before
	begun   bool
}

func newEventReader(r io.Reader, longest int) *eventReader {
	return &eventReader{r: bufio.NewReaderSize(r, 16<<10), max: longest}
}

// next returns the next event, whose data is the caller's. An event that the stream does not end is none.
func (e *eventReader) next() (ev event, err error) {
	for {
		line, err := e.readLine()
		if err != nil {
			return event{}, err
		}
		if len(line) == 0 {
			if ev.data != nil || ev.id != "" || ev.retry != 0 {
				return ev, nil
			}
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "":
			if ev.data == nil && ev.id == "" && ev.retry == 0 {
				return event{}, nil
			}
		case "data":
			if err := e.addData(&ev, value); err != nil {
				return event{}, err
			}
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				ev.id = string(value)
			}
		case "retry":
			if ms, ok := digits(value); ok {
				ev.retry = time.Duration(min(ms, uint64(waitMax.Milliseconds()))) * time.Millisecond
			}
		}
	}
}

// addData appends a line of data. Several lines have line feeds between them; an empty one alone is no data.
func (e *eventReader) addData(ev *event, value []byte) error {
	if len(ev.data)+len(value) >= e.max {
		return errTooLong
	}
	if ev.data != nil {
		ev.data = append(ev.data, '\n')
	}
	ev.data = append(ev.data, value...)
	return nil
}

// digits reads a number that is nothing but digits.
func digits(b []byte) (n uint64, ok bool) {
	n, err := strconv.ParseUint(string(b), 10, 63)
	return n, err == nil && b[0] != '+'
}

// readLine returns the next line, which is good until the next call.
func (e *eventReader) readLine() ([]byte, error) {
	for e.line = e.line[:0]; ; {
		if _, err := e.r.Peek(1); err != nil {
			return nil, err
		}
		b, _ := e.r.Peek(e.r.Buffered())
		if e.afterCR && b[0] == '\n' {
			e.afterCR = false
			_, _ = e.r.Discard(1)
			continue
		}
		e.afterCR = false
		i := bytes.IndexAny(b, "\r\n")
		ended := i >= 0
		if !ended {
			i = len(b)
		}
		if len(e.line)+i > e.max {
			return nil, errTooLong
		}
		e.line = append(e.line, b[:i]...)
		if !ended {
			_, _ = e.r.Discard(i)
			continue
		}
		e.afterCR = b[i] == '\r'
		_, _ = e.r.Discard(i + 1)
		return e.withoutMark(), nil
	}
}

// withoutMark returns the line, the first one of the stream without its byte order mark.
func (e *eventReader) withoutMark() []byte {
	if e.begun {
		return e.line
	}
	e.begun = true
	return bytes.TrimPrefix(e.line, []byte("\uFEFF"))
}
