package topics

import (
	"bytes"
	"testing"

	"tickcast/broadcast/wire"
)

func TestMessagesKeepTheirPayload(t *testing.T) {
	topic := &Topic{Name: "px.AAPL", prefix: wire.Prefix("px.AAPL"), Class: new(Class)}
	for _, payload := range []string{`{"b":189.12}`, "[1 ,\t2]", "null", "0", `"<&>"`, "hello \"w\"\n", ""} {
		data, _, _ := wire.PayloadJSON.Data([]byte(payload), 64)
		m := newMessage(topic, 1, 0, data, data, 0)
		if !bytes.Equal(m.data, data) {
			t.Errorf("data = %q, want %q", m.data, data)
		}
		if first, second := m.Framed(wire.CodecJSON, wire.FormSnapshot), m.Framed(wire.CodecJSON, wire.FormSnapshot); &first[0] != &second[0] {
			t.Error("the snapshot is built each time")
		}
		data[0] = 'X'
		if m.data[0] == 'X' {
			t.Error("the message shares the payload's bytes")
		}
	}
}
