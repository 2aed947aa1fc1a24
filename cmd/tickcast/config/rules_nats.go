package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"
)

// nats requires one way to authenticate, and only settings that the server in use has.
func (v *validation) nats(c *NATS) {
	for _, text := range c.URLs {
		v.natsURL("nats.urls", text)
	}
	if len(c.URLs) > 0 && c.Embedded.Listen != "" {
		v.add("nats.embedded.listen", "must be empty when nats.urls names servers: there is no embedded one then")
	}
	ways := 0
	for _, s := range []string{c.Credentials, c.User, c.Token} {
		if s != "" {
			ways++
		}
	}
	if ways > 1 {
		v.add("nats.credentials", "only one of nats.credentials, nats.user and nats.token can be used")
	}
	if c.Password != "" && c.User == "" {
		v.add("nats.password", "needs nats.user")
	}
	if len(c.URLs) == 0 {
		for key, value := range map[string]string{"credentials": c.Credentials, "tls_ca": c.TLSCA, "tls_cert": c.TLSCert, "tls_key": c.TLSKey} {
			if value != "" {
				v.add("nats."+key, "needs nats.urls: the embedded server has none of it")
			}
		}
	} else if c.Credentials != "" {
		if _, err := readFile(c.Credentials); err != nil {
			v.add("nats.credentials", "%w", err)
		}
	}
	if len(c.URLs) > 0 {
		v.natsTLS(c)
	}
	between(v, "nats.connect_timeout", c.ConnectTimeout, time.Millisecond, time.Hour)
	between(v, "nats.reconnect_wait", c.ReconnectWait, time.Millisecond, time.Hour)
	between(v, "nats.ping_interval", c.PingInterval, 100*time.Millisecond, time.Hour)
	between(v, "nats.pending_messages", c.PendingMessages, 1, 1<<24)
	between(v, "nats.linger", c.Linger, 0, 24*time.Hour)
	between(v, "nats.connections", c.Connections, 1, 16)
	v.jetStream(c)
}

// jetStream requires a directory if the embedded server runs JetStream, and no directory otherwise.
func (v *validation) jetStream(c *NATS) {
	const key = "nats.embedded.store_dir"
	dir := c.Embedded.StoreDir
	if dir == "" {
		if c.JetStream && len(c.URLs) == 0 {
			v.addHint("nats.jetstream", "name a directory for what the embedded server stores, or set nats.urls to a server that has JetStream",
				"needs "+key+" while nats.urls is empty")
		}
		return
	}
	info, err := os.Stat(dir)
	switch {
	case len(c.URLs) > 0:
		v.add(key, "must be empty when nats.urls names servers: there is no embedded one then")
	case !c.JetStream:
		v.add(key, "needs nats.jetstream = true: nothing is stored without it")
	case err == nil && !info.IsDir():
		v.add(key, "%s is not a directory", dir)
	case err != nil && !errors.Is(err, os.ErrNotExist): // the server creates a missing one
		v.add(key, "%w", err)
	}
}

// natsTLS requires readable certificates, and a key that fits its certificate.
func (v *validation) natsTLS(c *NATS) {
	if c.TLSCA != "" {
		if pem, err := readFile(c.TLSCA); err != nil {
			v.add("nats.tls_ca", "%w", err)
		} else if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			v.add("nats.tls_ca", "%s holds no certificate in PEM form", c.TLSCA)
		}
	}
	switch {
	case c.TLSCert == "" && c.TLSKey == "":
		return
	case c.TLSKey == "":
		v.add("nats.tls_cert", "needs nats.tls_key")
		return
	case c.TLSCert == "":
		v.add("nats.tls_key", "needs nats.tls_cert")
		return
	}
	cert, certErr := readFile(c.TLSCert)
	if certErr != nil {
		v.add("nats.tls_cert", "%w", certErr)
	}
	key, keyErr := readFile(c.TLSKey)
	if keyErr != nil {
		v.add("nats.tls_key", "%w", keyErr)
	}
	if certErr == nil && keyErr == nil {
		if _, err := tls.X509KeyPair(cert, key); err != nil {
			v.add("nats.tls_cert", "does not go with nats.tls_key: %w", err)
		}
	}
}

// maxSecretFile bounds the files that readFile reads. Credentials and certificates are a few KiB.
const maxSecretFile = 1 << 20

// readFile returns the content of a regular file. It refuses pipes and devices, since the NATS client reads these files again
// at each reconnect.
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
