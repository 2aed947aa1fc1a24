package config

import (
	"os"
	"time"
)

// Config holds everything that an operator can set. config.toml in the top directory explains each key; the comments here add
// notes for the code. The tag of a field holds the key's name and, unless it is the zero value, its default, written
// as in an environment variable.
type Config struct {
	Server      Server      `toml:"server"`
	TLS         TLS         `toml:"tls"`
	Limits      Limits      `toml:"limits"`
	Connection  Connection  `toml:"connection"`
	Origin      Origin      `toml:"origin"`
	Auth        Auth        `toml:"auth"`
	Flow        Flow        `toml:"flow"`
	Compression Compression `toml:"compression"`
	NATS        NATS        `toml:"nats"`
	Subscribe   Subscribe   `toml:"subscribe"`
	Publish     Publish     `toml:"publish"`
	Demo        Demo        `toml:"demo"`
	Debug       Debug       `toml:"debug"`
	Drain       Drain       `toml:"drain"`
	Shutdown    Shutdown    `toml:"shutdown"`
	Log         Log         `toml:"log"`
	Runtime     Runtime     `toml:"runtime"`
	Classes     []Class     `toml:"topic"` // a topic is in the first class whose Match fits; see defaultClass

	from origins
}

// Server is the public side: addresses and socket options.
type Server struct {
	Node           string        `toml:"node"` // "" = the host's name; see NodeName
	Listen         []string      `toml:"listen" default:"127.0.0.1:8080"`
	InternalListen string        `toml:"internal_listen" default:"127.0.0.1:9090"` // "" = off
	InternalHosts  []string      `toml:"internal_hosts"`
	StreamPath     string        `toml:"stream_path" default:"/stream"`
	ProxyProtocol  string        `toml:"proxy_protocol" default:"off"`
	TrustedProxies []string      `toml:"trusted_proxies"`
	Loops          int           `toml:"loops"` // 0 = GOMAXPROCS
	LockOSThread   bool          `toml:"lock_os_thread"`
	Backlog        int           `toml:"backlog" default:"1024"`
	SendBuffer     Size          `toml:"send_buffer" default:"16KiB"`    // 0 = the kernel's
	NotsentLowat   Size          `toml:"notsent_lowat" default:"16KiB"`  // 0 = the kernel's
	TCPUserTimeout time.Duration `toml:"tcp_user_timeout" default:"30s"` // 0 = the kernel's
}

// NodeName returns the name of this server: node, or the host's name.
func (c *Server) NodeName() string {
	if c.Node != "" {
		return c.Node
	}
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "tickcast"
}

// TLS holds the settings of https and wss, and of clients' certificates.
type TLS struct {
	Listen           []string      `toml:"listen"` // empty = no TLS
	Cert             []string      `toml:"cert"`   // files
	Key              []string      `toml:"key"`    // files, in the order of Cert
	MinVersion       string        `toml:"min_version" default:"1.2"`
	ClientCerts      string        `toml:"client_certs" default:"off"`
	ClientCA         string        `toml:"client_ca"`            // a file
	ClientUser       string        `toml:"client_user"`          // an auth.NameField; "" = a certificate names nobody
	ClientSubscribe  []string      `toml:"client_subscribe"`     // empty = Subscribe.Topics
	ClientPublish    []string      `toml:"client_publish"`       // empty = Publish.Topics
	TicketKeys       string        `toml:"ticket_keys"`          // a file; "" = random keys of this process
	Reload           time.Duration `toml:"reload" default:"10s"` // 0 = never
	Records          string        `toml:"records" default:"auto"`
	HandshakeWorkers int           `toml:"handshake_workers"` // 0 = half of the CPUs
	MaxHandshakes    int           `toml:"max_handshakes" default:"4096"`
	CipherMemory     Size          `toml:"cipher_memory" default:"64MiB"`
	RedirectListen   []string      `toml:"redirect_listen"` // empty = no redirect
	RedirectPort     int           `toml:"redirect_port"`   // 0 = that of the first of Listen; see HTTPSPort
	ACME             ACME          `toml:"acme"`            // last, since it is a table of its own
}

// ACME orders certificates from a certificate authority, RFC 8555.
type ACME struct {
	Domains   []string `toml:"domains"` // empty = no ACME
	Directory string   `toml:"directory" default:"https://acme-v02.api.letsencrypt.org/directory"`
	CA        string   `toml:"ca"`    // a file; "" = the system's
	Email     string   `toml:"email"` // "" = none
	Cache     string   `toml:"cache"` // a directory
}

// Limits bounds the clients.
type Limits struct {
	MaxConnections            int           `toml:"max_connections"` // 0 = from RLIMIT_NOFILE
	MaxTopics                 int           `toml:"max_topics" default:"1000000"`
	MaxTopicsPerConnection    int           `toml:"max_topics_per_connection" default:"1024"`
	MaxTopicLength            int           `toml:"max_topic_length" default:"255"` // bytes
	MaxTopicTokens            int           `toml:"max_topic_tokens" default:"16"`
	MaxWildcardsPerConnection int           `toml:"max_wildcards_per_connection" default:"16"`
	MaxWildcardMatches        int           `toml:"max_wildcard_matches" default:"1000000"`        // one loop's
	WildcardMatchesPerSecond  int           `toml:"wildcard_matches_per_second" default:"50000"`   // one loop's
	NewTopicsPerSecond        int           `toml:"new_topics_per_second" default:"100"`           // one connection's
	MaxPolledTopics           int           `toml:"max_polled_topics" default:"100000"`            // one loop's
	MaxPolledTopicsPerAddress int           `toml:"max_polled_topics_per_address" default:"10000"` // one loop's
	MaxMessageSize            Size          `toml:"max_message_size" default:"16KiB"`
	MaxHeaderSize             Size          `toml:"max_header_size" default:"8KiB"`
	HandshakeTimeout          time.Duration `toml:"handshake_timeout" default:"5s"`
	FirstMessageTimeout       time.Duration `toml:"first_message_timeout" default:"10s"`
	CloseTimeout              time.Duration `toml:"close_timeout" default:"2s"`

	MaxConnectionsPerAddress       int           `toml:"max_connections_per_address"`           // 0 = no limit
	MaxConnectionsPerUser          int           `toml:"max_connections_per_user"`              // 0 = no limit
	ConnectionsPerSecond           int           `toml:"connections_per_second"`                // 0 = no limit
	ConnectionsWait                time.Duration `toml:"connections_wait" default:"5s"`         // 0 = they are refused at once
	ConnectionsPerSecondPerAddress int           `toml:"connections_per_second_per_address"`    // 0 = no limit
	CommandsPerSecond              int           `toml:"commands_per_second" default:"100"`     // 0 = no limit
	CommandsBurst                  int           `toml:"commands_burst" default:"1000"`         //
	InputBytesPerSecond            Size          `toml:"input_bytes_per_second" default:"1MiB"` // 0 = no limit
	InputBytesBurst                Size          `toml:"input_bytes_burst" default:"4MiB"`      // one message fits in any case
	BanAfter                       int           `toml:"ban_after"`                             // offences; 0 = never
	BanWindow                      time.Duration `toml:"ban_window" default:"1m"`
	BanDuration                    time.Duration `toml:"ban_duration" default:"10m"`
	MaxTrackedAddresses            int           `toml:"max_tracked_addresses" default:"65536"`
	DryRun                         bool          `toml:"dry_run"` // of the limits from MaxConnectionsPerAddress on, and of Connection.MaxAge
}

// Connection is the keep-alive of connections.
type Connection struct {
	Heartbeat    time.Duration `toml:"heartbeat" default:"15s"` // 0 = off
	PingInterval time.Duration `toml:"ping_interval" default:"30s"`
	IdleTimeout  time.Duration `toml:"idle_timeout" default:"75s"`  // longer than PingInterval
	MaxAge       time.Duration `toml:"max_age"`                     // 0 = none
	MaxAgeJitter int           `toml:"max_age_jitter" default:"10"` // percent of MaxAge
	PollWait     time.Duration `toml:"poll_wait" default:"1m"`
	PollBytes    Size          `toml:"poll_bytes" default:"256KiB"`
	PollLinger   time.Duration `toml:"poll_linger" default:"30s"` // 0 = none
}

// Flow bounds the messages that wait to be written.
type Flow struct {
	QueueBytes      Size          `toml:"queue_bytes" default:"128KiB"`
	InputBytes      Size          `toml:"input_bytes" default:"256KiB"`
	MailboxMessages int           `toml:"mailbox_messages" default:"16384"`
	MailboxBytes    Size          `toml:"mailbox_bytes" default:"16MiB"`
	Slice           time.Duration `toml:"slice" default:"2ms"`
	FlushInterval   time.Duration `toml:"flush_interval"` // 0 = write at once
	MemoryBudget    Size          `toml:"memory_budget"`  // 0 = none
	HistoryBytes    Size          `toml:"history_bytes" default:"256MiB"`
	NewestBytes     Size          `toml:"newest_bytes" default:"512MiB"`
	PayloadDepth    int           `toml:"payload_depth" default:"64"`
	DelayBytes      Size          `toml:"delay_bytes" default:"256MiB"`
}

// Compression is permessage-deflate, RFC 7692, on the stream.
type Compression struct {
	Enabled               bool `toml:"enabled"`
	Level                 int  `toml:"level" default:"1"`
	MinSize               Size `toml:"min_size" default:"256"`
	ServerMaxWindowBits   int  `toml:"server_max_window_bits" default:"15"`
	ClientMaxWindowBits   int  `toml:"client_max_window_bits" default:"15"`
	ServerContextTakeover bool `toml:"server_context_takeover"`
	ClientContextTakeover bool `toml:"client_context_takeover"`
}

// NATS is the source of messages. Without URLs it is the embedded server.
type NATS struct {
	URLs            []string      `toml:"urls"`
	Name            string        `toml:"name" default:"tickcast"`
	Credentials     string        `toml:"credentials"` // a file
	User            string        `toml:"user"`
	Password        string        `toml:"password"`
	Token           string        `toml:"token"`
	TLSCA           string        `toml:"tls_ca"`   // a file
	TLSCert         string        `toml:"tls_cert"` // a file
	TLSKey          string        `toml:"tls_key"`  // a file
	ConnectTimeout  time.Duration `toml:"connect_timeout" default:"5s"`
	ReconnectWait   time.Duration `toml:"reconnect_wait" default:"500ms"`
	PingInterval    time.Duration `toml:"ping_interval" default:"4s"`
	PendingMessages int           `toml:"pending_messages" default:"65536"`
	Linger          time.Duration `toml:"linger" default:"5s"`
	JetStream       bool          `toml:"jetstream"`
	Connections     int           `toml:"connections" default:"1"`
	Embedded        Embedded      `toml:"embedded"` // last, since it is a table of its own
}

// Embedded is the NATS server inside this process.
type Embedded struct {
	Listen   string `toml:"listen"`    // "" = in process only
	StoreDir string `toml:"store_dir"` // "" = no JetStream
}

// Subscribe lists patterns of the topics that clients may subscribe to.
type Subscribe struct {
	Topics []string `toml:"topics" default:">"`
}

// Publish lists patterns of the topics that clients may publish to.
type Publish struct {
	Topics []string `toml:"topics"`
}

// Demo is the publisher of made-up ticks.
type Demo struct {
	Enabled bool `toml:"enabled"`
	Symbols int  `toml:"symbols" default:"300"`
	Rate    int  `toml:"rate" default:"400"` // ticks a second, all symbols together
	Seed    int  `toml:"seed" default:"1"`
}

// Debug is for tests of the server.
type Debug struct {
	EchoPath       string `toml:"echo_path"` // "" = off
	EchoQueueBytes Size   `toml:"echo_queue_bytes" default:"16MiB"`
}

// Drain is the end of the server, as far as clients see it.
type Drain struct {
	Window   time.Duration `toml:"window" default:"15s"` // 0 = clients are not asked
	Duration time.Duration `toml:"duration" default:"5s"`
}

// Shutdown bounds the end.
type Shutdown struct {
	Timeout time.Duration `toml:"timeout" default:"10s"`
}

// Log is the log on standard error.
type Log struct {
	Level  string `toml:"level" default:"info"`
	Format string `toml:"format" default:"text"`
}

// Runtime sets Go's garbage collector and its scheduler.
type Runtime struct {
	GOGC        int  `toml:"gogc" default:"50"`         // percent; -1 = off
	GCGrowth    Size `toml:"gc_growth" default:"16MiB"` // at least, whatever GOGC is, in a storm of TLS handshakes; 0 = none
	SpareProcs  int  `toml:"spare_procs" default:"2"`   // more than Go's default of GOMAXPROCS
	MemoryLimit Size `toml:"memory_limit"`              // 0 = none

	MemoryCeiling Size `toml:"memory_ceiling"` // 0 = nine tenths of the cgroup's or the machine's

	TrimAfter time.Duration `toml:"trim_after" default:"5s"` // 0 = never
}

// Class is a class of topics: the rules of delivery for the topics that Match fits. It has no environment variables.
type Class struct {
	Match      string        `toml:"match"`
	Subject    string        `toml:"subject"` // "" = the topic
	Mode       string        `toml:"mode" default:"last"`
	Rates      []string      `toml:"rates"` // durations
	Snapshot   string        `toml:"snapshot" default:"memory"`
	Stream     string        `toml:"stream"`      // "" = the one that holds all subjects
	Domain     string        `toml:"domain"`      // "" = the connection's own
	History    int           `toml:"history"`     // messages of each topic
	HistoryTTL time.Duration `toml:"history_ttl"` // 0 = without a limit
	StaleAfter time.Duration `toml:"stale_after"` // 0 = never
	Delay      time.Duration `toml:"delay"`       // 0 = none
	Payload    string        `toml:"payload" default:"json"`
	Compress   bool          `toml:"compress" default:"true"`
	Subscribe  string        `toml:"subscribe" default:"demand"` // "always" in place of it if the file gives a delay alone
	Public     bool          `toml:"public" default:"true"`
}

// origins holds the origin of each key's value, by path: "config.toml:12", "TICKCAST_SERVER_LOOPS", "-listen". A key without
// an entry has its default. A class of topics has an entry of its own: the line where it begins.
type origins map[string]string
