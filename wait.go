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

	"github.com/vidu-go/vidu/internal/backoff"
	"github.com/vidu-go/vidu/internal/scrub"
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

// WithPollInterval asks every d. d below 100 ms, zero and negative included, counts as 100 ms. A server that asks for a
// longer pause after a failure gets it, up to a minute.
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
// terminal state. A failed task is yielded like any other; [Client.Wait] makes an error of it. It does not ask at once
// for a task that this client has just created and of whose kind it has learned that they take longer: then the reply
// to the create is the first answer.
//
// Failures that may pass are ridden out for as long as ctx lasts: lost connections, 429, 5xx, and in the first minute
// a 404; replies that make no sense, such as a success without a link, until there were five in a row. What is final is
// yielded last, with the task as last seen (nil if it never was). The context is the only time limit; when it ends the
// error wraps ctx.Err() and says that the task still runs.
//
// The loop runs in the caller's goroutine and only while the caller asks for more. A callback that arrives in this
// process, at [Client.CallbackHandler], has it ask at once.
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
	bell, forget := c.waiters.add(id)
	defer forget()
	wake := alarm{bell: bell}
	w := wait{id: id, started: c.pacer.now()}
	var last *Task
	for task, failure := c.firstAnswer(ctx, &w, config); ; task, failure = c.ask(ctx, &w) {
		last = cmp.Or(task, last)
		if w.take(task, failure) {
			config.progress(last)
			if !yield(last, nil) || last.Done() {
				return
			}
		}
		err := w.over(failure, c.pacer.now(), w.seen)
		if err == nil && !wake.sleep(ctx, &w, c.pacer, w.pause(config, c.pacer, failure), failure) {
			err = w.cutShort(ctx, failure)
		}
		if err != nil {
			yield(last, err)
			return
		}
	}
}

// firstAnswer asks at once, unless the reply to the create is all that the server could say by now.
func (c *Client) firstAnswer(ctx context.Context, w *wait, config *waitConfig) (*Task, error) {
	if first := w.begin(c.pacer, config); first != nil {
		return first, nil
	}
	return c.ask(ctx, w)
}

// begin returns the reply to the create where it can stand for the first answer. Who has a schedule of his own wants to
// ask by it.
func (w *wait) begin(p *pacer, config *waitConfig) *Task {
	var first *Task
	if w.pace, first = p.begin(w.id); config.schedule != nil {
		return nil
	}
	return first
}

// ask asks for a task, and the client learns from the answer. The task may come with an error.
func (c *Client) ask(ctx context.Context, w *wait) (*Task, error) {
	task, err := c.GetTask(ctx, w.id)
	if err != nil {
		return nil, err
	}
	if task.State == StateSuccess && !hasVideo(task) {
		return task, fmt.Errorf("vidu: task %s succeeded, but %w: it has no link to a video", w.id, errBadReply)
	}
	c.pacer.see(&w.pace, task)
	return task, nil
}

func hasVideo(t *Task) bool {
	_, ok := t.Video()
	return ok
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
	return last, failureOf(last)
}

// PollDelay returns how long to leave a task alone that still runs: the schedule of [Client.Watch], for programs that
// keep the time themselves, such as the workflows of an engine. task is the task as last seen, age the time since its
// create. The result lies between a second and 30 seconds, for off-peak tasks 30 minutes, and four times as long while
// callbacks arrive and the task has one, with a random jitter of ±10 %. It learns from tasks that are waited for by
// [Client.Wait], [Client.Watch] and [Client.WaitAll], and knows nothing without them, or without a task.
func (c *Client) PollDelay(task *Task, age time.Duration) time.Duration {
	if c == nil || c.pacer == nil || task == nil {
		return maxGap
	}
	return c.pacer.delay(task, age)
}

// failureOf is the error of a task that has ended, nil after success.
func failureOf(task *Task) error {
	if task.State == StateSuccess {
		return nil
	}
	return &TaskError{Task: task}
}

// wait is what is known about one task that is waited for. A program may wait for 100 000: keep it small.
type wait struct {
	id      string
	started time.Duration // on the pacer's clock
	pace    pace
	state   State   // as last seen
	percent float32 // as last seen
	seen    bool
	odd     int8 // failures in a row that came with status 200
}

// take takes in an answer. It returns true when the caller should hear of it: the task has changed or ended.
func (w *wait) take(task *Task, failure error) bool {
	if isOdd(failure) {
		w.odd++
	} else {
		w.odd = 0
	}
	if failure != nil {
		return false
	}
	percent := float32(task.Progress)
	changed := !w.seen || task.State != w.state || percent != w.percent
	w.seen, w.state, w.percent = true, task.State, percent
	return changed || task.Done()
}

// isOdd tells the failures inside an answer that says it is none: a success without a link, a web page, an error with
// status 200. They pass when a server is being restarted or is not consistent yet.
func isOdd(failure error) bool {
	refusal, answered := errors.AsType[*APIError](failure)
	return errors.Is(failure, errBadReply) || (answered && refusal.StatusCode < 300)
}

// over returns the failure if it ends the wait, and nil while the wait goes on. heard says that a query succeeded before.
func (w *wait) over(failure error, now time.Duration, heard bool) error {
	if failure == nil || w.mayPass(failure, now-w.started, heard) {
		return nil
	}
	return failure
}

// mayPass tells the failures that a wait survives. A wrong host or a wrong certificate is only survived once the server
// was heard: before, it is a mistake of configuration rather than an outage.
func (w *wait) mayPass(failure error, elapsed time.Duration, heard bool) bool {
	_, answered := errors.AsType[*APIError](failure)
	switch {
	case w.odd > 0:
		return w.odd < maxOddReplies
	case isStatus(failure, http.StatusNotFound):
		return elapsed < unseenGrace
	}
	return (heard && !answered) || isTransient(failure)
}

// isTransient tells the failures of a query that may succeed when it is simply repeated.
func isTransient(failure error) bool {
	a := &attempt{err: failure}
	if refusal, ok := errors.AsType[*APIError](failure); ok {
		a.status = refusal.StatusCode
	}
	return classifyRead(a) == retry
}

// pause is how long to wait before the next query.
func (w *wait) pause(config *waitConfig, p *pacer, failure error) time.Duration {
	var d time.Duration
	switch {
	case config.schedule != nil:
		d = min(max(config.schedule(p.now()-w.started), minPollPause), never)
	case failure != nil:
		d = min(max(p.gap(&w.pace), failureGap), maxGap) // an outage says nothing about how long the task takes
	default:
		d = p.gap(&w.pace)
	}
	return max(d, retryAfter(failure))
}

// retryAfter is how long the server wants to be left alone.
func retryAfter(failure error) time.Duration {
	if refusal, ok := errors.AsType[*APIError](failure); ok {
		return min(refusal.RetryAfter, backoff.MaxRetryAfter)
	}
	return 0
}

// alarm is what ends a pause early.
type alarm struct {
	bell <-chan bool
	rung time.Duration // when it last brought a query forward; 0: never
}

// sleep waits for d or until a callback comes, and reports false when ctx has ended. Callbacks do not override what the
// server asked for after a failure, and bring no more than one query a second forward, whoever sends them. Unlike the
// sleep between retries it uses up the whole context: a wait has nothing better to do.
func (a *alarm) sleep(ctx context.Context, w *wait, p *pacer, d time.Duration, failure error) bool {
	now := p.now()
	due, soonest := now+d, now+retryAfter(failure)
	if a.rung != 0 {
		soonest = max(soonest, a.rung+minGap)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	for bell := a.bell; ; {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return ctx.Err() == nil
		case genuine := <-bell:
			w.pace.woken = w.pace.woken || genuine
			a.rung = min(max(soonest, p.now()), due)
			timer.Reset(a.rung - p.now())
			bell = nil // what else rings is for the next pause
		}
	}
}

// cutShort is the error of a wait whose context ended, with the failure of the last query.
func (w *wait) cutShort(ctx context.Context, failure error) error {
	state, why := "not seen yet", ""
	if w.seen {
		state = "still " + scrub.OneLine(string(w.state), 40)
	}
	if failure != nil && !errors.Is(failure, ctx.Err()) {
		why = ", last: " + scrub.OneLine(strings.TrimPrefix(failure.Error(), "vidu: "), 200)
	}
	return fmt.Errorf("vidu: waiting for task %s, which is %s: %w%s", w.id, state, ctx.Err(), why)
}
