package main

import (
	"os"
	"time"
)

// Config is everything an operator can set. config.toml in the top directory says what each key means; the comments here
// add what the code needs to know. A field's TOML name also makes its environment variable: TICKCAST_NATS_EMBEDDED_LISTEN.
type Config struct {
	Server      ServerConfig      `toml:"server"`
	Limits      LimitsConfig      `toml:"limits"`
	Connection  ConnectionConfig  `toml:"connection"`
	Flow        FlowConfig        `toml:"flow"`
	Compression CompressionConfig `toml:"compression"`
	NATS        NATSConfig        `toml:"nats"`
	Subscribe   TopicsConfig      `toml:"subscribe"`
	Publish     TopicsConfig      `toml:"publish"`
	Demo        DemoConfig        `toml:"demo"`
	Debug       DebugConfig       `toml:"debug"`
	Shutdown    ShutdownConfig    `toml:"shutdown"`
	Log         LogConfig         `toml:"log"`
	Runtime     RuntimeConfig     `toml:"runtime"`
	Topics      []TopicConfig     `toml:"topic"` // the first whose Match fits a topic counts; see DefaultTopic
}

// ServerConfig is the public side: addresses and socket options.
type ServerConfig struct {
	Node           string        `toml:"node"` // "" = the host's name; see NodeName
	Listen         []string      `toml:"listen"`
	InternalListen string        `toml:"internal_listen"` // "" = off
	StreamPath     string        `toml:"stream_path"`
	Loops          int           `toml:"loops"` // 0 = GOMAXPROCS
	LockOSThread   bool          `toml:"lock_os_thread"`
	Backlog        int           `toml:"backlog"`
	SendBuffer     Size          `toml:"send_buffer"`      // 0 = the kernel's
	NotsentLowat   Size          `toml:"notsent_lowat"`    // 0 = the kernel's
	TCPUserTimeout time.Duration `toml:"tcp_user_timeout"` // 0 = the kernel's
}

// NodeName returns what this server calls itself: node, or the host's name.
func (c *ServerConfig) NodeName() string {
	if c.Node != "" {
		return c.Node
	}
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "tickcast"
}

// LimitsConfig bounds what clients may take. Only MaxConnections may be 0.
type LimitsConfig struct {
	MaxConnections            int           `toml:"max_connections"` // 0 = from RLIMIT_NOFILE
	MaxTopics                 int           `toml:"max_topics"`
	MaxTopicsPerConnection    int           `toml:"max_topics_per_connection"`
	MaxTopicLength            int           `toml:"max_topic_length"` // bytes
	MaxTopicTokens            int           `toml:"max_topic_tokens"`
	MaxWildcardsPerConnection int           `toml:"max_wildcards_per_connection"`
	MaxWildcardMatches        int           `toml:"max_wildcard_matches"`        // one loop's
	WildcardMatchesPerSecond  int           `toml:"wildcard_matches_per_second"` // one loop's
	MaxMessageSize            Size          `toml:"max_message_size"`
	MaxHeaderSize             Size          `toml:"max_header_size"`
	HandshakeTimeout          time.Duration `toml:"handshake_timeout"`
	FirstMessageTimeout       time.Duration `toml:"first_message_timeout"`
	CloseTimeout              time.Duration `toml:"close_timeout"`
}

// ConnectionConfig is how connections are kept alive.
type ConnectionConfig struct {
	Heartbeat    time.Duration `toml:"heartbeat"` // 0 = off
	PingInterval time.Duration `toml:"ping_interval"`
	IdleTimeout  time.Duration `toml:"idle_timeout"` // longer than PingInterval
}

// FlowConfig bounds what waits to be written.
type FlowConfig struct {
	QueueBytes      Size          `toml:"queue_bytes"`
	InputBytes      Size          `toml:"input_bytes"`
	MailboxMessages int           `toml:"mailbox_messages"`
	MailboxBytes    Size          `toml:"mailbox_bytes"`
	Slice           time.Duration `toml:"slice"`
	FlushInterval   time.Duration `toml:"flush_interval"` // 0 = write at once
	MemoryBudget    Size          `toml:"memory_budget"`  // 0 = none
	HistoryBytes    Size          `toml:"history_bytes"`
	DelayBytes      Size          `toml:"delay_bytes"`
}

// CompressionConfig is permessage-deflate, RFC 7692, on the stream.
type CompressionConfig struct {
	Enabled               bool `toml:"enabled"`
	Level                 int  `toml:"level"`
	MinSize               Size `toml:"min_size"`
	ServerMaxWindowBits   int  `toml:"server_max_window_bits"`
	ClientMaxWindowBits   int  `toml:"client_max_window_bits"`
	ServerContextTakeover bool `toml:"server_context_takeover"`
	ClientContextTakeover bool `toml:"client_context_takeover"`
}

// NATSConfig is where messages come from. Without URLs it is the embedded server.
type NATSConfig struct {
	URLs            []string       `toml:"urls"`
	Name            string         `toml:"name"`
	Credentials     string         `toml:"credentials"` // a file
	User            string         `toml:"user"`
	Password        string         `toml:"password"`
	Token           string         `toml:"token"`
	TLSCA           string         `toml:"tls_ca"`   // a file
	TLSCert         string         `toml:"tls_cert"` // a file
	TLSKey          string         `toml:"tls_key"`  // a file
	ConnectTimeout  time.Duration  `toml:"connect_timeout"`
	ReconnectWait   time.Duration  `toml:"reconnect_wait"`
	PendingMessages int            `toml:"pending_messages"`
	Linger          time.Duration  `toml:"linger"`
	JetStream       bool           `toml:"jetstream"`
	Connections     int            `toml:"connections"`
	Embedded        EmbeddedConfig `toml:"embedded"` // last: a table of its own
}

// EmbeddedConfig is the NATS server inside this process.
type EmbeddedConfig struct {
	Listen   string `toml:"listen"`    // "" = in process only
	StoreDir string `toml:"store_dir"` // "" = no JetStream
}

// TopicsConfig lists patterns of topics.
type TopicsConfig struct {
	Topics []string `toml:"topics"`
}

// DemoConfig is the publisher of made-up ticks.
type DemoConfig struct {
	Enabled bool `toml:"enabled"`
	Symbols int  `toml:"symbols"`
	Rate    int  `toml:"rate"` // ticks a second, all symbols together
	Seed    int  `toml:"seed"`
}

// DebugConfig is for those who test the server.
type DebugConfig struct {
	EchoPath       string `toml:"echo_path"` // "" = off
	EchoQueueBytes Size   `toml:"echo_queue_bytes"`
}

// ShutdownConfig bounds the end.
type ShutdownConfig struct {
	Timeout time.Duration `toml:"timeout"`
}

// LogConfig is the log on standard error.
type LogConfig struct {
	Level  string `toml:"level"`
	Format string `toml:"format"`
}

// RuntimeConfig sets Go's garbage collector.
type RuntimeConfig struct {
	GOGC        int           `toml:"gogc"`         // percent; -1 = off
	MemoryLimit Size          `toml:"memory_limit"` // 0 = none
	TrimAfter   time.Duration `toml:"trim_after"`   // 0 = never
}

// TopicConfig is a class of topics: how those that Match fits are delivered. It has no environment variables.
type TopicConfig struct {
	Match      string        `toml:"match"`
	Subject    string        `toml:"subject"` // "" = the topic
	Mode       string        `toml:"mode"`
	Rates      []string      `toml:"rates"` // durations
	Snapshot   string        `toml:"snapshot"`
	History    int           `toml:"history"`     // messages of each topic
	HistoryTTL time.Duration `toml:"history_ttl"` // 0 = no age is too high
	StaleAfter time.Duration `toml:"stale_after"` // 0 = never
	Delay      time.Duration `toml:"delay"`       // 0 = none
	Payload    string        `toml:"payload"`
	Compress   bool          `toml:"compress"`
	Subscribe  string        `toml:"subscribe"` // "" only in the file: applyTOML makes "demand" or "always" of it
	Public     bool          `toml:"public"`
}

// DefaultTopic returns what a class has that says nothing but match, and with match ">" what topics have that no class
// fits.
func DefaultTopic(match string) TopicConfig {
	return TopicConfig{
		Match:     match,
		Mode:      "last",
		Rates:     []string{},
		Snapshot:  "memory",
		Payload:   "json",
		Compress:  true,
		Subscribe: "demand",
		Public:    true,
	}
}

// Default returns the configuration of a server that was told nothing. Each call returns a fresh one.
func Default() *Config {
	return &Config{
		Server: ServerConfig{
			Listen:         []string{"127.0.0.1:8080"},
			InternalListen: "127.0.0.1:9090",
			StreamPath:     "/stream",
			Backlog:        1024,
			SendBuffer:     16 * kib,
			NotsentLowat:   16 * kib,
			TCPUserTimeout: 30 * time.Second,
		},
		Limits: LimitsConfig{
			MaxTopics:                 1_000_000,
			MaxTopicsPerConnection:    1024,
			MaxTopicLength:            255,
			MaxTopicTokens:            16,
			MaxWildcardsPerConnection: 16,
			MaxWildcardMatches:        1_000_000,
			WildcardMatchesPerSecond:  50_000,
			MaxMessageSize:            16 * kib,
			MaxHeaderSize:             8 * kib,
			HandshakeTimeout:          5 * time.Second,
			FirstMessageTimeout:       10 * time.Second,
			CloseTimeout:              2 * time.Second,
		},
		Connection: ConnectionConfig{
			Heartbeat:    15 * time.Second,
			PingInterval: 30 * time.Second,
			IdleTimeout:  75 * time.Second,
		},
		Flow: FlowConfig{
			QueueBytes:      128 * kib,
			InputBytes:      256 * kib,
			MailboxMessages: 16384,
			MailboxBytes:    16 * mib,
			Slice:           2 * time.Millisecond,
			HistoryBytes:    256 * mib,
			DelayBytes:      256 * mib,
		},
		Compression: CompressionConfig{
			Level:               1,
			MinSize:             256,
			ServerMaxWindowBits: 15,
			ClientMaxWindowBits: 15,
		},
		NATS: NATSConfig{
			URLs:            []string{},
			Name:            "tickcast",
			ConnectTimeout:  5 * time.Second,
			ReconnectWait:   500 * time.Millisecond,
			PendingMessages: 65536,
			Linger:          5 * time.Second,
			Connections:     1,
		},
		Subscribe: TopicsConfig{Topics: []string{">"}},
		Publish:   TopicsConfig{Topics: []string{}},
		Demo:      DemoConfig{Symbols: 300, Rate: 400, Seed: 1},
		Debug:     DebugConfig{EchoQueueBytes: 16 * mib},
		Shutdown:  ShutdownConfig{Timeout: 10 * time.Second},
		Log:       LogConfig{Level: "info", Format: "text"},
		Runtime:   RuntimeConfig{GOGC: 50, TrimAfter: 5 * time.Second},
	}
}
