package upstream

import (
	"log/slog"
	"net"
	"time"
)

// Config holds the settings of the connections to NATS.
type Config struct {
	URLs            []string // of one cluster
	Name            string   // of the connection, as the NATS server shows it
	CredentialsFile string   // a .creds file: JWT and NKey seed
	User, Password  string
	Token           string
	CAFile          string // verifies the NATS server's certificate; empty = the system's
	CertFile        string // with KeyFile: the client's own certificate
	KeyFile         string
	ConnectTimeout  time.Duration
	ReconnectWait   time.Duration
	PingInterval    time.Duration     // of PINGs; the link counts as broken after three without an answer; default 4 s
	PendingMessages int               // messages of a connection that wait for the hub, until the NATS server waits; default 65,536
	Control         string            // subject of messages for the servers themselves, which begins with _; "" = none
	OnControl       func(data []byte) // receives each of them, on a goroutine of nats.go
	Connections     int               // number of connections, which share the subjects; default 1

	// InProcess, if not nil, is a NATS server in this process, which is used in place of URLs.
	InProcess interface{ InProcessConn() (net.Conn, error) }

	Log *slog.Logger // nil = discard
}

func (cfg *Config) setDefaults() {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.PendingMessages <= 0 {
		cfg.PendingMessages = 65536
	}
	if cfg.PingInterval <= 0 {
		cfg.PingInterval = 4 * time.Second
	}
}

// silence returns the time after which a silent server counts as dead: that of three PINGs.
func (cfg Config) silence() time.Duration { return 3 * cfg.PingInterval }
