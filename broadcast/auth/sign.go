package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

var errSigningKey = errors.New("holds no private key of RSA, P-256 or Ed25519 in PEM form, and is no secret of 32 bytes or more")

// Sign returns a token with the claims, signed by the content of a file: a private key in PEM form, or a secret for HS256.
// It is for trials.
func Sign(content []byte, id string, claims map[string]any) (string, error) {
	method, key, err := signingKey(content)
	if err != nil {
		return "", err
	}
	t := jwt.NewWithClaims(method, jwt.MapClaims(claims))
	if id != "" {
		t.Header["kid"] = id
	}
	return t.SignedString(key)
}

func signingKey(content []byte) (jwt.SigningMethod, any, error) {
	block, rest := pem.Decode(content)
	if block == nil {
		secret, err := Secret(content)
		if err != nil {
			return nil, nil, errSigningKey
		}
		return jwt.SigningMethodHS256, secret.key.key, nil
	}
	for block != nil && !strings.HasSuffix(block.Type, "PRIVATE KEY") { // such as EC PARAMETERS
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, nil, errSigningKey
	}
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if private, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
			private, err = x509.ParseECPrivateKey(block.Bytes)
		}
	}
	switch k := private.(type) {
	case *rsa.PrivateKey:
		return jwt.SigningMethodRS256, k, nil
	case *ecdsa.PrivateKey:
		if k != nil && k.Curve == elliptic.P256() {
			return jwt.SigningMethodES256, k, nil
		}
	case ed25519.PrivateKey:
		return jwt.SigningMethodEdDSA, k, nil
	}
	return nil, nil, errors.Join(errSigningKey, err)
}
