package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"tickcast/broadcast/natstest"
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
			t.Fatal("no chromium or google-chrome in PATH")
		}
		t.Skip("no chromium or google-chrome in PATH")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(binary), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(width, height),
		chromedp.Flag("no-sandbox", true),                // Chromium as root demands it
		chromedp.Flag("ignore-certificate-errors", true), // of https://localhost
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

// moving returns JavaScript that is true once the page is live and the quote of topic differs from that at the first call.
func moving(topic string) string {
	return `(() => {
		const live = document.querySelector('#state').dataset.state === 'live';
		const cell = document.querySelector('[data-topic="` + topic + `"] [data-f="last"]');
		const now = cell ? cell.textContent : '';
		window.firstSeen ??= now;
		return live && /\d/.test(now) && now !== window.firstSeen;
	})()`
}

// steps returns a function that runs steps in the browser, under a name for the error.
func steps(t *testing.T, browser context.Context) func(name string, steps ...chromedp.Action[chromedp.Void]) {
	return func(name string, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		ctx, cancel := context.WithTimeout(browser, 2*patience)
		defer cancel()
		if err := chromedp.Do(ctx, steps...); err != nil {
			shown, _ := chromedp.Run(browser, chromedp.Evaluate[string](`document.body.innerText`))
			t.Fatalf("%s: %v\n%s", name, err, shown)
		}
	}
}

// until returns the step that waits until the JavaScript condition is true.
func until(condition string) chromedp.Action[chromedp.Void] {
	return chromedp.Poll[chromedp.Void](condition, chromedp.WithPollingTimeout(patience), chromedp.WithPollingInterval(50*time.Millisecond))
}

// TestPageInABrowser loads the page in a real browser: prices move, also after a restart of the server.
func TestPageInABrowser(t *testing.T) {
	t.Parallel()
	needsClear(t)
	browser := newBrowser(t, 1280, 900)
	addr := fmt.Sprintf("127.0.0.1:%d", natstest.FreePorts(t, 1)[0])
	s := startServer(t, "", "-demo", "-listen", addr)
	run := steps(t, browser)
	run("prices move", chromedp.Navigate(s.page), until(moving("px.AAPL")))
	run("figures are shown", until(`/\d/.test(document.querySelector('#rate').textContent) &&
		/\d/.test(document.querySelector('#p50').textContent) && /\d/.test(document.querySelector('#p99').textContent)`))

	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	run("the page shows that the server is gone", until(`document.querySelector('#state').dataset.state !== 'live'`))
	startServer(t, "", "-demo", "-listen", addr) // on the same port
	run("the page comes back by itself", chromedp.Evaluate[chromedp.Void](`delete window.firstSeen`), until(moving("px.AAPL")))

	run("a symbol is added", chromedp.SetValue("#add-input", "px.FX.USDSEK"), chromedp.Click("#add-form button"),
		until(`document.querySelector('[data-topic="px.FX.USDSEK"]') !== null`))
	screenshot(t, browser, "page.png")
}

// echoed is JavaScript that sends messages of many sizes and sets window.echoed once all came back unchanged.
const echoed = `
	window.echoed = false;
	const messages = [];
	for (let n = 1; n < 1000000; n *= 3) messages.push('so it goes, ' + n + ' '.repeat(n), 'x'.repeat(n));
	const ws = new WebSocket(location.origin.replace('http', 'ws') + '/echo');
	let got = 0;
	ws.onopen = () => messages.forEach((m) => ws.send(m));
	ws.onmessage = (e) => {
		if (e.data !== messages[got++]) ws.close();
		window.echoed = got === messages.length && ws.extensions.startsWith('permessage-deflate');
	};`

// TestTokenInABrowser gives the page a token by its address and by its form. The token stays in the tab.
func TestTokenInABrowser(t *testing.T) {
	private, public := keyFiles(t)
	browser := newBrowser(t, 1280, 900)
	s := startServer(t, fmt.Sprintf("[auth]\nkeys = [%q]\n[subscribe]\ntopics = []\n", public), "-demo")
	token := tickcastToken(t, "-key", private, "-user", "alice", "-subscribe", "px.>")
	run := steps(t, browser)
	run("without a token all is refused", chromedp.Navigate(s.page), until(`/permission denied|unauthorized/.test(document.body.innerText)`))
	run("the address brings a token", chromedp.Navigate(s.page+"#token="+token+"&AAPL,MSFT"), until(moving("px.AAPL")))
	const kept = `!location.href.includes("eyJ") && !JSON.stringify({...localStorage}).includes("eyJ") && !document.cookie &&
		JSON.stringify({...sessionStorage}).includes("eyJ") && !document.documentElement.outerHTML.includes("eyJ")`
	run("the tab alone keeps it", until(kept), until(`location.hash === "#AAPL,MSFT"`))
	run("a reload keeps it", chromedp.Reload(), chromedp.WaitVisible("#token-forget"), until(moving("px.AAPL")))
	run("it is forgotten", chromedp.Click("#token-forget"), until(`/permission denied|unauthorized/.test(document.body.innerText)`),
		until(`sessionStorage.length === 0`))
	run("the form takes one", chromedp.Evaluate[chromedp.Void](`delete window.firstSeen`), chromedp.SendKeys("#token-input", token+"\r"), until(moving("px.AAPL")), until(kept))
	screenshot(t, browser, "token.png")
	run("a wrong one is refused", chromedp.SendKeys("#token-input", "eyJ.no.token\r"),
		until(`document.body.innerText.includes("4500")`))
	if strings.Contains(s.log.String(), "eyJ") {
		t.Error("the log shows the token")
	}
}

// TestTLSInABrowser loads the page by https, reads the stream by wss, and exchanges messages with the echo.
func TestTLSInABrowser(t *testing.T) {
	browser := newBrowser(t, 1280, 900)
	pair := writePair(t, t.TempDir(), "localhost")
	s := startServer(t, fmt.Sprintf("[tls]\nlisten = [\"127.0.0.2:0\"]\ncert = [%q]\nkey = [%q]\n[compression]\nenabled = true\n"+
		"[limits]\nmax_message_size = \"1MiB\"\n[debug]\necho_path = \"/echo\"\n", pair.cert, pair.key), "-demo")
	run := steps(t, browser)
	run("prices move", chromedp.Navigate(s.page), until(`location.protocol === 'https:'`), until(moving("px.AAPL")))
	run("the echo answers", chromedp.Evaluate[chromedp.Void](echoed), until(`window.echoed`))
	eventually(t, "a handshake is counted", func() bool {
		_, metrics := s.get("/metrics")
		return !strings.Contains(metrics, `tickcast_tls_handshakes_total{result="full"} 0`)
	})
}

// TestCompressionInABrowser lets a browser read compressed messages of the stream, shared and its own, and exchange some with
// the echo.
func TestCompressionInABrowser(t *testing.T) {
	t.Parallel()
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
			eventually(t, "not "+c.metric, func() bool { _, metrics := s.get("/metrics"); return !strings.Contains(metrics, c.metric) })
			run("the echo answers", chromedp.Evaluate[chromedp.Void](echoed), until(`window.echoed`))
		})
	}
}

// screenshot writes an image of the browser's page into the directory TEST_SCREENSHOTS, if that is set.
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
