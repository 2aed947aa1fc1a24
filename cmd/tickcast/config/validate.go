package config

import (
	"errors"
	"path"
	"strings"
	"time"

	"tickcast/wsproto"
)

// validate returns all problems of c joined, each a *keyError, or nil. It reads the files that c names and opens no port.
func (c *Config) validate() error {
	v := &validation{}
	v.server(&c.Server)
	v.tls(&c.TLS)
	v.limits(&c.Limits)
	v.admission(&c.Limits)
	v.connection(&c.Connection)
	v.proxies(&c.Server)
	v.origin(c)
	v.auth(&c.Auth)
	v.flow(&c.Flow)
	v.compression(&c.Compression)
	v.nats(&c.NATS)
	v.addresses(c)
	longest := max(c.Limits.MaxTopicLength, 1) // a wrong one is a problem of its own
	v.patterns("subscribe.topics", c.Subscribe.Topics, longest)
	v.patterns("publish.topics", c.Publish.Topics, longest)
	between(v, "demo.symbols", c.Demo.Symbols, 1, 100_000)
	between(v, "demo.rate", c.Demo.Rate, 1, 1_000_000)
	v.debug(&c.Debug, c.Server.StreamPath, c.Limits.MaxMessageSize)
	zeroOr(v, "drain.window", c.Drain.Window, 100*time.Millisecond, 10*time.Minute) // clients wait no longer
	between(v, "drain.duration", c.Drain.Duration, 0, time.Hour)
	between(v, "shutdown.timeout", c.Shutdown.Timeout, time.Millisecond, time.Hour)
	v.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", c.Log.Format, "text", "json")
	v.runtime(&c.Runtime)
	v.classes(c, longest)
	return errors.Join(v.problems...)
}

func (v *validation) server(c *Server) {
	if len(c.Node) > 64 || strings.ContainsFunc(c.Node, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		v.add("server.node", "must be at most 64 bytes without spaces, not %.80q", c.Node)
	}
	switch p := c.StreamPath; {
	case !strings.HasPrefix(p, "/") || p == "/":
		v.add("server.stream_path", "must begin with / and name something below it, not %q", p)
	case strings.ContainsFunc(p, unfitForPath):
		v.add("server.stream_path", "must not hold spaces, ?, #, %% or anything but ASCII: %q", p)
	case path.Clean(p) != p:
		v.add("server.stream_path", "must be written %q, not %q", path.Clean(p), p)
	}
	between(v, "server.loops", c.Loops, 0, 4096)
	between(v, "server.backlog", c.Backlog, 1, 65535)
	zeroOr(v, "server.send_buffer", c.SendBuffer, 2*kib, gib)
	zeroOr(v, "server.notsent_lowat", c.NotsentLowat, 1, gib)
	zeroOr(v, "server.tcp_user_timeout", c.TCPUserTimeout, time.Millisecond, 24*time.Hour) // the kernel counts milliseconds
}

func (v *validation) limits(c *Limits) {
	between(v, "limits.max_connections", c.MaxConnections, 0, 1<<30)
	between(v, "limits.max_topics", c.MaxTopics, 1, 1<<30)
	between(v, "limits.max_topics_per_connection", c.MaxTopicsPerConnection, 1, 1<<20)
	between(v, "limits.max_topic_length", c.MaxTopicLength, 1, maxTopicLength)
	between(v, "limits.max_topic_tokens", c.MaxTopicTokens, 1, maxTopicLength)
	between(v, "limits.max_wildcards_per_connection", c.MaxWildcardsPerConnection, 1, 1<<20)
	between(v, "limits.max_wildcard_matches", c.MaxWildcardMatches, 1, 1<<30)
	between(v, "limits.wildcard_matches_per_second", c.WildcardMatchesPerSecond, 1, 1<<30)
	between(v, "limits.new_topics_per_second", c.NewTopicsPerSecond, 1, 1<<30)
	between(v, "limits.max_polled_topics", c.MaxPolledTopics, 1, 1<<30)
	between(v, "limits.max_polled_topics_per_address", c.MaxPolledTopicsPerAddress, 1, 1<<30)
	between(v, "limits.max_message_size", c.MaxMessageSize, 256, 64*mib)
	between(v, "limits.max_header_size", c.MaxHeaderSize, kib, mib)
	between(v, "limits.handshake_timeout", c.HandshakeTimeout, time.Millisecond, time.Hour)
	between(v, "limits.first_message_timeout", c.FirstMessageTimeout, time.Millisecond, time.Hour)
	between(v, "limits.close_timeout", c.CloseTimeout, time.Millisecond, time.Hour)
}

func (v *validation) connection(c *Connection) {
	zeroOr(v, "connection.heartbeat", c.Heartbeat, time.Millisecond, 24*time.Hour) // the hello says milliseconds
	between(v, "connection.ping_interval", c.PingInterval, time.Millisecond, 24*time.Hour)
	between(v, "connection.idle_timeout", c.IdleTimeout, time.Millisecond, 48*time.Hour)
	zeroOr(v, "connection.max_age", c.MaxAge, time.Second, 365*24*time.Hour)
	between(v, "connection.max_age_jitter", c.MaxAgeJitter, 0, 100)
	between(v, "connection.poll_wait", c.PollWait, time.Second, time.Hour)
	between(v, "connection.poll_bytes", c.PollBytes, 4*kib, 64*mib)
	zeroOr(v, "connection.poll_linger", c.PollLinger, time.Second, time.Hour)
	if c.IdleTimeout <= c.PingInterval {
		v.add("connection.idle_timeout", "must be longer than connection.ping_interval (%s), or clients that answer are cut off",
			formatDuration(c.PingInterval))
	}
}

func (v *validation) flow(c *Flow) {
	between(v, "flow.queue_bytes", c.QueueBytes, 4*kib, gib)
	between(v, "flow.input_bytes", c.InputBytes, 64*kib, gib)
	between(v, "flow.mailbox_messages", c.MailboxMessages, 1, 1<<24)
	between(v, "flow.mailbox_bytes", c.MailboxBytes, 64*kib, 64*gib)
	between(v, "flow.slice", c.Slice, 100*time.Microsecond, time.Second)
	between(v, "flow.flush_interval", c.FlushInterval, 0, time.Second)
	zeroOr(v, "flow.memory_budget", c.MemoryBudget, mib, 1<<20*gib)
	between(v, "flow.history_bytes", c.HistoryBytes, 64*kib, 1<<20*gib)
	between(v, "flow.newest_bytes", c.NewestBytes, 64*kib, 1<<20*gib)
	between(v, "flow.payload_depth", c.PayloadDepth, 1, 10_000)
	between(v, "flow.delay_bytes", c.DelayBytes, 64*kib, 1<<20*gib)
}

func (v *validation) compression(c *Compression) {
	between(v, "compression.level", c.Level, 1, 9)
	between(v, "compression.min_size", c.MinSize, 0, 64*mib)
	between(v, "compression.server_max_window_bits", c.ServerMaxWindowBits, wsproto.MinWindowBits, wsproto.MaxWindowBits)
	between(v, "compression.client_max_window_bits", c.ClientMaxWindowBits, wsproto.MinWindowBits, wsproto.MaxWindowBits)
}

func (v *validation) debug(c *Debug, streamPath string, maxMessage Size) {
	const key = "debug.echo_path"
	clean := path.Clean(c.EchoPath)
	if clean != "/" && strings.HasSuffix(c.EchoPath, "/") {
		clean += "/"
	}
	switch p := c.EchoPath; {
	case p == "":
	case !strings.HasPrefix(p, "/"):
		v.addHint(key, "try \"/"+p+"\", or \"\" for no echo", "must begin with /, not %q", p)
	case strings.ContainsFunc(p, unfitForPath):
		v.add(key, "must not hold spaces, ?, #, %% or anything but ASCII: %q", p)
	case p == streamPath:
		v.addHint(key, "\"/\" echoes wherever nothing else is served", "must not be server.stream_path (%q)", p)
	case p != clean:
		v.add(key, "must be written %q, not %q", clean, p)
	}
	between(v, "debug.echo_queue_bytes", c.EchoQueueBytes, 4*kib, gib)
	if c.EchoPath != "" && c.EchoQueueBytes < 2*maxMessage {
		v.add("debug.echo_queue_bytes", "must be at least twice limits.max_message_size (%v), not %v", maxMessage, c.EchoQueueBytes)
	}
}

func (v *validation) runtime(c *Runtime) {
	switch {
	case c.GOGC != -1:
		between(v, "runtime.gogc", c.GOGC, 1, 10_000)
	case c.MemoryLimit == 0:
		v.add("runtime.gogc", "must not be -1 (off) without runtime.memory_limit: nothing would ever be collected")
	}
	zeroOr(v, "runtime.gc_growth", c.GCGrowth, 64*kib, gib)
	between(v, "runtime.spare_procs", c.SpareProcs, 0, 256)
	zeroOr(v, "runtime.memory_limit", c.MemoryLimit, 32*mib, 1<<20*gib)
	zeroOr(v, "runtime.memory_ceiling", c.MemoryCeiling, 64*mib, 1<<20*gib)
	zeroOr(v, "runtime.trim_after", c.TrimAfter, time.Millisecond, 24*time.Hour)
}

// unfitForPath reports whether r would have to be escaped in the path of a URL, or ends it.
func unfitForPath(r rune) bool { return r <= ' ' || r >= 0x7f || r == '?' || r == '#' || r == '%' }
