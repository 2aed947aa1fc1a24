package config

import "time"

// Origin lists the web pages that may use the server.
type Origin struct {
	Allowed []string `toml:"allowed"` // see admission.ParseOrigins; empty = pages of the server's own host
}

// Auth holds the rules for tokens, which prove a client's identity. Without keys the server asks for no token.
type Auth struct {
	Keys             []string      `toml:"keys"`     // files
	Secret           string        `toml:"secret"`   // a file
	JWKSURL          string        `toml:"jwks_url"` //
	JWKSRefresh      time.Duration `toml:"jwks_refresh" default:"15m"`
	JWKSTimeout      time.Duration `toml:"jwks_timeout" default:"5s"`
	JWKSAskEvery     time.Duration `toml:"jwks_ask_every" default:"10s"`
	Issuer           string        `toml:"issuer"`   // "" = any
	Audience         string        `toml:"audience"` // "" = any
	Leeway           time.Duration `toml:"leeway" default:"30s"`
	AllowNoExpiry    bool          `toml:"allow_no_expiry"`
	Cookie           string        `toml:"cookie"` // "" = none
	Query            bool          `toml:"query"`
	Wait             time.Duration `toml:"wait" default:"5s"`
	MaxWaiting       int           `toml:"max_waiting" default:"1024"` // one loop's
	Notice           time.Duration `toml:"notice" default:"1m"`
	Grace            time.Duration `toml:"grace" default:"10s"`
	ClaimUser        string        `toml:"claim_user" default:"sub"`
	ClaimSubscribe   string        `toml:"claim_subscribe" default:"subscribe"`
	ClaimPublish     string        `toml:"claim_publish" default:"publish"`
	ClaimConnections string        `toml:"claim_connections" default:"connections"`
	ControlSubject   string        `toml:"control_subject" default:"_tickcast.control"` // "" = none; reserved, so that no client reaches it
	RevocationHold   time.Duration `toml:"revocation_hold" default:"24h"`
	MaxRevocations   int           `toml:"max_revocations" default:"10000"`
}

// Enabled reports whether the server asks for tokens.
func (c *Auth) Enabled() bool { return len(c.Keys) > 0 || c.Secret != "" || c.JWKSURL != "" }
