package schedule

import (
	"math"
	"time"
)

// Turn is the state of one task that is waited for, and when its next query is due. The zero Turn waits for a query
// that is due at once. Times are counted from the start of the wait. A program may wait for 100,000 tasks: keep it
// small.
type Turn struct {
	due      time.Duration // of the next query
	soonest  float32       // seconds; callbacks bring no query forward to before then
	answered float32       // seconds; when the last query was answered
	place    int32         // in the heap of a Queue; outside in none
	state    turnState
	failed   bool // the last query failed
}

type turnState uint8

const (
	waiting       turnState = iota
	asking                  // a query is in flight
	called                  // a callback came meanwhile: the answer may be older
	calledGenuine           // a genuine one did
	ended
)

func (s turnState) inFlight() bool { return s == asking || s == called || s == calledGenuine }

// Due returns when the next query is due.
func (t *Turn) Due() time.Duration { return t.due }

// Ask notes that a query is sent now.
func (t *Turn) Ask() {
	if t.state == waiting {
		t.state = asking
	}
}

// Rest notes the answer to a query, or its failure: the next one is due after pause.
// Callbacks may bring it forward, but not into the first part of the pause, hold, which is the server's Retry-After.
// Rest reports whether a genuine callback came while the query was in flight, so that the next answer is the one to
// learn from.
func (t *Turn) Rest(now, pause, hold time.Duration, failed bool) (genuine bool) {
	if !t.state.inFlight() {
		return false
	}
	t.due, t.answered, t.failed = now+pause, seconds32(now), failed
	if hold > 0 {
		t.soonest = max(t.soonest, seconds32(now+hold))
	}
	return t.settle(now)
}

// Again notes that a query brought no answer about this task: it is due as before. The result is that of Rest.
func (t *Turn) Again(now time.Duration) (genuine bool) {
	if !t.state.inFlight() {
		return false
	}
	return t.settle(now)
}

// settle applies a callback that came while the query was in flight.
func (t *Turn) settle(now time.Duration) (genuine bool) {
	was := t.state
	t.state = waiting
	return was != asking && t.Wake(now, was == calledGenuine)
}

// Wake notes a callback and brings the next query forward, at most one per second. It reports whether the next answer
// follows a genuine callback.
func (t *Turn) Wake(now time.Duration, genuine bool) bool {
	switch t.state {
	case waiting:
		if at := max(now, seconds(float64(t.soonest))); at < t.due {
			t.due, t.soonest = at, seconds32(at+minGap)
		}
		return genuine
	case asking, called:
		t.state = called
		if genuine {
			t.state = calledGenuine
		}
	case calledGenuine, ended:
	}
	return false
}

// End notes that the wait for this task is over.
func (t *Turn) End() { t.state = ended }

// seconds32 rounds up, so that no pause is cut short.
func seconds32(d time.Duration) float32 {
	s := float32(d.Seconds())
	if seconds(float64(s)) < d {
		s = math.Nextafter32(s, math.MaxFloat32)
	}
	return s
}
