package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// reference is the file that explains every key.
const reference = "../../../config.toml"

// TestReference requires that config.toml and the tags agree: the file alone turns an empty configuration into the default
// one.
func TestReference(t *testing.T) {
	data, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	want, got := defaults().keys(), &Config{from: origins{}}
	if err := applyTOML(got, "config.toml", data); err != nil {
		t.Fatal(err)
	}
	for i, k := range got.keys() {
		if _, ok := got.from[k.path]; !ok {
			t.Errorf("config.toml does not have %s", k.path)
			continue
		}
		if !reflect.DeepEqual(k.value, want[i].value) {
			t.Errorf("%s: %s is %s, the default is %s", got.from[k.path], k.path, k.toml(), want[i].toml())
		}
	}
	if err := got.validate(); err != nil {
		t.Error(err)
	}
}

// TestReferenceComments requires that config.toml explains every key on its line.
func TestReferenceComments(t *testing.T) {
	data, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	header := regexp.MustCompile(`^\[([a-z.]+)\]`)
	entry := regexp.MustCompile(`^([a-z_]+) *= .*[^ ] +# .{10,}`)
	explained := map[string]bool{}
	section := ""
	for line := range strings.Lines(string(data)) {
		if m := header.FindStringSubmatch(line); m != nil {
			section = m[1]
		}
		if m := entry.FindStringSubmatch(line); m != nil {
			explained[section+"."+m[1]] = true
		}
	}
	for _, k := range defaults().keys() {
		if !explained[k.path] {
			t.Errorf("config.toml does not explain %s", k.path)
		}
	}
}

// TestReferenceTopic holds the class of topics in config.toml, which is commented out, to defaultClass, and requires that
// it explains every key.
func TestReferenceTopic(t *testing.T) {
	data, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	commented := regexp.MustCompile(`(?m)^#([a-z[])`) // prose has a space there
	c := &Config{from: origins{}}
	if err := applyTOML(c, "config.toml", commented.ReplaceAll(data, []byte("$1"))); err != nil {
		t.Fatal(err)
	}
	if len(c.Classes) != 1 {
		t.Fatalf("config.toml has %d classes of topics", len(c.Classes))
	}
	want := Config{Classes: []Class{defaultClass(c.Classes[0].Match)}}
	for i, k := range c.classKeys(0) {
		if w := want.classKeys(0)[i]; !reflect.DeepEqual(k.value, w.value) {
			t.Errorf("%s: %s is %s, the default is %s", c.from[k.path], k.name(), k.toml(), w.toml())
		}
		if !regexp.MustCompile(`(?m)^#` + k.name() + ` *= .*[^ ] +# .{10,}`).Match(data) {
			t.Errorf("config.toml does not explain %s of [[topic]]", k.name())
		}
	}
	if err := c.validate(); err != nil {
		t.Error(err)
	}
}

func TestDefaultIsFresh(t *testing.T) {
	defaults().Server.Listen[0] = "changed"
	if got := defaults().Server.Listen[0]; got == "changed" {
		t.Error("a change to one default configuration reached the next")
	}
}

func TestKeys(t *testing.T) {
	c := defaults()
	env := map[string]string{}
	for _, k := range c.keys() {
		k.expects() // panics on a type that it does not know
		if other, ok := env[k.env()]; ok {
			t.Errorf("%s and %s share %s", k.path, other, k.env())
		}
		env[k.env()] = k.path
		if got := k.section() + "." + k.name(); got != k.path {
			t.Errorf("section and name of %s make %s", k.path, got)
		}
	}
	if got := env["TICKCAST_NATS_EMBEDDED_LISTEN"]; got != "nats.embedded.listen" {
		t.Errorf("TICKCAST_NATS_EMBEDDED_LISTEN is %q", got)
	}
}

// TestEveryKeyFromEnvironment sets each key by its variable and reads it back.
func TestEveryKeyFromEnvironment(t *testing.T) {
	for i, k := range defaults().keys() {
		text := map[string]string{
			"a string": "other", "true or false": "true", "a whole number": "77", "a list of strings": "a, b",
			`a duration such as "25s"`: "77s", `a size such as "16KiB"`: "77KiB",
		}[k.expects()]
		c := defaults()
		if err := applyEnv(c, []string{"HOME=/", k.env() + "=" + text}); err != nil {
			t.Errorf("%s=%s: %v", k.env(), text, err)
			continue
		}
		if c.from[k.path] != k.env() || len(c.from) != 1 {
			t.Errorf("%s=%s: origins are %v", k.env(), text, c.from)
		}
		for j, other := range c.keys() {
			changed := !reflect.DeepEqual(other.value, defaults().keys()[j].value)
			if changed != (i == j) {
				t.Errorf("%s=%s: %s is %s", k.env(), text, other.path, other.toml())
			}
		}
	}
}

func TestEnvironmentNotText(t *testing.T) {
	err := applyEnv(defaults(), []string{"TICKCAST_SERVER_NODE=\xff"})
	if err == nil || err.Error() != "TICKCAST_SERVER_NODE: server.node: is not valid UTF-8" {
		t.Errorf("got %v", err)
	}
}

func TestInlineTables(t *testing.T) {
	c := &Config{from: origins{}}
	err := applyTOML(c, "f.toml", []byte(
		"server.loops = 3\n\nnats = { name = \"n\", embedded = { listen = \":1\", lisen = 1 } }\n",
	))
	if c.Server.Loops != 3 || c.NATS.Name != "n" || c.NATS.Embedded.Listen != ":1" {
		t.Errorf("got %+v", c)
	}
	if c.from["server.loops"] != "f.toml:1" {
		t.Errorf("origins are %v", c.from)
	}
	if err == nil || err.Error() != `f.toml: unknown key "lisen" in [nats.embedded]` {
		t.Errorf("got error %v", err)
	}
}

func TestSectionAsKey(t *testing.T) {
	for text, want := range map[string]string{
		"\nserver = 3\n": "f.toml:2: [server] is a section, not a key",
		"server = 3\nloop = 1\n[flow]\nslise = 1\n[[limits]]": "f.toml:1: [server] is a section, not a key\n" +
			"f.toml:2: unknown key \"loop\" outside of any section\nf.toml:4: unknown key \"slise\" in [flow]\n" +
			"f.toml:5: [limits] is a section, not a key",
	} {
		err := applyTOML(&Config{from: origins{}}, "f.toml", []byte(text))
		if err == nil || err.Error() != want {
			t.Errorf("%q: got error %v", text, err)
		}
	}
}

// TestDocumentedTopics loads all examples of docs/configuration.md together.
func TestDocumentedTopics(t *testing.T) {
	data, err := os.ReadFile("../../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, m := range regexp.MustCompile("(?ms)^```toml\n(.*?)^```").FindAllSubmatch(data, -1) {
		text.Write(m[1])
	}
	c := defaults()
	if err := applyTOML(c, "docs/configuration.md", []byte(text.String())); err != nil {
		t.Fatal(err)
	}
	if err := c.validate(); err != nil || len(c.Classes) < 4 {
		t.Errorf("%d classes of topics: %v", len(c.Classes), err)
	}
}

// TestTopicOrigins requires the line of each class and of each key of a class.
func TestTopicOrigins(t *testing.T) {
	const text = `[server]
loops = 3
[[topic]]
match = "px.>"

[[topic]] # nothing in it
[[topic]]
rates = [
  "1s",
]
match = "a" # mode is a default
[[topic]]
mode = "all"
`
	c := defaults()
	if err := applyTOML(c, "f.toml", []byte(text)); err != nil {
		t.Fatal(err)
	}
	want := origins{
		"server.loops": "f.toml:2",
		"topic.1":      "f.toml:3", "topic.1.match": "f.toml:4",
		"topic.2": "f.toml:6",
		"topic.3": "f.toml:7", "topic.3.rates": "f.toml:8", "topic.3.match": "f.toml:11",
		"topic.4": "f.toml:12", "topic.4.mode": "f.toml:13",
	}
	if !reflect.DeepEqual(c.from, want) {
		t.Errorf("got %v", c.from)
	}
	topics := []Class{defaultClass("px.>"), defaultClass(""), defaultClass("a"), defaultClass("")}
	topics[2].Rates, topics[3].Mode = []string{"1s"}, "all"
	if !reflect.DeepEqual(c.Classes, topics) {
		t.Errorf("got %+v", c.Classes)
	}
}

func TestInlineTopics(t *testing.T) {
	c := defaults()
	err := applyTOML(c, "f.toml", []byte(
		"mode = 1\ntopic = [\n  { match = \"a\" },\n  { match = \"b\", mode = 3, mod = \"all\", x = { y = 1 } },\n  { mode = 2 },\n]\n",
	))
	if len(c.Classes) != 3 || c.Classes[0].Match != "a" || c.Classes[1].Match != "b" {
		t.Errorf("got %+v", c.Classes)
	}
	want := []string{
		`f.toml:1: unknown key "mode" outside of any section`,
		`f.toml:2: unknown key "mod" in [[topic]] "b"`,
		`f.toml:2: topic.mode of "b": expects a string, not 3`,
		`f.toml:2: unknown key "x" in [[topic]] "b"`,
		`f.toml:2: topic.mode of entry 3: expects a string, not 2`,
	}
	if err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("got %v", err)
	}
}

func TestTopicsNotTables(t *testing.T) {
	for text, want := range map[string]string{
		"\n[topic]\nmatch = 1":     "f.toml:2: topic: expects a list of tables, not a table",
		"\ntopic.match = \"px.>\"": "f.toml:2: topic: expects a list of tables, not a table",
		"\ntopic = 3":              "f.toml:2: topic: expects a list of tables, not 3",
		"\ntopic = [{}, [{}]]":     "f.toml:2: topic: expects a list of tables, but element 2 is a list",
		"[[topic.x]]":              "f.toml:1: topic: expects a list of tables, not a table",
	} {
		c := defaults()
		if err := applyTOML(c, "f.toml", []byte(text)); err == nil || err.Error() != want || c.Classes != nil {
			t.Errorf("%q: got %+v, %v", text, c.Classes, err)
		}
	}
}

// TestTopicSubscribe requires "always" for classes with a delay and without subscribe.
func TestTopicSubscribe(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "demand",
		"delay = 0":                              "demand",
		`delay = "15m"`:                          "always",
		`subscribe = ""`:                         "demand",
		"subscribe = \"\"\ndelay = \"15m\"":      "always",
		`subscribe = "always"`:                   "always",
		"subscribe = \"demand\"\ndelay = \"1s\"": "demand", // an error of validate
	} {
		c := defaults()
		if err := applyTOML(c, "f.toml", []byte("[[topic]]\n"+text)); err != nil {
			t.Fatal(err)
		}
		if got := c.Classes[0].Subscribe; got != want {
			t.Errorf("%q: subscribe is %q, want %q", text, got, want)
		}
	}
}

// FuzzTOML applies arbitrary text. It must not panic, and an accepted configuration must survive printing and reading.
func FuzzTOML(f *testing.F) {
	// The seeds are short: with a whole config.toml the fuzzer spends its time on making it smaller.
	f.Add([]byte("[flow]\nslice = \"2ms\"\nqueue_bytes = \"128KiB\"\n[demo]\nenabled = true\n"))
	f.Add([]byte("[server]\nlisten = [\"[::1]:8080\", 3]\nloops = 1.5\n[server.x]\n"))
	f.Add([]byte("nats = { embedded = { listen = \"\\u0001\\u007f\\\"\" } }\n[[server]]\n"))
	f.Add([]byte("[limits]\nmax_message_size = -9223372036854775808\nclose_timeout = 1979-05-27T07:32:00Z\n"))
	f.Add([]byte("[[topic]]\nmatch = \"a.*\"\nsubject = \"$1\"\nrates = [\"1s\"]\n[[topic]]\ndelay = \"1s\"\n[topic.x]\n"))
	f.Add([]byte("topic = [{ match = \">\", public = false, history = 3 }, {}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := defaults()
		if applyTOML(c, "f.toml", data) != nil {
			return
		}
		c.validate()
		var b strings.Builder
		if err := c.Print(&b); err != nil {
			t.Fatal(err)
		}
		again := &Config{from: origins{}}
		if err := applyTOML(again, "again.toml", []byte(b.String())); err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		c.from, again.from = nil, nil
		if !reflect.DeepEqual(c, again) {
			t.Fatalf("printed and read back, it differs:\n%s", b.String())
		}
	})
}
