package client

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// eventsOf reads a text to its end.
func eventsOf(r io.Reader, longest int) (list []event, err error) {
	reader := newEventReader(r, longest)
	for {
		ev, err := reader.next()
		if err != nil {
			return list, err
		}
		list = append(list, ev)
	}
}

func TestEventReader(t *testing.T) {
	for _, c := range []struct {
		text string
		want []event
	}{
		{"retry: 1734\n\ndata: {\"op\":\"hello\"}\n\n", []event{{retry: 1734 * time.Millisecond}, {data: []byte(`{"op":"hello"}`)}}},
		{"id: e:1\ndata: 1\n\nid: e:2\n\n", []event{{data: []byte("1"), id: "e:1"}, {id: "e:2"}}},
		{"\uFEFFdata:1\r\ndata:  2\r\n\r\n", []event{{data: []byte("1\n 2")}}},
		{"data:1\rid:a\r\rdata:2\r\r\n", []event{{data: []byte("1"), id: "a"}, {data: []byte("2")}}},
		{":\n\n: comment\ndata: 1\n:\n\n", []event{{}, {}, {data: []byte("1")}}},
		{"data\n\ndata:\n\nid\n\n\n\nevent: x\nfoo: bar\n\n", nil},
		{"id: a\x00b\ndata: 1\n\nretry: 1s\nretry: -1\nretry: +1\n\n", []event{{data: []byte("1")}}},
		{"retry: 999999999999\n\nretry: 99999999999999999999\n\n", []event{{retry: 10 * time.Minute}}},
		{"data: without an end\n", nil},
		{"data: a\u2028b\u0085c\n\n", []event{{data: []byte("a\u2028b\u0085c")}}},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.text), iotest.OneByteReader(strings.NewReader(c.text))} {
			if got, err := eventsOf(r, 1000); !reflect.DeepEqual(got, c.want) || err != io.EOF {
				t.Errorf("%q: %+v, %v", c.text, got, err)
			}
		}
	}
}

func TestEventReaderHasABound(t *testing.T) {
	for _, text := range []string{"data: " + strings.Repeat("x", 5000), strings.Repeat("data: "+strings.Repeat("x", 90)+"\n", 12), ":" + strings.Repeat("x", 5000) + "\n"} {
		if got, err := eventsOf(strings.NewReader(text), 1000); len(got) > 0 || !errors.Is(err, errTooLong) {
			t.Errorf("%d events, %v", len(got), err)
		}
	}
	endless := io.MultiReader(strings.NewReader("data: "), endlessReader{})
	if _, err := eventsOf(endless, messageMax/64); !errors.Is(err, errTooLong) {
		t.Error(err)
	}
}

type endlessReader struct{}

func (endlessReader) Read(b []byte) (int, error) {
	return copy(b, bytes.Repeat([]byte("x"), len(b))), nil
}

// FuzzEventReader compares the reader, at every pace, with one that has the whole text.
func FuzzEventReader(f *testing.F) {
	f.Add("retry: 10\n\n: c\nid: e:1\r\ndata: 1\r\rdata: 2\n\n", uint8(1))
	f.Add("\uFEFF:\n\ndata\ndata\n\n", uint8(3))
	f.Fuzz(func(t *testing.T, text string, pace uint8) {
		want := naiveEvents(text)
		got, err := eventsOf(&pacedReader{[]byte(text), int(pace)%64 + 1}, 1<<20)
		if err != io.EOF || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	})
}

type pacedReader struct {
	b    []byte
	pace int
}

func (r *pacedReader) Read(b []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), r.pace)], r.b)
	r.b = r.b[n:]
	return n, nil
}

var (
	lineEnd = regexp.MustCompile("\r\n|\r|\n")
	number  = regexp.MustCompile("^[0-9]+$")
)

func naiveEvents(text string) (list []event) {
	lines := lineEnd.Split(strings.TrimPrefix(text, "\uFEFF"), -1)
	var ev event
	some := false
	for _, line := range lines[:len(lines)-1] {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		some = ev.data != nil || ev.id != "" || ev.retry != 0
		switch {
		case line == "" && some:
			list, ev = append(list, ev), event{}
		case line == "":
		case name == "" && !some:
			list = append(list, event{})
		case name == "data" && ev.data == nil && value != "":
			ev.data = []byte(value)
		case name == "data" && ev.data != nil:
			ev.data = append(ev.data, "\n"+value...)
		case name == "id" && !strings.Contains(value, "\x00"):
			ev.id = value
		case name == "retry" && number.MatchString(value):
			if ms, ok := digits([]byte(value)); ok {
				ev.retry = time.Duration(min(ms, 600_000)) * time.Millisecond
			}
		}
	}
	return list
}

// An answer to a poll, and the body of a refusal, are read up to a bound.
func TestAnswersHaveABound(t *testing.T) {
	if _, err := readAnswer(io.NopCloser(endlessReader{})); !errors.Is(err, errTooLong) {
		t.Error(err)
	}
	e := refusedForm(&http.Response{StatusCode: http.StatusBadGateway, Body: io.NopCloser(endlessReader{})})
	if e.code != http.StatusBadGateway || e.reason != "HTTP 502" {
		t.Errorf("%+v", e)
	}
	body := `[{"op":"ack","errors":[{"t":"a..b","code":107,"msg":"topic has an empty token"}]}]`
	e = refusedForm(&http.Response{StatusCode: http.StatusBadRequest, Body: io.NopCloser(strings.NewReader(body))})
	if e.reason != "a..b: topic has an empty token" {
		t.Errorf("%+v", e)
	}
}
