package eventloop

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/panjf2000/gnet/v2"
	gneterrors "github.com/panjf2000/gnet/v2/pkg/errors"
	"golang.org/x/sys/unix"
)

// listenURL returns address in gnet's form. An IPv4 address saves the mapped IPv6 address of every connection.
func listenURL(address string) string {
	host, _, err := net.SplitHostPort(address)
	if ip, perr := netip.ParseAddr(host); err == nil && perr == nil && ip.Is4() {
		return "tcp4://" + address
	}
	return "tcp://" + address
}

// connectionLimit returns the number of connections that are admitted, and the number of descriptors that the limit of open files
// leaves to other things: listeners, epoll, NATS, the internal port, and connections that are just being refused.
func connectionLimit(configured int) (admitted, reserve int64, err error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, 0, fmt.Errorf("eventloop: getrlimit: %w", err)
	}
	files := int64(min(limit.Cur, 1<<30))
	reserve = max(128, files/40)
	switch want := int64(configured); {
	case want == 0:
		return max(1, files-reserve), reserve, nil
	case want > files-reserve:
		return 0, 0, fmt.Errorf("eventloop: max_connections %d needs a limit of open files of %d or more, and it is %d",
			want, want+max(128, want/39+1), files)
	default:
		return want, min(reserve, files-want), nil
	}
}

// tuneListeners sets the options that accepted sockets inherit and that gnet does not know, and returns the bound addresses.
func (e *Engine) tuneListeners(g gnet.Engine) ([]string, error) {
	var addrs []string
	for _, a := range e.listen {
		_, address, _ := strings.Cut(listenURL(a), "://")
		fd, err := g.DupListener("tcp", address) // shares the socket, so options set here are the listener's
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", a, err)
		}
		bound, err := e.tune(fd)
		_ = unix.Close(fd)
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", a, err)
		}
		addrs = append(addrs, bound)
	}
	return addrs, nil
}

// tune sets the options of one listener and returns its bound address.
func (e *Engine) tune(fd int) (bound string, err error) {
	set := func(level, option, value int, name string) {
		if value > 0 && err == nil {
			if e := unix.SetsockoptInt(fd, level, option, value); e != nil {
				err = fmt.Errorf("%s %d: %w", name, value, e)
			}
		}
	}
	set(unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, e.cfg.NotSentLowat, "TCP_NOTSENT_LOWAT")
	set(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(e.cfg.TCPUserTimeout.Milliseconds()), "TCP_USER_TIMEOUT")
	if err == nil && e.cfg.Backlog > 0 {
		err = unix.Listen(fd, e.cfg.Backlog) // again, to change the backlog
	}
	if err != nil {
		return "", err
	}
	addr, err := boundAddr(fd)
	return addr.String(), err
}

// boundAddr returns the local address of a socket.
func boundAddr(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, fmt.Errorf("unknown address family %T", sa)
}

// An acceptError stands in for gnet's error after a failed accept.
type acceptError struct {
	_ []struct{} // makes the type incomparable
}

func (acceptError) Error() string { return "eventloop: accept failed" }

// surviveAcceptErrors keeps gnet from shutting the whole engine down when accept fails for lack of descriptors or memory (EMFILE,
// ENFILE, ENOBUFS, ENOMEM). Any client that opens connections fast enough could cause that.
//
// Subtle: gnet ends its main reactor if errors.Is finds errors.ErrAcceptSocket in the error. For errors.Is, a value that cannot be
// compared is not equal even to itself, so the reactor goes on. Its listener is edge-triggered: it looks at the waiting
// connections again when the next one arrives. pokeListeners makes one arrive.
var surviveAcceptErrors = sync.OnceFunc(func() { gneterrors.ErrAcceptSocket = acceptError{} })

// acceptFailed notes a failed accept. Any goroutine may call it.
func (e *Engine) acceptFailed(format string, args ...any) {
	e.accepting.failures.Add(1)
	e.accepting.failed.Store(true)
	if !e.accepting.logged.Swap(true) {
		e.log.Error("connections cannot be accepted: " + fmt.Sprintf(format, args...))
	}
}

// pokeListeners makes a connection to each address after an accept has failed, so that gnet accepts the waiting ones. The
// connection needs a descriptor too: until there is one, it fails and is tried again at the next tick.
func (e *Engine) pokeListeners() {
	if !e.accepting.failed.Swap(false) { // before the poke: the accept that follows may fail as well
		if e.accepting.logged.Swap(false) {
			e.log.Info("connections are accepted again")
		}
		return
	}
	for i, a := range e.addrs {
		c, err := net.DialTimeout("tcp", reachable(a), tick)
		if err != nil {
			e.accepting.failed.Store(true)
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
				e.makeRoom(e.listen[i])
			}
			return
		}
		_ = c.Close()
	}
}

// makeRoom closes the connection that has waited longest. A full backlog admits no other one, so gnet would never wake up.
func (e *Engine) makeRoom(listen string) {
	_, address, _ := strings.Cut(listenURL(listen), "://")
	fd, err := e.gnet.DupListener("tcp", address)
	if err != nil {
		return // no descriptor yet
	}
	defer unix.Close(fd)
	if waiting, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC); err == nil {
		_ = unix.Close(waiting)
	}
}

// reachable returns the form of a bound address to which this host can connect.
func reachable(addr string) string {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil || !ap.Addr().IsUnspecified() {
		return addr
	}
	if ap.Addr().Is4() {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), ap.Port()).String()
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), ap.Port()).String()
}
