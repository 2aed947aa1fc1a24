package tlsrecord

import (
	"crypto/tls"
	"errors"
	"slices"
)

// Driven is a session whose records are those of crypto/tls: TLS 1.2, or a suite that Records does not have. It takes about 7 KB.
type Driven struct {
	conn  *tls.Conn
	pipe  *pipe
	ended bool
}

// drivenRead is the room for one read of crypto/tls. Chosen by us.
const drivenRead = 4 << 10

// Open decrypts; see [Session]. Answers to KeyUpdate leave with the next Seal.
func (d *Driven) Open(b []byte) (plain []byte, err error) {
	d.pipe.in = append(d.pipe.in, b...)
	for {
		plain = slices.Grow(plain, drivenRead)
		n, err := d.conn.Read(plain[len(plain):cap(plain)])
		plain = plain[:len(plain)+n]
		switch {
		case errors.Is(err, errAgain):
			return plain, nil
		case err != nil:
			return plain, err
		}
	}
}

// Seal encrypts; see [Session].
func (d *Driven) Seal(dst, plain []byte) []byte {
	if len(plain) > 0 && !d.ended {
		_, _ = d.conn.Write(plain) // the pipe does not fail
	}
	return d.take(dst)
}

// End ends our direction; see [Session]. crypto/tls has appended the alert for an error of Open already.
func (d *Driven) End(dst []byte, err error) []byte {
	if err == nil && !d.ended {
		_ = d.conn.CloseWrite()
	}
	d.ended = true
	return d.take(dst)
}

func (d *Driven) take(dst []byte) []byte {
	dst = append(dst, d.pipe.out...)
	d.pipe.out = nil
	return dst
}
