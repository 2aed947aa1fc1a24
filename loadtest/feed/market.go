package feed

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

// MarketConfig describes a Market. The zero value is a market of DefaultSymbols symbols at DefaultTickRate.
type MarketConfig struct {
	Symbols int     // 0 = DefaultSymbols. The first few dozen are well-known names and currency pairs, the others are invented
	Seed    uint64  // the same seed gives the same ticks
	Rate    float64 // ticks a second over all symbols, as the caller asks for them; 0 = DefaultTickRate
}

// A Market is a model of a stock market: a few hundred symbols, each a random walk with clustered volatility and a quoted
// spread. The activity of the symbols follows Zipf's law: the first ones tick many times a second, the last ones every few
// seconds.
//
// It has no clock: the caller asks for ticks at MarketConfig.Rate and passes the time. A Market belongs to one goroutine.
type Market struct {
	rng      *rand.Rand
	symbols  []symbol
	activity []float64 // cumulative weights, in the order of symbols
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
			m.symbols[i] = newSymbol(l, m.rng)
		}
	}
	for i := len(listings); i < cfg.Symbols; i++ {
		price := math.Exp(3.6 + 1.1*m.rng.NormFloat64()) // half of them between 17 and 77
		m.symbols[i] = newSymbol(listing{inventName(taken, m.rng), max(price, 0.2)}, m.rng)
	}
	for i := range m.symbols {
		interval := total * float64(i+1) / cfg.Rate // mean seconds between two ticks
		m.symbols[i].openDay(interval, m.rng)
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
	bid, ask, size := s.move(m.rng)
	return Tick{
		Symbol: s.name, Subject: s.subject, Decimals: s.decimals,
		Bid: bid, Ask: ask, Last: s.last,
		Open: s.open, High: s.high, Low: s.low,
		Size: size, DayVolume: s.volume,
	}
}

// Message returns the next tick as a message. It is a [Source].
func (m *Market) Message(dst []byte, at time.Time) (subject string, payload []byte) {
	t := m.Next()
	return t.Subject, t.AppendJSON(dst, at)
}

// AppendJSON appends the tick as a compact JSON object, sent at the given time:
//
//	{"b":189.12,"a":189.14,"l":189.13,"z":300,"o":187.5,"v":1234567,"ts":1764000000123}
//
// b, a, l and o are bid, ask, last and open; z is the last trade's size, v the day's volume, ts milliseconds since 1970.
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

// appendPrice appends units of 10^-decimals, a positive price, as a JSON number without trailing zeros.
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
