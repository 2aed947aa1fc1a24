package auth

import (
	"log/slog"
	"time"
)

// Config holds the rules for valid tokens.
type Config struct {
	Keys     []Key  // from files
	URL      string // of a JWK Set; "" = none
	Issuer   string // "" = any
	Audience string // "" = any
	Leeway   time.Duration
	NoExpiry bool // a token without exp is valid

	Names Names

	Refresh  time.Duration // between two fetches of the URL; default 15 minutes
	Timeout  time.Duration // of a fetch; default 5 seconds
	AskEvery time.Duration // minimum between two fetches that tokens cause; default 10 seconds

	MaxRevocations int // default 10,000

	Log *slog.Logger // nil = discard
}
