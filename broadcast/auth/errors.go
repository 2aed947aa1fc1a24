package auth

import "errors"

// ErrAsk means that the token cannot be judged yet: a fetch of keys is under way, or newer keys are possible. The caller
// verifies it again after the next notice of Run, or some time later.
var ErrAsk = errors.New("auth: the keys are not there yet")

// An Error is the reason for which a token is not accepted. A client may read it.
type Error struct {
	Reason  string
	Expired bool // it was valid before
}

func (e *Error) Error() string { return "auth: " + e.Reason }

var (
	errLongToken = &Error{Reason: "the token is too long"}
	errMalformed = &Error{Reason: "the token is malformed"}
	errSignature = &Error{Reason: "no key verifies the token's signature"}
	errCritical  = &Error{Reason: "the token has a critical header that is not known"}
	errExpired   = &Error{Reason: "the token has expired", Expired: true}
	errEarly     = &Error{Reason: "the token is not valid yet"}
	errNoExpiry  = &Error{Reason: "the token has no expiry"}
	errIssuer    = &Error{Reason: "the token has another issuer"}
	errAudience  = &Error{Reason: "the token is for another audience"}
	errContent   = &Error{Reason: "the token's claims are malformed"}
	errRevoked   = &Error{Reason: "the token is revoked"}
)
