package vidu

import (
	"context"
	"time"
)

// Tracer sees each call of a [Client] and each of its attempts; [WithTracer] sets it. It sees what a RoundTripper
// cannot: the outcome, the task's id and the number of the attempt. Its methods are called in the goroutine of the
// call, so calls that run at the same time call it at the same time; let them be quick. One that panics is ignored. A
// request that is not valid starts no call.
//
// None of what it is given holds the API key, or a prompt, but for what a server says of it in an error. The texts of
// errors hold no query of a link; their Body may.
type Tracer interface {
	// TraceCallStart is called before the first attempt. The context that it returns is that of the call: of its
	// requests, of TraceAttempt and of TraceCallEnd.
	TraceCallStart(ctx context.Context, start CallStart) context.Context
	// TraceAttempt is called after every attempt.
	TraceAttempt(ctx context.Context, attempt Attempt)
	// TraceCallEnd is called once, before the call returns.
	TraceCallEnd(ctx context.Context, end CallEnd)
}

// CallStart is what is known when a call begins.
type CallStart struct {
	// Operation is the endpoint of a create, such as "reference2video", or one of "get task", "list tasks", "cancel task",
	// "get credits", "start upload", "upload image", "finish upload".
	Operation string
}

// Attempt is one request and its response.
type Attempt struct {
	Number     int           // from 1
	StatusCode int           // 0: no response
	Duration   time.Duration // until the response was read
	RequestID  string        // of the response's header; "" when it has none
	Err        error         // nil: a 2xx response, read to its end
}

// CallEnd is how a call ended.
type CallEnd struct {
	TaskID   string // of the task that was created, queried or cancelled, or that the response names; "": none
	Attempts int
	Outcome  Outcome
	Err      error // what the call returns
}

// Outcome says how a call ended, for metrics. Calls that are no create end with ok or failed.
type Outcome string

// Outcomes of calls.
const (
	OutcomeCreated Outcome = "created"  // the task exists
	OutcomeRefused Outcome = "refused"  // the server answered with an error; no task exists
	OutcomeNotSent Outcome = "not_sent" // no server had the whole request; no task exists
	OutcomeUnknown Outcome = "unknown"  // a task may exist: a [*MaybeCreatedError]
	OutcomeOK      Outcome = "ok"
	OutcomeFailed  Outcome = "failed"
)

// callTrace is one call under a Tracer. A nil callTrace does nothing.
type callTrace struct {
	tracer   Tracer
	ctx      context.Context //nolint:containedctx // that of the call, as the tracer returned it
	attempts int
}

// startTrace returns the context of a call and its trace, nil without a tracer.
func startTrace(ctx context.Context, tracer Tracer, operation string) (context.Context, *callTrace) {
	if tracer == nil {
		return ctx, nil
	}
	t := &callTrace{tracer: tracer, ctx: ctx}
	ignorePanic(func() {
		if traced := tracer.TraceCallStart(ctx, CallStart{Operation: operation}); traced != nil {
			t.ctx = traced
		}
	})
	return t.ctx, t
}

func (t *callTrace) attempt(a Attempt) {
	if t != nil {
		t.attempts++
		ignorePanic(func() { t.tracer.TraceAttempt(t.ctx, a) })
	}
}

func (t *callTrace) end(taskID string, outcome Outcome, err error) {
	if t != nil {
		ignorePanic(func() {
			t.tracer.TraceCallEnd(t.ctx, CallEnd{TaskID: taskID, Attempts: t.attempts, Outcome: outcome, Err: err})
		})
	}
}

// ignorePanic calls f, whose panic must not cost a reply, which may hold the id of a paid task.
func ignorePanic(f func()) {
	defer func() { _ = recover() }() // there is nowhere to report it
	f()
}
