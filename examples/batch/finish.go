package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/vidu-go/vidu"
)

// finish waits for a task and downloads its video.
func (b *batch) finish(ctx context.Context, j *job) {
	task, err := b.client.Wait(ctx, j.id, b.waiting...)
	if err != nil {
		b.lost(j, err)
		return
	}
	b.downloads <- struct{}{}
	defer func() { <-b.downloads }()
	b.download(ctx, j, task)
}

// lost reports a task that failed, or whose wait failed: the next run waits again.
func (b *batch) lost(j *job, err error) {
	failure, ended := errors.AsType[*vidu.TaskError](err)
	if !ended {
		b.report.ended(j, unfinished, fmt.Sprintf("task %s exists: %v", j.id, err))
		return
	}
	rec := b.results.get(j.key)
	rec.State, rec.ID, rec.Error = stateFailed, j.id, failure.Error()
	b.results.add(rec)
	b.report.ended(j, notMade, failure.Error())
}

// download writes the video to a file named after its task. An existing file is complete.
func (b *batch) download(ctx context.Context, j *job, task *vidu.Task) {
	rec := b.results.get(j.key)
	rec.State, rec.ID, rec.File = stateDone, task.ID, task.ID+".mp4"
	path := filepath.Join(b.config.out, rec.File)
	if _, err := b.client.DownloadFile(ctx, task, path); err != nil && !errors.Is(err, fs.ErrExist) {
		b.report.ended(j, unfinished, fmt.Sprintf("task %s is done, its video not fetched: %v", task.ID, err))
		return
	}
	b.results.add(rec)
	b.report.ended(j, made, path)
}
