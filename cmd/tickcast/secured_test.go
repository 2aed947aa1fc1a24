package main

import (
	"fmt"
	"os"
	"testing"
)

// testTLS in the environment gives all servers of these tests a listener with TLS, which their clients then use.
const testTLS = "TICKCAST_TEST_TLS"

// ofServers is the environment of servers with TLS, for those whose configuration has none; nil = none.
var ofServers []string

// secured are the tests, with TLS if testTLS is set. The certificate gets to servers and to clients, those of other languages too, by
// the environment.
type secured struct{ m *testing.M }

func (s secured) Run() int {
	if os.Getenv(testTLS) == "" {
		return s.m.Run()
	}
	_ = os.Unsetenv(testTLS) // servers refuse a variable that they do not know
	dir, err := os.MkdirTemp("", "tickcast-tls-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = secureEnvironment(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return s.m.Run()
}

// secureEnvironment makes a certificate in dir and names it in the environment.
func secureEnvironment(dir string) error {
	p, err := makePair(dir, "localhost")
	if err != nil {
		return err
	}
	ofServers = []string{"TICKCAST_TLS_LISTEN=127.0.0.2:0", "TICKCAST_TLS_CERT=" + p.cert, "TICKCAST_TLS_KEY=" + p.key}
	for _, key := range []string{"SSL_CERT_FILE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"} {
		if err := os.Setenv(key, p.cert); err != nil {
			return err
		}
	}
	return nil
}

// needsClear skips a test whose subject is a server without TLS.
func needsClear(t *testing.T) {
	t.Helper()
	if ofServers != nil {
		t.Skip("not with TLS")
	}
}
