package config

import (
	"crypto/x509"
	"fmt"
	"net/mail"
	"net/netip"
	"slices"
	"strings"
)

// acme requires names that a certificate authority can check, and a place for the certificates.
func (v *validation) acme(c *TLS) {
	a := &c.ACME
	v.secureURL("tls.acme.directory", a.Directory, "whoever answers in its place sees the account")
	if a.Email != "" && !isEmail(a.Email) {
		v.add("tls.acme.email", "is not an address such as \"admin@example.com\": %.80q", a.Email)
	}
	if a.CA != "" {
		if _, err := a.Roots(); err != nil {
			v.problems = append(v.problems, err)
		}
	}
	if len(a.Domains) == 0 {
		return
	}
	for i, name := range a.Domains {
		switch {
		case !isDomain(name):
			v.add("tls.acme.domains", "must hold names such as \"push.example.com\", in small letters and without wildcards: %.80q", name)
		case slices.Contains(a.Domains[:i], name):
			v.add("tls.acme.domains", "holds %q twice", name)
		}
	}
	if len(c.Listen) == 0 {
		v.add("tls.acme.domains", "needs tls.listen")
	}
	if a.Cache == "" {
		v.addHint("tls.acme.cache", "such as \"/var/lib/tickcast/acme\"", "must name a directory: without one, each start would order new certificates, and authorities limit them")
	}
}

// isDomain reports whether name is one that certificate authorities check: letters, digits, hyphens and at least one dot.
func isDomain(name string) bool {
	labels := strings.Split(name, ".")
	_, err := netip.ParseAddr(name)
	return len(labels) > 1 && len(name) <= 253 && err != nil && !slices.ContainsFunc(labels, func(label string) bool {
		return label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-') })
	})
}

// isEmail reports whether text is a bare address of e-mail.
func isEmail(text string) bool {
	a, err := mail.ParseAddress(text)
	return err == nil && a.Address == text
}

// Roots returns the certificates in the file CA; nil without one: those of the machine.
func (c *ACME) Roots() (*x509.CertPool, error) {
	if c.CA == "" {
		return nil, nil
	}
	pem, err := readFile(c.CA)
	if err != nil {
		return nil, &keyError{key: "tls.acme.ca", err: err}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, &keyError{key: "tls.acme.ca", err: fmt.Errorf("%s holds no certificate in PEM form", c.CA)}
	}
	return pool, nil
}
