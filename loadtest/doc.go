// Package loadtest puts load on a Tickcast server, or another WebSocket server, and judges the outcome.
//
// Its packages: fleet has the clients of one process and their account, feed the publisher, machine the limits and costs of
// this machine, bare the yardstick, bench the benchmarks of whole servers, report the report's forms. This package is a run:
// its plan, its phases and its verdict.
//
// # The words
//
//   - Plan: the clients of a run, their topics, the messages and their pace, and the length of each phase.
//   - Run: a plan that is carried out, see [NewRun].
//   - Part: a process that holds a share of the run's clients. One process may open RLIMIT_NOFILE sockets, a run any number.
//     A part receives its plan and its orders on stdin and answers on stdout.
//   - Fleet: all clients of one process. Client: one simulated WebSocket connection. Its server, source address, topics,
//     role and time of start follow from its number in the run, so that no process needs to know of another.
//   - Role: the behaviour of a client once it is subscribed: it reads, reads slowly, or is silent like a client whose host
//     is gone. Cohort: all clients of a role. Churn, storm: clients leave and come back, at a rate or all at once.
//   - Publisher: the source of the messages in NATS. Pace: when the next message is due. Tick: a message of a run.
//   - Tape: the number of published messages of each topic, in memory that the processes of a run share.
//   - Ledger: a worker's counts of the messages that its clients received.
//   - Probe: a client whose latencies are recorded.
//   - Report: a run in figures, and whether it was clean.
//
// # Layout
//
//	metrics.go   the servers' /metrics
//	ready.go     a server's /readyz
//	report.go    a run in figures
//	figures.go   from histograms and counts to the report's types
//	plan.go      the plan of a run
//	part.go      a process with a share of the clients
//	state.go     the state of a run
//	sample.go    all figures at one moment, and the timeline
//	storm.go     churn and storms
//	phases.go    opening, idle, publishing, settling
//	judge.go     the report and the verdict
//	run.go       a run from its plan to its report
//
// # Why
//
// Why processes and not only threads: the limit of open files is per process, and often only root can raise it.
package loadtest
