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

const (
	minGap        = time.Second
	maxGap        = 30 * time.Second // of an immediate task
	maxOffPeakGap = 30 * time.Minute
	pollCost      = 0.5 // seconds of lag that one poll of an immediate task is worth
	offPeakCost   = 120.0
	queueFactor   = 0.8 // of the least work time, between queries while a task queues
	jitter        = 0.1 // each way, so that tasks created together are not asked for together

	callbackGap   = time.Minute // at least, while callbacks arrive
	callbackFaith = time.Hour   // after one arrived

	learnedDurations = 256  // of each class
	learnedClasses   = 64   // the rest share one
	rememberedTasks  = 1024 // that this client created
	knownWell        = 8    // durations after which a class is trusted
	priorWeight      = 3    // durations that the prior counts for
)

// class is what the duration of a task depends on.
type class struct {
	model      Model
	duration   int
	resolution Resolution
	offPeak    bool
}

func classOf(t *Task) class {
	return class{model: t.Model, duration: t.Duration, resolution: t.Resolution, offPeak: t.OffPeak}
}

// birth is what this client knows of a task that it created.
type birth struct {
	task     Task // the reply to the create, without its text
	at       time.Duration
	callback bool // one was asked for
}

// pacer knows how long tasks take and says when to ask for one. Its memory is bounded. Times are counted from epoch,
// on the monotonic clock.
type pacer struct {
	epoch    time.Time
	randomly func() float64 // in [0, 1)

	mu      sync.Mutex
	records map[class]*record
	births  map[string]*birth
	born    []string // the keys of births, as a ring
	oldest  int      // in born
	heard   time.Duration
	deaf    bool // no callback arrived yet
}

func newPacer(randomly func() float64) *pacer {
	return &pacer{epoch: time.Now(), randomly: randomly, records: map[class]*record{}, births: map[string]*birth{}, deaf: true}
}

func (p *pacer) now() time.Duration { return time.Since(p.epoch) }

// remember keeps what a create told.
func (p *pacer) remember(task *Task, callback bool) {
	b := &birth{task: *task, at: p.now(), callback: callback}
	b.task.raw = nil
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

// hear notes that callbacks arrive.
func (p *pacer) hear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard, p.deaf = p.now(), false
}

// pace is where one task stands, as far as the schedule cares. A program may wait for 100 000 tasks: keep it small.
type pace struct {
	record   *record       // of its class; nil until the class is known
	began    time.Duration // the create or, for a task of unknown age, the wait
	asked    time.Duration // the last query
	working  time.Duration // about when processing began; 0 until it was seen
	exact    bool          // began is the create
	queueing bool          // the last state seen comes before processing
	callback bool
}

// begin returns where a task stands that nobody has asked for yet, and the reply to its create where that can stand
// for the first answer: when this client made the task just now, and knows that such tasks take longer.
func (p *pacer) begin(id string) (pace, *Task) {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.births[id]
	if b == nil {
		return pace{began: now, asked: now}, nil
	}
	r := p.recordOf(classOf(&b.task))
	at := pace{record: r, began: b.at, asked: b.at, exact: true, callback: b.callback}
	if len(r.total.logs) < knownWell || r.total.fit(r.prior()).quantile(0.02) < now-b.at+2*minGap {
		return at, nil
	}
	first := b.task
	return at, &first
}

// see takes in an answer, and learns from it when it is the last.
func (p *pacer) see(at *pace, task *Task) {
	now := p.now()
	middle := at.asked + (now-at.asked)/2 // the best guess for when something happened that is new now
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.record == nil {
		at.record = p.recordOf(classOf(task))
	}
	at.queueing = task.State == StateCreated || task.State == StateQueueing
	if at.working == 0 && task.State == StateProcessing {
		at.working = max(middle, 1)
	}
	at.asked = now
	if !task.Done() {
		return
	}
	if at.exact {
		at.record.total.add(middle - at.began)
	}
	if at.working != 0 {
		at.record.work.add(middle - at.working)
	}
}

// gap is how long to wait before the next query.
func (p *pacer) gap(at *pace) time.Duration {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	r := at.record
	if r == nil {
		r = p.recordOf(class{})
	}
	spread := 1 + jitter*(2*p.randomly()-1)
	if at.callback && !p.deaf && now-p.heard < callbackFaith { // queries are only the safety net
		late := r.total.fit(r.prior()).quantile(0.99)
		return time.Duration(spread * float64(max(late-(now-at.began), (now-at.began)/2, callbackGap)))
	}
	d := time.Duration(spread * float64(r.gap(at, now)))
	return min(max(d, minGap), r.longestGap())
}

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
	total   sample // created to ended
	work    sample // processing to ended
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
	known := len(r.total.logs)
	switch {
	case known == 0 && !r.offPeak && now-at.began < maxGap:
		return now - at.began // nothing is known: look after 1, 2, 4 … seconds, perhaps it is quick
	case at.working != 0:
		return work.gap(now-at.working, r.cost(), r.longestGap())
	case at.queueing && 2*len(r.work.logs) >= max(known, 1):
		return time.Duration(queueFactor * float64(work.quantile(0.05))) // it cannot end sooner than it works
	}
	return total.gap(now-at.began, r.cost(), r.longestGap())
}

// sample keeps the logarithms of the last durations and their sums.
type sample struct {
	logs       []float64
	next       int
	sum, sumSq float64
}

func (s *sample) add(d time.Duration) {
	x := math.Log(max(d.Seconds(), 0.05))
	if len(s.logs) < learnedDurations {
		s.logs = append(s.logs, x)
	} else {
		old := s.logs[s.next]
		s.sum, s.sumSq = s.sum-old, s.sumSq-old*old
		s.logs[s.next] = x
		s.next = (s.next + 1) % learnedDurations
	}
	s.sum, s.sumSq = s.sum+x, s.sumSq+x*x
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
	n := float64(len(s.logs))
	mean := (priorWeight*prior.mu + s.sum) / (priorWeight + n)
	if n >= 2*priorWeight { // the prior's place no longer matters
		mean = s.sum / n
	}
	spread := s.sumSq - 2*mean*s.sum + n*mean*mean
	variance := (prior.sigma*prior.sigma + spread) / (1 + n)
	return lognormal{mu: mean, sigma: math.Sqrt(max(variance, 0.01))}
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
	const steps = 120
	step := longest.Seconds() / steps
	due := 0.0
	for i := range steps {
		t := elapsed.Seconds() + (float64(i)+0.5)*step
		due += step * math.Sqrt(l.hazard(t)/(2*cost))
		if due >= 1 {
			return seconds64(float64(i+1) * step)
		}
	}
	return longest
}

func seconds64(s float64) time.Duration {
	return time.Duration(min(s, 1e9) * float64(time.Second))
}
