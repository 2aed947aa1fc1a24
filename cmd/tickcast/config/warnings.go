package config

import "fmt"

// usualMessage is the largest message that a NATS server accepts by default, the embedded one too.
const usualMessage = mib

// Warnings returns the doubts about a valid configuration, one sentence each.
func (c *Config) Warnings() (list []string) {
	for i := range c.Classes {
		if k := &c.Classes[i]; k.Mode == "all" && c.Flow.QueueBytes < usualMessage {
			list = append(list, fmt.Sprintf("flow.queue_bytes (%v) is smaller than the largest message of NATS (%v): a client that is behind on topics of %s holds one such message, and is closed by the next",
				c.Flow.QueueBytes, usualMessage, className(i, k.Match)))
			break
		}
	}
	return list
}
