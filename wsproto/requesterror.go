package wsproto

import "errors"

// RequestError is a broken rule of the opening handshake or of the HTTP/1.1 that carries it. Status is the HTTP status
// that a server answers with before it closes. Reason is fixed text that may be sent as the body.
//
// Each rule has one value, below. Compare with errors.Is or ==, and take the status with errors.As. The values never change.
// [ParseResponse] returns the values for line and field syntax too; their status has no meaning there.
type RequestError struct {
	Status int
	Reason string
}

// Error returns the reason with the package's prefix.
func (e *RequestError) Error() string { return "wsproto: " + e.Reason }

// Line syntax, RFC 9112 §2-§5, as [ParseRequest] returns it.
var (
	ErrMethod         = &RequestError{400, "malformed method"}                          // §3.1: a token; at most 32 bytes
	ErrTarget         = &RequestError{400, "byte not allowed in the request target"}    // §3.2
	ErrTargetGreater  = &RequestError{400, "raw > in the request target: write %3E"}    // §3.2; browsers escape it, shells and scripts do not
	ErrTargetForm     = &RequestError{400, "request target does not begin with a /"}    // §3.2: absolute-, authority-, asterisk-form
	ErrTargetTooLong  = &RequestError{414, "request line too long"}                     // §3; RequestLimits.MaxBytes
	ErrRequestLine    = &RequestError{400, "malformed request line"}                    // §3
	ErrHTTPVersion    = &RequestError{505, "HTTP version not supported"}                // §2.3: also a line without a version, HTTP/0.9
	ErrBareLF         = &RequestError{400, "line feed without carriage return"}         // §2.2
	ErrBareCR         = &RequestError{400, "carriage return without line feed"}         // §2.2
	ErrFolding        = &RequestError{400, "white space at the beginning of a line"}    // §5.2, §2.2
	ErrHeaderName     = &RequestError{400, "malformed header name"}                     // §5.1: a token, followed by the colon
	ErrHeaderValue    = &RequestError{400, "control character in a header value"}       // §5.5 of RFC 9110
	ErrHeadTooLarge   = &RequestError{431, "request head too large"}                    // RFC 6585 §5; RequestLimits.MaxBytes
	ErrTooManyHeaders = &RequestError{431, "too many header lines"}                     // RFC 6585 §5; RequestLimits.MaxHeaders
	ErrTokenList      = &RequestError{400, "malformed Connection or Upgrade header"}    // RFC 9110 §7.6.1, §7.8
	ErrBody           = &RequestError{400, "request with a body"}                       // Content-Length above 0, Transfer-Encoding
	ErrLengthNeeded   = &RequestError{411, "chunked request body: send Content-Length"} // RFC 9112 §6.3
	ErrExpectation    = &RequestError{417, "expectation other than 100-continue"}       // RFC 9110 §10.1.1
	ErrBodyTooLarge   = &RequestError{413, "request body too large"}                    // RFC 9110 §15.5.14; for callers with RequestLimits.Body
	ErrHost           = &RequestError{400, "malformed Host header"}                     // RFC 9112 §3.2, RFC 9110 §7.2
	ErrMissingHost    = &RequestError{400, "missing Host header"}                       // RFC 9112 §3.2
	ErrDuplicateHost  = &RequestError{400, "more than one Host header"}                 // RFC 9112 §3.2
	ErrDuplicate      = &RequestError{400, "header repeated that may come only once"}   // RFC 9110 §5.3
	ErrTooManyLines   = &RequestError{400, "too many lines of a Sec-WebSocket header"}  // chosen by us
)

// The opening handshake, RFC 6455 §4.2.1, as [Request.CheckUpgrade] returns it. With 426 the response must carry
// "Upgrade: websocket", and for ErrVersion "Sec-WebSocket-Version: 13".
var (
	ErrNotUpgrade    = &RequestError{426, "not a WebSocket upgrade"}                         // 3.: no Upgrade, or one without websocket
	ErrConnection    = &RequestError{400, "Connection header without Upgrade"}               // 4.
	ErrUpgradeMethod = &RequestError{405, "WebSocket upgrade needs GET"}                     // 1.
	ErrHTTP10        = &RequestError{400, "WebSocket upgrade needs HTTP/1.1"}                // 1.
	ErrVersion       = &RequestError{426, "Sec-WebSocket-Version is not 13"}                 // 6., §4.4
	ErrKey           = &RequestError{400, "Sec-WebSocket-Key is not the base64 of 16 bytes"} // 5.
	ErrProtocols     = &RequestError{400, "malformed Sec-WebSocket-Protocol header"}         // 8., §4.1 10.: unique tokens; at most 32
	ErrExtensions    = &RequestError{400, "malformed Sec-WebSocket-Extensions header"}       // 9., §9.1
)

// Faults of a server's response, RFC 6455 §4.1, as [ParseResponse] returns them.
var (
	ErrStatusLine         = errors.New("wsproto: malformed status line")                              // RFC 9112 §4
	ErrResponseUpgrade    = errors.New("wsproto: response without Upgrade: websocket alone")          // 2.
	ErrResponseConnection = errors.New("wsproto: response without Connection: Upgrade")               // 3.
	ErrAccept             = errors.New("wsproto: Sec-WebSocket-Accept does not answer the key")       // 4.
	ErrResponseExtension  = errors.New("wsproto: response with an extension that was not offered so") // 5., RFC 7692 §7.1
	ErrResponseProtocol   = errors.New("wsproto: response with a subprotocol that was not offered")   // 6.
)
