package vidu

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/vidu-go/vidu/internal/schedule"
)

// WaitAll waits for any number of tasks and yields each as it is seen to have ended: with a nil error after success, a
// [*TaskError] after failure, and another error that names the id when the task can no longer be waited for. The
// failures that [Client.Watch] rides out are ridden out here. When the context ends, the rest is yielded with errors
// that wrap ctx.Err().
//
// There is exactly one result for each element of ids; one that fails does not end the others. The task is never nil:
// one that could not be followed to its end has the ID and the last seen State and Progress.
//
// All tasks share one schedule and its bounded rate of queries ([WithMaxPollRate]); with the official API one request
// asks for up to 100 tasks, some of them a second early. Shortly before a deadline each task is asked for once more, as
// far as the rate allows. No polls are sent while the loop body runs. A waiting task costs about 110 bytes, and all
// goroutines end with the loop.
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
		newMultiWait(c, config).run(ctx, ids, yield)
	}
}

// multiWait is one WaitAll. It belongs to the caller's goroutine, but for what mu guards; queries and callbacks, in
// other goroutines, read only the ids of its items.
type multiWait struct {
	client  *Client
	config  *waitConfig
	started time.Duration // on the pacer's clock
	items   []waitItem    // sorted by id; a task has the same number in queue
	repeats map[int]int   // of ids given more than once: how many results an item has beyond the first
	queue   *schedule.Queue
	left    int // without a result

	answered    bool   // the server has answered a query for a task
	lastFailure string // of a query; one for each task would be too much

	queries sync.WaitGroup
	answers chan answer

	wakeCh chan struct{} // receives when woken is not empty
	mu     sync.Mutex
	woken  map[int]bool // by a genuine callback
}

// answer is that of one query. A nil task: the list lacked the task or reported it finished; query it individually.
type answer struct {
	items   []int
	tasks   []*Task       // in the order of items
	at      time.Duration // on the pacer's clock
	failure error         // of the query
	noList  bool          // the failure means that the server may have no lists, and nothing for the tasks
}

func newMultiWait(c *Client, config *waitConfig) *multiWait {
	return &multiWait{
		client: c.withoutRetries(), config: config, started: c.pacer.Now(), repeats: map[int]int{},
		answers: make(chan answer, schedule.MaxInFlight), wakeCh: make(chan struct{}, 1), woken: map[int]bool{},
	}
}

func (m *multiWait) elapsed() time.Duration { return m.client.pacer.Now() - m.started }

// run waits for every task. The goroutines of its queries end with it, however it ends.
func (m *multiWait) run(ctx context.Context, ids []string, yield func(*Task, error) bool) {
	order := m.setItems(ids)
	defer m.client.waiters.addMulti(&multiWaiter{wake: m.wake, has: func(id string) bool { _, found := m.find(id); return found }})()
	asking, stop := context.WithCancel(ctx)
	defer m.queries.Wait()
	defer stop()
	timer, lastLook := time.NewTimer(0), time.NewTimer(m.untilLastLook(ctx))
	defer timer.Stop()
	defer lastLook.Stop()
	for more := m.begin(order, yield); more && m.left > 0; {
		if ctx.Err() != nil {
			m.queries.Wait()
			m.finish(ctx, yield)
			return
		}
		timer.Reset(m.askDue(asking))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-lastLook.C:
			m.queue.LookAgain(m.elapsed())
		case <-m.wakeCh:
			m.takeWoken()
		case got := <-m.answers:
			more = m.take(got, yield)
		}
	}
}

const maxLastLook = 10 * time.Second // before a deadline

// untilLastLook returns how long until every task is asked for once more because ctx will end: as late as the rate
// allows, and not in the first half of the wait.
func (m *multiWait) untilLastLook(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return schedule.Never
	}
	left := time.Until(deadline)
	takes := 1 + float64(len(m.items))/m.config.rate // seconds; infinite at the slowest rates
	return left - min(time.Duration(min(takes, maxLastLook.Seconds())*float64(time.Second)), left/2)
}

// setItems makes one item of each id, and returns where among ids each was first.
func (m *multiWait) setItems(ids []string) (order []int) {
	sorted := make([]int, len(ids))
	for i := range ids {
		sorted[i] = i
	}
	slices.SortFunc(sorted, func(a, b int) int { return cmp.Or(strings.Compare(ids[a], ids[b]), a-b) })
	m.items, order = make([]waitItem, 0, len(ids)), sorted[:0]
	for _, i := range sorted {
		if n := len(m.items); n > 0 && m.items[n-1].id == ids[i] {
			m.repeats[n-1]++
			continue
		}
		m.items, order = append(m.items, waitItem{id: ids[i]}), append(order, i)
	}
	m.left = len(m.items)
	return order
}

// begin makes every task due: at once, in the given order, unless the reply to its create stands for the first answer.
// Invalid ids are yielded as errors. Like every method that yields, it returns false if the consumer stopped.
func (m *multiWait) begin(order []int, yield func(*Task, error) bool) bool {
	listSize := 0
	if m.client.official {
		listSize = maxPageSize
	}
	m.queue = schedule.NewQueue(len(m.items), m.config.rate, listSize)
	for i := range m.items {
		item := &m.items[i]
		if err := checkID(item.id); err != nil {
			if !m.end(i, nil, err, yield) {
				return false
			}
			continue
		}
		due := time.Duration(order[i]) - time.Second // in the past, in the order of the ids
		if first := item.begin(m.client, m.config); first != nil {
			if item.note(first, nil, 0, true) {
				m.config.progress(first)
			}
			due += m.elapsed() + item.pause(m.config, m.client.pacer, m.elapsed(), nil)
		}
		m.queue.Start(i, due)
	}
	return true
}

// finish yields what had been answered when the context ended, and for each other task that it still runs.
func (m *multiWait) finish(ctx context.Context, yield func(*Task, error) bool) {
	for len(m.answers) > 0 {
		if got := <-m.answers; got.failure == nil && !m.take(got, yield) {
			return
		}
	}
	for i := range m.items {
		var failure error
		if m.queue.Failed(i) && m.lastFailure != "" {
			failure = errors.New(m.lastFailure)
		}
		if !m.queue.Ended(i) && !m.end(i, nil, m.items[i].cutShort(ctx, m.client.pacer.Now(), failure), yield) {
			return
		}
	}
}

// askDue starts the queries that are due and allowed, and returns how long nothing else is.
func (m *multiWait) askDue(ctx context.Context) time.Duration {
	for {
		items, wait := m.queue.Next(m.elapsed())
		if items == nil {
			return wait
		}
		m.queries.Go(func() {
			got := m.ask(ctx, items)
			got.at = m.client.pacer.Now()
			m.answers <- got
		})
	}
}

// ask does one query, in a goroutine of its own. Of the items it uses the ids, which never change.
func (m *multiWait) ask(ctx context.Context, items []int) answer {
	if len(items) == 1 {
		task, err := m.client.query(ctx, m.items[items[0]].id)
		return answer{items: items, tasks: []*Task{task}, failure: err}
	}
	got := answer{items: items, tasks: make([]*Task, len(items))}
	ids := make([]string, len(items))
	for k, i := range items {
		ids[k] = m.items[i].id
	}
	page, err := m.client.ListTasks(ctx, &ListTasksRequest{TaskIDs: ids, PageSize: maxPageSize})
	if err != nil {
		got.failure, got.noList = err, errors.Is(err, ErrNotSupported) || isUnusable(err) || !isTransient(err)
		return got
	}
	for _, task := range page.Tasks {
		if i := slices.Index(ids, task.ID); i >= 0 && !task.Done() {
			got.tasks[i] = task
		}
	}
	return got
}

// take takes in the answer to one query.
func (m *multiWait) take(got answer, yield func(*Task, error) bool) bool {
	now, outcome := m.elapsed(), schedule.Answered
	switch {
	case got.noList:
		outcome = schedule.NoList
	case got.failure != nil:
		outcome = schedule.Unanswered
	}
	m.queue.Done(now, len(got.items), outcome)
	if got.failure != nil {
		m.lastFailure = cause(got.failure)
		if isStatus(got.failure, http.StatusTooManyRequests) { // others concern their own tasks only
			m.queue.Hold(now + retryAfter(got.failure))
		}
	}
	for k, i := range got.items {
		task, genuine := got.tasks[k], false
		switch {
		case got.noList:
			genuine = m.queue.Again(i, m.elapsed())
		case task == nil && got.failure == nil:
			genuine = m.queue.Alone(i, m.elapsed())
		case !m.takeOne(i, got, task, yield):
			return false
		}
		if genuine {
			m.items[i].poll.NoteCallback(m.client.pacer.Now())
		}
	}
	return true
}

// takeOne takes in what an answer says of one task: it has ended, or is due again later.
func (m *multiWait) takeOne(i int, got answer, task *Task, yield func(*Task, error) bool) bool {
	item := &m.items[i]
	if got.failure = item.settle(got.failure); got.failure == nil {
		m.client.pacer.Observe(&item.poll, sightingOf(task), got.at)
		if len(got.items) > 1 {
			task.Progress = cmp.Or(task.Progress, float64(item.percent)) // lists do not have it
		}
	}
	m.note(item, task, got.failure)
	now := m.elapsed()
	if err := item.fatal(got.failure, now, m.answered); err != nil {
		return m.end(i, task, err, yield)
	}
	if got.failure == nil && task.Done() {
		return m.end(i, task, failureOf(task), yield)
	}
	pause := item.pause(m.config, m.client.pacer, now, got.failure)
	if m.queue.Rest(i, now, pause, retryAfter(got.failure), got.failure != nil) {
		item.poll.NoteCallback(m.client.pacer.Now())
	}
	return true
}

// note updates an item and calls the caller's progress function if the task has changed.
func (m *multiWait) note(item *waitItem, task *Task, failure error) {
	if item.note(task, failure, m.elapsed(), m.answered) {
		m.config.progress(task)
	}
	m.answered = m.answered || failure == nil
}

// end yields the result of a task, as often as its id was given.
func (m *multiWait) end(i int, task *Task, err error, yield func(*Task, error) bool) bool {
	m.queue.End(i)
	m.left--
	item := &m.items[i]
	task = cmp.Or(task, &Task{ID: item.id, State: item.state, Progress: float64(item.percent)})
	for range 1 + m.repeats[i] {
		if !yield(task, err) {
			return false
		}
	}
	return true
}

// wake is called by the goroutine of a callback.
func (m *multiWait) wake(id string, genuine bool) {
	i, found := m.find(id)
	if !found {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.woken[i] = m.woken[i] || genuine
	select {
	case m.wakeCh <- struct{}{}:
	default: // it has one already
	}
}

// find returns the number of the item with this id. Ids and their order never change.
func (m *multiWait) find(id string) (int, bool) {
	return sort.Find(len(m.items), func(i int) int { return strings.Compare(id, m.items[i].id) })
}

// takeWoken makes the tasks that callbacks have named the next to be queried, once more if a query is in flight.
func (m *multiWait) takeWoken() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, genuine := range m.woken {
		if m.queue.Wake(i, m.elapsed(), genuine) {
			m.items[i].poll.NoteCallback(m.client.pacer.Now())
		}
	}
	clear(m.woken)
}

// cause returns the text of a failed query without the query.
func cause(failure error) string {
	_, text, _ := strings.Cut(strings.TrimPrefix(failure.Error(), "vidu: "), ": ")
	return text
}
