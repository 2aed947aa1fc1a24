package client_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// consumer is a program of a module of its own.
const consumer = `package main

import (
	"context"
	"fmt"
	"os"

	"tickcast/client"
)

func main() {
	c, err := client.New(os.Args[1], client.Options{})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err = c.Subscribe(func(m client.Message) {
		fmt.Println(m.Topic, string(m.Data))
		cancel()
	}, client.SubscribeOptions{}, os.Args[2])
	if err != nil {
		panic(err)
	}
	fmt.Println(c.Run(ctx))
}
`

// A module outside of this one builds a program with the client by a replace, as docs/client.md says, and gets nothing of the server.
func TestModuleOutside(t *testing.T) {
	here, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sums, err := os.ReadFile("../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"main.go": consumer,
		"go.mod":  "module example.com/consumer\n\ngo 1.26\n\nrequire tickcast v0.0.0\n\nreplace tickcast => " + here + "\n",
		"go.sum":  string(sums),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "CGO_ENABLED=0", "GOPROXY=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run("build", "-o", "consumer", ".")
	for dep := range strings.FieldsSeq(run("list", "-deps", ".")) {
		if strings.HasPrefix(dep, "tickcast/") && dep != "tickcast/client" || strings.Contains(dep, "gnet") || strings.Contains(dep, "nats") {
			t.Errorf("the program contains %s", dep)
		}
	}
	s := startServer(t, "")
	nc := s.connect()
	cmd := exec.CommandContext(within(t), filepath.Join(dir, "consumer"), s.stream, "px.A")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	eventually(t, "the program has a message", func() bool {
		publish(t, nc, "px.A", "1")
		return len(ended) > 0
	})
	if err := <-ended; err != nil || !regexp.MustCompile(`^(px\.A 1\n)+context canceled\n$`).MatchString(out.String()) {
		t.Errorf("%v: %s", err, &out)
	}
}
