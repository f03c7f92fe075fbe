package schedule

import (
	"math"
	"time"
)

// Sizes counts what p remembers.
func (p *Pacer) Sizes() (classes, created int) {
	return len(p.records), max(len(p.created), len(p.place))
}

// Learned returns the medians, in seconds, of what was learned about the class of s, and from how many durations.
func Learned(s *PollState) (total, work float64, totals, works int) {
	r := s.record
	return math.Exp(r.total.fit(r.prior()).mu), math.Exp(r.work.fit(r.prior()).mu), len(r.total.logs), len(r.work.logs)
}

// Hazard is that of a lognormal distribution of durations.
func Hazard(mu, sigma, t float64) float64 { return lognormal{mu, sigma}.hazard(t) }

// Quantile is that of a lognormal distribution of durations.
func Quantile(mu, sigma, share float64) time.Duration { return lognormal{mu, sigma}.quantile(share) }

// State returns the name of the state that t is in.
func (t *Turn) State() string {
	return [...]string{"waiting", "asking", "called", "calledGenuine", "ended"}[t.state]
}
