package main

import "time"

// A setting is what the servers of a group have beside the common keys.
type setting struct {
	keys   string // see props.fill
	secure bool   // the stream is over TLS
	tokens bool   // the bystanders have one
}

// common holds the keys of the server under attack, beside the defaults. Its NATS is a process of its own, whose address comes
// first: the memory is that of the server alone. The keys of the group come second. A topic that a client holds takes about 1.4 KB, its
// subscription in the NATS client among them, and half as much is garbage until the next collection: with 30,000 of them the server is at
// 100 MB, and Go's own tables of that memory, which stay, are a tenth of the start.
const common = `
server.internal_listen = "127.0.0.1:0"
nats.urls = ["nats://%s"]
publish.topics = ["pub.>"]
limits.max_topics = 20000
limits.max_wildcard_matches = 200000
flow.memory_budget = "16MiB"
flow.newest_bytes = "32MiB"
flow.history_bytes = "32MiB"
runtime.trim_after = "2s"
%s
[[topic]]
match = "ord.>"
mode = "all"
history = 1000
`

// underCeiling holds the keys of a server whose only bound of memory is the ceiling of the process, of so many MiB. The address of its
// NATS comes first.
const underCeiling = `
[server]
listen = ["127.0.0.1:0"]
internal_listen = "127.0.0.1:0"
[nats]
urls = ["nats://%s"]
linger = "1s"
[publish]
topics = ["pub.>"]
[limits]
max_topics = 100000000
max_wildcard_matches = 100000000
max_wildcards_per_connection = 1000
wildcard_matches_per_second = 100000000
new_topics_per_second = 1000000
commands_per_second = 0
input_bytes_per_second = "0"
[flow]
newest_bytes = "100GiB"
history_bytes = "100GiB"
queue_bytes = "64MiB"
[runtime]
memory_ceiling = "%dMiB"
trim_after = "2s"
[[topic]]
match = "ord.>"
mode = "all"
history = 1000
`

// justNATS holds the keys of a process that is NATS for others.
const justNATS = `
[server]
listen = ["127.0.0.1:0"]
internal_listen = ""
[nats.embedded]
listen = "127.0.0.1:0"
`

var (
	plain = setting{keys: `
server.listen = ["127.0.0.1:0"]
`}
	impatient = setting{keys: plain.keys + `
limits.handshake_timeout = "2s"
limits.first_message_timeout = "2s"
`}
	full = setting{keys: plain.keys + `
limits.max_connections = 500
`}
	crowded = setting{keys: plain.keys + `
limits.connections_per_second = 100
limits.connections_wait = "200ms"
limits.max_connections_per_address = 50
limits.ban_after = 20
`}
	behindProxy = setting{keys: plain.keys + `
server.proxy_protocol = "optional"
server.trusted_proxies = ["127.9.9.9"]
limits.ban_after = 3
limits.max_tracked_addresses = 2000
`}
	withTokens = setting{tokens: true, keys: plain.keys + `
auth.keys = ["{public}"]
auth.grace = "0s"
auth.leeway = "0s"
limits.ban_after = 1000000
limits.max_tracked_addresses = 5000
`}
	withDeflate = setting{keys: plain.keys + `
compression.enabled = true
`}
	// A handshake under way takes 24 to 33 KB: the default of 4,096 of them would be 136 MB.
	overTLS = setting{secure: true, keys: `
server.listen = []
tls.listen = ["127.0.0.1:0"]
tls.cert = ["{cert}"]
tls.key = ["{key}"]
tls.max_handshakes = 1024
limits.handshake_timeout = "2s"
`}
)

// withAuthority returns a setting whose keys of tokens come from an authority too.
func withAuthority(url string) setting {
	s := withTokens
	s.keys += `
auth.jwks_url = "` + url + `"
auth.jwks_timeout = "2s"
auth.jwks_ask_every = "1s"
auth.wait = "1s"
`
	return s
}

// lines returns the header lines of the bystanders.
func (on *setting) lines(p *props) ([]string, error) {
	if !on.tokens {
		return nil, nil
	}
	good, err := token(p.dir, tokenKey, "", time.Hour)
	return []string{bearer(good)}, err
}
