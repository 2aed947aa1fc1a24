// Package feed publishes messages to NATS at a pace: the ticks of a load test, or a made-up stock market for the server's
// demo. It knows neither WebSockets nor the receivers of the messages.
//
// # Layout
//
//	pace.go        when messages are due
//	publisher.go   messages of a source to NATS, at a pace
//	symbol.go      a stock or currency pair: its name, and the random walk of its price
//	market.go      a few hundred symbols as a source
//
// # Why
//
// Why due times follow from the start alone: a publisher that waits after each message falls behind by every delay, and
// hides the stalls of the server that it is to reveal.
package feed
