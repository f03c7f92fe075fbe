package vidu

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"
)

const (
	unseenGrace   = time.Minute // servers were seen to answer 404 to the first queries of a new task
	maxOddReplies = 5           // in a row: a success without a link, or a reply that cannot be used
)

// WaitOption changes how [Client.Watch] and [Client.Wait] wait.
type WaitOption func(*waitConfig)

type waitConfig struct {
	interval func(elapsed time.Duration) time.Duration
	progress func(*Task)
}

// WithPollInterval asks every d. d below 100 ms, zero and negative included, counts as 100 ms.
func WithPollInterval(d time.Duration) WaitOption {
	return WithPollSchedule(func(time.Duration) time.Duration { return d })
}

// WithPollSchedule sets the pause after each answer, given the time since the wait began. Pauses below 100 ms count as
// 100 ms. The default grows from 3 s to 15 s within two minutes.
func WithPollSchedule(pause func(elapsed time.Duration) time.Duration) WaitOption {
	return func(w *waitConfig) { w.interval = pause }
}

// WithProgress calls fn with the task at every change of state or progress, in the goroutine that waits.
func WithProgress(fn func(*Task)) WaitOption {
	return func(w *waitConfig) { w.progress = fn }
}

const minPollPause = 100 * time.Millisecond

// growingInterval is the default schedule: a task that runs long is asked for less often.
func growingInterval(elapsed time.Duration) time.Duration {
	return min(3*time.Second+elapsed/10, 15*time.Second)
}

// Watch follows a task: it asks at once, yields the task whenever its state or progress has changed, and ends after a
// terminal state. A failed task is yielded like any other; [Client.Wait] makes an error of it.
//
// Failures that may pass are ridden out for as long as ctx lasts: lost connections, 429, 5xx, and in the first minute
// a 404. Others end the loop and are yielded last, with the task as last seen (nil if it never was). The context is
// the only time limit; when it ends the error wraps ctx.Err() and says that the task still runs.
//
// The loop runs in the caller's goroutine and only while the caller asks for more.
func (c *Client) Watch(ctx context.Context, id string, opts ...WaitOption) iter.Seq2[*Task, error] {
	w := waitConfig{interval: growingInterval}
	for _, opt := range opts {
		opt(&w)
	}
	return func(yield func(*Task, error) bool) {
		c.watch(ctx, id, &w, yield)
	}
}

func (c *Client) watch(ctx context.Context, id string, w *waitConfig, yield func(*Task, error) bool) {
	if err := errors.Join(c.ready(ctx), checkID(id)); err != nil {
		yield(nil, err)
		return
	}
	var last *Task
	odd := 0
	for started := time.Now(); ; {
		task, err := c.GetTask(ctx, id)
		if err == nil && task.State == StateSuccess && !hasVideo(task) {
			err = fmt.Errorf("vidu: task %s succeeded, but %w: it has no link to a video", id, errBadReply)
		}
		if task != nil && changed(last, task) {
			if w.progress != nil {
				w.progress(task)
			}
			if !task.Done() && !yield(task, nil) {
				return
			}
			last = task
		}
		if err == nil && task.Done() {
			yield(task, nil)
			return
		}
		if odd++; !errors.Is(err, errBadReply) {
			odd = 0
		}
		switch {
		case ctx.Err() != nil:
			yield(last, stillRunning(ctx, id, last))
			return
		case odd >= maxOddReplies, !ridesOut(err, last, time.Since(started)):
			yield(last, err)
			return
		}
		if !sleepOn(ctx, max(w.interval(time.Since(started)), minPollPause, retryAfterOf(err))) {
			yield(last, stillRunning(ctx, id, last))
			return
		}
	}
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

func hasVideo(t *Task) bool {
	_, ok := t.Video()
	return ok
}

func changed(last, task *Task) bool {
	return last == nil || last.State != task.State || last.Progress != task.Progress
}

// ridesOut tells the failures that a wait survives. A wrong host or a wrong certificate is only survived once the task
// was seen: before, it is a mistake of configuration rather than an outage.
func ridesOut(err error, last *Task, elapsed time.Duration) bool {
	if err == nil || errors.Is(err, errBadReply) {
		return true
	}
	failure, answered := errors.AsType[*APIError](err)
	if !answered {
		return last != nil || judgeRead(&attempt{err: err}) == again
	}
	if failure.StatusCode == http.StatusNotFound && last == nil {
		return elapsed < unseenGrace
	}
	return judgeRead(&attempt{status: failure.StatusCode, err: err}) == again
}

func retryAfterOf(err error) time.Duration {
	failure, ok := errors.AsType[*APIError](err)
	if !ok {
		return 0
	}
	return min(failure.RetryAfter, maxRetryAfter)
}

// sleepOn is sleep that uses up the whole context: a wait has nothing better to do.
func sleepOn(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// stillRunning is the error of a wait whose context ended.
func stillRunning(ctx context.Context, id string, last *Task) error {
	state := State("not seen yet")
	if last != nil {
		state = "still " + last.State
	}
	return fmt.Errorf("vidu: waiting for task %s, which is %s: %w", id, oneLine(string(state), 60), ctx.Err())
}
