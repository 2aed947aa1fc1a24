package main

import (
	"context"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary act as tickcast, so that scripts run the real command.
func TestMain(m *testing.M) {
	testscript.Main(secured{m}, map[string]func(){"tickcast": main, "natschild": natsChild})
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}

// The process ends even if the server hangs.
func TestUntilEndDoesNotWaitForAServerThatHangs(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	hang := make(chan struct{})
	defer close(hang)
	if err := untilEnd(ctx, time.Millisecond, func() error { <-hang; return nil }); err == nil {
		t.Error("no error")
	}
	if err := untilEnd(ctx, time.Minute, func() error { return nil }); err != nil {
		t.Error(err)
	}
}
