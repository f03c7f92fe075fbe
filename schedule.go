package vidu

import (
	"math"
	"sync"
	"time"
)

// When to ask. For any fixed interval, polls times lag is the same: half the duration of the task. Only knowledge of
// how long tasks take does better, so a client learns it, for each class of tasks. Each moment is then worth a poll as
// much as the task is likely to end about then: the density of polls is √(hazard ÷ 2c), where the hazard is the chance
// that a task which still runs ends within the next second, and c is how many seconds of lag one poll is worth.
// docs/waiting.svg shows what that gains, and TestSchedule_Simulation measures it.

const (
	minGap        = time.Second
	maxGap        = 30 * time.Second // of an immediate task
	maxOffPeakGap = 30 * time.Minute
	pollCost      = 0.5 // seconds of lag that one poll of an immediate task is worth
	offPeakCost   = 120.0
	queueFactor   = 0.8 // of the least work time, between queries while a task queues
	jitter        = 0.1 // each way, so that tasks created together are not asked for together

	callbackGap   = time.Minute // at least, while callbacks arrive
	callbackFaith = time.Hour   // after the last one
	callbackProof = 3           // in a row that came, until they are relied on
	callbackLimit = 4           // times the longest gap without them

	learnedDurations = 256  // of each class
	learnedClasses   = 64   // the rest share one
	maxClassName     = 128  // bytes; longer ones are no names
	rememberedTasks  = 1024 // that this client created
	rememberedReply  = 4096 // bytes of the reply to a create
	knownWell        = 3    // durations after which a class is trusted
	priorWeight      = 8    // durations that the prior counts for: those of tasks begun together are at first the short ones
	scoutsPerClass   = 4
)

// class is what the duration of a task depends on.
type class struct {
	model      Model
	duration   int
	resolution Resolution
	offPeak    bool
}

func classOf(t *Task) class {
	c := class{model: t.Model, duration: t.Duration, resolution: t.Resolution, offPeak: t.OffPeak}
	if len(c.model)+len(c.resolution) > maxClassName {
		c.model, c.resolution = "", ""
	}
	return c
}

// birth is what this client keeps of a task that it created.
type birth struct {
	class    class
	at       time.Duration
	callback bool   // one was asked for
	learned  bool   // its duration is part of what is known
	reply    []byte // to the create; nil when it is out of date, too long to keep, or says that the task has ended
}

// pacer knows how long tasks take and says when to ask for one. Its memory is bounded. Times are counted from epoch,
// on the monotonic clock.
type pacer struct {
	epoch    time.Time
	randomly func() float64 // in [0, 1)

	mu      sync.Mutex
	records map[class]*record
	births  map[string]birth
	born    []string      // the keys of births, as a ring
	oldest  int           // in born
	heard   int           // ends in a row that a callback told first
	hearing time.Duration // the last of them
}

func newPacer(randomly func() float64) *pacer {
	return &pacer{epoch: time.Now(), randomly: randomly, records: map[class]*record{}, births: map[string]birth{}}
}

func (p *pacer) now() time.Duration { return time.Since(p.epoch) }

// remember keeps what a create told.
func (p *pacer) remember(task *Task, callback bool) {
	b := birth{class: classOf(task), at: p.now(), callback: callback}
	if len(task.raw) <= rememberedReply && !task.Done() {
		b.reply = task.raw
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.born) < rememberedTasks {
		p.born = append(p.born, task.ID)
	} else {
		delete(p.births, p.born[p.oldest])
		p.born[p.oldest] = task.ID
		p.oldest = (p.oldest + 1) % rememberedTasks
	}
	p.births[task.ID] = b
}

// knows reports whether this client made a task, and lately.
func (p *pacer) knows(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ours := p.births[id]
	return ours
}

// outdate is called when the server has said of a task more than the reply to its create did.
func (p *pacer) outdate(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b, ours := p.births[id]; ours && b.reply != nil {
		b.reply = nil
		p.births[id] = b
	}
}

// hear notes whether a callback told of the end of a task before a query did. Those of tasks that others wait for prove
// nothing: where several processes share them, each hears of the wrong ones.
func (p *pacer) hear(came bool) {
	if !came {
		p.heard = 0
		return
	}
	p.heard, p.hearing = p.heard+1, p.now()
}

// trusts reports whether callbacks can be relied on.
func (p *pacer) trusts(now time.Duration) bool {
	return p.heard >= callbackProof && now-p.hearing < callbackFaith
}

// pace is where one task stands, as far as the schedule cares. A program may wait for 100 000 tasks: keep it small.
type pace struct {
	record   *record       // of its class; nil until the class is known
	began    time.Duration // the create or, for a task of unknown age, the wait
	asked    time.Duration // the last query
	working  time.Duration // about when processing began; 0 when that was not seen
	exact    bool          // began is the create
	queueing bool          // the last state seen comes before processing
	callback bool          // one was asked for
	woken    bool          // a genuine callback has just come
	scout    bool          // of a class of which nothing is known
}

// begin returns where a task stands that nobody has asked for yet, and the reply to its create where that can stand
// for the first answer: when this client made the task just now, and knows that such tasks take longer.
func (p *pacer) begin(id string) (pace, *Task) {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	b, ours := p.births[id]
	if !ours {
		return pace{began: now, asked: now}, nil
	}
	at := pace{began: b.at, asked: b.at, exact: true, queueing: true, callback: b.callback}
	p.enroll(&at, b.class)
	total := &at.record.total
	if b.reply == nil || len(total.logs) < knownWell || total.fit(at.record.prior()).quantile(0.02) < now-b.at+2*minGap {
		return at, nil
	}
	first := readTask(b.reply).task
	first.ID = id // which a task that was recovered has from elsewhere
	return at, first
}

// enroll puts a task into its class.
func (p *pacer) enroll(at *pace, c class) {
	r := p.recordOf(c)
	at.record = r
	if len(r.total.logs) == 0 && r.scouts < scoutsPerClass {
		at.scout = true
		r.scouts++
	}
}

// see takes in an answer, and learns from it when it is the last. Only what happened between two queries that were not
// far apart teaches anything, and only a success does: failures come early.
func (p *pacer) see(at *pace, task *Task) {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.record == nil || (task.OffPeak && !at.record.offPeak) { // not every reply to a create says so
		p.enroll(at, classOf(task))
	}
	doubt := now - at.asked // what is new happened in that time or, after a callback, just now
	if at.woken {
		doubt = 0
	}
	when, sharp := now-doubt/2, doubt <= at.record.longestGap()*3/2
	if at.queueing && sharp && task.State == StateProcessing {
		at.working = max(when, 1)
	}
	if task.Done() && at.callback {
		p.hear(at.woken)
	}
	if sharp && task.State == StateSuccess && !p.isLearned(task.ID) {
		at.record.learn(at, when)
	}
	at.queueing = isQueueing(task.State)
	at.asked, at.woken = now, false
}

// isLearned reports whether the duration of a task was learned before, and notes that it is now: several may wait for it.
func (p *pacer) isLearned(id string) bool {
	b, ours := p.births[id]
	if ours && !b.learned {
		b.learned = true
		p.births[id] = b
		return false
	}
	return ours
}

// gap is how long to wait before the next query.
func (p *pacer) gap(at *pace) time.Duration {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	r := at.record
	if r == nil { // never answered
		r = &record{}
	}
	d, longest := r.gap(at, now), r.longestGap()
	if at.callback && p.trusts(now) { // queries are only the safety net
		d, longest = r.safetyGap(now-at.began), callbackLimit*longest
	}
	spread := 1 + jitter*(2*p.randomly()-1)
	return min(max(time.Duration(spread*float64(d)), minGap), longest)
}

// delay is gap for a task whose pace nobody keeps.
func (p *pacer) delay(task *Task, age time.Duration) time.Duration {
	at := pace{began: p.now() - max(age, 0), exact: true, queueing: isQueueing(task.State)}
	p.mu.Lock()
	b, ours := p.births[task.ID]
	if !ours {
		b.class = classOf(task)
	}
	b.class.offPeak = b.class.offPeak || task.OffPeak
	at.record, at.callback = p.recordOf(b.class), b.callback
	p.mu.Unlock()
	return p.gap(&at)
}

func isQueueing(s State) bool { return s == StateCreated || s == StateQueueing }

// recordOf finds what is known about a class. Beyond learnedClasses the rest share one.
func (p *pacer) recordOf(c class) *record {
	if p.records[c] == nil && len(p.records) >= learnedClasses {
		c = class{offPeak: c.offPeak}
	}
	if p.records[c] == nil {
		p.records[c] = &record{offPeak: c.offPeak}
	}
	return p.records[c]
}

// record is what is known about one class.
type record struct {
	offPeak bool
	scouts  int8   // tasks that were asked for often, because nothing was known
	total   sample // created to ended
	work    sample // processing to ended
}

// learn adds the durations of a task that ended at when.
func (r *record) learn(at *pace, when time.Duration) {
	if at.exact {
		r.total.add(when - at.began)
	}
	if at.working != 0 {
		r.work.add(when - at.working)
	}
}

func (r *record) prior() lognormal {
	if r.offPeak {
		return offPeakPrior
	}
	return immediatePrior
}

func (r *record) longestGap() time.Duration {
	if r.offPeak {
		return maxOffPeakGap
	}
	return maxGap
}

func (r *record) cost() float64 {
	if r.offPeak {
		return offPeakCost
	}
	return pollCost
}

// gap is how long to wait before the next query, before jitter and bounds.
func (r *record) gap(at *pace, now time.Duration) time.Duration {
	total, work := r.total.fit(r.prior()), r.work.fit(r.prior())
	cost, longest := r.cost(), r.longestGap()
	known, age := len(r.total.logs), now-at.began
	switch {
	case at.scout && known == 0 && !r.offPeak && age < maxGap:
		return age // after 1, 2, 4 … seconds: perhaps such tasks are quick
	case at.working != 0 && (!at.exact || work.deviation() < total.deviation()):
		return work.gap(now-at.working, cost, longest)
	case !at.exact: // it may be much older than the wait
		return total.gap(max(age, total.quantile(0.5)), cost, longest)
	case at.queueing && 2*len(r.work.logs) >= max(known, 1): // it cannot end sooner than it works
		least := queueFactor * float64(work.quantile(0.05))
		return max(time.Duration(least), total.gap(age, cost, longest))
	}
	return total.gap(age, cost, longest)
}

// safetyGap is how long to wait for a callback before it must be taken for lost.
func (r *record) safetyGap(age time.Duration) time.Duration {
	return max(r.total.fit(r.prior()).quantile(0.99)-age, age/2, callbackGap)
}

// sample keeps the logarithms of the last durations, in seconds.
type sample struct {
	logs []float64
	next int // to be overwritten
}

func (s *sample) add(d time.Duration) {
	x := math.Log(max(d.Seconds(), 0.05))
	if len(s.logs) < learnedDurations {
		s.logs = append(s.logs, x)
		return
	}
	s.logs[s.next] = x
	s.next = (s.next + 1) % learnedDurations
}

// lognormal is a distribution of durations in seconds: their logarithms are normal.
type lognormal struct{ mu, sigma float64 }

// What is assumed of a class until it is learned.
var (
	immediatePrior = lognormal{mu: math.Log(90), sigma: 0.9}
	offPeakPrior   = lognormal{mu: math.Log(6 * 3600), sigma: 1.5}
)

// fit is the distribution of the sample, drawn toward prior while there is little of it.
func (s *sample) fit(prior lognormal) lognormal {
	n, sum, spread := float64(len(s.logs)), 0.0, 0.0
	for _, x := range s.logs {
		sum += x
	}
	mean := (priorWeight*prior.mu + sum) / (priorWeight + n)
	if n >= 2*priorWeight { // the prior's place no longer matters
		mean = sum / n
	}
	for _, x := range s.logs {
		spread += (x - mean) * (x - mean)
	}
	variance := (prior.sigma*prior.sigma + spread) / (1 + n)
	return lognormal{mu: mean, sigma: math.Sqrt(max(variance, 0.01))}
}

// deviation is the standard deviation in seconds.
func (l lognormal) deviation() float64 {
	variance := l.sigma * l.sigma
	return math.Exp(l.mu+variance/2) * math.Sqrt(math.Expm1(variance))
}

// hazard is the chance a second that what has run for t seconds ends now.
func (l lognormal) hazard(t float64) float64 {
	if t <= 0 {
		return 0
	}
	z := (math.Log(t) - l.mu) / l.sigma
	if z > 8 { // where both sides of the quotient vanish, it is nearly z
		return z / (l.sigma * t)
	}
	density := math.Exp(-z*z/2) / math.Sqrt(2*math.Pi)
	return density / (0.5 * math.Erfc(z/math.Sqrt2)) / (l.sigma * t)
}

// quantile is the duration that the share p of tasks does not exceed, for p in 0…1.
func (l lognormal) quantile(p float64) time.Duration {
	return seconds64(math.Exp(l.mu + l.sigma*math.Sqrt2*math.Erfinv(2*p-1)))
}

// gap is how long to wait after elapsed: until the density of polls has added up to one.
func (l lognormal) gap(elapsed time.Duration, cost float64, longest time.Duration) time.Duration {
	const steps = 60
	step := longest.Seconds() / steps
	due := 0.0
	for i := range steps {
		more := step * math.Sqrt(l.hazard(elapsed.Seconds()+(float64(i)+0.5)*step)/(2*cost))
		if due+more >= 1 {
			return seconds64((float64(i) + (1-due)/more) * step)
		}
		due += more
	}
	return longest
}

func seconds64(s float64) time.Duration {
	return time.Duration(min(s, 1e9) * float64(time.Second))
}
