package viduworkflow

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/vidu-go/vidu"
)

// Names in histories, which outlive the code that wrote them: never change them.
const (
	workflowName  = "vidu.Generate"
	submitName    = "vidu.Submit"
	createName    = "vidu.Create"
	reconcileName = "vidu.Reconcile"
	awaitName     = "vidu.Await"
	downloadName  = "vidu.Download"
	callbackName  = "vidu.Callback" // the signal

	workflowParam = "workflow" // in the callback URL's query
)

const (
	defaultSubmitTimeout = 3 * time.Minute
	defaultSettle        = 5 * time.Minute

	firstRetry   = 5 * time.Second // after a create that provably created nothing; then twice as long each time
	maxRetry     = 5 * time.Minute
	submitBudget = 24 * time.Hour

	maxRetryAfter = time.Hour // of what the API asks for
	maxUnknown    = 5         // creates with an unknown outcome

	maxWait  = 49 * time.Hour // an off-peak task ends within 48
	maxWakes = 20             // by callbacks; polling goes on without them

	heartbeatTimeout = 4 * heartbeats
	unlimited        = 1_000_000 // attempts; the testsuite takes 0 for 10
)

// nothingCreated are the kinds of a failed create that rule out a task.
var nothingCreated = []Kind{Invalid, Refused, NotCreated}

// OnUnknown is what to do after a create with an unknown outcome: the answer was lost, or the worker died.
type OnUnknown string

// What to do about an unknown outcome. The API has no idempotency, so only [Fail] never pays twice.
const (
	// Fail ends the workflow with [MaybeCreated]. Zero means Fail.
	Fail OnUnknown = "fail"

	// Reconcile looks for the task by its payload and takes it over. It sends the request again only when two looks, with
	// Input.Settle between them, saw no such task. It pays twice if the server shows a task later than that. It needs a
	// server that lists tasks, as the official API does; elsewhere it is Fail. So it is for a request without a prompt, or
	// with IsRec, while the account has another new task without a payload: that task could be the one.
	Reconcile OnUnknown = "reconcile"

	// Resubmit sends the request again. It accepts a second charge: each of [Output].Doubts may have cost as much as
	// the returned task.
	Resubmit OnUnknown = "resubmit"
)

// Input is what to generate: exactly one of Request, Text2Video, Img2Video, StartEnd2Video and Generic. It is part of
// the history, which everybody with access to the namespace can read.
//
// Whichever it is, its media are given by URL or upload only. Its payload is the workflow's id: leave it empty. With a
// callback URL, which then leads to [CallbackHandler], the end of the task is noticed at once; the workflow's id is
// added to the URL's query.
type Input struct {
	// Request is for [vidu.Client.Reference2Video]. The zero request is none.
	Request vidu.Reference2VideoRequest `json:"request,omitzero"`

	// Text2Video is for [vidu.Client.Text2Video].
	Text2Video *vidu.Text2VideoRequest `json:"text2video,omitempty"`

	// Img2Video is for [vidu.Client.Img2Video].
	Img2Video *vidu.Img2VideoRequest `json:"img2video,omitempty"`

	// StartEnd2Video is for [vidu.Client.StartEnd2Video].
	StartEnd2Video *vidu.StartEnd2VideoRequest `json:"start_end2video,omitempty"`

	// Generic is for [vidu.Client.CreateTask].
	Generic *Generic `json:"generic,omitempty"`

	// OnUnknown is what to do after a create with an unknown outcome. "" is [Fail].
	OnUnknown OnUnknown `json:"on_unknown,omitempty"`

	// SubmitTimeout is how long one create may take before its outcome counts as unknown. 0 is 3 minutes.
	SubmitTimeout time.Duration `json:"submit_timeout,omitempty"`

	// Settle is the time between the two looks of [Reconcile]. Make it longer than a server may take to show a task. 0 is
	// 5 minutes.
	Settle time.Duration `json:"settle,omitempty"`

	// TaskQueue is the queue of the workers, for [Start]. "" is [TaskQueue].
	TaskQueue string `json:"-"`
}

// Output is a finished generation.
type Output struct {
	TaskID   string `json:"task_id"`
	Location string `json:"location"` // as returned by [Store]
	Bytes    int64  `json:"bytes"`    // size of the video
	Credits  int    `json:"credits"`  // the cost of the task, by the API

	// Reconciled reports whether the task was found by its payload, after its create had an unknown outcome.
	Reconciled bool `json:"reconciled,omitempty"`
	// Duplicates are further tasks with the same payload, which were billed, too.
	Duplicates []string `json:"duplicates,omitempty"`
	// Doubts counts the creates whose outcome was unknown.
	Doubts int `json:"doubts,omitempty"`
}

// Generate is the workflow: create a task, wait for its end, keep the video. Start it with [Start], or as a child with
// an id of the caller's own. Its errors are final, see [ErrorOf].
//
// Cancelling it takes back a create that no worker has begun. It does not interrupt a create in flight or a task. Do
// not reset it to a point before its create: that pays again.
func Generate(ctx workflow.Context, in Input) (*Output, error) {
	info := workflow.GetInfo(ctx)
	g := &generation{in: in, id: info.WorkflowExecution.ID, submitQueue: SubmitQueue(info.TaskQueueName)}
	g.callbacks = workflow.GetSignalChannel(ctx, callbackName)
	if err := g.prepare(info); err != nil {
		return nil, g.fail(Invalid, err)
	}
	if err := g.submit(ctx); err != nil {
		return nil, g.fail(MaybeCreated, err)
	}
	if err := g.await(ctx); err != nil {
		return nil, g.fail(StillRunning, err)
	}
	if err := g.download(ctx); err != nil {
		return nil, g.fail(NotSaved, err)
	}
	return &g.out, nil
}

// generation is one run of the workflow.
type generation struct {
	in           Input
	id           string // of the workflow, and the payload
	submitQueue  string
	callbacks    workflow.ReceiveChannel
	unknownSince time.Time // when the first create with an unknown outcome began; zero without one
	created      time.Time
	out          Output
}

// prepare sets the defaults of the input and checks it.
func (g *generation) prepare(info *workflow.Info) error {
	if info.Attempt > 1 {
		return newError(MaybeCreated, errors.New("this is a retry of the workflow: the previous run may have paid")).final()
	}
	g.in.SubmitTimeout = cmp.Or(g.in.SubmitTimeout, defaultSubmitTimeout)
	g.in.Settle = cmp.Or(g.in.Settle, defaultSettle)
	g.in.OnUnknown = cmp.Or(g.in.OnUnknown, Fail)
	if err := g.in.check(g.id); err != nil {
		return err
	}
	g.in.bind(g.id)
	return nil
}

// check returns what is wrong with the input of workflow id, its media aside.
func (in *Input) check(id string) error {
	if err := in.checkOne(); err != nil {
		return err
	}
	payload, err := in.payload()
	switch {
	case err != nil:
		return err
	case payload != "" && payload != id:
		return errors.New("the payload must be empty or the workflow's id")
	case in.SubmitTimeout < 0 || in.Settle < 0:
		return errors.New("a duration is negative")
	}
	switch in.OnUnknown {
	case "", Fail, Reconcile, Resubmit:
		return nil
	default:
		return fmt.Errorf("unknown OnUnknown %q", in.OnUnknown)
	}
}

// addWorkflow makes a callback URL lead to this workflow. The rest of the URL stays as it is: it will be signed.
func addWorkflow(callbackURL, id string) string {
	if callbackURL == "" {
		return ""
	}
	mark := "?"
	if strings.Contains(callbackURL, "?") {
		mark = "&"
	}
	return callbackURL + mark + workflowParam + "=" + url.QueryEscape(id)
}

// submit creates the task. It returns when there is one, or when it is certain why there is none.
func (g *generation) submit(ctx workflow.Context) error {
	began := workflow.Now(ctx)
	for pause := firstRetry; ; pause = min(2*pause, maxRetry) {
		if err := ctx.Err(); err != nil {
			return err
		}
		now := workflow.Now(ctx)
		err := g.create(ctx)
		failure := ErrorOf(err)
		switch {
		case err == nil:
			return nil
		case temporal.IsCanceledError(err): // no worker had begun it
			return err
		case failure == nil, !slices.Contains(nothingCreated, failure.Kind): // the worker died, panicked or is a newer one
			found, err := g.resolve(ctx, now, err)
			if found || err != nil {
				return err
			}
		case failure.Kind != NotCreated, now.Sub(began) > submitBudget:
			return err
		default:
			if err := workflow.Sleep(ctx, max(pause, min(failure.RetryAfter, maxRetryAfter))); err != nil {
				return err
			}
		}
	}
}

// create sends the request once. The end of ctx takes it out of the queue; once a worker has begun it, create waits for
// its outcome.
func (g *generation) create(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           g.submitQueue,
		StartToCloseTimeout: g.in.SubmitTimeout,
		WaitForCancellation: true,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	queued := workflow.Now(ctx)
	var task Submitted
	name, request := g.in.activity()
	if err := workflow.ExecuteActivity(ctx, name, request).Get(ctx, &task); err != nil {
		return err
	}
	g.adopt(ctx, &task, queued)
	return nil
}

// adopt continues with a task that was created between from and now. A time outside of that is a wrong clock's.
func (g *generation) adopt(ctx workflow.Context, task *Submitted, from time.Time) {
	g.out.TaskID, g.out.Duplicates = task.TaskID, task.Duplicates
	g.created = from
	if task.At.After(from) && !task.At.After(workflow.Now(ctx)) {
		g.created = task.At
	}
}

// resolve applies OnUnknown to a create that began at now. It reports whether the task was found; with neither a task
// nor an error the request is to be sent again.
func (g *generation) resolve(ctx workflow.Context, now time.Time, cause error) (found bool, err error) {
	g.out.Doubts++
	if g.unknownSince.IsZero() {
		g.unknownSince = now
	}
	switch {
	case g.in.OnUnknown == Fail || g.out.Doubts >= maxUnknown:
		return false, cause
	case g.in.OnUnknown == Resubmit:
		workflow.GetLogger(ctx).Warn("vidu: sending a request again that may have created a task", "cause", cause)
		return false, workflow.Sleep(ctx, firstRetry)
	}
	if found, err := g.reconcile(ctx); found || err != nil {
		return found, err
	}
	if err := workflow.Sleep(ctx, g.in.Settle); err != nil {
		return false, err
	}
	return g.reconcile(ctx)
}

// reconcile looks for the task once.
func (g *generation) reconcile(ctx workflow.Context) (found bool, err error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    10 * time.Minute,
		ScheduleToCloseTimeout: 2 * time.Hour,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: 5 * time.Second, MaximumInterval: 5 * time.Minute, BackoffCoefficient: 2, MaximumAttempts: unlimited,
		},
	})
	var task Submitted
	look := Lookup{Payload: g.id, Prompt: g.in.prompt(), Since: g.unknownSince}
	if err := workflow.ExecuteActivity(ctx, reconcileName, look).Get(ctx, &task); err != nil {
		return false, err
	}
	if task.TaskID == "" {
		return false, nil
	}
	g.adopt(ctx, &task, g.unknownSince)
	g.out.Reconciled = true
	return true, nil
}

// await waits for the end of the task. A callback wakes an Await that sleeps between two attempts: it is cancelled, and
// the next one queries at once.
func (g *generation) await(ctx workflow.Context) error {
	until := g.created.Add(maxWait)
	for wakes := 0; ; wakes++ {
		drain(g.callbacks) // the next Await answers all of them
		woken, err := g.awaitOrWake(ctx, until, wakes < maxWakes)
		if !woken {
			return err
		}
	}
}

func drain(signals workflow.ReceiveChannel) {
	for more := true; more; {
		more = signals.ReceiveAsync(nil)
	}
}

func (g *generation) awaitOrWake(ctx workflow.Context, until time.Time, wakeable bool) (woken bool, err error) {
	ctx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	slack := 5 * time.Minute // for the last query, at the very end
	awaitCtx := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    2 * time.Minute,
		ScheduleToCloseTimeout: max(until.Sub(workflow.Now(ctx)), 0) + slack,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy: &temporal.RetryPolicy{ // for attempts whose worker died; the others set NextRetryDelay
			InitialInterval: time.Second, MaximumInterval: time.Minute, BackoffCoefficient: 2, MaximumAttempts: unlimited,
		},
	})
	in := AwaitInput{TaskID: g.out.TaskID, Since: g.created, Until: until}
	s := workflow.NewSelector(ctx)
	s.AddFuture(workflow.ExecuteActivity(awaitCtx, awaitName, in), func(f workflow.Future) {
		var task Ended
		err = f.Get(ctx, &task)
		g.out.Credits = task.Credits
	})
	if wakeable {
		s.AddReceive(g.callbacks, func(c workflow.ReceiveChannel, _ bool) { woken = c.ReceiveAsync(nil) })
	}
	s.Select(ctx)
	return woken, err
}

// download keeps the video.
func (g *generation) download(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    2 * time.Hour,
		ScheduleToCloseTimeout: 24 * time.Hour,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: 5 * time.Second, MaximumInterval: 5 * time.Minute, BackoffCoefficient: 2, MaximumAttempts: unlimited,
		},
	})
	var saved Saved
	in := DownloadInput{TaskID: g.out.TaskID, Name: g.id}
	if err := workflow.ExecuteActivity(ctx, downloadName, in).Get(ctx, &saved); err != nil {
		return err
	}
	g.out.Location, g.out.Bytes = saved.Location, saved.Bytes
	return nil
}

// fail returns the error of the workflow: the activity's verdict if there is one, else kind, with the ids of the task.
func (g *generation) fail(kind Kind, err error) error {
	failure := ErrorOf(err)
	if failure == nil {
		failure = newError(kind, err)
	}
	failure.TaskID, failure.Payload = g.out.TaskID, g.id
	canceled := temporal.IsCanceledError(err)
	switch {
	case g.out.Doubts > 0 && g.out.TaskID == "": // whatever came after it, an unknown outcome stays
		failure.Kind = MaybeCreated
	case canceled:
		failure.Kind = Canceled
	}
	if canceled {
		return temporal.NewCanceledError(*failure)
	}
	return failure.final()
}
