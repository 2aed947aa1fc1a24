package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary act as tickcast, so that scripts run the real command.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tickcast": main})
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}
