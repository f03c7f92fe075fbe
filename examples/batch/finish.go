package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

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

// download writes the video to a file named after its task. A file of that name has no record, or was found empty: a
// killed run may have left it so, and it is replaced.
func (b *batch) download(ctx context.Context, j *job, task *vidu.Task) {
	rec := b.results.get(j.key)
	rec.State, rec.ID, rec.File = stateDone, task.ID, fileName(task.ID)
	path := filepath.Join(b.config.out, rec.File)
	size, err := b.client.DownloadFile(ctx, task, path, vidu.WithOverwrite())
	if err != nil {
		b.report.ended(j, unfinished, fmt.Sprintf("task %s is done, its video not fetched: %v", task.ID, err))
		return
	}
	rec.Bytes = size
	b.results.add(rec)
	b.report.ended(j, made, path)
}

var (
	safeID  = regexp.MustCompile(`^[0-9][0-9a-z-]{0,99}$`)
	notSafe = regexp.MustCompile(`[^0-9a-z-]+`)
)

// fileName returns the name for a task's video. The server chooses ids, so one may be a path, "CON", "-rf" or differ
// from another only in letter case. Whatever may be unsafe on any system is replaced, and a hash keeps the names apart.
func fileName(id string) string {
	if safeID.MatchString(id) {
		return id + ".mp4"
	}
	readable := strings.Trim(notSafe.ReplaceAllString(strings.ToLower(id), "-"), "-")
	hash := sha256.Sum256([]byte(id))
	return fmt.Sprintf("%.60s_%x.mp4", readable, hash[:8])
}
