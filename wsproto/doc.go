// Package wsproto is the WebSocket protocol (RFC 6455, https://www.rfc-editor.org/rfc/rfc6455) as pure functions over
// bytes: the opening handshake with the part of HTTP/1.1 that it needs (RFC 9110, RFC 9112), frames, messages, close
// codes, and compression (permessage-deflate, RFC 7692). It does no I/O, starts no goroutine, and knows no clock.
//
// A server hands what it read to [ParseRequest] until the request is whole, asks [Request.CheckUpgrade] and, if it
// compresses, [Request.Deflate], answers with [AppendUpgrade], and from then on hands what it reads to its [Decoder]:
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
// # The contract
//
//   - ParseX(b) returns x, the number of bytes that x took, and an error. n == 0 without an error means "the same bytes
//     and more, please". Bytes behind n are not looked at.
//   - AppendX(dst, x) appends to dst, cannot fail, and allocates only if dst is too short.
//   - Nothing is answered behind the caller's back: a ping is a [Message], and the pong is the caller's to send.
//   - Slices in results point into the input. Decoder unmasks in place, so it changes its input; nothing else does.
//   - Errors are values to compare with: a [*ProtocolError] for each rule of the framing, with the close code to send, a
//     [*RequestError] for each rule of the handshake, with the HTTP status. They come with the first byte that shows
//     them, and are the same however the stream was cut.
//   - No input makes this package panic, or hold more than the configured limit plus one control frame, and an eighth of
//     the limit for a message that compressing has made longer. An Inflater holds about three times the limit while it is at
//     work, and once until the next message.
//   - docs/strictness.md lists the rules of the RFCs one by one, with the test that holds each; TestStrictness holds the list.
//   - Nothing is shared between values but what says so, so any number of goroutines may work, each on its own Decoder.
//
// # Why
//
// A Decoder is one pointer. Nearly all frames of clients are small and arrive whole, so nearly all decoders hold nothing
// nearly all the time, and there may be a million. State for a cut frame, 96 bytes and a buffer, is allocated when that
// happens and given up when the message is complete, before the caller sees it: nothing lingers until the next message.
//
// A control frame that comes cut between fragments is collected behind the message's bytes in the same buffer, and taken
// off again. A second buffer for the rare case of the rare case would make the state larger for all cases.
//
// The collecting buffer doubles with what has arrived, and is never made from the length in a header: a header costs an
// attacker 14 bytes. For the last frame of a message it ends at the exact size.
//
// UTF-8 is checked by an own automaton and not by unicode/utf8, since text is judged as it arrives: its state is one byte
// that lives from frame to frame. Eight ASCII bytes take one step; the rest takes one table load and one shift a byte.
// BenchmarkUTF8 holds it against utf8.Valid.
//
// Extensions are read and checked against their grammar (the RFC demands it); of them permessage-deflate is known. RSV1 has
// one place to be judged in, Decoder.check.
//
// (De)compressors are borrowed for one message. One that is tied to a connection would take 37 KB to inflate and 0.8 to 1.1
// MB to deflate (BenchmarkDeflateMemory), a thousand times what the connection takes. A connection with context takeover
// has its window kept instead, at most 2^bits bytes in each direction, and the borrowed one begins with it: that costs time
// for each message, up to 80 us for a window of 32 KiB, less for a smaller one (BenchmarkDeflate). A broadcast goes without
// context takeover, and its frame is compressed once for all.
//
// An Inflater is named in the Config and not pooled: its output is handed out as the message, so somebody must know when it
// is used up, and that is the goroutine whose decoders share it.
//
// A compressed message is inflated when its last byte is there, not as it arrives: the library reads from a stream and
// cannot stop in the middle of one, and an inflater held for each unfinished message would be what an attacker asks for.
// Text in it is judged while it is inflated. How much work a message can make is bounded by its size on the wire and by
// Config.MaxMessage; the worst that was found is about 110 ns a byte, blocks that are nothing but tables
// (BenchmarkInflateWorst).
//
// ParseRequest begins anew with each call instead of keeping a state. The head is bounded, a request nearly always
// arrives whole, and a million connections need no parser state. A client that sends byte by byte costs a scan of at most
// RequestLimits.MaxBytes per byte, less than the system call that brought it.
//
// The HTTP part is stricter than RFC 9112 asks where leniency is how requests are smuggled past proxies: no bare LF, no
// folded lines, no repeated singletons, no body at all, no target but origin-form, no Host that is empty or not a host.
// It is laxer in one point: browsers leave [ ] { } | \ ^ ` unescaped in targets, so those pass, though RFC 3986 has no
// place for them. Raw non-ASCII bytes in a target do not pass. Percent-encoding is left to who routes.
//
// Several lines of a list header cannot be joined without memory. Of the two lists that matter here all lines are kept;
// of the others the one that does least harm: see [Request].
package wsproto
