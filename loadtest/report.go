package loadtest

import (
	"time"

	"tickcast/loadtest/fleet"
	"tickcast/loadtest/machine"
)

// A Report is a run in figures. tickload -json writes its JSON form: names are stable, new ones may be added, durations are
// milliseconds or seconds as their names say, sizes are bytes.
type Report struct {
	Command string       `json:"command"`
	Begun   time.Time    `json:"begun"`
	Seconds float64      `json:"seconds"` // from the first connect to the last figure
	Machine machine.Host `json:"machine"`

	// Clean is set if each connection was opened, subscribed and kept, each message came to each subscriber once, whole,
	// in order and in time, and the publisher kept its pace. Reasons are the violations.
	Clean   bool     `json:"clean"`
	Reasons []string `json:"reasons"`
	// Warnings name doubtful figures: the load tester may have been the bottleneck.
	Warnings []string `json:"warnings"`

	Connections Connections  `json:"connections"`
	Deliveries  Deliveries   `json:"deliveries"`
	Latency     Distribution `json:"latency"`    // from the intended time of sending until a probe had read it
	Ages        Distribution `json:"ages"`       // of the values that probes held while a newer one was published, sampled every 100 ms
	Broadcasts  []Broadcast  `json:"broadcasts"` // each message, if there were at most MaxBroadcasts and all clients were open before
	Topics      []TopicCount `json:"topics"`     // topics with trouble first, then the busiest; at most MaxTopics
	Troubles    []Trouble    `json:"troubles"`   // examples, at most MaxTroubles
	Cohorts     []Cohort     `json:"cohorts"`
	Publisher   Published    `json:"publisher"`
	Server      ServerSide   `json:"server"`
	Kernel      KernelSide   `json:"kernel"`
	Client      ClientSide   `json:"client"`
	Timeline    []Second     `json:"timeline"`
}

// Bounds of a Report's lists.
const (
	MaxBroadcasts = fleet.MaxBroadcasts
	MaxTopics     = 50
	MaxTroubles   = fleet.MaxTroubles
)

// Connections counts the connections by their fate.
type Connections struct {
	URLs       []string     `json:"urls"`
	Wanted     int          `json:"wanted"`
	Opened     int          `json:"opened"` // ever, each client once
	Subscribed int          `json:"subscribed"`
	Open       int          `json:"open"` // when the run ended, before the load tester closed them
	Failed     int          `json:"failed"`
	Lost       int          `json:"lost"`     // not ended by the load tester, and against the cohort's contract
	Reopened   int          `json:"reopened"` // by churn and storms
	Seconds    float64      `json:"seconds"`  // until the last was open
	PerSecond  float64      `json:"per_second"`
	Pings      uint64       `json:"pings"`
	Connect    Distribution `json:"connect"` // from connect(2) to the 101
	Faults     []FaultCount `json:"faults"`
}

// A FaultCount is a kind of error and its number.
type FaultCount struct {
	Fault string `json:"fault"`
	Count int    `json:"count"`
}

// Deliveries counts messages on their way to subscribers: one message to n subscribers is n deliveries.
type Deliveries struct {
	Expected   uint64 `json:"expected"`
	Received   uint64 `json:"received"` // expected ones that came
	Missing    uint64 `json:"missing"`
	Doubled    uint64 `json:"doubled"`
	OutOfOrder uint64 `json:"out_of_order"`
	Corrupted  uint64 `json:"corrupted"`
	Misrouted  uint64 `json:"misrouted"` // came to a client that had not subscribed to the topic
	Late       uint64 `json:"late"`      // later than the plan's bound
	Conflated  uint64 `json:"conflated"` // replaced by a newer one, as the topic's contract allows
	Unknown    uint64 `json:"unknown"`   // data messages that this run did not publish
	Messages   uint64 `json:"messages"`  // all text and binary messages
	Bytes      uint64 `json:"bytes"`     // their payloads
}

// A Distribution is durations in milliseconds.
type Distribution struct {
	Count       int64        `json:"count"`
	Mean        float64      `json:"mean_ms"`
	Min         float64      `json:"min_ms"`
	P50         float64      `json:"p50_ms"`
	P90         float64      `json:"p90_ms"`
	P99         float64      `json:"p99_ms"`
	P999        float64      `json:"p99_9_ms"`
	Max         float64      `json:"max_ms"`
	Percentiles []Percentile `json:"percentiles,omitempty"` // for a plot, rising
}

// A Percentile is a point of a distribution.
type Percentile struct {
	Percent float64 `json:"percent"` // 0 to 100
	Millis  float64 `json:"ms"`
}

// A Broadcast is one message and its deliveries.
type Broadcast struct {
	Topic    string  `json:"topic"`
	Seq      uint32  `json:"seq"`
	At       float64 `json:"at_seconds"` // intended time of sending, since the run's begin
	Expected uint64  `json:"expected"`
	Received uint64  `json:"received"`
	First    float64 `json:"first_ms"` // first and last arrival after the intended time
	Last     float64 `json:"last_ms"`
}

// A TopicCount is the deliveries of one topic.
type TopicCount struct {
	Topic       string `json:"topic"`
	Subscribers int64  `json:"subscribers"`
	Published   uint32 `json:"published"`
	Received    uint64 `json:"received"`
	Missing     uint64 `json:"missing"`
	Doubled     uint64 `json:"doubled"`
	OutOfOrder  uint64 `json:"out_of_order"`
	Conflated   uint64 `json:"conflated"`
}

// A Trouble is one failed delivery.
type Trouble struct {
	Client int    `json:"client"`
	Topic  string `json:"topic"`
	Seq    uint32 `json:"seq"`   // of the message
	Count  uint32 `json:"count"` // of messages from Seq on
	Kind   string `json:"what"`  // "missing", "doubled", "out of order", "corrupted", "misrouted", "late"
}

// A Cohort is a share of the clients that behaves differently, or an event that such a share went through.
type Cohort struct {
	Name    string  `json:"name"` // "slow", "half-open", "churn", "storm"
	Clients int     `json:"clients"`
	Ended   int     `json:"ended"`   // connections that the server ended, as it may
	Seconds float64 `json:"seconds"` // storm: until all were back; half-open: mean time until they were ended
	Note    string  `json:"note"`
}

// Published is the publisher's part of the run.
type Published struct {
	URL     string  `json:"url"` // of NATS; "" if the run did not publish
	Topics  int     `json:"topics"`
	Sent    uint64  `json:"sent"`
	Failed  uint64  `json:"failed"`
	Skipped uint64  `json:"skipped"`
	MaxLate float64 `json:"max_late_ms"` // longest delay of a message after its intended time
	Payload int     `json:"payload"`     // bytes
	Pace    string  `json:"pace"`
}

// ServerSide is the servers' processes, those that are on this machine.
type ServerSide struct {
	Processes     int                `json:"processes"`
	EmptyRSS      int64              `json:"empty_rss"` // of all, before the first connection
	IdleRSS       int64              `json:"idle_rss"`  // when all clients were open and subscribed, before the first message
	EndRSS        int64              `json:"end_rss"`
	PeakRSS       int64              `json:"peak_rss"`
	IdlePerConn   float64            `json:"idle_rss_per_connection"` // over the empty servers
	EndPerConn    float64            `json:"end_rss_per_connection"`
	CPUSeconds    float64            `json:"cpu_seconds"` // since the first connection
	OpenCPU       float64            `json:"open_cpu_seconds"`
	PublishCPU    float64            `json:"publish_cpu_seconds"` // from the first message to the last delivery
	CPUPerDeliver float64            `json:"cpu_us_per_delivery"`
	Metrics       map[string]float64 `json:"metrics"` // from /metrics, all servers and labels added up: the growth of counters, the last values of gauges
}

// KernelSide is the cost of connections in the kernel of this machine: of both ends, if the server is here too.
type KernelSide struct {
	Slab               int64   `json:"slab"`      // growth from before the first connection until all were open
	Available          int64   `json:"available"` // the loss of MemAvailable, which counts a part of the slab as available
	SlabPerConn        float64 `json:"slab_per_connection"`
	KernelPerConn      float64 `json:"kernel_per_connection"`      // the loss of MemAvailable beyond the processes' memory
	TCPMemoryPerConn   float64 `json:"tcp_memory_per_connection"`  // buffers, from /proc/net/sockstat
	ConntrackPerConn   float64 `json:"conntrack_per_connection"`   // entries
	SocketsBothEnds    bool    `json:"both_ends"`                  // the server is on this machine
	DescriptorsPerHost int64   `json:"open_descriptors_this_host"` // /proc/sys/fs/file-nr at its highest
}

// ClientSide is the load tester itself.
type ClientSide struct {
	Processes  int          `json:"processes"` // that hold connections
	Workers    int          `json:"workers"`
	CPUSeconds float64      `json:"cpu_seconds"`
	CPUShare   float64      `json:"cpu_share"` // of one core, of the busiest process in its busiest second, 0 to its workers
	RSS        int64        `json:"rss"`
	EmptyRSS   int64        `json:"empty_rss"`
	RSSPerConn float64      `json:"rss_per_connection"` // growth, without pages of the program, which its processes share
	LoopLag    Distribution `json:"loop_lag"`           // from epoll's report of a batch of events until its last was handled
	MachineCPU float64      `json:"machine_cpu"`        // share of all cores that were busy in the busiest second, 0 to 1
}

// A Second is a second of a run.
type Second struct {
	At         float64 `json:"at"`    // seconds since the run began
	Phase      string  `json:"phase"` // "opening", "idle", "publishing" or "holding", "settling"
	Open       int     `json:"open"`
	Subscribed int     `json:"subscribed"`
	Opened     int     `json:"opened"`    // in this second, reopened ones too
	Published  uint64  `json:"published"` // messages in this second
	Deliveries uint64  `json:"deliveries"`
	Bytes      uint64  `json:"bytes"`
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
	P999       float64 `json:"p99_9_ms"`
	ServerRSS  int64   `json:"server_rss"`
	ServerCPU  float64 `json:"server_cpu"` // cores
	ClientCPU  float64 `json:"client_cpu"` // cores
	LoopLag    float64 `json:"loop_lag_ms"`
}

// Progress is a run as it goes on, for a live view.
type Progress struct {
	Second       // the last one
	Wanted   int // connections
	Failed   int
	Lost     int
	Behind   int64        // owed deliveries that have not come
	Received uint64       // deliveries since the begin
	Until    float64      // remaining seconds of this phase, 0 if that is not known
	Latency  Distribution // since the begin
	Faults   []FaultCount
	Troubles Deliveries
}
