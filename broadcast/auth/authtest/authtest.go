// Package authtest makes keys and tokens for tests.
package authtest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"tickcast/broadcast/auth"
)

// A Pair is a key pair, or a secret, of an algorithm.
type Pair struct {
	Algorithm string
	Private   []byte // PEM, or the secret
	Public    []byte // PEM; nil for a secret
	public    any
}

// Algorithms are the algorithms of Pairs.
var Algorithms = []string{"HS256", "RS256", "ES256", "EdDSA"}

// NewPair makes a new pair of an algorithm.
func NewPair(t testing.TB, algorithm string) *Pair {
	t.Helper()
	p := &Pair{Algorithm: algorithm}
	var private any
	var err error
	switch algorithm {
	case "HS256":
		p.Private = []byte(rand.Text() + rand.Text())
		return p
	case "RS256":
		var k *rsa.PrivateKey
		k, err = rsa.GenerateKey(rand.Reader, 2048)
		private, p.public = k, k.Public()
	case "ES256":
		var k *ecdsa.PrivateKey
		k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		private, p.public = k, k.Public()
	case "EdDSA":
		p.public, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	p.Private = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if der, err = x509.MarshalPKIXPublicKey(p.public); err != nil {
		t.Fatal(err)
	}
	p.Public = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return p
}

var (
	once  sync.Once
	pairs []*Pair
)

// Pairs returns one pair of each algorithm, the same each time.
func Pairs(t testing.TB) []*Pair {
	once.Do(func() {
		for _, a := range Algorithms {
			pairs = append(pairs, NewPair(t, a))
		}
	})
	return pairs
}

// Keys returns the keys that verify the tokens of pairs.
func Keys(t testing.TB, pairs ...*Pair) (keys []auth.Key) {
	t.Helper()
	for _, p := range pairs {
		if p.Public == nil {
			k, err := auth.Secret(p.Private)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, k)
			continue
		}
		k, err := auth.PublicKeys(p.Public)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k...)
	}
	return keys
}

// Sign returns a token; id may be empty.
func (p *Pair) Sign(t testing.TB, id string, claims map[string]any) string {
	t.Helper()
	token, err := auth.Sign(p.Private, id, claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// JWK returns the public key as a JSON Web Key.
func (p *Pair) JWK(id string) map[string]any {
	b64 := base64.RawURLEncoding.EncodeToString
	switch k := p.public.(type) {
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "kid": id, "alg": "RS256", "use": "sig", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PublicKey:
		b, _ := k.Bytes()
		return map[string]any{"kty": "EC", "kid": id, "crv": "P-256", "x": b64(b[1:33]), "y": b64(b[33:])}
	case ed25519.PublicKey:
		return map[string]any{"kty": "OKP", "kid": id, "crv": "Ed25519", "x": b64(k)}
	}
	return map[string]any{"kty": "oct", "kid": id, "k": b64(p.Private)}
}

// Set returns a JWK Set.
func Set(keys ...map[string]any) []byte {
	b, _ := json.Marshal(map[string]any{"keys": keys}) // cannot fail
	return b
}

// Unsigned returns a token with the header and claims, and any signature.
func Unsigned(header, claims map[string]any, signature []byte) string {
	part := func(v any) string {
		b, _ := json.Marshal(v) // cannot fail
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return part(header) + "." + part(claims) + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// Certificate returns a new key and a certificate of 127.0.0.1 for it, in one PEM file.
func Certificate(t testing.TB) []byte {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	cert, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...)
}
