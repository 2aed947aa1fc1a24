package natstest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// A Cluster is three servers with JetStream. A server keeps its ports and its store when it is started again.
type Cluster struct {
	t       *testing.T
	options [3]*server.Options
	Servers [3]*server.Server // nil = killed
}

// StartCluster runs the servers until the test ends. It returns when JetStream is usable.
func StartCluster(t *testing.T) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	ports := FreePorts(t, 2*len(c.Servers))
	var routes []*url.URL
	for i := range c.Servers {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[2*i+1])})
	}
	dir := t.TempDir()
	for i := range c.Servers {
		name := fmt.Sprintf("S%d", i)
		c.options[i] = &server.Options{
			ServerName: name, Host: "127.0.0.1", Port: ports[2*i], NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: filepath.Join(dir, name),
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[2*i+1]}, Routes: routes,
		}
		c.Start(i)
	}
	t.Cleanup(func() {
		for i := range c.Servers {
			c.Kill(i)
		}
	})
	c.AwaitMeta()
	return c
}

// FreePorts returns ports of 127.0.0.1 without a listener. They are below those that the kernel gives to clients and to listeners
// on port 0, so no other process takes one by chance before it is used, or while its server is away.
func FreePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
	given := 32768 // the lowest port that the kernel gives, by default
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		_, _ = fmt.Sscan(string(b), &given)
	}
	const lowest = 11000 // browsers and Node.js refuse some ports below
	for tries := 0; len(ports) < n; tries++ {
		port := 0
		if given > 2*lowest {
			port = lowest + rand.IntN(given-lowest)
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			if tries > 100*n {
				t.Fatal(err)
			}
			continue
		}
		defer func() { _ = l.Close() }() // when all are found
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// Start starts a killed server and does not wait for it.
func (c *Cluster) Start(i int) {
	c.t.Helper()
	s, err := server.NewServer(c.options[i].Clone())
	if err != nil {
		c.t.Fatal(err)
	}
	s.Start()
	c.Servers[i] = s
}

// Kill ends a server, if it runs.
func (c *Cluster) Kill(i int) {
	if s := c.Servers[i]; s != nil {
		c.Servers[i] = nil
		s.Shutdown()
		s.WaitForShutdown()
	}
}

// Find returns the server for which is reports true, or -1.
func (c *Cluster) Find(is func(*server.Server) bool) int {
	for i, s := range c.Servers {
		if s != nil && is(s) {
			return i
		}
	}
	return -1
}

// Await polls until done reports true.
func (c *Cluster) Await(event string, done func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(Patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("the cluster has waited too long for %s", event)
		}
	}
}

// AwaitMeta waits for a leader that knows all servers.
func (c *Cluster) AwaitMeta() {
	c.t.Helper()
	c.Await("a leader", func() bool {
		i := c.Find((*server.Server).JetStreamIsLeader)
		return i >= 0 && len(c.Servers[i].JetStreamClusterPeers()) == len(c.Servers)
	})
}

// Leader waits for the leader of a stream and returns its server.
func (c *Cluster) Leader(stream string) (i int) {
	c.t.Helper()
	c.Await("the stream's leader", func() bool {
		i = c.Find(func(s *server.Server) bool { return s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) })
		return i >= 0
	})
	return i
}

// AwaitCurrent waits until every server has a complete copy of a stream.
func (c *Cluster) AwaitCurrent(stream string) {
	c.t.Helper()
	c.Await("the stream's replicas", func() bool {
		for _, s := range c.Servers {
			if s == nil || !s.JetStreamIsStreamCurrent(server.DEFAULT_GLOBAL_ACCOUNT, stream) {
				return false
			}
		}
		return true
	})
}

// URLs returns the addresses of all servers.
func (c *Cluster) URLs() (urls []string) {
	for _, o := range c.options {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", o.Port))
	}
	return urls
}

// Connect connects to server i (modulo 3) first, and to the others when it is away.
func (c *Cluster) Connect(i int) *nats.Conn {
	c.t.Helper()
	urls := c.URLs()
	urls = slices.Concat(urls[i%len(urls):], urls[:i%len(urls)])
	return Connect(c.t, strings.Join(urls, ","), nats.DontRandomize(), nats.MaxReconnects(-1),
		nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0), nats.ReconnectBufSize(-1))
}

// Connected returns the server that nc is connected to.
func (c *Cluster) Connected(nc *nats.Conn) int {
	return c.Find(func(s *server.Server) bool { return s.Name() == nc.ConnectedServerName() })
}
