// Package config holds everything that an operator can set: the keys, their sources, their rules and -print-config.
//
// # Layout
//
//	values.go       durations and sizes
//	access.go       the keys of [origin] and [auth]
//	config.go       Config: the keys and their defaults; config.toml in the top directory explains each
//	keys.go         the keys of the structs, and their values from text and from TOML
//	default.go      the configuration of a server without any source
//	classes.go      the classes of topics in the form of the hub
//	errors.go       a wrong value of a key
//	suggest.go      the name that was probably meant
//	env.go          the environment
//	flags.go        the flags
//	toml_lines.go   the line of each key in the file
//	toml.go         the file
//	rules.go        ranges, and the list of problems
//	rules_addr.go, rules_nats.go, rules_acme.go, rules_tls.go, rules_topic.go   rules of addresses, of [nats], of [tls.acme], of [tls], of classes of topics
//	authkeys.go     the files of keys of tokens
//	rules_access.go   rules of the keys of admission
//	validate.go     validate: the rules of all sections
//	warnings.go      doubts about a valid configuration
//	print.go        Print
//	load.go         Load: defaults, file, environment, flags, in this order
//
// # Rules
//
//   - A key is one struct field. Its name in the file, its default, its environment variable, its line in -print-config and
//     the test that holds config.toml to the code all come from that field.
//   - Later wins: defaults, file, environment, flags.
//   - Input that is not understood is an error: unknown keys, unknown TICKCAST_ variables, values out of range. Load reports
//     all of them together, each with its place and, if there is one, the name that was probably meant.
//
// # Why
//
// The decoder of go-toml reports the first bad value and stops, accepts LISTEN for listen, and stores 15 into a duration as
// nanoseconds. So this package uses it only to make a map of the document, and one function for each source assigns values
// to keys. The lines come from go-toml's parser, since a decoded map has no lines. That parser is in a package named
// unstable. This package uses three of its methods, and the tests of every message would show a change.
//
// Kubernetes sets variables such as TICKCAST_PORT_8080_TCP in pods beside a service named tickcast. They are recognised by
// their form and ignored; otherwise the name of a service could keep a server from starting.
package config
