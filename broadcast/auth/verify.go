package auth

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A Verifier verifies tokens. Any goroutine may use it.
type Verifier struct {
	cfg     Config
	log     *slog.Logger
	parser  *jwt.Parser
	checks  []jwt.ParserOption
	grants  grants
	source  source
	Revoked Revoked // the revocations in force
}

// New returns a verifier. With a URL, Run must run.
func New(cfg Config) *Verifier {
	cfg.Names.setDefaults()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	v := &Verifier{
		cfg: cfg, log: cfg.Log,
		parser: jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding()),
		checks: []jwt.ParserOption{jwt.WithLeeway(cfg.Leeway)},
	}
	if cfg.Issuer != "" {
		v.checks = append(v.checks, jwt.WithIssuer(cfg.Issuer))
	}
	if cfg.Audience != "" {
		v.checks = append(v.checks, jwt.WithAudience(cfg.Audience))
	}
	if !cfg.NoExpiry {
		v.checks = append(v.checks, jwt.WithExpirationRequired())
	}
	v.source.init(&v.cfg)
	v.Revoked.init(cfg.MaxRevocations)
	return v
}

// MaxToken is the longest token in bytes. Chosen by us.
const MaxToken = 8 << 10

// Verify returns the claims of a token. The error is an *Error for a token that is not valid, or ErrAsk.
func (v *Verifier) Verify(token string, now time.Time) (*Claims, error) {
	if len(token) > MaxToken {
		return nil, errLongToken
	}
	content := jwt.MapClaims{}
	missed := false // a key, or a signature
	_, err := v.parser.ParseWithClaims(token, content, func(t *jwt.Token) (any, error) {
		if _, critical := t.Header["crit"]; critical { // RFC 7515 section 4.1.11
			return nil, errCritical
		}
		missed = true
		return v.candidates(t)
	})
	var refusal *Error
	switch {
	case err == nil:
	case errors.As(err, &refusal):
		return nil, refusal
	case missed && v.source.ask(now):
		return nil, ErrAsk
	case missed, errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return nil, errSignature
	default:
		return nil, errMalformed
	}
	if err := v.checkTimes(content, now); err != nil {
		return nil, err
	}
	c, err := v.cfg.Names.claimsOf(content)
	if err != nil {
		return nil, err
	}
	if v.Revoked.Holds(c, now) {
		return nil, errRevoked
	}
	c.Grant = v.grants.share(c.Grant)
	return c, nil
}

var errNoCandidate = errors.New("no key")

// candidates returns the keys that may have signed t: of its algorithm, and of its kid unless the key has none.
func (v *Verifier) candidates(t *jwt.Token) (any, error) {
	id, _ := t.Header["kid"].(string)
	algorithm := t.Method.Alg()
	var set jwt.VerificationKeySet
	add := func(k key) {
		if k.algorithm == algorithm && (id == "" || k.id == "" || k.id == id) {
			set.Keys = append(set.Keys, k.key)
		}
	}
	for _, k := range v.cfg.Keys {
		add(k.key)
	}
	for _, k := range v.source.current() {
		add(k)
	}
	if len(set.Keys) == 0 {
		return nil, errNoCandidate
	}
	return set, nil
}

// checkTimes checks the registered claims.
func (v *Verifier) checkTimes(content jwt.MapClaims, now time.Time) error {
	checks := append(slices.Clip(v.checks), jwt.WithTimeFunc(func() time.Time { return now }))
	err := jwt.NewValidator(checks...).Validate(content)
	for _, row := range []struct {
		kind   error
		reason *Error
	}{
		{jwt.ErrTokenInvalidIssuer, errIssuer}, {jwt.ErrTokenInvalidAudience, errAudience}, {jwt.ErrTokenNotValidYet, errEarly},
		{jwt.ErrTokenRequiredClaimMissing, errNoExpiry}, {jwt.ErrTokenExpired, errExpired},
	} {
		if errors.Is(err, row.kind) {
			if _, ok := content["exp"]; row.reason == errNoExpiry && ok {
				return errContent
			}
			return row.reason
		}
	}
	if err != nil {
		return errContent
	}
	return nil
}

// Notify makes Run call f, on its goroutine, after each fetch of the keys. It is called before Run.
func (v *Verifier) Notify(f func()) { v.source.notify = f }

// Run fetches the keys of the URL until ctx is done: at once, in intervals, and when a token needs newer ones. A failed
// fetch changes no key.
func (v *Verifier) Run(ctx context.Context) error {
	v.source.run(ctx, v.log)
	return nil
}

// Stats are the figures of a verifier.
type Stats struct {
	Fetches, FetchErrors uint64 // of the JWK Set, since the start
	Keys                 int    // in force
}

// Stats reads the figures; v may be nil.
func (v *Verifier) Stats() Stats {
	if v == nil {
		return Stats{}
	}
	return Stats{v.source.fetches.Load(), v.source.failures.Load(), len(v.cfg.Keys) + len(v.source.current())}
}
