// Package wsproto is the WebSocket protocol (RFC 6455, https://www.rfc-editor.org/rfc/rfc6455) as pure functions over
// bytes: the opening handshake with the part of HTTP/1.1 that it needs (RFC 9110, RFC 9112), frames, messages, status
// codes, and compression (permessage-deflate, RFC 7692). It does no I/O, starts no goroutine, and reads no clock.
//
// A server passes its input to [ParseRequest] until the request is complete. It then calls [Request.CheckUpgrade] and, if
// it compresses, [Request.Deflate], and answers with [AppendUpgrade]. All further input goes to its [Decoder]:
//
//	for len(b) > 0 {
//		m, n, err := d.Next(&cfg, b)
//		if err != nil {
//			// a *ProtocolError: send AppendClose with its Code and Reason, and close
//		}
//		b = b[n:]
//		switch m.Op {
//		case wsproto.OpText, wsproto.OpBinary: // a whole message
//		case wsproto.OpPing: // answer with AppendFrame(dst, OpPong, m.Payload)
//		case wsproto.OpClose: // answer with AppendClose(dst, m.Code, ""), and close
//		}
//	}
//
// It sends with [AppendFrame], or with a [Deflater]. A client uses [AppendRequest], [ParseResponse], [AppendMaskedFrame],
// and a Decoder with Config.Client.
//
// # Layout
//
// Each file uses only the files above it.
//
//	status.go          status codes of close frames
//	opcode.go          opcodes
//	protocolerror.go   one error for each rule of the framing
//	requesterror.go    one error for each rule of the opening handshake
//	mask.go            the masking key
//	word.go            scans of eight bytes at a time
//	utf8.go            the UTF-8 automaton
//	frame.go           frame headers; frames to send
//	deflate.go         the agreement on permessage-deflate; the LZ77 window
//	inflater.go        decompression
//	deflater.go        compressed frames to send
//	message.go         Config; messages from whole frames
//	decoder.go         messages from a stream of bytes
//	field.go           HTTP field lines and their syntax
//	request.go         the request and its fields
//	handshake.go       request heads
//	extension.go       the grammar of Sec-WebSocket-Extensions
//	negotiate.go       the server's side of permessage-deflate's negotiation
//	offer.go           the client's side of it
//	upgrade.go         the check of a request, and the answer 101
//	client.go          the client's request, and the server's response
//
// # The contract
//
//   - ParseX(b) returns x, the number of bytes that x occupies, and an error. n == 0 without an error means "call again
//     with the same bytes and more". Bytes after n are not read.
//   - AppendX(dst, x) appends to dst, cannot fail, and allocates only if dst is too short.
//   - The package never answers by itself: a ping is a [Message], and the caller sends the pong.
//   - Slices in results point into the input. Decoder changes its input, since it unmasks in place. No other function does.
//   - Errors are values to compare with: a [*ProtocolError] for each rule of the framing, with the close code to send, and a
//     [*RequestError] for each rule of the handshake, with the HTTP status. An error comes with the first byte that shows
//     it. It does not depend on where the stream was cut.
//   - No input makes this package panic. A Decoder buffers at most the configured limit and one control frame, and another
//     eighth of the limit for a message that compression made longer. An Inflater holds about three times the limit during a
//     message, and may keep a buffer as large as the limit until the next message.
//   - docs/strictness.md lists the rules of the RFCs one by one, each with its test. TestStrictness checks the list.
//   - Values share no state unless their comment says so. Any number of goroutines may work, each on its own Decoder.
//
// # Why
//
// A Decoder is one pointer, since there may be a million. Nearly all frames of clients are small and arrive whole, so
// nearly all decoders need no state. State for a cut frame, 96 bytes and a buffer, is allocated when the cut happens. It is
// released when the message is complete, before the caller sees it, so that it does not stay until the next message.
//
// A control frame that arrives cut between fragments is collected after the message's bytes in the same buffer, and then
// removed. A second buffer would enlarge the state of all connections for a very rare case.
//
// The buffer doubles with the bytes that arrive. It is never sized by the length in a header, since a header costs an
// attacker only 14 bytes. For the last frame of a message it ends at the exact size.
//
// UTF-8 has its own automaton instead of unicode/utf8, since text is checked as it arrives. Its state is one byte that is
// kept from frame to frame. Eight ASCII bytes take one step; any other byte takes one table load and one shift.
// BenchmarkUTF8 compares it with utf8.Valid.
//
// Extensions are parsed and checked against their grammar, as the RFC demands. Only permessage-deflate is implemented.
// RSV1 is checked in one place, Decoder.checkHeader.
//
// Compressors and decompressors are borrowed for one message. One for each connection would take 37 KB to inflate and 0.8
// to 1.1 MB to deflate (BenchmarkDeflateMemory), a thousand times the connection's own memory. A connection with context
// takeover keeps its window instead, at most 2^bits bytes in each direction, and the borrowed compressor starts with it.
// That costs time for each message, up to 80 us for a window of 32 KiB, less for a smaller one (BenchmarkDeflate). A
// broadcast uses no context takeover, and its frame is compressed once for all subscribers.
//
// An Inflater is named in the Config and not pooled. Its output is handed out as the message, so its user must know when the
// message is no longer needed. That user is the goroutine whose decoders share it.
//
// A compressed message is inflated after its last byte, not as it arrives: the library reads from a stream and cannot
// pause inside it. Attackers would also ask for one inflater for each unfinished message. Text in the message is checked
// while it is inflated. The size on the wire and Config.MaxMessage bound the time for one message. The worst input that was
// found costs about 110 ns a byte: blocks that contain only tables (BenchmarkInflateWorst).
//
// ParseRequest starts again with each call and keeps no state. The head is bounded, and a request nearly always arrives
// whole, so a million connections need no parser state. A client that sends byte by byte costs a scan of at most
// RequestLimits.MaxBytes for each byte, less than the system call that read it.
//
// The HTTP part is stricter than RFC 9112 where leniency lets requests be smuggled past proxies: no bare LF, no folded
// lines, no repeated singletons, no body but one that RequestLimits.Body allows, no target but origin-form, and no Host that
// is empty or not a host.
// It is laxer in one point: browsers leave [ ] { } | \ ^ ` unescaped in targets, so those pass, though RFC 3986 does not
// allow them. Raw non-ASCII bytes in a target do not pass. Percent-encoding is left to the router.
//
// Several lines of a list field cannot be joined without memory. For the two lists that matter here all lines are kept, for
// each other list its least harmful line: see [Request].
package wsproto
