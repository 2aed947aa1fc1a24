package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// attackerVar holds the mission of an attacker, in its environment.
const attackerVar = "ATTACKER"

// A mission is what an attacker needs to know.
type mission struct {
	Attack, NATS, Dir string
	Door              door
	Phase             time.Duration
}

// attacker runs one attack and prints its note.
func attacker(what string) error {
	var m mission
	if err := json.Unmarshal([]byte(what), &m); err != nil {
		return fmt.Errorf("%s: %w", attackerVar, err)
	}
	n, err := dialNATS(m.NATS)
	if err != nil {
		return err
	}
	defer n.Close()
	ctx, end := context.WithTimeout(context.Background(), m.Phase)
	defer end()
	for _, g := range append(groups, group{attacks: []attack{{name: warmUpName, run: warmUp}}}) {
		for _, a := range g.attacks {
			if a.name == m.Attack {
				t := &target{door: m.Door, nats: n, dir: m.Dir}
				a.run(ctx, t)
				fmt.Print(t.note)
				return nil
			}
		}
	}
	return fmt.Errorf("there is no attack %q", m.Attack)
}

// attackerNice is the nice value of attackers: those of the real world have machines of their own, so here they take the processor time
// that the server, NATS and the bystanders leave.
const attackerNice = "19"

// start runs a against s in a process of its own. Its note comes when it has ended.
func (a *attack) start(s *server, p *props, phase time.Duration) (*os.Process, <-chan string, error) {
	what, err := json.Marshal(mission{a.name, s.nats, p.dir, s.stream, phase})
	if err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command("nice", "-n", attackerNice, self)
	cmd.Env = append(os.Environ(), attackerVar+"="+string(what))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	done := make(chan string, 1)
	go func() {
		note, _ := io.ReadAll(out)
		if err := cmd.Wait(); err != nil {
			note = fmt.Append(note, err)
		}
		done <- string(note)
	}()
	return cmd.Process, done, nil
}

// standStill stops the attacker until the result is called, and waits until the server has carried out what came, which shows in an account
// that grows no more. The collector counts as live what is made while it marks, garbage too: under an attack that goes on, the live heap is
// larger than all that anything holds.
func (s *server) standStill(attacker *os.Process) (goOn func()) {
	_ = attacker.Signal(syscall.SIGSTOP)
	const looks, pause, enough = 50, 200 * time.Millisecond, 2
	last, still := int64(0), 0
	for n := 0; n < looks && still < enough; n++ {
		time.Sleep(pause)
		_, told, err := s.figures()
		if err != nil || told < last-last/100 { // topics that nobody holds end now
			break
		}
		if still++; told > last+last/1000 {
			still = 0
		}
		last = told
	}
	return func() { _ = attacker.Signal(syscall.SIGCONT) }
}
