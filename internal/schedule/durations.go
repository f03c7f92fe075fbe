package schedule

import (
	"math"
	"time"
)

const (
	maxDurations = 256 // of each class
	// priorWeight is how many durations the prior counts for: the first completions of a batch are biased towards short
	// tasks.
	priorWeight = 8
)

// record is what is known about one class.
type record struct {
	offPeak bool
	probes  int8    // tasks that were queried often, because nothing was known
	total   sample  // created to ended
	work    sample  // processing to ended
	wider   *record // of the class without its endpoint; nil if that is this one
}

// learn adds the durations of a task that ended at when.
func (r *record) learn(s *PollState, when time.Duration) {
	if s.ageKnown {
		r.total.add(when - s.began)
	}
	if s.workBegan != 0 {
		r.work.add(when - s.workBegan)
	}
	if r.wider != nil {
		r.wider.learn(s, when)
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
	return MaxGap
}

func (r *record) cost() float64 {
	if r.offPeak {
		return offPeakCost
	}
	return pollCost
}

// gap returns how long to wait before the next query, before jitter and bounds.
func (r *record) gap(s *PollState, now time.Duration) time.Duration {
	total, work := r.total.fit(r.prior()), r.work.fit(r.prior())
	cost, longest := r.cost(), r.longestGap()
	known, age := len(r.total.logs), now-s.began
	switch {
	case s.probe && known == 0 && !r.offPeak && age < MaxGap:
		return age // after 1, 2, 4 … seconds: perhaps such tasks are quick
	case s.workBegan != 0 && (!s.ageKnown || work.deviation() < total.deviation()):
		return work.gap(now-s.workBegan, cost, longest)
	case !s.ageKnown: // it may be much older than the wait
		return total.gap(max(age, total.quantile(0.5)), cost, longest)
	case s.queueing && 2*len(r.work.logs) >= max(known, 1): // it cannot end sooner than it works
		least := queueFactor * float64(work.quantile(0.05))
		return max(time.Duration(least), total.gap(age, cost, longest))
	}
	return total.gap(age, cost, longest)
}

// safetyGap returns how long to wait for a callback before it is considered lost.
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
	if len(s.logs) < maxDurations {
		s.logs = append(s.logs, x)
		return
	}
	s.logs[s.next] = x
	s.next = (s.next + 1) % maxDurations
}

// lognormal is a distribution of durations in seconds: their logarithms are normal.
type lognormal struct{ mu, sigma float64 }

// What is assumed of a class until it is learned.
var (
	immediatePrior = lognormal{mu: math.Log(90), sigma: 0.9}
	offPeakPrior   = lognormal{mu: math.Log(6 * 3600), sigma: 1.5}
)

// fit returns the distribution of the sample, drawn toward prior while there is little of it.
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

// deviation returns the standard deviation in seconds.
func (l lognormal) deviation() float64 {
	variance := l.sigma * l.sigma
	return math.Exp(l.mu+variance/2) * math.Sqrt(math.Expm1(variance))
}

// hazard returns the chance per second that what has run for t seconds ends now.
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

// quantile returns the duration that the share p of tasks does not exceed, for p in 0…1.
func (l lognormal) quantile(p float64) time.Duration {
	return seconds(math.Exp(l.mu + l.sigma*math.Sqrt2*math.Erfinv(2*p-1)))
}

// gap returns how long to wait after elapsed: until the density of polls has added up to one.
func (l lognormal) gap(elapsed time.Duration, cost float64, longest time.Duration) time.Duration {
	const steps = 60
	step := longest.Seconds() / steps
	due := 0.0
	for i := range steps {
		more := step * math.Sqrt(l.hazard(elapsed.Seconds()+(float64(i)+0.5)*step)/(2*cost))
		if due+more >= 1 {
			return seconds((float64(i) + (1-due)/more) * step)
		}
		due += more
	}
	return longest
}

func seconds(s float64) time.Duration {
	return time.Duration(min(s, 1e9) * float64(time.Second))
}
