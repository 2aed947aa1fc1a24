package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestOriginsInABrowser opens pages of two other origins in a real browser: one may import the client, read the stream and
// show a token, the other is refused everywhere.
func TestOriginsInABrowser(t *testing.T) {
	browser := newBrowser(t, 800, 600)
	private, public := keyFiles(t)
	page := func() *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<!doctype html><title>another site</title>")
		}))
		t.Cleanup(s.Close)
		return s
	}
	allowed, refused := page(), page()
	s := startServer(t, fmt.Sprintf("[origin]\nallowed = [%q]\n[auth]\nkeys = [%q]\n[subscribe]\ntopics = []\n", allowed.URL, public), "-demo")
	token := tickcastToken(t, "-key", private, "-user", "u", "-subscribe", "px.>")
	try := fmt.Sprintf(`
		window.outcome = {};
		fetch(%[1]q).then((r) => r.text()).then(() => outcome.fetched = true, () => outcome.fetched = false);
		import(%[1]q + 'tickcast.js').then(() => outcome.imported = true, () => outcome.imported = false);
		const message = new WebSocket(%[2]q, ['tickcast.v1.json']);
		message.onopen = () => {
			message.send(JSON.stringify({op: 'auth', id: 1, token: %[3]q}));
			message.send(JSON.stringify({op: 'sub', id: 2, topics: ['px.AAPL']}));
		};
		message.onmessage = (e) => { if (JSON.parse(e.data).t === 'px.AAPL') outcome.message = true; };
		message.onclose = () => outcome.message ??= false;
		const entry = new WebSocket(%[2]q + '?topics=px.AAPL', ['tickcast.v1.json', 'tickcast.token.' + %[3]q]);
		entry.onmessage = (e) => { if (JSON.parse(e.data).t === 'px.AAPL') outcome.entry = true; };
		entry.onclose = () => outcome.entry ??= false;
	`, s.page, s.stream, token)
	done := func(want bool) string {
		return fmt.Sprintf(`['fetched', 'imported', 'message', 'entry'].every((k) => window.outcome[k] === %v)`, want)
	}
	run := steps(t, browser)
	run("an allowed page may", chromedp.Navigate(allowed.URL), chromedp.Evaluate[chromedp.Void](try), until(done(true)))
	run("another page may not", chromedp.Navigate(refused.URL), chromedp.Evaluate[chromedp.Void](try), until(done(false)))
	s.shows(`tickcast_rejected_total{reason="origin"} 2`)
}
