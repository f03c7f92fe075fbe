package schedule

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// MaxInFlight is how many queries a Queue hands out at once.
const MaxInFlight = 16

const (
	listFrom       = 8 // due tasks from which on one list is cheaper
	maxFailedLists = 3 // in a row; then a query for one task shows whether it is the list that fails
	listPause      = time.Minute
	listAhead      = time.Second // how much earlier than due a task is queried together with others
)

// Outcome is what came of one query.
type Outcome uint8

// The outcomes of a query.
const (
	Answered   Outcome = iota
	Unanswered         // it failed
	NoList             // it failed, and says nothing of the tasks but that the server may have no lists
)

// Queue decides which of many tasks to query next, and when: at a bounded rate, woken tasks first but in turn with
// those that are due, and many in one query where the server lists tasks. Tasks are numbered from 0. Times are counted
// from the start of the wait.
type Queue struct {
	turns     []Turn
	due       []int32       // tasks to be queried at their time, as a heap
	urgent    []int32       // tasks to be queried before those that are due, each alone
	wasUrgent bool          // the last query was for one of them, so the next is for one that is due
	interval  time.Duration // between two queries
	free      time.Duration // when the next query is allowed
	inFlight  int

	listSize    int           // tasks in one list, at most
	lists       time.Duration // when the next list is allowed; noLists: never
	listed      bool          // a list has succeeded
	failedLists int           // in a row
}

const (
	noLists = math.MaxInt64
	outside = -1 // of the heap
)

// NewQueue returns a Queue of n tasks that hands out at most perSecond queries per second. listSize is how many tasks
// one query may ask for, 0 where the server has no lists.
func NewQueue(n int, perSecond float64, listSize int) *Queue {
	q := &Queue{
		turns: make([]Turn, n), due: make([]int32, 0, n), interval: seconds(1 / perSecond), listSize: listSize,
	}
	for i := range q.turns {
		q.turns[i].place = outside
	}
	if listSize == 0 {
		q.lists = noLists
	}
	return q
}

// Start makes the first query for task i due at the given time. What is due earlier comes first.
func (q *Queue) Start(i int, due time.Duration) {
	q.turns[i].due = due
	q.push(i)
}

// Next returns the tasks that the next query should ask for, if one is due and allowed now. If not, it returns for how
// long that stays so unless an answer or a callback comes.
func (q *Queue) Next(now time.Duration) (tasks []int, wait time.Duration) {
	if q.inFlight >= MaxInFlight {
		return nil, Never
	}
	for len(q.urgent) > 0 && q.Ended(int(q.urgent[0])) {
		q.urgent = q.urgent[1:]
	}
	if wait := max(q.nextDue(now), q.free) - now; wait > 0 {
		return nil, wait
	}
	q.inFlight++
	q.free = now + q.interval
	tasks = q.take(now)
	for _, i := range tasks {
		q.turns[i].Ask()
	}
	return tasks, 0
}

func (q *Queue) nextDue(now time.Duration) time.Duration {
	switch {
	case len(q.urgent) > 0:
		return now
	case len(q.due) > 0:
		return q.turns[q.due[0]].due
	}
	return now + Never
}

// take takes one task or, where the server has lists, many. Urgent ones come first, but take turns with those that are
// due: a flood of callbacks must not keep the others waiting for ever.
func (q *Queue) take(now time.Duration) []int {
	isDue := len(q.due) > 0 && q.turns[q.due[0]].due <= now
	if q.wasUrgent = len(q.urgent) > 0 && (!q.wasUrgent || !isDue); q.wasUrgent {
		first := q.urgent[0]
		q.urgent = q.urgent[1:]
		return []int{int(first)}
	}
	if q.lists > now || q.failedLists >= maxFailedLists {
		return []int{q.remove(0)}
	}
	tasks, rest := q.takeMany(now)
	if len(tasks) < listFrom {
		tasks, rest = tasks[:1], append(rest, tasks[1:]...)
	}
	for _, i := range rest {
		q.push(i)
	}
	return tasks
}

// takeMany takes what is due and, since one list answers for all of them, what will be due soon. The rest is what was
// answered within the last second, or failed and has a pause to keep.
func (q *Queue) takeMany(now time.Duration) (tasks, rest []int) {
	for len(tasks) < q.listSize && len(q.due) > 0 && q.turns[q.due[0]].due <= now+listAhead {
		i := q.remove(0)
		t := &q.turns[i]
		if t.due > now && (t.failed || now-seconds(float64(t.answered)) < minGap) {
			rest = append(rest, i)
		} else {
			tasks = append(tasks, i)
		}
	}
	return tasks, rest
}

// Done notes what came of a query for so many tasks. [Queue.Rest], [Queue.Again], [Queue.Alone] or [Queue.End] follows
// for each of them.
//
// Lists are given up where the server has none, or fails to give them while it answers other queries: for good if there
// never was one.
func (q *Queue) Done(now time.Duration, tasks int, o Outcome) {
	q.inFlight--
	pause := time.Duration(noLists)
	if q.listed {
		pause = now + listPause
	}
	isList := tasks > 1
	switch {
	case isList && o == Answered:
		q.failedLists, q.listed = 0, true
		q.lists = min(q.lists, now) // lists that were in flight together are answered in any order
	case o == NoList && !q.listed:
		q.lists = pause
	case isList:
		q.failedLists++
	case q.failedLists < maxFailedLists:
	case o != Answered: // an outage, of which lists are a part
		q.failedLists = 0
	default:
		q.failedLists, q.lists = 0, pause
	}
}

// Rest is [Turn.Rest] for task i.
func (q *Queue) Rest(i int, now, pause, hold time.Duration, failed bool) (genuine bool) {
	t := &q.turns[i]
	was := t.state
	genuine = t.Rest(now, pause, hold, failed)
	q.settle(i, now, was)
	return genuine
}

// Again is [Turn.Again] for task i.
func (q *Queue) Again(i int, now time.Duration) (genuine bool) {
	t := &q.turns[i]
	was := t.state
	genuine = t.Again(now)
	q.settle(i, now, was)
	return genuine
}

// settle puts a task, whose query was in flight before, where it will be queried next.
func (q *Queue) settle(i int, now time.Duration, was turnState) {
	switch {
	case !was.inFlight():
	case was == asking:
		q.push(i)
	default:
		q.pushWoken(i, now)
	}
}

// Alone is [Queue.Again] for a task of which a list did not say enough: it is queried next, alone.
func (q *Queue) Alone(i int, now time.Duration) (genuine bool) {
	t := &q.turns[i]
	if t.state.inFlight() {
		genuine = t.Again(now)
		q.pushUrgent(i)
	}
	return genuine
}

// Wake is [Turn.Wake] for task i, which overtakes the others if it is due then.
func (q *Queue) Wake(i int, now time.Duration, genuine bool) bool {
	t := &q.turns[i]
	genuine = t.Wake(now, genuine)
	if t.place != outside {
		q.remove(int(t.place))
		q.pushWoken(i, now)
	}
	return genuine
}

// LookAgain makes every task due that rests and was not answered within the last second, those first that would be due
// first. A server's Retry-After holds.
func (q *Queue) LookAgain(now time.Duration) {
	slices.SortFunc(q.due, func(a, b int32) int { return cmp.Compare(q.turns[a].due, q.turns[b].due) }) // a heap, too
	due := slices.Clone(q.due)
	q.due = q.due[:0]
	for n, i := range due {
		t := &q.turns[i]
		if now-seconds(float64(t.answered)) >= minGap {
			t.Wake(now+time.Duration(n), false) // in this order
		}
		q.push(int(i))
	}
}

// pushWoken queues a task that was woken.
func (q *Queue) pushWoken(i int, now time.Duration) {
	if q.turns[i].due <= now {
		q.pushUrgent(i)
	} else {
		q.push(i)
	}
}

// pushUrgent queues a task before those that are due.
func (q *Queue) pushUrgent(i int) { q.urgent = append(q.urgent, int32(i)) } //nolint:gosec // nobody waits for 2³¹ tasks

// End is [Turn.End] for task i, which is queried no more.
func (q *Queue) End(i int) {
	t := &q.turns[i]
	t.End()
	if t.place != outside {
		q.remove(int(t.place))
	}
}

// Hold allows no query before the given time.
func (q *Queue) Hold(until time.Duration) { q.free = max(q.free, until) }

// Ended reports whether the wait for task i is over.
func (q *Queue) Ended(i int) bool { return q.turns[i].state == ended }

// Failed reports whether the last query for task i failed.
func (q *Queue) Failed(i int) bool { return q.turns[i].failed }

// push adds a task to the heap of those that are due, with the earliest at its root.
func (q *Queue) push(i int) {
	last := len(q.due)
	q.due = append(q.due, int32(i)) //nolint:gosec // as above
	q.turns[i].place = int32(last)  //nolint:gosec // as above
	q.up(last)
}

// remove takes the task at a place out of the heap.
func (q *Queue) remove(place int) int {
	i, last := q.due[place], len(q.due)-1
	q.swap(place, last)
	q.due = q.due[:last]
	q.turns[i].place = outside
	if place < last {
		q.down(place)
		q.up(place)
	}
	return int(i)
}

func (q *Queue) up(place int) {
	for place > 0 && q.before(place, (place-1)/2) {
		q.swap(place, (place-1)/2)
		place = (place - 1) / 2
	}
}

func (q *Queue) down(place int) {
	for {
		first := place
		for child := 2*place + 1; child <= min(2*place+2, len(q.due)-1); child++ {
			if q.before(child, first) {
				first = child
			}
		}
		if first == place {
			return
		}
		q.swap(place, first)
		place = first
	}
}

func (q *Queue) before(a, b int) bool { return q.turns[q.due[a]].due < q.turns[q.due[b]].due }

func (q *Queue) swap(a, b int) {
	q.due[a], q.due[b] = q.due[b], q.due[a]
	q.turns[q.due[a]].place, q.turns[q.due[b]].place = int32(a), int32(b) //nolint:gosec // as above
}
