package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast/natstest"
)

// natsChild runs a NATS server of a cluster: its name, client port, directory, own route port and the others'.
func natsChild() {
	args := os.Args[1:]
	port, _ := strconv.Atoi(args[1])
	own, _ := strconv.Atoi(args[3])
	var routes []*url.URL
	for _, p := range args[3:] {
		routes = append(routes, &url.URL{Scheme: "nats", Host: "127.0.0.1:" + p})
	}
	s, err := server.NewServer(&server.Options{
		ServerName: args[0], Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, JetStream: true, StoreDir: args[2],
		Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: own}, Routes: routes, PingInterval: time.Second,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s.Start()
	select {}
}

// A child is a process that can be killed, stopped and started again.
type child struct {
	t    *testing.T
	name string
	args []string
	cmd  *exec.Cmd
}

func (c *child) start() {
	c.cmd = exec.Command(c.name, c.args...)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.cmd.Stderr = os.Stderr
	if !testing.Verbose() {
		c.cmd.Stderr = nil
	}
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *child) signal(s syscall.Signal) { _ = c.cmd.Process.Signal(s) }

func (c *child) kill() {
	c.signal(syscall.SIGKILL)
	_ = c.cmd.Wait()
}

const (
	clusterTopics  = 8
	clusterClients = 200
)

// dropPackets drops all packets from and to a port, without a word to either end. It returns nil where that is not possible.
func dropPackets(t *testing.T, port int) (undo func()) {
	rule := func(action, direction string) error {
		return exec.Command("iptables", "-w", action, "INPUT", "-i", "lo", "-p", "tcp", direction, strconv.Itoa(port), "-j", "DROP").Run()
	}
	undo = func() { _, _ = rule("-D", "--dport"), rule("-D", "--sport") }
	if rule("-I", "--dport") != nil || rule("-I", "--sport") != nil {
		undo()
		return nil
	}
	once := sync.OnceFunc(undo)
	t.Cleanup(once)
	return once
}

// Three NATS servers, three nodes and 200 clients, each a process or in one, through the faults that happen to them: followers of
// topics of a stream get each message once and in order. TEST_CLUSTER=30s is the time for each fault.
func TestFollowersThroughFaults(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	each := time.Second
	if s := os.Getenv("TEST_CLUSTER"); s != "" {
		var err error
		if each, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	for _, name := range []string{"tickcast", "natschild"} { // the test binary acts by its name
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	ports := natstest.FreePorts(t, 12)
	routes := []string{strconv.Itoa(ports[3]), strconv.Itoa(ports[4]), strconv.Itoa(ports[5])}
	var servers, nodes []*child
	var urls, addrs, internal []string
	for i := range 3 {
		args := []string{fmt.Sprintf("S%d", i), strconv.Itoa(ports[i]), t.TempDir(), routes[i]}
		for k, r := range routes {
			if k != i {
				args = append(args, r)
			}
		}
		servers = append(servers, &child{t: t, name: filepath.Join(bin, "natschild"), args: args})
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", ports[i]))
	}
	for i := range 3 {
		addrs, internal = append(addrs, fmt.Sprintf("127.0.0.1:%d", ports[6+i])), append(internal, fmt.Sprintf("127.0.0.1:%d", ports[9+i]))
		file := filepath.Join(t.TempDir(), "config.toml")
		config := fmt.Sprintf("[server]\nlisten = [%q]\ninternal_listen = %q\nnode = \"n%d\"\n[connection]\nheartbeat = \"1s\"\n[nats]\njetstream = true\n"+
			"ping_interval = \"1s\"\nurls = [\"%s\"]\n[[topic]]\nmatch = \"ord.>\"\nmode = \"all\"\nsnapshot = \"jetstream\"\nhistory = 20000\n",
			addrs[i], internal[i], i, strings.Join(urls, `", "`))
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, &child{t: t, name: filepath.Join(bin, "tickcast"), args: []string{"-config", file}})
	}
	for _, c := range append(slices.Clone(servers), nodes...) {
		c.start()
		defer c.kill()
	}

	nc, err := nats.Connect(strings.Join(urls, ","), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.RetryOnFailedConnect(true), nats.PingInterval(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tryTo := func(f func(ctx context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		return f(ctx)
	}
	within(t, 3*patience, "the stream is made", func() bool {
		return tryTo(func(ctx context.Context) error {
			_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "ORD", Subjects: []string{"ord.>"}, Replicas: 3, AllowDirect: true})
			return err
		}) == nil
	})
	for _, addr := range internal {
		within(t, 3*patience, "a node is ready", func() bool {
			r, err := http.Get("http://" + addr + "/readyz")
			if err != nil {
				return false
			}
			r.Body.Close()
			return r.StatusCode == 200
		})
	}

	// The publisher stores each message until the stream has acknowledged it, each with an identity, so that none is stored twice.
	counts := make([]int, clusterTopics)
	store := func(i int) error {
		id := counts[i]*clusterTopics + i
		err := tryTo(func(ctx context.Context) error {
			_, err := js.Publish(ctx, fmt.Sprintf("ord.%d", i), []byte(strconv.Itoa(id)), jetstream.WithMsgID(strconv.Itoa(id)))
			return err
		})
		if err == nil {
			counts[i]++
		}
		return err
	}
	for i := range clusterTopics {
		eventually(t, "a message is stored", func() bool { return store(i) == nil })
	}
	var stored atomic.Int64
	stop, published := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(published)
		for i := 0; ; {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				if store(i%clusterTopics) == nil {
					i++
					stored.Add(1)
				}
			}
		}
	}()
	var followers []*follower
	var all sync.WaitGroup
	for i := range clusterClients {
		f := &follower{nodes: addrs, topic: "ord.*", rng: rand.New(rand.NewPCG(uint64(i), 1))}
		if i%2 == 1 {
			f.topic = fmt.Sprintf("ord.%d", i%clusterTopics)
		}
		followers = append(followers, f)
		all.Go(func() { f.follow(ctx) })
	}

	for _, f := range followers {
		eventually(t, "each follower has a message", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return slices.Contains(f.began[:], true)
		})
	}
	seed := rand.Uint64()
	t.Logf("seed of the faults: %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	pick := func(list []*child) *child { return list[rng.IntN(len(list))] }
	for _, fault := range []struct {
		name string
		do   func() (undo func())
	}{
		{"a NATS server is killed", func() func() { c := pick(servers); c.kill(); return c.start }},
		{"a node is killed", func() func() { c := pick(nodes); c.kill(); return c.start }},
		{"a NATS server stands still", func() func() {
			c := pick(servers)
			c.signal(syscall.SIGSTOP)
			return func() { c.signal(syscall.SIGCONT) }
		}},
		{"a node stands still", func() func() {
			c := pick(nodes)
			c.signal(syscall.SIGSTOP)
			return func() { c.signal(syscall.SIGCONT) }
		}},
		{"packets of a NATS server are dropped", func() func() { return dropPackets(t, ports[rng.IntN(3)]) }},
		{"two NATS servers are killed", func() func() {
			a, b := servers[0], servers[1]
			a.kill()
			b.kill()
			return func() { a.start(); b.start() }
		}},
	} {
		t.Log(fault.name)
		undo := fault.do()
		if undo == nil {
			t.Log("left out: no iptables")
			continue
		}
		time.Sleep(each)
		undo()
		before := stored.Load()
		within(t, 3*patience, "messages are stored again", func() bool { return stored.Load() > before+5*clusterTopics })
	}
	close(stop)
	<-published
	lacks := ""
	for end := time.Now().Add(3 * patience); ; time.Sleep(100 * time.Millisecond) {
		lacks = ""
		for _, f := range followers {
			if l := f.done(counts); l != "" {
				lacks = l
			}
		}
		if lacks == "" || time.Now().After(end) {
			break
		}
	}
	cancel()
	all.Wait()
	faults, back := 0, 0
	for _, f := range followers {
		back += f.back
		for _, what := range f.faults {
			if faults++; faults < 10 {
				t.Errorf("a follower of %s: %s", f.topic, what)
			}
		}
	}
	if lacks != "" {
		t.Errorf("in the end, %s", lacks)
	}
	t.Logf("%d messages acknowledged, %d times a follower came back and recovered, %d faults", stored.Load(), back, faults)
	if back == 0 {
		t.Error("no follower came back")
	}
}
