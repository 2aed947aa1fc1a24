package wire

// Codec is the format of a client's messages: its subprotocol, or its transport where that has none.
type Codec uint8

const (
	CodecJSON Codec = iota // tickcast.v1.json: the payload in a JSON envelope, text frames
	CodecBin               // tickcast.v1.bin: the payload after a fixed header, binary frames; all other messages as with JSON
	CodecRaw               // tickcast.v1.raw: the payloads of one topic, and no other message

	CodecEvents   // Server-Sent Events without an id
	CodecEventIDs // Server-Sent Events, each with the cursor behind it
	CodecPoll     // elements of a JSON array, each with a comma behind it

	Codecs     = 6
	WebSockets = 3 // codecs of WebSockets, the first ones
)

// Events reports whether c is of Server-Sent Events.
func (c Codec) Events() bool { return c == CodecEvents || c == CodecEventIDs }

// Binary reports whether c carries payloads that are no text.
func (c Codec) Binary() bool { return c == CodecBin || c == CodecRaw }

var subprotocols = [WebSockets]string{"tickcast.v1.json", "tickcast.v1.bin", "tickcast.v1.raw"}

// Subprotocols returns the names of the codecs, as clients offer them.
func Subprotocols() []string { return append([]string{}, subprotocols[:]...) }

// CodecOf returns the codec of a subprotocol. A client without a subprotocol gets JSON.
func CodecOf(subprotocol string) Codec {
	for c, name := range subprotocols {
		if name == subprotocol {
			return Codec(c)
		}
	}
	return CodecJSON
}
