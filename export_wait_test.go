package vidu //nolint:testpackage // seam

import (
	"encoding/json"
	"time"

	"github.com/vidu-go/vidu/internal/schedule"
)

// Remember is what a create does.
func (c *Client) Remember(task *Task, callback bool) {
	reply := task.raw
	if reply == nil { // made by hand
		reply, _ = json.Marshal(task) //nolint:errchkjson // a task always can be
	}
	c.pacer.Remember(sightingOf(task), callback, reply)
}

// Teach has c learn of n tasks that each took d.
func (c *Client) Teach(n int, d time.Duration) {
	for range n {
		c.pacer.Remember(schedule.Sighting{ID: "taught"}, false, nil)
		s, _ := c.pacer.Begin("taught")
		s.NoteCallback()
		c.pacer.Observe(&s, schedule.Sighting{ID: "taught", Phase: schedule.Succeeded}, c.pacer.Now()+d)
	}
}

// RelyOnCallbacks has callbacks report the ends of three tasks first.
func (c *Client) RelyOnCallbacks() {
	for range 3 {
		c.pacer.Remember(schedule.Sighting{ID: "reported"}, true, nil)
		s, _ := c.pacer.Begin("reported")
		s.NoteCallback()
		c.pacer.Observe(&s, schedule.Sighting{ID: "reported", Phase: schedule.Failed}, c.pacer.Now())
	}
}

// Wake is what a verified callback does.
func (c *Client) Wake(id string) { c.waiters.wake(id, true) }

// WakeUnverified is what an unverified callback does.
func (c *Client) WakeUnverified(id string) { c.waiters.wake(id, false) }

// Waiting counts the waits that a callback can wake.
func (c *Client) Waiting() int {
	c.waiters.mu.Lock()
	defer c.waiters.mu.Unlock()
	n := len(c.waiters.multi)
	for _, wakes := range c.waiters.byID {
		n += max(len(wakes), 1)
	}
	return n
}
