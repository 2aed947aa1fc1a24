// Package auth turns tokens, and certificates of clients, into claims. Tokens are JSON Web Tokens (RFC 7519) signed by HS256, RS256, ES256 or EdDSA. Verify is handed the
// time and does no I/O. The keys come from files, and from the URL of a JWK Set, which Run fetches on a goroutine of its own.
//
// # Layout
//
//	errors.go    the reasons for which a token is not accepted
//	grant.go     the topics that a token allows; equal grants are shared
//	claims.go    the content of a token
//	certificate.go  the user of a client's certificate, and its rights
//	keys.go      keys, and their files
//	config.go    Config: which tokens are valid
//	jwks.go      the keys behind a URL: fetched, kept, fetched again
//	revoked.go   users and tokens that an operator has revoked
//	verify.go    Verifier: from a token to claims, or to an error
//	sign.go      tokens for trials
//
// # Rules
//
//   - A key has one algorithm, which its type determines. A token's header chooses a key, but never the algorithm of a key.
//     So "none" finds no key, and a public key is never used as a secret.
//   - A token is judged invalid only against current keys. If the keys of the URL may have changed, the result is ErrAsk.
//     Run then fetches the keys again, at most once in Config.AskEvery, and the caller verifies the token again.
//   - No token is logged or part of an error.
//
// # Why
//
// The library keyfunc reads the keys. Its own client of a JWK Set is not used: it fetches inside the verification of a token with
// an unknown key, and verification happens on an event loop.
//
// All connections whose tokens allow the same topics share a grant, since 15,000 users mostly have a few different sets of
// topics.
package auth
