// Package js embeds Tickcast's JavaScript client. src holds its TypeScript, and dist the one module and the types that make js builds
// from it: dist is committed, so that Go alone builds the server. The tests, by Node.js, read dist and run against real servers.
//
// # Layout
//
//	src/types.ts          messages, events, options, errors
//	src/topics.ts         patterns that cover topics
//	src/retry.ts          whether and when a client comes back
//	src/transport.ts      WebSocket, SharedWorker, Server-Sent Events, long polling
//	src/subscriptions.ts  topics, their handlers, cursors and states
//	src/connection.ts     the life of a connection
//	src/tickcast.ts       the client
//	js.go                 the module as bytes
//
// # Why
//
// The module has at most 5 KB (5,120 bytes) with brotli. That is why errors are short, why build.mjs shortens the names of fields that
// only the modules see, and why there is no class where a function does.
package js
