package sim

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// A Result is the outcome of a run.
type Result struct {
	Violation string         // of a promise; "" = none
	Hash      uint64         // of all that the clients were told
	Met       map[string]int // events by kind
}

// Run carries out a script.
func (s Script) Run() (r Result) {
	w := newWorld(s.Setup)
	w.log = s.Log
	defer func() {
		if p := recover(); p != nil {
			w.violate("panic: %v\n%s", p, debug.Stack())
		}
		r = Result{w.violation, w.hash, w.met}
	}()
	for _, o := range s.ops {
		w.note("-- %v", o)
		if w.do(o); w.violation != "" {
			return
		}
	}
	w.finish()
	return
}

// finish ends all faults, lets every client have the newest messages, and takes everything apart.
func (w *World) finish() {
	for _, s := range w.streams {
		if s.leader = true; !s.exists {
			s.anew()
		}
	}
	for _, n := range w.nodes {
		n.allow(true)
		for _, l := range n.links {
			l.frozen = false
			l.up()
		}
	}
	w.quiet(7*time.Second, false)
	for t := range universe {
		w.publish(t, 1, 0)
	}
	w.quiet(400*time.Millisecond, true)
	for _, n := range w.nodes {
		if err := n.hub.Check(); err != nil {
			w.violate("node %d: %v", n.id, err)
		}
	}
	for _, c := range w.clients {
		if c.connected {
			c.leave()
		}
	}
	w.quiet(200*time.Millisecond, false)
	for _, n := range w.nodes {
		kept := int64(0) // topics of the class that is subscribed to from the start
		for t := range universe {
			if w.setup.Always > 0 && universe[t].delayed {
				kept++
			}
		}
		if st := n.hub.Stats(); st.Topics > kept || st.Interests > int64(w.setup.Always) || st.QueuedBytes != 0 || st.Subscribers != 0 {
			w.violate("node %d is left with %d topics, %d interests, %d queued bytes", n.id, st.Topics, st.Interests, st.QueuedBytes)
		}
	}
}

// Shrink returns the shortest script that it finds which still breaks the same kind of promise.
func (s Script) Shrink() Script {
	kind := kindOf(s.Run().Violation)
	for again := true; again; {
		again = false
		for size := max(len(s.ops)/2, 1); size > 0; size /= 2 {
			for at := 0; at+size <= len(s.ops); {
				less := s
				if less.ops = slices.Delete(slices.Clone(s.ops), at, at+size); kindOf(less.Run().Violation) == kind {
					s, again = less, true
				} else {
					at += size
				}
			}
		}
	}
	return s
}

// kindOf returns a violation without names and numbers.
func kindOf(violation string) string {
	violation, _, _ = strings.Cut(violation, "\n")
	words := strings.Fields(strings.TrimLeft(violation, "client0123456789: "))
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return strings.ContainsAny(w, "0123456789.{&%") }), " ")
}

// Report describes a failing seed: the violation, and a short script that shows it.
func Report(seed uint64, s Script) string {
	short := s.Shrink()
	return fmt.Sprintf("seed %d: %s\n# shortened: %s\n%v", seed, s.Run().Violation, short.Run().Violation, short)
}
