package main

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

// maxTopicLength is the largest limits.max_topic_length: half of the line that NATS allows for a command and its subject.
const maxTopicLength = 2048

// Validate returns everything that is wrong with c joined, each problem a *keyError, or nil. It looks at the files that c
// names, but opens no port.
func (c *Config) Validate() error {
	var v validation
	v.server(&c.Server)
	v.limits(&c.Limits)
	v.connection(&c.Connection)
	v.flow(&c.Flow)
	v.compression(&c.Compression)
	v.nats(&c.NATS)
	v.addresses(c)
	longest := max(c.Limits.MaxTopicLength, 1) // if it is wrong, it has been told already
	v.patterns("subscribe.topics", c.Subscribe.Topics, longest)
	v.patterns("publish.topics", c.Publish.Topics, longest)
	between(&v, "demo.symbols", c.Demo.Symbols, 1, 100_000)
	between(&v, "demo.rate", c.Demo.Rate, 1, 1_000_000)
	v.debug(&c.Debug, c.Server.StreamPath, c.Limits.MaxMessageSize)
	v.duration("shutdown.timeout", c.Shutdown.Timeout, time.Millisecond, time.Hour)
	v.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", c.Log.Format, "text", "json")
	v.runtime(&c.Runtime)
	v.topics(c, longest)
	return errors.Join(v.problems...)
}

// A validation collects problems.
type validation struct {
	of       string // the class of topics that is looked at; "" = none
	problems []error
}

// bad notes that key's value is wrong and why.
func (v *validation) bad(key, format string, args ...any) {
	v.problems = append(v.problems, &keyError{key: key, of: v.of, err: fmt.Errorf(format, args...)})
}

// between demands low <= n <= high.
func between[T int | Size](v *validation, key string, n, low, high T) {
	if n < low || n > high {
		v.bad(key, "must be between %v and %v, not %v", low, high, n)
	}
}

// zeroOr demands 0 or low <= n <= high.
func zeroOr[T int | Size](v *validation, key string, n, low, high T) {
	if n != 0 && (n < low || n > high) {
		v.bad(key, "must be 0 or between %v and %v, not %v", low, high, n)
	}
}

func (v *validation) duration(key string, d, low, high time.Duration) {
	if d < low || d > high {
		v.bad(key, "must be between %s and %s, not %s", formatDuration(low), formatDuration(high), formatDuration(d))
	}
}

func (v *validation) zeroOrDuration(key string, d, low, high time.Duration) {
	if d != 0 && (d < low || d > high) {
		v.bad(key, "must be 0 or between %s and %s, not %s", formatDuration(low), formatDuration(high), formatDuration(d))
	}
}

func (v *validation) oneOf(key, s string, known ...string) {
	if !slices.Contains(known, s) {
		v.bad(key, "must be one of %s, not %q", strings.Join(known, ", "), s)
	}
}

func (v *validation) server(c *ServerConfig) {
	if len(c.Node) > 64 || strings.ContainsFunc(c.Node, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		v.bad("server.node", "must be at most 64 bytes without spaces, not %.80q", c.Node)
	}
	switch p := c.StreamPath; {
	case !strings.HasPrefix(p, "/") || p == "/":
		v.bad("server.stream_path", "must begin with / and name something below it, not %q", p)
	case strings.ContainsFunc(p, unfitForPath):
		v.bad("server.stream_path", "must not hold spaces, ?, #, %% or anything but ASCII: %q", p)
	case path.Clean(p) != p:
		v.bad("server.stream_path", "must be written %q, not %q", path.Clean(p), p)
	}
	between(v, "server.loops", c.Loops, 0, 4096)
	between(v, "server.backlog", c.Backlog, 1, 65535)
	zeroOr(v, "server.send_buffer", c.SendBuffer, 2*kib, gib)
	zeroOr(v, "server.notsent_lowat", c.NotsentLowat, 1, gib)
	v.zeroOrDuration("server.tcp_user_timeout", c.TCPUserTimeout, time.Millisecond, 24*time.Hour) // the kernel counts milliseconds
}

// unfitForPath reports whether r would have to be escaped in the path of a URL, or ends it.
func unfitForPath(r rune) bool { return r <= ' ' || r >= 0x7f || r == '?' || r == '#' || r == '%' }

func (v *validation) limits(c *LimitsConfig) {
	between(v, "limits.max_connections", c.MaxConnections, 0, 1<<30)
	between(v, "limits.max_topics", c.MaxTopics, 1, 1<<30)
	between(v, "limits.max_topics_per_connection", c.MaxTopicsPerConnection, 1, 1<<20)
	between(v, "limits.max_topic_length", c.MaxTopicLength, 1, maxTopicLength)
	between(v, "limits.max_topic_tokens", c.MaxTopicTokens, 1, maxTopicLength)
	between(v, "limits.max_wildcards_per_connection", c.MaxWildcardsPerConnection, 1, 1<<20)
	between(v, "limits.max_wildcard_matches", c.MaxWildcardMatches, 1, 1<<30)
	between(v, "limits.wildcard_matches_per_second", c.WildcardMatchesPerSecond, 1, 1<<30)
	between(v, "limits.max_message_size", c.MaxMessageSize, 256, 64*mib)
	between(v, "limits.max_header_size", c.MaxHeaderSize, kib, mib)
	v.duration("limits.handshake_timeout", c.HandshakeTimeout, time.Millisecond, time.Hour)
	v.duration("limits.first_message_timeout", c.FirstMessageTimeout, time.Millisecond, time.Hour)
	v.duration("limits.close_timeout", c.CloseTimeout, time.Millisecond, time.Hour)
}

func (v *validation) connection(c *ConnectionConfig) {
	v.zeroOrDuration("connection.heartbeat", c.Heartbeat, time.Millisecond, 24*time.Hour) // clients are told milliseconds
	v.duration("connection.ping_interval", c.PingInterval, time.Millisecond, 24*time.Hour)
	v.duration("connection.idle_timeout", c.IdleTimeout, time.Millisecond, 48*time.Hour)
	if c.IdleTimeout <= c.PingInterval {
		v.bad("connection.idle_timeout", "must be longer than connection.ping_interval (%s), or clients that answer are cut off",
			formatDuration(c.PingInterval))
	}
}

func (v *validation) flow(c *FlowConfig) {
	between(v, "flow.queue_bytes", c.QueueBytes, 4*kib, gib)
	between(v, "flow.input_bytes", c.InputBytes, 64*kib, gib)
	between(v, "flow.mailbox_messages", c.MailboxMessages, 1, 1<<24)
	between(v, "flow.mailbox_bytes", c.MailboxBytes, 64*kib, 64*gib)
	v.duration("flow.slice", c.Slice, 100*time.Microsecond, time.Second)
	v.duration("flow.flush_interval", c.FlushInterval, 0, time.Second)
	zeroOr(v, "flow.memory_budget", c.MemoryBudget, mib, 1<<20*gib)
	between(v, "flow.history_bytes", c.HistoryBytes, 64*kib, 1<<20*gib)
	between(v, "flow.delay_bytes", c.DelayBytes, 64*kib, 1<<20*gib)
}

func (v *validation) compression(c *CompressionConfig) {
	between(v, "compression.level", c.Level, 1, 9)
	between(v, "compression.min_size", c.MinSize, 0, 64*mib)
	between(v, "compression.server_max_window_bits", c.ServerMaxWindowBits, wsproto.MinWindowBits, wsproto.MaxWindowBits)
	between(v, "compression.client_max_window_bits", c.ClientMaxWindowBits, wsproto.MinWindowBits, wsproto.MaxWindowBits)
}

func (v *validation) debug(c *DebugConfig, streamPath string, maxMessage Size) {
	const key = "debug.echo_path"
	clean := path.Clean(c.EchoPath)
	if clean != "/" && strings.HasSuffix(c.EchoPath, "/") {
		clean += "/"
	}
	switch p := c.EchoPath; {
	case p == "":
	case !strings.HasPrefix(p, "/"):
		v.bad(key, "%w", withHint(fmt.Errorf("must begin with /, not %q", p), "try \"/"+p+"\", or \"\" for no echo"))
	case strings.ContainsFunc(p, unfitForPath):
		v.bad(key, "must not hold spaces, ?, #, %% or anything but ASCII: %q", p)
	case p == streamPath:
		v.bad(key, "%w", withHint(fmt.Errorf("must not be server.stream_path (%q)", p),
			"\"/\" echoes wherever nothing else is served"))
	case p != clean:
		v.bad(key, "must be written %q, not %q", clean, p)
	}
	between(v, "debug.echo_queue_bytes", c.EchoQueueBytes, 4*kib, gib)
	if c.EchoPath != "" && c.EchoQueueBytes < 2*maxMessage {
		v.bad("debug.echo_queue_bytes", "must be at least twice limits.max_message_size (%v), not %v", maxMessage, c.EchoQueueBytes)
	}
}

func (v *validation) runtime(c *RuntimeConfig) {
	switch {
	case c.GOGC != -1:
		between(v, "runtime.gogc", c.GOGC, 1, 10_000)
	case c.MemoryLimit == 0:
		v.bad("runtime.gogc", "must not be -1 (off) without runtime.memory_limit: nothing would ever be collected")
	}
	zeroOr(v, "runtime.memory_limit", c.MemoryLimit, 32*mib, 1<<20*gib)
	v.zeroOrDuration("runtime.trim_after", c.TrimAfter, time.Millisecond, 24*time.Hour)
}

// patterns demands topics, with or without wildcards, that clients could ask for.
func (v *validation) patterns(key string, patterns []string, maxLength int) {
	for _, p := range patterns {
		if err := broadcast.CheckTopic(p, maxLength, maxLength); err != nil {
			v.bad(key, "%.80q: %w", p, err)
		}
	}
}
