package schedule_test

import (
	"fmt"
	"math"
	"math/rand/v2"
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

// job is a task, or what an answer says of one.
type job struct {
	ID, Model, Resolution string
	Duration              int
	OffPeak               bool
	Endpoint              uint8
	Phase                 schedule.Phase
}

func (j job) sighting() schedule.Sighting {
	class := schedule.Class{Model: j.Model, Resolution: j.Resolution, Duration: j.Duration, OffPeak: j.OffPeak, Endpoint: j.Endpoint}
	return schedule.Sighting{ID: j.ID, Class: class, Phase: j.Phase}
}

// pacer is a Pacer that is told of jobs. It belongs in a synctest bubble.
type pacer struct{ *schedule.Pacer }

func newPacer(random func() float64) *pacer { return &pacer{schedule.NewPacer(random)} }

// steady is a pacer without jitter.
func steady() *pacer { return newPacer(func() float64 { return 0.5 }) }

func (p *pacer) create(j job, callback bool) { p.Remember(j.sighting(), callback, j.ID) }

func (p *pacer) answer(s *schedule.PollState, j job) { p.Observe(s, j.sighting(), p.Now()) }

func (p *pacer) answerWoken(s *schedule.PollState, j job) {
	s.NoteCallback(p.Now())
	p.answer(s, j)
}

// relyOnCallbacks has callbacks report the ends of three tasks first.
func (p *pacer) relyOnCallbacks() {
	for range 3 {
		p.create(job{ID: "reported"}, true)
		s, _ := p.Begin("reported")
		p.answerWoken(&s, job{ID: "reported", Phase: schedule.Failed})
	}
}

func seen(state schedule.Phase) job { return job{Phase: state} }

// teach lets p learn of n tasks like task that queue and work so long, from queries that are a second apart.
func teach(p *pacer, task job, n int, queue, work time.Duration) {
	for i := range n {
		task.ID = fmt.Sprint(task.Model, " ", i)
		p.create(task, false)
		s, _ := p.Begin(task.ID)
		for age := time.Duration(0); age < queue+work; age += time.Second {
			testkit.Pass(time.Second)
			switch {
			case age+time.Second >= queue+work:
				p.answer(&s, seen(schedule.Succeeded))
			case age+time.Second >= queue:
				p.answer(&s, seen(schedule.Processing))
			default:
				p.answer(&s, seen(schedule.Queueing))
			}
		}
	}
}

// created is a task that was just created.
func created(p *pacer, task job) (schedule.PollState, string) {
	task.ID = "new"
	p.create(task, false)
	return p.Begin(task.ID)
}

func TestPacer_LearnsEachClass(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]job{
		"model":      {Model: "viduq1", Duration: 5, Resolution: "720p"},
		"duration":   {Model: "viduq2-pro", Duration: 8, Resolution: "720p"},
		"resolution": {Model: "viduq2-pro", Duration: 5, Resolution: "1080p"},
		"off-peak":   {Model: "viduq2-pro", Duration: 5, Resolution: "720p", OffPeak: true},
		"endpoint":   {Model: "viduq2-pro", Duration: 5, Resolution: "720p", Endpoint: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := steady()
				task := job{Model: "viduq2-pro", Duration: 5, Resolution: "720p", Endpoint: 1}
				teach(p, task, 20, 0, 12*time.Second)
				teach(p, other, 20, 0, 80*time.Second)
				quick, _ := created(p, task)
				slow, _ := created(p, other)
				a, _, n, _ := schedule.Learned(&quick)
				b, _, m, _ := schedule.Learned(&slow)
				assert.InDelta(t, 12, a, 1)
				assert.InDelta(t, 80, b, 2)
				assert.Equal(t, []int{20, 20}, []int{n, m})
				assert.Less(t, p.Gap(&quick), 12*time.Second)
				assert.GreaterOrEqual(t, p.Gap(&slow), 30*time.Second)
			})
		})
	}
}

// A task of another process has no endpoint: it is taken for any of its class.
func TestPacer_TasksOfOthersHaveNoEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		teach(p, job{Model: "m", Endpoint: 1}, 20, 0, 12*time.Second)
		teach(p, job{Model: "m", Endpoint: 2}, 20, 0, 48*time.Second)
		s, reply := p.Begin("of another process")
		assert.Empty(t, reply)
		p.answer(&s, job{ID: "of another process", Model: "m", Phase: schedule.Processing})
		both, _, n, _ := schedule.Learned(&s)
		assert.Equal(t, 40, n)
		assert.InDelta(t, 24, both, 1, "the middle of both, on a logarithmic scale")

		// What is learned of such tasks stays there.
		teach(p, job{Model: "m"}, 5, 0, 12*time.Second)
		own, _ := created(p, job{Model: "m", Endpoint: 1})
		_, _, n, _ = schedule.Learned(&own)
		assert.Equal(t, 20, n)
		unseen, _ := created(p, job{Model: "m", Endpoint: 3})
		_, _, n, _ = schedule.Learned(&unseen)
		assert.Zero(t, n, "nor is it taken for that of an endpoint which was never seen")
	})
}

// The endpoint of a task is known from its create, whatever later replies say of its class.
func TestPacer_EndpointOfTheCreateIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		teach(p, job{Model: "m", OffPeak: true, Endpoint: 1}, 5, 0, 20*time.Second)
		p.create(job{ID: "1", Model: "m", Endpoint: 1}, false) // the reply to the create does not say that it is off-peak
		s, _ := p.Begin("1")
		p.answer(&s, job{ID: "1", Model: "m", OffPeak: true, Phase: schedule.Queueing})
		_, _, n, _ := schedule.Learned(&s)
		assert.Equal(t, 5, n)
		teach(p, job{Model: "m", OffPeak: true, Endpoint: 2}, 5, 0, 20*time.Second)
		_, _, n, _ = schedule.Learned(&s)
		assert.Equal(t, 5, n, "not those of another endpoint")
	})
}

func TestPacer_Endpoint(t *testing.T) {
	t.Parallel()
	p := schedule.NewPacer(func() float64 { return 0.5 })
	first := p.Endpoint("/reference2video")
	assert.NotZero(t, first)
	assert.Zero(t, p.Endpoint(strings.Repeat("x", 129)), "too long to keep")
	assert.NotEqual(t, first, p.Endpoint(strings.Repeat("x", 128)))
	seen := map[uint8]bool{}
	for i := range 200 {
		seen[p.Endpoint(strconv.Itoa(i))] = true
	}
	assert.Len(t, seen, 63, "62 more, and 0 for the rest")
	assert.True(t, seen[0])
	assert.Equal(t, first, p.Endpoint("/reference2video"), "known ones stay")
}

func TestPacer_ForgetsWhatIsLongAgo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		teach(p, job{}, 300, 0, 10*time.Second)
		teach(p, job{}, 256, 0, 60*time.Second)
		s, _ := created(p, job{})
		total, _, n, _ := schedule.Learned(&s)
		assert.InDelta(t, 60, total, 2)
		assert.Equal(t, 256, n)
	})
}

func TestPacer_LearnsQueueAndWorkApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		for i := range 16 { // the queue may take anything, the work does not
			teach(p, job{}, 1, time.Duration(1+i*i)*10*time.Second, 20*time.Second)
		}
		s, _ := created(p, job{})
		_, work, _, n := schedule.Learned(&s)
		assert.InDelta(t, 20, work, 1)
		assert.Equal(t, 16, n)

		p.answer(&s, seen(schedule.Queueing))
		assert.GreaterOrEqual(t, p.Gap(&s), 10*time.Second, "it cannot end sooner than it works")
		testkit.Pass(10 * time.Second)
		p.answer(&s, seen(schedule.Processing)) // began 5 s ago, more or less
		testkit.Pass(p.Gap(&s))
		p.answer(&s, seen(schedule.Processing))
		assert.LessOrEqual(t, p.Gap(&s), 4*time.Second, "about now it ends")
	})
}

// What teaches nothing: a task of unknown age, one that failed, and one that ended nobody knows when.
func TestPacer_LearnsOnlyWhatItSaw(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		live  func(p *pacer, s *schedule.PollState)
		total int
		work  int
	}{
		"seen": {func(p *pacer, s *schedule.PollState) {
			testkit.Pass(10 * time.Second)
			p.answer(s, seen(schedule.Processing))
			testkit.Pass(10 * time.Second)
			p.answer(s, seen(schedule.Succeeded))
		}, 1, 1},
		"work not seen": {func(p *pacer, s *schedule.PollState) {
			testkit.Pass(10 * time.Second)
			p.answer(s, seen(schedule.Succeeded))
		}, 1, 0},
		"failed": {func(p *pacer, s *schedule.PollState) {
			testkit.Pass(10 * time.Second)
			p.answer(s, seen(schedule.Failed))
		}, 0, 0},
		"asked for an hour later": {func(p *pacer, s *schedule.PollState) {
			testkit.Pass(time.Hour)
			p.answer(s, seen(schedule.Succeeded))
		}, 0, 0},
		"work begun nobody knows when": {func(p *pacer, s *schedule.PollState) {
			testkit.Pass(time.Hour)
			p.answer(s, seen(schedule.Processing))
			testkit.Pass(10 * time.Second)
			p.answer(s, seen(schedule.Succeeded))
		}, 1, 0},
		"woken after an hour": {func(p *pacer, s *schedule.PollState) {
			testkit.Pass(time.Hour)
			p.answerWoken(s, seen(schedule.Processing))
			testkit.Pass(time.Hour)
			p.answerWoken(s, seen(schedule.Succeeded))
		}, 1, 1},
		"of unknown age": {func(p *pacer, s *schedule.PollState) {
			*s, _ = p.Begin("unknown")
			p.answer(s, seen(schedule.Processing))
			testkit.Pass(10 * time.Second)
			p.answer(s, seen(schedule.Succeeded))
		}, 0, 0},
		"of unknown age, work seen": {func(p *pacer, s *schedule.PollState) {
			*s, _ = p.Begin("unknown")
			p.answer(s, seen(schedule.Queueing))
			testkit.Pass(10 * time.Second)
			p.answer(s, seen(schedule.Processing))
			testkit.Pass(10 * time.Second)
			p.answer(s, seen(schedule.Succeeded))
		}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := steady()
				s, _ := created(p, job{})
				tt.live(p, &s)
				_, _, total, work := schedule.Learned(&s)
				assert.Equal(t, []int{tt.total, tt.work}, []int{total, work})
			})
		})
	}
}

// The moments are known as well as the queries allow: in the middle between two, or at a callback.
func TestPacer_LearnsTheMiddleOrTheCallback(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, answer := range map[string]func(*pacer, *schedule.PollState, job){"polled": (*pacer).answer, "woken": (*pacer).answerWoken} {
			p := steady()
			var s schedule.PollState
			for i := range 16 {
				p.create(job{ID: strconv.Itoa(i)}, false)
				s, _ = p.Begin(strconv.Itoa(i))
				testkit.Pass(20 * time.Second)
				p.answer(&s, seen(schedule.Processing)) // at 10 s
				testkit.Pass(20 * time.Second)
				answer(p, &s, seen(schedule.Succeeded)) // at 30 s, or at 40 s
			}
			total, work, _, _ := schedule.Learned(&s)
			want := map[string]float64{"polled": 30, "woken": 40}[name]
			assert.InDelta(t, want, total, 0.01, name)
			assert.InDelta(t, want-10, work, 0.01, name)
		}
	})
}

func TestPacer_CallbackCountsForOneAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		var s schedule.PollState
		for i := range 16 {
			p.create(job{ID: strconv.Itoa(i)}, false)
			s, _ = p.Begin(strconv.Itoa(i))
			testkit.Pass(20 * time.Second)
			p.answerWoken(&s, seen(schedule.Processing)) // at 20 s
			testkit.Pass(20 * time.Second)
			p.answer(&s, seen(schedule.Succeeded)) // at 30 s
		}
		total, work, _, _ := schedule.Learned(&s)
		assert.InDelta(t, 30, total, 0.01)
		assert.InDelta(t, 10, work, 0.01)
	})
}

// A task that another process created may end at any moment.
func TestPacer_UnknownAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		teach(p, job{}, 20, 0, 60*time.Second)
		young, _ := created(p, job{})
		assert.Equal(t, 30*time.Second, p.Gap(&young))
		s, first := p.Begin("unknown")
		assert.Empty(t, first)
		p.answer(&s, seen(schedule.Processing))
		assert.Less(t, p.Gap(&s), 5*time.Second)
	})
}

// The reply to a create stands for the first answer when such tasks are known to take longer, and only then.
func TestPacer_ReplyStandsForTheFirstAnswer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		known int
		work  time.Duration
		late  time.Duration
		task  job
		want  bool
	}{
		"known":                   {8, 30 * time.Second, 0, job{Phase: schedule.Queueing}, true},
		"known, waited for later": {8, 30 * time.Second, 10 * time.Second, job{Phase: schedule.Queueing}, true},
		"known, waited for late":  {8, 30 * time.Second, 28 * time.Second, job{Phase: schedule.Queueing}, false},
		"hardly known":            {2, 30 * time.Second, 0, job{Phase: schedule.Queueing}, false},
		"quick":                   {8, 2 * time.Second, 0, job{Phase: schedule.Queueing}, false},
		"another class":           {8, 30 * time.Second, 0, job{Phase: schedule.Queueing, Duration: 8}, false},
		"ended already":           {8, 30 * time.Second, 0, job{Phase: schedule.Failed}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := steady()
				teach(p, job{}, tt.known, 0, tt.work)
				tt.task.ID = "new"
				p.create(tt.task, false)
				testkit.Pass(tt.late)
				_, first := p.Begin("new")
				assert.Equal(t, tt.want, first != "")
				if first != "" {
					assert.Equal(t, "new", first)
				}
			})
		})
	}
}

// Whatever was learned, a task is asked for at most once a second and, an immediate one, at least once in 30 s.
func TestPacer_Bounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, duration := range []time.Duration{time.Millisecond, time.Second, 50 * time.Second, time.Hour, 40 * time.Hour} {
			for _, offPeak := range []bool{false, true} {
				for _, state := range []schedule.Phase{schedule.Queueing, schedule.Processing, schedule.Other} {
					p := newPacer(rand.New(rand.NewPCG(1, 2)).Float64)
					task := job{ID: "1", OffPeak: offPeak}
					var s schedule.PollState
					for range 20 {
						p.create(task, false)
						s, _ = p.Begin("1")
						testkit.Pass(duration)
						p.answerWoken(&s, seen(schedule.Succeeded))
					}
					p.create(task, false)
					s, _ = p.Begin("1")
					longest := map[bool]time.Duration{false: 30 * time.Second, true: 30 * time.Minute}[offPeak]
					for range 200 {
						p.answer(&s, job{Phase: state, OffPeak: offPeak})
						gap := p.Gap(&s)
						assert.GreaterOrEqual(t, gap, time.Second)
						assert.LessOrEqual(t, gap, longest)
						testkit.Pass(gap)
					}
				}
			}
		}
	})
}

// The first tasks of a kind are asked for early; when hundreds begin together, the rest is not.
func TestPacer_ProbesWithAFew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		early := 0
		for n := range 100 {
			s, _ := createNth(p, n)
			p.answer(&s, seen(schedule.Processing))
			if p.Gap(&s) == time.Second {
				early++
			} else {
				assert.Greater(t, p.Gap(&s), 10*time.Second)
			}
		}
		assert.Equal(t, 4, early)
	})
}

// A first task of a kind is asked for after 1, 2, 4 … seconds for half a minute, no longer.
func TestPacer_ProbesForHalfAMinute(t *testing.T) {
	t.Parallel()
	for age, doubles := range map[time.Duration]bool{4 * time.Second: true, 29 * time.Second: true, 30 * time.Second: false} {
		synctest.Test(t, func(t *testing.T) {
			p := steady()
			s, _ := created(p, job{})
			testkit.Pass(age)
			p.answer(&s, seen(schedule.Processing))
			assert.Equal(t, doubles, p.Gap(&s) == age, "after %v", age)
		})
	}
}

// Until it is known better, half of the tasks are expected to take more than 90 s or, off-peak, more than 6 hours.
func TestPacer_WhatIsAssumedAtFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		for offPeak, want := range map[bool]time.Duration{false: 90 * time.Second, true: 6 * time.Hour} {
			s, _ := created(p, job{OffPeak: offPeak})
			total, work, _, _ := schedule.Learned(&s)
			assert.InDelta(t, want.Seconds(), total, 0.01)
			assert.InDelta(t, want.Seconds(), work, 0.01)
		}
	})
}

// An off-peak task may take two days. The gaps grow with it, and a night costs no thousand queries, not even when the
// work is known to take a minute.
func TestPacer_OffPeakStretches(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"unknown": false, "work known to be short": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := steady()
				task := job{ID: "1", OffPeak: true}
				for range 10 {
					if !known {
						break
					}
					p.create(task, false)
					s, _ := p.Begin("1")
					testkit.Pass(6 * time.Hour)
					p.answerWoken(&s, job{OffPeak: true, Phase: schedule.Processing})
					testkit.Pass(time.Minute)
					p.answerWoken(&s, job{OffPeak: true, Phase: schedule.Succeeded})
				}
				p.create(task, false)
				s, _ := p.Begin("1")
				polls, began := 0, time.Now()
				var gap time.Duration
				for ; time.Since(began) < 48*time.Hour; polls++ {
					p.answer(&s, job{OffPeak: true, Phase: schedule.Queueing})
					gap = p.Gap(&s)
					testkit.Pass(gap)
				}
				assert.Less(t, polls, 200)
				assert.Greater(t, polls, 90)
				assert.Equal(t, 30*time.Minute, gap)
			})
		})
	}
}

// While callbacks arrive, queries are a safety net: rare, but not so rare that a lost callback costs hours.
func TestPacer_ReliesOnCallbacks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		teach(p, job{}, 20, 0, 20*time.Second)
		p.create(job{ID: "with"}, true)
		p.create(job{ID: "without"}, false)
		with, _ := p.Begin("with")
		without, _ := p.Begin("without")
		assert.Equal(t, p.Gap(&without), p.Gap(&with), "no callback ever arrived")

		p.relyOnCallbacks()
		usual := p.Gap(&without)
		assert.Less(t, usual, 20*time.Second)
		assert.Equal(t, time.Minute, p.Gap(&with))
		testkit.Pass(3 * time.Minute)
		assert.Equal(t, 90*time.Second, p.Gap(&with), "half its age")
		testkit.Pass(7 * time.Minute)
		assert.Equal(t, 2*time.Minute, p.Gap(&with), "half its age, but not longer")
		testkit.Pass(50 * time.Minute)
		assert.LessOrEqual(t, p.Gap(&with), 30*time.Second, "an hour without a callback")

		p.create(job{ID: "off-peak", OffPeak: true}, true)
		p.relyOnCallbacks()
		s, _ := p.Begin("off-peak")
		assert.Equal(t, 2*time.Hour, p.Gap(&s))
	})
}

func TestPacer_MemoryIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		for i := range 5000 {
			id := strconv.Itoa(i)
			p.create(job{ID: id, Model: id, OffPeak: i%2 == 0, Endpoint: uint8(i % 3)}, false)
			s, _ := p.Begin(id)
			testkit.Pass(time.Second)
			p.answer(&s, seen(schedule.Succeeded))
		}
		classes, births := p.Sizes()
		assert.LessOrEqual(t, classes, 131)
		assert.Equal(t, 1024, births)

		s, _ := p.Begin("4999")
		_, _, n, _ := schedule.Learned(&s)
		assert.Equal(t, 256, n, "the classes that came late share one")
	})
}

// One reply that says off_peak is enough.
func TestPacer_OffPeakIsSeenLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		p.create(job{ID: "1"}, false)
		s, _ := p.Begin("1")
		testkit.Pass(time.Hour)
		assert.LessOrEqual(t, p.Gap(&s), 30*time.Second)
		p.answer(&s, job{Phase: schedule.Queueing, OffPeak: true})
		assert.Greater(t, p.Gap(&s), 5*time.Minute)
	})
}

// The newest 1,024 tasks are remembered, whatever came before them.
func TestPacer_RemembersTheNewest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		for n := range 3000 {
			p.create(job{ID: strconv.Itoa(n)}, false)
			if n < 1023 || n%500 != 0 {
				continue
			}
			for k := range n + 1 {
				require.Equal(t, k > n-1024, p.Remembers(strconv.Itoa(k)), "%d of %d", k, n)
			}
		}
		assert.False(t, p.Remembers("another"))
	})
}

// The reply to a create is no answer any more once the server has said more, or when it was too long to keep.
func TestPacer_ReplyIsNotKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		teach(p, job{}, 8, 0, 30*time.Second)
		for size, kept := range map[int]bool{4096: true, 4097: false} {
			p.Remember(job{ID: "1"}.sighting(), false, strings.Repeat("x", size))
			_, reply := p.Begin("1")
			assert.Equal(t, kept, reply != "")
		}
		p.create(job{ID: "1"}, true)
		p.DropReply("1")
		p.DropReply("another")
		s, reply := p.Begin("1")
		assert.Empty(t, reply)
		assert.True(t, p.Remembers("1"))
		assert.False(t, p.Remembers("another"))
		assert.Positive(t, p.Gap(&s))
	})
}

// Names without end share a class, and are not kept.
func TestPacer_LongNames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		long := job{Model: strings.Repeat("m", 100), Resolution: strings.Repeat("r", 29), Duration: 5}
		teach(p, long, 3, 0, 10*time.Second)
		short, _ := created(p, job{Duration: 5})
		_, _, n, _ := schedule.Learned(&short)
		assert.Equal(t, 3, n)
		long.Resolution = long.Resolution[1:]
		just, _ := created(p, long)
		_, _, n, _ = schedule.Learned(&just)
		assert.Zero(t, n)
	})
}

// One callback that is lost ends the reliance on them.
func TestPacer_LostCallback(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		p.create(job{ID: "1"}, true)
		s, _ := p.Begin("1")
		p.relyOnCallbacks()
		assert.Greater(t, p.Gap(&s), 30*time.Second)
		lost, _ := p.Begin("1")
		p.answer(&lost, job{ID: "1", Phase: schedule.Processing})
		assert.Greater(t, p.Gap(&s), 30*time.Second, "it may come yet")
		p.answer(&lost, job{ID: "1", Phase: schedule.Succeeded})
		assert.LessOrEqual(t, p.Gap(&s), 30*time.Second)

		p.create(job{ID: "2"}, false)
		p.relyOnCallbacks()
		without, _ := p.Begin("2")
		p.answer(&without, job{ID: "2", Phase: schedule.Succeeded})
		assert.Greater(t, p.Gap(&s), 30*time.Second, "a task without a callback proves nothing")
	})
}

// Two callbacks in a row prove nothing yet.
func TestPacer_ThreeCallbacks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		p.create(job{ID: "1"}, true)
		for n := range 4 {
			s, _ := p.Begin("1")
			assert.Equal(t, n == 3, p.Gap(&s) > 30*time.Second, "after %d", n)
			p.answerWoken(&s, job{ID: "1", Phase: schedule.Failed})
		}
	})
}

// However many waits see the end of a task, its duration is learned once; that of a task of another client, whose age
// nobody knows, by each of them.
func TestPacer_LearnsEachTaskOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		p.create(job{ID: "1"}, false)
		for _, id := range []string{"1", "another"} {
			var s schedule.PollState
			for range 3 {
				s, _ = p.Begin(id)
				p.answer(&s, job{ID: id, Phase: schedule.Queueing})
				testkit.Pass(5 * time.Second)
				p.answer(&s, job{ID: id, Phase: schedule.Processing})
				testkit.Pass(5 * time.Second)
				p.answer(&s, job{ID: id, Phase: schedule.Succeeded})
			}
			_, _, totals, works := schedule.Learned(&s)
			assert.Equal(t, 1, totals)
			assert.Equal(t, map[string]int{"1": 1, "another": 4}[id], works)
		}
	})
}

// A task that was never answered, for lack of a server, has a pause like any other.
func TestPacer_NeverAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		s, reply := p.Begin("unknown")
		assert.Empty(t, reply)
		assert.Greater(t, p.Gap(&s), time.Second)
		assert.LessOrEqual(t, p.Gap(&s), 30*time.Second)
	})
}

// Delay is the schedule of a wait that began with the create.
func TestPacer_Delay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		teach(p, job{}, 8, 0, 30*time.Second)
		s, _ := created(p, job{})
		for age := 10 * time.Second; age <= time.Minute; age += 10 * time.Second {
			testkit.Pass(10 * time.Second)
			assert.Equal(t, p.Gap(&s), p.Delay(job{Phase: schedule.Queueing}.sighting(), age))
		}
		assert.Greater(t, p.Delay(job{OffPeak: true}.sighting(), 6*time.Hour), 5*time.Minute)
		slow := job{Model: "slow"}
		teach(p, slow, 20, 0, 5*time.Minute)
		assert.Greater(t, p.Delay(slow.sighting(), 28*time.Second), 2*p.Delay(job{}.sighting(), 28*time.Second))
		slow.ID = "new" // which this client created, in the other class
		assert.Equal(t, p.Delay(job{}.sighting(), 28*time.Second), p.Delay(slow.sighting(), 28*time.Second))
		assert.GreaterOrEqual(t, p.Delay(job{}.sighting(), -time.Hour), time.Second)
	})
}

func TestLognormal(t *testing.T) {
	t.Parallel()
	mu := math.Log(60)
	assert.InDelta(t, 60, schedule.Quantile(mu, 0.25, 0.5).Seconds(), 1e-6)
	assert.InDelta(t, 60*math.Exp(0.25*1.6449), schedule.Quantile(mu, 0.25, 0.95).Seconds(), 1e-2)
	assert.InDelta(t, math.Sqrt(2/math.Pi)/(0.25*60), schedule.Hazard(mu, 0.25, 60), 1e-9)
	assert.Zero(t, schedule.Hazard(mu, 0.25, 0))
	for _, at := range []float64{60 * math.Exp(8*0.25-1e-9), 60 * math.Exp(8*0.25+1e-9)} { // where the formula changes
		assert.InDelta(t, 8/(0.25*at), schedule.Hazard(mu, 0.25, at), 0.02*8/(0.25*at))
	}
	assert.Less(t, schedule.Hazard(mu, 0.25, 1e9), 1e-6)
	assert.Equal(t, time.Duration(1e18), schedule.Quantile(100, 10, 0.99), "no overflow")
}

// A create whose id is remembered already takes its place again, not another one.
func TestPacer_RemembersAnIDOnce(t *testing.T) {
	t.Parallel()
	p := steady()
	p.create(job{ID: "twice"}, false)
	p.create(job{ID: "twice"}, false)
	for i := range 1022 {
		p.create(job{ID: strconv.Itoa(i)}, false)
	}
	assert.True(t, p.Remembers("twice"), "one of the newest 1,024")
	p.create(job{ID: "one more"}, false)
	assert.True(t, p.Remembers("twice"))
	p.create(job{ID: "and another"}, false)
	assert.False(t, p.Remembers("twice"))
}

// A callback that could not be followed by an answer for an hour does not make the answer precise.
func TestPacer_OldCallbackTeachesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := steady()
		p.create(job{ID: "1"}, true)
		s, _ := p.Begin("1")
		testkit.Pass(time.Minute)
		s.NoteCallback(p.Now())
		testkit.Pass(time.Hour)
		p.answer(&s, job{ID: "1", Phase: schedule.Succeeded})
		_, _, totals, _ := schedule.Learned(&s)
		assert.Zero(t, totals)
	})
}
