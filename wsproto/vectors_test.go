package wsproto

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// vector is one paragraph of testdata/*.txt; testdata/README has the format.
type vector struct {
	file, rfc, name string
	cfg             Config
	in              []byte
	want            []string // messages in the format of describe
	err             *ProtocolError
	errorAt         int // 0: not given
	unfinished      bool
}

// protocolErrors names all rules of the framing layer with their close codes.
var protocolErrors = []struct {
	name string
	code StatusCode
	err  *ProtocolError
}{
	{"ErrReservedBits", 1002, ErrReservedBits},
	{"ErrReservedOpcode", 1002, ErrReservedOpcode},
	{"ErrNonMinimalLength", 1002, ErrNonMinimalLength},
	{"ErrLengthOverflow", 1002, ErrLengthOverflow},
	{"ErrUnmasked", 1002, ErrUnmasked},
	{"ErrMasked", 1002, ErrMasked},
	{"ErrUnexpectedContinuation", 1002, ErrUnexpectedContinuation},
	{"ErrExpectedContinuation", 1002, ErrExpectedContinuation},
	{"ErrFragmentedControl", 1002, ErrFragmentedControl},
	{"ErrControlTooLong", 1002, ErrControlTooLong},
	{"ErrClosePayload", 1002, ErrClosePayload},
	{"ErrCloseCode", 1002, ErrCloseCode},
	{"ErrInvalidUTF8", 1007, ErrInvalidUTF8},
	{"ErrCompressedData", 1007, ErrCompressedData},
	{"ErrMessageTooBig", 1009, ErrMessageTooBig},
}

func describe(op string, code StatusCode, payload []byte) string {
	if len(payload) > 200 {
		payload = fmt.Appendf(nil, "%.100q and so on, %d bytes, sum %x", payload, len(payload), crc32.ChecksumIEEE(payload))
	}
	if code != 0 {
		return fmt.Sprintf("%s %d %q", op, code, payload)
	}
	return fmt.Sprintf("%s %q", op, payload)
}

// decode passes the pieces to a new decoder and returns its messages, the decoder and its error. It overwrites each piece
// after use, so that a decoder that kept a reference to it fails the test.
func decode(cfg *Config, pieces ...[]byte) (got []string, d *Decoder, err error) {
	d = new(Decoder)
	most := int(cfg.maxCollected(cfg.deflates()) + maxControl)
	for _, piece := range pieces {
		b := bytes.Clone(piece)
		for rest := b; len(rest) > 0; {
			m, n, err := d.Next(cfg, rest)
			if err != nil {
				return got, d, err
			}
			if m.Op != OpContinuation {
				got = append(got, describe(m.Op.String(), m.Code, m.Payload))
			} else if n != len(rest) {
				return got, d, fmt.Errorf("no message, yet only %d of %d bytes used", n, len(rest))
			}
			if n <= 0 || n > len(rest) {
				return got, d, fmt.Errorf("used %d of %d bytes", n, len(rest))
			}
			rest = rest[n:]
		}
		for i := range b {
			b[i] = 0xEE
		}
		if d.p != nil && cap(d.p.buf) > most {
			return got, d, fmt.Errorf("buffer of %d bytes for messages of %d", cap(d.p.buf), cfg.maxMessage())
		}
		if bits, _ := cfg.takeover(); d.WindowBytes() > 1<<bits {
			return got, d, fmt.Errorf("window of %d bytes, agreed on %d bits", d.WindowBytes(), bits)
		}
		if cfg.deflates() && int64(cap(cfg.Inflater.out)) > cfg.maxMessage()+1 {
			return got, d, fmt.Errorf("inflated into %d bytes, at most %d", cap(cfg.Inflater.out), cfg.maxMessage())
		}
	}
	return got, d, nil
}

func (v *vector) check(t *testing.T, how string, pieces ...[]byte) {
	t.Helper()
	got, d, err := decode(&v.cfg, pieces...)
	if strings.Join(got, "\n") != strings.Join(v.want, "\n") {
		t.Fatalf("%s: messages\n  %s\nwant\n  %s", how, strings.Join(got, "\n  "), strings.Join(v.want, "\n  "))
	}
	switch {
	case v.err == nil && err != nil:
		t.Fatalf("%s: error %v, want none", how, err)
	case v.err != nil && !errors.Is(err, v.err):
		t.Fatalf("%s: error %v, want %v", how, err, v.err)
	case v.err == nil && d.Idle() == v.unfinished:
		t.Fatalf("%s: Idle() = %v at the end", how, d.Idle())
	}
}

func TestVectors(t *testing.T) {
	seen := make(map[*ProtocolError]bool)
	for _, v := range readVectors(t) {
		seen[v.err] = true
		t.Run(v.file+"/"+v.rfc+" "+v.name, func(t *testing.T) {
			in := v.in
			v.check(t, "whole", in)
			cuts := cutPoints(len(in))
			for i, a := range cuts {
				for _, b := range cuts[i:] {
					v.check(t, fmt.Sprintf("cut at %d and %d", a, b), in[:a], in[a:b], in[b:])
				}
			}
			if len(in) > 4096 {
				return
			}
			each := make([][]byte, len(in))
			for i := range in {
				each[i] = in[i : i+1]
			}
			v.check(t, "byte by byte", each...)
			if v.errorAt > 0 {
				if _, _, err := decode(&v.cfg, in[:v.errorAt-1]); err != nil {
					t.Errorf("error %v already in the first %d bytes", err, v.errorAt-1)
				}
				if _, _, err := decode(&v.cfg, in[:v.errorAt]); !errors.Is(err, v.err) {
					t.Errorf("error %v after %d bytes, want %v", err, v.errorAt, v.err)
				}
			}
		})
	}
	for _, e := range protocolErrors {
		if !seen[e.err] {
			t.Errorf("no vector ends in %s", e.name)
		}
		if e.err.Code != e.code || e.err.Error() != "wsproto: "+e.err.Reason || e.err.Reason == "" {
			t.Errorf("%s: code %d, want %d; %q", e.name, e.err.Code, e.code, e.err.Error())
		}
	}
}

// cutPoints returns all offsets of a short stream; for a long one those of its first and last bytes and some between.
func cutPoints(length int) (offsets []int) {
	for i := range length + 1 {
		if length <= 64 || i < 18 || i > length-4 || length < 1000 && i%37 == 0 || i == length/2 {
			offsets = append(offsets, i)
		}
	}
	return offsets
}

// readVectors reads all of testdata/*.txt.
func readVectors(t testing.TB) (all []vector) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, paragraph := range strings.Split(string(text), "\n\n") {
			v := vector{file: filepath.Base(file)}
			for _, line := range strings.Split(strings.TrimSpace(paragraph), "\n") {
				if strings.HasPrefix(line, "#") {
					continue
				}
				if err := v.setLine(line); err != nil {
					t.Fatalf("%s: %q: %v", file, line, err)
				}
			}
			if v.in != nil {
				all = append(all, v)
			}
		}
	}
	return all
}

func (v *vector) setLine(line string) (err error) {
	key, value, _ := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	switch key {
	case "rfc":
		v.rfc = value
	case "name":
		v.name = value
	case "side":
		v.cfg.Client = value == "client"
	case "deflate":
		window, kept, _ := strings.Cut(value, " ")
		bits, err := strconv.ParseUint(window, 10, 8)
		if err != nil {
			return err
		}
		v.cfg.Inflater = new(Inflater)
		v.cfg.Deflate = Deflate{
			ServerWindowBits: uint8(bits), ClientWindowBits: uint8(bits),
			ServerTakeover: kept == "takeover", ClientTakeover: kept == "takeover",
		}
	case "max":
		v.cfg.MaxMessage, err = strconv.ParseInt(value, 10, 64)
	case "in":
		v.in, err = parsePayload(value)
	case "at":
		v.errorAt, err = strconv.Atoi(value)
	case "rest":
		v.unfinished = value == "unfinished"
	case "error":
		for _, e := range protocolErrors {
			if value == fmt.Sprintf("%d %s", e.code, e.name) {
				v.err = e.err
				return nil
			}
		}
		return errors.New("no such error")
	case "want":
		op, rest, _ := strings.Cut(value, " ")
		code := 0
		if op == "close" {
			var number string
			number, rest, _ = strings.Cut(rest, " ")
			if code, err = strconv.Atoi(number); err != nil {
				return err
			}
		}
		var p []byte
		p, err = parsePayload(rest)
		v.want = append(v.want, describe(op, StatusCode(code), p))
	default:
		return errors.New("unknown key")
	}
	return err
}

// parsePayload reads the format of "in" and "want".
func parsePayload(s string) ([]byte, error) {
	out := []byte{}
	for {
		s = strings.TrimLeft(s, " ")
		if s == "" {
			return out, nil
		}
		var item []byte
		if s[0] == '"' {
			quoted, err := strconv.QuotedPrefix(s)
			if err != nil {
				return nil, err
			}
			text, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, err
			}
			item, s = []byte(text), s[len(quoted):]
		} else {
			end := strings.IndexAny(s+" ", " *\"")
			b, err := hex.DecodeString(s[:end])
			if err != nil {
				return nil, err
			}
			item, s = b, s[end:]
		}
		if strings.HasPrefix(s, "*") {
			number, rest, _ := strings.Cut(s[1:], " ")
			n, err := strconv.Atoi(number)
			if err != nil {
				return nil, err
			}
			item, s = bytes.Repeat(item, n), rest
		}
		out = append(out, item...)
	}
}
