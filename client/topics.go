package client

import "strings"

// Covers reports whether a pattern, or a topic, covers a topic: * stands for one token, and > at the end for one or more.
func Covers(pattern, topic string) bool {
	for {
		p, patternLeft, morePattern := strings.Cut(pattern, ".")
		t, topicLeft, moreTopic := strings.Cut(topic, ".")
		if p == ">" && !morePattern {
			return true
		}
		if p != t && (p != "*" || t == ">") || morePattern != moreTopic {
			return false
		}
		if !morePattern {
			return true
		}
		pattern, topic = patternLeft, topicLeft
	}
}

func isPattern(topic string) bool { return strings.ContainsAny(topic, "*>") }
