package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"tickcast/client/proxytest"
)

// readerScript is JavaScript that reads the counter on ord.A and the silent topic by the client, on a page of the server. It notes
// what is out of order in fault, and the ends of connections in ends.
const readerScript = `
	Object.assign(window, { seen: 0, first: 0, fault: '', ends: 0, liveAt: 0 });
	import('/tickcast.js').then(({ Tickcast }) => {
		window.c = new Tickcast(location.origin + '/stream', %s);
		let last;
		c.on('lost', (lost) => fault = 'lost: ' + JSON.stringify(lost));
		c.on('error', (error) => error.retry || (fault = error.message));
		c.on('status', ({ state }) => {
			if (state === 'offline') ends++;
			if (state === 'live') liveAt = performance.now();
		});
		c.subscribe('silent.A', () => {});
		window.count = () => c.subscribe('ord.A', ({ d, k }) => {
			if (k) return;
			if (last !== undefined && d !== last + 1) fault = d + ' after ' + last;
			last = d;
			seen++;
		});
		%s
	}, (error) => fault = error.message);`

// judge returns the step that waits until a condition is true, and fails with what is out of order.
func judge(condition string) chromedp.Action[chromedp.Void] {
	return until(`(() => { if (window.fault) throw new Error(window.fault); return ` + condition + `; })()`)
}

// frontConfig ends no test by a limit, and keeps what is silent alive within the timeouts of the proxies.
const frontConfig = losslessConfig + "[connection]\nheartbeat = \"1s\"\nping_interval = \"1s\"\nidle_timeout = \"10s\"\npoll_wait = \"1s\"\n" +
	"[limits]\nmax_connections_per_address = 0\n"

// Behind proxies with their defaults, with buffering, without upgrades, and with idle timeouts, a browser gets everything by the
// best transport that passes. A silent connection outlives the idle timeouts.
func TestProxiesInABrowser(t *testing.T) {
	t.Parallel()
	needsClear(t)
	browser := newBrowser(t, 800, 600)
	s := startServer(t, frontConfig)
	keepCounting(t, s, "ord.A")
	const (
		nginxIdle    = "proxy_read_timeout 4s; proxy_send_timeout 4s; send_timeout 4s; keepalive_timeout 4s;"
		haproxyIdle  = "timeout client 4s\n  timeout server 4s"
		noUpgrade    = "http-request deny deny_status 403 if { hdr(Upgrade) -m found }"
		noEvents     = "http-request deny deny_status 502 if { hdr(Accept) -m sub event-stream }"
		nginxUpgrade = `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $http_host;`
	)
	for _, c := range []struct {
		name, front, transport string
		lines                  []string
	}{
		{"nginx as it is installed", "nginx", "sse", nil},
		{"nginx, idle timeouts", "nginx", "sse", []string{nginxIdle}},
		{"nginx with upgrades, idle timeouts", "nginx", "ws", []string{nginxUpgrade, nginxIdle}},
		{"nginx that buffers", "nginx", "poll", []string{"proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;", nginxIdle}},
		{"HAProxy as it is installed", "haproxy", "ws", nil},
		{"HAProxy, idle timeouts", "haproxy", "ws", []string{haproxyIdle}},
		{"HAProxy without upgrades, idle timeouts", "haproxy", "sse", []string{haproxyIdle, noUpgrade}},
		{"HAProxy without upgrades and events, idle timeouts", "haproxy", "poll", []string{haproxyIdle, noUpgrade, noEvents}},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := startNginx
			if c.front == "haproxy" {
				start = startHAProxy
			}
			run := steps(t, browser)
			run("the page", chromedp.Navigate(start(t, s, c.lines...)+"/clock.js"),
				chromedp.Evaluate[chromedp.Void](fmt.Sprintf(readerScript, `{ transports: ['ws', 'sse', 'poll'] }`, "")))
			run("a connection by "+c.transport, judge(`window.c?.status.transport === '`+c.transport+`' && c.state('silent.A') === 'live'`))
			if len(c.lines) > 0 {
				run("silence for longer than the timeouts", judge(`performance.now() - liveAt > 6500`))
				if ends, err := chromedp.Run(browser, chromedp.Evaluate[int](`ends`)); err != nil || ends != 0 {
					t.Errorf("%d connections ended, %v", ends, err)
				}
			}
			run("all messages", chromedp.Evaluate[chromedp.Void](`count(), undefined`), judge(`seen > 200`))
		})
	}
}

// Through a network that cuts, stalls and drops connections, a browser gets everything once by each transport.
func TestFaultsInABrowser(t *testing.T) {
	t.Parallel()
	browser := newBrowser(t, 800, 600)
	s := startServer(t, frontConfig)
	keepCounting(t, s, "ord.A")
	for _, transport := range []string{"ws", "sse", "poll"} {
		t.Run(transport, func(t *testing.T) {
			p := proxytest.Start(t, s.page)
			run := steps(t, browser)
			more := func(what string) {
				t.Helper()
				run("messages after "+what, chromedp.Evaluate[chromedp.Void](`first = seen, undefined`), judge(`seen > first + 100`))
			}
			run("the page", chromedp.Navigate(p.URL+"clock.js"),
				chromedp.Evaluate[chromedp.Void](fmt.Sprintf(readerScript, `{ transports: ['`+transport+`'] }`, "count();")), judge(`seen > 100`))
			for range 2 { // each makes the client wait for longer
				p.Cut()
				more("a cut")
			}
			p.Hold(true)
			if transport != "poll" { // which waits for longer
				run("silence is noticed", judge(`c.status.state !== 'live'`))
			}
			p.Hold(false)
			more("a stall")
			p.Drop(true)
			run("an attempt fails", chromedp.Evaluate[chromedp.Void](`first = ends, undefined`), judge(`ends > first`))
			p.Drop(false)
			more("dropped connections")
		})
	}
}

// A browser allows six requests to a host. Eight tabs get everything all the same: they share a connection.
func TestEightTabs(t *testing.T) {
	t.Parallel()
	browser := newBrowser(t, 800, 600)
	s := startServer(t, frontConfig)
	keepCounting(t, s, "ord.A")
	for _, c := range []struct {
		name, options string
		front         func(t *testing.T) string
	}{
		{"WebSocket, shared by wish", `{ transports: ['shared'] }`, func(*testing.T) string { return strings.TrimSuffix(s.page, "/") }},
		{"events behind nginx", `{}`, func(t *testing.T) string { needsClear(t); return startNginx(t, s) }},
		{"polls behind HAProxy", `{}`, func(t *testing.T) string {
			needsClear(t)
			return startHAProxy(t, s, "http-request deny deny_status 403 if { hdr(Upgrade) -m found }",
				"http-request deny deny_status 502 if { hdr(Accept) -m sub event-stream }")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := c.front(t)
			var tabs []context.Context
			for range 8 {
				tab, cancel := chromedp.NewContext(browser)
				t.Cleanup(cancel)
				if _, err := chromedp.Run(tab, chromedp.Navigate("about:blank")); err != nil { // the first run makes it
					t.Fatal(err)
				}
				steps(t, tab)("a tab", chromedp.Navigate(address+"/clock.js"),
					chromedp.Evaluate[chromedp.Void](fmt.Sprintf(readerScript, c.options, "count();")))
				tabs = append(tabs, tab)
			}
			begin := time.Now()
			for _, tab := range tabs {
				steps(t, tab)("messages", judge(`seen > 100 && c.status.transport === 'shared' && c.state('silent.A') === 'live'`))
			}
			t.Logf("each of eight tabs has 100 messages %v after the last was opened", time.Since(begin).Round(time.Millisecond))
		})
	}
}
