package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// newBrowser starts a headless browser for one test and returns its context. Without a browser the test is skipped, unless
// TEST_BROWSER=required.
func newBrowser(t *testing.T, width, height int) context.Context {
	t.Helper()
	var binary string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			binary = path
			break
		}
	}
	if binary == "" {
		if os.Getenv("TEST_BROWSER") == "required" {
			t.Fatal("no chromium or google-chrome to be found")
		}
		t.Skip("no chromium or google-chrome to be found")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(binary), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(width, height),
		chromedp.Flag("no-sandbox", true), // as root there is none
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	browser, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if _, err := chromedp.Run(browser, chromedp.Navigate("about:blank")); err != nil { // the first run starts it
		t.Fatal(err)
	}
	return browser
}

// moving is JavaScript that is true once the page is live and the quote of topic has changed since it was first asked.
func moving(topic string) string {
	return `(() => {
		const live = document.querySelector('#state').dataset.state === 'live';
		const cell = document.querySelector('[data-topic="` + topic + `"] [data-f="last"]');
		const now = cell ? cell.textContent : '';
		window.firstSeen ??= now;
		return live && /\d/.test(now) && now !== window.firstSeen;
	})()`
}

// steps returns a function that has the browser take steps.
func steps(t *testing.T, browser context.Context) func(what string, steps ...chromedp.Action[chromedp.Void]) {
	return func(what string, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		ctx, cancel := context.WithTimeout(browser, 2*patience)
		defer cancel()
		if err := chromedp.Do(ctx, steps...); err != nil {
			shown, _ := chromedp.Run(browser, chromedp.Evaluate[string](`document.body.innerText`))
			t.Fatalf("%s: %v\n%s", what, err, shown)
		}
	}
}

// until is the step of waiting until the JavaScript condition is true.
func until(condition string) chromedp.Action[chromedp.Void] {
	return chromedp.Poll[chromedp.Void](condition, chromedp.WithPollingTimeout(patience), chromedp.WithPollingInterval(50*time.Millisecond))
}

// TestPageInABrowser shows the page to a real browser: prices move, and again after the server was restarted.
func TestPageInABrowser(t *testing.T) {
	browser := newBrowser(t, 1280, 900)
	s := startServer(t, "", "-demo")
	run := steps(t, browser)
	run("prices move", chromedp.Navigate(s.page), until(moving("px.AAPL")))
	run("figures are shown", until(`/\d/.test(document.querySelector('#rate').textContent) &&
		/\d/.test(document.querySelector('#p50').textContent) && /\d/.test(document.querySelector('#p99').textContent)`))

	addr := strings.TrimSuffix(strings.TrimPrefix(s.page, "http://"), "/")
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	run("the page sees that the server is gone", until(`document.querySelector('#state').dataset.state !== 'live'`))
	startServer(t, "", "-demo", "-listen", addr) // on the same port
	run("the page comes back by itself", chromedp.Evaluate[chromedp.Void](`delete window.firstSeen`), until(moving("px.AAPL")))

	run("a symbol is added", chromedp.SetValue("#add-input", "px.FX.USDSEK"), chromedp.Click("#add-form button"),
		until(`document.querySelector('[data-topic="px.FX.USDSEK"]') !== null`))
	screenshot(t, browser, "page.png")
}

// echoed is JavaScript that sends messages of many sizes and sets window.echoed once all came back as they were.
const echoed = `
	window.echoed = false;
	const messages = [];
	for (let n = 1; n < 1000000; n *= 3) messages.push('so it goes, ' + n + ' '.repeat(n), 'x'.repeat(n));
	const ws = new WebSocket('ws://' + location.host + '/echo');
	let got = 0;
	ws.onopen = () => messages.forEach((m) => ws.send(m));
	ws.onmessage = (e) => {
		if (e.data !== messages[got++]) ws.close();
		window.echoed = got === messages.length && ws.extensions.startsWith('permessage-deflate');
	};`

// TestCompressionInABrowser has a browser read compressed messages of the stream, shared and its own, and exchange some
// with the echo.
func TestCompressionInABrowser(t *testing.T) {
	browser := newBrowser(t, 1280, 900)
	for _, c := range []struct{ name, keep, metric string }{
		{"shared", "false", "tickcast_compressed_shared_total 0\n"},
		{"context takeover", "true", "tickcast_compression_window_bytes 0\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startServer(t, "[compression]\nenabled = true\nlevel = 9\nmin_size = 0\nserver_context_takeover = "+c.keep+
				"\nclient_context_takeover = "+c.keep+"\n[limits]\nmax_message_size = \"1MiB\"\n[debug]\necho_path = \"/echo\"\n", "-demo")
			run := steps(t, browser)
			run("prices move", chromedp.Navigate(s.page), until(moving("px.AAPL")))
			if _, metrics := s.get("/metrics"); strings.Contains(metrics, c.metric) {
				t.Errorf("%s is 0", c.metric)
			}
			run("the echo answers", chromedp.Evaluate[chromedp.Void](echoed), until(`window.echoed`))
		})
	}
}

// screenshot keeps what the browser shows in the directory TEST_SCREENSHOTS, if that is set, for someone to look at.
func screenshot(t *testing.T, browser context.Context, name string) {
	t.Helper()
	dir := os.Getenv("TEST_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(browser, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), png, 0o644); err != nil {
		t.Fatal(err)
	}
}
