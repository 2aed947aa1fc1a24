package broadcast

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// A natsCluster is three servers with JetStream, in this process. A server keeps its ports and its store when it is started
// again.
type natsCluster struct {
	t       *testing.T
	options [3]*server.Options
	servers [3]*server.Server // nil = killed
}

// startCluster starts the servers and waits until JetStream can be used.
func startCluster(t *testing.T) *natsCluster {
	t.Helper()
	c := &natsCluster{t: t}
	ports := freePorts(t, 2*len(c.servers))
	var routes []*url.URL
	for i := range c.servers {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[2*i+1])})
	}
	dir := t.TempDir()
	for i := range c.servers {
		name := fmt.Sprintf("S%d", i)
		c.options[i] = &server.Options{
			ServerName: name, Host: "127.0.0.1", Port: ports[2*i], NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: filepath.Join(dir, name),
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[2*i+1]}, Routes: routes,
		}
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range c.servers {
			c.kill(i)
		}
	})
	c.awaitMeta()
	return c
}

// freePorts returns ports that nobody listens on.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }() // when all are found
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// start starts a server that does not run. It does not wait for it.
func (c *natsCluster) start(i int) {
	c.t.Helper()
	s, err := server.NewServer(c.options[i].Clone())
	if err != nil {
		c.t.Fatal(err)
	}
	s.Start()
	c.servers[i] = s
}

// kill ends a server, if it runs.
func (c *natsCluster) kill(i int) {
	if s := c.servers[i]; s != nil {
		c.servers[i] = nil
		s.Shutdown()
		s.WaitForShutdown()
	}
}

// find returns the server for which is says yes, or -1.
func (c *natsCluster) find(is func(*server.Server) bool) int {
	for i, s := range c.servers {
		if s != nil && is(s) {
			return i
		}
	}
	return -1
}

// await polls until done.
func (c *natsCluster) await(what string, done func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("the cluster has waited too long for %s", what)
		}
	}
}

// awaitMeta waits for a leader that knows all servers.
func (c *natsCluster) awaitMeta() {
	c.t.Helper()
	c.await("a leader", func() bool {
		i := c.find((*server.Server).JetStreamIsLeader)
		return i >= 0 && len(c.servers[i].JetStreamClusterPeers()) == len(c.servers)
	})
}

// leader waits for the leader of a stream and returns its server.
func (c *natsCluster) leader(stream string) (i int) {
	c.t.Helper()
	c.await("the stream's leader", func() bool {
		i = c.find(func(s *server.Server) bool { return s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) })
		return i >= 0
	})
	return i
}

// awaitCurrent waits until every server runs and has all of a stream.
func (c *natsCluster) awaitCurrent(stream string) {
	c.t.Helper()
	c.await("the stream's replicas", func() bool {
		for _, s := range c.servers {
			if s == nil || !s.JetStreamIsStreamCurrent(server.DEFAULT_GLOBAL_ACCOUNT, stream) {
				return false
			}
		}
		return true
	})
}

// connect connects to server i first, and to the others when it is away.
func (c *natsCluster) connect(i int) *nats.Conn {
	c.t.Helper()
	var urls []string
	for k := range c.options {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", c.options[(i+k)%len(c.options)].Port))
	}
	return publisher(c.t, strings.Join(urls, ","), nats.DontRandomize(), nats.MaxReconnects(-1),
		nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0), nats.ReconnectBufSize(-1))
}

// connected returns the server that nc is connected to.
func (c *natsCluster) connected(nc *nats.Conn) int {
	return c.find(func(s *server.Server) bool { return s.Name() == nc.ConnectedServerName() })
}
