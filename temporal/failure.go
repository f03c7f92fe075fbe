package viduworkflow

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/vidu-go/vidu"
)

// Kind is what a failure means: above all, whether a task may exist. It is the Type of the application error:
// Temporal's UI shows it and a parent workflow can test for it.
type Kind string

// Kinds of failures.
const (
	// Invalid: the request cannot be sent as it is. Nothing was sent.
	Invalid Kind = "vidu.Invalid"
	// Refused: the API refused the request. No task was created.
	Refused Kind = "vidu.Refused"
	// NotCreated: the API could not be reached, or had no capacity, for a day. No task was created.
	NotCreated Kind = "vidu.NotCreated"
	// MaybeCreated: the outcome is unknown. A task may exist and be billed; look for it by its Payload, the workflow's
	// id.
	MaybeCreated Kind = "vidu.MaybeCreated"
	// TaskFailed: the task was accepted and then failed or was cancelled. The API does not charge for it.
	TaskFailed Kind = "vidu.TaskFailed"
	// StillRunning: the task had not ended after 49 hours. It was paid for and can be waited for again by its id.
	StillRunning Kind = "vidu.StillRunning"
	// Lost: the API no longer has the task.
	Lost Kind = "vidu.Lost"
	// NotSaved: the video exists but could not be fetched or stored for a day.
	NotSaved Kind = "vidu.NotSaved"
	// Canceled: the workflow was cancelled. A task that exists by then continues and is billed.
	Canceled Kind = "vidu.Canceled"
)

// GenerateError is why a generation failed, in the form that Temporal stores. Get it from the error of a workflow with
// [ErrorOf]. Like the errors of package vidu it matches [vidu.ErrMaybeCreated] and the API's codes in errors.Is.
type GenerateError struct {
	Kind    Kind           `json:"kind"`
	Message string         `json:"message"`
	Code    vidu.ErrorCode `json:"code,omitempty"`    // the API's code, if it gave one
	TaskID  string         `json:"task_id,omitempty"` // of the task, once there is one
	Payload string         `json:"payload,omitempty"` // of the request: the workflow's id

	// RetryAfter is how long the API asked to wait, for a NotCreated.
	RetryAfter time.Duration `json:"retry_after,omitempty"`
}

// Error returns the kind and the message.
func (e *GenerateError) Error() string {
	if e == nil {
		return "unknown reason"
	}
	return string(e.Kind) + ": " + e.Message
}

// Is makes errors.Is(err, vidu.ErrMaybeCreated) hold for [MaybeCreated]. A nil e matches nothing.
func (e *GenerateError) Is(target error) bool {
	return e != nil && e.Kind == MaybeCreated && target == vidu.ErrMaybeCreated
}

// Unwrap returns the API's code, nil if there is none.
func (e *GenerateError) Unwrap() error {
	if e == nil || e.Code == "" {
		return nil
	}
	return e.Code
}

// ErrorOf finds the reason inside the error of a workflow, be it of client.WorkflowRun.Get or of a child's future. It
// returns nil when there is none: the workflow was terminated, say, or Temporal could not be reached.
func ErrorOf(err error) *GenerateError {
	if failure, ok := errors.AsType[*temporal.ApplicationError](err); ok && failure.HasDetails() {
		return decode(failure.Details)
	}
	if canceled, ok := errors.AsType[*temporal.CanceledError](err); ok && canceled.HasDetails() {
		return decode(canceled.Details)
	}
	return nil
}

// decode reads details, which may be of any type. It goes through JSON: an error that never left the process holds
// values, and Temporal panics if they are not of the requested type.
func decode(details func(...any) error) *GenerateError {
	var value any
	e := &GenerateError{}
	if details(&value) == nil && json.Unmarshal(encode(value), e) == nil && strings.HasPrefix(string(e.Kind), "vidu.") {
		return e
	}
	return nil
}

func encode(value any) []byte {
	text, _ := json.Marshal(value) // on an error text is empty, and does not decode
	return text
}

// newError returns what Temporal can store of a Go error.
func newError(kind Kind, err error) *GenerateError {
	e := &GenerateError{Kind: kind, Message: err.Error()}
	errors.As(err, &e.Code)
	if answer, ok := errors.AsType[*vidu.APIError](err); ok {
		e.RetryAfter = answer.RetryAfter
	}
	return e
}

// final returns an error of an activity or a workflow that Temporal does not retry.
func (e *GenerateError) final() error {
	return temporal.NewNonRetryableApplicationError(e.Message, string(e.Kind), nil, *e)
}
