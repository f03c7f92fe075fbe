package vidu //nolint:testpackage // seam

import (
	"encoding/json"
	"math"
	"time"
)

// Pacer is the schedule that learns, for tests that drive it without requests.
type Pacer = pacer

// Pace is where one task stands.
type Pace = pace

// NewPacer returns the schedule of a new client. It takes its clock from package time: drive it under synctest.
func NewPacer(randomly func() float64) *Pacer { return newPacer(randomly) }

// Pacer returns the schedule of c.
func (c *Client) Pacer() *Pacer { return c.pacer }

// Remember is what a create does.
func (p *pacer) Remember(task *Task, callback bool) {
	reply := *task
	if reply.raw == nil { // made by hand
		reply.raw, _ = json.Marshal(task) //nolint:errchkjson // a task always can be
	}
	p.remember(&reply, callback)
}

// Begin is what a wait does first.
func (p *pacer) Begin(id string) (Pace, *Task) { return p.begin(id) }

// See is what a wait does with an answer.
func (p *pacer) See(at *Pace, task *Task) { p.see(at, task) }

// SeeWoken is See after a callback.
func (p *pacer) SeeWoken(at *Pace, task *Task) {
	at.woken = true
	p.see(at, task)
}

// Gap is how long a wait then sleeps.
func (p *pacer) Gap(at *Pace) time.Duration { return p.gap(at) }

// Age is the time since a create.
func (p *pacer) Age(at *Pace) time.Duration { return p.now() - at.began }

// Hear is what callbacks do that tell of the ends of three tasks.
func (p *pacer) Hear() {
	for range callbackProof {
		p.hear(true)
	}
}

// Sizes counts what p remembers.
func (p *pacer) Sizes() (classes, births int) {
	return len(p.records), max(len(p.births), len(p.born))
}

// Learned returns the medians, in seconds, of what p knows about the class of at, and of how many durations.
func (p *pacer) Learned(at *Pace) (total, work float64, totals, works int) {
	r := at.record
	return math.Exp(r.total.fit(r.prior()).mu), math.Exp(r.work.fit(r.prior()).mu), len(r.total.logs), len(r.work.logs)
}

// Wake is what a verified callback does.
func (c *Client) Wake(id string) { c.waiters.wake(id, true) }

// WakeUnverified is what an unverified callback does.
func (c *Client) WakeUnverified(id string) { c.waiters.wake(id, false) }

// Waiting counts the waits that a callback can wake.
func (c *Client) Waiting() int {
	c.waiters.mu.Lock()
	defer c.waiters.mu.Unlock()
	n := len(c.waiters.fleets)
	for _, sleeps := range c.waiters.sleeps {
		n += max(len(sleeps), 1)
	}
	return n
}

// Hazard is that of a lognormal distribution of durations.
func Hazard(mu, sigma, seconds float64) float64 { return lognormal{mu, sigma}.hazard(seconds) }

// Quantile is that of a lognormal distribution of durations.
func Quantile(mu, sigma, share float64) time.Duration { return lognormal{mu, sigma}.quantile(share) }
