package loadtest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tickcast/loadtest/fleet"
)

func TestNewRunRefuses(t *testing.T) {
	good := Plan{
		Fleet:   fleet.Config{URL: "ws://127.0.0.1:1/", Conns: 10, Topics: []string{"px.A"}},
		Publish: PublishPlan{URL: "nats://127.0.0.1:1", Rate: 1},
	}
	if _, err := NewRun(testContext(t), good); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		edit func(p *Plan)
		want string
	}{
		{"no clients", func(p *Plan) { p.Fleet.Conns = 0 }, "Conns must be at least 1"},
		{"hold", func(p *Plan) { p.Hold = -1 }, "no number may be negative"},
		{"settle", func(p *Plan) { p.Settle = -time.Second }, "no number may be negative"},
		{"churn", func(p *Plan) { p.Churn = -1 }, "no number may be negative"},
		{"payload", func(p *Plan) { p.Publish.Payload = -1 }, "no number may be negative"},
		{"ramp", func(p *Plan) { p.Fleet.Ramp = -1 }, "no number negative"},
		{"topics", func(p *Plan) { p.Fleet.Topics = nil }, "there are no topics"},
		{"rate", func(p *Plan) { p.Publish.Rate = 0 }, "no rate"},
		{"processes", func(p *Plan) { p.Processes = 11 }, "11 processes for 10 connections"},
		{"no storm", func(p *Plan) { p.Storms = []Storm{{Share: 0}} }, "a storm of 0"},
		{"storm", func(p *Plan) { p.Storms = []Storm{{Share: 1.1}} }, "a storm of 1.1"},
		{"late storm", func(p *Plan) {
			p.Hold, p.Storms = time.Second, []Storm{{Share: 1, After: time.Second}}
		}, "a storm 1s into a phase of 1s"},
		{"topic twice", func(p *Plan) { p.Fleet.Topics = []string{"a", "b", "a"} }, `topic "a" is there twice`},
		{"cohorts", func(p *Plan) { p.Fleet.Slow, p.Fleet.HalfOpen = 0.6, 0.6 }, "more than all"},
		{"per client", func(p *Plan) { p.Fleet.TopicsPerConn = 2 }, "only 1 topics"},
		{"URL", func(p *Plan) { p.Fleet.URL = "http://127.0.0.1/" }, "is not of the form"},
		{"ports", func(p *Plan) { p.Fleet.URL = "ws://127.0.0.1:9-8/" }, "no valid range of ports"},
	} {
		p := good
		tt.edit(&p)
		_, err := NewRun(testContext(t), p)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// NewRun reports fatal shortages, with advice, before the first connection.
func TestNewRunFindsShortages(t *testing.T) {
	_, err := NewRun(testContext(t), Plan{Fleet: fleet.Config{URL: "ws://127.0.0.1:1/", Conns: 2_000_000_000}, Processes: 1})
	var short ShortageError
	if !errors.As(err, &short) || !strings.Contains(err.Error(), "file descriptors") {
		t.Fatal(err)
	}
	for _, s := range short {
		if s.Fatal && s.Fix == "" {
			t.Errorf("no advice for %q", s.Text)
		}
		if !s.Fatal && strings.Contains(err.Error(), s.Text) {
			t.Errorf("%q is not why", s.Text)
		}
	}
}
