package main

import "tickcast/loadtest"

const usage = `Usage:
  tickload -url ws://HOST:PORT/PATH [flags]

Opens WebSocket connections, subscribes each of them, publishes through NATS if told to,
and accounts for every message of every client. The exit status is 0 for a clean run,
1 for one that is not, 2 for a command line that makes no sense.

Connections
  -url URL            the server's stream, ws:// or wss://; several separated by commas;
                      a port may be a range: ws://127.0.0.1:8000-8053/stream
  -conns N            connections to open (1000)
  -ramp N             connections started a second, also as 20000/s; 0 = as fast as
                      they open (5000)
  -steps LIST         interruptions of the ramp, as in 10000:30s,50000:1m
  -inflight N         connections being opened at the same time, at most (256)
  -timeout DURATION   how long one connection may take to open (10s)
  -source LIST        local addresses to connect from, and prefixes such as
                      10.0.0.16/28; without it 127.0.0.2 and so on for a server on
                      loopback, the host's own addresses for others, when one's ports
                      do not suffice
  -processes N        that hold the connections; 0 = as many as the limit of open files
                      asks for (0)
  -workers N          threads of each that share the connections; 0 = one a CPU, or
                      one if there are several processes (0)
  -insecure           do not check the certificates of wss servers
  -ca FILE            PEM file of who signed them
  -origin ORIGIN      the Origin header field

Subscriptions
  -topics LIST        topics, separated by commas and dealt out in turn; a range in
                      braces stands for several: px.{1-300} (px.AAPL)
  -per-conn N         topics of each connection (1)
  -zipf X             draw the topics of a connection, the first ones more often, with
                      this exponent
  -subscribe TEXT     the message sent once a connection is open; {i} is replaced by
                      the connection's number, {topic} by its topics
                      (` + loadtest.DefaultSubscribe + `)
  -ack TEXT           what the answer to it contains; without it Tickcast's ack, or none
                      if -subscribe is no command of Tickcast
  -answer IN=OUT      sends OUT whenever the message IN comes, for servers that ping with
                      messages; \n and \r stand for line ends here and in -subscribe
  -subprotocol LIST   offered in the handshake; - for none (tickcast.v1.json)

Phases: open, idle, publish, settle
  -idle DURATION      hold the connections with nothing published (0s)
  -hold DURATION      how long to publish, or just to hold; 0 = until -messages are
                      published, or else until interrupted (10s)
  -settle DURATION    how long to wait for what is owed while nothing comes (10s)

Publishing
  -nats URL           publish through this NATS server; without it nothing is published
  -rate N             messages a second over all topics, also as 10/s (10)
  -bell               ten times -rate at first, fading within 10 s, as when a market opens
  -messages N         stop after so many
  -payload N          bytes of a message; at least about 100 (128)
  -subject TEXT       the NATS subject; {topic} is replaced ({topic})
  -zipf-topics X      draw the topics published on, with this exponent; without it in turn
  -early              publish from before the first connection on
  -lossless           subscribers are owed each message; without it a newer one may
                      replace older ones
  -max-latency D      a delivery that takes longer makes the run unclean
  -probes N           connections, chosen at random, whose latencies are recorded;
                      0 = all (1000)

Cohorts, as shares of the connections such as 1% or 0.01
  -slow SHARE         read slowly
  -slow-rate N        bytes a second that they read (1024)
  -half-open SHARE    neither read nor answer pings
  -churn N            connections a second that leave and come back, also as 100/s
  -storm LIST         SHARE@DURATION: so many leave at once, so long into the publishing
                      phase, within -hold, and come back; as in 100%@5s

Report
  -pid LIST           processes of the servers; without it those that listen at -url
  -metrics LIST       URLs of the servers' /metrics
  -json FILE          write the report as JSON; - for stdout instead of the summary
  -html FILE          write the report as a page
  -quiet              no progress
  -pause DURATION     let arrivals collect for so long; on the server's own machine it
                      takes less of the CPU, at the price of exact times (0s)

Servers to start
  -server PROGRAM     start as many Tickcast servers as -conns and the limit of open files
                      ask for, on 127.0.0.1, all fed by one NATS server, and run against
                      those instead of -url and -nats; TICKCAST_ variables reach them

Examples:
  tickload -url ws://127.0.0.1:8080/stream -conns 10000 -hold 60s
  tickload -url ws://127.0.0.1:8080/stream -nats nats://127.0.0.1:4222 \
      -topics px.{1-300} -conns 10000 -rate 1000/s -hold 60s -html report.html
  tickload -url ws://10.0.0.1:8080/stream -conns 1000000 -ramp 20000/s \
      -source 10.0.1.0/27
`

// options are the parsed command line.
type options struct {
	plan       loadtest.Plan
	json, html string
	quiet      bool
	server     string
}
