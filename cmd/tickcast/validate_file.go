package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"
)

func (v *validation) nats(c *NATSConfig) {
	for _, text := range c.URLs {
		v.natsURL("nats.urls", text)
	}
	if len(c.URLs) > 0 && c.Embedded.Listen != "" {
		v.bad("nats.embedded.listen", "must be empty when nats.urls names servers: there is no embedded one then")
	}
	ways := 0
	for _, s := range []string{c.Credentials, c.User, c.Token} {
		if s != "" {
			ways++
		}
	}
	if ways > 1 {
		v.bad("nats.credentials", "only one of nats.credentials, nats.user and nats.token can be used")
	}
	if c.Password != "" && c.User == "" {
		v.bad("nats.password", "needs nats.user")
	}
	if len(c.URLs) == 0 {
		for key, value := range map[string]string{"credentials": c.Credentials, "tls_ca": c.TLSCA, "tls_cert": c.TLSCert, "tls_key": c.TLSKey} {
			if value != "" {
				v.bad("nats."+key, "needs nats.urls: the embedded server has none of it")
			}
		}
	} else if c.Credentials != "" {
		if _, err := readFile(c.Credentials); err != nil {
			v.bad("nats.credentials", "%w", err)
		}
	}
	if len(c.URLs) > 0 {
		v.natsTLS(c)
	}
	v.duration("nats.connect_timeout", c.ConnectTimeout, time.Millisecond, time.Hour)
	v.duration("nats.reconnect_wait", c.ReconnectWait, time.Millisecond, time.Hour)
	between(v, "nats.pending_messages", c.PendingMessages, 1, 1<<24)
	v.duration("nats.linger", c.Linger, 0, 24*time.Hour)
	between(v, "nats.connections", c.Connections, 1, 16)
	v.jetStream(c)
}

// jetStream demands a directory for the files of an embedded server's JetStream, and none where there is no such server.
func (v *validation) jetStream(c *NATSConfig) {
	const key = "nats.embedded.store_dir"
	dir := c.Embedded.StoreDir
	if dir == "" {
		if c.JetStream && len(c.URLs) == 0 {
			v.bad("nats.jetstream", "%w", withHint(errors.New("needs "+key+" while nats.urls is empty"),
				"name a directory for what the embedded server stores, or set nats.urls to a server that has JetStream"))
		}
		return
	}
	info, err := os.Stat(dir)
	switch {
	case len(c.URLs) > 0:
		v.bad(key, "must be empty when nats.urls names servers: there is no embedded one then")
	case !c.JetStream:
		v.bad(key, "needs nats.jetstream = true: nothing is stored without it")
	case err == nil && !info.IsDir():
		v.bad(key, "%s is not a directory", dir)
	case err != nil && !errors.Is(err, os.ErrNotExist): // the server makes a missing one
		v.bad(key, "%w", err)
	}
}

// natsTLS demands readable certificates, and a key that fits its certificate.
func (v *validation) natsTLS(c *NATSConfig) {
	if c.TLSCA != "" {
		if pem, err := readFile(c.TLSCA); err != nil {
			v.bad("nats.tls_ca", "%w", err)
		} else if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			v.bad("nats.tls_ca", "%s holds no certificate in PEM form", c.TLSCA)
		}
	}
	switch {
	case c.TLSCert == "" && c.TLSKey == "":
		return
	case c.TLSKey == "":
		v.bad("nats.tls_cert", "needs nats.tls_key")
		return
	case c.TLSCert == "":
		v.bad("nats.tls_key", "needs nats.tls_cert")
		return
	}
	cert, certErr := readFile(c.TLSCert)
	if certErr != nil {
		v.bad("nats.tls_cert", "%w", certErr)
	}
	key, keyErr := readFile(c.TLSKey)
	if keyErr != nil {
		v.bad("nats.tls_key", "%w", keyErr)
	}
	if certErr == nil && keyErr == nil {
		if _, err := tls.X509KeyPair(cert, key); err != nil {
			v.bad("nats.tls_cert", "does not go with nats.tls_key: %w", err)
		}
	}
}

// maxSecretFile bounds what readFile takes into memory. Credentials and certificates are a few KiB.
const maxSecretFile = 1 << 20

// readFile returns the content of a regular file. Pipes and devices are refused: these files are read again at each
// reconnect.
func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New(name + " is not a file")
	case info.Size() > maxSecretFile:
		return nil, fmt.Errorf("%s is larger than %v", name, Size(maxSecretFile))
	}
	return os.ReadFile(name)
}
