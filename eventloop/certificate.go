package eventloop

import (
	"crypto/x509"
	"time"

	"tickcast/broadcast/auth"
	"tickcast/eventloop/admission"
	"tickcast/wsproto"
)

// noteCertificate notes the user of the client's certificate; nil = it has none. A certificate without a user has failed in the
// handshake already.
func (l *loop) noteCertificate(c *conn, peer *x509.Certificate) {
	users := l.engine.cfg.TLS.Clients
	if peer == nil || users == nil {
		return
	}
	claims, err := users.Claims(peer)
	if err != nil {
		return
	}
	if l.certified == nil {
		l.certified = make(map[uint32]*auth.Claims)
	}
	l.certified[c.slot] = claims
	c.flags |= flagCertified
}

// forgetCertificate forgets the user of a connection that ends.
func (l *loop) forgetCertificate(c *conn) {
	if c.flags&flagCertified != 0 {
		delete(l.certified, c.slot)
	}
}

// certificateOf returns the claims of the client's certificate; nil without one.
func (l *loop) certificateOf(c *conn) *auth.Claims {
	if c.flags&flagCertified == 0 {
		return nil
	}
	return l.certified[c.slot]
}

// mayUseCertificate judges a request of a client with a certificate, and answers it if it is refused. A browser sends the certificate
// with the requests of all pages, as it sends a cookie; other clients have neither Origin nor Sec-Fetch-Site.
func (l *loop) mayUseCertificate(c *conn, r *wsproto.Request, claims *auth.Claims) bool {
	switch revoked := l.engine.cfg.Auth.Revoked; {
	case r.Origin == nil && r.FetchSite != nil && !admission.SameSite(r.FetchSite):
		l.refuse(c, status403, "a certificate needs an Origin, or Sec-Fetch-Site: same-origin")
	case revoked != nil && revoked.Holds(claims, time.Now()):
		l.offend(c)
		l.refuse(c, status403User, "the user of the certificate is revoked")
	default:
		return true
	}
	return false
}
