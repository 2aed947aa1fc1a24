package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/MicahParks/keyfunc/v3"
)

// Algorithms are the names of the algorithms that a token may be signed by.
var algorithms = []string{"HS256", "RS256", "ES256", "EdDSA"}

// A key verifies the tokens of one algorithm.
type key struct {
	id        string // "" = none
	algorithm string
	key       any // []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// minSecret is the shortest secret: RFC 7518 section 3.2 demands as many bytes as the hash has.
const minSecret = 32

// minRSA is the shortest RSA key, RFC 7518 section 3.3.
const minRSA = 2048

var (
	errPrivate  = errors.New("holds a private key: the server needs the public one alone")
	errNoKey    = errors.New("holds no public key in PEM form")
	errShort    = fmt.Errorf("is shorter than %d bytes", minSecret)
	errNoSecret = errors.New("holds a key or a certificate: everybody may know it, so it is no secret")
)

// Secret returns the key for HS256 in the content of a file, without the line feed at its end.
func Secret(content []byte) (Key, error) {
	secret := bytes.TrimRight(content, "\r\n")
	if block, _ := pem.Decode(content); block != nil {
		return Key{}, errNoSecret
	}
	if _, err := x509.ParsePKIXPublicKey(content); err == nil {
		return Key{}, errNoSecret
	}
	if len(secret) < minSecret {
		return Key{}, errShort
	}
	return Key{key{algorithm: "HS256", key: bytes.Clone(secret)}}, nil
}

// A Key is a key from a file.
type Key struct{ key }

// PublicKeys returns the public keys and certificates in the content of a PEM file.
func PublicKeys(content []byte) (keys []Key, err error) {
	for rest := content; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		var public any
		switch block.Type {
		case "PUBLIC KEY":
			public, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			public, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case "CERTIFICATE":
			var cert *x509.Certificate
			if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
				public = cert.PublicKey
			}
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY":
			return nil, errPrivate
		default:
			continue // such as EC PARAMETERS
		}
		if err != nil {
			return nil, err
		}
		k, err := keyOf(public)
		if err != nil {
			return nil, err
		}
		keys = append(keys, Key{k})
	}
	if len(keys) == 0 {
		return nil, errNoKey
	}
	return keys, nil
}

// keyOf returns the key of a public key, whose type determines the algorithm.
func keyOf(public any) (key, error) {
	switch p := public.(type) {
	case *rsa.PublicKey:
		if p.N.BitLen() < minRSA {
			return key{}, fmt.Errorf("holds an RSA key of %d bits, and %d are needed", p.N.BitLen(), minRSA)
		}
		return key{algorithm: "RS256", key: p}, nil
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() {
			return key{}, fmt.Errorf("holds a key of curve %s, and ES256 needs P-256", p.Curve.Params().Name)
		}
		return key{algorithm: "ES256", key: p}, nil
	case ed25519.PublicKey:
		return key{algorithm: "EdDSA", key: p}, nil
	}
	return key{}, fmt.Errorf("holds a key of type %T, which no algorithm here uses", public)
}

// maxKeys bounds the keys of a JWK Set. Chosen by us.
const maxKeys = 64

// parseSet returns the keys of a JWK Set that verify signatures here. Others are left out: a set may hold keys for encryption, or
// of a later algorithm. A secret is left out too, since the set is public.
func parseSet(content []byte) (keys []key, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(content, &set); err != nil {
		return nil, errors.New("is not a JWK Set")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("holds more than %d keys", maxKeys)
	}
	for _, raw := range set.Keys {
		kf, err := keyfunc.NewJWKJSON(raw)
		if err != nil {
			continue
		}
		parsed, err := kf.Storage().KeyReadAll(context.Background()) // in memory
		if err != nil || len(parsed) != 1 {
			continue
		}
		m := parsed[0].Marshal()
		public := parsed[0].Key()
		if p, ok := public.(interface{ Public() crypto.PublicKey }); ok {
			public = p.Public() // a private key in a set is its issuer's fault
		}
		k, err := keyOf(public)
		if err != nil || m.USE != "" && m.USE != "sig" || m.ALG != "" && string(m.ALG) != k.algorithm {
			continue
		}
		k.id = m.KID
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("holds no key for RS256, ES256 or EdDSA")
	}
	return keys, nil
}
