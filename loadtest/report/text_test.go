package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"tickcast/loadtest"
)

// text returns r's summary.
func text(t *testing.T, r *loadtest.Report) string {
	t.Helper()
	var b strings.Builder
	if err := WriteText(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// requireAll fails unless s holds all of the words.
func requireAll(t *testing.T, s string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(s, w) {
			t.Errorf("%q is not in:\n%s", w, s)
		}
	}
}

// requireNone fails if s holds one of the words.
func requireNone(t *testing.T, s string, words ...string) {
	t.Helper()
	for _, w := range words {
		if i := strings.Index(s, w); i >= 0 {
			t.Errorf("%q is in: ...%q", w, s[max(0, i-60):min(len(s), i+60)])
		}
	}
}

func TestTextTellsARun(t *testing.T) {
	s := text(t, million())
	lines := strings.Split(s, "\n")
	if want := "NOT CLEAN: 12 deliveries are missing; 1 connection was lost"; lines[0] != want {
		t.Errorf("first line %q, want %q", lines[0], want)
	}
	if len(lines) > 50 {
		t.Errorf("%d lines", len(lines))
	}
	for _, l := range lines {
		if utf8.RuneCountInString(l) > textWidth || strings.TrimRight(l, " ") != l {
			t.Errorf("long or padded line %q", l)
		}
	}
	requireAll(t, s, "warning      the load tester's busiest process", "1,000,000 of 1,000,000, in 60.0 s, 16,656/s",
		"reset by peer 1, connect timed out 3", "2,999,988 of 3,000,000, 99.9996 %", "missing 12, doubled 0, out of order 0", "\n                            unknown 0, conflated 0\n",
		"p50 391 ms, p90 703 ms, p99 811 ms, p99.9 903 ms, max 1.20 s", "ticks.all    2  371.0 s    999,988  1,000,000",
		"missing  714,233", "storm", "at most 410 µs late", "2.65 KiB idle", "4.21 µs of CPU", "8.80 KiB less available", "97.0 % of a core",
		"389 B per connection")
	requireNone(t, s, "ticks.calm", "go_goroutines", "more")
}

func TestTextOfACleanRun(t *testing.T) {
	r := million()
	r.Clean, r.Reasons = true, nil
	if s := text(t, r); !strings.HasPrefix(s, "clean\n") {
		t.Errorf("begins with %q", s[:min(len(s), 40)])
	}
}

func TestTextLeavesOutWhatIsNotThere(t *testing.T) {
	if s := text(t, &loadtest.Report{}); s != "NOT CLEAN: no reason given\n\n" {
		t.Errorf("empty report: %q", s)
	}
	r := million()
	r.Server.Processes, r.Kernel, r.Latency.Count, r.Cohorts = 0, loadtest.KernelSide{}, 0, nil
	requireNone(t, text(t, r), "\nserver ", "\nkernel ", "\nlatency ", "\ncohorts ")
}

func TestTextCutsTables(t *testing.T) {
	r := &loadtest.Report{}
	for i := range 25 {
		r.Broadcasts = append(r.Broadcasts, loadtest.Broadcast{Topic: "b"})
		r.Troubles = append(r.Troubles, loadtest.Trouble{Kind: "late"})
		r.Topics = append(r.Topics, loadtest.TopicCount{Topic: "t", Missing: uint64(i % 2)}) // 12 with trouble
	}
	s := text(t, r)
	if n := strings.Count(s, "\n"); n != 2+3*12 {
		t.Errorf("%d lines:\n%s", n, s)
	}
	if strings.Count(s, " and 15 more\n") != 2 || strings.Count(s, " and 2 more\n") != 1 {
		t.Errorf("rows left out are not counted:\n%s", s)
	}
}

func TestTextCannotSteerATerminal(t *testing.T) {
	s := text(t, hostile())
	for _, r := range s {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			t.Fatalf("%U in %q", r, s)
		}
	}
	requireNone(t, s, "NaN", "Inf")
	requireAll(t, s, "<script>") // text is not HTML
}

func TestJSONHoldsAllOfAReport(t *testing.T) {
	var b bytes.Buffer
	r := million()
	r.Command += " -a '<&>'"
	if err := WriteJSON(&b, r); err != nil {
		t.Fatal(err)
	}
	requireAll(t, b.String(), "\n  \"clean\": false,\n", "<&>")
	var back loadtest.Report
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&back, r) {
		t.Errorf("read back:\n%+v\nwant:\n%+v", &back, r)
	}
}

func TestJSONWritesNothingIfAFigureIsNone(t *testing.T) {
	var b bytes.Buffer
	if err := WriteJSON(&b, hostile()); err == nil || b.Len() > 0 {
		t.Errorf("error %v and %d bytes", err, b.Len())
	}
}

// full is a device without room.
type full struct{}

var errFull = errors.New("no room")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWritersReportTheirErrors(t *testing.T) {
	for name, err := range map[string]error{
		"text": WriteText(full{}, million()),
		"JSON": WriteJSON(full{}, million()),
		"HTML": WriteHTML(full{}, million()),
	} {
		if !errors.Is(err, errFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnits(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{count(0), "0"}, {count(999), "999"}, {count(1000), "1,000"}, {count(-1234567), "-1,234,567"},
		{count(int64(math.MinInt64)), "-9,223,372,036,854,775,808"}, {count(uint64(math.MaxUint64)), "18,446,744,073,709,551,615"},
		{digits(0), "0"}, {digits(1.234), "1.23"}, {digits(9.996), "10.0"}, {digits(99.96), "100"}, {digits(0.00123), "0.0012"},
		{digits(12345.6), "12,346"}, {digits(math.NaN()), "–"}, {digits(1e300), "1e+300"},
		{size(0), "0 B"}, {size(96), "96 B"}, {size(1023), "1023 B"}, {size(1024), "1.00 KiB"}, {size(-5 << 20), "-5.00 MiB"},
		{size(1 << 60), "1,024 PiB"}, {size(math.Inf(1)), "–"},
		{millis(0), "0 ms"}, {millis(0.0123), "12.3 µs"}, {millis(0.9999), "1.00 ms"}, {millis(12.34), "12.3 ms"}, {millis(999.7), "1.00 s"},
		{millis(math.NaN()), "–"}, {seconds(0.5), "500 ms"}, {seconds(60), "60.0 s"}, {seconds(119.6), "2 min 00 s"},
		{seconds(401.2), "6 min 41 s"}, {seconds(3661), "1 h 01 min"}, {seconds(1e300), "1e+300 s"},
		{percent(1), "100 %"}, {percent(0.9999999999), "99.9999 %"}, {percent(0.5), "50.0 %"}, {percent(math.Inf(-1)), "–"},
		{short(250_000), "250 k"}, {short(1.5e6), "1.5 M"}, {millisTick(0.05), "50 µs"}, {millisTick(2000), "2 s"},
		{secondsTick(120), "2 min"}, {sizeTick(1.5 * (1 << 30)), "1.5 GiB"}, {moment(361), "361.0 s"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
