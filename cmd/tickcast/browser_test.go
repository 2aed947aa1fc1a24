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

// TestPageInABrowser shows the page to a real browser: prices move, and again after the server was restarted.
func TestPageInABrowser(t *testing.T) {
	browser := newBrowser(t, 1280, 900)
	s := startServer(t, "", "-demo")
	run := func(what string, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		ctx, cancel := context.WithTimeout(browser, 2*patience)
		defer cancel()
		if err := chromedp.Do(ctx, steps...); err != nil {
			shown, _ := chromedp.Run(browser, chromedp.Evaluate[string](`document.body.innerText`))
			t.Fatalf("%s: %v\n%s", what, err, shown)
		}
	}
	until := func(condition string) chromedp.Action[chromedp.Void] {
		return chromedp.Poll[chromedp.Void](condition, chromedp.WithPollingTimeout(patience), chromedp.WithPollingInterval(50*time.Millisecond))
	}
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
