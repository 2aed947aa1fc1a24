package config

import (
	"strings"
	"time"

	"tickcast/broadcast/subject"
	"tickcast/eventloop/admission"
)

// admission requires valid ranges of the limits of admission.
func (v *validation) admission(c *Limits) {
	const most = 1 << 30
	between(v, "limits.max_connections_per_address", c.MaxConnectionsPerAddress, 0, most)
	between(v, "limits.max_connections_per_user", c.MaxConnectionsPerUser, 0, most)
	between(v, "limits.connections_per_second", c.ConnectionsPerSecond, 0, most)
	between(v, "limits.connections_wait", c.ConnectionsWait, 0, 30*time.Second) // clients give up
	between(v, "limits.connections_per_second_per_address", c.ConnectionsPerSecondPerAddress, 0, most)
	between(v, "limits.commands_per_second", c.CommandsPerSecond, 0, admission.MaxBurst)
	between(v, "limits.commands_burst", c.CommandsBurst, 1, admission.MaxBurst)
	between(v, "limits.input_bytes_per_second", c.InputBytesPerSecond, 0, admission.MaxBurst)
	between(v, "limits.input_bytes_burst", c.InputBytesBurst, 1, admission.MaxBurst)
	between(v, "limits.ban_after", c.BanAfter, 0, most)
	between(v, "limits.ban_window", c.BanWindow, time.Millisecond, 24*time.Hour)
	between(v, "limits.ban_duration", c.BanDuration, time.Millisecond, 30*24*time.Hour)
	between(v, "limits.max_tracked_addresses", c.MaxTrackedAddresses, 1, 1<<26)
}

// proxies requires valid networks of trusted proxies, and some if the PROXY protocol is on.
func (v *validation) proxies(c *Server) {
	v.oneOf("server.proxy_protocol", c.ProxyProtocol, "off", "optional", "required")
	if _, err := admission.ParseNetworks(c.TrustedProxies); err != nil {
		v.add("server.trusted_proxies", "%w", err)
	}
	if c.ProxyProtocol != "off" && len(c.TrustedProxies) == 0 {
		v.add("server.proxy_protocol", "needs server.trusted_proxies: anybody else could name any address")
	}
}

// origin requires entries that admission knows. Browsers send cookies and certificates with the requests of all pages, so a list that
// allows any page would let it act as its visitor; frames in a sandbox, of any page, have the origin null.
func (v *validation) origin(c *Config) {
	credentials := c.Auth.Enabled() && c.Auth.Cookie != "" || c.TLS.ClientUser != ""
	for _, text := range c.Origin.Allowed {
		if _, err := admission.ParseOrigins([]string{text}); err != nil {
			v.add("origin.allowed", "%w", err)
		} else if credentials && (text == "*" || text == "null") {
			v.add("origin.allowed", "%q lets any web page act as its visitor, with auth.cookie or tls.client_user: name the pages", text)
		}
	}
}

// auth requires readable keys, and settings that fit them.
func (v *validation) auth(c *Auth) {
	if _, err := c.LoadKeys(); err != nil {
		v.problems = append(v.problems, err)
	}
	if c.JWKSURL != "" {
		v.secureURL("auth.jwks_url", c.JWKSURL, "whoever answers in its place makes tokens")
	}
	between(v, "auth.jwks_refresh", c.JWKSRefresh, time.Second, 7*24*time.Hour)
	between(v, "auth.jwks_timeout", c.JWKSTimeout, 10*time.Millisecond, time.Minute)
	between(v, "auth.jwks_ask_every", c.JWKSAskEvery, 10*time.Millisecond, time.Hour)
	between(v, "auth.leeway", c.Leeway, 0, time.Hour)
	if strings.ContainsFunc(c.Cookie, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) }) {
		v.add("auth.cookie", "is not the name of a cookie: %.80q", c.Cookie)
	}
	between(v, "auth.wait", c.Wait, time.Millisecond, time.Minute)
	between(v, "auth.max_waiting", c.MaxWaiting, 1, 1<<20)
	between(v, "auth.notice", c.Notice, 0, 24*time.Hour)
	between(v, "auth.grace", c.Grace, 0, 24*time.Hour)
	names := map[string]string{}
	for key, name := range map[string]string{"auth.claim_user": c.ClaimUser, "auth.claim_subscribe": c.ClaimSubscribe,
		"auth.claim_publish": c.ClaimPublish, "auth.claim_connections": c.ClaimConnections} {
		if other, taken := names[name]; name == "" || taken {
			v.add(key, "must be a name of its own, not %q %s", name, other)
		}
		names[name] = key
	}
	if s := c.ControlSubject; s != "" && (s[0] != '_' || subject.CheckConcrete("x"+s, 256, 32) != nil) {
		v.addHint("auth.control_subject", "topics that begin with _ are out of reach of all clients", "must be a subject of at most 255 bytes that begins with _, not %.80q", s)
	}
	between(v, "auth.revocation_hold", c.RevocationHold, time.Second, 366*24*time.Hour)
	between(v, "auth.max_revocations", c.MaxRevocations, 1, 1<<22)
}
