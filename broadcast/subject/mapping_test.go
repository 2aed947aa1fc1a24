package subject

import (
	"strings"
	"testing"
)

func TestMapping(t *testing.T) {
	for _, c := range []struct{ match, subject, topic, want string }{
		{"delayed.px.*", "px.$1", "delayed.px.A", "px.A"},
		{"free.>", ">", "free.px.A", "px.A"},
		{"x.*.*", "y.$2.$1", "x.a.b", "y.b.a"},
		{"x.*.>", "y.$1.z.>", "x.a.b.c", "y.a.z.b.c"},
		{"*.*.*.*.*.*.*.*.*.*", "$10.$9.$8.$7.$6.$5.$4.$3.$2.$1", "a.b.c.d.e.f.g.h.i.j", "j.i.h.g.f.e.d.c.b.a"},
		{"one", "another.one", "one", "another.one"},
		{"delayed.px.*", "px.$1", "delayed.px.*", "px.*"},
		{"free.>", ">", "free.px.>", "px.>"},
	} {
		m := NewMapping(c.match, c.subject)
		if got := m.Apply(c.topic); got != c.want {
			t.Errorf("%s behind %s: topic %s became %s, want %s", c.subject, c.match, c.topic, got, c.want)
		}
		if strings.ContainsAny(c.topic, "*>") {
			continue
		}
		if got, ok := m.Invert(c.want); !ok || got != c.topic {
			t.Errorf("%s behind %s: subject %s is topic %q, %v, want %s", c.subject, c.match, c.want, got, ok, c.topic)
		}
		if got, ok := m.Invert("other.subject.of.all.of.them.x"); ok && c.subject != ">" {
			t.Errorf("%s: a foreign subject became %s", c.subject, got)
		}
	}
}
