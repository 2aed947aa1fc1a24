package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// attackerVar names the attack, the addresses of the server and of NATS and the time, in the environment of an attacker.
const attackerVar = "ATTACKER"

// attacker runs one attack and prints its note.
func attacker(what string) error {
	f := strings.Split(what, "|")
	if len(f) != 4 {
		return fmt.Errorf("%s=%q", attackerVar, what)
	}
	n, err := dialNATS(f[2])
	if err != nil {
		return err
	}
	defer n.Close()
	phase, err := time.ParseDuration(f[3])
	if err != nil {
		return err
	}
	ctx, end := context.WithTimeout(context.Background(), phase)
	defer end()
	for _, a := range attacks {
		if a.name == f[0] {
			t := &target{addr: f[1], nats: n}
			a.run(ctx, t)
			fmt.Print(t.note)
			return nil
		}
	}
	return fmt.Errorf("there is no attack %q", f[0])
}

// attackerNice is the nice value of attackers: those of the real world have machines of their own, so here they take the processor time
// that the server, NATS and the bystanders leave.
const attackerNice = "19"

// start runs a against s in a process of its own. The result comes when it has ended.
func (a *attack) start(s *server, phase time.Duration) (<-chan string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("nice", "-n", attackerNice, self)
	cmd.Env = append(os.Environ(), attackerVar+"="+strings.Join([]string{a.name, s.stream, s.nats, phase.String()}, "|"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	done := make(chan string, 1)
	go func() {
		note, _ := io.ReadAll(out)
		if err := cmd.Wait(); err != nil {
			note = fmt.Append(note, err)
		}
		done <- string(note)
	}()
	return done, nil
}
