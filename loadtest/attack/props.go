package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A props holds the files of a run, in a directory of its own: the keys of tokens and a certificate. It serves an authority of keys that
// misbehaves.
type props struct {
	dir  string
	jwks *http.Server
	url  string // of the authority
}

const (
	tokenKey     = "token.pem"  // signs the tokens that servers accept
	strangerKey  = "other.pem"  // signs others
	tokenPublic  = "public.pem" // of tokenKey
	certificate  = "cert.pem"
	certificateK = "cert-key.pem"
)

// newProps makes the files.
func newProps() (*props, error) {
	dir, err := os.MkdirTemp("", "attack")
	if err != nil {
		return nil, err
	}
	p := &props{dir: dir}
	for _, name := range []string{tokenKey, strangerKey} {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		if err := p.writeKey(name, private); err != nil {
			return nil, err
		}
		if der, err := x509.MarshalPKIXPublicKey(public); err != nil {
			return nil, err
		} else if name == tokenKey {
			err = p.write(tokenPublic, "PUBLIC KEY", der)
			if err != nil {
				return nil, err
			}
		}
	}
	if err := p.writeCertificate(); err != nil {
		return nil, err
	}
	return p, p.serveKeys()
}

func (p *props) file(name string) string { return filepath.Join(p.dir, name) }

func (p *props) write(name, kind string, der []byte) error {
	return os.WriteFile(p.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func (p *props) writeKey(name string, private crypto.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	return p.write(name, "PRIVATE KEY", der)
}

func (p *props) writeCertificate() error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, private.Public(), private)
	if err != nil {
		return err
	}
	if err := p.write(certificate, "CERTIFICATE", der); err != nil {
		return err
	}
	return p.writeKey(certificateK, private)
}

// serveKeys starts the authority of keys. Each of its paths is a fault.
func (p *props) serveKeys() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.url = "http://" + ln.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("/late", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(30 * time.Second):
		}
	})
	mux.HandleFunc("/drips", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, " ")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(100 * time.Millisecond)
		}
	})
	mux.HandleFunc("/garbage", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"keys":[`+strings.Repeat(`{"kty":"OKP","x":"`+strings.Repeat("A", 1000)+`"},`, 10_000))
	})
	p.jwks = &http.Server{Handler: mux}
	go func() { _ = p.jwks.Serve(ln) }()
	return nil
}

// fill puts the names of the files into keys.
func (p *props) fill(keys string) string {
	return strings.NewReplacer("{public}", p.file(tokenPublic), "{cert}", p.file(certificate), "{key}", p.file(certificateK), "{jwks}", p.url).Replace(keys)
}

// remove removes the files.
func (p *props) remove() {
	_ = p.jwks.Close()
	_ = os.RemoveAll(p.dir)
}

// token returns a token that allows all topics for a time, signed with a key of the directory. kid may be empty.
func token(dir, name, kid string, valid time.Duration) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(b)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return "", err
	}
	head := fmt.Sprintf(`{"alg":"EdDSA","kid":%q}`, kid)
	if kid == "" {
		head = `{"alg":"EdDSA"}`
	}
	expires := float64(time.Now().Add(valid).UnixMilli()) / 1e3
	content := fmt.Sprintf(`{"sub":"x","subscribe":">","exp":%.3f}`, expires)
	text := base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString([]byte(content))
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key.(ed25519.PrivateKey), []byte(text))), nil
}

// bearer returns the header line for a token.
func bearer(token string) string { return "Authorization: Bearer " + token }
