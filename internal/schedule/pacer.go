// Package schedule decides when to query tasks that are waited for. It learns from what queries and callbacks saw how
// long the tasks of each class take, and places the next query where the task is likely to end; callbacks bring forward
// one query per second and task, and none before the server's Retry-After. It sends nothing and is given [Sighting]s,
// not tasks, and what a [Pacer] remembers is bounded.
package schedule

import (
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// For any fixed interval, polls times lag is the same: half the duration of the task. Only knowledge of how long tasks
// take does better, so a client learns it, for each class of tasks. Each moment is then worth a poll as much as the
// task is likely to end about then: the density of polls is √(hazard ÷ 2c), where the hazard is the chance that a task
// which still runs ends within the next second, and c is how many seconds of lag one poll is worth. docs/waiting.svg
// shows what that gains, and TestSchedule_Simulation measures it.

// MaxGap is the longest pause between two queries for an immediate task while callbacks are not relied on.
const MaxGap = 30 * time.Second

// Never is further away than any wait lasts, and can be added to any time without overflow.
const Never = 1000 * time.Hour

const (
	minGap        = time.Second
	maxOffPeakGap = 30 * time.Minute
	pollCost      = 0.5 // seconds of lag that one poll of an immediate task is worth
	offPeakCost   = 120.0
	queueFactor   = 0.8 // of the least work time, between queries while a task queues
	jitter        = 0.1 // each way, so that tasks created together are not queried together

	callbackGap      = time.Minute // at least, while callbacks are relied on
	callbackTrustTTL = time.Hour   // after the last one
	callbacksNeeded  = 3           // in a row, before they are relied on
	callbackMaxGaps  = 4           // times the longest gap without callbacks

	maxClasses    = 128  // the rest share one
	maxEndpoints  = 64   // the rest share none
	maxClassName  = 128  // bytes; longer names are not kept
	maxCreated    = 1024 // tasks that this client created
	maxReply      = 4096 // bytes of the reply to a create
	knownWell     = 3    // durations after which a class is trusted
	probesInClass = 4
)

// Class is what the duration of a task depends on.
type Class struct {
	Model      string
	Resolution string
	Duration   int // of the video, in seconds
	OffPeak    bool
	Endpoint   uint8 // of the create, see [Pacer.Endpoint]; 0: unknown
}

// bounded returns c without names that are too long to keep.
func (c Class) bounded() Class {
	if len(c.Model)+len(c.Resolution) > maxClassName {
		c.Model, c.Resolution = "", ""
	}
	return c
}

// own returns c with copies of its names, which may be parts of a reply.
func (c Class) own() Class {
	c.Model, c.Resolution = strings.Clone(c.Model), strings.Clone(c.Resolution)
	return c
}

// Phase is the state of a task, as far as the schedule distinguishes them.
type Phase uint8

// The phases of a task.
const (
	Other      Phase = iota // running, in a state that is neither of the next two
	Queueing                // not yet being processed
	Processing              // being processed
	Succeeded               // ended with a result
	Failed                  // ended without one
)

func (p Phase) ended() bool { return p == Succeeded || p == Failed }

// Sighting is what one reply of the server says of a task.
type Sighting struct {
	ID    string
	Class Class
	Phase Phase
}

// Pacer learns how long tasks take and decides when to query each one. Times are counted from its creation, on the
// monotonic clock.
type Pacer struct {
	epoch  time.Time
	random func() float64 // in [0, 1)

	mu             sync.Mutex
	endpoints      []string
	records        map[Class]*record
	created        []createdTask  // a ring
	oldest         int            // in created, once that is full
	place          map[string]int // in created, by id
	callbackStreak int            // ends in a row that a callback reported before a query did
	lastCallback   time.Duration  // of the streak
}

// createdTask is what is kept of a task that this client created.
type createdTask struct {
	id       string
	class    Class // its names may be parts of the reply
	at       time.Duration
	callback bool   // one was requested
	learned  bool   // its duration has been added to its record
	reply    string // to the create; "" when it is out of date, too long to keep, or of a task that has ended
}

// NewPacer returns a Pacer that has learned nothing. random returns numbers in [0, 1), of which 0.5 means no jitter.
func NewPacer(random func() float64) *Pacer {
	return &Pacer{
		epoch: time.Now(), random: random,
		records: map[Class]*record{}, place: map[string]int{},
	}
}

// Now returns the time on the clock of p.
func (p *Pacer) Now() time.Duration { return time.Since(p.epoch) }

// Endpoint returns a short form of an endpoint's name for [Class], 0 after more than 64 endpoints.
func (p *Pacer) Endpoint(name string) uint8 {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.endpoints, name)
	if i < 0 && len(p.endpoints) < maxEndpoints && len(name) <= maxClassName {
		i = len(p.endpoints)
		p.endpoints = append(p.endpoints, name)
	}
	return uint8(i + 1) //nolint:gosec // at most maxEndpoints
}

// Remember records a task that this client has just created, whether a callback was requested for it, and the reply to
// the create. The newest 1,024 tasks are remembered. It returns false if the task was one of them already, which a
// second create cannot have made.
func (p *Pacer) Remember(s Sighting, callback bool, reply string) bool {
	task := createdTask{id: s.ID, class: s.Class.bounded(), at: p.Now(), callback: callback}
	if len(reply) <= maxReply && !s.Phase.ended() {
		task.reply = reply
	} else {
		task.class = task.class.own()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.find(s.ID); known != nil {
		*known = task
		return false
	}
	if len(p.created) < maxCreated {
		p.place[s.ID] = len(p.created)
		p.created = append(p.created, task)
		return true
	}
	delete(p.place, p.created[p.oldest].id)
	p.place[s.ID] = p.oldest
	p.created[p.oldest] = task
	p.oldest = (p.oldest + 1) % maxCreated
	return true
}

// find returns what is kept of a task, nil if that is nothing.
func (p *Pacer) find(id string) *createdTask {
	if i, found := p.place[id]; found {
		return &p.created[i]
	}
	return nil
}

// Remembers reports whether the task is one of those that this client created last.
func (p *Pacer) Remembers(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.find(id) != nil
}

// DropReply drops the reply to a create because the server has since said more of the task.
func (p *Pacer) DropReply(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if task := p.find(id); task != nil && task.reply != "" {
		task.reply, task.class = "", task.class.own()
	}
}

// noteEnd notes whether a callback reported the end of a task before a query did. Callbacks for tasks awaited by other
// processes are ignored; with shared delivery they arrive at random processes.
func (p *Pacer) noteEnd(byCallback bool, at time.Duration) {
	if !byCallback {
		p.callbackStreak = 0
		return
	}
	p.callbackStreak, p.lastCallback = p.callbackStreak+1, at
}

func (p *Pacer) callbacksReliable(now time.Duration) bool {
	return p.callbackStreak >= callbacksNeeded && now-p.lastCallback < callbackTrustTTL
}

// PollState is the polling state of one task. A program may wait for 100,000 tasks: keep it small.
type PollState struct {
	record    *record       // of its class; nil until the class is known
	began     time.Duration // the create or, for a task of unknown age, the wait
	answered  time.Duration // the last query
	workBegan time.Duration // about when processing began; 0 when that was not seen
	wokenAt   float32       // seconds; when a genuine callback came since the last answer; 0: none did
	ageKnown  bool          // began is the create
	queueing  bool          // the last state seen comes before processing
	callback  bool          // one was requested
	probe     bool          // one of the first of a class of which nothing is known
}

// NoteCallback notes that a genuine callback came at the given time: what the next answer brings happened since then.
func (s *PollState) NoteCallback(at time.Duration) {
	s.wokenAt = max(seconds32(at), math.SmallestNonzeroFloat32)
}

// Answered returns when the server last answered about the task, its create included.
func (s *PollState) Answered() time.Duration { return s.answered }

// Begin returns the initial polling state of a task, and the reply to its create if that can stand for the first
// answer: this client has just created the task, and has learned that such tasks take longer.
func (p *Pacer) Begin(id string) (PollState, string) {
	now := p.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	task := p.find(id)
	if task == nil {
		return PollState{began: now, answered: now}, ""
	}
	s := PollState{began: task.at, answered: task.at, ageKnown: true, queueing: true, callback: task.callback}
	p.enroll(&s, task.class)
	total := &s.record.total
	if len(total.logs) < knownWell || total.fit(s.record.prior()).quantile(0.02) < now-task.at+2*minGap {
		return s, ""
	}
	return s, task.reply
}

// enroll puts a task into its class.
func (p *Pacer) enroll(s *PollState, c Class) {
	r := p.recordOf(c)
	s.record = r
	if len(r.total.logs) == 0 && r.probes < probesInClass {
		s.probe = true
		r.probes++
	}
}

// Observe updates s with an answer that came at the given time, and learns from it when it is the last. Only what
// happened between two queries that were not far apart teaches anything, and only a success does: failures come early.
func (p *Pacer) Observe(s *PollState, seen Sighting, at time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.record == nil || (seen.Class.OffPeak && !s.record.offPeak) { // not every reply to a create has off_peak
		c := seen.Class.bounded()
		if task := p.find(seen.ID); task != nil {
			c.Endpoint = task.class.Endpoint
		}
		p.enroll(s, c)
	}
	uncertainty := at - s.answered // the change happened within that time or, after a callback, just now
	if s.wokenAt != 0 {
		uncertainty = min(uncertainty, max(at-seconds(float64(s.wokenAt)), 0))
	}
	when, sharp := at-uncertainty/2, uncertainty <= s.record.longestGap()*3/2
	if s.queueing && sharp && seen.Phase == Processing {
		s.workBegan = max(when, 1)
	}
	if seen.Phase.ended() && s.callback {
		p.noteEnd(s.wokenAt != 0, at)
	}
	if sharp && seen.Phase == Succeeded && p.firstToLearn(seen.ID) {
		s.record.learn(s, when)
	}
	s.queueing = seen.Phase == Queueing
	s.answered, s.wokenAt = at, 0
}

// firstToLearn reports whether the duration of a task has not been learned yet, and notes that it is now. Several waits
// may follow the same task.
func (p *Pacer) firstToLearn(id string) bool {
	task := p.find(id)
	if task == nil {
		return true
	}
	first := !task.learned
	task.learned = true
	return first
}

// Gap returns how long to wait before the next query.
func (p *Pacer) Gap(s *PollState) time.Duration {
	now := p.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	r := s.record
	if r == nil { // never answered
		r = &record{}
	}
	d, longest := r.gap(s, now), r.longestGap()
	if s.callback && p.callbacksReliable(now) { // queries are only the safety net
		d, longest = r.safetyGap(now-s.began), callbackMaxGaps*longest
	}
	spread := 1 + jitter*(2*p.random()-1)
	return min(max(time.Duration(spread*float64(d)), minGap), longest)
}

// Delay is [Pacer.Gap] for a task without polling state: as it was last seen, and the time since its create.
func (p *Pacer) Delay(seen Sighting, age time.Duration) time.Duration {
	s := PollState{began: p.Now() - max(age, 0), ageKnown: true, queueing: seen.Phase == Queueing}
	p.mu.Lock()
	c := seen.Class.bounded()
	if task := p.find(seen.ID); task != nil {
		c, s.callback = task.class, task.callback
	}
	c.OffPeak = c.OffPeak || seen.Class.OffPeak
	s.record = p.recordOf(c)
	p.mu.Unlock()
	return p.Gap(&s)
}

// recordOf returns what is known about a class. What is learned of a class with an endpoint is also known of the same
// class without one, which is that of tasks created by others. Beyond maxClasses the rest share one.
func (p *Pacer) recordOf(c Class) *record {
	if p.records[c] == nil && len(p.records) >= maxClasses {
		c = Class{OffPeak: c.OffPeak}
	}
	if p.records[c] == nil {
		c = c.own()
		r := &record{offPeak: c.OffPeak}
		p.records[c] = r
		if c.Endpoint != 0 {
			c.Endpoint = 0
			r.wider = p.recordOf(c)
		}
		return r
	}
	return p.records[c]
}
