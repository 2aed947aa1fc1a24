package loadtest

import (
	"fmt"

	"tickcast/loadtest/machine"
)

// churn makes clients leave and come back, at a rate of all parts together.
func (r *Run) churn(rate float64) error {
	if r.plan.Churn == 0 {
		return nil
	}
	share := rate / float64(len(r.parts))
	return r.all(func(_ int, p *partProcess) error {
		_, err := p.Do(partOrder{Churn: true, Rate: share})
		return err
	})
}

// letStorm makes a share of the clients leave at once.
func (r *Run) letStorm(s Storm) error {
	r.stormAt, r.lost = append(r.stormAt, machine.Monotime()), append(r.lost, r.last.sum.Totals.Lost)
	counts := make([]int, len(r.parts))
	err := r.all(func(i int, p *partProcess) error {
		a, err := p.Do(partOrder{Storm: s.Share})
		counts[i] = a.Count
		return err
	})
	c := Cohort{Name: "storm", Note: "not all came back"}
	for _, n := range counts {
		c.Clients += n
	}
	r.report.Cohorts = append(r.report.Cohorts, c)
	return err
}

// endStorms ends the storms once all their clients are back or lost.
func (r *Run) endStorms(s *runSample) {
	if n := len(r.stormAt); r.calmed == n || s.at <= r.stormAt[n-1] || s.sum.Totals.Away > 0 {
		return
	}
	for ; r.calmed < len(r.stormAt); r.calmed++ {
		c := &r.report.Cohorts[r.calmed]
		took := float64(s.sum.LastBack-r.stormAt[r.calmed]) / 1e9
		lost := s.sum.Totals.Lost - r.lost[r.calmed]
		switch {
		case c.Clients == 0:
			c.Note = "it met no client"
		case took < 0:
			c.Note = "none came back"
		case lost > 0:
			c.Seconds, c.Note = took, fmt.Sprintf("back and subscribed after %.2f s, but for %d connections lost", took, lost)
		default:
			c.Seconds, c.Note = took, fmt.Sprintf("all back and subscribed after %.2f s", took)
		}
	}
}
