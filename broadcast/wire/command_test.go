package wire

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// parseTable holds one client message a row, and the reply: an ack without topics where the message is a command.
var parseTable = []struct{ name, in, want string }{
	// Ids are echoed as they came.
	{"id is a number", `{"op":"list","id":5}`, `{"op":"ack","id":5,"topics":[]}`},
	{"id is a fraction", `{"op":"list","id":-1.50e2}`, `{"op":"ack","id":-1.50e2,"topics":[]}`},
	{"id is a string", `{"op":"list","id":"a<b>\u0041"}`, `{"op":"ack","id":"a<b>\u0041","topics":[]}`},
	{"id is absent", `{"op":"list"}`, `{"op":"ack","topics":[]}`},
	{"id is null", `{"op":"list","id":null}`, `{"op":"ack","topics":[]}`},
	{"id is as long as may be", `{"op":"list","id":"` + strings.Repeat("x", 64) + `"}`,
		`{"op":"ack","id":"` + strings.Repeat("x", 64) + `","topics":[]}`},
	{"id is too long", `{"op":"list","id":"` + strings.Repeat("x", 65) + `"}`, badID},
	{"id is a huge number", `{"op":"list","id":` + strings.Repeat("9", 65) + `}`, badID},
	{"id is an object", `{"op":"list","id":{"a":1}}`, badID},
	{"id is an array", `{"op":"list","id":[1]}`, badID},
	{"id is true", `{"op":"list","id":true}`, badID},

	// Messages that are no command.
	{"nothing", ``, `{"op":"err","code":107,"msg":"bad request: not JSON at byte 0"}`},
	{"half of one", `{"op":"list"`, `{"op":"err","code":107,"msg":"bad request: not JSON at byte 12"}`},
	{"two", `{"op":"list"} {}`, `{"op":"err","code":107,"msg":"bad request: not JSON at byte 15"}`},
	{"text", `hello`, `{"op":"err","code":107,"msg":"bad request: not JSON at byte 1"}`},
	{"too deep", strings.Repeat("[", 20000), `{"op":"err","code":107,"msg":"bad request: not JSON at byte 10001"}`},
	{"an array", `[1]`, `{"op":"err","code":107,"msg":"bad request: not a JSON object"}`},
	{"a string", `"sub"`, `{"op":"err","code":107,"msg":"bad request: not a JSON object"}`},
	{"null", `null`, `{"op":"err","code":107,"msg":"bad request: no op"}`},
	{"no op", `{"id":1}`, `{"op":"err","id":1,"code":107,"msg":"bad request: no op"}`},
	{"op is a number", `{"op":1,"id":7}`, `{"op":"err","id":7,"code":107,"msg":"bad request: \"op\" must not be a number"}`},
	{"topics is a string", `{"id":8,"op":"sub","topics":"px.A"}`, `{"op":"err","id":8,"code":107,"msg":"bad request: \"topics\" must not be a string"}`},
	{"a topic is a number", `{"id":8,"op":"sub","topics":[1]}`, `{"op":"err","id":8,"code":107,"msg":"bad request: \"topics\" must not be a number"}`},
	{"bad type and bad id", `{"op":1,"id":[]}`, `{"op":"err","code":107,"msg":"bad request: \"op\" must not be a number"}`},
	{"other case", `{"OP":"list","id":1}`, `{"op":"err","id":1,"code":107,"msg":"bad request: no op"}`},
	{"a letter that folds", `{"op":"list","id":1,"topic\u017f":["a"],"top\u0131cs":1}`, `{"op":"ack","id":1,"topics":[]}`},
	{"a long s", `{"op":"list","id":1,"topicſ":7}`, `{"op":"ack","id":1,"topics":[]}`},
	{"other case beside the real one", `{"op":"list","OP":"sub","Id":2,"id":1}`, `{"op":"ack","id":1,"topics":[]}`},
	{"op twice", `{"op":"list","op":"sub","id":1}`, `{"op":"err","id":1,"code":107,"msg":"bad request: \"op\" comes twice"}`},
	{"op twice, once in escapes", `{"op":"list","\u006fp":"sub","id":1}`, `{"op":"err","id":1,"code":107,"msg":"bad request: \"op\" comes twice"}`},
	{"op in escapes", `{"\u006f\u0070":"\u006cist","id":1}`, `{"op":"ack","id":1,"topics":[]}`},
	{"an unknown field twice", `{"op":"list","x":1,"x":2,"id":1}`, `{"op":"ack","id":1,"topics":[]}`},
	{"white space", "\t{ \n\"op\" :\r\"list\" , \"id\":1 , \"topics\" : [ \"a\" , \"b\" ] } ", `{"op":"ack","id":1,"topics":[]}`},
	{"names inside of a value", `{"x":{"op":"sub","]":"}"},"op":"list","y":["op","sub"],"id":1}`, `{"op":"ack","id":1,"topics":[]}`},
	{"unknown fields", `{"op":"list","id":1,"color":{"a":[]}}`, `{"op":"ack","id":1,"topics":[]}`},
}

const badID = `{"op":"err","code":107,"msg":"bad request: id must be a number or a string of at most 64 bytes"}`

func reply(c *Command, err error) []byte {
	if err != nil {
		return ErrFrame(c.ID, ErrorOf(err))
	}
	return (&Ack{Topics: []AckTopic{}}).Frame(c.ID)
}

func TestParseCommand(t *testing.T) {
	for _, c := range parseTable {
		t.Run(c.name, func(t *testing.T) {
			if got, err := payloadOf(reply(ParseCommand([]byte(c.in)))); err != nil || string(got) != c.want {
				t.Errorf("%s\ngot  %s (%v)\nwant %s", c.in, got, err, c.want)
			}
		})
	}
}

func TestCommandErrorsAreForClients(t *testing.T) {
	_, err := ParseCommand([]byte(`{"id":3}`))
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeBadRequest || e.Error() != "wire: bad request: no op" {
		t.Errorf("got %v", err)
	}
}

func TestParseCursor(t *testing.T) {
	for in, want := range map[string]Cursor{
		"k3Qd:918273": {"k3Qd", 918273}, "a:0": {"a", 0}, "a:18446744073709551615": {"a", 1<<64 - 1},
	} {
		if got, err := ParseCursor(in); err != nil || got != want {
			t.Errorf("%q = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", ":", ":1", "a", "a:", "a:-1", "a:x", "a:1:2", "a:18446744073709551616", "a:+1", "a: 1"} {
		if got, err := ParseCursor(in); err == nil {
			t.Errorf("%q = %v, want an error", in, got)
		}
	}
}

func TestQuoted(t *testing.T) {
	for in, want := range map[string]string{
		"subb": `"subb"`, "a\"\n\x00": `"a\"\n\x00"`, strings.Repeat("x", 32): `"` + strings.Repeat("x", 32) + `"`,
		strings.Repeat("x", 31) + "日": `"` + strings.Repeat("x", 31) + `\xe6..."`,
	} {
		if got := Quoted(in); got != want {
			t.Errorf("Quoted(%q) = %s, want %s", in, got, want)
		}
	}
}

// The commands are those that encoding/json reads, where no name is twice or in another case.
func FuzzParseCommandAgainstJSON(f *testing.F) {
	for _, c := range parseTable {
		f.Add(c.in)
	}
	f.Add(`{"op":"sub","topics":["a","\u0041\n",null],"data":{"x":[1,"}"]},"rate":"1s","after":"e:1","token":"t","topic":"a"}`)
	f.Fuzz(func(t *testing.T, in string) {
		c, err := ParseCommand([]byte(in))
		if err != nil {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(in), &members); err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		text := func(name string) (s string) {
			_ = json.Unmarshal(members[name], &s)
			return s
		}
		var of map[string]string
		_ = json.Unmarshal(members["after"], &of)
		var list []string
		_ = json.Unmarshal(members["topics"], &list)
		id := string(members["id"])
		if id == "null" {
			id = ""
		}
		if c.Op != text("op") || c.Topic != text("topic") || c.Rate != text("rate") || c.After.Cursor != text("after") || !maps.Equal(c.After.Of, of) || c.Token != text("token") ||
			string(c.ID) != id || string(c.Data) != string(members["data"]) || !slices.Equal(c.Topics, list) {
			t.Errorf("%q is %+v", in, c)
		}
	})
}

func BenchmarkParseCommand(b *testing.B) {
	in := []byte(`{"op":"sub","id":17,"topics":["px.AAPL","px.MSFT","px.FX.EURUSD"],"rate":"250ms"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseCommand(in); err != nil {
			b.Fatal(err)
		}
	}
}

// Every client message has a readable reply.
func FuzzParseCommand(f *testing.F) {
	for _, c := range parseTable {
		f.Add(c.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		c, err := ParseCommand([]byte(in))
		if e := ErrorOf(err); err != nil && (e.Code != CodeBadRequest || e.Reason == "") {
			t.Fatalf("%q failed with %v", in, err)
		}
		if err == nil && c.Op == "" {
			t.Fatalf("%q has no op", in)
		}
		if _, err := payloadOf(reply(c, err)); err != nil && utf8.ValidString(in) {
			t.Fatalf("the reply to %q: %v", in, err)
		}
	})
}
