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
	"github.com/vidu-go/vidu/internal/schedule"
	"github.com/vidu-go/vidu/internal/scrub"
)

const (
	unseenGrace        = time.Minute // servers were seen not to know a new task at first, see isUnseen
	maxUnusableReplies = 5           // in a row
	minPollPause       = 100 * time.Millisecond
	failureGap         = 5 * time.Second // at least, after a query that failed
	defaultPollRate    = 20.0            // queries per second, of WaitAll
)

// WaitOption changes how [Client.Watch], [Client.Wait] and [Client.WaitAll] wait.
type WaitOption func(*waitConfig)

type waitConfig struct {
	schedule func(elapsed time.Duration) time.Duration // nil: the client's pacer
	progress func(*Task)
	rate     float64 // queries per second, of WaitAll
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

// WithPollInterval polls every d. d below 100 ms, zero and negative included, counts as 100 ms. A longer Retry-After of
// the server is kept, up to a minute.
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

// WithMaxPollRate bounds the queries of one [Client.WaitAll] to perSecond, whatever the number of tasks and however the
// queries fail. The default is 20; zero and less are ignored. Besides, at most 16 queries are in flight at once.
func WithMaxPollRate(perSecond float64) WaitOption {
	return func(w *waitConfig) {
		if perSecond > 0 {
			w.rate = perSecond
		}
	}
}

// Watch follows a task: it polls at once, yields the task whenever its state or progress has changed, and ends after a
// terminal state. A failed task is yielded like any other; [Client.Wait] makes an error of it. The first poll is left
// out for a task that this client has just created and of whose kind it has learned that they take longer: the reply to
// the create is the first answer then.
//
// Failures that may pass are ridden out for as long as ctx lasts: lost connections, 429, 5xx, and in the first minute
// an answer that there is no such task. Unusable replies are, until there were five in a row: a success without a link,
// one about another task, and after the first answer a redirect or a web page. A final failure is yielded last, with
// the task as last seen (nil if it never was). The context is the only time limit; when it ends the error wraps
// ctx.Err() and names the last state.
//
// The loop runs in the caller's goroutine, and only while the caller asks for more. A callback that arrives in this
// process, at [Client.CallbackHandler], wakes it: it polls at once, but at most once per second, and not before a
// Retry-After of the server has passed.
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
	w := singleWait{
		client: c, config: config, item: waitItem{id: id}, started: c.pacer.Now(), wakeCh: make(chan bool, 1),
	}
	defer c.waiters.add(id, func(genuine bool) { notify(w.wakeCh, genuine) })()
	var last *Task
	for task, failure := w.first(ctx); ; task, failure = w.ask(ctx) {
		last = cmp.Or(task, last)
		if w.item.note(task, failure, w.elapsed(), w.item.seen) {
			config.progress(last)
			if !yield(last, nil) || last.Done() {
				return
			}
		}
		err := w.item.fatal(failure, w.elapsed(), w.item.seen)
		if err == nil && !w.rest(ctx, failure) {
			err = w.item.cutShort(ctx, c.pacer.Now(), failure)
		}
		if err != nil {
			yield(last, err)
			return
		}
	}
}

// singleWait is one Watch. It belongs to the caller's goroutine.
type singleWait struct {
	client  *Client
	config  *waitConfig
	item    waitItem
	turn    schedule.Turn
	started time.Duration // on the pacer's clock
	wakeCh  chan bool     // receives true for a genuine callback
}

func (w *singleWait) elapsed() time.Duration { return w.client.pacer.Now() - w.started }

// first returns the first answer: the reply to the create if such tasks are known to take longer, or that of a query.
func (w *singleWait) first(ctx context.Context) (*Task, error) {
	if first := w.item.begin(w.client, w.config); first != nil {
		w.turn.Ask() // of which first is the answer
		return first, nil
	}
	return w.ask(ctx)
}

func (w *singleWait) ask(ctx context.Context) (*Task, error) {
	w.turn.Ask()
	task, err := w.client.query(ctx, w.item.id)
	if err = w.item.settle(err); err == nil {
		w.client.pacer.Observe(&w.item.poll, sightingOf(task), w.client.pacer.Now())
	}
	return task, err
}

// rest waits until the next query is due, and returns false when ctx has ended. Unlike the sleep between retries it
// uses up the whole context: a wait has nothing better to do.
func (w *singleWait) rest(ctx context.Context, failure error) bool {
	pause := w.item.pause(w.config, w.client.pacer, w.elapsed(), failure)
	w.turn.Rest(w.elapsed(), pause, retryAfter(failure), failure != nil)
	timer := time.NewTimer(w.turn.Due() - w.elapsed())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return ctx.Err() == nil
		case genuine := <-w.wakeCh:
			if w.turn.Wake(w.elapsed(), genuine) {
				w.item.poll.NoteCallback(w.client.pacer.Now())
			}
			timer.Reset(w.turn.Due() - w.elapsed())
		}
	}
}

// notify leaves one wake-up in a channel with room for one. A genuine one takes the place of another.
func notify(wakeCh chan bool, genuine bool) {
	select {
	case wakeCh <- genuine:
		return
	default: // there is one already
	}
	if !genuine {
		return
	}
	select {
	case <-wakeCh:
	default:
	}
	select {
	case wakeCh <- true:
	default:
	}
}

// query returns the task as it is now. An unusable task comes with an error.
func (c *Client) query(ctx context.Context, id string) (*Task, error) {
	task, err := c.GetTask(ctx, id)
	if err != nil {
		return nil, err
	}
	switch {
	case task.State == StateSuccess && !hasVideo(task):
		return task, fmt.Errorf("vidu: task %s succeeded, but %w: it has no link to a video", id, errBadReply)
	case task.unsure:
		return task, fmt.Errorf("vidu: task %s: %w", id, errUnsure)
	}
	return task, nil
}

// errUnsure means that a failure may be that of the query. It is the task's when it is seen twice in a row.
var errUnsure = fmt.Errorf("%w: it does not say whether the task or the query failed", errBadReply)

func hasVideo(t *Task) bool {
	_, ok := t.Video()
	return ok
}

// Wait waits until the task has ended and returns it. The task as last seen is returned even with an error: a
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

// PollDelay returns how long to wait before the next query for a task that still runs: the schedule of [Client.Watch],
// for programs that keep the time themselves, such as the workflows of an engine. task is the task as last seen, age
// the time since its create. The result lies between a second and 30 seconds, for off-peak tasks 30 minutes, and four
// times as long while callbacks arrive and the task has one, with a random jitter of ±10 %. It is learned from tasks
// that are waited for by [Client.Wait], [Client.Watch] and [Client.WaitAll]; until then it is the default of all kinds,
// and 30 s if task is nil.
func (c *Client) PollDelay(task *Task, age time.Duration) time.Duration {
	if c == nil || c.pacer == nil || task == nil {
		return schedule.MaxGap
	}
	return c.pacer.Delay(sightingOf(task), age)
}

// sightingOf returns what the schedule needs of a task.
func sightingOf(t *Task) schedule.Sighting {
	s := schedule.Sighting{ID: t.ID, Class: schedule.Class{
		Model: string(t.Model), Resolution: string(t.Resolution), Duration: t.Duration, OffPeak: t.OffPeak,
	}}
	switch {
	case t.State == StateCreated || t.State == StateQueueing:
		s.Phase = schedule.Queueing
	case t.State == StateProcessing:
		s.Phase = schedule.Processing
	case t.State == StateSuccess:
		s.Phase = schedule.Succeeded
	case t.Done():
		s.Phase = schedule.Failed
	}
	return s
}

// failureOf is the error of a task that has ended, nil after success.
func failureOf(task *Task) error {
	if parseState(string(task.State)) == StateSuccess {
		return nil
	}
	return &TaskError{Task: task}
}

// waitItem is what is known about one task that is waited for. A program may wait for 100,000: keep it small.
type waitItem struct {
	id       string
	poll     schedule.PollState
	state    State   // as last seen
	percent  float32 // as last seen
	seen     bool
	unsure   bool // the last query may have failed, or the task
	unusable int8 // replies in a row
}

// settle returns how a query failed. A failure that may be that of the query is none when it is seen twice in a row.
func (w *waitItem) settle(failure error) error {
	again := w.unsure
	w.unsure = errors.Is(failure, errUnsure)
	if again && w.unsure {
		return nil
	}
	return failure
}

// begin returns the reply to the create if it can stand for the first answer. A caller's schedule is used from the
// first poll on.
func (w *waitItem) begin(c *Client, config *waitConfig) *Task {
	var reply string
	if w.poll, reply = c.pacer.Begin(w.id); config.schedule != nil || reply == "" {
		return nil
	}
	var d taskDecoder
	d.readTask(reply)
	first := d.task()
	if first.Done() { // which a reply that is cut or odd may say wrongly
		return nil
	}
	maskTask(first, c.redact)
	first.ID = w.id // which a task that was recovered has from elsewhere
	return first
}

// note updates the item with an answer. It reports whether the caller should see it: the task has changed or ended.
// answered means that a query of this wait has succeeded before.
func (w *waitItem) note(task *Task, failure error, elapsed time.Duration, answered bool) bool {
	odd := isUnusable(failure) || (answered && isStray(failure))
	if odd && (elapsed >= unseenGrace || !isUnseen(failure)) {
		w.unusable++
	} else {
		w.unusable = 0
	}
	if failure != nil {
		return false
	}
	percent := float32(task.Progress)
	changed := !w.seen || task.State != w.state || percent != w.percent
	w.seen, w.state, w.percent = true, task.State, percent
	return changed || task.Done()
}

// isUnusable reports whether a 2xx response is unusable: a success without a link, a web page, an error with status
// 200. That passes when a server is being restarted or is not consistent yet.
func isUnusable(failure error) bool {
	refusal, answered := errors.AsType[*APIError](failure)
	return errors.Is(failure, errBadReply) || (answered && refusal.StatusCode < 300)
}

// isStray reports whether an error response looks like that of something between here and the API: a redirect, say to a
// login, or a web page. Before the first answer of the API that is a mistake of configuration.
func isStray(failure error) bool {
	refusal, answered := errors.AsType[*APIError](failure)
	if !answered || isTransient(failure) {
		return false
	}
	return refusal.StatusCode/100 == 3 || (refusal.StatusCode/100 == 4 && scrub.IsMarkup(string(refusal.Body)))
}

// isUnseen reports whether the server does not know the task, in any of the ways in which servers say so. In the first
// minute it may be a server that does not know it yet.
func isUnseen(failure error) bool {
	refusal, answered := errors.AsType[*APIError](failure)
	if !answered || refusal.StatusCode >= 500 {
		return false
	}
	code := refusal.Code.orNil()
	return refusal.StatusCode == http.StatusNotFound || errors.Is(code, ErrTaskNotFound) || errors.Is(code, ErrCreationNotFound) ||
		(refusal.StatusCode < 300 && errors.Is(code, ErrNotFound))
}

// fatal returns the failure if it ends the wait, and nil while the wait goes on.
func (w *waitItem) fatal(failure error, elapsed time.Duration, answered bool) error {
	if failure == nil || w.mayPass(failure, elapsed, answered) {
		return nil
	}
	return failure
}

// mayPass reports whether a wait survives the failure. A wrong host or certificate is only survived once the server has
// answered: before, it is a mistake of configuration rather than an outage.
func (w *waitItem) mayPass(failure error, elapsed time.Duration, answered bool) bool {
	_, isResponse := errors.AsType[*APIError](failure)
	switch {
	case isUnseen(failure) && elapsed < unseenGrace:
		return true
	case isUnseen(failure) && !isStray(failure):
		return false
	case w.unusable > 0:
		return w.unusable < maxUnusableReplies
	}
	return (answered && !isResponse) || isTransient(failure)
}

// isTransient reports whether a query may succeed when it is simply repeated.
func isTransient(failure error) bool {
	a := &attempt{err: failure}
	if refusal, ok := errors.AsType[*APIError](failure); ok {
		a.status = refusal.StatusCode
	}
	return classifyRead(a) == retry
}

// pause returns how long to wait before the next query.
func (w *waitItem) pause(config *waitConfig, p *schedule.Pacer, elapsed time.Duration, failure error) time.Duration {
	var d time.Duration
	switch {
	case config.schedule != nil:
		d = min(max(config.schedule(elapsed), minPollPause), schedule.Never)
	case failure != nil:
		d = min(max(p.Gap(&w.poll), failureGap), schedule.MaxGap) // an outage says nothing about the task
	default:
		d = p.Gap(&w.poll)
	}
	return max(d, retryAfter(failure))
}

// retryAfter returns how long the server wants to be left alone.
func retryAfter(failure error) time.Duration {
	if refusal, ok := errors.AsType[*APIError](failure); ok {
		return min(refusal.RetryAfter, backoff.MaxRetryAfter)
	}
	return 0
}

// cutShort returns the error of a wait whose context ended, with the failure of the last query.
func (w *waitItem) cutShort(ctx context.Context, now time.Duration, failure error) error {
	state, why := "not seen yet", ""
	if w.seen {
		ago := max(now-w.poll.Answered(), 0).Round(time.Second)
		state = fmt.Sprintf("last seen %s %v ago", scrub.OneLine(string(w.state), 40), ago)
	}
	if failure != nil && !errors.Is(failure, ctx.Err()) {
		why = ", last: " + scrub.OneLine(strings.TrimPrefix(failure.Error(), "vidu: "), max(200-len(w.id)/2, 0))
	}
	return fmt.Errorf("vidu: waiting for task %s, %s: %w%s", w.id, state, ctx.Err(), why)
}
