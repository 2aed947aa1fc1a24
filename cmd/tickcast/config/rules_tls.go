package config

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tickcast/broadcast/auth"
)

// The values of keys in [tls].
const (
	RecordsAuto      = "auto"
	recordsCryptoTLS = "crypto/tls"

	clientCertsOff      = "off"
	clientCertsOptional = "optional"
	clientCertsRequired = "required"
)

// tls requires certificates for the listeners, and files that go together.
func (v *validation) tls(c *TLS) {
	v.oneOf("tls.min_version", c.MinVersion, "1.2", "1.3")
	v.oneOf("tls.client_certs", c.ClientCerts, clientCertsOff, clientCertsOptional, clientCertsRequired)
	v.oneOf("tls.records", c.Records, RecordsAuto, recordsCryptoTLS)
	zeroOr(v, "tls.reload", c.Reload, 100*time.Millisecond, 24*time.Hour)
	between(v, "tls.handshake_workers", c.HandshakeWorkers, 0, 4096)
	between(v, "tls.max_handshakes", c.MaxHandshakes, 1, 1<<24)
	between(v, "tls.cipher_memory", c.CipherMemory, 0, 1<<10*gib)
	between(v, "tls.redirect_port", c.RedirectPort, 0, 65535)
	if len(c.RedirectListen) > 0 && len(c.Listen) == 0 {
		v.add("tls.redirect_listen", "needs tls.listen: there is nothing to redirect to")
	}
	v.acme(c)
	v.clientUser(c)
	switch {
	case len(c.Cert) != len(c.Key):
		v.add("tls.key", "must name a key for each certificate in tls.cert: %d for %d", len(c.Key), len(c.Cert))
		return
	case len(c.Listen) > 0 && len(c.Cert) == 0 && len(c.ACME.Domains) == 0:
		v.add("tls.listen", "needs tls.cert and tls.key, or tls.acme.domains")
	case (c.ClientCerts == clientCertsOptional || c.ClientCerts == clientCertsRequired) && c.ClientCA == "":
		v.add("tls.client_certs", "needs tls.client_ca")
	case c.ClientCerts == clientCertsOff && c.ClientCA != "":
		v.add("tls.client_ca", "needs tls.client_certs: no client is asked for a certificate")
		return
	}
	(&tlsFiles{c: c, add: v.add}).load()
}

// clientUser requires a field that names users, and patterns for them that fit.
func (v *validation) clientUser(c *TLS) {
	switch {
	case c.ClientUser == "":
	case !slices.Contains(auth.NameFields(), auth.NameField(c.ClientUser)):
		v.add("tls.client_user", "must be empty or one of cn, san_dns, san_email, san_uri, not %q", c.ClientUser)
	case c.ClientCerts == clientCertsOff:
		v.add("tls.client_user", "needs tls.client_certs: no client is asked for a certificate")
	}
	for key, patterns := range map[string][]string{"tls.client_subscribe": c.ClientSubscribe, "tls.client_publish": c.ClientPublish} {
		if len(patterns) > 0 && c.ClientUser == "" {
			v.add(key, "needs tls.client_user")
		}
		var filled []string
		for _, p := range patterns {
			filled = append(filled, strings.ReplaceAll(p, auth.UserPlace, "user"))
		}
		v.patterns(key, filled, maxTopicLength)
	}
}

// Clients returns the rules for users of clients' certificates; nil without users.
func (c *TLS) Clients() *auth.Certificates {
	if c.ClientUser == "" {
		return nil
	}
	return &auth.Certificates{Name: auth.NameField(c.ClientUser), Subscribe: c.ClientSubscribe, Publish: c.ClientPublish}
}

// HTTPSPort returns the port of https that clients are sent to.
func (c *TLS) HTTPSPort() int {
	if c.RedirectPort != 0 || len(c.Listen) == 0 {
		return c.RedirectPort
	}
	a, _ := parseAddress(c.Listen[0])
	return a.port
}

// Load reads the files of c. sum changes with the content of any file. It returns all problems joined.
func (c *TLS) Load() (config *tls.Config, sum [sha256.Size]byte, err error) {
	var problems []error
	f := tlsFiles{c: c, add: func(key, format string, args ...any) {
		problems = append(problems, fmt.Errorf(key+" "+format, args...))
	}}
	config = f.load()
	return config, sha256.Sum256(f.content), errors.Join(problems...)
}

// tlsFiles reads the files that c names.
type tlsFiles struct {
	c       *TLS
	add     func(key, format string, args ...any) // adds a problem
	content []byte                                // of all files
}

// suites12 are the cipher suites of TLS 1.2 with forward secrecy and an AEAD. The suites of TLS 1.3 are all secure, and
// cannot be configured.
var suites12 = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// load returns the configuration of servers.
func (f *tlsFiles) load() *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: suites12, NextProtos: []string{"http/1.1", "http/1.0"}}
	if f.c.MinVersion == "1.3" {
		config.MinVersion = tls.VersionTLS13
	}
	for i := range f.c.Cert {
		cert, key := f.read("tls.cert", f.c.Cert[i]), f.read("tls.key", f.c.Key[i])
		if cert == nil || key == nil {
			continue
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			f.add("tls.cert", "%s does not go with %s in tls.key: %w", f.c.Cert[i], f.c.Key[i], err)
			continue
		}
		config.Certificates = append(config.Certificates, pair)
	}
	if f.c.ClientCA != "" {
		if pem := f.read("tls.client_ca", f.c.ClientCA); pem != nil {
			config.ClientCAs = x509.NewCertPool()
			if !config.ClientCAs.AppendCertsFromPEM(pem) {
				f.add("tls.client_ca", "%s holds no certificate in PEM form", f.c.ClientCA)
			}
		}
	}
	switch f.c.ClientCerts {
	case clientCertsOptional:
		config.ClientAuth = tls.VerifyClientCertIfGiven
	case clientCertsRequired:
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if users := f.c.Clients(); users != nil {
		config.VerifyConnection = func(st tls.ConnectionState) error {
			if len(st.PeerCertificates) == 0 {
				return nil
			}
			_, err := users.User(st.PeerCertificates[0])
			return err
		}
	}
	if keys := f.ticketKeys(); len(keys) > 0 {
		config.SetSessionTicketKeys(keys)
	}
	return config
}

// ticketKeys returns the keys in the file of ticket keys.
func (f *tlsFiles) ticketKeys() (keys [][32]byte) {
	if f.c.TicketKeys == "" {
		return nil
	}
	data := f.read("tls.ticket_keys", f.c.TicketKeys)
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		b, err := hex.DecodeString(line)
		if err != nil || len(b) != 32 { // the text of err would show a part of the key
			f.add("tls.ticket_keys", "%s: key %d must be 64 hex digits: openssl rand -hex 32", f.c.TicketKeys, len(keys)+1)
			return nil
		}
		keys = append(keys, [32]byte(b))
	}
	if data != nil && len(keys) == 0 {
		f.add("tls.ticket_keys", "%s holds no key", f.c.TicketKeys)
	}
	return keys
}

// read returns the content of a file, nil if there is a problem.
func (f *tlsFiles) read(key, name string) []byte {
	data, err := readFile(name)
	if err != nil {
		f.add(key, "%w", err)
		return nil
	}
	f.content = append(append(f.content, data...), 0)
	return data
}
