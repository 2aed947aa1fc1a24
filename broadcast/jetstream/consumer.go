package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var errAway = errors.New("nats is not connected")

// consumerExpires is the time after which the server removes a consumer without a reader.
const consumerExpires = 10 * time.Second

// createConsumer makes a consumer that leaves no state behind: one replica in memory, without acknowledgements. It is made
// anew rather than kept alive. It begins with the sequence from, or with the newest message of each subject if from is 0.
func (s *Stream) createConsumer(ctx context.Context, filter string, from uint64) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	config := jetstream.ConsumerConfig{
		FilterSubject: filter, AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1,
		InactiveThreshold: consumerExpires, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
	}
	if from > 0 {
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, from
	}
	consumer, err := s.js.CreateConsumer(ctx, s.name, config)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, s.gone()
	}
	if err != nil {
		return nil, fmt.Errorf("jetstream: make consumer: %w", err)
	}
	return consumer, nil
}

// deleteConsumer asks for a consumer's end and does not wait for it. If the request is lost, the consumer expires.
func (s *Stream) deleteConsumer(consumer jetstream.Consumer) {
	if !s.nc.IsConnected() {
		return
	}
	request := s.api + "CONSUMER.DELETE." + s.name + "." + consumer.CachedInfo().Name
	if err := s.nc.PublishRequest(request, s.nc.NewInbox(), nil); err != nil {
		s.log.Debug("a consumer is left to expire", "stream", s.name, "err", err)
	}
}

// whileConnected returns a context that ends when the connection is lost: messages on their way from the old server are lost
// with it.
func whileConnected(ctx context.Context, nc *nats.Conn) (context.Context, func(), error) {
	lost := nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	if !nc.IsConnected() { // after StatusChanged, which reports every later loss
		nc.RemoveStatusListener(lost)
		return nil, nil, errAway
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() { // until release
		<-lost
		cancel(errAway)
	}()
	return ctx, func() { nc.RemoveStatusListener(lost) }, nil // which closes lost
}
