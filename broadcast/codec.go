package broadcast

// A Codec is how messages are written for a client: its subprotocol.
type Codec uint8

const (
	CodecJSON Codec = iota // tickcast.v1.json: the payload in an envelope of JSON, text frames
	CodecBin               // tickcast.v1.bin: the payload behind a header of fixed layout, binary frames; the rest is as with JSON
	CodecRaw               // tickcast.v1.raw: the payload alone, of one topic; nothing else is ever sent
	codecs    = 3
)

// subprotocols are the codecs' names.
var subprotocols = [codecs]string{"tickcast.v1.json", "tickcast.v1.bin", "tickcast.v1.raw"}

// Subprotocols returns the names of the codecs, as clients ask for them.
func Subprotocols() []string { return append([]string{}, subprotocols[:]...) }

// CodecOf returns the codec of a subprotocol; a client that has agreed on none gets JSON.
func CodecOf(subprotocol string) Codec {
	for c, name := range subprotocols {
		if name == subprotocol {
			return Codec(c)
		}
	}
	return CodecJSON
}
