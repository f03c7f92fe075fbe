package vidu

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"iter"
	"math"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/vidu-go/vidu/internal/schedule"
)

const (
	defaultPollRate = 20.0 // queries a second
	maxQueries      = 16   // at once
	listFrom        = 8    // due tasks from which on one list request is cheaper
	maxListFailures = 3    // in a row; then a query for one task shows whether it is the list that fails
	listPause       = time.Minute
	listAhead       = time.Second // how much earlier than due a task is asked for with others
)

// WithMaxPollRate bounds the queries of one [Client.WaitAll] to perSecond, whatever the number of tasks and however the
// queries fail. The default is 20; zero and less are ignored. Besides, at most 16 queries are under way at once.
func WithMaxPollRate(perSecond float64) WaitOption {
	return func(w *waitConfig) {
		if perSecond > 0 {
			w.rate = perSecond
		}
	}
}

// WaitAll waits for any number of tasks and yields each as it is seen to have ended: with a nil error after success, a
// [*TaskError] after failure, and another error that names the id when the task can no longer be waited for. The
// failures that [Client.Watch] rides out are ridden out here. When the context ends, the rest is yielded with errors
// that wrap ctx.Err().
//
// There is exactly one result for each element of ids; one that fails does not end the others. The task is never nil: of
// one that could not be followed to its end it has the ID and what was seen last of State and Progress.
//
// All tasks share one schedule and its bounded rate of queries ([WithMaxPollRate]); with the official API up to 100 are
// asked for in one request, some of them a second early. Nothing is asked while the caller is busy with a result. A waiting task costs about 120 bytes, and
// whatever goroutines there are end with the loop.
func (c *Client) WaitAll(ctx context.Context, ids []string, opts ...WaitOption) iter.Seq2[*Task, error] {
	config := newWaitConfig(opts)
	return func(yield func(*Task, error) bool) {
		if err := c.ready(ctx); err != nil {
			for _, id := range ids {
				if !yield(&Task{ID: id}, err) {
					return
				}
			}
			return
		}
		newFleet(c, config, ids).run(ctx, yield)
	}
}

// fleet is one WaitAll. It belongs to the caller's goroutine, except for two things: each query has a goroutine and,
// until it is answered, the pace of its tasks; and callbacks leave the tasks that they name in woken.
type fleet struct {
	client  *Client
	config  *waitConfig
	tasks   []member      // sorted by id
	left    int           // without a result
	due     dueHeap       // tasks to be asked for at their time
	urgent  []*member     // tasks to be asked for before those that are due, each alone
	hurried bool          // the last query was for one of them, so the next is for one that is due
	free    time.Duration // when the next query is allowed
	lists   time.Duration // when the next list is allowed; math.MaxInt64: never, the server has none
	listed  bool          // a list has succeeded
	refused int           // lists in a row that failed
	heard   bool          // the server has told of a task
	trouble string        // of the last query that failed; one for each task would be too much

	asking  int // queries under way
	queries sync.WaitGroup
	answers chan answer

	bell  chan bool // rings when woken is not empty
	mu    sync.Mutex
	woken map[*member]bool // by a genuine callback
}

// member is a task of a fleet.
type member struct {
	wait
	at      time.Duration // when to ask for it
	place   int32         // in the heap; -1 outside
	times   int32         // that its id was given
	ended   bool          // the caller has the result
	failing bool          // the last query failed
	again   bool          // a callback came while it was being asked for
	genuine bool          // and was a genuine one
	rung    float32       // when a callback last brought a query forward, in seconds on the pacer's clock; 0: never
}

// answer is that of one query. A task that a list did not tell of, or told of as ended, is nil: ask for it alone.
type answer struct {
	members []*member
	tasks   []*Task // in the order of members
	failure error   // for each of them
	noList  bool    // it says that the server may have no lists, and nothing of the tasks
}

func newFleet(c *Client, config *waitConfig, ids []string) *fleet {
	single := *c
	single.maxAttempts = 1 // the schedule asks again, at its rate
	f := &fleet{
		client: &single, config: config,
		answers: make(chan answer, maxQueries), bell: make(chan bool, 1), woken: map[*member]bool{},
	}
	now := c.pacer.Now()
	f.free, f.lists = now, now
	if !c.official {
		f.lists = math.MaxInt64
	}
	tasks := make([]member, len(ids))
	for i, id := range ids { // due in the order of ids, whatever becomes of the table
		tasks[i] = member{wait: wait{id: id, started: now}, at: now + time.Duration(i-len(ids)), place: -1}
	}
	slices.SortFunc(tasks, func(a, b member) int { return strings.Compare(a.id, b.id) })
	f.tasks = tasks[:0]
	for i := range tasks {
		if n := len(f.tasks); n == 0 || f.tasks[n-1].id != tasks[i].id {
			f.tasks = append(f.tasks, tasks[i])
		}
		f.tasks[len(f.tasks)-1].times++
	}
	f.left = len(f.tasks)
	return f
}

// run waits for every task. The goroutines of its queries end with it, however it ends.
func (f *fleet) run(ctx context.Context, yield func(*Task, error) bool) {
	defer f.client.waiters.addFleet(f)()
	asking, stop := context.WithCancel(ctx)
	defer f.queries.Wait()
	defer stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for more := f.begin(yield); more && f.left > 0; {
		if ctx.Err() != nil {
			f.queries.Wait()
			f.finish(ctx, yield)
			return
		}
		timer.Reset(f.askDue(asking))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-f.bell:
			f.hurry()
		case got := <-f.answers:
			more = f.take(got, yield)
		}
	}
}

// begin makes every task due: at once, unless the reply to its create stands for the first answer. What is no id has
// its result already. As every function that yields, it returns false when the caller wants no more.
func (f *fleet) begin(yield func(*Task, error) bool) bool {
	f.due = make(dueHeap, 0, len(f.tasks))
	for i := range f.tasks {
		m := &f.tasks[i]
		if err := checkID(m.id); err != nil {
			if !f.end(m, nil, err, yield) {
				return false
			}
			continue
		}
		if first := m.begin(f.client.pacer, f.config); first != nil {
			f.note(m, first, nil)
			m.at += m.pause(f.config, f.client.pacer, nil)
		}
		heap.Push(&f.due, m)
	}
	return true
}

// finish hands over what had been answered when the context ended, and says of the rest that it still runs.
func (f *fleet) finish(ctx context.Context, yield func(*Task, error) bool) {
	for len(f.answers) > 0 {
		if got := <-f.answers; got.failure == nil && !f.take(got, yield) {
			return
		}
	}
	for i := range f.tasks {
		m := &f.tasks[i]
		var failure error
		if m.failing && f.trouble != "" {
			failure = errors.New(f.trouble)
		}
		if !m.ended && !f.end(m, nil, m.cutShort(ctx, failure), yield) {
			return
		}
	}
}

// askDue starts the queries that are due and allowed, and returns how long nothing else is.
func (f *fleet) askDue(ctx context.Context) time.Duration {
	for f.asking < maxQueries {
		now := f.client.pacer.Now()
		next := f.nextDue()
		if wait := max(next, f.free) - now; wait > 0 {
			return wait
		}
		job := f.takeDue(now)
		f.asking++
		f.free = now + asSeconds(1/f.config.rate)
		f.queries.Go(func() { f.answers <- f.ask(ctx, job) })
	}
	return schedule.Never
}

func asSeconds(s float64) time.Duration { return time.Duration(min(s, 1e9) * float64(time.Second)) }

func (f *fleet) nextDue() time.Duration {
	switch {
	case len(f.urgent) > 0:
		return 0
	case len(f.due) > 0:
		return f.due[0].at
	}
	return f.client.pacer.Now() + schedule.Never
}

// takeDue takes what one query should ask for: one task or, where the server lists tasks, many. Urgent ones come first,
// but take turns with those that are due: a flood of callbacks must not keep the others waiting for ever.
func (f *fleet) takeDue(now time.Duration) []*member {
	isDue := len(f.due) > 0 && f.due[0].at <= now
	if f.hurried = len(f.urgent) > 0 && (!f.hurried || !isDue); f.hurried {
		first := f.urgent[0]
		f.urgent = f.urgent[1:]
		return []*member{first}
	}
	if f.lists > now || f.refused >= maxListFailures {
		return []*member{f.pop()}
	}
	job, rest := f.takeMany(now)
	if len(job) < listFrom {
		job, rest = job[:1], append(rest, job[1:]...)
	}
	for _, m := range rest {
		heap.Push(&f.due, m)
	}
	return job
}

// takeMany takes what is due and, since one list answers for all of them, what will be due soon. The rest is what was
// asked for within the last second, or failed and has a pause to keep.
func (f *fleet) takeMany(now time.Duration) (job, rest []*member) {
	for len(job) < maxPageSize && len(f.due) > 0 && f.due[0].at <= now+listAhead {
		m := f.pop()
		if m.at > now && (m.failing || now-m.poll.Answered() < time.Second) {
			rest = append(rest, m)
		} else {
			job = append(job, m)
		}
	}
	return job, rest
}

func (f *fleet) pop() *member { return heap.Pop(&f.due).(*member) } //nolint:forcetypeassert // it is our own heap

// ask does one query, in a goroutine of its own.
func (f *fleet) ask(ctx context.Context, job []*member) answer {
	if len(job) > 1 {
		return f.askList(ctx, job)
	}
	task, err := f.client.ask(ctx, &job[0].wait)
	return answer{members: job, tasks: []*Task{task}, failure: err}
}

func (f *fleet) askList(ctx context.Context, job []*member) answer {
	got := answer{members: job, tasks: make([]*Task, len(job))}
	ids := make([]string, len(job))
	for i, m := range job {
		ids[i] = m.id
	}
	page, err := f.client.ListTasks(ctx, &ListTasksRequest{TaskIDs: ids, PageSize: maxPageSize})
	if err != nil {
		got.failure, got.noList = err, errors.Is(err, ErrNotSupported) || isOdd(err) || !isTransient(err)
		return got
	}
	for _, task := range page.Tasks {
		if i := slices.Index(ids, task.ID); i >= 0 && !task.Done() {
			f.client.pacer.Observe(&job[i].poll, sightingOf(task), f.client.pacer.Now())
			task.Progress = cmp.Or(task.Progress, float64(job[i].percent)) // lists do not tell it
			got.tasks[i] = task
		}
	}
	return got
}

// take takes in the answer to one query.
func (f *fleet) take(got answer, yield func(*Task, error) bool) bool {
	f.asking--
	if got.failure != nil {
		f.trouble = cause(got.failure)
		if isStatus(got.failure, http.StatusTooManyRequests) { // others concern their own tasks only
			f.free = max(f.free, f.client.pacer.Now()+retryAfter(got.failure))
		}
	}
	f.judgeList(got)
	for i, m := range got.members {
		switch task := got.tasks[i]; {
		case got.noList:
			heap.Push(&f.due, m) // at its old time
		case task == nil && got.failure == nil:
			f.urgent = append(f.urgent, m)
		case !f.takeOne(m, task, got.failure, yield):
			return false
		}
	}
	return true
}

// judgeList gives up lists where the server has none, or fails to give them while it answers other queries: for good if
// there never was one.
func (f *fleet) judgeList(got answer) {
	isList, failed := len(got.members) > 1, got.failure != nil
	pause := time.Duration(math.MaxInt64)
	if f.listed {
		pause = f.client.pacer.Now() + listPause
	}
	switch {
	case isList && !failed:
		f.refused, f.listed = 0, true
		f.lists = min(f.lists, f.client.pacer.Now()) // lists that were under way together are answered in any order
	case got.noList && !f.listed:
		f.lists = pause
	case isList:
		f.refused++
	case f.refused < maxListFailures:
	case failed: // an outage, of which lists are a part
		f.refused = 0
	default:
		f.refused, f.lists = 0, pause
	}
}

// takeOne takes in what an answer says of one task: it has ended, or is due again later.
func (f *fleet) takeOne(m *member, task *Task, failure error, yield func(*Task, error) bool) bool {
	f.note(m, task, failure)
	now := f.client.pacer.Now()
	if err := m.over(failure, now, f.heard); err != nil {
		return f.end(m, task, err, yield)
	}
	if failure == nil && task.Done() {
		return f.end(m, task, failureOf(task), yield)
	}
	m.at = now + m.pause(f.config, f.client.pacer, failure)
	if m.again {
		f.hasten(m, m.genuine)
	} else {
		heap.Push(&f.due, m)
	}
	return true
}

// note tells the caller's progress function of a change.
func (f *fleet) note(m *member, task *Task, failure error) {
	m.failing, f.heard = failure != nil, f.heard || failure == nil
	if m.take(task, failure) {
		f.config.progress(task)
	}
}

// end hands over the result of a task, as often as its id was given.
func (f *fleet) end(m *member, task *Task, err error, yield func(*Task, error) bool) bool {
	m.ended = true
	f.left--
	task = cmp.Or(task, &Task{ID: m.id, State: m.state, Progress: float64(m.percent)})
	for range m.times {
		if !yield(task, err) {
			return false
		}
	}
	return true
}

// wake is called by the goroutine of a callback.
func (f *fleet) wake(id string, genuine bool) {
	i, found := sort.Find(len(f.tasks), func(i int) int { return strings.Compare(id, f.tasks[i].id) })
	if !found {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m := &f.tasks[i]
	f.woken[m] = f.woken[m] || genuine
	ring(f.bell, true)
}

// hurry makes the tasks that callbacks have named the next to be asked for, once more if they are being asked for.
func (f *fleet) hurry() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for m, genuine := range f.woken {
		if m.place >= 0 {
			heap.Remove(&f.due, int(m.place))
			f.hasten(m, genuine)
		} else if !m.ended {
			m.again, m.genuine = true, m.genuine || genuine
		}
	}
	clear(f.woken)
}

// hasten brings a query forward, as alarm.sleep does: once a second at most, and not after a failure.
func (f *fleet) hasten(m *member, genuine bool) {
	m.again, m.genuine = false, false
	if genuine {
		m.poll.Wake()
	} // until the next answer, whoever else calls
	now := f.client.pacer.Now()
	soonest := now
	if m.rung != 0 {
		soonest = max(soonest, asSeconds(float64(m.rung))+time.Second)
	}
	if !m.failing && m.at > soonest {
		m.at, m.rung = soonest, float32(soonest.Seconds())
	}
	if m.at <= now { // it overtakes others that are due
		f.urgent = append(f.urgent, m)
	} else {
		heap.Push(&f.due, m)
	}
}

// cause is the text of a failed query without the query.
func cause(failure error) string {
	_, text, _ := strings.Cut(strings.TrimPrefix(failure.Error(), "vidu: "), ": ")
	return text
}

// dueHeap has the task that is due first at its root.
type dueHeap []*member

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = int32(i), int32(j) //nolint:gosec // nobody waits for two billion tasks
}

func (h *dueHeap) Push(x any) {
	m := x.(*member)         //nolint:forcetypeassert // by heap only
	m.place = int32(len(*h)) //nolint:gosec // as above
	*h = append(*h, m)
}

func (h *dueHeap) Pop() any {
	last := (*h)[len(*h)-1]
	last.place = -1
	(*h)[len(*h)-1] = nil
	*h = (*h)[:len(*h)-1]
	return last
}
