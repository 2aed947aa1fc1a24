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
)

// embeddedStart bounds how long the embedded NATS server may take to start; it takes milliseconds.
const embeddedStart = 10 * time.Second

// An embedded is a NATS server inside this process. Clients of this process connect with nats.InProcessServer; others can
// if it listens.
type embedded struct {
	server *natsserver.Server
	listen bool
}

// startEmbedded starts the NATS server that c asks for, under the name of node, and returns once it takes connections. If
// c has a user or a token, then every client must show it, those of this process as well. With JetStream it keeps its
// files in the store's directory. An address that cannot be listened on and a directory that cannot be used are errors
// with a hint.
func startEmbedded(c NATSConfig, node string, log *slog.Logger) (*embedded, error) {
	opts := &natsserver.Options{
		ServerName:    "tickcast-" + node,
		NoSigs:        true, // signals are the command's
		DontListen:    c.Embedded.Listen == "",
		Username:      c.User,
		Password:      c.Password,
		Authorization: c.Token,
		JetStream:     c.JetStream,
		StoreDir:      c.Embedded.StoreDir,
	}
	if !opts.DontListen {
		host, port, err := net.SplitHostPort(c.Embedded.Listen)
		if err != nil {
			return nil, fmt.Errorf("embedded NATS: %w", err)
		}
		opts.Host = host
		if opts.Port, err = strconv.Atoi(port); err != nil {
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
	ns.SetLoggerV2(logger, false, false, false)
	ns.Start()
	fatal := logger.fatal.Load() // known at once; the wait below would last to its end
	if fatal != nil || !ns.ReadyForConnections(embeddedStart) {
		ns.Shutdown()
		ns.WaitForShutdown()
		if fatal == nil {
			return nil, fmt.Errorf("embedded NATS: not ready after %s", formatDuration(embeddedStart))
		}
		if strings.Contains((*fatal).Error(), "JetStream") {
			return nil, withHint(fmt.Errorf("embedded NATS: %w", *fatal),
				fmt.Sprintf("its directory is nats.embedded.store_dir, %q", c.Embedded.StoreDir))
		}
		return nil, listenHint("nats.embedded.listen", fmt.Errorf("embedded NATS: %w", *fatal),
			"or set nats.urls to use the NATS server that is there")
	}
	logger.started.Store(true)
	return &embedded{server: ns, listen: !opts.DontListen}, nil
}

// InProcessConn returns a connection to the server without a socket; it makes embedded a nats.InProcessConnProvider.
func (e *embedded) InProcessConn() (net.Conn, error) { return e.server.InProcessConn() }

// Addr returns the address that others can connect to, or "" if there is none.
func (e *embedded) Addr() string {
	if !e.listen {
		return ""
	}
	return e.server.Addr().String()
}

// Close ends the server and all its connections, and returns when they are gone. It may be called again.
func (e *embedded) Close() {
	e.server.Shutdown()
	e.server.WaitForShutdown()
}

// listenHint adds a hint to err if it says that the address in the key is taken; more, if any, continues it.
func listenHint(key string, err error, more string) error {
	if !strings.Contains(err.Error(), "address already in use") {
		return err
	}
	hint := "another process listens there, perhaps another tickcast: choose another " + key
	if more != "" {
		hint += ", " + more
	}
	return withHint(err, hint)
}

// A natsLogger passes on what the embedded NATS server has to say: warnings and errors as warnings, the rest for
// debugging. It keeps the reason of a failed start, which nats-server only tells to its log.
type natsLogger struct {
	log     *slog.Logger
	started atomic.Bool
	fatal   atomic.Pointer[error]
}

func (l *natsLogger) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *natsLogger) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *natsLogger) Tracef(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *natsLogger) Errorf(format string, v ...any)  { l.log.Warn(fmt.Sprintf(format, v...)) }

// Warnf keeps warnings of the start for debugging: they are about options that an operator of tickcast cannot set.
func (l *natsLogger) Warnf(format string, v ...any) {
	if !l.started.Load() {
		l.Debugf(format, v...)
		return
	}
	l.log.Warn(fmt.Sprintf(format, v...))
}

// Fatalf must not end the process: startEmbedded returns the error.
func (l *natsLogger) Fatalf(format string, v ...any) {
	err := errors.New(strings.TrimPrefix(fmt.Sprintf(format, v...), "Error listening on port: "))
	l.fatal.CompareAndSwap(nil, &err)
}
