package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"tickcast/cmd/message"
	"tickcast/cmd/tickcast/config"
)

// embeddedStart bounds the start of the embedded NATS server, which takes milliseconds.
const embeddedStart = 10 * time.Second

// An embedded is a NATS server inside this process. Clients in this process connect with nats.InProcessServer. Others can connect
// if it listens.
type embedded struct {
	server  *natsserver.Server
	listen  bool
	storage *storage // nil without JetStream
}

// startEmbedded starts the NATS server of c, named after node, and returns once it accepts connections. If c has a user or a
// token, all clients must present it, those in this process too. JetStream keeps its files in the store directory. An address or a
// directory that cannot be used is an error with a hint.
func startEmbedded(c config.NATS, node string, log *slog.Logger) (*embedded, error) {
	opts := &natsserver.Options{
		ServerName:    "tickcast-" + node,
		NoSigs:        true, // the command handles signals
		DontListen:    c.Embedded.Listen == "",
		Username:      c.User,
		Password:      c.Password,
		Authorization: c.Token,
		JetStream:     c.JetStream,
		StoreDir:      c.Embedded.StoreDir,
	}
	if !opts.DontListen {
		host, port, err := net.SplitHostPort(c.Embedded.Listen)
		if err == nil {
			opts.Host = host
			opts.Port, err = strconv.Atoi(port)
		}
		if err != nil {
			return nil, fmt.Errorf("embedded NATS: %w", err)
		}
		if opts.Port == 0 {
			opts.Port = natsserver.RANDOM_PORT
		}
	}
	ns, err := natsserver.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	logger := &natsLogger{log: log.With("from", "nats-server")}
	if c.JetStream {
		logger.storage = &storage{server: ns, log: log, failed: make(chan struct{}, 1)}
	}
	ns.SetLoggerV2(logger, false, false, false)
	ns.Start()
	fatal := logger.fatal.Load() // reported at once, without the wait below
	if fatal != nil || !ns.ReadyForConnections(embeddedStart) {
		ns.Shutdown()
		ns.WaitForShutdown()
		if fatal == nil {
			return nil, fmt.Errorf("embedded NATS: not ready after %v", embeddedStart)
		}
		if strings.Contains((*fatal).Error(), "JetStream") {
			return nil, message.WithHint(fmt.Errorf("embedded NATS: %w", *fatal),
				fmt.Sprintf("its directory is nats.embedded.store_dir, %q", c.Embedded.StoreDir))
		}
		return nil, listenHint("nats.embedded.listen", fmt.Errorf("embedded NATS: %w", *fatal),
			"or set nats.urls to use the NATS server that is there")
	}
	logger.started.Store(true)
	return &embedded{server: ns, listen: !opts.DontListen, storage: logger.storage}, nil
}

// InProcessConn returns a connection to the server without a socket. It implements nats.InProcessConnProvider.
func (e *embedded) InProcessConn() (net.Conn, error) { return e.server.InProcessConn() }

// Addr returns the address for clients of other processes, or "" if the server does not listen.
func (e *embedded) Addr() string {
	if !e.listen {
		return ""
	}
	return e.server.Addr().String()
}

// Close ends the server and all its connections, and returns when they have ended. A second call has no effect.
func (e *embedded) Close() {
	e.server.Shutdown()
	e.server.WaitForShutdown()
}

// listenHint adds a hint to err if the address in key is taken. more continues the hint; it may be empty.
func listenHint(key string, err error, more string) error {
	if !strings.Contains(err.Error(), "address already in use") {
		return err
	}
	hint := "another process listens there, perhaps another tickcast: choose another " + key
	if more != "" {
		hint += ", " + more
	}
	return message.WithHint(err, hint)
}

// A natsLogger passes on the log of the embedded NATS server: warnings and errors as warnings, other lines at the debug level. It
// keeps the reason of a failed start, which nats-server writes only to its log.
type natsLogger struct {
	log     *slog.Logger
	started atomic.Bool
	fatal   atomic.Pointer[error]
	storage *storage // receives warnings and errors; may be nil
}

func (l *natsLogger) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *natsLogger) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *natsLogger) Tracef(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *natsLogger) Errorf(format string, v ...any)  { l.warn(fmt.Sprintf(format, v...)) }

func (l *natsLogger) warn(line string) {
	l.log.Warn(line)
	if l.storage != nil {
		l.storage.note(line)
	}
}

// Warnf logs warnings of the start at the debug level: they are about options that an operator of tickcast cannot set.
func (l *natsLogger) Warnf(format string, v ...any) {
	if !l.started.Load() {
		l.Debugf(format, v...)
		return
	}
	l.warn(fmt.Sprintf(format, v...))
}

// Fatalf keeps the error for startEmbedded to return. It must not end the process.
func (l *natsLogger) Fatalf(format string, v ...any) {
	err := errors.New(strings.TrimPrefix(fmt.Sprintf(format, v...), "Error listening on port: "))
	l.fatal.CompareAndSwap(nil, &err)
}
