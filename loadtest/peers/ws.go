package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// wsServer is npm's ws on Node.js, in node/server.mjs: one process, and so one core whatever the value of -cores. Node.js has
// more threads for collecting garbage and compiling; their CPU time counts. With --optimize-for-size a connection takes half
// the memory, and a message no more time: otherwise V8 keeps some 20 MiB for young objects after a burst.
var wsServer = peer{name: "ws", language: "JavaScript", version: wsVersion, prepare: findWS, serve: serveWS}

// nodeDir is the directory of server.mjs and its package, relative to this module.
const nodeDir = "node"

// wsVersion returns the versions of both.
func wsVersion() string {
	var pkg struct{ Version string }
	b, _ := os.ReadFile(filepath.Join(nodeDir, "node_modules", "ws", "package.json"))
	json.Unmarshal(b, &pkg)
	node, _ := exec.Command("node", "-v").Output()
	return fmt.Sprintf("ws %s, Node.js %s", pkg.Version, strings.TrimSpace(string(node)))
}

// findWS returns an error if the server cannot run here.
func findWS(string) error {
	if _, err := exec.LookPath("node"); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(nodeDir, "node_modules", "ws")); err != nil {
		return errors.New(`its package is not installed; "npm ci" in loadtest/peers/node does that`)
	}
	return nil
}

func serveWS(_ context.Context, s site) error {
	node, err := exec.LookPath("node")
	if err != nil {
		return err
	}
	script := filepath.Join(nodeDir, "server.mjs")
	return become(node, []string{"--expose-gc", "--optimize-for-size", script, s.listen, s.control}, "NODE_ENV=production")
}
