package vidu

import (
	"container/heap"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	defaultPollRate = 20.0 // queries a second
	pollWorkers     = 16
	listFrom        = 8 // due tasks from which on one list request is cheaper
)

// WithMaxPollRate bounds the queries of one [Client.WaitAll] to perSecond, whatever the number of tasks. The default is
// 20. Zero and less are ignored.
func WithMaxPollRate(perSecond float64) WaitOption {
	return func(w *waitConfig) {
		if perSecond > 0 {
			w.rate = perSecond
		}
	}
}

// WaitAll waits for any number of tasks and yields each as it ends, in the order of ending: with a nil error after
// success, a [*TaskError] after failure, and another error that names the id when the task can no longer be waited for.
// There is exactly one result for each element of ids; one that fails does not end the others. When the context ends,
// the rest is yielded with errors that wrap ctx.Err().
//
// All tasks share one schedule and its bounded rate of queries ([WithMaxPollRate]); with the official API many are asked
// for in one request. A waiting task costs about 150 bytes. Whatever goroutines there are end with the loop.
func (c *Client) WaitAll(ctx context.Context, ids []string, opts ...WaitOption) iter.Seq2[*Task, error] {
	config := newWaitConfig(opts)
	return func(yield func(*Task, error) bool) {
		if err := c.ready(ctx); err != nil {
			yield(nil, err)
			return
		}
		newFleet(c, config, ids).run(ctx, yield)
	}
}

// fleet is one WaitAll. Its tables belong to the goroutine of dispatch.
type fleet struct {
	client *Client
	config *waitConfig
	waits  []wait
	byID   []int32 // slots in the order of their ids, to find the one that a callback wakes
	due    dueHeap // slots that are not being asked for
	free   time.Duration
	list   bool // the server lists tasks
	news   []result

	jobs    chan []int32 // slots to ask for, by one worker
	answers chan answers
	tell    chan result
	woken   chan string
}

// result is news of one task for the caller: a change, or its end.
type result struct {
	task *Task
	err  error
	over bool
}

// answers are those of one job, in the order of its slots. Neither task nor error: ask for it alone.
type answers struct {
	slots  []int32
	tasks  []*Task
	errs   []error
	noList bool // the server does not list tasks after all
}

func newFleet(c *Client, config *waitConfig, ids []string) *fleet {
	f := &fleet{
		client: c, config: config, list: c.official,
		waits: make([]wait, len(ids)), byID: make([]int32, len(ids)), due: make(dueHeap, len(ids)),
		jobs: make(chan []int32), answers: make(chan answers), tell: make(chan result), woken: make(chan string, 64),
	}
	now := c.pacer.now()
	for i, id := range ids {
		slot := int32(i) //nolint:gosec // nobody waits for two billion tasks
		w := &f.waits[i]
		w.id, w.started = id, now
		f.byID[i], f.due[i] = slot, dueSlot{at: now, slot: slot}
		var first *Task
		if w.pace, first = c.pacer.begin(id); first != nil {
			w.note(c.pacer, first, nil)
			w.last = nil
			f.due[i].at += w.pause(config, c.pacer)
		}
	}
	heap.Init(&f.due)
	slices.SortFunc(f.byID, func(a, b int32) int { return strings.Compare(ids[a], ids[b]) })
	return f
}

// run starts what is needed and yields until every task has its result.
func (f *fleet) run(ctx context.Context, yield func(*Task, error) bool) {
	working, cancel := context.WithCancel(ctx)
	var goroutines sync.WaitGroup
	defer goroutines.Wait()
	defer cancel()
	defer f.client.waiters.addFleet(f)()
	for range min(pollWorkers, len(f.waits)) {
		goroutines.Go(func() { f.work(working) })
	}
	goroutines.Go(func() { f.dispatch(working) })
	for left := len(f.waits); left > 0; {
		select {
		case r := <-f.tell:
			if !f.report(r, yield) {
				return
			}
			if r.over {
				left--
			}
		case <-ctx.Done():
			cancel()
			goroutines.Wait()
			f.reportRest(ctx, yield)
			return
		}
	}
}

// report hands news to the caller, in the caller's goroutine. It returns false when the caller wants no more.
func (f *fleet) report(r result, yield func(*Task, error) bool) bool {
	if r.task != nil && r.err == nil || isTaskError(r.err) {
		f.config.progress(r.task)
	}
	return !r.over || yield(r.task, r.err)
}

// reportRest hands over, once everything has stopped, what had ended and what is still waited for.
func (f *fleet) reportRest(ctx context.Context, yield func(*Task, error) bool) {
	for _, r := range f.news {
		if !f.report(r, yield) {
			return
		}
	}
	for i := range f.waits {
		if w := &f.waits[i]; !w.ended && !yield(nil, w.cutShort(ctx)) {
			return
		}
	}
}

// wake makes a task due now. It does not block: when there are more wake-ups than can be taken in, the schedule will do.
func (f *fleet) wake(id string) {
	select {
	case f.woken <- id:
	default:
	}
}

// dispatch hands out what is due, at the rate that is allowed, and takes in the answers.
func (f *fleet) dispatch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var job []int32
	for {
		if job == nil {
			job = f.takeDue()
		}
		timer.Reset(f.untilDue(job))
		var jobs chan<- []int32
		if job != nil {
			jobs = f.jobs
		}
		var tell chan<- result
		var first result
		if len(f.news) > 0 {
			tell, first = f.tell, f.news[0]
		}
		select {
		case <-ctx.Done():
			return
		case jobs <- job:
			job = nil
			f.free = f.client.pacer.now() + time.Duration(float64(time.Second)/f.config.rate)
		case tell <- first:
			f.news = f.news[1:]
		case got := <-f.answers:
			f.take(ctx, got)
		case id := <-f.woken:
			f.hurry(id)
		case <-timer.C:
		}
	}
}

// takeDue takes what one worker should ask for now: one task or, where the server lists tasks, many.
func (f *fleet) takeDue() []int32 {
	now := f.client.pacer.now()
	if now < f.free {
		return nil
	}
	var job, alone []int32
	for len(f.due) > 0 && f.due[0].at <= now && len(job) < maxPageSize && len(alone) == 0 {
		slot := heap.Pop(&f.due).(dueSlot).slot //nolint:forcetypeassert // it is our own heap
		if !f.list || f.waits[slot].alone {
			alone = append(alone, slot)
			continue
		}
		job = append(job, slot)
	}
	if len(job) < listFrom && len(job) > 0 {
		alone = append(alone, job...)
		job = nil
	}
	if job != nil {
		f.putBack(alone, now)
		return job
	}
	if len(alone) == 0 {
		return nil
	}
	f.putBack(alone[1:], now)
	return alone[:1]
}

func (f *fleet) putBack(slots []int32, at time.Duration) {
	for _, slot := range slots {
		heap.Push(&f.due, dueSlot{at: at, slot: slot})
	}
}

// untilDue is how long nothing needs to be done unless something happens.
func (f *fleet) untilDue(job []int32) time.Duration {
	if job != nil || len(f.due) == 0 {
		return time.Hour
	}
	return max(f.due[0].at, f.free) - f.client.pacer.now()
}

// take takes in the answers to one job.
func (f *fleet) take(ctx context.Context, got answers) {
	now := f.client.pacer.now()
	f.list = f.list && !got.noList
	for i, slot := range got.slots {
		w := &f.waits[slot]
		if got.noList || (got.tasks[i] == nil && got.errs[i] == nil) {
			w.alone = true
			f.putBack([]int32{slot}, now)
			continue
		}
		if r, isNews := f.answer(ctx, w, got.tasks[i], got.errs[i]); isNews {
			f.news = append(f.news, r)
		}
		if w.last, w.alone = nil, false; w.ended {
			continue
		}
		pause := w.pause(f.config, f.client.pacer)
		if w.hurried {
			pause, w.hurried = 0, false
		}
		f.putBack([]int32{slot}, now+pause)
	}
}

// answer takes in one answer and says what the caller should hear of it.
func (f *fleet) answer(ctx context.Context, w *wait, task *Task, err error) (result, bool) {
	isNews := w.note(f.client.pacer, task, err)
	if isNews && !task.Done() {
		return result{task: task}, true
	}
	r := result{task: task, over: true}
	switch {
	case isNews && task.State != StateSuccess:
		r.err = &TaskError{Task: task}
	case isNews:
	case ctx.Err() != nil:
		return r, false // reportRest has the word
	default:
		if r.err = w.over(f.client.pacer.now()); r.err == nil {
			return r, false
		}
	}
	w.ended = true
	return r, true
}

// hurry makes a task due now, or once more after the query that is under way.
func (f *fleet) hurry(id string) {
	first, _ := slices.BinarySearchFunc(f.byID, id, func(slot int32, id string) int { return strings.Compare(f.waits[slot].id, id) })
	for _, slot := range f.byID[first:] {
		if f.waits[slot].id != id {
			return
		}
		i := slices.IndexFunc(f.due, func(d dueSlot) bool { return d.slot == slot })
		if i < 0 {
			f.waits[slot].hurried = true
			continue
		}
		f.due[i].at = f.client.pacer.now()
		heap.Fix(&f.due, i)
	}
}

// work asks for tasks until ctx ends.
func (f *fleet) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case slots := <-f.jobs:
			got := f.ask(ctx, slots)
			select {
			case <-ctx.Done():
				return
			case f.answers <- got:
			}
		}
	}
}

func (f *fleet) ask(ctx context.Context, slots []int32) answers {
	got := answers{slots: slots, tasks: make([]*Task, len(slots)), errs: make([]error, len(slots))}
	if len(slots) == 1 {
		got.tasks[0], got.errs[0] = f.client.GetTask(ctx, f.waits[slots[0]].id)
		return got
	}
	ids := make([]string, len(slots))
	for i, slot := range slots {
		ids[i] = f.waits[slot].id
	}
	page, err := f.client.ListTasks(ctx, &ListTasksRequest{TaskIDs: ids, PageSize: maxPageSize})
	if err != nil {
		got.noList = errors.Is(err, ErrNotSupported)
		for i := range got.errs {
			got.errs[i] = err
		}
		return got
	}
	for _, task := range page.Tasks {
		if i := slices.Index(ids, task.ID); i >= 0 && !task.Done() { // one that has ended is asked for in full
			got.tasks[i] = task
		}
	}
	return got
}

// dueSlot is a task and when to ask for it.
type dueSlot struct {
	at   time.Duration
	slot int32
}

// dueHeap has the task that is due first at its root.
type dueHeap []dueSlot

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(dueSlot)) } //nolint:forcetypeassert // by heap only
func (h *dueHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func isTaskError(err error) bool {
	_, ok := errors.AsType[*TaskError](err)
	return ok
}
