package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tickcast/client"
)

// allSecure, from the environment, runs all servers of these tests with TLS.
var allSecure = os.Getenv(testTLS) != ""

const testTLS = "TICKCAST_TEST_TLS"

// The certificate of servers with TLS, and its file and that of its key.
var (
	certificate       *x509.Certificate
	certFile, keyFile string
)

// makeCertificate makes the certificate in binaryDir. With allSecure all clients of this process know it.
func makeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	if certificate, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	certFile, keyFile = filepath.Join(binaryDir, "cert.pem"), filepath.Join(binaryDir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	if !allSecure {
		return nil
	}
	_ = os.Unsetenv(testTLS) // servers refuse a variable that they do not know
	return os.Setenv("SSL_CERT_FILE", certFile)
}

// listeners returns the environment of the server's listeners.
func (s *server) listeners() []string {
	if !s.secure {
		return []string{"TICKCAST_SERVER_LISTEN=" + s.listen[0]}
	}
	return []string{
		"TICKCAST_SERVER_LISTEN=127.0.0.2:0", "TICKCAST_TLS_LISTEN=" + s.listen[0], "TICKCAST_TLS_CERT=" + certFile, "TICKCAST_TLS_KEY=" + keyFile,
	}
}

// A client reads by wss and resumes after a restart. It does not speak with a server whose certificate it does not know.
func TestClientWithTLS(t *testing.T) {
	s := startListening(t, true, "")
	if !strings.HasPrefix(s.stream, "wss://") {
		t.Fatal(s.stream)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	o := client.Options{HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}}
	c := startClient(t, s.stream, o)
	c.subscribe("px.A")
	nc := s.connect()
	read := func(n int) {
		t.Helper()
		eventually(t, "a message is read", func() bool {
			publish(t, nc, "px.A", fmt.Sprint(n))
			return strings.Contains(fmt.Sprint(c.data()), fmt.Sprint(n))
		})
	}
	read(100)
	s.end(syscall.SIGKILL)
	s.start()
	read(200)

	stranger := startClient(t, s.stream, client.Options{HTTPClient: &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool()},
	}}})
	stranger.subscribe("px.A")
	eventually(t, "the stranger has failed", func() bool { return strings.Contains(stranger.Status().Reason, "certificate") })
}
