package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"tickcast/broadcast/auth"
	"tickcast/cmd/message"
)

const tokenUsage = `Usage:
    tickcast token -key FILE [flags]

Makes a token for trying things out, and prints it.

    -key FILE           the private key in PEM form (RSA, P-256 or Ed25519), or
                        the secret of auth.secret
    -user NAME          claim sub
    -subscribe TOPICS   claim subscribe: topics or patterns, separated by commas
    -publish TOPICS     claim publish
    -connections N      claim connections
    -for DURATION       until it expires; 1h without it
    -issuer, -audience, -id, -kid TEXT   claims iss, aud, jti; header kid

Examples:
    openssl genpkey -algorithm ed25519 -out key.pem
    openssl pkey -in key.pem -pubout -out public.pem    # auth.keys = ["public.pem"]
    tickcast token -key key.pem -user alice -subscribe 'px.>'
`

// makeToken executes tickcast token.
func makeToken(args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("token", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	key, kid := fs.String("key", "", ""), fs.String("kid", "", "")
	hold, connections := fs.Duration("for", time.Hour, ""), fs.Int("connections", 0, "")
	texts := map[string]*string{"sub": fs.String("user", "", ""), "iss": fs.String("issuer", "", ""),
		"aud": fs.String("audience", "", ""), "jti": fs.String("id", "", "")}
	lists := map[string]*string{"subscribe": fs.String("subscribe", "", ""), "publish": fs.String("publish", "", "")}
	if err := fs.Parse(args); err != nil || fs.NArg() > 0 || *key == "" || *connections < 0 {
		if err == nil {
			err = fmt.Errorf("token needs -key FILE and no other argument")
		}
		return &usageError{message.WithHint(err, `run "tickcast token -h" for what is possible`)}
	}
	content, err := os.ReadFile(*key)
	if err != nil {
		return err
	}
	now := time.Now()
	claims := map[string]any{"iat": now.Unix(), "exp": now.Add(*hold).Unix()}
	for name, text := range texts {
		if *text != "" {
			claims[name] = *text
		}
	}
	for name, list := range lists {
		if *list != "" {
			claims[name] = strings.Split(*list, ",")
		}
	}
	if *connections > 0 {
		claims["connections"] = *connections
	}
	token, err := auth.Sign(content, *kid, claims)
	if err != nil {
		return fmt.Errorf("%s %w", *key, err)
	}
	_, err = fmt.Fprintln(stdout, token)
	return err
}
