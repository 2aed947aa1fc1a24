package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"tickcast/loadtest"
)

// Widths in characters of a summary and its columns. Only tables and command lines are wider, since they are not wrapped.
const (
	textWidth  = 110
	titleWidth = 13
	labelWidth = 15
)

// WriteText writes the summary of r for a person at a terminal: the verdict, then about 40 lines.
func WriteText(w io.Writer, r *loadtest.Report) error {
	o := outlineOf(r, false)
	b := new(bytes.Buffer)
	b.WriteString(o.Verdict)
	if !o.Clean {
		b.WriteString(": " + strings.Join(o.Reasons, "; "))
	}
	b.WriteByte('\n')
	for _, s := range o.Warnings {
		textLine(b, "warning", s)
	}
	b.WriteByte('\n')
	if o.Command != "" {
		textLine(b, "run", o.Command)
	}
	if len(o.When) > 0 {
		textLine(b, "when", strings.Join(o.When, ", "))
	}
	if len(o.Machine) > 0 {
		textLine(b, "machine", strings.Join(o.Machine, ", "))
	}
	for i := range o.Sections {
		textSection(b, &o.Sections[i])
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("report: write text: %w", err)
	}
	return nil
}

// textLine appends one line under a title.
func textLine(b *bytes.Buffer, title, text string) {
	b.WriteString(strings.TrimRight(pad(title, titleWidth, true)+text, " "))
	b.WriteByte('\n')
}

// textSection appends a section. Its title stands on its first line only.
func textSection(b *bytes.Buffer, s *section) {
	title := s.Title
	for _, r := range s.Rows {
		label := r.Label
		for _, l := range wrap(r.Facts, textWidth-titleWidth-labelWidth) {
			textLine(b, title, pad(label, labelWidth, true)+l)
			title, label = "", ""
		}
	}
	if s.Table == nil {
		return
	}
	for _, l := range textTable(s.Table) {
		textLine(b, title, l)
		title = ""
	}
	if s.Table.More > 0 {
		textLine(b, "", fmt.Sprintf("and %s more", count(s.Table.More)))
	}
}

// wrap joins facts with commas into lines of at most width characters, unless a fact is longer.
func wrap(facts []fact, width int) (lines []string) {
	l := ""
	for i, f := range facts {
		if i > 0 && utf8.RuneCountInString(l)+len(", ,")+utf8.RuneCountInString(f.Text) > width {
			lines, l = append(lines, l+","), ""
		} else if i > 0 {
			l += ", "
		}
		l += f.Text
	}
	return append(lines, l)
}

// textTable returns the aligned lines of a table, its headings first.
func textTable(t *table) (lines []string) {
	headings := line{}
	for _, c := range t.Columns {
		headings.Cells = append(headings.Cells, c.Name)
	}
	all := append([]line{headings}, t.Lines...)
	widths := make([]int, len(t.Columns))
	for _, l := range all {
		for i, cell := range l.Cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, l := range all {
		cells := make([]string, len(l.Cells))
		for i, cell := range l.Cells {
			cells[i] = pad(cell, widths[i], t.Columns[i].Left)
		}
		lines = append(lines, strings.Join(cells, "  "))
	}
	return lines
}

// pad fills s up with spaces to width characters, behind it if left.
func pad(s string, width int, left bool) string {
	fill := strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
	if left {
		return s + fill
	}
	return fill + s
}
