package admission

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	proxyproto "github.com/pires/go-proxyproto"
)

func TestParseProxy(t *testing.T) {
	v2 := func(verb, family byte, length int, body string) string {
		return string(proxyV2) + string([]byte{verb, family, byte(length >> 8), byte(length)}) + body
	}
	four := "\x0a\x00\x00\x01\x0a\x00\x00\x02\x30\x39\x00\x50"
	six := strings.Repeat("\x20", 16) + strings.Repeat("\x21", 16) + "\x30\x39\x00\x50"
	for _, row := range []struct {
		name, in, source string // source "" = none
		n                int    // -1 = ErrProxy, -2 = ErrNoProxy
	}{
		{"v1", "PROXY TCP4 10.0.0.1 10.0.0.2 12345 80\r\nGET", "10.0.0.1:12345", 39},
		{"v1, IPv6", "PROXY TCP6 2001:db8::1 ::2 12345 80\r\n", "[2001:db8::1]:12345", 37},
		{"v1, unknown", "PROXY UNKNOWN\r\n", "", 15},
		{"v1, unknown with words", "PROXY UNKNOWN ff ff 1 2\r\n", "", 25},
		{"v1, begun", "PROXY TCP4 10.0", "", 0},
		{"v1, carriage return", "PROXY TCP4 10.0.0.1 10.0.0.2 12345 80\r", "", 0},
		{"one byte", "P", "", 0},
		{"nothing", "", "", 0},
		{"v1, line feed", "PROXY TCP4 10.0.0.1 10.0.0.2 12345 80\n", "", -1},
		{"v1, too long", "PROXY UNKNOWN " + strings.Repeat("f", 100) + "\r\n", "", -1},
		{"v1, wrong family", "PROXY TCP4 ::1 ::2 1 2\r\n", "", -1},
		{"v1, other family", "PROXY UDP4 10.0.0.1 10.0.0.2 1 2\r\n", "", -1},
		{"v1, port too large", "PROXY TCP4 10.0.0.1 10.0.0.2 65536 2\r\n", "", -1},
		{"v1, leading zero", "PROXY TCP4 10.0.0.1 10.0.0.2 01 2\r\n", "", -1},
		{"v1, two spaces", "PROXY TCP4  10.0.0.1 10.0.0.2 1 2\r\n", "", -1},
		{"v1, a zone", "PROXY TCP6 fe80::1%a fe80::2 1 2\r\n", "", -1},
		{"v1, no port", "PROXY TCP4 10.0.0.1 10.0.0.2 1\r\n", "", -1},
		{"v2", v2(0x21, 0x11, 12, four) + "GET", "10.0.0.1:12345", 28},
		{"v2, IPv6", v2(0x21, 0x21, 36, six), "[2020:2020:2020:2020:2020:2020:2020:2020]:12345", 52},
		{"v2, with TLVs", v2(0x21, 0x11, 15, four+"\x04\x00\x00"), "10.0.0.1:12345", 31},
		{"v2, local", v2(0x20, 0, 0, ""), "", 16},
		{"v2, local with an address", v2(0x20, 0x11, 12, four), "", 28},
		{"v2, Unix", v2(0x21, 0x31, 216, strings.Repeat("\x00", 216)), "", 232},
		{"v2, UDP", v2(0x21, 0x12, 12, four), "", 28},
		{"v2, begun", v2(0x21, 0x11, 12, four)[:20], "", 0},
		{"v2, too short", v2(0x21, 0x11, 4, "abcd"), "", -1},
		{"v2, another version", v2(0x31, 0x11, 12, four), "", -1},
		{"v2, another command", v2(0x22, 0x11, 12, four), "", -1},
		{"v2, another family", v2(0x21, 0x41, 12, four), "", -1},
		{"v2, too long", v2(0x21, 0x11, 60000, four), "", -1},
		{"a request", "GET / HTTP/1.1\r\n", "", -2},
		{"an empty line and a request", "\r\nGET / HTTP/1.1\r\n", "", -2},
		{"TLS", "\x16\x03\x01", "", -2},
		{"lower case", "proxy TCP4", "", -2},
	} {
		p, n, err := ParseProxy([]byte(row.in))
		want := map[int]error{-1: ErrProxy, -2: ErrNoProxy}[row.n]
		if n != max(row.n, 0) || !errors.Is(err, want) {
			t.Errorf("%s: %d, %v", row.name, n, err)
		}
		if got := p.Source; row.source == "" && got.IsValid() || row.source != "" && got != netip.MustParseAddrPort(row.source) {
			t.Errorf("%s: %v", row.name, got)
		}
		for cut := range min(len(row.in), max(row.n, 0)) { // every beginning of a header asks for more
			if _, n, err := ParseProxy([]byte(row.in[:cut])); n != 0 || err != nil {
				t.Errorf("%s, the first %d bytes: %d, %v", row.name, cut, n, err)
			}
		}
	}
}

// Headers as another implementation writes them, and the same addresses as it reads.
func TestProxyAgainstGoProxyproto(t *testing.T) {
	for _, version := range []byte{1, 2} {
		for _, source := range []string{"192.0.2.7:4711", "[2001:db8::7]:4711"} {
			from := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(source))
			to := &net.TCPAddr{IP: from.IP, Port: 80}
			h := proxyproto.HeaderProxyFromAddrs(version, from, to)
			if version == 2 {
				if err := h.SetTLVs([]proxyproto.TLV{{Type: proxyproto.PP2_TYPE_AUTHORITY, Value: []byte("push.example.com")}}); err != nil {
					t.Fatal(err)
				}
			}
			b, err := h.Format()
			if err != nil {
				t.Fatal(err)
			}
			p, n, err := ParseProxy(append(b, "GET"...))
			if err != nil || n != len(b) || p.Source != netip.MustParseAddrPort(source) {
				t.Errorf("version %d, %s: %+v %d %v", version, source, p, n, err)
			}
		}
	}
}

func FuzzParseProxy(f *testing.F) {
	f.Add([]byte("PROXY TCP4 10.0.0.1 10.0.0.2 12345 80\r\nGET"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add(append(append([]byte{}, proxyV2...), "\x21\x11\x00\x0c\x0a\x00\x00\x01\x0a\x00\x00\x02\x30\x39\x00\x50"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, n, err := ParseProxy(b)
		if n > len(b) || err != nil && n != 0 {
			t.Fatalf("%d of %d, %v", n, len(b), err)
		}
		if n == 0 {
			return
		}
		again, m, err := ParseProxy(b[:n])
		if err != nil || m != n || again != p {
			t.Errorf("%v without the bytes after it: %v, %v", p, again, err)
		}
		// The other implementation accepts the same input, and reads the same address; it is not stricter in any case here.
		h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(b)))
		if err != nil || h.Command.IsLocal() {
			return
		}
		if a, ok := h.SourceAddr.(*net.TCPAddr); ok && p.Source.IsValid() && a.AddrPort().Addr().Unmap() != p.Source.Addr().Unmap() {
			t.Errorf("%v, and the other reads %v", p.Source, a)
		}
	})
}

func TestClientOf(t *testing.T) {
	n, err := ParseNetworks([]string{"10.0.0.0/8", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "192.0.2.1, 10.0.0.1": "192.0.2.1", "1.1.1.1, 192.0.2.1 ,10.0.0.1": "192.0.2.1",
		"1.1.1.1,192.0.2.1": "192.0.2.1", "192.0.2.1:4711": "192.0.2.1", "[2001:db8::1]:80, fd00::1": "2001:db8::1", "[2001:db8::1]": "2001:db8::1",
		"::ffff:192.0.2.1": "192.0.2.1", "10.0.0.9": "10.0.0.9", "10.0.0.9,10.0.0.1": "10.0.0.9",
		"": "", "unknown": "", "192.0.2.1, unknown": "", ",": "", "192.0.2.1,": "",
	} {
		got, ok := n.ClientOf([]byte(field))
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%q: %v %v, want %q", field, got, ok, want)
		}
	}
}

func FuzzClientOf(f *testing.F) {
	f.Add([]byte("192.0.2.1, 10.0.0.1"))
	n, _ := ParseNetworks([]string{"10.0.0.0/8"})
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, ok := n.ClientOf(b); ok && !a.IsValid() {
			t.Errorf("%q", b)
		}
	})
}
