package feed

import (
	"math"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func TestPaceIsReversible(t *testing.T) {
	for _, p := range []Pace{
		Constant(1), Constant(1e6), Constant(0.3),
		Bell{Base: 10, Peak: OpeningPeak, Decay: OpeningDecay}, Bell{Base: 1e5, Peak: 3, Decay: time.Second},
		Bell{Base: 1000, Peak: 1, Decay: time.Second},
	} {
		if p.Count(0) != 0 || p.Due(0) != 0 {
			t.Errorf("%+v begins with %v, %v", p, p.Count(0), p.Due(0))
		}
		count, due := -1.0, time.Duration(-1)
		for at := time.Duration(0); at < 2*time.Minute; at += 37 * time.Millisecond {
			n := p.Count(at)
			if n <= count {
				t.Fatalf("%+v: count %v at %v, before that %v", p, n, at, count)
			}
			d := p.Due(n)
			if d <= due || (d-at).Abs() > time.Microsecond {
				t.Fatalf("%+v: message %v is due at %v and %v", p, n, at, d)
			}
			count, due = n, d
		}
	}
}

// A bell starts at Peak times Base and ends at Base.
func TestBellFades(t *testing.T) {
	b := Bell{Base: 100, Peak: OpeningPeak, Decay: OpeningDecay}
	rate := func(at time.Duration) float64 {
		const beat = time.Millisecond
		return (b.Count(at+beat) - b.Count(at)) / beat.Seconds()
	}
	for at, want := range map[time.Duration]float64{
		0:                 1000,
		OpeningDecay:      100 * (1 + 9/math.E),
		20 * OpeningDecay: 100,
	} {
		if got := rate(at); math.Abs(got/want-1) > 0.001 {
			t.Errorf("%v a second at %v, want %v", got, at, want)
		}
	}
}

// A limit is kept to the message, whether it divides into bursts or not.
func TestPublisherLimit(t *testing.T) {
	nc, err := nats.Connect(startNATS(t, -1).ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, limit := range []uint64{1, 7, 64, 1001} {
		for _, pace := range []Pace{Constant(1e6), Bell{Base: 1e5, Peak: 10, Decay: time.Second}} {
			made := uint64(0)
			p, err := NewPublisher(PublisherConfig{
				Conn: nc, Pace: pace, Limit: limit, Burst: 64, MaxLag: time.Hour,
				Source: func(dst []byte, _ time.Time) (string, []byte) { made++; return "load.A", dst },
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Run(testContext(t)); err != nil {
				t.Fatal(err)
			}
			if s := p.Stats(); s.Sent != limit || s.Failed+s.Skipped != 0 || made != limit {
				t.Errorf("limit %d, pace %+v: %+v, %d made", limit, pace, s, made)
			}
		}
	}
}
