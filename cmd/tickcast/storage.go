package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

const (
	storageRoom  = 1 << 20     // bytes that must fit into the directory before JetStream starts again. Chosen by us
	storageProbe = time.Second // between two attempts. Chosen by us
)

// A storage is the JetStream of the embedded NATS server. After a failed write, nats-server stores no more messages in that
// stream until it opens its files anew, and reports this only in its log. So JetStream is shut down at the first failed
// write, which makes its topics stale. It starts again when the directory accepts writes.
type storage struct {
	server *natsserver.Server
	log    *slog.Logger
	failed chan struct{}          // a write failed; capacity 1
	why    atomic.Pointer[string] // why JetStream is shut down; nil = it runs
}

// note searches a line of nats-server's log for a failed write. Any goroutine may call it.
func (s *storage) note(line string) {
	lower := strings.ToLower(line)
	if strings.Contains(lower, "no space left") || strings.Contains(lower, "critical write error") || strings.Contains(lower, "out of resources") {
		select {
		case s.failed <- struct{}{}:
		default:
		}
	}
}

// ready returns the reason why messages cannot be stored, or nil. Any goroutine may call it.
func (s *storage) ready() error {
	if why := s.why.Load(); why != nil {
		return errors.New(*why)
	}
	return nil
}

// watch repairs JetStream after failed writes, until ctx is done.
func (s *storage) watch(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.failed:
			if config := s.server.JetStreamConfig(); config != nil {
				s.mend(ctx, config)
			}
		}
	}
}

// mend shuts JetStream down and starts it again when its directory has room.
func (s *storage) mend(ctx context.Context, config *natsserver.JetStreamConfig) {
	why := "the embedded JetStream cannot write to " + config.StoreDir
	s.why.Store(&why)
	s.log.Error("the embedded JetStream cannot write, it is shut down until it can", "directory", config.StoreDir)
	if err := s.server.ShutdownJetStream(); err != nil {
		s.log.Warn("shutting down the embedded JetStream", "err", err)
	}
	again := *config
	again.StoreDir = filepath.Dir(config.StoreDir) // nats-server appends the last part again
	tick := time.NewTicker(storageProbe)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := probeStorage(config.StoreDir)
		if err == nil {
			err = s.server.EnableJetStream(&again)
		}
		if err == nil {
			break
		}
		s.log.Debug("the embedded JetStream still cannot write", "err", err)
	}
	select {
	case <-s.failed: // of before
	default:
	}
	s.why.Store(nil)
	s.log.Info("the embedded JetStream writes again", "directory", config.StoreDir)
}

// probeStorage writes a file to a directory and removes it.
func probeStorage(dir string) error {
	f, err := os.CreateTemp(dir, "probe-")
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(make([]byte, storageRoom)); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	return f.Sync()
}
