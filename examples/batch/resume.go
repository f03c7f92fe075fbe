package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
		b.checkFile(j, rec)
	case stateFailed:
		if !b.config.retryFailed {
			j.phase = settled
			b.report.ended(j, notMade, rec.Error+" (in an earlier run; -retry-failed creates it again)")
		}
	}
}

// checkFile looks at the video of an earlier run. One that is missing or empty is fetched again; another length may be
// the work of the user, who has to decide.
func (b *batch) checkFile(j *job, rec record) {
	path := filepath.Join(b.config.out, rec.File)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		j.phase, j.id = toWait, rec.ID
		return
	}
	j.phase = settled
	switch {
	case err != nil:
		b.report.ended(j, unfinished, err.Error())
	case rec.Bytes != 0 && info.Size() != rec.Bytes:
		b.report.ended(j, unfinished, fmt.Sprintf("%s has %d bytes, and had %d when it was downloaded; "+
			"move it away, and the next run fetches it again", path, info.Size(), rec.Bytes))
	default:
		b.report.ended(j, madeBefore, path)
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
	case notFound && b.config.retryUnknown && j.request != nil:
		b.report.note(fmt.Sprintf("%s: creating it again, although a task with payload %s may exist", j.name, rec.Payload))
	default:
		j.phase = settled
		b.report.ended(j, unknown, fmt.Sprintf("A TASK MAY EXIST and be charged, with payload %s; skipped. If you know that there is none, "+
			"-retry-unknown creates it, where its line is still in the input: %v", rec.Payload, err))
	}
}
