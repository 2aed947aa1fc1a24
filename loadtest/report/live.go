package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"tickcast/loadtest"
)

// Live shows the progress of a run: on a terminal a block of lines that is redrawn in place, elsewhere one line for each
// Show. It belongs to one goroutine. Other output to the terminal spoils the block.
type Live struct {
	// Immutable after NewLive.
	w        io.Writer
	terminal bool
	colours  bool
	width    func() int

	drawn []int // width in characters of each line of the block on the terminal
}

// Control sequences of ECMA-48, and of DEC's VT220 for the cursor.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	moveUp     = "\x1b[%dA"
	clearLine  = "\x1b[K" // from the cursor to the line's end
	clearBelow = "\x1b[J"
	resetStyle = "\x1b[0m"
)

// NewLive returns a live view on w. width is called for each frame and returns the terminal's width in characters; nil
// stands for 80. The view has no colours if the environment sets NO_COLOR.
func NewLive(w io.Writer, terminal bool, width func() int) *Live {
	if width == nil {
		width = func() int { return 80 }
	}
	return &Live{w: w, terminal: terminal, colours: os.Getenv("NO_COLOR") == "", width: width}
}

// Show shows p in place of the last block, or as a line of its own without a terminal. The caller sets the pace, usually one
// a second.
func (l *Live) Show(p loadtest.Progress) {
	if !l.terminal {
		io.WriteString(l.w, plainLine(&p)+"\n")
		return
	}
	var b bytes.Buffer
	if l.drawn == nil {
		b.WriteString(hideCursor)
	}
	width := max(l.width(), 1)
	if up := l.rows(width); up > 0 {
		fmt.Fprintf(&b, moveUp, up)
	}
	b.WriteByte('\r')
	l.drawn = l.drawn[:0]
	for _, line := range frame(&p, width) {
		l.drawn = append(l.drawn, l.draw(&b, line, width))
	}
	b.WriteString(clearBelow)
	l.w.Write(b.Bytes()) // in one piece, so that the terminal shows whole frames
}

// End leaves the last block and shows the cursor again. A Show after it begins a new block.
func (l *Live) End() {
	if l.terminal && l.drawn != nil {
		io.WriteString(l.w, showCursor)
		l.drawn = nil
	}
}

// rows returns the number of rows of the block on the terminal. It is more than its lines if the terminal has become
// narrower and wrapped them.
func (l *Live) rows(width int) (n int) {
	for _, w := range l.drawn {
		n += max(1, (w+width-1)/width)
	}
	return n
}

// draw appends one line, cut to width, and returns its width in characters.
func (l *Live) draw(b *bytes.Buffer, line []span, width int) (used int) {
	for _, s := range line {
		text := cut(s.text, width-used)
		if text == "" {
			continue
		}
		used += utf8.RuneCountInString(text)
		if l.colours && s.style != "" {
			text = string(s.style) + text + resetStyle
		}
		b.WriteString(text)
	}
	if used < width { // after the last column this would clear its character on some terminals
		b.WriteString(clearLine)
	}
	b.WriteByte('\n')
	return used
}

// cut returns at most the first width characters of s.
func cut(s string, width int) string {
	for i := range s {
		if width--; width < 0 {
			return s[:i]
		}
	}
	return s
}
