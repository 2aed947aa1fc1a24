package jetstream

import (
	"fmt"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast/natstest"
)

func TestSince(t *testing.T) {
	orders := []string{"ord.a 1", "ord.b 2", "ord.a 3", "ord.c 4", "ord.a 5", "ord.b 6"}
	none := jetstream.StreamConfig{}
	tests := []struct {
		name        string
		config      jetstream.StreamConfig
		subject     string
		after, upto uint64
		max         int
		want        []uint64
		complete    bool
	}{
		{"all of a subject", none, "ord.a", 0, 0, 9, []uint64{1, 3, 5}, true},
		{"all", none, "ord.*", 0, 0, 9, []uint64{1, 2, 3, 4, 5, 6}, true},
		{"after one of it", none, "ord.a", 1, 0, 9, []uint64{3, 5}, true},
		{"after another", none, "ord.a", 2, 0, 9, []uint64{3, 5}, true},
		{"up to", none, "ord.a", 0, 4, 9, []uint64{1, 3}, true},
		{"up to one of it", none, "ord.a", 1, 3, 9, []uint64{3}, true},
		{"just max", none, "ord.a", 0, 4, 2, []uint64{1, 3}, true},
		{"more than max", none, "ord.a", 0, 0, 2, []uint64{1, 3}, false},
		{"more than max of a pattern", none, "ord.>", 2, 0, 3, []uint64{3, 4, 5}, false},
		{"nothing new", none, "ord.a", 6, 0, 9, nil, true},
		{"nothing new of it", none, "ord.c", 4, 0, 9, nil, true},
		{"the future", none, "ord.a", 7, 0, 9, nil, false},

		// 3 to 6 are left
		{"limit, after the first", jetstream.StreamConfig{MaxMsgs: 4}, "ord.a", 3, 0, 9, []uint64{5}, true},
		{"limit, before the first", jetstream.StreamConfig{MaxMsgs: 4}, "ord.a", 2, 0, 9, []uint64{3, 5}, true},
		{"limit, removed", jetstream.StreamConfig{MaxMsgs: 4}, "ord.a", 1, 0, 9, []uint64{3, 5}, false},

		// 2 to 6 are left; 1 was ord.a
		{"per subject, after one of it", jetstream.StreamConfig{MaxMsgsPerSubject: 2}, "ord.a", 3, 0, 9, []uint64{5}, true},
		{"per subject, perhaps removed", jetstream.StreamConfig{MaxMsgsPerSubject: 2}, "ord.a", 0, 0, 9, []uint64{3, 5}, false},
		{"per subject, one is fewer", jetstream.StreamConfig{MaxMsgsPerSubject: 2}, "ord.c", 0, 0, 9, []uint64{4}, true},
		{"per subject, none", jetstream.StreamConfig{MaxMsgsPerSubject: 2}, "ord.x", 0, 0, 9, nil, false},

		// 4, 5, 6 are left
		{"newest, after it", jetstream.StreamConfig{MaxMsgsPerSubject: 1}, "ord.a", 5, 0, 9, nil, true},
		{"newest, before it", jetstream.StreamConfig{MaxMsgsPerSubject: 1}, "ord.a", 2, 0, 9, []uint64{5}, false},
		{"newest, all after", jetstream.StreamConfig{MaxMsgsPerSubject: 1}, "ord.*", 4, 0, 9, []uint64{5, 6}, true}, // no holes
	}
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"x"}})
	for _, direct := range []bool{true, false} {
		for i, tt := range tests {
			t.Run(fmt.Sprintf("%s, direct %v", tt.name, direct), func(t *testing.T) {
				tt.config.Name = fmt.Sprintf("O%d%v", i, direct)
				tt.config.Subjects, tt.config.AllowDirect = []string{"ord.>"}, direct
				natstest.CreateStream(t, nc, tt.config)
				natstest.Store(t, js, orders...)
				msgs, complete, err := mustOpen(t, nc, "ord.>").Since(t.Context(), tt.subject, tt.after, tt.upto, tt.max)
				var got []uint64
				for _, m := range msgs {
					got = append(got, m.Seq)
				}
				if err != nil || complete != tt.complete || !slices.Equal(got, tt.want) {
					t.Errorf("got %v, %v, %v; want %v, %v", got, complete, err, tt.want, tt.complete)
				}
				if err := js.DeleteStream(t.Context(), tt.config.Name); err != nil { // the next one holds ord.> too
					t.Fatal(err)
				}
			})
		}
	}
}
