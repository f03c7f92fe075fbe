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

// Activities call the API, which a workflow must not. Client and Store are required. The key is only in the Client,
// never in a history.
type Activities struct {
	Client *vidu.Client
	Store  Store

	// Pause returns the time until the next query of a running task, given the task as last seen and the time since its
	// create. nil is [vidu.Client.PollDelay].
	Pause func(task *vidu.Task, age time.Duration) time.Duration

	clock func() time.Time // for tests; nil is Temporal's

	looking  sync.Mutex        // one look-up at a time, so that the next one finds the payloads
	payloads map[string]string // by task id, of tasks seen by a look-up
}

// Submitted is a task that exists.
type Submitted struct {
	TaskID     string   `json:"task_id"`              // "" from Reconcile: none was seen
	Duplicates []string `json:"duplicates,omitempty"` // further tasks with the same payload

	// At is when the task was created, at the earliest: a create may have waited long in its queue. Zero is unknown.
	At time.Time `json:"at,omitzero"`
}

// Submit creates the task of a [vidu.Reference2VideoRequest]. It and [Activities.Create] are the calls that cost money.
// Give them MaximumAttempts 1: Temporal's default would pay again after every failure.
//
// It sends no heartbeat, on purpose: a worker that is merely frozen would be taken for dead while its request is still
// to be sent. It gives up a tenth of its StartToClose timeout before the end, also when it was frozen before it could
// begin, so after a timeout nothing is sent any more. The clocks of worker and server must therefore agree to within
// that tenth. Without heartbeats a cancellation does not reach it: a create that has begun is finished.
func (a *Activities) Submit(ctx context.Context, req *vidu.Reference2VideoRequest) (*Submitted, error) {
	return a.submit(ctx, func(ctx context.Context) (*vidu.Task, error) { return a.Client.Reference2Video(ctx, req) })
}

// Create is [Activities.Submit] for every other request.
func (a *Activities) Create(ctx context.Context, req *CreateInput) (*Submitted, error) {
	return a.submit(ctx, func(ctx context.Context) (*vidu.Task, error) {
		switch {
		case req.Text2Video != nil:
			return a.Client.Text2Video(ctx, req.Text2Video)
		case req.Img2Video != nil:
			return a.Client.Img2Video(ctx, req.Img2Video)
		case req.StartEnd2Video != nil:
			return a.Client.StartEnd2Video(ctx, req.StartEnd2Video)
		case req.Generic != nil:
			return a.Client.CreateTask(ctx, req.Generic.Endpoint, req.Generic.Fields)
		}
		return nil, errNoRequest
	})
}

func (a *Activities) submit(ctx context.Context, create func(context.Context) (*vidu.Task, error)) (*Submitted, error) {
	info, at := activity.GetInfo(ctx), a.now(ctx)
	ctx, cancel := context.WithTimeout(ctx, sendBudget(&info))
	defer cancel()
	if ctx.Err() != nil {
		err := fmt.Errorf("nothing was sent: by this worker's clock the activity began at %v", info.StartedTime)
		return nil, newError(NotCreated, err).final()
	}
	task, err := create(ctx)
	if err != nil {
		return nil, newError(kindOf(err), err).final()
	}
	return &Submitted{TaskID: task.ID, At: at}, nil
}

// sendBudget returns the time left for an activity, less the tenth. It uses the wall clock, since the timers of a
// suspended process stand still, and is at most the whole budget if that clock is late.
func sendBudget(info *activity.Info) time.Duration {
	return info.StartToCloseTimeout*9/10 - max(time.Since(info.StartedTime), 0)
}

// kindOf returns the Kind of a failed create. The client decides whether anything was created; only which of the other
// failures are worth a retry is decided here, as the client does.
func kindOf(err error) Kind {
	_, invalid := errors.AsType[*vidu.ValidationError](err)
	answer, answered := errors.AsType[*vidu.APIError](err)
	switch {
	case errors.Is(err, vidu.ErrMaybeCreated):
		return MaybeCreated
	case invalid, errors.Is(err, errNoRequest):
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

// Lookup describes the task to look for.
type Lookup struct {
	Payload string    `json:"payload"`
	Prompt  string    `json:"prompt"` // "": the server may show any
	Since   time.Time `json:"since"`  // when the first create began whose outcome is unknown
}

// Reconcile looks for a task by its payload. Unlike [vidu.Client.FindTask], which gives up beyond 50 candidates, it
// checks all of them, up to 5000: a fleet creates more than 50 within minutes. A Submitted without a TaskID means that
// there was none. An incomplete search is an error.
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
		case payload == "" && (in.Prompt == "" || task.Prompt == in.Prompt):
			return nil, fmt.Errorf("task %s may be the one: it has no payload, and its prompt is not another", task.ID)
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

// payloadOf queries the payload of a listed task, once: it never changes.
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

// AwaitInput describes the task to wait for.
type AwaitInput struct {
	TaskID string    `json:"task_id"`
	Since  time.Time `json:"since"` // its create
	Until  time.Time `json:"until"` // when to give up
}

// Ended is a task that succeeded.
type Ended struct {
	Credits int `json:"credits"`
}

// Await queries the task once. While it runs, the attempt fails with the pause until the next one: Temporal's own retry
// is the timer, so a wait of two days adds no more to the history than one of two seconds.
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
	pause := max(min(a.pause(task, now.Sub(in.Since)), in.Until.Sub(now)), minPause) // with a last query at the end
	options := temporal.ApplicationErrorOptions{NextRetryDelay: pause, NonRetryable: !now.Before(in.Until)}
	if err == nil {
		err = fmt.Errorf("task %s is %s", task.ID, task.State)
		options.Category = temporal.ApplicationErrorCategoryBenign // not a failure: nothing to log or to count
	}
	e := newError(StillRunning, err)
	options.Details = []any{*e}
	return nil, temporal.NewApplicationErrorWithOptions(e.Message, string(e.Kind), options)
}

// ask queries the task.
func (a *Activities) ask(ctx context.Context, id string) (*vidu.Task, error) {
	task, err := a.Client.GetTask(ctx, id)
	switch {
	case err != nil && !isOutage(err), err == nil && failed(task) && task.ErrCode == "":
		return a.Client.Wait(ctx, id) // it retries what may pass, such as a 404; without a code the query may have failed
	case err == nil && failed(task):
		return task, &vidu.TaskError{Task: task}
	}
	return task, err
}

func failed(task *vidu.Task) bool { return task.Done() && task.State != vidu.StateSuccess }

// isOutage reports whether a failure is independent of the task. Temporal repeats such a query, so that no attempt
// blocks a worker until the outage ends. A wrong key counts, too: a bad deployment must not end what was paid for.
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

// isFinal reports whether a failure ends a wait: the task's own, or an answer of the API that Wait did not retry.
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

// now returns the time by the clock of Since and Until.
func (a *Activities) now(ctx context.Context) time.Time {
	if a.clock != nil {
		return a.clock()
	}
	return activity.GetInfo(ctx).StartedTime
}

// DownloadInput is the video to keep, and its name.
type DownloadInput struct {
	TaskID string `json:"task_id"`
	Name   string `json:"name"`
}

// Saved is where a video is kept.
type Saved struct {
	Location string `json:"location"`
	Bytes    int64  `json:"bytes"`
}

// Download fetches the video and keeps it in the Store. Links expire, so every attempt queries a fresh one.
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

// beat sends heartbeats until stop is called, so that a dead worker is noticed within seconds. The first is sent after
// 5 s.
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
