package main

import "tickcast/broadcast"

// classes returns the topic classes as the hub takes them. They have been validated.
func (c *Config) classes() (list []broadcast.Class) {
	for _, t := range c.Topics {
		k := broadcast.Class{
			Match: t.Match, Subject: t.Subject,
			History: t.History, HistoryTTL: t.HistoryTTL, StaleAfter: t.StaleAfter, Delay: t.Delay,
			Plain: !t.Compress, Always: t.Subscribe == "always", Private: !t.Public,
		}
		if t.Mode == "all" {
			k.Mode = broadcast.ModeAll
		}
		for _, rate := range t.Rates {
			if d, err := parseDuration(rate); err == nil {
				k.Rates = append(k.Rates, d)
			}
		}
		switch t.Snapshot {
		case "none":
			k.Snapshot = broadcast.SnapshotNone
		case "jetstream":
			k.Snapshot = broadcast.SnapshotStream
		}
		switch t.Payload {
		case "text":
			k.Payload = broadcast.PayloadText
		case "binary":
			k.Payload = broadcast.PayloadBinary
		}
		list = append(list, k)
	}
	return list
}
