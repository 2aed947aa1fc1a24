package jetstream

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast/natstest"
)

func TestLast(t *testing.T) {
	for _, direct := range []bool{true, false} {
		t.Run(fmt.Sprintf("direct %v", direct), func(t *testing.T) {
			nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}, AllowDirect: direct})
			natstest.Store(t, js, "ord.a 1", "ord.b 2", "ord.a 3", "ord.c.d 4", "ord.b ")
			s := mustOpen(t, nc, "ord.>")
			tests := []struct {
				pattern string
				max     int
				want    []string
				more    bool
			}{
				{"ord.a", 10, []string{"ord.a 3 3"}, false},
				{"ord.*", 10, []string{"ord.a 3 3", "ord.b 5 "}, false},
				{"ord.>", 2, []string{"ord.a 3 3", "ord.c.d 4 4"}, true},
				{"ord.>", 3, []string{"ord.a 3 3", "ord.c.d 4 4", "ord.b 5 "}, false},
				{"ord.x", 10, nil, false},
				{"ord.x.*", 10, nil, false},
			}
			for _, tt := range tests {
				msgs, _, more, err := s.Last(t.Context(), tt.pattern, tt.max)
				if err != nil || more != tt.more || !slices.Equal(texts(msgs), tt.want) {
					t.Errorf("Last(%s, %d) = %q, %v, %v; want %q, %v", tt.pattern, tt.max, texts(msgs), more, err, tt.want, tt.more)
				}
			}
		})
	}
}

// Direct get refuses more than 1024 subjects.
func TestLastOfVeryManySubjects(t *testing.T) {
	nc, js := startJetStream(t, jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}, AllowDirect: true})
	const n = 1500
	for i := range n {
		if _, err := js.PublishAsync("ord."+strconv.Itoa(i), nil); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	s := mustOpen(t, nc, "ord.>")
	for _, max := range []int{2 * n, n - 1} {
		msgs, _, more, err := s.Last(t.Context(), "ord.*", max)
		if err != nil || len(msgs) != min(n, max) || more != (n > max) {
			t.Errorf("Last of %d: %d messages, more %v, %v", max, len(msgs), more, err)
		}
	}
}
