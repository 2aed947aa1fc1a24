package main

import (
	"net"
	"net/http"
	"net/url"
	"os"
	"testing"

	"github.com/chromedp/chromedp"
)

// The example of React shows prices. npm builds it, so the test runs only after that.
func TestReactExample(t *testing.T) {
	const dist = "../../examples/react/dist"
	if _, err := os.Stat(dist); err != nil {
		t.Skip("examples/react is not built")
	}
	browser := newBrowser(t, 800, 600)
	s := startServer(t, "[origin]\nallowed = [\"http://127.0.0.1:*\"]\n", "-demo") // the page has a port of its own
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.FileServer(http.Dir(dist))}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	run := steps(t, browser)
	run("prices", chromedp.Navigate("http://"+l.Addr().String()+"/?stream="+url.QueryEscape(s.stream)),
		until(`[...document.querySelectorAll('li')].length === 4 && [...document.querySelectorAll('li')].every((li) => /\d/.test(li.textContent))`))
	screenshot(t, browser, "react.png")
}
