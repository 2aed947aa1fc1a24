package wsproto

import (
	"strings"
	"testing"
)

var (
	free   = DeflatePolicy{ServerTakeover: true, ClientTakeover: true}
	shared = DeflatePolicy{}
	small  = DeflatePolicy{ServerWindowBits: 10, ClientWindowBits: 9, ServerTakeover: true, ClientTakeover: true}
)

// offers are the Sec-WebSocket-Extensions of clients with their answers; "" = no answer.
var offers = []struct {
	policy DeflatePolicy
	offer  string // field lines, separated by |
	answer string
}{
	{free, "permessage-deflate", "permessage-deflate"},
	{free, "permessage-deflate; client_max_window_bits", "permessage-deflate"},
	{free, "permessage-deflate; client_max_window_bits=15", "permessage-deflate; client_max_window_bits=15"},
	{free, "permessage-deflate; client_max_window_bits=9", "permessage-deflate; client_max_window_bits=9"},
	{free, "permessage-deflate; server_max_window_bits=8", "permessage-deflate; server_max_window_bits=8"},
	{free, "permessage-deflate; server_max_window_bits=15", "permessage-deflate; server_max_window_bits=15"},
	{free, `permessage-deflate; server_max_window_bits="1\0"`, "permessage-deflate; server_max_window_bits=10"},
	{free, "permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover"},
	{free, "permessage-deflate; client_no_context_takeover", "permessage-deflate; client_no_context_takeover"},
	{free, "permessage-deflate ;server_no_context_takeover\t; client_no_context_takeover ;server_max_window_bits = 12; client_max_window_bits=11",
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=11"},

	// The policy for shared frames.
	{shared, "permessage-deflate; client_max_window_bits", "permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
	{shared, "permessage-deflate; server_max_window_bits=9", "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9"},

	// Windows that the server makes smaller.
	{small, "permessage-deflate; client_max_window_bits", "permessage-deflate; server_max_window_bits=10; client_max_window_bits=9"},
	{small, "permessage-deflate; server_max_window_bits=12; client_max_window_bits=8", "permessage-deflate; server_max_window_bits=10; client_max_window_bits=8"},
	{small, "permessage-deflate; server_max_window_bits=9; client_max_window_bits=14", "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9"},
	{small, "permessage-deflate", "permessage-deflate; client_no_context_takeover; server_max_window_bits=10"}, // the client cannot be asked for a smaller window

	// Declined.
	{free, "", ""},
	{free, "permessage-bzip2", ""},
	{free, "x-webkit-deflate-frame; no_context_takeover", ""},
	{free, "Permessage-Deflate", ""},
	{free, "permessage-deflate; unknown", ""},
	{free, "permessage-deflate; unknown=1", ""},
	{free, "permessage-deflate; server_no_context_takeover=1", ""},
	{free, `permessage-deflate; client_no_context_takeover="true"`, ""},
	{free, "permessage-deflate; server_max_window_bits", ""},
	{free, "permessage-deflate; server_max_window_bits=7", ""},
	{free, "permessage-deflate; server_max_window_bits=16", ""},
	{free, "permessage-deflate; server_max_window_bits=0", ""},
	{free, "permessage-deflate; server_max_window_bits=08", ""},
	{free, "permessage-deflate; server_max_window_bits=+9", ""},
	{free, "permessage-deflate; server_max_window_bits=9a", ""},
	{free, "permessage-deflate; server_max_window_bits=100", ""},
	{free, "permessage-deflate; client_max_window_bits=7", ""},
	{free, "permessage-deflate; client_max_window_bits=16", ""},
	{free, "permessage-deflate; client_max_window_bits=1x", ""},
	{free, "permessage-deflate; server_no_context_takeover; server_no_context_takeover", ""},
	{free, "permessage-deflate; client_no_context_takeover; client_no_context_takeover", ""},
	{free, "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9", ""},
	{free, "permessage-deflate; client_max_window_bits; client_max_window_bits=9", ""},

	// Several offers: the first acceptable one counts.
	{free, "permessage-deflate; server_max_window_bits=10, permessage-deflate", "permessage-deflate; server_max_window_bits=10"},
	{free, "permessage-deflate; server_max_window_bits=7, permessage-deflate; client_no_context_takeover", "permessage-deflate; client_no_context_takeover"},
	{free, "permessage-foo; a=1; b, , permessage-deflate; client_max_window_bits=12", "permessage-deflate; client_max_window_bits=12"},
	{free, "foo|permessage-deflate; server_max_window_bits=1|bar, permessage-deflate; server_max_window_bits=11", "permessage-deflate; server_max_window_bits=11"},
	{free, "permessage-deflate; x, permessage-deflate; y, foo", ""},
}

func requestOffering(lines string) string {
	var fields [][2]string
	for _, l := range strings.Split(lines, "|") {
		if l != "" {
			fields = append(fields, [2]string{"Sec-WebSocket-Extensions", l})
		}
	}
	return string(AppendRequest(nil, ClientRequest{Host: "a", Key: sampleKey, Header: fields}))
}

func TestDeflateOffers(t *testing.T) {
	for _, row := range offers {
		r, _, err := ParseRequest([]byte(requestOffering(row.offer)), RequestLimits{})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.CheckUpgrade(); err != nil {
			t.Errorf("%q: %v", row.offer, err)
		}
		d := r.Deflate(&row.policy)
		got := strings.TrimPrefix(string(appendDeflateAnswer(nil, d)), "\r\nSec-WebSocket-Extensions: ")
		if got != row.answer || d.Agreed() != (row.answer != "") {
			t.Errorf("%q under %+v\nis answered  %q\nand not with %q", row.offer, row.policy, got, row.answer)
		}
		if !d.Agreed() {
			continue
		}
		if bits := d.ServerWindowBits; strings.Contains(got, serverMaxBits) != d.serverBitsNamed || bits < 8 || bits > 15 {
			t.Errorf("%q: %+v", row.offer, d)
		}
		if d.ServerTakeover == strings.Contains(got, serverNoTakeover) || d.ClientTakeover == strings.Contains(got, clientNoTakeover) {
			t.Errorf("%q: %q, but %+v", row.offer, got, d)
		}
		// The response names the agreement, if there is one.
		if out := string(AppendUpgrade(nil, r.Key, "", d)); !strings.Contains(out, "\r\nSec-WebSocket-Extensions: "+got+"\r\n\r\n") {
			t.Errorf("%q: response %q", row.offer, out)
		}
	}
	var p DeflatePolicy
	r, _, _ := ParseRequest([]byte(requestOffering("permessage-deflate, permessage-foo; a")), RequestLimits{})
	if allocs := testing.AllocsPerRun(100, func() { r.Deflate(&p) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// A client's offer, the server's answer, and the resulting agreement.
func TestDeflateAnswers(t *testing.T) {
	for _, row := range []struct {
		offer  *DeflateOffer
		field  string // the offer on the wire
		answer string // field lines, separated by |
		want   Deflate
		err    error
	}{
		{&DeflateOffer{}, "permessage-deflate", "", Deflate{}, nil},
		{&DeflateOffer{}, "permessage-deflate", "permessage-deflate", Deflate{15, 15, true, true, false, false}, nil},
		{&DeflateOffer{}, "permessage-deflate", "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9",
			Deflate{9, 15, false, false, true, false}, nil},
		{&DeflateOffer{ClientWindowBits: 15}, "permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits=10",
			Deflate{15, 10, true, true, false, true}, nil},
		{&DeflateOffer{ClientWindowBits: 9}, "permessage-deflate; client_max_window_bits=9", "permessage-deflate",
			Deflate{15, 9, true, true, false, false}, nil},
		{&DeflateOffer{ServerNoTakeover: true, ClientNoTakeover: true, ServerWindowBits: 12}, "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
			"permessage-deflate; server_no_context_takeover; server_max_window_bits=11", Deflate{11, 15, false, false, true, false}, nil},

		{nil, "", "permessage-deflate", Deflate{}, ErrResponseExtension},
		{nil, "", "foo", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{}, "permessage-deflate", "foo", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{}, "permessage-deflate", "permessage-deflate, foo", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{}, "permessage-deflate", "permessage-deflate|permessage-deflate", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{}, "permessage-deflate", "permessage-deflate;", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{}, "permessage-deflate", "permessage-deflate; foo", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{}, "permessage-deflate", "permessage-deflate; server_max_window_bits", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{}, "permessage-deflate", "permessage-deflate; server_max_window_bits=7", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{}, "permessage-deflate", "permessage-deflate; server_max_window_bits=16", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{}, "permessage-deflate", "permessage-deflate; server_max_window_bits=09", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{}, "permessage-deflate", "permessage-deflate; server_no_context_takeover=1", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{}, "permessage-deflate", "permessage-deflate; client_no_context_takeover=1", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{}, "permessage-deflate", "permessage-deflate; server_no_context_takeover; server_no_context_takeover", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{}, "permessage-deflate", "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{}, "permessage-deflate", "permessage-deflate; client_max_window_bits=15", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{ClientWindowBits: 15}, "permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{ClientWindowBits: 9}, "permessage-deflate; client_max_window_bits=9", "permessage-deflate; client_max_window_bits=10", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{ServerWindowBits: 9}, "permessage-deflate; server_max_window_bits=9", "permessage-deflate; server_max_window_bits=10", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{ServerWindowBits: 9}, "permessage-deflate; server_max_window_bits=9", "permessage-deflate", Deflate{}, ErrResponseExtension},
		{&DeflateOffer{ServerNoTakeover: true}, "permessage-deflate; server_no_context_takeover", "permessage-deflate", Deflate{}, ErrResponseExtension},
	} {
		request := string(AppendRequest(nil, ClientRequest{Host: "a", Key: sampleKey, Deflate: row.offer}))
		if want := "\r\nSec-WebSocket-Extensions: " + row.field + "\r\n\r\n"; row.offer != nil && !strings.HasSuffix(request, want) {
			t.Errorf("%+v: %q, want it to end in %q", *row.offer, request, want)
		}
		answer := string(AppendUpgrade(nil, []byte(sampleKey), "", Deflate{}))
		for _, l := range strings.Split(row.answer, "|") {
			if l != "" {
				answer = strings.Replace(answer, "\r\n\r\n", "\r\nSec-WebSocket-Extensions: "+l+"\r\n\r\n", 1)
			}
		}
		r, _, err := ParseResponse([]byte(answer), &ClientRequest{Key: sampleKey, Deflate: row.offer}, RequestLimits{})
		if err != row.err || r.Deflate != row.want {
			t.Errorf("%q answered by %q: %+v, %v; want %+v, %v", row.field, row.answer, r.Deflate, err, row.want, row.err)
		}
	}
}

// The client accepts every answer of a server to its offer, whatever the policy, and both agree on its meaning.
func TestDeflateAgreement(t *testing.T) {
	bits := []uint8{0, 8, 11, 15}
	both := []bool{false, true}
	for _, p := range []DeflatePolicy{free, shared, small, {ServerWindowBits: 8}, {ClientWindowBits: 12, ClientTakeover: true}} {
		for i := range len(bits) * len(bits) * 4 {
			offer := DeflateOffer{
				ServerWindowBits: bits[i%4], ClientWindowBits: bits[i/4%4], ServerNoTakeover: both[i/16%2], ClientNoTakeover: both[i/32],
			}
			r, _, err := ParseRequest(AppendRequest(nil, ClientRequest{Host: "a", Key: sampleKey, Deflate: &offer}), RequestLimits{})
			if err != nil {
				t.Fatal(err)
			}
			d := r.Deflate(&p)
			resp, _, err := ParseResponse(AppendUpgrade(nil, r.Key, "", d), &ClientRequest{Key: sampleKey, Deflate: &offer}, RequestLimits{})
			if err != nil {
				t.Fatalf("%+v, %+v: %v", p, offer, err)
			}
			if got := resp.Deflate; got.ServerTakeover != d.ServerTakeover || got.ServerWindowBits != d.ServerWindowBits ||
				got.ClientTakeover && !d.ClientTakeover || got.ClientWindowBits > d.ClientWindowBits {
				t.Errorf("%+v, %+v: server %+v, client %+v", p, offer, d, got)
			}
		}
	}
}
