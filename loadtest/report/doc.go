// Package report renders what a load test found: a [loadtest.Report] as text, JSON or one HTML page, and a
// [loadtest.Progress] as a live view.
//
// # The rules
//
//   - The verdict comes first, then what the load tester itself may have spoilt, then the figures.
//   - Text and page say the same: both render the sections that outline makes of a report.
//   - A section without content is left out, and so is a plot without data. Zero counts of trouble are content.
//   - Nothing in a report is trusted: topics and URLs come from a command line, faults from a server. The page escapes
//     all of it; text and live view print no control characters. A figure that is not a number prints as a dash.
//   - The page is one file: no script, no reference to anything outside it.
//
// # Why
//
// Why the plots carry no colours: gonum/plot writes a colour into each element, and a page that follows the reader's
// dark or light theme needs them in its style sheet. The plots are drawn in marker colours that are replaced by CSS
// variables.
//
// Why latency by percentile is drawn over log 1/(1-p), as HdrHistogram's plots are: the tail is what a load test is
// about, and each further nine gets the same room.
//
// Why a timeline's points are not all means when it is thinned out: a peak of one second must stay visible. Latency,
// memory and CPU keep the highest of the seconds that share a point, connections the last, and rates the mean, because
// the area under a rate is a count.
//
// Why latency over time has gaps: a second without a delivery has no latency.
package report
