package wsproto

// StatusCode is the reason for a close: the first two bytes of a close frame's body, RFC 6455 §7.4.
type StatusCode uint16

// Set by the RFC (§7.4.1) and by the registry that it opened (§11.7). Codes 0-999 are not used; 1004 is reserved
// without a meaning; 1016-2999 are for later specifications; 3000-3999 are registered by libraries and
// applications; 4000-4999 are private.
const (
	StatusNormal             StatusCode = 1000 // the purpose of the connection is fulfilled
	StatusGoingAway          StatusCode = 1001 // the server shuts down, or the browser left the page
	StatusProtocolError      StatusCode = 1002 // a rule of the protocol was broken
	StatusUnsupportedData    StatusCode = 1003 // a type of data that the endpoint cannot accept
	StatusNoStatus           StatusCode = 1005 // never on the wire: the close frame had no body
	StatusAbnormal           StatusCode = 1006 // never on the wire: the connection ended without a close frame
	StatusInvalidPayload     StatusCode = 1007 // data that does not fit its type: text that is not UTF-8
	StatusPolicyViolation    StatusCode = 1008 // refused; no other code fits, or the reason stays hidden
	StatusMessageTooBig      StatusCode = 1009 // a message too big to process
	StatusMandatoryExtension StatusCode = 1010 // from a client: the server did not agree to a required extension
	StatusInternalError      StatusCode = 1011 // from a server: an unexpected condition
	StatusServiceRestart     StatusCode = 1012 // registry: the service restarts; reconnect after a random delay
	StatusTryAgainLater      StatusCode = 1013 // registry: overload; another address may work
	StatusBadGateway         StatusCode = 1014 // registry: a gateway got an invalid answer from its upstream
	StatusTLSHandshake       StatusCode = 1015 // never on the wire: the TLS handshake failed
)

// ValidOnWire reports whether c may stand in a close frame: 1000-1003, 1007-1014 and 3000-4999. All others are
// unused, reserved, or set aside for an endpoint's own use (§7.4.1, §7.4.2).
func (c StatusCode) ValidOnWire() bool {
	switch {
	case c >= StatusNormal && c <= StatusUnsupportedData:
		return true
	case c >= StatusInvalidPayload && c <= StatusBadGateway:
		return true
	}
	return c >= 3000 && c <= 4999
}
