package feed

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMarketIsDeterministic(t *testing.T) {
	run := func(seed uint64) []byte {
		m := NewMarket(MarketConfig{Seed: seed})
		var out []byte
		for i := range 2000 {
			tick := m.Next()
			out = append(out, tick.Subject...)
			out = tick.AppendJSON(out, time.UnixMilli(int64(i)))
		}
		return out
	}
	if !slices.Equal(run(7), run(7)) {
		t.Error("two markets with one seed differ")
	}
	if slices.Equal(run(7), run(8)) {
		t.Error("two markets with different seeds are the same")
	}
}

func TestMarketSubjects(t *testing.T) {
	for _, n := range []int{1, 12, DefaultSymbols, 5000} {
		subjects := NewMarket(MarketConfig{Symbols: n}).Subjects()
		if len(subjects) != n {
			t.Fatalf("%d symbols: %d subjects", n, len(subjects))
		}
		seen := map[string]bool{}
		fx := 0
		for _, s := range subjects {
			if seen[s] {
				t.Errorf("%d symbols: %s twice", n, s)
			}
			seen[s] = true
			symbol, ok := strings.CutPrefix(s, "px.")
			if pair, isFX := strings.CutPrefix(symbol, "FX."); isFX {
				fx++
				symbol = pair
			}
			if !ok || symbol == "" || strings.Trim(symbol, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
				t.Errorf("%d symbols: subject %q", n, s)
			}
		}
		if n >= DefaultSymbols && fx != 12 {
			t.Errorf("%d symbols: %d currency pairs, want 12", n, fx)
		}
	}
}

// Every quote must be possible at a real exchange. The walk must not stand still and must not run away, at any interval
// between two ticks of a symbol.
func TestMarketQuotesArePlausible(t *testing.T) {
	for _, rate := range []float64{0.1, DefaultTickRate, 1e6} {
		m := NewMarket(MarketConfig{Seed: 3, Rate: rate})
		step := map[string]int64{}
		for i := range m.symbols {
			step[m.symbols[i].name] = m.symbols[i].step
		}
		volume := map[string]int64{}
		lasts := map[string]map[int64]bool{}
		for range 300_000 {
			k := m.Next()
			w := step[k.Symbol]
			switch {
			case k.Bid <= 0 || k.Ask <= k.Bid, k.Last < k.Bid || k.Last > k.Ask:
				t.Fatalf("rate %g: crossed quote %+v", rate, k)
			case k.Bid%w != 0 || k.Ask%w != 0 || k.Last%w != 0 || k.Open%w != 0:
				t.Fatalf("rate %g: price off the tick size %d: %+v", rate, w, k)
			case k.High < k.Last || k.Low > k.Last || k.High < k.Open || k.Low > k.Open:
				t.Fatalf("rate %g: outside of the day's range: %+v", rate, k)
			case k.Last > k.Open*3/2 || k.Last < k.Open/2:
				t.Fatalf("rate %g: ran away: %+v", rate, k)
			case k.Size <= 0 || k.DayVolume < volume[k.Symbol]+k.Size:
				t.Fatalf("rate %g: volume %d then %+v", rate, volume[k.Symbol], k)
			}
			volume[k.Symbol] = k.DayVolume
			if lasts[k.Symbol] == nil {
				lasts[k.Symbol] = map[int64]bool{}
			}
			lasts[k.Symbol][k.Last] = true
		}
		for _, name := range []string{"NVDA", "AAPL", "FX.EURUSD"} {
			if n := len(lasts[name]); n < 5 && rate <= DefaultTickRate {
				t.Errorf("rate %g: %s had %d prices in all", rate, name, n)
			}
		}
	}
}

func TestMarketActivityFollowsZipf(t *testing.T) {
	const ticks = 400_000
	m := NewMarket(MarketConfig{Seed: 1})
	count := map[string]int{}
	for range ticks {
		count[m.Next().Subject]++
	}
	subjects := m.Subjects()
	harmonic := 0.0
	for i := range subjects {
		harmonic += 1 / float64(i+1)
	}
	for _, rank := range []int{1, 2, 10, 100, DefaultSymbols} {
		want := ticks / harmonic / float64(rank)
		if got := float64(count[subjects[rank-1]]); got < 0.7*want || got > 1.3*want {
			t.Errorf("rank %d: %g ticks, want about %.0f", rank, got, want)
		}
	}
}

func TestTickJSON(t *testing.T) {
	tick := Tick{
		Decimals: 2, Bid: 18912, Ask: 18914, Last: 18913, Open: 18750, High: 19000, Low: 18700,
		Size: 300, DayVolume: 1234567,
	}
	want := `{"b":189.12,"a":189.14,"l":189.13,"z":300,"o":187.5,"v":1234567,"ts":1764000000123}`
	if got := tick.AppendJSON(nil, time.UnixMilli(1764000000123)); string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	got := NewMarket(MarketConfig{}).Next().AppendJSON([]byte("before "), time.Now())
	if after, ok := strings.CutPrefix(string(got), "before "); !ok || !json.Valid([]byte(after)) {
		t.Errorf("not appended as JSON: %s", got)
	}
}

func TestAppendPrice(t *testing.T) {
	for _, c := range []struct {
		units    int64
		decimals int
		want     string
	}{
		{18912, 2, "189.12"},
		{18910, 2, "189.1"},
		{18900, 2, "189"},
		{100, 0, "100"},
		{7, 4, "0.0007"},
		{70, 4, "0.007"},
		{108420, 5, "1.0842"},
		{151370, 3, "151.37"},
		{9034, 4, "0.9034"},
	} {
		if got := string(appendPrice([]byte("x"), c.units, c.decimals)); got != "x"+c.want {
			t.Errorf("%d with %d decimals: %s, want x%s", c.units, c.decimals, got, c.want)
		}
	}
}

func TestMarketDoesNotAllocate(t *testing.T) {
	m := NewMarket(MarketConfig{})
	buf := make([]byte, 0, 256)
	now := time.Now()
	if n := testing.AllocsPerRun(1000, func() { m.Message(buf, now) }); n != 0 {
		t.Errorf("%g allocations a message", n)
	}
}

func BenchmarkMarketMessage(b *testing.B) {
	m := NewMarket(MarketConfig{})
	buf := make([]byte, 0, 256)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		m.Message(buf, now)
	}
}
