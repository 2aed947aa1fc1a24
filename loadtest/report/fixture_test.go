package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"tickcast/loadtest"
	"tickcast/loadtest/machine"
)

// million returns the report of a typical run: a million connections in 60 seconds, 300 idle seconds, three messages to each
// of them, and a few troubles.
func million() *loadtest.Report {
	const conns = 1_000_000
	r := &loadtest.Report{
		Command: "tickload -url ws://10.0.0.1:8080/ws -connections 1000000 -ramp 60s -idle 300s -broadcasts 3",
		Begun:   time.Date(2026, 5, 17, 9, 30, 0, 0, time.UTC), Seconds: 401.2,
		Machine: machine.Host{CPU: "AMD EPYC 9354P", Cores: 32, Memory: 128 << 30, Kernel: "Linux 6.8.0-45", Go: "go1.26.8",
			Revision: "cad107c2f1390db9c04fe6", Descriptors: 1_100_000},
		Reasons:  []string{"12 deliveries are missing", "1 connection was lost"},
		Warnings: []string{"the load tester's busiest process used 97 % of a core: latencies may be its own"},
		Connections: loadtest.Connections{URLs: []string{"ws://10.0.0.1:8080/ws", "ws://10.0.0.2:8080/ws"}, Wanted: conns, Opened: conns,
			Subscribed: conns, Open: conns - 1, Failed: 0, Lost: 1, Reopened: 0, Seconds: 60.04, PerSecond: 16655.6, Pings: 9_999_990,
			Connect: loadtest.Distribution{Count: conns, Mean: 1.9, Min: 0.21, P50: 0.84, P90: 3.2, P99: 18.4, P999: 61, Max: 1021},
			Faults:  []loadtest.FaultCount{{Fault: "reset by peer", Count: 1}, {Fault: "connect timed out", Count: 3}}},
		Deliveries: loadtest.Deliveries{Expected: 3 * conns, Received: 3*conns - 12, Missing: 12, Messages: 4*conns - 12, Bytes: 4 * conns * 118},
		Latency:    loadtest.Distribution{Count: 3*conns - 12, Mean: 402.7, Min: 1.31, P50: 391.2, P90: 702.8, P99: 811.4, P999: 903.1, Max: 1204.6},
		Troubles:   []loadtest.Trouble{{Client: 714_233, Topic: "ticks.all", Seq: 2, Count: 1, Kind: "missing"}},
		Topics: []loadtest.TopicCount{{Topic: "ticks.all", Subscribers: conns, Published: 3, Received: 3*conns - 12, Missing: 12},
			{Topic: "ticks.calm", Subscribers: 400, Published: 3, Received: 1200}},
		Cohorts: []loadtest.Cohort{{Name: "slow", Clients: 1000, Ended: 988, Note: "read nothing after the first message"},
			{Name: "storm", Clients: 100_000, Seconds: 8.2, Note: "closed at once, came back over 5 s"}},
		Publisher: loadtest.Published{URL: "nats://10.0.0.1:4222", Topics: 1, Sent: 3, MaxLate: 0.41, Payload: 96, Pace: "one message every 10 s"},
		Server: loadtest.ServerSide{Processes: 1, EmptyRSS: 21 << 20, IdleRSS: 2_610 << 20, EndRSS: 2_790 << 20, PeakRSS: 2_801 << 20,
			IdlePerConn: 2714.8, EndPerConn: 2903.6, CPUSeconds: 143.6, OpenCPU: 61.8, PublishCPU: 31.4, CPUPerDeliver: 4.21,
			Metrics: map[string]float64{"tickcast_connections": conns - 1, "tickcast_frames_sent_total": 3*conns - 12, "go_goroutines": 41}},
		Kernel: loadtest.KernelSide{Slab: 7_812 << 20, Available: 9_400 << 20, SlabPerConn: 8191, KernelPerConn: 9012.5, TCPMemoryPerConn: 0.2,
			ConntrackPerConn: 1, SocketsBothEnds: true, DescriptorsPerHost: 2_000_871},
		Client: loadtest.ClientSide{Processes: 20, Workers: 20, CPUSeconds: 201.7, CPUShare: 0.97, RSS: 611 << 20, EmptyRSS: 240 << 20,
			RSSPerConn: 389.1, MachineCPU: 0.83,
			LoopLag: loadtest.Distribution{Count: 4_100_000, Mean: 0.2, Min: 0.002, P50: 0.09, P90: 0.7, P99: 4.4, P999: 11.9, Max: 38.2}},
	}
	for i := range 3 {
		b := loadtest.Broadcast{Topic: "ticks.all", Seq: uint32(i + 1), At: 361 + 10*float64(i), Expected: conns, Received: conns, First: 1.31, Last: 1190 + float64(i)}
		if i == 1 {
			b.Received -= 12
		}
		r.Broadcasts = append(r.Broadcasts, b)
	}
	for n := 0.0; n < 6.4; n += 0.1 {
		q := 1 - math.Pow(10, -n)
		r.Latency.Percentiles = append(r.Latency.Percentiles, loadtest.Percentile{Percent: 100 * q, Millis: 1.3 + 700*math.Pow(q, 1.3) + 70*n})
	}
	r.Latency.Percentiles = append(r.Latency.Percentiles, loadtest.Percentile{Percent: 100, Millis: 1204.6})
	r.Timeline = seconds401(conns)
	return r
}

// seconds401 returns the timeline of million.
func seconds401(conns int) (t []loadtest.Second) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := 1; i <= 401; i++ {
		s := loadtest.Second{At: float64(i), Phase: "idle", ServerCPU: 0.05 + 0.05*random.Float64(), ClientCPU: 0.1 + 0.05*random.Float64(),
			LoopLag: 0.05 + 0.1*random.Float64()}
		s.Open = min(conns, i*conns/60)
		s.Subscribed = max(0, s.Open-400)
		switch {
		case i <= 60:
			s.Phase, s.Opened, s.Deliveries = "opening", conns/60+random.IntN(900)-450, 0
			s.ServerCPU, s.ClientCPU, s.LoopLag = 1+0.2*random.Float64(), 1.4+0.2*random.Float64(), 0.4+3*random.Float64()
		case i > 360 && i <= 391:
			s.Phase = "publishing"
			if (i-361)%10 == 0 && i < 391 {
				s.Published, s.Deliveries, s.Bytes = 1, uint64(conns-200_000), uint64(conns)*118
				s.P50, s.P99, s.P999, s.ServerCPU, s.ClientCPU, s.LoopLag = 391, 811, 903, 9.1, 11.4, 38.2
			} else if (i-361)%10 == 1 && i < 391 {
				s.Deliveries, s.P50, s.P99, s.P999 = 200_000, 700, 1100, 1204
			}
		case i > 391:
			s.Phase = "settling"
		}
		if i > 60 {
			s.Subscribed = conns
		}
		s.ServerRSS = 21<<20 + int64(s.Open)*2715
		t = append(t, s)
	}
	return t
}

// hostile returns a report whose strings attack the reader and whose figures are not numbers.
func hostile() *loadtest.Report {
	nan, inf := math.NaN(), math.Inf(1)
	bad := loadtest.Distribution{Count: 3, Mean: nan, Min: nan, P50: inf, P90: nan, P99: -inf, P999: nan, Max: inf,
		Percentiles: []loadtest.Percentile{{Percent: nan, Millis: 1}, {Percent: 50, Millis: inf}, {Percent: 100, Millis: 2}, {Percent: 200, Millis: 5}}}
	const attack = "<script>alert('x')</script>\"'&\x1b[2J\u202e\n"
	return &loadtest.Report{
		Command: attack, Begun: time.Unix(0, 0), Seconds: nan, Reasons: []string{attack}, Warnings: []string{attack},
		Machine:     machine.Host{CPU: attack, Kernel: attack, Go: attack, Revision: attack},
		Connections: loadtest.Connections{URLs: []string{"javascript:" + attack}, Wanted: -1, Opened: 1, Seconds: inf, PerSecond: nan, Connect: bad, Faults: []loadtest.FaultCount{{Fault: attack, Count: 1}}},
		Deliveries:  loadtest.Deliveries{Expected: math.MaxUint64, Received: 1},
		Latency:     bad,
		Broadcasts:  []loadtest.Broadcast{{Topic: attack, At: nan, Received: 1, First: nan, Last: inf}},
		Topics:      []loadtest.TopicCount{{Topic: attack, Missing: 1}},
		Troubles:    []loadtest.Trouble{{Topic: attack, Kind: attack}},
		Cohorts:     []loadtest.Cohort{{Name: attack, Note: attack, Seconds: nan}},
		Publisher:   loadtest.Published{URL: attack, Pace: attack, MaxLate: nan},
		Server:      loadtest.ServerSide{Processes: 1, IdlePerConn: nan, EndPerConn: inf, CPUSeconds: nan, OpenCPU: inf, CPUPerDeliver: inf, Metrics: map[string]float64{attack: nan}},
		Kernel:      loadtest.KernelSide{Slab: -5 << 20, KernelPerConn: nan, ConntrackPerConn: inf},
		Client:      loadtest.ClientSide{Processes: 1, CPUSeconds: nan, CPUShare: inf, MachineCPU: nan, RSSPerConn: nan, LoopLag: bad},
		Timeline: []loadtest.Second{{At: nan, Phase: attack, Open: 5}, {At: 1, Phase: attack, Open: -5, P50: nan, ServerCPU: inf, ServerRSS: -1},
			{At: 2, Phase: attack, Open: 1, P50: 1e-300, P99: 1e300, ServerCPU: nan, ServerRSS: 1, LoopLag: 1e-9}},
	}
}

// long returns the timeline of a run of n seconds with a phase change each minute.
func long(n int) (t []loadtest.Second) {
	for i := range n {
		f := float64(i%97) + 0.123456
		t = append(t, loadtest.Second{At: float64(i + 1), Phase: fmt.Sprint("phase ", i/60%2), Open: i * 17, Subscribed: i * 16, Opened: i % 89, Published: uint64(i % 7),
			Deliveries: uint64(i * i % 7919), P50: f, P99: 10 * f * float64(i%3), P999: 1000 * f, ServerRSS: int64(i) << 20, ServerCPU: f / 10, ClientCPU: f / 20, LoopLag: f / 30})
	}
	return t
}
