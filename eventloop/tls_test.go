package eventloop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// testTLS, from the environment, runs all servers of these tests with TLS and no other listener: "own" with the records of package
// tlsrecord, "driven" with those of crypto/tls, "1.2" with TLS 1.2.
var testTLS = os.Getenv(testTLSVariable)

const testTLSVariable = "TICKCAST_TEST_TLS"

// testCertificate is the certificate of all servers.
var testCertificate = makeCertificate("test")

func makeCertificate(name string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{name, "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// clientTLS is the configuration of clients, which know the certificate.
var clientTLS = func() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(testCertificate.Leaf)
	return &tls.Config{RootCAs: pool, ServerName: "test"}
}()

// secured returns a client's connection with TLS if the server has it.
func (s *server) secured(nc net.Conn) net.Conn {
	if !s.secure {
		return nc
	}
	return tls.Client(nc, clientTLS)
}

// url returns the URL of a WebSocket at path.
func (s *server) url(path string) string {
	if !s.secure {
		return "ws://" + s.addr + path
	}
	return "wss://" + s.addr + path
}

// endHandshake waits until the server's side of a TLS handshake is over, which may get little input.
func (c *client) endHandshake() {
	if testTLS != "" {
		c.t.Helper()
		c.send(get("/nothing"))
		c.response("GET")
	}
}

// webClient knows the certificate of all servers.
var webClient = &http.Client{Transport: &http.Transport{TLSClientConfig: clientTLS}}

// early returns the status that a client sees which is refused before its TLS handshake: none, where there is TLS.
func early(status int) int {
	if testTLS != "" && status != http.StatusSwitchingProtocols {
		return 0
	}
	return status
}

// clearTextOnly skips a test of sizes or responses that are others with TLS.
func clearTextOnly(t *testing.T) {
	if testTLS != "" {
		t.Skip("only without TLS")
	}
}

// sealedAhead bounds the bytes that a slow client's socket refuses in one go, beyond a frame.
func sealedAhead() int {
	if testTLS == "" {
		return 0
	}
	return sealAtOnce
}

// tcpOf returns the connection below TLS.
func tcpOf(nc net.Conn) *net.TCPConn {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	return nc.(*net.TCPConn)
}

// testTLSConfig is the configuration of TLS without a listener.
func testTLSConfig() TLS {
	config := &tls.Config{Certificates: []tls.Certificate{testCertificate}, NextProtos: []string{"http/1.1"}}
	if testTLS == "1.2" {
		config.MaxVersion = tls.VersionTLS12
	}
	return TLS{
		Config:        func() *tls.Config { return config },
		OwnRecords:    testTLS != "driven",
		MaxHandshakes: 10_000,
		KeptBytes:     16 << 20,
	}
}
