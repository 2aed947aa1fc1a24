package config

import (
	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// TopicClasses returns the classes of topics of a valid c in the form of the hub. A word that the maps lack is the zero value
// there.
func (c *Config) TopicClasses() (list []topics.Class) {
	for _, t := range c.Classes {
		k := topics.Class{
			Match: t.Match, Subject: t.Subject, Stream: t.Stream, Domain: t.Domain,
			History: t.History, HistoryTTL: t.HistoryTTL, StaleAfter: t.StaleAfter, Delay: t.Delay,
			Mode:     map[string]topics.Mode{"all": topics.ModeAll}[t.Mode],
			Snapshot: map[string]topics.Snapshot{"none": topics.SnapshotNone, "jetstream": topics.SnapshotStream}[t.Snapshot],
			Payload:  map[string]wire.Payload{"text": wire.PayloadText, "binary": wire.PayloadBinary}[t.Payload],
			Plain:    !t.Compress, Always: t.Subscribe == "always", Private: !t.Public,
		}
		for _, rate := range t.Rates {
			if d, err := parseDuration(rate); err == nil {
				k.Rates = append(k.Rates, d)
			}
		}
		list = append(list, k)
	}
	return list
}
