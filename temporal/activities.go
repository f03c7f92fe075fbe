package viduworkflow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/vidu-go/vidu"
)

const (
	askBudget   = 90 * time.Second // for one attempt of Await, a short outage included
	minPause    = 2 * time.Second
	clockSkew   = 5 * time.Minute
	heartbeats  = 5 * time.Second
	maxPayloads = 100_000
)

// Activities do what a workflow must not: they call the API. Client and Store are required. The key is in the Client and
// nowhere else; no history has it.
type Activities struct {
	Client *vidu.Client
	Store  Store

	// Pause says how long a task that still runs is left alone, given the task as last seen and the time since its
	// create. nil is [vidu.Client.PollDelay].
	Pause func(task *vidu.Task, age time.Duration) time.Duration

	clock func() time.Time // for tests; nil is Temporal's

	looking  sync.Mutex        // one look-up at a time: the next one then finds the payloads known
	payloads map[string]string // by task id, of tasks that were looked at
}

// Submitted is a task that exists.
type Submitted struct {
	TaskID     string   `json:"task_id"`              // "" from Reconcile: none was seen
	Duplicates []string `json:"duplicates,omitempty"` // further tasks with the same payload

	// At is when the task was created, at the earliest: a create may have waited long in its queue. Zero is not known.
	At time.Time `json:"at,omitzero"`
}

// Submit creates the task. It is the one call that costs money. Give it MaximumAttempts 1: Temporal's default would pay
// again after every failure.
//
// It sends no heartbeat, on purpose: a worker that is merely frozen would be taken for dead while its request is still
// to be sent. It gives up a tenth of its StartToClose timeout before the end, also when it was frozen before it could
// begin, so after a timeout nothing is sent any more. The price is that worker and server must agree on the time, by that
// tenth. And without heartbeats a cancellation does not reach it: a create that has begun is finished.
func (a *Activities) Submit(ctx context.Context, req *vidu.Reference2VideoRequest) (*Submitted, error) {
	info, at := activity.GetInfo(ctx), a.now(ctx)
	ctx, cancel := context.WithTimeout(ctx, sendBudget(&info))
	defer cancel()
	if ctx.Err() != nil {
		err := fmt.Errorf("nothing was sent: by this worker's clock the activity began at %v", info.StartedTime)
		return nil, newError(NotCreated, err).final()
	}
	task, err := a.Client.Reference2Video(ctx, req)
	if err != nil {
		return nil, newError(kindOf(err), err).final()
	}
	return &Submitted{TaskID: task.ID, At: at}, nil
}

// sendBudget is what is left of the time that an activity has, less the tenth. It goes by the clock on the wall, unlike the
// timers of a process that was suspended, and never beyond what is left when that clock is late.
func sendBudget(info *activity.Info) time.Duration {
	return info.StartToCloseTimeout*9/10 - max(time.Since(info.StartedTime), 0)
}

// kindOf passes on the client's verdict on a failed create. Only which of the harmless failures are worth a second try
// is decided here, as the client itself does; whether anything was created is not.
func kindOf(err error) Kind {
	_, invalid := errors.AsType[*vidu.ValidationError](err)
	answer, answered := errors.AsType[*vidu.APIError](err)
	switch {
	case errors.Is(err, vidu.ErrMaybeCreated):
		return MaybeCreated
	case invalid:
		return Invalid
	case !answered, answer.StatusCode >= http.StatusInternalServerError:
		return NotCreated
	case errors.Is(err, vidu.ErrCreditInsufficient):
		return Refused
	}
	switch answer.StatusCode {
	case http.StatusRequestTimeout, http.StatusExpectationFailed, http.StatusTooEarly, http.StatusTooManyRequests:
		return NotCreated
	}
	return Refused
}

// Lookup says which task to look for.
type Lookup struct {
	Payload string    `json:"payload"`
	Prompt  string    `json:"prompt"`
	Since   time.Time `json:"since"` // when the first create began whose outcome is unknown
}

// Reconcile looks for a task by its payload. Unlike [vidu.Client.FindTask], which gives up beyond 50 candidates, it looks
// at all of them, as many as 5000: a fleet creates more than 50 within minutes. A Submitted without a TaskID means that
// there was none. Whatever stands in the way of that certainty is an error.
func (a *Activities) Reconcile(ctx context.Context, in Lookup) (*Submitted, error) {
	defer beat(ctx, new(atomic.Int64))()
	found, err := a.find(ctx, in)
	if errors.Is(err, vidu.ErrNotSupported) {
		return nil, newError(MaybeCreated, err).final()
	}
	return found, err
}

func (a *Activities) find(ctx context.Context, in Lookup) (*Submitted, error) {
	a.looking.Lock()
	defer a.looking.Unlock()
	var found []*vidu.Task // the newest first, as the API lists them
	window := &vidu.ListTasksRequest{From: in.Since.Add(-clockSkew), To: time.Now().Add(clockSkew)}
	seen := map[string]bool{} // pages shift while they are read
	for task, err := range a.Client.AllTasks(ctx, window) {
		if err != nil {
			return nil, err
		}
		if seen[task.ID] {
			continue
		}
		seen[task.ID] = true
		payload, err := a.payloadOf(ctx, task)
		switch {
		case err != nil:
			return nil, err
		case payload == in.Payload:
			found = append(found, task)
		case payload == "" && task.Prompt == in.Prompt:
			return nil, fmt.Errorf("task %s has the prompt and no payload: it may be this one or not", task.ID)
		}
	}
	submitted := &Submitted{}
	for i, task := range found {
		if i == len(found)-1 {
			submitted.TaskID, submitted.At = task.ID, task.CreatedAt
		} else {
			submitted.Duplicates = append(submitted.Duplicates, task.ID)
		}
	}
	return submitted, nil
}

// payloadOf asks for the payload of a listed task, once. It never changes.
func (a *Activities) payloadOf(ctx context.Context, task *vidu.Task) (string, error) {
	if task.Payload != "" {
		return task.Payload, nil
	}
	if payload := a.payloads[task.ID]; payload != "" {
		return payload, nil
	}
	task, err := a.Client.GetTask(ctx, task.ID)
	if err != nil {
		return "", err
	}
	if a.payloads == nil || len(a.payloads) >= maxPayloads {
		a.payloads = map[string]string{}
	}
	a.payloads[task.ID] = task.Payload
	return task.Payload, nil
}

// AwaitInput says which task to wait for.
type AwaitInput struct {
	TaskID string    `json:"task_id"`
	Since  time.Time `json:"since"` // its create
	Until  time.Time `json:"until"` // when to give up
}

// Ended is a task that succeeded.
type Ended struct {
	Credits int `json:"credits"`
}

// Await asks for the task once. While it runs, the attempt fails with the pause until the next one: Temporal's own retry
// is the timer, so a wait of two days leaves no more in the history than one of two seconds.
func (a *Activities) Await(ctx context.Context, in AwaitInput) (*Ended, error) {
	defer beat(ctx, new(atomic.Int64))()
	now := a.now(ctx)
	ctx, cancel := context.WithTimeout(ctx, askBudget)
	defer cancel()
	task, err := a.ask(ctx, in.TaskID)
	if err == nil && task.Done() {
		return &Ended{Credits: task.Credits}, nil
	}
	if err != nil && isFinal(err) {
		return nil, awaitError(err).final()
	}
	if task == nil {
		task = &vidu.Task{ID: in.TaskID}
	}
	pause := max(min(a.pause(task, now.Sub(in.Since)), in.Until.Sub(now)), minPause) // the last look is pulled in to the end
	options := temporal.ApplicationErrorOptions{NextRetryDelay: pause, NonRetryable: !now.Before(in.Until)}
	if err == nil {
		err = fmt.Errorf("task %s is %s", task.ID, task.State)
		options.Category = temporal.ApplicationErrorCategoryBenign // it is no failure: nothing to log or to count
	}
	e := newError(StillRunning, err)
	options.Details = []any{*e}
	return nil, temporal.NewApplicationErrorWithOptions(e.Message, string(e.Kind), options)
}

// ask returns the task as it is.
func (a *Activities) ask(ctx context.Context, id string) (*vidu.Task, error) {
	task, err := a.Client.GetTask(ctx, id)
	switch {
	case err != nil && !isOutage(err): // a 404 may pass, for example: Wait knows what does, and rides it out
		return a.Client.Wait(ctx, id)
	case err == nil && task.Done() && task.State != vidu.StateSuccess:
		return task, &vidu.TaskError{Task: task}
	}
	return task, err
}

// isOutage tells the failures that say nothing about the task. Temporal repeats those queries; no attempt waits for their
// end and takes the place of others. A wrong key is the worker's: what was paid for outlives a bad deployment.
func isOutage(err error) bool {
	answer, answered := errors.AsType[*vidu.APIError](err)
	if !answered {
		return true
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return true
	}
	return answer.StatusCode >= http.StatusInternalServerError
}

// isFinal tells the failures that end a wait: the task's own, and what the API said and Wait did not ride out.
func isFinal(err error) bool {
	_, failed := errors.AsType[*vidu.TaskError](err)
	return failed || !isOutage(err)
}

func awaitError(err error) *GenerateError {
	if _, failed := errors.AsType[*vidu.TaskError](err); failed {
		return newError(TaskFailed, err)
	}
	return newError(Lost, err)
}

func (a *Activities) pause(task *vidu.Task, age time.Duration) time.Duration {
	if a.Pause != nil {
		return a.Pause(task, age)
	}
	return a.Client.PollDelay(task, age)
}

// now is the time by the clock that Since and Until came from.
func (a *Activities) now(ctx context.Context) time.Time {
	if a.clock != nil {
		return a.clock()
	}
	return activity.GetInfo(ctx).StartedTime
}

// DownloadInput says which video to keep, and under which name.
type DownloadInput struct {
	TaskID string `json:"task_id"`
	Name   string `json:"name"`
}

// Saved says where a video is kept.
type Saved struct {
	Location string `json:"location"`
	Bytes    int64  `json:"bytes"`
}

// Download fetches the video and keeps it in the Store. Links expire, so every attempt asks for a fresh one.
func (a *Activities) Download(ctx context.Context, in DownloadInput) (*Saved, error) {
	if a.Store == nil {
		return nil, errors.New("the Store of this worker's Activities is nil")
	}
	video := &Video{Client: a.Client}
	defer beat(ctx, &video.done)()
	task, err := a.Client.GetTask(ctx, in.TaskID)
	if err != nil {
		return nil, err
	}
	video.Task = task
	location, err := a.Store.Save(ctx, in.Name, video)
	if err != nil {
		return nil, fmt.Errorf("save %s: %w", in.Name, err)
	}
	return &Saved{Location: location, Bytes: video.done.Load()}, nil
}

// beat sends heartbeats until it is told to stop, so that a worker which died is missed within seconds. What takes no
// longer sends none.
func beat(ctx context.Context, done *atomic.Int64) (stop func()) {
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(heartbeats)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				activity.RecordHeartbeat(ctx, done.Load())
			case <-ended:
				return
			}
		}
	}()
	return func() {
		close(ended)
		<-stopped
	}
}
