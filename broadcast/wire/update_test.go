package wire

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func TestDataFrames(t *testing.T) {
	for _, c := range []struct {
		name, topic, payload string
		seq                  uint64
		update, snapshot     string
	}{
		{"object", "px.AAPL", `{"b":189.12}`, 918302,
			`{"t":"px.AAPL","s":918302,"d":{"b":189.12}}`,
			`{"t":"px.AAPL","s":918302,"k":"snap","d":{"b":189.12}}`},
		{"raw bytes stay", "q", "[1 ,\t2]", 1, "{\"t\":\"q\",\"s\":1,\"d\":[1 ,\t2]}", "{\"t\":\"q\",\"s\":1,\"k\":\"snap\",\"d\":[1 ,\t2]}"},
		{"null", "q", `null`, 1, `{"t":"q","s":1,"d":null}`, `{"t":"q","s":1,"k":"snap","d":null}`},
		{"largest sequence", "q", `0`, math.MaxUint64,
			`{"t":"q","s":18446744073709551615,"d":0}`, `{"t":"q","s":18446744073709551615,"k":"snap","d":0}`},
		{"HTML stays", "a&b<", `"<&>"`, 1, `{"t":"a&b<","s":1,"d":"<&>"}`, `{"t":"a&b<","s":1,"k":"snap","d":"<&>"}`},
		{"quotes in the topic", `a"\b`, `0`, 1, `{"t":"a\"\\b","s":1,"d":0}`, `{"t":"a\"\\b","s":1,"k":"snap","d":0}`},
		{"text becomes a string", "q", "hello \"w\"\n", 1, `{"t":"q","s":1,"d":"hello \"w\"\u000a"}`, `{"t":"q","s":1,"k":"snap","d":"hello \"w\"\u000a"}`},
		{"nothing becomes an empty string", "q", "", 1, `{"t":"q","s":1,"d":""}`, `{"t":"q","s":1,"k":"snap","d":""}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			data, _, ok := PayloadJSON.Data([]byte(c.payload), 64)
			if !ok {
				t.Fatal("payload refused")
			}
			u := &Update{Topic: c.topic, Prefix: Prefix(c.topic), Seq: c.seq}
			for form, want := range []string{c.update, c.snapshot} {
				if got, err := payloadOf(AppendUpdate(nil, u, Form(form), data)); err != nil || string(got) != want {
					t.Errorf("got  %s (%v)\nwant %s", got, err, want)
				}
			}
		})
	}
}

func TestLosslessUpdatesCarryThePreviousSequence(t *testing.T) {
	u := &Update{Prefix: Prefix("q"), Seq: 7, Prev: math.MaxUint64, Lossless: true}
	for form, want := range []string{`{"t":"q","s":7,"p":18446744073709551615,"d":1}`, `{"t":"q","s":7,"k":"snap","d":1}`} {
		if got, err := payloadOf(AppendUpdate(nil, u, Form(form), []byte("1"))); err != nil || string(got) != want {
			t.Errorf("got  %s (%v)\nwant %s", got, err, want)
		}
	}
}

func TestBinaryFrames(t *testing.T) {
	u := &Update{Topic: "px.A", Seq: 0x0102030405060708, Prev: 7, JSON: true}
	for form, want := range []string{
		"\x82\x1d\x01\x01\x04\x00\x00\x00\x00\x00\x08\x07\x06\x05\x04\x03\x02\x01\x07\x00\x00\x00\x00\x00\x00\x00px.A1",
		"\x82\x1d\x02\x01\x04\x00\x00\x00\x00\x00\x08\x07\x06\x05\x04\x03\x02\x01\x07\x00\x00\x00\x00\x00\x00\x00px.A1",
	} {
		if got := AppendBin(nil, u, Form(form), []byte("1")); string(got) != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

// The length of the header changes at 126 and 65536 bytes of payload.
func TestDataFrameLengths(t *testing.T) {
	u := &Update{Topic: "q", Prefix: Prefix("q"), Seq: 1}
	overhead := len(`{"t":"q","s":1,"d":""}`)
	for _, size := range []int{overhead, 125, 126, 127, 65535, 65536, 1 << 20} {
		data := []byte(`"` + strings.Repeat("x", size-overhead) + `"`)
		got, err := payloadOf(AppendUpdate(nil, u, FormUpdate, data))
		if err != nil || len(got) != size || !bytes.Contains(got, data) {
			t.Errorf("payload of %d bytes was framed as %d bytes (%v)", size, len(got), err)
		}
		if got, err := payloadOf(AppendUpdate(nil, u, FormSnapshot, data)); err != nil || !bytes.Contains(got, data) {
			t.Errorf("snapshot of %d bytes: %v", size, err)
		}
	}
}

func TestFramesAllocateOnce(t *testing.T) {
	u, data := &Update{Topic: "px.AAPL", Prefix: Prefix("px.AAPL"), Seq: 918302, Prev: 918301, Lossless: true}, []byte(`{"b":1}`)
	for name, build := range map[string]func(){
		"JSON":   func() { AppendUpdate(nil, u, FormUpdate, data) },
		"binary": func() { AppendBin(nil, u, FormUpdate, data) },
		"raw":    func() { TextFrame(data) },
	} {
		if n := testing.AllocsPerRun(100, build); n != 1 {
			t.Errorf("a %s frame takes %v allocations, want 1", name, n)
		}
	}
}
