package fleet

import (
	"bytes"
	"strconv"
	"strings"
)

// The first bytes of Tickcast's messages. The server writes them itself, so their first field is known.
var (
	dataPrefix = []byte(`{"t":`)
	ackPrefix  = []byte(`{"op":"ack"`)
	errPrefix  = []byte(`{"op":"err"`)
	ackErrors  = []byte(`"errors":[{`)
)

// stampOf returns the bytes before the value of a member in compact JSON, nil without a name.
func stampOf(name string) []byte {
	if name == "" {
		return nil
	}
	return []byte(`"` + name + `":`)
}

// stamped returns the whole number after mark in payload, 0 if there is none.
func stamped(payload, mark []byte) (n int64) {
	at := bytes.Index(payload, mark)
	if at < 0 {
		return 0
	}
	for _, c := range payload[at+len(mark):] {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// DefaultSubscribe is the command that a client sends when [Config].Subscribe is empty.
const DefaultSubscribe = `{"op":"sub","id":1,"topics":["{topic}"]}`

// ownCommand is the beginning of commands of Tickcast's protocol.
const ownCommand = `{"op":`

// A template is the subscribe message in pieces. Empty: there is no message.
type template []templatePart

type templatePart struct {
	text string
	hole byte // after text: 'i' index, 't' topic, 0 the end
}

// parseTemplate cuts text at {i} and {topic}. Other braces are text.
func parseTemplate(text string, topics []string) template {
	if text == "" {
		if len(topics) == 0 {
			return nil
		}
		text = DefaultSubscribe
	}
	var t template
	for from := 0; ; {
		i, rest := strings.Index(text[from:], "{i}"), strings.Index(text[from:], "{topic}")
		switch {
		case i >= 0 && (rest < 0 || i < rest):
			t = append(t, templatePart{text[from : from+i], 'i'})
			from += i + len("{i}")
		case rest >= 0:
			t = append(t, templatePart{text[from : from+rest], 't'})
			from += rest + len("{topic}")
		default:
			return append(t, templatePart{text[from:], 0})
		}
	}
}

// append appends the message of client i, for the topics in the given places.
func (t template) append(dst []byte, i int, topics []string, places []uint32) []byte {
	for _, part := range t {
		dst = append(dst, part.text...)
		switch part.hole {
		case 'i':
			dst = strconv.AppendInt(dst, int64(i), 10)
		case 't':
			for j, k := range places {
				if j > 0 {
					dst = append(dst, `","`...)
				}
				dst = append(dst, topics[k]...)
			}
		}
	}
	return dst
}
