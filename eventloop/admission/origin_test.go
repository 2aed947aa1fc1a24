package admission

import "testing"

func TestOrigins(t *testing.T) {
	for _, row := range []struct {
		name         string
		list         []string
		origin, host string
		want         bool
	}{
		{"empty list, own host", nil, "https://push.example.com", "push.example.com", true},
		{"empty list, own host, case", nil, "https://PUSH.example.com", "push.Example.com", true},
		{"empty list, own port", nil, "http://push:8080", "push:8080", true},
		{"empty list, other port", nil, "http://push:8081", "push:8080", false},
		{"empty list, default port named", nil, "https://push", "push:443", true},
		{"empty list, default port of the other scheme", nil, "https://push", "push:80", false},
		{"empty list, IPv6", nil, "http://[::1]:8080", "[::1]:8080", true},
		{"empty list, other host", nil, "https://evil.example", "push.example.com", false},
		{"empty list, suffix of the host", nil, "https://h.example.com", "push.example.com", false},
		{"empty list, null", nil, "null", "push", false},
		{"empty list, empty origin", nil, "", "", false},
		{"empty list, no host in the origin", nil, "https://", "", false},
		{"exact", []string{"https://app.example.com"}, "https://app.example.com", "push", true},
		{"exact, default port", []string{"https://app.example.com:443"}, "https://app.example.com", "push", true},
		{"exact, other scheme", []string{"https://app.example.com"}, "http://app.example.com", "push", false},
		{"exact, other port", []string{"https://app.example.com"}, "https://app.example.com:8443", "push", false},
		{"a list replaces the own host", []string{"https://app.example.com"}, "https://push", "push", false},
		{"self", []string{"https://app.example.com", "self"}, "https://push", "push", true},
		{"below a domain", []string{"https://*.example.com"}, "https://a.b.example.com", "push", true},
		{"the domain itself", []string{"https://*.example.com"}, "https://example.com", "push", false},
		{"a name that ends alike", []string{"https://*.example.com"}, "https://evilexample.com", "push", false},
		{"a dot and nothing", []string{"https://*.example.com"}, "https://.example.com", "push", false},
		{"the domain before another", []string{"https://*.example.com"}, "https://a.example.com.evil.example", "push", false},
		{"user in the origin", []string{"https://*.example.com"}, "https://evil.example/@a.example.com", "push", false},
		{"any port", []string{"http://localhost:*"}, "http://localhost:5173", "push", true},
		{"any port, none", []string{"http://localhost:*"}, "http://localhost", "push", true},
		{"any port, other host", []string{"http://localhost:*"}, "http://localhost.evil.example:1", "push", false},
		{"null", []string{"null"}, "null", "push", true},
		{"extension", []string{"chrome-extension://abcdef"}, "chrome-extension://abcdef", "push", true},
		{"all", []string{"*"}, "null", "push", true},
	} {
		o, err := ParseOrigins(row.list)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
		} else if got := o.Allows([]byte(row.origin), []byte(row.host)); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
	for _, text := range []string{"", "example.com", "*.example.com", "https://", "https://a/b", "https://u@a", "https://a*.b", "https://*",
		"https://a:8*", "https://a b", "https://*.", "https://*.*.com", "//a", "https://..a"} {
		if _, err := ParseOrigins([]string{text}); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func FuzzOrigins(f *testing.F) {
	f.Add("https://*.example.com", "https://a.example.com", "push")
	f.Add("http://localhost:*", "http://localhost:1", "[::1]:80")
	f.Fuzz(func(t *testing.T, entry, origin, host string) {
		o, err := ParseOrigins([]string{entry})
		if err != nil {
			return
		}
		o.Allows([]byte(origin), []byte(host)) // must not panic
		if entry != "*" && entry != "self" && o.Allows([]byte(origin), []byte(host)) && len(origin) < 4 {
			t.Errorf("%q allows %q", entry, origin)
		}
	})
}
