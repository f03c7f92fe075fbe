// Package viduworkflow makes videos on Temporal (https://temporal.io): thousands at once, with waits of up to 48 hours
// and workers that come and go. A worker may be killed at any moment; nothing is lost, and nothing is paid for twice
// unless the caller chose to risk it.
//
// A worker is Temporal's own, with [Register] and [RegisterSubmit]:
//
//	a := &viduworkflow.Activities{Client: vc, Store: viduworkflow.Dir("videos")}
//	w := worker.New(tc, viduworkflow.TaskQueue, worker.Options{})
//	viduworkflow.Register(w, a)
//
// and anything with a Temporal client starts generations, under an id of its choice:
//
//	run, err := viduworkflow.Start(ctx, tc, "order-4711", viduworkflow.Input{Request: vidu.Reference2VideoRequest{…}})
//
// An [Input] has one of the four requests of package vidu, or a [Generic] one for any other endpoint.
//
// This package dials nothing and starts no server; README.md has both programs in full.
//
// # What is safe
//
// The API has no idempotency, so the create, [Activities.Submit] or [Activities.Create], runs at most once:
// Temporal does not retry it, and the verdict of package vidu decides what may be repeated. A create that was
// refused ends the workflow. One that provably created nothing is sent again after a pause, for up to a day. If the
// outcome is unknown, because the answer was lost or the worker died, [OnUnknown] decides: report it ([Fail], the
// default), look for the task ([Reconcile]), or accept that it may be paid for twice ([Resubmit]).
//
// Everything else is idempotent, and Temporal repeats it: a wrong key or a full disk in one deployment ends no
// generation that was paid for.
//
// Starting an id twice is harmless, be it while the first run lasts or after. Resetting a workflow to a point before
// its create is not: that pays again.
//
// # Errors
//
// [ErrorOf] finds the reason in the error of a workflow. As with a [vidu.Client], one question is enough:
//
//	if errors.Is(viduworkflow.ErrorOf(err), vidu.ErrMaybeCreated) {
//		// look for the task by its payload, the workflow's id, or alert an operator
//	}
//
// # Waiting
//
// Between two queries a wait is a row in Temporal's database. The history does not grow with it: 23 events per
// generation. Callbacks, see [CallbackHandler], end it at once; they are optional and only speed things up.
//
// # What Temporal sees
//
// [Input] and [Output] are stored in the history, which everybody with access to the namespace can read: prompts and
// links are in it. The API key and the videos are not. Media must be given by URL, or uploaded before.
//
// # Changes
//
// A workflow may run for days, and outlive the version of this package that started it. Every release replays the
// histories that earlier ones recorded (testdata); what changes the order of a workflow's steps goes behind
// workflow.GetVersion.
//
// Old workers do not know [Activities.Create]: update all of them, those of the creates first, before anything
// starts a generation with a request other than Input.Request. One that meets an old worker all the same creates
// nothing; it ends with [Invalid], or with a [MaybeCreated] that is not true.
package viduworkflow
