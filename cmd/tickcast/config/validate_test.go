package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tickcast/cmd/message"
)

func TestValidateDefault(t *testing.T) {
	if err := defaults().validate(); err != nil {
		t.Error(err)
	}
}

// withACME configures certificates by ACME.
func withACME(c *Config) {
	c.TLS.Listen = []string{":8443"}
	c.TLS.ACME.Domains, c.TLS.ACME.Cache = []string{"push.example.com"}, "acme"
}

func TestACMEIsValid(t *testing.T) {
	c := defaults()
	withACME(c)
	c.TLS.ACME.Email, c.TLS.RedirectListen = "me@a.test", []string{":8081"}
	if err := c.validate(); err != nil {
		t.Error(err)
	}
	if p := c.TLS.HTTPSPort(); p != 8443 {
		t.Errorf("port %d", p)
	}
}

// TestValidate requires one problem for each change, of the key named first.
func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		key    string
		change func(c *Config)
	}{
		{"server.node", func(c *Config) { c.Server.Node = "a b" }},
		{"origin.allowed", func(c *Config) {
			c.Origin.Allowed, c.Auth.JWKSURL, c.Auth.Cookie = []string{"*"}, "https://a.test/keys", "token"
		}},
		{"origin.allowed", func(c *Config) {
			c.Origin.Allowed, c.Auth.JWKSURL, c.Auth.Cookie = []string{"https://a.test", "null"}, "https://a.test/keys", "token"
		}},
		{"server.node", func(c *Config) { c.Server.Node = strings.Repeat("n", 65) }},
		{"server.listen", func(c *Config) { c.Server.Listen = nil }},
		{"server.listen", func(c *Config) { c.Server.Listen = []string{""} }},
		{"server.listen", func(c *Config) { c.Server.Listen = []string{"8080"} }},
		{"server.listen", func(c *Config) { c.Server.Listen = []string{"localhost"} }},
		{"server.listen", func(c *Config) { c.Server.Listen = []string{"localhost:"} }},
		{"server.listen", func(c *Config) { c.Server.Listen = []string{"localhost:http"} }},
		{"server.listen", func(c *Config) { c.Server.Listen = []string{":65536"} }},
		{"server.listen", func(c *Config) { c.Server.Listen = []string{":-1"} }},
		{"server.listen", func(c *Config) { c.Server.Listen = []string{"::1:8080"} }},
		{"server.listen", func(c *Config) { c.Server.Listen = []string{"[::g]:8080"} }},
		{"server.listen", func(c *Config) { c.Server.Listen = []string{"ws://localhost:8080"} }},
		{"server.listen", func(c *Config) { c.Server.Listen = []string{"a b:8080"} }},
		{"server.listen", func(c *Config) { c.Server.Listen = []string{":8080", "127.0.0.1:8080"} }},
		{"server.listen", func(c *Config) { c.Server.Listen = []string{"[::1]:8080", "[::]:8080"} }},
		{"server.internal_listen", func(c *Config) { c.Server.InternalListen = "9090" }},
		{"server.internal_listen", func(c *Config) { c.Server.InternalListen = "127.0.0.1:8080" }},
		{"server.internal_listen", func(c *Config) { c.Server.InternalListen = "0.0.0.0:8080" }},
		{"server.stream_path", func(c *Config) { c.Server.StreamPath = "" }},
		{"server.stream_path", func(c *Config) { c.Server.StreamPath = "/" }},
		{"server.stream_path", func(c *Config) { c.Server.StreamPath = "stream" }},
		{"server.stream_path", func(c *Config) { c.Server.StreamPath = "/a b" }},
		{"server.stream_path", func(c *Config) { c.Server.StreamPath = "/a?b" }},
		{"server.stream_path", func(c *Config) { c.Server.StreamPath = "/é" }},
		{"server.stream_path", func(c *Config) { c.Server.StreamPath = "/stream/" }},
		{"server.stream_path", func(c *Config) { c.Server.StreamPath = "/../stream" }},
		{"server.loops", func(c *Config) { c.Server.Loops = -1 }},
		{"server.backlog", func(c *Config) { c.Server.Backlog = 0 }},
		{"server.send_buffer", func(c *Config) { c.Server.SendBuffer = 1 }},
		{"server.notsent_lowat", func(c *Config) { c.Server.NotsentLowat = -1 }},
		{"server.tcp_user_timeout", func(c *Config) { c.Server.TCPUserTimeout = time.Microsecond }},
		{"tls.listen", func(c *Config) { c.TLS.Listen = []string{":8443"} }},
		{"tls.cert", func(c *Config) { c.TLS.Cert, c.TLS.Key = []string{"/nowhere"}, []string{"validate_test.go"} }},
		{"tls.cert", func(c *Config) { c.TLS.Cert, c.TLS.Key = []string{"validate_test.go"}, []string{"validate_test.go"} }},
		{"tls.key", func(c *Config) { c.TLS.Cert, c.TLS.Key = []string{"validate_test.go"}, []string{"/nowhere"} }},
		{"tls.key", func(c *Config) { c.TLS.Cert = []string{"validate_test.go"} }},
		{"tls.min_version", func(c *Config) { c.TLS.MinVersion = "1.1" }},
		{"tls.client_certs", func(c *Config) { c.TLS.ClientCerts = "on" }},
		{"tls.client_certs", func(c *Config) { c.TLS.ClientCerts = "required" }},
		{"tls.client_ca", func(c *Config) { c.TLS.ClientCA = "validate_test.go" }},
		{"tls.ticket_keys", func(c *Config) { c.TLS.TicketKeys = "/nowhere" }},
		{"tls.ticket_keys", func(c *Config) { c.TLS.TicketKeys = "validate_test.go" }},
		{"tls.reload", func(c *Config) { c.TLS.Reload = time.Millisecond }},
		{"tls.records", func(c *Config) { c.TLS.Records = "kernel" }},
		{"tls.handshake_workers", func(c *Config) { c.TLS.HandshakeWorkers = -1 }},
		{"tls.max_handshakes", func(c *Config) { c.TLS.MaxHandshakes = 0 }},
		{"tls.cipher_memory", func(c *Config) { c.TLS.CipherMemory = -1 }},
		{"tls.client_user", func(c *Config) { c.TLS.ClientUser = "cn" }},
		{"tls.client_user", func(c *Config) { withACME(c); c.TLS.ClientUser = "subject" }},
		{"tls.client_subscribe", func(c *Config) { c.TLS.ClientSubscribe = []string{"a"} }},
		{"tls.client_publish", func(c *Config) { c.TLS.ClientPublish = []string{"a"} }},
		{"tls.redirect_listen", func(c *Config) { c.TLS.RedirectListen = []string{":80"} }},
		{"tls.redirect_listen", func(c *Config) { withACME(c); c.TLS.RedirectListen = []string{":8443"} }},
		{"tls.redirect_port", func(c *Config) { c.TLS.RedirectPort = 65536 }},
		{"tls.acme.domains", func(c *Config) { withACME(c); c.TLS.Listen = nil }},
		{"tls.acme.domains", func(c *Config) { withACME(c); c.TLS.ACME.Domains = []string{"*.example.com"} }},
		{"tls.acme.domains", func(c *Config) { withACME(c); c.TLS.ACME.Domains = []string{"localhost"} }},
		{"tls.acme.domains", func(c *Config) { withACME(c); c.TLS.ACME.Domains = []string{"127.0.0.1"} }},
		{"tls.acme.domains", func(c *Config) { withACME(c); c.TLS.ACME.Domains = []string{"a.test", "a.test"} }},
		{"tls.acme.directory", func(c *Config) { withACME(c); c.TLS.ACME.Directory = "http://ca.example.com/" }},
		{"tls.acme.directory", func(c *Config) { c.TLS.ACME.Directory = "" }},
		{"tls.acme.ca", func(c *Config) { withACME(c); c.TLS.ACME.CA = "/nowhere" }},
		{"tls.acme.ca", func(c *Config) { withACME(c); c.TLS.ACME.CA = "validate_test.go" }},
		{"tls.acme.email", func(c *Config) { withACME(c); c.TLS.ACME.Email = "Me <me@a.test>" }},
		{"tls.acme.cache", func(c *Config) { withACME(c); c.TLS.ACME.Cache = "" }},
		{"limits.max_connections", func(c *Config) { c.Limits.MaxConnections = -1 }},
		{"limits.max_topics", func(c *Config) { c.Limits.MaxTopics = 0 }},
		{"limits.max_topics_per_connection", func(c *Config) { c.Limits.MaxTopicsPerConnection = 0 }},
		{"limits.max_topic_length", func(c *Config) { c.Limits.MaxTopicLength = 0 }},
		{"limits.max_topic_length", func(c *Config) { c.Limits.MaxTopicLength = maxTopicLength + 1 }},
		{"limits.max_message_size", func(c *Config) { c.Limits.MaxMessageSize = 255 }},
		{"limits.max_header_size", func(c *Config) { c.Limits.MaxHeaderSize = 2 * mib }},
		{"limits.handshake_timeout", func(c *Config) { c.Limits.HandshakeTimeout = 0 }},
		{"limits.first_message_timeout", func(c *Config) { c.Limits.FirstMessageTimeout = -1 }},
		{"limits.close_timeout", func(c *Config) { c.Limits.CloseTimeout = 0 }},
		{"connection.heartbeat", func(c *Config) { c.Connection.Heartbeat = -time.Second }},
		{"connection.ping_interval", func(c *Config) { c.Connection.PingInterval = 0 }},
		{"connection.idle_timeout", func(c *Config) { c.Connection.IdleTimeout = c.Connection.PingInterval }},
		{"connection.poll_wait", func(c *Config) { c.Connection.PollWait = 0 }},
		{"connection.poll_bytes", func(c *Config) { c.Connection.PollBytes = kib }},
		{"connection.poll_linger", func(c *Config) { c.Connection.PollLinger = time.Millisecond }},
		{"limits.max_polled_topics", func(c *Config) { c.Limits.MaxPolledTopics = 0 }},
		{"limits.max_polled_topics_per_address", func(c *Config) { c.Limits.MaxPolledTopicsPerAddress = -1 }},
		{"limits.connections_wait", func(c *Config) { c.Limits.ConnectionsWait = time.Minute }},
		{"drain.window", func(c *Config) { c.Drain.Window = time.Hour }},
		{"drain.duration", func(c *Config) { c.Drain.Duration = -1 }},
		{"flow.queue_bytes", func(c *Config) { c.Flow.QueueBytes = 0 }},
		{"flow.input_bytes", func(c *Config) { c.Flow.InputBytes = 32 * kib }},
		{"flow.mailbox_messages", func(c *Config) { c.Flow.MailboxMessages = 0 }},
		{"flow.mailbox_bytes", func(c *Config) { c.Flow.MailboxBytes = 0 }},
		{"flow.slice", func(c *Config) { c.Flow.Slice = 0 }},
		{"flow.flush_interval", func(c *Config) { c.Flow.FlushInterval = 2 * time.Second }},
		{"flow.memory_budget", func(c *Config) { c.Flow.MemoryBudget = kib }},
		{"flow.history_bytes", func(c *Config) { c.Flow.HistoryBytes = 0 }},
		{"flow.delay_bytes", func(c *Config) { c.Flow.DelayBytes = kib }},
		{"compression.level", func(c *Config) { c.Compression.Level = 0 }},
		{"compression.level", func(c *Config) { c.Compression.Level = 10 }},
		{"compression.min_size", func(c *Config) { c.Compression.MinSize = -1 }},
		{"compression.server_max_window_bits", func(c *Config) { c.Compression.ServerMaxWindowBits = 7 }},
		{"compression.server_max_window_bits", func(c *Config) { c.Compression.ServerMaxWindowBits = 16 }},
		{"compression.client_max_window_bits", func(c *Config) { c.Compression.ClientMaxWindowBits = 0 }},
		{"nats.urls", func(c *Config) { c.NATS.URLs = []string{""} }},
		{"nats.urls", func(c *Config) { c.NATS.URLs = []string{"http://localhost"} }},
		{"nats.urls", func(c *Config) { c.NATS.URLs = []string{"nats://"} }},
		{"nats.urls", func(c *Config) { c.NATS.URLs = []string{"nats://:4222"} }},
		{"nats.urls", func(c *Config) { c.NATS.URLs = []string{"nats://host:port"} }},
		{"nats.embedded.listen", func(c *Config) { c.NATS.Embedded.Listen = "4222" }},
		{"nats.embedded.listen", func(c *Config) { c.NATS.Embedded.Listen = "127.0.0.1:9090" }},
		{"nats.embedded.listen", func(c *Config) {
			c.NATS.Embedded.Listen, c.NATS.URLs = "127.0.0.1:4222", []string{"localhost"}
		}},
		{"nats.credentials", func(c *Config) { c.NATS.User, c.NATS.Token = "u", "t" }},
		{"nats.credentials", func(c *Config) { c.NATS.Credentials = "/nowhere" }},
		{"nats.tls_ca", func(c *Config) { c.NATS.URLs, c.NATS.TLSCA = nil, reference }},
		{"nats.credentials", func(c *Config) { c.NATS.Credentials = "/dev/null" }},
		{"nats.password", func(c *Config) { c.NATS.Password = "p" }},
		{"nats.tls_ca", func(c *Config) { c.NATS.TLSCA = "/nowhere" }},
		{"nats.tls_ca", func(c *Config) { c.NATS.TLSCA = reference }},
		{"nats.tls_cert", func(c *Config) { c.NATS.TLSCert = reference }},
		{"nats.tls_key", func(c *Config) { c.NATS.TLSKey = reference }},
		{"nats.tls_cert", func(c *Config) { c.NATS.TLSCert, c.NATS.TLSKey = "/nowhere", reference }},
		{"nats.tls_key", func(c *Config) { c.NATS.TLSCert, c.NATS.TLSKey = reference, "." }},
		{"nats.tls_cert", func(c *Config) { c.NATS.TLSCert, c.NATS.TLSKey = reference, reference }},
		{"nats.connect_timeout", func(c *Config) { c.NATS.ConnectTimeout = 0 }},
		{"nats.reconnect_wait", func(c *Config) { c.NATS.ReconnectWait = 0 }},
		{"nats.ping_interval", func(c *Config) { c.NATS.PingInterval = 0 }},
		{"nats.pending_messages", func(c *Config) { c.NATS.PendingMessages = 0 }},
		{"nats.linger", func(c *Config) { c.NATS.Linger = -1 }},
		{"nats.connections", func(c *Config) { c.NATS.Connections = 0 }},
		{"nats.connections", func(c *Config) { c.NATS.Connections = 17 }},
		{"nats.jetstream", func(c *Config) { c.NATS.URLs, c.NATS.JetStream = nil, true }},
		{"nats.embedded.store_dir", func(c *Config) { c.NATS.JetStream, c.NATS.Embedded.StoreDir = true, "js" }},
		{"nats.embedded.store_dir", func(c *Config) { c.NATS.URLs, c.NATS.Embedded.StoreDir = nil, "js" }},
		{"nats.embedded.store_dir", func(c *Config) {
			c.NATS.URLs, c.NATS.JetStream, c.NATS.Embedded.StoreDir = nil, true, reference
		}},
		{"nats.embedded.store_dir", func(c *Config) {
			c.NATS.URLs, c.NATS.JetStream, c.NATS.Embedded.StoreDir = nil, true, reference+"/js"
		}},
		{"subscribe.topics", func(c *Config) { c.Subscribe.Topics = []string{"px.>", "px..a"} }},
		{"publish.topics", func(c *Config) { c.Publish.Topics = []string{">.px"} }},
		{"publish.topics", func(c *Config) { c.Publish.Topics = []string{strings.Repeat("t", 256)} }},
		{"demo.symbols", func(c *Config) { c.Demo.Symbols = 0 }},
		{"demo.rate", func(c *Config) { c.Demo.Rate = 0 }},
		{"debug.echo_path", func(c *Config) { c.Debug.EchoPath = "echo" }},
		{"debug.echo_path", func(c *Config) { c.Debug.EchoPath = "/stream" }},
		{"debug.echo_path", func(c *Config) { c.Debug.EchoPath = "/a b" }},
		{"debug.echo_path", func(c *Config) { c.Debug.EchoPath = "//" }},
		{"debug.echo_path", func(c *Config) { c.Debug.EchoPath = "/a/../b" }},
		{"debug.echo_queue_bytes", func(c *Config) { c.Debug.EchoQueueBytes = 0 }},
		{"debug.echo_queue_bytes", func(c *Config) { c.Debug.EchoPath, c.Limits.MaxMessageSize = "/echo", 16*mib }},
		{"shutdown.timeout", func(c *Config) { c.Shutdown.Timeout = 0 }},
		{"log.level", func(c *Config) { c.Log.Level = "INFO" }},
		{"log.format", func(c *Config) { c.Log.Format = "" }},
		{"runtime.gogc", func(c *Config) { c.Runtime.GOGC = 0 }},
		{"runtime.gogc", func(c *Config) { c.Runtime.GOGC = -1 }},
		{"runtime.memory_limit", func(c *Config) { c.Runtime.MemoryLimit = mib }},
		{"runtime.spare_procs", func(c *Config) { c.Runtime.SpareProcs = -1 }},
		{"runtime.gc_growth", func(c *Config) { c.Runtime.GCGrowth = 1 }},
		{"runtime.trim_after", func(c *Config) { c.Runtime.TrimAfter = -1 }},
	} {
		c := defaults()
		if strings.HasPrefix(tt.key, "nats.") && tt.key != "nats.embedded.listen" {
			c.NATS.URLs = []string{"localhost"}
		}
		tt.change(c)
		problems := message.Split(c.validate())
		if len(problems) != 1 {
			t.Errorf("%s: want one problem, got %q", tt.key, problems)
			continue
		}
		var k *keyError
		if !errors.As(problems[0], &k) || k.key != tt.key {
			t.Errorf("%s: got %v", tt.key, problems[0])
		}
	}
}

func TestValidateAccepts(t *testing.T) {
	for name, change := range map[string]func(c *Config){
		"addresses": func(c *Config) {
			c.Server.Listen = []string{":8080", "[::1]:8081", "localhost:8082", "127.0.0.1:0", "127.0.0.1:0", "[fe80::1%eth0]:8083"}
			c.Server.InternalListen, c.NATS.Embedded.Listen = "0.0.0.0:9090", "127.0.0.1:0"
		},
		"one port, two families": func(c *Config) { c.Server.Listen = []string{"0.0.0.0:8080", "[::1]:8080"} },
		"one port, two addresses": func(c *Config) {
			c.Server.Listen, c.Server.InternalListen = []string{"127.0.0.1:8080"}, "127.0.0.2:8080"
		},
		"zeros": func(c *Config) {
			c.Server.InternalListen, c.Server.SendBuffer, c.Server.NotsentLowat, c.Server.TCPUserTimeout = "", 0, 0, 0
			c.Connection.Heartbeat, c.NATS.Linger, c.Runtime.TrimAfter = 0, 0, 0
			c.Connection.PollLinger, c.Drain = 0, Drain{}
		},
		"NATS": func(c *Config) {
			c.NATS.URLs = []string{"localhost", "10.0.0.1:4222", "nats://u:p@[::1]:4222", "tls://n", "ws://n", "wss://n:443"}
			c.NATS.User, c.NATS.Password, c.NATS.Credentials = "", "", ""
		},
		"JetStream elsewhere":   func(c *Config) { c.NATS.URLs, c.NATS.JetStream = []string{"localhost"}, true },
		"JetStream here":        func(c *Config) { c.NATS.JetStream, c.NATS.Embedded.StoreDir = true, "not-there-yet" },
		"echo everywhere":       func(c *Config) { c.Debug.EchoPath = "/" },
		"echo below a path":     func(c *Config) { c.Debug.EchoPath = "/test/echo/" },
		"echo below the stream": func(c *Config) { c.Debug.EchoPath = "/stream/" },
		"compress everything": func(c *Config) {
			c.Compression = Compression{true, 9, 0, 8, 8, true, true}
		},
		"no collection below the limit": func(c *Config) { c.Runtime.GOGC, c.Runtime.MemoryLimit = -1, gib },
	} {
		c := defaults()
		change(c)
		if err := c.validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestValidateKeepsSecrets requires that no password gets from a URL into a message.
func TestValidateKeepsSecrets(t *testing.T) {
	for _, url := range []string{"nats://user:hunter2@", "nats://user:hunter2@host:port", "nats://user:hunter2@%zz",
		"http://user:hunter2@h"} {
		c := defaults()
		c.NATS.URLs = []string{url}
		if err := c.validate(); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", url, err)
		}
	}
}

func TestReadFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := readFile(name); err != nil || string(b) != "content" {
		t.Errorf("got %q, %v", b, err)
	}
	if err := os.Truncate(name, maxSecretFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := readFile(name); err == nil || !strings.Contains(err.Error(), "larger than 1MiB") {
		t.Errorf("too large: got %v", err)
	}
}
