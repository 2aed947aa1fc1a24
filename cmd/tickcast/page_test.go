package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/nats-io/nats.go"
)

// The page outlives whatever is published: JSON nested deeply, a large message, and no JSON at all. Nothing on it shifts while prices
// move.
func TestPageOutlivesPayloads(t *testing.T) {
	browser := newBrowser(t, 1280, 900)
	s := startServer(t, "[nats.embedded]\nlisten = \"127.0.0.1:0\"\n", "-demo")
	nc, err := nats.Connect(s.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	run := steps(t, browser)
	run("prices move", chromedp.Navigate(s.page), until(moving("px.AAPL")))
	run("nothing has shifted yet", chromedp.Evaluate[chromedp.Void](`
		window.shift = 0; window.shifts = []; window.faults = [];
		addEventListener('error', (e) => faults.push(e.message));
		addEventListener('unhandledrejection', (e) => faults.push(String(e.reason)));
		new PerformanceObserver((list) => {
			for (const e of list.getEntries()) if (!e.hadRecentInput) {
				shift += e.value;
				shifts.push(e.value.toFixed(4) + ' at ' + e.startTime.toFixed() + ' ms: ' + e.sources.map(({ node, previousRect: p, currentRect: c }) =>
					(node?.id || node?.className || node?.nodeName) + ' ' + [p.x, p.y, p.width, p.height, '->', c.x, c.y, c.width, c.height].join(' ')).join(', '));
			}
		}).observe({ type: 'layout-shift', buffered: true }), undefined`))
	run("px.TEST is added", chromedp.Click("#watch-test"), until(`document.querySelector('[data-topic="px.TEST"]') !== null`))
	nest := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	last := 0
	shows := func(name string) {
		t.Helper()
		last++
		price := fmt.Sprintf("%d.25", last)
		eventually(t, "a price after "+name, func() bool {
			nc.Publish("px.TEST", []byte(`{"b":1,"a":2,"l":`+price+`}`))
			nc.Flush()
			shown, err := chromedp.Run(browser, chromedp.Evaluate[string](`document.querySelector('[data-topic="px.TEST"] [data-f="last"]').textContent`))
			return err == nil && strings.Contains(shown, price)
		})
	}
	shows("nothing")
	for name, payload := range map[string]string{
		"JSON of 64 levels": nest(64), "JSON of 65 levels": nest(65), "JSON of 9,999 levels": nest(9999),
		"a megabyte": `{"l":"` + strings.Repeat("x", 1_000_000) + `"}`, "no JSON": "so it goes", "nothing at all": "", "null": "null",
		"fields of other types": `{"b":{},"a":[],"l":"1","z":null,"o":true,"ts":"x"}`, "numbers out of range": `{"b":1e400,"a":-0,"l":1e308,"z":1e-320,"ts":1e300}`,
	} {
		nc.Publish("px.TEST", []byte(payload))
		shows(name)
	}
	run("prices still move", chromedp.Evaluate[chromedp.Void](`delete window.firstSeen`), until(moving("px.AAPL")))
	faults, err := chromedp.Run(browser, chromedp.Evaluate[string](`faults.join()`))
	if err != nil || faults != "" {
		t.Errorf("%s %v", faults, err)
	}
	shift, err := chromedp.Run(browser, chromedp.Evaluate[float64](`shift`))
	if err != nil || shift != 0 {
		shifts, _ := chromedp.Run(browser, chromedp.Evaluate[string](`shifts.join('\n')`))
		t.Errorf("a cumulative layout shift of %v, %v:\n%s", shift, err, shifts)
	}
	screenshot(t, browser, "payloads.png")
	run("a narrow window", chromedp.EmulateViewport(390, 844), until(moving("px.AAPL")))
	screenshot(t, browser, "narrow.png")
}
