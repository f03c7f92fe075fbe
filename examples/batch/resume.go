package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/vidu-go/vidu"
)

// recall resumes a job where earlier runs left it.
func (b *batch) recall(ctx context.Context, j *job) {
	rec := b.results.get(j.key)
	switch rec.State {
	case stateCreating:
		b.settle(ctx, j, rec)
	case stateCreated:
		j.phase, j.id = toWait, rec.ID
	case stateDone:
		j.phase = settled
		b.report.ended(j, madeBefore, rec.File)
	case stateFailed:
		if !b.config.retryFailed {
			j.phase = settled
			b.report.ended(j, notMade, rec.Error+" (in an earlier run; -retry-failed creates it again)")
		}
	}
}

// settle looks for the task of a create with an unknown outcome: the program was killed during it, or the answer was
// lost. Not finding it proves nothing, so only the user may decide to create it again.
func (b *batch) settle(ctx context.Context, j *job, rec record) {
	task, err := b.client.FindTask(ctx, rec.Payload, rec.Time)
	if several, ok := errors.AsType[*vidu.DuplicateTasksError](err); ok {
		b.report.note(fmt.Sprintf("%s: several tasks exist, and the oldest is used: %v", j.name, several))
		err = nil
	}
	notFound := errors.Is(err, vidu.ErrNotFound) || errors.Is(err, vidu.ErrNotSupported)
	switch {
	case err == nil:
		j.phase, j.id = toWait, task.ID
		rec.State, rec.ID = stateCreated, task.ID
		b.results.add(rec)
	case notFound && b.config.retryDoubtful && j.request != nil:
		b.report.note(fmt.Sprintf("%s: creating it again, although a task with payload %s may exist", j.name, rec.Payload))
	default:
		j.phase = settled
		b.report.ended(j, unknown, fmt.Sprintf("A TASK MAY EXIST and be charged, with payload %s; skipped: %v", rec.Payload, err))
	}
}
