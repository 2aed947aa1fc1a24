package wsproto

// RequestError is a broken rule of the opening handshake, or of HTTP/1.1 as far as it carries one. Status is the HTTP
// status that a server answers with before it closes; Reason is fixed text, fit for the body.
//
// Each rule has one value, below; compare with errors.Is or ==, and take the status with errors.As. Nobody changes
// them. [ParseResponse] returns the values for line and field syntax too; there the status has no meaning.
type RequestError struct {
	Status int
	Reason string
}

// Error returns the reason with the package's prefix.
func (e *RequestError) Error() string { return "wsproto: " + e.Reason }

// Line syntax, RFC 9112 §2-§5, as [ParseRequest] returns it.
var (
	ErrMethod         = &RequestError{400, "malformed method"}                         // §3.1: a token; at most 32 bytes
	ErrTarget         = &RequestError{400, "byte not allowed in the request target"}   // §3.2
	ErrTargetForm     = &RequestError{400, "request target does not begin with a /"}   // §3.2: absolute-, authority-, asterisk-form
	ErrTargetTooLong  = &RequestError{414, "request line too long"}                    // §3; RequestLimits.MaxBytes
	ErrRequestLine    = &RequestError{400, "malformed request line"}                   // §3
	ErrHTTPVersion    = &RequestError{505, "HTTP version not supported"}               // §2.3: also a line without a version, HTTP/0.9
	ErrBareLF         = &RequestError{400, "line feed without carriage return"}        // §2.2
	ErrBareCR         = &RequestError{400, "carriage return without line feed"}        // §2.2
	ErrFolding        = &RequestError{400, "white space at the beginning of a line"}   // §5.2, §2.2
	ErrHeaderName     = &RequestError{400, "malformed header name"}                    // §5.1: a token, the colon right behind it
	ErrHeaderValue    = &RequestError{400, "control character in a header value"}      // §5.5 of RFC 9110
	ErrHeadTooLarge   = &RequestError{431, "request head too large"}                   // RFC 6585 §5; RequestLimits.MaxBytes
	ErrTooManyHeaders = &RequestError{431, "too many header lines"}                    // RFC 6585 §5; RequestLimits.MaxHeaders
	ErrTokenList      = &RequestError{400, "malformed Connection or Upgrade header"}   // RFC 9110 §7.6.1, §7.8
	ErrBody           = &RequestError{400, "request with a body"}                      // Content-Length above 0, Transfer-Encoding
	ErrHost           = &RequestError{400, "malformed Host header"}                    // RFC 9112 §3.2, RFC 9110 §7.2
	ErrMissingHost    = &RequestError{400, "missing Host header"}                      // RFC 9112 §3.2
	ErrDuplicateHost  = &RequestError{400, "more than one Host header"}                // RFC 9112 §3.2
	ErrDuplicate      = &RequestError{400, "header repeated that may come only once"}  // RFC 9110 §5.3
	ErrTooManyLines   = &RequestError{400, "too many lines of a Sec-WebSocket header"} // chosen by us
)

// The opening handshake, RFC 6455 §4.2.1, as [Request.CheckUpgrade] returns it. With 426 the response must carry
// "Upgrade: websocket", and for ErrVersion "Sec-WebSocket-Version: 13".
var (
	ErrNotUpgrade    = &RequestError{426, "not a WebSocket upgrade"}                         // 3.: Upgrade without websocket, or none
	ErrConnection    = &RequestError{400, "Connection header without Upgrade"}               // 4.
	ErrUpgradeMethod = &RequestError{405, "WebSocket upgrade needs GET"}                     // 1.
	ErrHTTP10        = &RequestError{400, "WebSocket upgrade needs HTTP/1.1"}                // 1.
	ErrVersion       = &RequestError{426, "Sec-WebSocket-Version is not 13"}                 // 6., §4.4
	ErrKey           = &RequestError{400, "Sec-WebSocket-Key is not the base64 of 16 bytes"} // 5.
	ErrProtocols     = &RequestError{400, "malformed Sec-WebSocket-Protocol header"}         // 8., §4.1 10.: unique tokens; at most 32
	ErrExtensions    = &RequestError{400, "malformed Sec-WebSocket-Extensions header"}       // 9., §9.1
)
