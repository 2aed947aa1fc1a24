package wsproto

import (
	"strings"
	"testing"
)

// Each known field is recognised by its name in any case, and by no other name.
func TestHeaderOf(t *testing.T) {
	names := []string{
		hostField: "Host", originField: "Origin", cookieField: "Cookie", acceptField: "Accept", expectField: "Expect", upgradeField: "Upgrade",
		connectionField: "Connection", userAgentField: "User-Agent", retryAfterField: "Retry-After",
		authorizationField: "Authorization", lastEventIDField: "Last-Event-ID", ifNoneMatchField: "If-None-Match",
		contentLengthField: "Content-Length", acceptEncodingField: "Accept-Encoding", forwardedForField: "X-Forwarded-For", fetchSiteField: "Sec-Fetch-Site",
		transferEncodingField: "Transfer-Encoding", keyField: "Sec-WebSocket-Key", versionField: "Sec-WebSocket-Version",
		protocolField: "Sec-WebSocket-Protocol", extensionsField: "Sec-WebSocket-Extensions", acceptKeyField: "Sec-WebSocket-Accept",
	}
	for want, name := range names[1:] {
		for _, spelled := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := fieldOf([]byte(spelled)); int(got) != want+1 {
				t.Errorf("%s: %d, want %d", spelled, got, want+1)
			}
		}
		for at := range len(name) {
			for c := range 256 {
				other := []byte(name)
				other[at] = byte(c)
				if got := fieldOf(other); got != otherField && !strings.EqualFold(names[got], string(other)) {
					t.Errorf("%q: %s", other, names[got])
				}
				// A byte that is not allowed in a token must not pass inside a known name.
				in := "GET / HTTP/1.1\r\n" + string(other) + ": x\r\n\r\n"
				if _, _, err := ParseRequest([]byte(in), RequestLimits{}); !token.contains(byte(c)) && c != ':' && err == nil {
					t.Errorf("%q passes", in)
				}
			}
		}
	}
}
