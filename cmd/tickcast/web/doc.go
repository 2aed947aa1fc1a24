// Package web embeds the demo page: index.html, the style sheets and the modules below. The client that connects the page to the
// server comes from client/js.
//
// # Layout
//
//	quote.js         the numbers of a payload, and their format
//	dom.js           changes of the document
//	early.js         the chosen theme, before the first paint
//	theme.js         light or dark
//	sparkline.js     the small chart of a row
//	history.js       the prices of a topic as the page has seen them, and the times without prices
//	scale.js         round prices and times of axes
//	chart.js         draws a large chart
//	watchlist.js     the topics shown
//	search.js        rows and topics that a text means
//	quotes.js        the table
//	chart-panel.js   the panel with the chart of a row
//	finder.js        the field that filters rows and offers topics
//	clock.js         the server's clock
//	stats.js         rates and latencies
//	connection.js    the figures of the connection
//	access.js        the token of the tab
//	app.js           connects the client, the table, the panels and the forms
//	web.go           all of them as files with URLs
//
// # Rules
//
//   - A message changes numbers only. Animation frames put them on the screen, a few times a second, and read no layout.
//   - No content shifts unless the visitor acts.
//   - Times without prices are drawn as such: stale, offline, or lost messages.
//   - Modules without a document are tested by page.test.mjs in Node.js, the page by ../page_test.go in a browser.
package web
