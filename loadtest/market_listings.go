package loadtest

import (
	"math"
	"strings"
)

// A listing is a symbol and the price around which it moves.
type listing struct {
	name  string
	price float64
}

// listings are the symbols that every market begins with, the most active first. The
// prices are invented.
var listings = [...]listing{
	{"NVDA", 134.8}, {"AAPL", 189.5}, {"FX.EURUSD", 1.0842}, {"TSLA", 248.3}, {"MSFT", 412.6},
	{"AMZN", 178.2}, {"FX.USDJPY", 151.37}, {"AMD", 162.4}, {"META", 496.1}, {"GOOGL", 156.9},
	{"FX.GBPUSD", 1.2671}, {"SPY", 518.4}, {"NFLX", 628.7}, {"INTC", 34.2}, {"QQQ", 446.3},
	{"FX.AUDUSD", 0.6583}, {"COIN", 231.5}, {"JPM", 197.4}, {"FX.USDCHF", 0.9034}, {"BAC", 37.6},
	{"AVGO", 1327.5}, {"FX.USDCAD", 1.3562}, {"ORCL", 125.8}, {"UBER", 77.1}, {"FX.EURGBP", 0.8557},
	{"XOM", 118.9}, {"DIS", 113.2}, {"FX.EURJPY", 164.12}, {"PFE", 26.9}, {"KO", 60.4},
	{"FX.NZDUSD", 0.5978}, {"CRM", 301.2}, {"PLTR", 22.8}, {"FX.EURCHF", 0.9795}, {"WMT", 60.7},
	{"V", 279.1}, {"FX.GBPJPY", 191.81}, {"MA", 477.6}, {"BA", 188.3}, {"FX.USDSEK", 10.6214},
	{"NKE", 92.5}, {"ADBE", 489.7}, {"PYPL", 66.3}, {"CSCO", 49.6}, {"BRK", 412.9},
	{"ZAPP", 0.87}, {"BKNG", 3628.4}, {"GS", 408.2}, {"IBM", 190.1}, {"T", 17.4},
}

// list makes a symbol of a listing: tick size, spread and lot follow from its price.
func (m *Market) list(l listing) symbol {
	s := symbol{name: l.name, subject: subjectPrefix + l.name, lot: 100, oddLots: true}
	volatility := equityVolatility
	switch fx := strings.HasPrefix(l.name, "FX."); {
	case fx && l.price > 20: // yen pairs: a tenth of a pip is 0.001
		s.decimals, s.step = 3, 1
	case fx:
		s.decimals, s.step = 5, 1
	case l.price < 1:
		s.decimals, s.step = 4, 1
	case l.price < 1000:
		s.decimals, s.step = 2, 1
	default:
		s.decimals, s.step = 2, 5
	}
	if strings.HasPrefix(l.name, "FX.") {
		volatility, s.lot, s.oddLots = fxVolatility, 100_000, false
	}
	s.open = int64(l.price*math.Pow10(s.decimals)+0.5) / s.step * s.step
	s.priceNoise = volatility * (0.7 + 0.9*m.rng.Float64()) // of one second; openDay scales it
	s.spread = max(1, l.price*math.Pow10(s.decimals)/float64(s.step)*0.6e-4*(1+m.rng.Float64()))
	return s
}

// inventName returns a ticker such as MERQ or TOLV that is not taken yet; when those
// become scarce, a longer one.
func (m *Market) inventName(taken map[string]bool) string {
	pick := func(letters string) byte { return letters[m.rng.IntN(len(letters))] }
	for syllables := 1; ; syllables++ {
		var name []byte
		for range syllables {
			name = append(name, pick("BDFGHKLMNQRTVZ"), pick("AEIOU"))
		}
		name = append(name, pick("LMNRST"), pick("QVXZ"))
		if !taken[string(name)] {
			taken[string(name)] = true
			return string(name)
		}
	}
}
