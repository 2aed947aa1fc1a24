package report

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"tickcast/loadtest"
)

// halfway returns million's progress after 30 seconds.
func halfway() loadtest.Progress {
	r := million()
	return loadtest.Progress{Second: r.Timeline[29], Wanted: 1_000_000, Behind: 1234, Received: 5_000_000, Until: 30, Latency: r.Latency}
}

var sequences = regexp.MustCompile("\x1b\\[[?0-9]*[a-zA-Z]|\r")

// visible returns the lines of a frame without control sequences.
func visible(frame string) []string {
	return strings.Split(strings.TrimSuffix(sequences.ReplaceAllString(frame, ""), "\n"), "\n")
}

// A recorder keeps each Write on its own.
type recorder struct{ writes []string }

func (r *recorder) Write(b []byte) (int, error) {
	r.writes = append(r.writes, string(b))
	return len(b), nil
}

func TestLiveRedrawsInPlace(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	var out recorder
	l := NewLive(&out, true, func() int { return 100 })
	calm, bad := halfway(), halfway()
	bad.Failed, bad.Faults, bad.Troubles.Missing = 3, []loadtest.FaultCount{{Fault: "refused", Count: 3}}, 7
	for _, p := range []loadtest.Progress{calm, bad, calm} {
		l.Show(p)
	}
	l.End()
	l.End()
	if len(out.writes) != 4 {
		t.Fatalf("%d writes: %q", len(out.writes), out.writes)
	}
	first, second, third := out.writes[0], out.writes[1], out.writes[2]
	if !strings.HasPrefix(first, hideCursor+"\r") || strings.Contains(first, "A") {
		t.Errorf("first frame %q", first)
	}
	if n := len(visible(first)); !strings.HasPrefix(second, fmt.Sprintf("\x1b[%dA\r", n)) {
		t.Errorf("second frame %q does not go up %d lines", second, n)
	}
	if n := len(visible(second)); n != len(visible(first))+1 || !strings.HasPrefix(third, fmt.Sprintf("\x1b[%dA\r", n)) {
		t.Errorf("third frame %q does not go up %d lines", third, n)
	}
	if !strings.HasSuffix(third, clearBelow) || strings.Contains(third, "refused") {
		t.Errorf("third frame %q does not clear what was below", third)
	}
	requireAll(t, second, string(red)+"failed 3   missing 7   refused 3"+resetStyle)
	if out.writes[3] != showCursor {
		t.Errorf("end %q", out.writes[3])
	}
	requireAll(t, strings.Join(visible(first), "\n"), "opening", "████████████████████░░░░░░░░░░░░░░░░░░░░", "50.0 %   30.0 s, 30.0 s left",
		"500,000 of 1,000,000 open", "connects/s", "1,234 outstanding", "5,000,000 received", "p99.9 903 ms", "RSS 1.28 GiB", "loop lag")
}

func TestLiveKeepsToTheWidth(t *testing.T) {
	for _, colours := range []string{"", "1"} {
		t.Setenv("NO_COLOR", colours)
		for width := range 130 {
			var out recorder
			l := NewLive(&out, true, func() int { return width })
			p := halfway()
			p.Faults = []loadtest.FaultCount{{Fault: strings.Repeat("市\x1b[2J\n", 40), Count: 1}}
			p.Phase = "öffnen\n"
			l.Show(p)
			lines := visible(out.writes[0])
			for _, line := range lines {
				if n := utf8.RuneCountInString(line); n > max(width, 1) {
					t.Errorf("line of %d characters on a terminal of %d: %q", n, width, line)
				}
			}
			if len(lines) != 8 {
				t.Errorf("%d lines on a terminal of %d", len(lines), width)
			}
			if colours != "" && regexp.MustCompile("\x1b\\[[0-9]*m").MatchString(out.writes[0]) {
				t.Errorf("colours in spite of NO_COLOR: %q", out.writes[0])
			}
			requireNone(t, out.writes[0], "\x1b[2J", "市")
		}
	}
}

func TestLiveFollowsANarrowerTerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	var out recorder
	width := 80
	l := NewLive(&out, true, func() int { return width })
	l.Show(halfway())
	rows := 0
	for _, line := range visible(out.writes[0]) {
		rows += (utf8.RuneCountInString(line) + 39) / 40
	}
	width = 40
	l.Show(halfway())
	if !strings.HasPrefix(out.writes[1], fmt.Sprintf("\x1b[%dA", rows)) {
		t.Errorf("%q does not go up the %d rows that the wrapped lines take", out.writes[1], rows)
	}
}

func TestLiveWithoutATerminal(t *testing.T) {
	var out recorder
	l := NewLive(&out, false, nil)
	p := halfway()
	l.Show(p)
	p.Lost, p.Faults = 1, []loadtest.FaultCount{{Fault: "reset\x1b[2J by \"peer\"\n", Count: 2}}
	p.P50, p.P99, p.P999, p.LoopLag = 1.5, 20, 30.25, math.NaN()
	l.Show(p)
	l.End()
	if len(out.writes) != 2 {
		t.Fatalf("%d writes: %q", len(out.writes), out.writes)
	}
	for _, w := range out.writes {
		if strings.Contains(w, "\x1b") || strings.Count(w, "\n") != 1 || !strings.HasSuffix(w, "\n") ||
			!strings.HasPrefix(w, "tickload: 30s opening open=500000/1000000 subscribed=499600 ") {
			t.Errorf("line %q", w)
		}
		requireNone(t, w, "NaN")
	}
	requireNone(t, out.writes[0], "errors", "p50")
	requireAll(t, out.writes[1], " p50_ms=1.500 p99_ms=20.000 p99.9_ms=30.250 ", ` errors="lost 1, reset?[2J by \"peer\"? 2"`, "loop_lag_ms=-")
}

func TestLiveOfNothing(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		var out recorder
		l := NewLive(&out, terminal, nil)
		l.End()
		if len(out.writes) != 0 {
			t.Errorf("End without Show wrote %q", out.writes)
		}
		l.Show(loadtest.Progress{})
		requireNone(t, out.writes[0], "NaN", "Inf", "errors", "server")
	}
}

func TestIsTerminal(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if IsTerminal(null) || TerminalWidth(null) != 80 {
		t.Error(os.DevNull + " is a terminal")
	}
	if tty, err := os.Open("/dev/ptmx"); err == nil {
		defer tty.Close()
		if !IsTerminal(tty) {
			t.Error("a pseudo-terminal is none")
		}
	}
}
