package schedule_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/schedule"
	"github.com/vidu-go/vidu/internal/testkit"
)

// The simulation: tasks whose durations are drawn from a known distribution are waited for by different schedules. What
// counts is polls a task and seconds of lag, from the end of a task to the answer that tells it. Both can be traded for
// each other by asking more or less often, but for a fixed interval their product is always half the duration, so
// G = polls × lag ÷ (mean duration ÷ 2) measures how much a schedule knows: 1 is nothing.

// world is a distribution of durations. Tasks queue, then work.
type world struct {
	name   string
	queue  float64 // mean in seconds, exponential; 0: tasks work at once
	median float64 // of the work, in seconds, lognormal
	sigma  float64
	silent bool // the states before the end are not told
	must   gates
}

// gates are the figures that must be held.
type gates struct{ learned, fresh, againstFixed float64 }

var worlds = []*world{
	{name: "A", median: 60, sigma: 0.25, must: gates{0.58, 0.90, 0.6}},
	{name: "A-silent", median: 60, sigma: 0.25, silent: true, must: gates{0.58, 0.90, 0.6}},
	{name: "B", median: 90, sigma: 0.5, must: gates{0.82, 0.90, 1}},
	{name: "C", median: 90, sigma: 0.9, must: gates{1, 1, 1}},
	{name: "D", queue: 60, median: 60, sigma: 0.25, must: gates{0.42, 0.90, 0.6}},
}

const withinOracle = 1.35

func (w *world) String() string {
	text := fmt.Sprintf("%s: lognormal %g s, σ %g", w.name, w.median, w.sigma)
	if w.queue > 0 {
		text += fmt.Sprintf(", after a queue of %g s, exponential", w.queue)
	}
	return text
}

func (w *world) mean() float64 { return w.queue + w.median*math.Exp(w.sigma*w.sigma/2) }

// life is one task, in seconds.
type life struct{ queue, total float64 }

func (w *world) life(rng *rand.Rand) life {
	queue := w.queue * rng.ExpFloat64()
	return life{queue, queue + w.median*math.Exp(w.sigma*rng.NormFloat64())}
}

func (w *world) state(l life, age float64) schedule.Phase {
	switch {
	case age >= l.total:
		return schedule.Succeeded
	case w.silent:
		return schedule.Other
	case age < l.queue:
		return schedule.Queueing
	}
	return schedule.Processing
}

// figure is what a schedule costs and what it gives, on average.
type figure struct {
	tasks      int
	polls, lag float64
}

func (f *figure) add(polls int, lag float64) {
	f.tasks++
	f.polls += (float64(polls) - f.polls) / float64(f.tasks)
	f.lag += (lag - f.lag) / float64(f.tasks)
}

func (f figure) g(w *world) float64 { return f.polls * f.lag / (w.mean() / 2) }

// follow waits for one task as Watch does, in virtual time.
func (w *world) follow(p *pacer, s *schedule.PollState, reply string, l life) (polls int, lag float64) {
	created := time.Now()
	if reply == "" {
		polls = 1
		p.answer(s, job{Phase: w.state(l, 0)})
	}
	for {
		testkit.Pass(p.Gap(s))
		polls++
		age := time.Since(created).Seconds()
		state := w.state(l, age)
		if p.answer(s, job{Phase: state}); state == schedule.Succeeded {
			return polls, age - l.total
		}
	}
}

func createNth(p *pacer, n int) (schedule.PollState, string) {
	id := strconv.Itoa(n)
	p.create(job{ID: id, Phase: schedule.Queueing, Model: "viduq2-pro"}, false)
	return p.Begin(id)
}

// inTurn has new clients wait for one task after the other.
func (w *world) inTurn(clients, tasks int) (fresh, learned figure) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range clients {
		p := newPacer(rng.Float64)
		for n := range tasks {
			s, reply := createNth(p, n)
			polls, lag := w.follow(p, &s, reply, w.life(rng))
			if n < 40 {
				fresh.add(polls, lag)
			} else {
				learned.add(polls, lag)
			}
		}
	}
	return fresh, learned
}

// together has new clients wait for 40 tasks at once. The tasks are created a millisecond apart, so that the order of
// events, and with it the figure, is the same every time.
func (w *world) together(clients int) (all figure) {
	const tasks = 40
	rng, jitter := rand.New(rand.NewPCG(3, 4)), rand.New(rand.NewPCG(7, 8))
	for range clients {
		p := newPacer(jitter.Float64)
		var figures [tasks]figure
		done := make(chan int)
		for n := range tasks {
			l := w.life(rng)
			s, reply := createNth(p, n)
			go func() {
				figures[n].add(w.follow(p, &s, reply, l))
				done <- n
			}()
			testkit.Pass(time.Millisecond)
		}
		for range tasks {
			<-done
		}
		for _, f := range figures {
			all.add(int(f.polls), f.lag)
		}
	}
	return all
}

// pausing asks after each of the pauses, in seconds. A schedule that asks at once has 0 as its first.
func (w *world) pausing(pause func(n int, rng *rand.Rand) float64) (all figure) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 10_000 {
		total, age := w.life(rng).total, 0.0
		for n := 0; ; n++ {
			if age += pause(n, rng); age >= total {
				all.add(n+1, age-total)
				break
			}
		}
	}
	return all
}

func (w *world) fixed(interval float64) figure {
	return w.pausing(func(int, *rand.Rand) float64 { return interval })
}

// hcloud asks at once and then every 0.5 s.
func hcloud(n int, _ *rand.Rand) float64 { return []float64{0, 0.5}[min(n, 1)] }

// aws is smithy's waiter: at once, then random between 2 s and a limit that doubles up to 120 s.
func aws(n int, rng *rand.Rand) float64 {
	if n == 0 {
		return 0
	}
	return 2 + rng.Float64()*(min(2*math.Pow(2, float64(n-1)), 120)-2)
}

// fixedCurve and oracleCurve are what can be had by asking more or less often.
func (w *world) fixedCurve() (curve []figure) {
	for _, d := range []float64{60, 40, 30, 20, 15, 10, 7.5, 5, 4, 3, 2, 1.5} {
		curve = append(curve, w.fixed(d))
	}
	return curve
}

func (w *world) oracleCurve() (curve []figure) {
	costs := []float64{8, 4, 2, 1, 0.5, 0.25, 0.1}
	if w.queue == 0 {
		ends := newEnds(w.cumulated, 0, w.median*math.Exp(3.9*w.sigma))
		for _, c := range costs {
			curve = append(curve, ends.best(c))
		}
		return curve
	}
	return w.queueingOracle(costs)
}

// cumulated is the chance that the work takes at most t seconds.
func (w *world) cumulated(t float64) float64 {
	if t <= 0 {
		return 0
	}
	return 0.5 * math.Erfc(-math.Log(t/w.median)/w.sigma/math.Sqrt2)
}

// queueingOracle knows the distributions and sees the states. A queue that is left at random has no memory, so it asks
// in equal gaps until the work has begun; from then on it knows the distribution of the rest.
func (w *world) queueingOracle(costs []float64) []figure {
	curve := make([]figure, len(costs))
	least := slices.Repeat([]float64{math.Inf(1)}, len(costs))
	for gap := 15.0; gap <= 120; gap += 3 {
		left := 1 - math.Exp(-gap/w.queue) // the chance that the queue ends within one gap
		const parts = 30
		rest := newEnds(func(t float64) (p float64) { // t may be negative: it ended before it was asked for
			for i := range parts {
				from, to := gap*float64(i)/parts, gap*float64(i+1)/parts
				p += (math.Exp(-from/w.queue) - math.Exp(-to/w.queue)) / left * w.cumulated(t+gap-(from+to)/2)
			}
			return p
		}, -gap, w.median*math.Exp(3.9*w.sigma))
		for i, c := range costs {
			f := rest.best(c)
			f.polls += 1 / left
			if sum := f.lag + c*f.polls; sum < least[i] {
				least[i], curve[i] = sum, f
			}
		}
	}
	return curve
}

// ends is a distribution on a grid of grid seconds: of when a task ends, from now on.
type ends struct {
	from  float64
	share []float64 // that ended at most so late
	sums  []float64 // of those times
}

const grid = 0.5

func newEnds(cumulated func(t float64) float64, from, to float64) *ends {
	n := int((to-from)/grid) + 1
	e := &ends{from: from, share: make([]float64, n+1), sums: make([]float64, n+1)}
	for i := range n {
		t := from + grid*float64(i+1)
		e.share[i+1] = cumulated(t)
		e.sums[i+1] = e.sums[i] + (e.share[i+1]-e.share[i])*(t-grid/2)
	}
	return e
}

// best is the dynamic program: from every moment on, the next poll is where lag and cost together are least. What ended
// before now is found by the poll that has just been made; polls are at least a second apart.
func (e *ends) best(cost float64) figure {
	n, now := len(e.share)-1, int(-e.from/grid)
	sum, best := make([]float64, n+1), make([]figure, n+1)
	for i := n - 1; i >= now; i-- {
		sum[i] = math.Inf(1)
		for j := min(i+int(1/grid), n); j <= min(i+int(150/grid), n); j++ {
			lag := (e.from+grid*float64(j))*(e.share[j]-e.share[i]) - (e.sums[j] - e.sums[i])
			if total := lag + cost*(e.share[n]-e.share[i]) + sum[j]; total < sum[i] {
				sum[i] = total
				best[i] = figure{polls: e.share[n] - e.share[i] + best[j].polls, lag: lag + best[j].lag}
			}
		}
	}
	found := best[now]
	found.lag += -e.sums[now]
	return figure{polls: found.polls / e.share[n], lag: found.lag / e.share[n]}
}

// lagAt reads a curve: the lag at so many polls.
func lagAt(curve []figure, polls float64) float64 {
	i, _ := slices.BinarySearchFunc(curve, polls, func(f figure, polls float64) int { return cmp.Compare(f.polls, polls) })
	a, b := curve[max(min(i, len(curve)-1), 1)-1], curve[max(min(i, len(curve)-1), 1)]
	return a.lag * math.Pow(b.lag/a.lag, math.Log(polls/a.polls)/math.Log(b.polls/a.polls))
}

// results are the figures of one world.
type results struct {
	fresh, learned, together figure
	fixed, oracle            []figure
	names                    []string
	others                   []figure
}

func (w *world) results(t *testing.T) *results {
	t.Helper()
	r := &results{
		fixed: w.fixedCurve(), oracle: w.oracleCurve(),
		names:  []string{"fixed 5 s", "fixed 10 s", "fixed 15 s", "fixed 1 s (replicate-go)", "0.5 s (hcloud-go)", "exponential (AWS)"},
		others: []figure{w.fixed(5), w.fixed(10), w.fixed(15), w.fixed(1), w.pausing(hcloud), w.pausing(aws)},
	}
	synctest.Test(t, func(*testing.T) {
		_, r.learned = w.inTurn(6, 640)
		r.fresh, _ = w.inTurn(200, 40)
		r.together = w.together(20)
	})
	return r
}

func (r *results) table(w *world) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v\n%-26s %10s × %5s ÷ %5.1f = %5s  against fixed, oracle at equal polls\n", w, "", "polls", "lag", w.mean()/2, "G")
	line := func(name string, f figure) {
		fmt.Fprintf(&b, "%-26s %10.2f × %5.2f s       = %5.2f  %5.2f %5.2f\n", name, f.polls, f.lag, f.g(w),
			f.lag/lagAt(r.fixed, f.polls), f.lag/lagAt(r.oracle, f.polls))
	}
	line("ours, learned", r.learned)
	line("ours, first 40", r.fresh)
	line("ours, first 40, together", r.together)
	for i, name := range r.names {
		line(name, r.others[i])
	}
	line("oracle", r.oracle[4])
	return b.String()
}

// The schedule against what others do, what a fixed interval could do, and what can be done at all.
func TestSchedule_Simulation(t *testing.T) {
	t.Parallel()
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			r := w.results(t)
			t.Log("\n" + r.table(w))
			assert.LessOrEqual(t, r.learned.g(w), w.must.learned)
			assert.LessOrEqual(t, r.fresh.g(w), w.must.fresh)
			assert.LessOrEqual(t, r.learned.lag/lagAt(r.fixed, r.learned.polls), w.must.againstFixed)
			for _, f := range []figure{r.fresh, r.together} {
				assert.LessOrEqual(t, f.lag/lagAt(r.fixed, f.polls), 1.0, "never worse than fixed")
			}
			if !w.silent {
				assert.LessOrEqual(t, r.learned.lag/lagAt(r.oracle, r.learned.polls), withinOracle)
			}
		})
	}
}

// VIDU_PLOT=1 go test -run TestSchedule_Plot ./internal/schedule draws docs/waiting.svg.
func TestSchedule_Plot(t *testing.T) {
	if os.Getenv("VIDU_PLOT") == "" {
		t.Skip("VIDU_PLOT is not set")
	}
	t.Parallel()
	var b strings.Builder
	b.WriteString(svgHead)
	for i, key := range []struct{ color, name string }{{"#999", "any fixed interval"}, {"#2a7", "oracle that knows the distribution"}, {"#e90", "ours, the first 40 tasks"}, {"#d22", "ours, learned"}} {
		fmt.Fprintf(&b, "<circle cx=\"%d\" cy=\"40\" r=\"4\" fill=\"%s\"/><text x=\"%d\" y=\"44\">%s</text>\n", 56+i*220, key.color, 66+i*220, key.name)
	}
	for i, title := range []string{"A: 60 s, σ 0.25, lognormal", "B: 90 s, σ 0.5, lognormal", "D: A, after a queue of 60 s on average"} {
		w := worlds[slices.IndexFunc(worlds, func(w *world) bool { return w.name == title[:1] })]
		fmt.Fprintf(&b, "<g transform=\"translate(%d,84)\">\n<text y=\"-10\">%s</text>\n%s</g>\n", 52+i*300, title, w.results(t).panel())
	}
	b.WriteString("</svg>\n")
	require.NoError(t, os.WriteFile(filepath.Join("..", "..", "docs", "waiting.svg"), []byte(b.String()), 0o644))
}

const svgHead = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 940 384" width="940" height="384" font-family="sans-serif" font-size="11" fill="#333">
<rect width="940" height="384" fill="#fff"/>
<text x="52" y="22" font-size="15">Polls a task against seconds of lag: nearer to the corner is better</text>
`

const plotSide = 250.0 // of a panel; 0 to 16 polls, 0 to 12 seconds

func plotX(polls float64) float64 { return polls / 16 * plotSide }
func plotY(lag float64) float64   { return plotSide - lag/12*plotSide }

// panel draws one world.
func (r *results) panel() string {
	var b strings.Builder
	for i := range 5 {
		x, y := plotX(float64(4*i)), plotY(float64(3*i))
		fmt.Fprintf(&b, "<path d=\"M%.1f 0V250M0 %.1fH250\" stroke=\"#e4e4e4\"/>", x, y)
		fmt.Fprintf(&b, "<text x=\"%.1f\" y=\"265\" text-anchor=\"middle\">%d</text><text x=\"-6\" y=\"%.1f\" text-anchor=\"end\">%d</text>\n", x, 4*i, y+4, 3*i)
	}
	b.WriteString("<text x=\"125\" y=\"283\" text-anchor=\"middle\">polls a task</text><text transform=\"translate(-28,125) rotate(-90)\" text-anchor=\"middle\">seconds of lag</text>\n")
	b.WriteString(plotCurve(r.fixed, "#999") + plotCurve(r.oracle, "#2a7"))
	for i, name := range []string{"5 s", "10 s", "15 s"} {
		b.WriteString(plotPoint(r.others[i], "#999", name))
	}
	b.WriteString(plotPoint(r.fresh, "#e90", "") + plotPoint(r.learned, "#d22", ""))
	return b.String()
}

func plotCurve(curve []figure, color string) string {
	var points []string
	for polls := curve[0].polls; polls <= 16; polls += 0.25 {
		if lag := lagAt(curve, polls); lag <= 12 {
			points = append(points, fmt.Sprintf("%.1f,%.1f", plotX(polls), plotY(lag)))
		}
	}
	return fmt.Sprintf("<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"/>\n", strings.Join(points, " "), color)
}

func plotPoint(f figure, color, name string) string {
	if f.polls > 16 || f.lag > 12 {
		return ""
	}
	return fmt.Sprintf("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/><text x=\"%.1f\" y=\"%.1f\" fill=\"%s\">%s</text>\n",
		plotX(f.polls), plotY(f.lag), color, plotX(f.polls)+7, plotY(f.lag)-3, color, name)
}
