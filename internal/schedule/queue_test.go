package schedule_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/schedule"
)

const ms = time.Millisecond

// startedQueue is a queue whose n tasks are due at once, in their order.
func startedQueue(n int, perSecond float64, listSize int) *schedule.Queue {
	q := schedule.NewQueue(n, perSecond, listSize)
	for i := range n {
		q.Start(i, time.Duration(i-n))
	}
	return q
}

// unlimited is a rate that never delays a query.
var unlimited = math.Inf(1)

// nextTasks is what the next query is for. There must be one.
func nextTasks(t *testing.T, q *schedule.Queue, now time.Duration) []int {
	t.Helper()
	tasks, wait := q.Next(now)
	require.NotEmpty(t, tasks, "nothing for %v", wait)
	assert.Zero(t, wait)
	return tasks
}

// assertIdle checks that there is no query to send for a while.
func assertIdle(t *testing.T, q *schedule.Queue, now, wait time.Duration) {
	t.Helper()
	tasks, got := q.Next(now)
	assert.Empty(t, tasks)
	assert.Equal(t, wait, got)
}

// restAll has tasks answered, and due again after a pause.
func restAll(q *schedule.Queue, now time.Duration, tasks []int, pause time.Duration) {
	q.Done(now, len(tasks), schedule.Answered)
	for _, i := range tasks {
		q.Rest(i, now, pause, 0, false)
	}
}

// failAll has the query for tasks fail, with a Retry-After of hold.
func failAll(q *schedule.Queue, now time.Duration, tasks []int, pause, hold time.Duration) {
	q.Done(now, len(tasks), schedule.Unanswered)
	for _, i := range tasks {
		q.Rest(i, now, pause, hold, true)
	}
}

// refuse has a list answered by a server that may have none.
func refuse(q *schedule.Queue, now time.Duration, tasks []int) {
	q.Done(now, len(tasks), schedule.NoList)
	for _, i := range tasks {
		q.Again(i, now)
	}
}

func numbers(from, to int) (all []int) {
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

func TestQueue_EarliestFirst(t *testing.T) {
	t.Parallel()
	q := schedule.NewQueue(4, unlimited, 0)
	for i, due := range []time.Duration{3 * sec, 1 * sec, 4 * sec, 2 * sec} {
		q.Start(i, due)
	}
	assertIdle(t, q, 0, sec)
	assertIdle(t, q, 400*ms, 600*ms)
	var order []int
	for range 4 {
		order = append(order, nextTasks(t, q, 4*sec)...)
	}
	assert.Equal(t, []int{1, 3, 0, 2}, order)
	assertIdle(t, q, 4*sec, schedule.Never)
}

// The same among many, of which some are taken out and some come back.
func TestQueue_EarliestFirstAmongMany(t *testing.T) {
	t.Parallel()
	for round := range 100 {
		rng := rand.New(rand.NewPCG(2, uint64(round)))
		n := 1 + rng.IntN(60)
		q := schedule.NewQueue(n, unlimited, 0)
		var want []time.Duration // of the tasks that are left
		due := rng.Perm(n)
		for i := range n {
			due[i]++
			q.Start(i, time.Duration(due[i])*sec)
		}
		for i := range n {
			switch rng.IntN(4) {
			case 0:
				q.End(i)
			case 1: // is due later, after all others
				q.Wake(i, 0, false)
				require.Equal(t, []int{i}, nextTasks(t, q, 0))
				q.Done(0, 1, schedule.Answered)
				later := time.Duration(n+due[i]) * sec
				q.Rest(i, 0, later, 0, false)
				want = append(want, later)
			default:
				want = append(want, time.Duration(due[i])*sec)
			}
		}
		slices.Sort(want)
		var got []time.Duration
		for now := time.Duration(0); len(got) < len(want); {
			tasks, wait := q.Next(now)
			if now += wait; tasks != nil {
				got = append(got, now)
				q.Done(now, 1, schedule.Answered)
				q.End(tasks[0])
			}
		}
		require.Equal(t, want, got, "round %d", round)
		assertIdle(t, q, time.Hour, schedule.Never)
	}
}

// A task that was answered is due after its pause; one whose query is in flight is not due at all.
func TestQueue_Rest(t *testing.T) {
	t.Parallel()
	q := startedQueue(1, unlimited, 0)
	assert.Equal(t, []int{0}, nextTasks(t, q, 0))
	assertIdle(t, q, sec, schedule.Never)
	restAll(q, sec, []int{0}, 5*sec)
	assertIdle(t, q, sec, 5*sec)
	assertIdle(t, q, 6*sec-1, 1)
	assert.Equal(t, []int{0}, nextTasks(t, q, 6*sec))
}

func TestQueue_RateIsBounded(t *testing.T) {
	t.Parallel()
	for rate, want := range map[float64]int{0.5: 5, 2: 20, 20: 200, 100: 1000, unlimited: 100_000, 1e-300: 1} {
		q := startedQueue(1000, rate, 0)
		asked := 0
		for now := time.Duration(0); now < 10*sec && asked < 100_000; {
			tasks, wait := q.Next(now)
			if tasks == nil {
				now += wait
				continue
			}
			restAll(q, now, tasks, sec)
			asked++
		}
		if rate == unlimited { // each task ten times
			want = 10_000
		}
		assert.Equal(t, want, asked, "%v per second", rate)
	}
}

func TestQueue_QueriesInFlight(t *testing.T) {
	t.Parallel()
	q := startedQueue(100, unlimited, 0)
	for i := range schedule.MaxInFlight {
		assert.Equal(t, []int{i}, nextTasks(t, q, 0))
	}
	assertIdle(t, q, 0, schedule.Never)
	restAll(q, sec, []int{3}, time.Hour)
	assert.Equal(t, []int{16}, nextTasks(t, q, sec))
	assertIdle(t, q, sec, schedule.Never)
}

// A server that answers 429 is left alone by all tasks.
func TestQueue_Hold(t *testing.T) {
	t.Parallel()
	q := startedQueue(3, 1, 0)
	nextTasks(t, q, 0)
	q.Hold(40 * sec)
	q.Hold(20 * sec)
	q.Wake(1, 0, true)
	assertIdle(t, q, sec, 39*sec)
	assert.Equal(t, []int{1}, nextTasks(t, q, 40*sec))
}

// A woken task overtakes those that are overdue.
func TestQueue_WakeOvertakes(t *testing.T) {
	t.Parallel()
	q := startedQueue(100, 1, 0)
	nextTasks(t, q, 0)
	assert.True(t, q.Wake(99, sec, true))
	assert.Equal(t, []int{99}, nextTasks(t, q, sec))
	assert.Equal(t, []int{1}, nextTasks(t, q, 2*sec))
}

// Woken tasks take turns with those that are due: a flood of callbacks keeps nobody waiting.
func TestQueue_WokenTakeTurns(t *testing.T) {
	t.Parallel()
	q := startedQueue(10, unlimited, 0)
	for i := 5; i < 10; i++ {
		q.Wake(i, 0, false)
	}
	var order []int
	for range 10 {
		order = append(order, nextTasks(t, q, 0)...)
	}
	assert.Equal(t, []int{5, 0, 6, 1, 7, 2, 8, 3, 9, 4}, order)
}

// With nothing else due, woken tasks come one after the other.
func TestQueue_OnlyWoken(t *testing.T) {
	t.Parallel()
	q := startedQueue(3, unlimited, 0)
	for range 3 {
		restAll(q, 0, nextTasks(t, q, 0), time.Hour)
	}
	for i := range 3 {
		q.Wake(i, sec, false)
	}
	for i := range 3 {
		assert.Equal(t, []int{i}, nextTasks(t, q, sec))
	}
	assertIdle(t, q, sec, schedule.Never)
}

// A callback that may not bring a query forward yet leaves the task among the others.
func TestQueue_WokenLater(t *testing.T) {
	t.Parallel()
	q := startedQueue(2, unlimited, 0)
	failAll(q, 0, nextTasks(t, q, 0), time.Minute, 20*sec)
	restAll(q, 0, nextTasks(t, q, 0), 10*sec)
	assert.True(t, q.Wake(0, sec, true))
	assertIdle(t, q, sec, 9*sec)
	assert.Equal(t, []int{1}, nextTasks(t, q, 10*sec))
	assertIdle(t, q, 10*sec, 10*sec)
	assert.Equal(t, []int{0}, nextTasks(t, q, 20*sec))
}

// A callback for a task whose query is in flight has it queried once more, at once, and is genuine if one of them was.
func TestQueue_WokenInFlight(t *testing.T) {
	t.Parallel()
	for name, calls := range map[string][]bool{"unverified": {false}, "genuine": {true}, "genuine among others": {false, true, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := startedQueue(2, unlimited, 0)
			nextTasks(t, q, 0)
			for _, genuine := range calls {
				assert.False(t, q.Wake(0, 0, genuine), "the query that is in flight was sent before")
			}
			q.Done(sec, 1, schedule.Answered)
			assert.Equal(t, slices.Contains(calls, true), q.Rest(0, sec, time.Hour, 0, false))
			assert.Equal(t, []int{0}, nextTasks(t, q, sec), "before the one that is overdue")
		})
	}
}

// A task that is woken again before it was queried is queried once.
func TestQueue_WokenTwice(t *testing.T) {
	t.Parallel()
	q := startedQueue(1, unlimited, 0)
	q.Wake(0, 0, false)
	assert.True(t, q.Wake(0, 0, true))
	restAll(q, 0, nextTasks(t, q, 0), time.Hour)
	assertIdle(t, q, 0, time.Hour)
}

func TestQueue_End(t *testing.T) {
	t.Parallel()
	q := startedQueue(4, unlimited, 0)
	assert.Equal(t, []int{0}, nextTasks(t, q, 0))
	q.Wake(2, 0, true)
	for i := range 3 { // in flight, due, woken
		assert.False(t, q.Ended(i))
		q.End(i)
		assert.True(t, q.Ended(i))
	}
	q.Done(0, 1, schedule.Answered)
	assert.False(t, q.Rest(0, 0, 0, 0, false))
	for i := range 3 {
		assert.False(t, q.Wake(i, 0, true))
	}
	assert.Equal(t, []int{3}, nextTasks(t, q, 0))
	assertIdle(t, q, 0, schedule.Never)
}

func TestQueue_Failed(t *testing.T) {
	t.Parallel()
	q := startedQueue(1, unlimited, 0)
	assert.False(t, q.Failed(0))
	failAll(q, 0, nextTasks(t, q, 0), sec, 0)
	assert.True(t, q.Failed(0))
	restAll(q, sec, nextTasks(t, q, sec), sec)
	assert.False(t, q.Failed(0))
}

// What is no answer to a query changes nothing.
func TestQueue_NotInFlight(t *testing.T) {
	t.Parallel()
	q := startedQueue(1, unlimited, 0)
	assert.False(t, q.Rest(0, 0, time.Hour, 0, true))
	assert.False(t, q.Again(0, 0))
	assert.False(t, q.Alone(0, 0))
	assert.Equal(t, []int{0}, nextTasks(t, q, 0))
	assertIdle(t, q, 0, schedule.Never)
}

// From eight tasks on one list asks for as many as it can; fewer are asked for one by one.
func TestQueue_Lists(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		tasks, listSize int
		want            []int // sizes of the queries
	}{
		"seven":           {7, 100, slices.Repeat([]int{1}, 7)},
		"eight":           {8, 100, []int{8}},
		"more than fit":   {250, 100, []int{100, 100, 50}},
		"few are left":    {103, 100, []int{100, 1, 1, 1}},
		"without lists":   {12, 0, slices.Repeat([]int{1}, 12)},
		"lists of twenty": {45, 20, []int{20, 20, 1, 1, 1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := startedQueue(tt.tasks, unlimited, tt.listSize)
			var sizes, asked []int
			for range tt.want {
				tasks := nextTasks(t, q, 0)
				sizes, asked = append(sizes, len(tasks)), append(asked, tasks...)
			}
			assert.Equal(t, tt.want, sizes)
			assert.Equal(t, numbers(0, tt.tasks), asked)
			assertIdle(t, q, 0, schedule.Never)
		})
	}
}

// A list asks for what will be due within a second, too, but not for what failed or was answered within the last
// second.
func TestQueue_ListsAskAhead(t *testing.T) {
	t.Parallel()
	q := startedQueue(14, unlimited, 100)
	all := nextTasks(t, q, 0)
	assert.Len(t, all, 14)
	q.Done(0, 14, schedule.Answered)
	for i := range 9 {
		q.Rest(i, 0, 10*sec, 0, false)
	}
	q.Rest(9, 0, 10*sec+500*ms, 0, false) // soon
	q.Rest(10, 0, 12*sec, 0, false)       // not so soon
	q.Rest(11, 0, 10*sec+500*ms, 0, true) // soon, but failed
	q.Rest(12, 0, 10*sec, 0, true)        // failed, but due
	q.Rest(13, 9500*ms, 600*ms, 0, false) // soon, but just answered
	tasks := nextTasks(t, q, 10*sec)
	slices.Sort(tasks)
	assert.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12}, tasks)
	assertIdle(t, q, 10*sec, 100*ms)
	assert.Equal(t, []int{13}, nextTasks(t, q, 10*sec+100*ms))
	assertIdle(t, q, 10*sec+100*ms, 400*ms)
}

// A task of which a list did not say enough is queried next, alone, and no callback for it is lost.
func TestQueue_Alone(t *testing.T) {
	t.Parallel()
	q := startedQueue(20, unlimited, 10)
	tasks := nextTasks(t, q, 0)
	q.Wake(4, 0, true)
	q.Done(sec, 10, schedule.Answered)
	for _, i := range tasks {
		switch i {
		case 3, 4:
			assert.Equal(t, i == 4, q.Alone(i, sec))
		default:
			q.Rest(i, sec, time.Hour, 0, false)
		}
	}
	assert.Equal(t, []int{3}, nextTasks(t, q, sec))
	assert.Equal(t, numbers(10, 20), nextTasks(t, q, sec))
	assert.Equal(t, []int{4}, nextTasks(t, q, sec))
	restAll(q, sec, []int{4}, time.Hour)
	assertIdle(t, q, sec, time.Hour)
}

// A list that failed says nothing of its tasks: they are due as before, and not before others.
func TestQueue_NoListPutsBack(t *testing.T) {
	t.Parallel()
	q := startedQueue(300, unlimited, 100)
	restAll(q, 0, nextTasks(t, q, 0), time.Minute) // lists there are
	refuse(q, 0, nextTasks(t, q, 0))
	q.Wake(299, 0, true)
	assert.Equal(t, []int{299}, nextTasks(t, q, 0))
	assert.Equal(t, numbers(100, 200), nextTasks(t, q, 0))
	assert.Equal(t, numbers(200, 299), nextTasks(t, q, 0))
	assertIdle(t, q, 0, time.Minute)
}

// A callback that comes during a list that fails is not lost.
func TestQueue_WokenInAListThatFails(t *testing.T) {
	t.Parallel()
	q := startedQueue(20, unlimited, 100)
	tasks := nextTasks(t, q, 0)
	assert.False(t, q.Wake(7, 0, true))
	q.Done(sec, len(tasks), schedule.NoList)
	for _, i := range tasks {
		assert.Equal(t, i == 7, q.Again(i, sec))
	}
	assert.Equal(t, []int{7}, nextTasks(t, q, sec))
	restAll(q, sec, []int{7}, time.Hour)
	for _, i := range slices.Concat(numbers(0, 7), numbers(8, 20)) {
		assert.Equal(t, []int{i}, nextTasks(t, q, sec))
		restAll(q, sec, []int{i}, time.Hour)
	}
}

// Where the first list is refused, there are none.
func TestQueue_ListsGivenUpForGood(t *testing.T) {
	t.Parallel()
	q := startedQueue(20, unlimited, 100)
	refuse(q, 0, nextTasks(t, q, 0))
	for _, now := range []time.Duration{0, time.Hour, 1000 * time.Hour} {
		for range 20 {
			tasks := nextTasks(t, q, now)
			assert.Len(t, tasks, 1)
			restAll(q, now, tasks, time.Minute)
		}
	}
}

// Lists that were in flight together are answered in any order: one of them says that there are lists.
func TestQueue_ListRefusedAmongTheFirst(t *testing.T) {
	t.Parallel()
	q := startedQueue(20, unlimited, 10)
	first, second := nextTasks(t, q, 0), nextTasks(t, q, 0)
	refuse(q, 0, first)
	restAll(q, 0, second, time.Minute)
	assert.Equal(t, first, nextTasks(t, q, 0))
}

// Three lists in a row that fail are given up for a minute if a query for one task is answered then.
func TestQueue_ListsFail(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		listed  bool // before
		failing func(q *schedule.Queue, now time.Duration, tasks []int)
		single  func(q *schedule.Queue, now time.Duration, tasks []int)
		pause   time.Duration // until the next list; 0: none
	}{
		"they alone":             {true, failList, answerSoon, time.Minute},
		"they alone, from first": {false, failList, answerSoon, 0},
		"they alone, refused":    {true, refuse, answerSoon, time.Minute},
		"everything":             {true, failList, failList, time.Nanosecond},
		"everything, from first": {false, failList, failList, time.Nanosecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := startedQueue(20, unlimited, 100)
			now := time.Duration(0)
			if tt.listed {
				restAll(q, now, nextTasks(t, q, now), sec)
				now += sec
			}
			for range 3 {
				tasks := nextTasks(t, q, now)
				assert.Len(t, tasks, 20)
				tt.failing(q, now, tasks)
				now += sec
			}
			tasks := nextTasks(t, q, now)
			assert.Len(t, tasks, 1, "does anything work?")
			tt.single(q, now, tasks)
			for since := time.Duration(0); since < 2*time.Minute; since += sec {
				tasks := nextTasks(t, q, now+since+1)
				if isList := len(tasks) > 1; isList || (tt.pause > 0 && since >= tt.pause) {
					assert.True(t, isList)
					assert.NotZero(t, tt.pause)
					assert.GreaterOrEqual(t, since+1, tt.pause)
					return
				}
				answerSoon(q, now+since+1, tasks)
				for range 18 {
					answerSoon(q, now+since+1, nextTasks(t, q, now+since+1))
				}
			}
			assert.Zero(t, tt.pause, "no list any more")
		})
	}
}

func failList(q *schedule.Queue, now time.Duration, tasks []int) { failAll(q, now, tasks, sec, 0) }

func answerSoon(q *schedule.Queue, now time.Duration, tasks []int) { restAll(q, now, tasks, sec) }

// A success between two failures starts the count again.
func TestQueue_ListsFailNowAndThen(t *testing.T) {
	t.Parallel()
	q := startedQueue(20, unlimited, 100)
	for n := range 20 {
		now := time.Duration(n) * sec
		tasks := nextTasks(t, q, now)
		assert.Len(t, tasks, 20)
		if n%3 == 2 {
			answerSoon(q, now, tasks)
		} else {
			failList(q, now, tasks)
		}
	}
}

// Whatever happens in whatever order, no task is lost, none is queried twice at once, and the earliest comes first.
func TestQueue_RandomEvents(t *testing.T) {
	t.Parallel()
	for round := range 200 {
		rng := rand.New(rand.NewPCG(1, uint64(round)))
		n, listSize := 1+rng.IntN(40), []int{0, 20}[rng.IntN(2)]
		q := startedQueue(n, 100, listSize)
		inFlight, ended := map[int]bool{}, map[int]bool{}
		var queries [][]int
		now := time.Duration(0)
		ask := func() {
			tasks, _ := q.Next(now)
			for _, i := range tasks {
				require.False(t, inFlight[i] || ended[i])
				inFlight[i] = true
			}
			if tasks != nil {
				queries = append(queries, tasks)
			}
		}
		answer := func(end bool) {
			if len(queries) == 0 {
				return
			}
			k := rng.IntN(len(queries))
			tasks := queries[k]
			queries = slices.Delete(queries, k, k+1)
			outcome := schedule.Outcome(rng.IntN(3))
			if len(tasks) == 1 && outcome == schedule.NoList {
				outcome = schedule.Unanswered
			}
			q.Done(now, len(tasks), outcome)
			for _, i := range tasks {
				delete(inFlight, i)
				switch pause := time.Duration(rng.IntN(3000)) * ms; {
				case end || rng.IntN(20) == 0:
					q.End(i)
					ended[i] = true
				case outcome == schedule.NoList:
					q.Again(i, now)
				case len(tasks) > 1 && rng.IntN(5) == 0:
					q.Alone(i, now)
				default:
					q.Rest(i, now, pause, time.Duration(rng.IntN(2))*pause, outcome != schedule.Answered)
				}
			}
		}
		for range 500 {
			switch rng.IntN(4) {
			case 0:
				now += time.Duration(rng.IntN(300)) * ms
			case 1:
				q.Wake(rng.IntN(n), now, rng.IntN(2) == 0)
			case 2:
				ask()
			case 3:
				answer(false)
			}
		}
		for range 200 { // nothing new happens, and every answer is the last
			now += sec
			ask()
			answer(true)
		}
		assert.Len(t, ended, n, "round %d", round)
	}
}

// Before the end every task that rests is due once more, in the order in which they would be.
func TestQueue_LookAgain(t *testing.T) {
	t.Parallel()
	q := startedQueue(7, unlimited, 0)
	for i := range 7 {
		require.Equal(t, []int{i}, nextTasks(t, q, 0))
	}
	for i, pause := range []time.Duration{40, 20, 30, 60} { // 4: in flight
		restAll(q, 0, []int{i}, pause*time.Second)
	}
	failAll(q, 0, []int{5}, time.Minute, 12*time.Second)
	restAll(q, 9500*ms, []int{6}, time.Minute) // just now
	q.LookAgain(10 * time.Second)
	for _, i := range []int{1, 2, 0, 3} {
		assert.Equal(t, []int{i}, nextTasks(t, q, 10*time.Second+ms))
		restAll(q, 10*time.Second+ms, []int{i}, time.Minute)
	}
	assertIdle(t, q, 11*time.Second, time.Second)
	assert.Equal(t, []int{5}, nextTasks(t, q, 12*time.Second), "after its Retry-After")
	restAll(q, 12*time.Second, []int{5}, time.Minute)
	assertIdle(t, q, 13*time.Second, 56500*ms)
	assert.Equal(t, []int{6}, nextTasks(t, q, 69500*ms))
}
