package auth

import (
	"crypto/x509"
	"strings"

	"tickcast/broadcast/subject"
)

// A NameField is the field of a certificate that names its user.
type NameField string

const (
	NameCommon NameField = "cn"        // the common name of the subject
	NameDNS    NameField = "san_dns"   // the first DNS name of the subject alternative names, RFC 5280 section 4.2.1.6
	NameEmail  NameField = "san_email" // the first address of e-mail there
	NameURI    NameField = "san_uri"   // the first URI there, as in SPIFFE
)

// NameFields lists all of them.
func NameFields() []NameField { return []NameField{NameCommon, NameDNS, NameEmail, NameURI} }

// UserPlace stands for the user in the patterns of [Certificates].
const UserPlace = "{user}"

// Certificates turns certificates of clients into claims. Any goroutine may use it; its fields are immutable.
type Certificates struct {
	Name               NameField
	Subscribe, Publish []string // patterns, in place of those for everybody; empty = those

	grants grants
}

var (
	errNameless = &Error{Reason: "the client's certificate names no user"}
	errName     = &Error{Reason: "the user in the client's certificate is no text of at most 256 bytes"}
)

// User returns the user of a certificate. TLS must have verified it.
func (c *Certificates) User(cert *x509.Certificate) (string, error) {
	user := ""
	switch {
	case c.Name == NameCommon:
		user = cert.Subject.CommonName
	case c.Name == NameDNS && len(cert.DNSNames) > 0:
		user = cert.DNSNames[0]
	case c.Name == NameEmail && len(cert.EmailAddresses) > 0:
		user = cert.EmailAddresses[0]
	case c.Name == NameURI && len(cert.URIs) > 0:
		user = cert.URIs[0].String()
	}
	if user == "" {
		return "", errNameless
	}
	if !isIdentifier(user) {
		return "", errName
	}
	return user, nil
}

// Claims returns the claims of a client with a certificate. It counts as issued when its validity begins, and the claims do not
// expire.
func (c *Certificates) Claims(cert *x509.Certificate) (*Claims, error) {
	user, err := c.User(cert)
	if err != nil {
		return nil, err
	}
	g := &Grant{saysSubscribe: len(c.Subscribe) > 0, saysPublish: len(c.Publish) > 0}
	g.subscribe, g.publish = patternsFor(user, c.Subscribe), patternsFor(user, c.Publish)
	return &Claims{User: strings.Clone(user), Issued: cert.NotBefore, Grant: c.grants.share(g)}, nil
}

// patternsFor returns patterns with user in its places. A user who is not one token of a topic has none of the patterns with a
// place: with a dot or a wildcard in it, they could be those of another user.
func patternsFor(user string, patterns []string) (list []string) {
	plain := subject.CheckConcrete("x"+user, maxPattern, 1) == nil
	for _, p := range patterns {
		if strings.Contains(p, UserPlace) {
			p = strings.ReplaceAll(p, UserPlace, user)
			if !plain || subject.Check(p, maxPattern, maxPattern) != nil {
				continue
			}
		}
		list = append(list, p)
	}
	return list
}
