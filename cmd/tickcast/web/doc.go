// Package web embeds the demo page: index.html, style.css and the modules below. The client that connects the page to the
// server comes from client/js.
//
// # Layout
//
//	quote.js       the numbers of a payload, and their format
//	sparkline.js   the small chart of a row
//	quotes.js      the table
//	clock.js       the server's clock
//	stats.js       the figures of the header
//	watchlist.js   the topics shown
//	access.js      the token of the tab
//	app.js         connects the client, the table, the header and the form
//	web.go         all of them as files with URLs
package web
