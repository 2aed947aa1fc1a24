package wire

import (
	"bytes"
	"encoding/json"
	"errors"
)

// Command is a client's request, one text message. The names of its members are exact: {"OP":...} has no op, so that a filter in
// front of the server sees the same command as the server.
type Command struct {
	Op     string          `json:"op"`
	ID     json.RawMessage `json:"id"` // a number or a string, echoed; nil = none
	Topics []string        `json:"topics"`
	Topic  string          `json:"topic"`
	Data   json.RawMessage `json:"data"`
	Rate   string          `json:"rate"`
	After  After           `json:"after"`
	Token  string          `json:"token"`
}

// An After is the position of a client: one cursor for all topics of the command, or one for each topic. On the wire it is a
// string or an object. The zero value means no position.
type After struct {
	Cursor string            // of all topics; or
	Of     map[string]string // by topic or pattern, as the command names it
}

// MarshalJSON implements json.Marshaler.
func (a After) MarshalJSON() ([]byte, error) {
	if a.Of != nil {
		return json.Marshal(a.Of)
	}
	return json.Marshal(a.Cursor)
}

// maxID is the longest id of a command in bytes, without its quotes. Chosen by us: a UUID fits.
const maxID = 64

// ParseCommand reads a client's message and ignores unknown members. A known one may come once. The error is an [*Error] with
// [CodeBadRequest]. The command is not nil even then: it holds the ID, if that was readable, for the reply. It keeps no bytes of b.
func ParseCommand(b []byte) (*Command, error) {
	if !json.Valid(b) {
		var syntax *json.SyntaxError
		if err := json.Unmarshal(b, new(json.RawMessage)); errors.As(err, &syntax) {
			return &Command{}, BadRequest("not JSON at byte %d", syntax.Offset)
		}
		return &Command{}, BadRequest("not JSON")
	}
	c := new(Command)
	start := skipSpace(b, 0)
	if b[start] != '{' && b[start] != 'n' {
		return c, BadRequest("not a JSON object")
	}
	var fault *Error
	if b[start] == '{' {
		fault = c.readMembers(b, start+1)
	}
	if bytes.Equal(c.ID, []byte("null")) {
		c.ID = nil
	}
	switch valid := validID(c.ID); {
	case fault != nil && valid:
		return &Command{ID: c.ID}, fault
	case fault != nil:
		return &Command{}, fault
	case !valid:
		return &Command{}, BadRequest("id must be a number or a string of at most %d bytes", maxID)
	case c.Op == "":
		return c, BadRequest("no op")
	}
	return c, nil
}

// readMembers reads the members of the object that goes on at b[i], and returns the first fault.
func (c *Command) readMembers(b []byte, i int) (fault *Error) {
	note := func(e *Error) {
		if fault == nil {
			fault = e
		}
	}
	var seen [8]bool
	for {
		quoted, value, next, more := nextMember(b, i)
		if !more {
			return fault
		}
		i = next
		name := nameOf(quoted)
		var text *string
		var once *bool
		switch string(name) {
		case "op":
			text, once = &c.Op, &seen[0]
		case "id":
			once = &seen[1]
		case "topics":
			once = &seen[2]
		case "topic":
			text, once = &c.Topic, &seen[3]
		case "data":
			once = &seen[4]
		case "rate":
			text, once = &c.Rate, &seen[5]
		case "after":
			once = &seen[6]
		case "token":
			text, once = &c.Token, &seen[7]
		default:
			continue
		}
		if *once {
			note(BadRequest("%q comes twice", name))
			continue
		}
		*once = true
		kind := kindOf(value)
		switch {
		case once == &seen[1]:
			c.ID = bytes.Clone(value)
		case once == &seen[4]:
			c.Data = bytes.Clone(value)
		case kind == "null":
		case once == &seen[2]:
			note(c.readTopics(value, kind))
		case once == &seen[6] && kind == "object":
			note(c.After.readObject(value))
		case once == &seen[6] && kind == "string":
			c.After.Cursor = textOf(value)
		case kind != "string":
			note(BadRequest("%q must not be a %s", name, kind))
		default:
			*text = textOf(value)
		}
	}
}

// readObject reads the value of after that gives topics a cursor each.
func (a *After) readObject(value []byte) *Error {
	if err := json.Unmarshal(value, &a.Of); err != nil { // it is valid JSON
		return BadRequest("%q must hold cursors alone", "after")
	}
	return nil
}

// readTopics reads the value of topics.
func (c *Command) readTopics(value []byte, kind string) *Error {
	if kind != "array" {
		return BadRequest("%q must not be a %s", "topics", kind)
	}
	c.Topics = make([]string, 0, min(1+bytes.Count(value, []byte(",")), 1024)) // exact, unless names hold commas: append leaves room
	for i := 1; ; {
		element, next, more := nextElement(value, i)
		switch {
		case !more:
			return nil
		case element[0] == 'n': // null, an empty topic
			c.Topics = append(c.Topics, "")
		case element[0] != '"':
			return BadRequest("%q must not be a %s", "topics", kindOf(element))
		default:
			c.Topics = append(c.Topics, textOf(element))
		}
		i = next
	}
}

func validID(id json.RawMessage) bool {
	if len(id) == 0 {
		return true
	}
	if id[0] == '"' {
		return len(id) <= maxID+len(`""`)
	}
	return len(id) <= maxID && (id[0] == '-' || '0' <= id[0] && id[0] <= '9')
}
