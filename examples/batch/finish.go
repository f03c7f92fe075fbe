package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/vidu-go/vidu"
)

// waitAll waits for what is under way, downloads each video as it ends, and returns how many tasks there were.
func (b *batch) waitAll(ctx context.Context, jobs []*job) int {
	byID := map[string]*job{}
	var ids []string
	for _, j := range inPhase(jobs, toWait) {
		byID[j.id] = j
		ids = append(ids, j.id)
	}
	var downloads sync.WaitGroup
	free := make(chan struct{}, b.config.creates)
	for task, err := range b.client.WaitAll(ctx, ids, b.waiting...) {
		j := byID[task.ID]
		j.phase = settled
		if err != nil {
			b.lost(j, err)
			continue
		}
		free <- struct{}{}
		downloads.Go(func() {
			b.download(ctx, j, task)
			<-free
		})
	}
	downloads.Wait()
	return len(ids)
}

// lost tells of a task that failed, or that could not be waited for: the next run will.
func (b *batch) lost(j *job, err error) {
	failure, ended := errors.AsType[*vidu.TaskError](err)
	if !ended {
		b.report.ended(j, unfinished, err.Error())
		return
	}
	rec := b.results.get(j.key)
	rec.State, rec.ID, rec.Error = stateFailed, j.id, failure.Error()
	if err := b.results.add(rec); err != nil {
		b.halt(err)
	}
	b.report.ended(j, notMade, failure.Error())
}

// download writes the video to a file named after its task: one that exists is whole, and this very video.
func (b *batch) download(ctx context.Context, j *job, task *vidu.Task) {
	rec := b.results.get(j.key)
	rec.State, rec.ID, rec.File = stateDone, task.ID, task.ID+".mp4"
	path := filepath.Join(b.config.out, rec.File)
	if _, err := b.client.DownloadFile(ctx, task, path); err != nil && !errors.Is(err, fs.ErrExist) {
		b.report.ended(j, unfinished, fmt.Sprintf("task %s is done, its video not fetched: %v", task.ID, err))
		return
	}
	if err := b.results.add(rec); err != nil {
		b.halt(err)
	}
	b.report.ended(j, made, path)
}
