package main

import (
	"fmt"
	"net/http"
	"time"

	"tickcast/broadcast/auth"
	"tickcast/eventloop"
)

// buildAuth makes the verifier of tokens, if the configuration has keys, and the table of revocations, if clients have users.
func (n *node) buildAuth() error {
	c := &n.cfg.Auth
	if n.cfg.TLS.ClientUser != "" {
		n.revoked = auth.NewRevoked(c.MaxRevocations)
	}
	if !c.Enabled() {
		return nil
	}
	keys, err := c.LoadKeys()
	if err != nil {
		return err
	}
	n.tokens = auth.New(auth.Config{
		Keys: keys, URL: c.JWKSURL, Issuer: c.Issuer, Audience: c.Audience, Leeway: c.Leeway, NoExpiry: c.AllowNoExpiry,
		Names:   auth.Names{User: c.ClaimUser, Subscribe: c.ClaimSubscribe, Publish: c.ClaimPublish, Connections: c.ClaimConnections},
		Refresh: c.JWKSRefresh, Timeout: c.JWKSTimeout, AskEvery: c.JWKSAskEvery, MaxRevocations: c.MaxRevocations, Log: n.log,
	})
	n.revoked = &n.tokens.Revoked
	return nil
}

// engineAuth returns the engine's part of the configuration of tokens.
func (n *node) engineAuth() eventloop.Auth {
	c := &n.cfg.Auth
	return eventloop.Auth{
		Verifier: n.tokens, Revoked: n.revoked, Cookie: c.Cookie, Query: c.Query, Wait: c.Wait, MaxWaiting: c.MaxWaiting, Notice: c.Notice, Grace: c.Grace,
	}
}

// onControl handles a message of the control subject.
func (n *node) onControl(data []byte) {
	r, err := auth.ParseRevocation(data)
	if err != nil {
		n.log.Warn("a message on the control subject is malformed", "err", err)
		return
	}
	n.log.Info("revoked", "user", r.User, "token", r.Token, "until", r.Until)
	if !n.engine.Revoke(r) {
		n.log.Warn("more revocations than auth.max_revocations: one was forgotten before its tokens expire")
	}
}

// revokeHandler serves POST /revoke?user=NAME and ?token=ID, with for=DURATION: it revokes a user or a token on all servers.
// send sends the revocation to the other servers.
func (n *node) revokeHandler(send func(data []byte) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		hold := n.cfg.Auth.RevocationHold
		var err error
		if text := req.FormValue("for"); text != "" {
			hold, err = time.ParseDuration(text)
		}
		now := time.Now()
		r := auth.Revocation{User: req.FormValue("user"), Token: req.FormValue("token"), Since: now, Until: now.Add(hold)}
		switch {
		case n.revoked == nil:
			http.Error(w, "this server asks for no token and for no user's certificate", http.StatusConflict)
			return
		case err != nil || r.Check() != nil:
			http.Error(w, "name user=NAME or token=ID, and perhaps for=24h", http.StatusBadRequest)
			return
		}
		n.engine.Revoke(r) // on this server in any case
		w.Header().Set("Content-Type", "application/json")
		if err := send(r.Message()); err != nil {
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprintf(w, "{\"revoked\":\"this server only\",\"why\":%q}\n", err.Error())
			return
		}
		fmt.Fprintln(w, `{"revoked":"all servers"}`)
	})
}
