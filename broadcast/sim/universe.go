package sim

import (
	"time"

	"tickcast/broadcast/subject"
	"tickcast/broadcast/topics"
)

// A topicInfo is a topic of the universe. It is immutable.
type topicInfo struct {
	name     string
	subject  string // of NATS
	class    int    // index into classesOf
	lossless bool
	stream   int // index into World.streams; -1 = core NATS
	delayed  bool
}

// The classes, by index.
const (
	classLast = iota
	classAll
	classDelayed
	classSilent
	classMapped
	classStreamAll
	classStreamLast
)

// streams is the number of JetStream streams; stream i stands behind class classStreamAll+i.
const streams = 2

const (
	delay      = 20 * time.Millisecond
	staleAfter = 150 * time.Millisecond
	linger     = 40 * time.Millisecond
)

// classesOf returns the classes of a run.
func classesOf(history int) []topics.Class {
	return []topics.Class{
		{Match: "px.>", Rates: []time.Duration{50 * time.Millisecond, 120 * time.Millisecond}},
		{Match: "ord.>", Mode: topics.ModeAll, History: history},
		{Match: "dl.>", Mode: topics.ModeAll, History: history, Delay: delay},
		{Match: "st.>", StaleAfter: staleAfter, History: history},
		{Match: "mp.*", Subject: "raw.$1", Mode: topics.ModeAll, History: history / 2},
		{Match: "js.>", Mode: topics.ModeAll, Snapshot: topics.SnapshotStream, History: history},
		{Match: "jl.>", Snapshot: topics.SnapshotStream},
	}
}

// mostTopics is the size of the universe.
const mostTopics = 17

// universe are all topics.
var universe = newUniverse()

func newUniverse() (list []topicInfo) {
	classes := classesOf(1)
	for _, t := range []struct {
		name  string
		class int
	}{
		{"px.a", classLast}, {"px.b", classLast}, {"px.c.d", classLast},
		{"ord.a", classAll}, {"ord.b", classAll}, {"ord.c.d", classAll},
		{"dl.a", classDelayed}, {"dl.b", classDelayed},
		{"st.a", classSilent}, {"st.b", classSilent},
		{"mp.a", classMapped}, {"mp.b", classMapped},
		{"js.a", classStreamAll}, {"js.b", classStreamAll}, {"js.c", classStreamAll},
		{"jl.a", classStreamLast}, {"jl.b", classStreamLast},
	} {
		c := classes[t.class]
		info := topicInfo{name: t.name, subject: t.name, class: t.class, lossless: c.Mode == topics.ModeAll, stream: -1, delayed: c.Delay > 0}
		if t.class == classMapped {
			info.subject = "raw." + t.name[len("mp."):]
		}
		if c.Snapshot == topics.SnapshotStream {
			info.stream = t.class - classStreamAll
		}
		list = append(list, info)
	}
	return list
}

// A nameInfo is a topic or pattern that clients subscribe to. It is immutable.
type nameInfo struct {
	name    string
	matches []int // indexes into universe
	of      int   // the class of all its topics; -1 = several
}

// names are all names, the topics first.
var names = newNames()

func newNames() (list []nameInfo) {
	for i, t := range universe {
		list = append(list, nameInfo{t.name, []int{i}, t.class})
	}
	for _, p := range []string{"px.*", "ord.>", "ord.*", "dl.>", "st.*", "mp.*", "js.>", "js.*", "jl.>", "*.a", ">"} {
		n := nameInfo{name: p, of: -1}
		for i, t := range universe {
			if subject.Covers(p, t.name) {
				n.matches = append(n.matches, i)
			}
		}
		if subject.Covers(classesOf(1)[universe[n.matches[0]].class].Match, p) {
			n.of = universe[n.matches[0]].class
		}
		list = append(list, n)
	}
	return list
}

// topicByName finds a topic; -1 without one.
func topicByName(name []byte) int {
	for i := range universe {
		if universe[i].name == string(name) {
			return i
		}
	}
	return -1
}

// topicsUnderSubject returns the topics of core NATS whose subjects a subscription matches.
func topicsUnderSubject(pattern string) (list []int) {
	for i, t := range universe {
		if t.stream < 0 && subject.Covers(pattern, t.subject) {
			list = append(list, i)
		}
	}
	return list
}
