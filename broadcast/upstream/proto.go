package upstream

import (
	"bytes"
	"errors"
	"math"
)

// A verb is the first word of a line of NATS's client protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol
type verb uint8

const (
	verbOther   verb = iota
	verbPayload      // not a line, but a part of a message's payload
	verbMsg          // from the server: MSG and HMSG
	verbInfo
	verbErr
	verbOK
	verbPing // both ways
	verbPong
	verbPub // to the server: PUB and HPUB
	verbSub
	verbUnsub
	verbConnect
)

const (
	maxLine     = 32 << 10 // bytes of a line except INFO and CONNECT; nats-server's max_control_line is 4 KiB by default
	maxInfoLine = 1 << 20  // bytes of INFO, which names all servers of a cluster

	// maxPayload bounds the bytes of a message: the max_pending of a NATS server, which bounds its max_payload. The
	// max_payload of INFO is no bound. A stream may hold messages from before it was lowered, another server of the cluster
	// may have a larger one, and JetStream's own answers may exceed it.
	maxPayload = 64 << 20
)

var (
	errLine    = errors.New("upstream: nats sent a line that is no protocol")
	errTooLong = errors.New("upstream: nats sent a line that is too long")
	errSize    = errors.New("upstream: nats sent a message with an impossible size")
)

// A parser follows one direction of a connection to NATS line by line. It is stricter than nats.go, so that both read every
// line in the same way: one space between words, and CR LF at the end of a line and of a payload.
type parser struct {
	payload int // missing bytes of a message, its CR LF included
}

// next returns the verb and the arguments of the line at the beginning of b, and the line's length; 0 if more bytes are
// needed. The arguments point into b.
func (p *parser) next(b []byte) (v verb, args []byte, n int, err error) {
	if p.payload > 0 {
		n = min(len(b), p.payload)
		for i := max(p.payload-2, 0); i < n; i++ { // the last two bytes of the payload are p.payload-2 and p.payload-1
			if b[i] != "\r\n"[i-p.payload+2] {
				return 0, nil, 0, errSize
			}
		}
		p.payload -= n
		return verbPayload, nil, n, nil
	}
	end := bytes.IndexByte(b, '\n')
	line := b
	if end >= 0 {
		line = b[:end]
	}
	word, args, _ := bytes.Cut(line, []byte{' '})
	v = verbOf(bytes.TrimSuffix(word, []byte{'\r'}))
	most := maxLine
	if v == verbInfo || v == verbConnect {
		most = maxInfoLine
	}
	switch {
	case len(line) > most:
		return 0, nil, 0, errTooLong
	case end < 0:
		return 0, nil, 0, nil
	case v == verbOther || bytes.IndexByte(line, '\r') != end-1:
		return 0, nil, 0, errLine
	}
	args = bytes.TrimSuffix(args, []byte{'\r'})
	if v == verbMsg || v == verbPub {
		size, ok := sizeOf(v, word[0] == 'H', args)
		if !ok {
			return 0, nil, 0, errSize
		}
		p.payload = size + len("\r\n")
	}
	return v, args, end + 1, nil
}

func verbOf(word []byte) verb {
	switch string(word) { // does not allocate
	case "MSG", "HMSG":
		return verbMsg
	case "PING":
		return verbPing
	case "PONG":
		return verbPong
	case "+OK":
		return verbOK
	case "-ERR":
		return verbErr
	case "INFO":
		return verbInfo
	case "PUB", "HPUB":
		return verbPub
	case "SUB":
		return verbSub
	case "UNSUB":
		return verbUnsub
	case "CONNECT":
		return verbConnect
	default:
		return verbOther
	}
}

// sizeOf returns the size of the payload after a line, headers included, and false if the size is not valid. MSG subject sid
// [reply] size, PUB subject [reply] size; HMSG and HPUB have the size of the headers before it.
func sizeOf(v verb, headers bool, args []byte) (size int, ok bool) {
	var word [6][]byte
	n := 0
	for more := true; more; n++ {
		if n == len(word) {
			return 0, false
		}
		word[n], args, more = bytes.Cut(args, []byte{' '})
		if len(word[n]) == 0 {
			return 0, false
		}
	}
	least := 2
	if v == verbMsg {
		least++
		if _, ok := number(word[1]); !ok {
			return 0, false
		}
	}
	if headers {
		least++
	}
	if n != least && n != least+1 {
		return 0, false
	}
	size, ok = number(word[n-1])
	if headers && ok {
		var head int
		head, ok = number(word[n-2])
		ok = ok && head <= size
	}
	return size, ok && size <= maxPayload
}

// number reads a number that cannot overflow.
func number(b []byte) (n int, ok bool) {
	const mostDigits = 18
	if len(b) == 0 || len(b) > mostDigits {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, n < math.MaxInt
}
