package loadtest

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// Defaults of a MarketConfig.
const (
	DefaultSymbols  = 300
	DefaultTickRate = 1000.0 // ticks a second over all symbols
)

// subjectPrefix stands before every symbol: AAPL ticks on px.AAPL and EURUSD on
// px.FX.EURUSD, so that the pattern px.FX.* means something.
const subjectPrefix = "px."

// The shape of the random walk. Prices are drawn as log-deviations from the day's
// open that are pulled back to it, so a market that runs for weeks stays plausible.
const (
	equityVolatility = 2.0e-4  // standard deviation of a log price after one second
	fxVolatility     = 4.5e-5  // the same for a currency pair
	pullBack         = 40 * 60 // seconds: time constant of the price's return to its open
	calmDown         = 5 * 60  // seconds: time constant of the volatility's return to normal
	excitement       = 0.45    // stationary standard deviation of the log volatility
)

// MarketConfig describes a Market. The zero value is a market of DefaultSymbols
// symbols at DefaultTickRate.
type MarketConfig struct {
	Symbols int     // 0 = DefaultSymbols. The first few dozen are well-known names and FX pairs, the rest is invented
	Seed    uint64  // the same seed gives the same ticks
	Rate    float64 // ticks a second over all symbols that the caller is going to take; 0 = DefaultTickRate
}

// A Market is a model of a stock market: a few hundred symbols, each a random walk
// with clustered volatility and a quoted spread. The activity of the symbols follows
// Zipf's law, so the first tick many times a second and the last every few seconds.
//
// It has no clock: the caller takes ticks at MarketConfig.Rate and says what time it
// is. A Market belongs to one goroutine.
type Market struct {
	rng      *rand.Rand
	symbols  []symbol
	activity []float64 // cumulative weights, in the order of symbols
}

// A symbol is one instrument's state between two ticks. Prices are whole numbers of
// 10^-decimals, so no tick depends on how a float is printed.
type symbol struct {
	// Immutable after NewMarket.
	name, subject   string
	decimals        int
	step            int64   // tick size
	open            int64   // the day's first price
	spread          float64 // usual distance of ask and bid, in steps
	lot             int64   // sizes are multiples of it, but for odd lots
	oddLots         bool
	priceKeep       float64 // share of the deviation that survives until the next tick
	priceNoise      float64 // standard deviation added by one tick at normal volatility
	volKeep, volAdd float64 // the same two for the log volatility

	// Changed by each tick.
	deviation  float64 // log of the mid price over open
	heat       float64 // log of the volatility over its normal value
	last       int64
	high, low  int64
	volume     int64
	lastWasBuy bool
}

// A Tick is one change of one symbol's quote. Prices are in units of 10^-Decimals.
type Tick struct {
	Symbol  string // "AAPL", "FX.EURUSD"
	Subject string // "px." and the symbol

	Decimals        int
	Bid, Ask, Last  int64
	Open, High, Low int64 // of the day so far
	Size, DayVolume int64 // of the last trade, and of all trades of the day with it
}

// NewMarket returns a market in the middle of its trading day.
func NewMarket(cfg MarketConfig) *Market {
	if cfg.Symbols <= 0 {
		cfg.Symbols = DefaultSymbols
	}
	if !(cfg.Rate > 0) || math.IsInf(cfg.Rate, 1) {
		cfg.Rate = DefaultTickRate
	}
	m := &Market{
		rng:      rand.New(rand.NewPCG(cfg.Seed, 0x7469636b63617374)),
		symbols:  make([]symbol, cfg.Symbols),
		activity: make([]float64, cfg.Symbols),
	}
	total := 0.0
	for i := range m.activity {
		total += 1 / float64(i+1) // Zipf's law with exponent 1
		m.activity[i] = total
	}
	taken := make(map[string]bool, cfg.Symbols)
	for i, l := range listings {
		taken[l.name] = true
		if i < cfg.Symbols {
			m.symbols[i] = m.list(l)
		}
	}
	for i := len(listings); i < cfg.Symbols; i++ {
		price := math.Exp(3.6 + 1.1*m.rng.NormFloat64()) // half of them between 17 and 77
		m.symbols[i] = m.list(listing{m.inventName(taken), max(price, 0.2)})
	}
	for i := range m.symbols {
		interval := total * float64(i+1) / cfg.Rate // mean seconds between two ticks
		m.openDay(&m.symbols[i], interval)
	}
	return m
}

// Subjects returns all subjects, the most active first.
func (m *Market) Subjects() []string {
	subjects := make([]string, len(m.symbols))
	for i := range m.symbols {
		subjects[i] = m.symbols[i].subject
	}
	return subjects
}

// Next moves one symbol and returns its new quote. It does not allocate.
func (m *Market) Next() Tick {
	at := m.rng.Float64() * m.activity[len(m.activity)-1]
	i, _ := slices.BinarySearch(m.activity, at)
	s := &m.symbols[i]

	s.heat = s.volKeep*s.heat + s.volAdd*m.rng.NormFloat64()
	volatility := math.Exp(s.heat)
	s.deviation = s.priceKeep*s.deviation + s.priceNoise*volatility*m.rng.NormFloat64()

	// The quote: whole steps around the mid price, wider when the market is hot.
	mid := float64(s.open) * math.Exp(s.deviation) / float64(s.step)
	width := max(1, int64(s.spread*math.Sqrt(volatility)*(0.6+0.8*m.rng.Float64())+0.5))
	bid := max(1, int64(math.Floor(mid-float64(width-1)/2)))
	ask := bid + width

	// A trade hits the bid or lifts the ask; the side tends to repeat itself.
	if m.rng.Float64() < 0.35 {
		s.lastWasBuy = !s.lastWasBuy
	}
	if s.lastWasBuy {
		s.last = ask * s.step
	} else {
		s.last = bid * s.step
	}
	s.high = max(s.high, s.last)
	s.low = min(s.low, s.last)
	size := s.lot * int64(1+m.rng.ExpFloat64()*2.2)
	if s.oddLots && m.rng.Float64() < 0.3 {
		size = 1 + m.rng.Int64N(s.lot-1)
	}
	s.volume += size

	return Tick{
		Symbol: s.name, Subject: s.subject, Decimals: s.decimals,
		Bid: bid * s.step, Ask: ask * s.step, Last: s.last,
		Open: s.open, High: s.high, Low: s.low,
		Size: size, DayVolume: s.volume,
	}
}

// Message takes the next tick as a Publisher's Source.
func (m *Market) Message(dst []byte, at time.Time) (subject string, payload []byte) {
	t := m.Next()
	return t.Subject, t.AppendJSON(dst, at)
}

// AppendJSON appends the tick as a compact JSON object, sent at the given time:
//
//	{"b":189.12,"a":189.14,"l":189.13,"z":300,"o":187.5,"v":1234567,"ts":1764000000123}
//
// b, a, l and o are bid, ask, last and open; z is the last trade's size, v the day's
// volume, ts milliseconds since 1970.
func (t Tick) AppendJSON(dst []byte, at time.Time) []byte {
	dst = appendPrice(append(dst, `{"b":`...), t.Bid, t.Decimals)
	dst = appendPrice(append(dst, `,"a":`...), t.Ask, t.Decimals)
	dst = appendPrice(append(dst, `,"l":`...), t.Last, t.Decimals)
	dst = strconv.AppendInt(append(dst, `,"z":`...), t.Size, 10)
	dst = appendPrice(append(dst, `,"o":`...), t.Open, t.Decimals)
	dst = strconv.AppendInt(append(dst, `,"v":`...), t.DayVolume, 10)
	dst = strconv.AppendInt(append(dst, `,"ts":`...), at.UnixMilli(), 10)
	return append(dst, '}')
}

// appendPrice appends units of 10^-decimals as a JSON number without trailing zeros.
// Prices are positive.
func appendPrice(dst []byte, units int64, decimals int) []byte {
	for decimals > 0 && units%10 == 0 {
		units /= 10
		decimals--
	}
	start := len(dst)
	dst = strconv.AppendInt(dst, units, 10)
	if decimals == 0 {
		return dst
	}
	for len(dst)-start <= decimals { // at least one digit before the point
		dst = slices.Insert(dst, start, '0')
	}
	return slices.Insert(dst, len(dst)-decimals, '.')
}

// openDay scales the walk to the mean interval between two ticks, in seconds, and
// starts it somewhere in its stationary distribution. The steps of an
// Ornstein-Uhlenbeck process are exact for any interval, so even a symbol that ticks
// once an hour stays in its bounds.
func (m *Market) openDay(s *symbol, interval float64) {
	s.priceKeep = math.Exp(-interval / pullBack)
	spread := s.priceNoise * math.Sqrt(pullBack/2)
	s.priceNoise = spread * math.Sqrt(1-s.priceKeep*s.priceKeep)
	s.volKeep = math.Exp(-interval / calmDown)
	s.volAdd = excitement * math.Sqrt(1-s.volKeep*s.volKeep)

	s.deviation = spread * m.rng.NormFloat64()
	s.heat = excitement * m.rng.NormFloat64()
	s.last = max(s.step, int64(float64(s.open)*math.Exp(s.deviation))/int64(s.step)*s.step)
	s.high, s.low = max(s.open, s.last), min(s.open, s.last)
	s.volume = int64(3*60*60/interval*(0.7+0.6*m.rng.Float64())) * s.lot * 2
}
