package feed

import (
	"math"
	"math/rand/v2"
	"strings"
)

// subjectPrefix stands before every symbol: AAPL ticks on px.AAPL and EURUSD on px.FX.EURUSD, so that px.FX.* is a useful
// pattern.
const subjectPrefix = "px."

// The shape of the random walk. Prices are drawn as log-deviations from the day's open and are pulled back to it, so a
// market that runs for weeks stays plausible.
const (
	equityVolatility = 2.0e-4  // standard deviation of a log price after one second
	fxVolatility     = 4.5e-5  // the same for a currency pair
	pullBack         = 40 * 60 // seconds: time constant of the price's return to its open
	calmDown         = 5 * 60  // seconds: time constant of the volatility's return to normal
	excitement       = 0.45    // stationary standard deviation of the log volatility
)

// A listing is a symbol and the price around which it moves.
type listing struct {
	name  string
	price float64
}

// listings are the symbols that every market begins with, the most active first. The prices are invented.
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

// A symbol is one instrument's state between two ticks. Prices are whole numbers of 10^-decimals, so no tick depends on
// how a float is printed.
type symbol struct {
	// Immutable after openDay.
	name, subject   string
	decimals        int
	step            int64   // tick size
	open            int64   // the day's first price
	spread          float64 // usual distance of ask and bid, in steps
	lot             int64   // sizes are multiples of it, but for odd lots
	oddLots         bool
	priceKeep       float64 // share of the deviation that remains at the next tick
	priceNoise      float64 // standard deviation added by one tick at normal volatility
	volKeep, volAdd float64 // the same two for the log volatility

	// Changed by move.
	deviation  float64 // log of the mid price over open
	heat       float64 // log of the volatility over its normal value
	last       int64
	high, low  int64
	volume     int64
	lastWasBuy bool
}

// newSymbol returns the symbol of a listing. Tick size, spread and lot follow from its price.
func newSymbol(l listing, rng *rand.Rand) symbol {
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
	s.priceNoise = volatility * (0.7 + 0.9*rng.Float64()) // of one second; openDay scales it
	s.spread = max(1, l.price*math.Pow10(s.decimals)/float64(s.step)*0.6e-4*(1+rng.Float64()))
	return s
}

// openDay scales the walk to the mean interval between two ticks, in seconds, and starts it somewhere in its stationary
// distribution. The steps of an Ornstein-Uhlenbeck process are exact for any interval, so even a symbol that ticks once
// an hour stays in its bounds.
func (s *symbol) openDay(interval float64, rng *rand.Rand) {
	s.priceKeep = math.Exp(-interval / pullBack)
	spread := s.priceNoise * math.Sqrt(pullBack/2)
	s.priceNoise = spread * math.Sqrt(1-s.priceKeep*s.priceKeep)
	s.volKeep = math.Exp(-interval / calmDown)
	s.volAdd = excitement * math.Sqrt(1-s.volKeep*s.volKeep)

	s.deviation = spread * rng.NormFloat64()
	s.heat = excitement * rng.NormFloat64()
	s.last = max(s.step, int64(float64(s.open)*math.Exp(s.deviation))/int64(s.step)*s.step)
	s.high, s.low = max(s.open, s.last), min(s.open, s.last)
	s.volume = int64(3*60*60/interval*(0.7+0.6*rng.Float64())) * s.lot * 2
}

// move lets one tick pass. It returns the new quote and the size of the trade.
func (s *symbol) move(rng *rand.Rand) (bid, ask, size int64) {
	s.heat = s.volKeep*s.heat + s.volAdd*rng.NormFloat64()
	volatility := math.Exp(s.heat)
	s.deviation = s.priceKeep*s.deviation + s.priceNoise*volatility*rng.NormFloat64()

	// The quote: whole steps around the mid price, wider when the market is hot.
	mid := float64(s.open) * math.Exp(s.deviation) / float64(s.step)
	width := max(1, int64(s.spread*math.Sqrt(volatility)*(0.6+0.8*rng.Float64())+0.5))
	bid = max(1, int64(math.Floor(mid-float64(width-1)/2)))
	ask = bid + width

	// A trade hits the bid or lifts the ask; the side tends to repeat itself.
	if rng.Float64() < 0.35 {
		s.lastWasBuy = !s.lastWasBuy
	}
	if s.lastWasBuy {
		s.last = ask * s.step
	} else {
		s.last = bid * s.step
	}
	s.high = max(s.high, s.last)
	s.low = min(s.low, s.last)
	size = s.lot * int64(1+rng.ExpFloat64()*2.2)
	if s.oddLots && rng.Float64() < 0.3 {
		size = 1 + rng.Int64N(s.lot-1)
	}
	s.volume += size
	return bid * s.step, ask * s.step, size
}

// inventName returns a new ticker such as MERQ or TOLV, a longer one when those are scarce. It adds the name to taken.
func inventName(taken map[string]bool, rng *rand.Rand) string {
	pick := func(letters string) byte { return letters[rng.IntN(len(letters))] }
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
