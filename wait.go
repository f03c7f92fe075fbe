package vidu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"
)

const (
	unseenGrace   = time.Minute // servers were seen to answer 404 to the first queries of a new task
	maxOddReplies = 5           // in a row
	minPollPause  = 100 * time.Millisecond
	failureGap    = 5 * time.Second // at least, after a query that failed
)

// WaitOption changes how [Client.Watch], [Client.Wait] and [Client.WaitAll] wait.
type WaitOption func(*waitConfig)

type waitConfig struct {
	schedule func(elapsed time.Duration) time.Duration // nil: the client's pacer
	progress func(*Task)
	rate     float64 // queries a second, of WaitAll
}

func newWaitConfig(opts []WaitOption) *waitConfig {
	w := &waitConfig{progress: func(*Task) {}, rate: defaultPollRate}
	for _, opt := range opts {
		if opt != nil {
			opt(w)
		}
	}
	return w
}

// WithPollInterval asks every d. d below 100 ms, zero and negative included, counts as 100 ms.
func WithPollInterval(d time.Duration) WaitOption {
	return WithPollSchedule(func(time.Duration) time.Duration { return d })
}

// WithPollSchedule sets the pause after each answer, given the time since the wait began. Pauses below 100 ms count as
// 100 ms; nil is the default: a schedule that learns how long tasks of each kind take, see the package documentation.
func WithPollSchedule(pause func(elapsed time.Duration) time.Duration) WaitOption {
	return func(w *waitConfig) { w.schedule = pause }
}

// WithProgress calls fn with the task at every change of state or progress, in the goroutine that waits.
func WithProgress(fn func(*Task)) WaitOption {
	return func(w *waitConfig) {
		if fn != nil {
			w.progress = fn
		}
	}
}

// Watch follows a task: it asks at once, yields the task whenever its state or progress has changed, and ends after a
// terminal state. A failed task is yielded like any other; [Client.Wait] makes an error of it.
//
// Failures that may pass are ridden out for as long as ctx lasts: lost connections, 429, 5xx, and in the first minute
// a 404; replies that make no sense, such as a success without a link, until there were five in a row. What is final is
// yielded last, with the task as last seen (nil if it never was). The context is the only time limit; when it ends the
// error wraps ctx.Err() and says that the task still runs.
//
// The loop runs in the caller's goroutine and only while the caller asks for more.
func (c *Client) Watch(ctx context.Context, id string, opts ...WaitOption) iter.Seq2[*Task, error] {
	config := newWaitConfig(opts)
	return func(yield func(*Task, error) bool) {
		c.watch(ctx, id, config, yield)
	}
}

func (c *Client) watch(ctx context.Context, id string, config *waitConfig, yield func(*Task, error) bool) {
	if err := cmp.Or(c.ready(ctx), checkID(id)); err != nil {
		yield(nil, err)
		return
	}
	wake, forget := c.waiters.add(id)
	defer forget()
	w := wait{id: id, started: c.pacer.now()}
	for task, err := c.firstAnswer(ctx, &w); ; task, err = c.GetTask(ctx, id) {
		if w.note(c.pacer, task, err) {
			config.progress(w.last)
			if !yield(w.last, nil) || w.last.Done() {
				return
			}
		}
		err := w.over(c.pacer.now())
		if err == nil && !sleepOn(ctx, wake, w.pause(config, c.pacer)) {
			err = w.cutShort(ctx)
		}
		if err != nil {
			yield(w.last, err)
			return
		}
	}
}

// firstAnswer asks at once, unless the reply to the create is all that the server could say by now.
func (c *Client) firstAnswer(ctx context.Context, w *wait) (*Task, error) {
	var first *Task
	if w.pace, first = c.pacer.begin(w.id); first != nil {
		return first, nil
	}
	return c.GetTask(ctx, w.id)
}

// Wait waits until the task has ended and returns it. The task as last seen comes back even with an error: a
// [*TaskError] when the task failed or was cancelled; an error that wraps ctx.Err() when the context ended first, after
// which the task still runs and can be waited for again; otherwise what ended [Client.Watch].
func (c *Client) Wait(ctx context.Context, id string, opts ...WaitOption) (*Task, error) {
	var last *Task
	for task, err := range c.Watch(ctx, id, opts...) {
		if err != nil {
			return task, err
		}
		last = task
	}
	if last.State != StateSuccess {
		return last, &TaskError{Task: last}
	}
	return last, nil
}

// wait is what is known about one task that is waited for.
type wait struct {
	id      string
	started time.Duration // on the pacer's clock
	pace    pace
	last    *Task // as last seen; nil before, and in a WaitAll always
	seen    bool
	state   State   // as last seen
	percent float64 // as last seen
	failure error   // of the last query; nil when it went well
	odd     int8    // failures in a row that came with status 200

	// In a WaitAll:
	ended   bool // the caller has the result, or will
	alone   bool // to be asked for without others
	hurried bool // a callback came while it was being asked for
}

// note takes in the answer to a query. It returns true when the caller should hear of it: the task has changed or ended.
func (w *wait) note(p *pacer, task *Task, err error) bool {
	if err == nil && task.State == StateSuccess && !hasVideo(task) {
		err = fmt.Errorf("vidu: task %s succeeded, but %w: it has no link to a video", w.id, errBadReply)
	}
	if task != nil {
		w.last = task
	}
	w.failure = err
	if isOdd(err) {
		w.odd++
	} else {
		w.odd = 0
	}
	if err != nil {
		return false
	}
	p.see(&w.pace, task)
	changed := !w.seen || task.State != w.state || task.Progress != w.percent
	w.seen, w.state, w.percent = true, task.State, task.Progress
	return changed || task.Done()
}

func hasVideo(t *Task) bool {
	_, ok := t.Video()
	return ok
}

// isOdd tells the failures inside an answer that says it is none: a success without a link, a web page, an error with
// status 200. They pass when a server is being restarted or is not consistent yet.
func isOdd(err error) bool {
	failure, answered := errors.AsType[*APIError](err)
	return errors.Is(err, errBadReply) || (answered && failure.StatusCode < 300)
}

// over returns the error that ends the wait, nil while it goes on.
func (w *wait) over(now time.Duration) error {
	if w.failure == nil || w.mayPass(now-w.started) {
		return nil
	}
	return w.failure
}

// mayPass tells the failures that a wait survives. A wrong host or a wrong certificate is only survived once the task
// was seen: before, it is a mistake of configuration rather than an outage.
func (w *wait) mayPass(elapsed time.Duration) bool {
	failure, answered := errors.AsType[*APIError](w.failure)
	switch {
	case w.odd > 0:
		return w.odd < maxOddReplies
	case !answered:
		return w.seen || judgeRead(&attempt{err: w.failure}) == again
	case failure.StatusCode == http.StatusNotFound:
		return elapsed < unseenGrace
	}
	return judgeRead(&attempt{status: failure.StatusCode, err: failure}) == again
}

// pause is how long to wait before the next query.
func (w *wait) pause(config *waitConfig, p *pacer) time.Duration {
	var d time.Duration
	if config.schedule != nil {
		d = max(config.schedule(p.now()-w.started), minPollPause)
	} else {
		d = p.gap(&w.pace)
	}
	if w.failure != nil && config.schedule == nil {
		d = min(max(d, failureGap), maxGap) // an outage says nothing about how long the task takes
	}
	if failure, ok := errors.AsType[*APIError](w.failure); ok {
		d = max(d, min(failure.RetryAfter, maxRetryAfter))
	}
	return d
}

// sleepOn waits for d, a wake-up or the end of ctx, of which it reports false. Unlike sleep it uses up the whole
// context: a wait has nothing better to do.
func sleepOn(ctx context.Context, wake <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-timer.C:
	}
	return true
}

// cutShort is the error of a wait whose context ended.
func (w *wait) cutShort(ctx context.Context) error {
	state, why := "not seen yet", ""
	if w.seen {
		state = "still " + oneLine(string(w.state), 40)
	}
	if w.failure != nil && !errors.Is(w.failure, ctx.Err()) {
		why = ", last: " + oneLine(strings.TrimPrefix(w.failure.Error(), "vidu: "), 200)
	}
	return fmt.Errorf("vidu: waiting for task %s, which is %s: %w%s", w.id, state, ctx.Err(), why)
}
