// Package report renders the report of a load test: a [loadtest.Report] as text, JSON or one HTML page, and a
// [loadtest.Progress] as a live view.
//
// # The rules
//
//   - The verdict comes first, then the doubts about the load tester itself, then the figures.
//   - Text and page agree: both render the sections that outline makes of a report.
//   - A section without content is left out, and so is a plot without data. Zero counts of trouble are content.
//   - The texts of a report are not trusted: topics and URLs come from a command line, faults from a server. The page
//     escapes them; text and live view print no control characters. A figure that is not a number prints as a dash.
//   - The page is one file: no script, no reference to anything outside it.
//
// # Layout
//
//	units.go       figures and texts for people
//	terminal.go    a terminal's width
//	json.go        the report as JSON
//	outline.go     rows, sections, and the facts that several sections have
//	sections.go    sections of rows
//	tables.go      sections that are tables
//	contents.go    all sections of a report
//	text.go        the report as text
//	live_frame.go  one frame of the live view
//	live.go        the live view
//	svg.go         lines, curves and texts as SVG
//	axis.go        axes and their ticks
//	plot.go        plots above each other
//	timeline.go    the plots of a report
//	html.go        the report as a page
//
// # Why
//
// Why the plots carry no colours: a page that follows the reader's dark or light theme needs them in its style sheet, so
// the plots use its CSS variables.
//
// Why latency by percentile is drawn over log 1/(1-p), as HdrHistogram's plots are: a load test is
// about the tail, and each further nine gets the same room.
//
// Why a timeline's points are not all means when it is thinned out: a peak of one second must stay visible. Latency,
// memory and CPU keep the highest of the seconds that share a point, connections the last, and rates the mean, because
// the area under a rate is a count.
//
// Why latency over time has gaps: a second without a delivery has no latency.
package report
