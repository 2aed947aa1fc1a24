package wsproto

// ProtocolError is a broken rule of the framing layer. Code belongs into the close frame that ends the connection ("Fail
// the WebSocket Connection", RFC 6455 §7.1.7). Reason is fixed text that may be sent as the close reason.
//
// Each rule has one value, below. Compare with errors.Is or ==, and take the code with errors.As. The values never change.
type ProtocolError struct {
	Code   StatusCode
	Reason string
}

// Error returns the reason with the package's prefix.
func (e *ProtocolError) Error() string { return "wsproto: " + e.Reason }

// Frame headers, RFC 6455 §5.2 and §5.1.
var (
	ErrReservedBits     = &ProtocolError{StatusProtocolError, "reserved bit set"}                // §5.2
	ErrReservedOpcode   = &ProtocolError{StatusProtocolError, "reserved opcode"}                 // §5.2
	ErrNonMinimalLength = &ProtocolError{StatusProtocolError, "payload length not minimal"}      // §5.2
	ErrLengthOverflow   = &ProtocolError{StatusProtocolError, "payload length of 2^63 or above"} // §5.2
	ErrUnmasked         = &ProtocolError{StatusProtocolError, "unmasked client frame"}           // §5.1
	ErrMasked           = &ProtocolError{StatusProtocolError, "masked server frame"}             // §5.1
)

// Fragmentation and control frames, RFC 6455 §5.4 and §5.5.
var (
	ErrUnexpectedContinuation = &ProtocolError{StatusProtocolError, "continuation without a message to continue"} // §5.4
	ErrExpectedContinuation   = &ProtocolError{StatusProtocolError, "new message inside a fragmented one"}        // §5.4
	ErrFragmentedControl      = &ProtocolError{StatusProtocolError, "fragmented control frame"}                   // §5.5
	ErrControlTooLong         = &ProtocolError{StatusProtocolError, "control frame payload above 125 bytes"}      // §5.5
	ErrClosePayload           = &ProtocolError{StatusProtocolError, "close frame body of one byte"}               // §5.5.1
	ErrCloseCode              = &ProtocolError{StatusProtocolError, "close status code not allowed"}              // §7.4
)

// Contents.
var (
	ErrInvalidUTF8    = &ProtocolError{StatusInvalidPayload, "invalid UTF-8"}             // §8.1; text and close reasons
	ErrCompressedData = &ProtocolError{StatusInvalidPayload, "malformed compressed data"} // RFC 7692 §7.2.2
	ErrMessageTooBig  = &ProtocolError{StatusMessageTooBig, "message too big"}            // §7.4.1; Config.MaxMessage
)
