package eventloop_test

import (
	"bufio"
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The opcodes of RFC 6455 section 11.8.
const (
	opContinuation byte = 0x0
	opText         byte = 0x1
	opBinary       byte = 0x2
	opClose        byte = 0x8
	opPing         byte = 0x9
	opPong         byte = 0xa
)

// A frame of RFC 6455 section 5.2. The zero value of a field is the usual: a whole message in one frame.
type frame struct {
	op      byte
	more    bool // FIN is 0: the message goes on
	rsv     byte // RSV1 is 4, RSV2 is 2, RSV3 is 1
	payload string
	owed    int // bytes that the header promises after payload, and that never come
}

func text(payload string) frame { return frame{op: opText, payload: payload} }
func data(payload string) frame { return frame{op: opBinary, payload: payload} }
func ping(payload string) frame { return frame{op: opPing, payload: payload} }
func pong(payload string) frame { return frame{op: opPong, payload: payload} }
func rest(payload string) frame { return frame{op: opContinuation, payload: payload} }

// begun returns f as a fragment that is not the last one.
func (f frame) begun() frame { f.more = true; return f }

// reserving returns f with reserved bits.
func (f frame) reserving(rsv byte) frame { f.rsv = rsv; return f }

func closing(code uint16, reason string) frame {
	return frame{op: opClose, payload: string(binary.BigEndian.AppendUint16(nil, code)) + reason}
}

// appendTo appends f as a client sends it. The masking key depends on the length alone, so that a failure is reproducible.
func (f frame) appendTo(b []byte) []byte {
	first := f.op | f.rsv<<4
	if !f.more {
		first |= 0x80
	}
	b = append(b, first)
	switch n := len(f.payload) + f.owed; {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	var key [4]byte
	binary.BigEndian.PutUint32(key[:], 0x9e3779b9*uint32(len(f.payload)+1))
	b = append(b, key[:]...)
	start := len(b)
	b = append(b, f.payload...)
	keys := bytes.Repeat(key[:], min(len(f.payload)/4+1, 1<<10))
	for masked := range slices.Chunk(b[start:], len(keys)) {
		subtle.XORBytes(masked, masked, keys)
	}
	return b
}

// readFrame reads a frame that a server may send: "A server MUST NOT mask any frames", the shortest form of each length, control
// frames whole and short, only opcodes and bits with a meaning. The caller judges RSV1.
func readFrame(r *bufio.Reader) (f frame, err error) {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:2]); err != nil {
		return frame{}, err
	}
	f = frame{op: b[0] & 0xf, more: b[0]&0x80 == 0, rsv: b[0] >> 4 & 7}
	if b[1]&0x80 != 0 {
		return f, errors.New("the server masks")
	}
	n := uint64(b[1])
	switch least := uint64(0); n {
	case 126:
		_, err = io.ReadFull(r, b[:2])
		n, least = uint64(binary.BigEndian.Uint16(b[:])), 126
		if err == nil && n < least {
			err = fmt.Errorf("length %d in 2 bytes", n)
		}
	case 127:
		_, err = io.ReadFull(r, b[:8])
		n, least = binary.BigEndian.Uint64(b[:]), 1<<16
		if err == nil && n < least {
			err = fmt.Errorf("length %d in 8 bytes", n)
		}
	}
	switch {
	case err != nil:
		return f, err
	case n > 2*maxMessage:
		return f, fmt.Errorf("frame of %d bytes", n)
	case f.op > opBinary && f.op < opClose || f.op > opPong:
		return f, fmt.Errorf("opcode %d", f.op)
	case f.rsv&3 != 0 || f.rsv != 0 && f.op != opText && f.op != opBinary:
		return f, fmt.Errorf("reserved bits %03b with opcode %d", f.rsv, f.op)
	case f.op >= opClose && (f.more || n > 125):
		return f, fmt.Errorf("control frame of %d bytes, more %v", n, f.more)
	case f.op == opClose && n == 1:
		return f, errors.New("close frame of one byte")
	}
	payload := make([]byte, n)
	_, err = io.ReadFull(r, payload)
	f.payload = string(payload)
	return f, err
}

// same reports whether f, which came, is the wanted frame. The reason of a close frame is the server's own.
func (f frame) same(want frame) bool {
	if f.op == opClose && len(f.payload) >= 2 && len(want.payload) >= 2 {
		f.payload, want.payload = f.payload[:2], want.payload[:2]
	}
	return f == want
}

func (f frame) String() string {
	var b strings.Builder
	switch f.op {
	case opContinuation:
		b.WriteString("continuation")
	case opText:
		b.WriteString("text")
	case opBinary:
		b.WriteString("binary")
	case opClose:
		b.WriteString("close")
		if len(f.payload) >= 2 {
			fmt.Fprintf(&b, " %d", binary.BigEndian.Uint16([]byte(f.payload)))
			f.payload = f.payload[2:]
		}
	case opPing:
		b.WriteString("ping")
	case opPong:
		b.WriteString("pong")
	default:
		fmt.Fprintf(&b, "opcode %d", f.op)
	}
	if f.rsv != 0 {
		fmt.Fprintf(&b, " RSV %03b", f.rsv)
	}
	if len(f.payload) <= 128 {
		fmt.Fprintf(&b, " %q", f.payload)
	} else {
		fmt.Fprintf(&b, " %q and so on, %d bytes", f.payload[:32], len(f.payload))
	}
	if f.owed > 0 {
		fmt.Fprintf(&b, " of %d", len(f.payload)+f.owed)
	}
	if f.more {
		b.WriteString(" and more")
	}
	return b.String()
}
