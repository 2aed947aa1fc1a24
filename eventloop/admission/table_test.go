package admission

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
	"unsafe"
)

func TestKeyOf(t *testing.T) {
	key := func(s string) Key { return KeyOf(netip.MustParseAddr(s)) }
	for _, same := range [][2]string{
		{"10.0.0.1", "::ffff:10.0.0.1"}, {"2001:db8::1", "2001:db8:0:0:ffff::2"}, {"fe80::1%eth0", "fe80::2"}, {"::1", "::2"},
	} {
		if key(same[0]) != key(same[1]) {
			t.Errorf("%v differ", same)
		}
	}
	for _, other := range [][2]string{{"10.0.0.1", "10.0.0.2"}, {"2001:db8::1", "2001:db8:0:1::1"}, {"::1", "0.0.0.0"}, {"1.2.3.4", "::1.2.3.4"}} {
		if key(other[0]) == key(other[1]) {
			t.Errorf("%v are the same", other)
		}
	}
}

func TestNetworks(t *testing.T) {
	n, err := ParseNetworks([]string{"10.0.0.0/8", "192.168.1.1", "2001:db8::/32"})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "11.0.0.1": false, "192.168.1.1": true, "192.168.1.2": false,
		"2001:db8::9": true, "2001:db9::9": false,
	} {
		if n.Contains(netip.MustParseAddr(address)) != want {
			t.Errorf("%s: not %v", address, want)
		}
	}
	for _, text := range []string{"", "10.0.0.0/33", "host", "10.0.0.1:80", "::ffff:10.0.0.0/104", "fe80::1%eth0"} {
		if _, err := ParseNetworks([]string{text}); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestSizeOfBucket(t *testing.T) {
	if n := unsafe.Sizeof(Bucket{}); n != 8 {
		t.Errorf("%d bytes in each connection", n)
	}
}

func TestBucket(t *testing.T) {
	l := Inbound{CommandsPerSecond: 5, CommandsBurst: 10, BytesPerSecond: 100, BytesBurst: 1000}
	var b Bucket
	taken := func() (n int) {
		for b.Command(&l) {
			n++
		}
		return n
	}
	if n := taken(); n != 10 {
		t.Errorf("a burst of %d", n)
	}
	b.Flow(1, &l) // half a command
	if n := taken(); n != 0 {
		t.Errorf("%d after a tenth of a second", n)
	}
	b.Flow(1, &l)
	if n := taken(); n != 1 {
		t.Errorf("%d after two tenths", n)
	}
	b.Flow(10, &l)
	if n := taken(); n != 5 {
		t.Errorf("%d after a second", n)
	}
	b.Flow(1<<31, &l)
	if n := taken(); n != 10 {
		t.Errorf("%d after years", n)
	}
	if !b.Bytes(1000, &l) || b.Bytes(1, &l) {
		t.Error("bytes are not bounded")
	}
	if b.Flow(5, &l); !b.Bytes(50, &l) || b.Bytes(1, &l) {
		t.Error("bytes do not flow off")
	}
	var none Inbound
	if !b.Command(&none) || !b.Bytes(1<<40, &none) {
		t.Error("there is a limit without one")
	}
	most := Inbound{BytesPerSecond: MaxBurst, BytesBurst: MaxBurst}
	if b = (Bucket{}); !b.Bytes(MaxBurst, &most) || b.Bytes(1, &most) {
		t.Error("the largest burst")
	}
}

const second = int64(time.Second)

func TestAddressesLimitConnections(t *testing.T) {
	a := NewAddresses(AddressLimits{Connections: 2, Track: 10})
	for _, want := range []Verdict{Admitted, Admitted, TooMany} {
		if v, counted := a.Enter(1, 0); v != want || counted != (want == Admitted) {
			t.Errorf("%v, want %v", v, want)
		}
	}
	if v, _ := a.Enter(2, 0); v != Admitted {
		t.Error("another address pays")
	}
	a.Leave(1)
	if v, _ := a.Enter(1, 0); v != Admitted {
		t.Error("a connection that has ended counts")
	}
	a.Leave(1)
	a.Leave(1)
	a.Leave(2)
	if s := a.Stats(); s.Tracked != 0 {
		t.Errorf("%d addresses are left", s.Tracked)
	}
}

func TestAddressesLimitNewConnections(t *testing.T) {
	a := NewAddresses(AddressLimits{PerSecond: 2, Track: 10})
	for _, step := range []struct {
		at   int64
		want Verdict
	}{{0, Admitted}, {0, Admitted}, {0, TooFast}, {second / 2, TooFast}, {second - 1, TooFast}, {second * 11 / 10, Admitted}} {
		v, counted := a.Enter(1, step.at)
		if v != step.want {
			t.Errorf("at %d: %v, want %v", step.at, v, step.want)
		}
		if counted {
			a.Leave(1)
		}
	}
	if v, _ := a.Enter(2, second/2); v != Admitted {
		t.Error("another address pays")
	}
}

func TestBans(t *testing.T) {
	a := NewAddresses(AddressLimits{BanAfter: 3, BanWindow: 10 * time.Second, BanFor: 60 * time.Second, Track: 10})
	a.Offend(1, 0)
	a.Offend(1, 1*second)
	if a.Offend(1, 12*second) {
		t.Error("old offences count")
	}
	a.Offend(1, 13*second)
	if !a.Offend(1, 14*second) {
		t.Error("no ban after three offences")
	}
	if v, counted := a.Enter(1, 70*second); v != Banned || counted {
		t.Errorf("%v", v)
	}
	if v, _ := a.Enter(1, 75*second); v != Admitted {
		t.Errorf("%v after the ban", v)
	}
	if s := a.Stats(); s.Bans != 1 {
		t.Errorf("%d bans", s.Bans)
	}
}

func TestDryRunAdmits(t *testing.T) {
	a := NewAddresses(AddressLimits{Connections: 1, Track: 10, DryRun: true})
	a.Enter(1, 0)
	if v, counted := a.Enter(1, 0); v != TooMany || !counted {
		t.Errorf("%v %v", v, counted)
	}
}

// A flood of addresses takes no more memory than the table may have, and does not shut out others.
func TestTableIsBounded(t *testing.T) {
	a := NewAddresses(AddressLimits{Connections: 1, PerSecond: 5, BanAfter: 1, BanFor: time.Hour, Track: 100})
	a.Offend(7, 0)
	a.Enter(8, 0)
	for k := range Key(10_000) {
		if v, counted := a.Enter(1000+k, second); v != Admitted {
			t.Fatalf("%v", v)
		} else if counted {
			a.Leave(1000 + k)
		}
	}
	if s := a.Stats(); s.Tracked > 100 {
		t.Errorf("%d addresses", s.Tracked)
	}
	if v, _ := a.Enter(7, 2*second); v != Banned {
		t.Errorf("the ban is forgotten: %v", v)
	}
	if v, _ := a.Enter(8, 2*second); v != TooMany {
		t.Errorf("an open connection is forgotten: %v", v)
	}
	for k := range Key(200) { // connections that stay
		a.Enter(50_000+k, 3*second)
	}
	if s := a.Stats(); s.Tracked > 100 || s.Untracked == 0 {
		t.Errorf("%+v", s)
	}
}

// Against a model: the connections of an address never exceed the limit, and every counted connection is released.
func TestAddressesAgainstAModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	a := NewAddresses(AddressLimits{Connections: 3, Track: 8})
	open := map[Key]int{}
	for range 20_000 {
		k := Key(r.IntN(12))
		if r.IntN(2) == 0 && open[k] > 0 {
			a.Leave(k)
			open[k]--
			continue
		}
		v, counted := a.Enter(k, 0)
		if v == TooMany && open[k] < 3 || v == Admitted && open[k] >= 3 && counted {
			t.Fatalf("address %d with %d connections: %v", k, open[k], v)
		}
		if counted {
			open[k]++
		}
	}
	for k, n := range open {
		for range n {
			a.Leave(k)
		}
	}
	if s := a.Stats(); s.Tracked != 0 {
		t.Errorf("%d are left", s.Tracked)
	}
}

func TestUsers(t *testing.T) {
	var u Users
	first, ok := u.Enter("a", 2)
	second, ok2 := u.Enter("a", 2)
	if _, ok3 := u.Enter("a", 2); !ok || !ok2 || ok3 || first != second {
		t.Error("not two connections")
	}
	if _, ok := u.Enter("a", 0); !ok {
		t.Error("a limit without one")
	}
	u.Leave(first)
	u.Leave(first)
	u.Leave(first)
	if u.Count() != 0 {
		t.Error("a user is left")
	}
}
