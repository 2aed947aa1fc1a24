package tlsrecord

// A Session is the state of a connection after its handshake. It is not safe for concurrent use.
type Session interface {
	// Open decrypts the next bytes from the peer, in any pieces. The plaintext may lie in b, and is valid until the next
	// call. The error is io.EOF after the peer's close_notify, an [Alert] after another alert, and otherwise the broken
	// rule. Plaintext from before the error may come with it. After an error only End may be called.
	Open(b []byte) (plain []byte, err error)

	// Seal appends the records of plain to dst.
	Seal(dst, plain []byte) []byte

	// End appends the last record: close_notify for nil, or the alert that belongs to an error of Open.
	End(dst []byte, err error) []byte
}
