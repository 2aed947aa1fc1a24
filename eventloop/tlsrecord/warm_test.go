package tlsrecord

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"unsafe"
)

// Records of all kinds can be warmed, and that changes nothing.
func TestWarm(t *testing.T) {
	var clients, servers []*Records
	for suite := range suites {
		for _, prepare := range []func(*Records){
			func(*Records) {},
			func(r *Records) { r.Keep() },
			func(r *Records) { r.setPartial([]byte{1}) },
		} {
			client, server := pair(suite)
			prepare(server)
			clients, servers = append(clients, client), append(servers, server)
		}
	}
	for range 3 {
		Warm(servers)
		for i, s := range servers {
			if plain, err := clients[i].Open(s.Seal(nil, []byte("tick"))); err != nil || string(plain) != "tick" {
				t.Errorf("session %d: %q, %v", i, plain, err)
			}
		}
	}
	Warm(nil)
	if n := testing.AllocsPerRun(10, func() { Warm(servers) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The parts that sealing reads are within the state, and hold what it needs: another key leaves another state there.
func TestPartsOfCipher(t *testing.T) {
	read := func(key byte) (parts [][]byte) {
		aead := newAEAD(slices.Repeat([]byte{key}, shortKey))
		size := reflect.TypeOf(aead).Elem().Size()
		for _, p := range sealParts {
			if p.at+p.size > size {
				t.Fatalf("%+v is behind a state of %d bytes", p, size)
			}
			parts = append(parts, bytes.Clone(unsafe.Slice((*byte)(unsafe.Add(stateOf(aead), p.at)), p.size)))
		}
		return parts
	}
	one, two := read(1), read(2)
	for i := range one {
		if bytes.Equal(one[i], two[i]) {
			t.Errorf("part %d is the same for two keys", i)
		}
	}
	if len(one) == 1 {
		t.Skip("this version of Go has no separate keys of decryption")
	}
}

func TestFindField(t *testing.T) {
	type outer = struct {
		X  uint32
		In struct {
			A uint64
			B [3]uint32
		}
		C byte
	}
	for name, want := range map[string]statePart{"X": {0, 4}, "B": {16, 12}, "C": {32, 1}} {
		if at, size, ok := findField(reflect.TypeFor[outer](), name); !ok || (statePart{at, size}) != want {
			t.Errorf("%s: %d, %d, %v, want %+v", name, at, size, ok, want)
		}
	}
	if _, _, ok := findField(reflect.TypeFor[outer](), "D"); ok {
		t.Error("found a field that is not there")
	}
	if _, _, ok := findField(reflect.TypeFor[int](), "D"); ok {
		t.Error("found a field of a number")
	}
}
