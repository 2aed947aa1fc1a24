package js

import _ "embed"

// Module is the client as browsers load it.
//
//go:embed dist/tickcast.js
var Module []byte

// Worker is the script of the SharedWorker that lets tabs share one connection. It imports tickcast.js beside it.
//
//go:embed dist/tickcast-worker.js
var Worker []byte
