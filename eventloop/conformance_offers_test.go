package eventloop_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// An offer is a handshake's lines of Sec-WebSocket-Extensions, each a list.
type offer struct {
	name     string
	lines    []string
	accepted int // index of the element that must be accepted, over all lists; -1 = none
}

const (
	pmd            = "permessage-deflate"
	serverNoMemory = "server_no_context_takeover"
	clientNoMemory = "client_no_context_takeover"
	serverBits     = "server_max_window_bits"
	clientBits     = "client_max_window_bits"
)

// validOffers are all combinations of parameters that matter. The server agrees to each.
func validOffers() (offers []offer) {
	add := func(params ...string) {
		line := strings.Join(append([]string{pmd}, params...), "; ")
		offers = append(offers, offer{line, []string{line}, 0})
	}
	add()
	add(serverNoMemory)
	add(clientNoMemory)
	add(serverNoMemory, clientNoMemory)
	for _, n := range []string{"8", "9", "10", "11", "12", "13", "14", "15"} {
		add(serverBits + "=" + n)
		add(clientBits + "=" + n)
		add(serverBits+"="+n, serverNoMemory)
	}
	add(clientBits)
	add(clientBits, serverBits+"=8")
	add(clientBits+"=8", clientNoMemory, serverBits+"=8", serverNoMemory)
	add(clientBits+"=9", serverBits+"=9")
	add(clientBits+"=15", serverBits+"=15", clientNoMemory)
	add(clientBits, serverNoMemory, clientNoMemory)
	return offers
}

// otherOffers are lists, other spellings, and offers that must be declined.
func otherOffers() []offer {
	offers := listedOffers
	for _, value := range []string{"0", "1", "7", "16", "08", "015", "+9", "9.0", "1e1", "0x9", "ten", "100", "-8", "18446744073709551624", `"16"`, `"08"`} {
		for _, name := range []string{serverBits, clientBits} {
			offers = append(offers, offer{name + "=" + value, []string{pmd + "; " + name + "=" + value}, -1})
		}
	}
	return offers
}

var listedOffers = []offer{
	{"no extension", nil, -1},
	{"unknown extension", []string{"x-unknown"}, -1},
	{"unknown extension with parameters", []string{`x-unknown; a; b=1; c="2"`}, -1},
	{"the older name", []string{"x-webkit-deflate-frame"}, -1},
	{"a longer name", []string{pmd + "d"}, -1},
	{"the older framing", []string{"permessage-compress; method=deflate"}, -1},

	{"fallback", []string{pmd + "; " + serverBits + "=10, " + pmd}, 0},
	{"fallback from an unknown extension", []string{"x-unknown, " + pmd}, 1},
	{"fallback from an unknown parameter", []string{pmd + "; x=1, " + pmd + "; " + serverNoMemory}, 1},
	{"fallback from an invalid value", []string{pmd + "; " + serverBits + "=16, " + pmd + "; " + serverBits + "=7, " + pmd + "; " + serverBits + "=9"}, 2},
	{"fallback on another line", []string{pmd + "; unknown", pmd + "; " + clientBits}, 1},
	{"fallback on a line behind an unknown extension", []string{"x-a, x-b", "x-c", pmd}, 3},
	{"nothing to fall back to", []string{pmd + "; x, " + pmd + "; y"}, -1},

	{"no blanks", []string{pmd + ";" + serverBits + "=12;" + clientBits}, 0},
	{"many blanks", []string{"  " + pmd + " \t;\t" + serverBits + "=12  ;  " + clientBits + "  "}, 0},
	{"empty elements", []string{", ," + pmd + " ,"}, 0},
	{"quoted value", []string{pmd + "; " + serverBits + `="10"`}, 0},
	{"quoted value of the client", []string{pmd + "; " + clientBits + `="12"`}, 0},
	{"quoted value with an escape", []string{pmd + "; " + serverBits + `="1\1"`}, 0},

	{"unknown parameter", []string{pmd + "; unknown"}, -1},
	{"unknown parameter behind known ones", []string{pmd + "; " + clientBits + "; " + serverBits + "=10; unknown=1"}, -1},
	{"server bits without a value", []string{pmd + "; " + serverBits}, -1},
	{"value for " + serverNoMemory, []string{pmd + "; " + serverNoMemory + "=1"}, -1},
	{"value for " + clientNoMemory, []string{pmd + "; " + clientNoMemory + "=true"}, -1},
	{"quoted value for " + clientNoMemory, []string{pmd + "; " + clientNoMemory + `="x"`}, -1},
	{"twice " + serverNoMemory, []string{pmd + "; " + serverNoMemory + "; " + serverNoMemory}, -1},
	{"twice " + clientNoMemory, []string{pmd + "; " + clientNoMemory + "; " + clientNoMemory}, -1},
	{"twice " + serverBits, []string{pmd + "; " + serverBits + "=10; " + serverBits + "=10"}, -1},
	{"twice " + clientBits, []string{pmd + "; " + clientBits + "; " + clientBits + "=10"}, -1},
}

// offers are answered within RFC 7692 section 7.1, and the connection works with the agreement.
func (s *suite) offers(t *testing.T) {
	for _, o := range append(validOffers(), otherOffers()...) {
		s.run(t, o.name, func(t *testing.T) {
			p := s.dial(t, o.lines...)
			d, err := o.answered(p.agreed)
			if err != nil {
				t.Fatalf("offered %q, answered %q: %v", o.lines, p.agreed, err)
			}
			p.write(atOnce, text("plain"), closing(1000, ""))
			if o.accepted >= 0 {
				p.talk(t, d).expect("plain", opText)
			} else {
				p.expect(t, text("plain"))
			}
			p.expectClose(t, 1000)
		})
	}
}

// An agreement holds the parameters of a connection's compression.
type agreement struct {
	serverBits, clientBits         int // of the windows
	serverTakeover, clientTakeover bool
}

// answered judges the server's lines as a client must.
func (o offer) answered(lines []string) (a agreement, err error) {
	if o.accepted < 0 {
		if lines != nil {
			err = fmt.Errorf("nothing may be accepted")
		}
		return a, err
	}
	if len(lines) != 1 {
		return a, fmt.Errorf("one line is wanted")
	}
	var elements []string
	for element := range strings.SplitSeq(strings.Join(o.lines, ","), ",") {
		if element = strings.TrimSpace(element); element != "" {
			elements = append(elements, element)
		}
	}
	offered, err := params(elements[o.accepted])
	if err != nil {
		return a, err
	}
	got, err := params(lines[0])
	if err != nil {
		return a, err
	}
	a = agreement{15, 15, true, true}
	for name, value := range got {
		wanted, asked := offered[name]
		n, _ := strconv.Atoi(value)
		most := 15
		if wanted != "" {
			most, _ = strconv.Atoi(wanted)
		}
		switch name {
		case serverNoMemory:
			a.serverTakeover = false
		case clientNoMemory:
			a.clientTakeover = false
		case serverBits:
			a.serverBits = n
		case clientBits:
			a.clientBits = n
			if !asked {
				return a, fmt.Errorf("%s was not offered", name)
			}
		default:
			return a, fmt.Errorf("unknown %s", name)
		}
		switch bits := name == serverBits || name == clientBits; {
		case !bits && value != "":
			return a, fmt.Errorf("%s has a value", name)
		case bits && (strconv.Itoa(n) != value || n < 8 || n > most):
			return a, fmt.Errorf("%s is %q, offered %q", name, value, wanted)
		}
	}
	for _, name := range []string{serverNoMemory, serverBits} {
		if _, ok := offered[name]; !ok {
			continue
		}
		if _, ok := got[name]; !ok {
			return a, fmt.Errorf("%s is missing", name)
		}
	}
	return a, nil
}

// params splits permessage-deflate and its parameters. It knows only the quoting in the table of offers.
func params(element string) (map[string]string, error) {
	parts := strings.Split(element, ";")
	if name := strings.TrimSpace(parts[0]); name != pmd {
		return nil, fmt.Errorf("extension %q", name)
	}
	m := make(map[string]string)
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := m[name]; twice {
			return nil, fmt.Errorf("twice %s", name)
		}
		m[name] = string(slices.DeleteFunc([]byte(value), func(c byte) bool { return c == '"' || c == '\\' }))
	}
	return m, nil
}
