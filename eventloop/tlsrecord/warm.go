package tlsrecord

import (
	"crypto/cipher"
	"reflect"
	"unsafe"
)

// Warm brings what the next Seal of each of batch needs to the processor's caches. A connection that is written to a few times a second is
// in none of them, and its parts lead from one to the next: so all of one kind are asked for together, and those of one connection
// come while others are waited for.
func Warm(batch []*Records) {
	for _, r := range batch {
		prefetch(unsafe.Pointer(&r.out), unsafe.Sizeof(*r)-unsafe.Offsetof(r.out))
	}
	for _, r := range batch {
		if r.rare != nil {
			prefetch(unsafe.Pointer(&r.rare.kept), unsafe.Sizeof(r.rare.kept))
		}
	}
	for _, r := range batch {
		if r.rare != nil && r.rare.kept != nil {
			state := stateOf(r.rare.kept)
			for _, part := range sealParts {
				prefetch(unsafe.Add(state, part.at), part.size)
			}
		}
	}
}

// A statePart is a part of a cipher's state, in bytes.
type statePart struct{ at, size uintptr }

// sealParts are the parts of the state of a cipher that sealing reads: all but the keys of the decryption of blocks, which GCM does not need.
var sealParts = partsWithout(newAEAD(make([]byte, shortKey)), "dec")

// partsWithout returns the state of aead without a field, which may be within other structs. If there is none, as in another version
// of Go, that is all of it.
func partsWithout(aead cipher.AEAD, field string) []statePart {
	t := reflect.TypeOf(aead)
	if t.Kind() != reflect.Pointer {
		return nil
	}
	t = t.Elem()
	if at, size, ok := findField(t, field); ok {
		return []statePart{{0, at}, {at + size, t.Size() - at - size}}
	}
	return []statePart{{0, t.Size()}}
}

// findField returns the place of the first field with a name in a struct or its structs.
func findField(t reflect.Type, name string) (at, size uintptr, ok bool) {
	if t.Kind() != reflect.Struct {
		return 0, 0, false
	}
	for f := range t.Fields() {
		if f.Name == name {
			return f.Offset, f.Type.Size(), true
		}
		if at, size, ok = findField(f.Type, name); ok {
			return f.Offset + at, size, true
		}
	}
	return 0, 0, false
}

// stateOf returns the address of the state of a cipher: the second word of an interface value. Nothing is read there.
func stateOf(aead cipher.AEAD) unsafe.Pointer {
	return (*[2]unsafe.Pointer)(unsafe.Pointer(&aead))[1]
}
