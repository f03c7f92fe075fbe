package viduworkflow

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/vidu-go/vidu"
)

// TaskQueue is the queue that [Start] uses unless the input names another: one for each account, say.
const TaskQueue = "vidu"

// maxInput is the size up to which Temporal accepts a payload without a warning.
const maxInput = 512 << 10

// SubmitQueue is the queue of the creates that belongs to a queue. They are apart because the API limits how many tasks
// run at once: waiting creates then delay no polls and no downloads.
func SubmitQueue(queue string) string { return queue + "-submit" }

// Register adds the workflow and all activities but the create to a worker of [TaskQueue]. Without a second worker, see
// [RegisterSubmit], nothing is ever created.
func Register(w worker.Registry, a *Activities) {
	w.RegisterWorkflowWithOptions(Generate, workflow.RegisterOptions{Name: workflowName})
	w.RegisterActivityWithOptions(a.Reconcile, activity.RegisterOptions{Name: reconcileName})
	w.RegisterActivityWithOptions(a.Await, activity.RegisterOptions{Name: awaitName})
	w.RegisterActivityWithOptions(a.Download, activity.RegisterOptions{Name: downloadName})
}

// RegisterSubmit adds the creates to a worker of [SubmitQueue], which may run in the same process. Two options matter
// there: TaskQueueActivitiesPerSecond is the rate of creates of the whole fleet, and a WorkerStopTimeout of at least
// Input.SubmitTimeout lets a deployment finish the creates in flight; a kill leaves each of them with an unknown
// outcome.
func RegisterSubmit(w worker.ActivityRegistry, a *Activities) {
	w.RegisterActivityWithOptions(a.Submit, activity.RegisterOptions{Name: submitName})
	w.RegisterActivityWithOptions(a.Create, activity.RegisterOptions{Name: createName})
}

// Start starts [Generate] as the workflow id, which names the generation: it is the Payload of the task and the name of
// the video. Use the id of your own job. Starting the same id again is harmless, now or after it has ended: the run
// that comes back is the first one's, whatever its input was. That holds for as long as the namespace keeps finished
// workflows.
//
// It refuses, before anything is started, an invalid request and media inside the request, in whichever of its fields,
// which must not be in a history. Use URLs, or [vidu.Client.UploadImage] first.
func Start(ctx context.Context, c client.Client, id string, in Input) (client.WorkflowRun, error) {
	if err := in.checkRequest(ctx, id); err != nil {
		return nil, fmt.Errorf("viduworkflow: start %s: %w", id, err)
	}
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                       id,
		TaskQueue:                cmp.Or(in.TaskQueue, TaskQueue),
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
	}, workflowName, in)
	if err != nil {
		return nil, fmt.Errorf("viduworkflow: start %s: %w", id, err)
	}
	return run, nil
}

// checkRequest returns what is wrong with the input before it is stored.
func (in *Input) checkRequest(ctx context.Context, id string) error {
	if id == "" {
		return errors.New("the workflow id is empty")
	}
	if err := in.check(id); err != nil {
		return err
	}
	if err := in.validate(ctx); err != nil {
		return err
	}
	text, err := in.marshal()
	if err != nil {
		return err
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return err
	}
	if hasInline(value) {
		return errInline
	}
	if len(text) > maxInput {
		return fmt.Errorf("the request has %d bytes, more than the %d that a history should hold", len(text), maxInput)
	}
	return nil
}

// workflowKey is the key of a workflow's id in a context.
type workflowKey struct{}

// CallbackHandler receives the API's callbacks, for requests with a CallbackURL, and wakes the workflow that waits for
// the task. It uses only the task id from a callback; see [vidu.Client.CallbackHandler], also for secret and the
// options. It may run in any process; callbacks only speed things up.
func CallbackHandler(vc *vidu.Client, tc client.Client, secret string, opts ...vidu.CallbackOption) (http.Handler, error) {
	wake := func(ctx context.Context, task *vidu.Task) error { return signal(ctx, tc, task) }
	handler, err := vc.CallbackHandler(secret, wake, opts...)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.URL.Query().Get(workflowParam)
		handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), workflowKey{}, id)))
	}), nil
}

// signal wakes the workflow of a task: the one that the task's payload names, or, where the API returns no payload, the
// one in the callback URL. A workflow that has ended is ignored.
func signal(ctx context.Context, tc client.Client, task *vidu.Task) error {
	fromURL, _ := ctx.Value(workflowKey{}).(string)
	id := cmp.Or(task.Payload, fromURL)
	if id == "" {
		return nil
	}
	err := tc.SignalWorkflow(ctx, id, "", callbackName, nil)
	if _, gone := errors.AsType[*serviceerror.NotFound](err); gone {
		return nil
	}
	return err
}
