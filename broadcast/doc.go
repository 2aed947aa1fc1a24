// Package broadcast turns the messages of [topics.Hub] into frames of subscribers: subscriptions, fan-out, snapshots and the
// commands of clients. It knows no socket: it writes to an [Outlet], which package eventloop implements.
//
// # Layout
//
// The list runs from the bottom to the top: a file uses those above it. Only the last group knows the shard; the values
// before it are parts that the shard owns.
//
//	owner.go       the check that a value stays on its goroutine; slottable.go: a table by slot; config.go: the limits
//	dirty.go       topics that are owed, as a set; backlog.go: the debt to a slow client
//	slow.go        the slow clients, and their bytes
//	subscriber.go  a connection as its shard sees it
//	filter.go      a topic or pattern with its subscribers; filters.go: all of them; matches.go: the topics that they match
//	growth.go      a new pattern finds its topics
//	holdings.go    the subscriptions of one subscriber
//	pace.go        new names of each connection
//	joiner.go      frames one behind the other; compress.go: the frame of a message for a subscriber
//	batch.go       the messages that were gathered and are not written yet
//	fanout.go      the walk of one message over its subscribers
//	alarm.go       a wake-up at a time; tiers.go: topics at a slower pace
//	inbox.go       messages before their fan-out; parked.go: commands that wait, or are under way; places.go: how far the feeds have come
//
//	shard.go       Shard: the subscribers of one event loop; members.go: join and leave
//	linger.go      topics that are kept between polls
//	owe.go         a client that falls behind; flush.go: the write; writable.go: a socket that has drained
//	authorize.go   the topics that a client may read and publish to
//	subscribe.go   a subscription begins, changes its rate and ends; resume.go: its answer, snapshot and missed messages
//	list.go        answers in pages; running.go: commands that name many topics, in shares
//	events.go      the cursors of clients of Server-Sent Events; poll.go: polls, and their answers
//	pub.go         messages of clients
//	apply.go       the commands of clients
//	walk.go        a fan-out: a message is gathered for its subscribers; drain.go: the slices of work
//	shards.go      Shards: all shards over one hub; check.go: their tables held together, for tests
//
// # Rules
//
//   - A Shard belongs to one event loop: every method but Wake is called there. It holds no lock of the hub's.
//   - A message is framed once, and compressed once for each size of window in use. All subscribers of all
//     shards share the same immutable bytes.
//   - Every queue has a bound. The overflow is conflated to the newest message of its topic. Where every message matters, it
//     is told as a gap, or ends the client with a cursor to come back with. It is counted, and never silent.
//
// # Why
//
// A shard holds all that it needs to deliver without asking the hub: the newest message per topic and dense lists of
// subscribers. The hub's mutex is taken once per message and never per delivery.
//
// A subscriber and a filter know each other by position, both ways. Leaving then costs the subscriber's own topics, and never a
// search through a topic of a million subscribers.
//
// A drain first gathers: it walks every message over its subscribers, which costs some nanoseconds each. Only then it writes
// to each of them all that has come together, which costs microseconds. Subscribers that are owed the same messages share the
// bytes that are written: the messages gathered for one are a path in a tree, and the walk of a message moves all
// subscribers at the same place to the same next place. Messages that come while the writes go on are gathered between slices. Subscribers
// whose turn is still to come get them with the same write, and no subscriber waits for a batch to be full. A loop that is behind
// leaves out the values that a newer one in the same write replaces: the age of a value then has a bound, and not the queue.
// Small writes are handed to the outlet in groups of up to sixteen: for frames that are to be encrypted it is worth doing one kind of work for
// all of them before the next kind. Nothing else happens between the turns of a group and its writes, and what a socket refuses is owed after
// them.
// Subscribers that are owed a large message have their turns behind those of the others, since such a write takes as long as a hundred.
//
// A message is compressed when the first subscriber with a window is written to, not when it comes: a frame that no client
// reads costs nothing. A payload that fits into all windows in question makes one frame for all of them.
//
// Clients of events and polls are told cursors behind all that a write contains. No state of the client is needed for that: all that
// the shard has walked is written with a client's turn, but for the message of a walk that has not come to it, and for its backlog.
// A place of the shard counts a message of ModeLast only once all that was taken with it is walked, if the mailbox may have put it in
// place of an older one.
//
// A subscriber that is reached by several of its filters is written to once per message: each fan-out stamps its subscribers.
//
// A command that needs the past of a stream is parked: its client is no subscriber until the stream has answered, or not within
// parkedPatience. So the answer comes before the first message, and nothing has to be sorted afterwards. A command with a cursor
// or with lossless topics also waits until the shard has delivered all that the hub had posted when the command raised its
// interests: its topics then begin at one position, behind which nothing is missing and before which nothing comes.
//
// A command that names many topics is carried out in shares, between which the loop serves everybody else. Meanwhile its client is
// treated like one with a full socket: messages of the topics that it holds already are owed, and follow the last page of the answer.
// So a share needs no order of its own among the messages. A new pattern has no subscriber until it has found its topics, a share of them
// at a time: the interest in it is raised before, so the messages of topics that it has not come to are in the snapshots of the topics.
package broadcast
