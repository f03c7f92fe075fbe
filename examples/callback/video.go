package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/vidu-go/vidu"
)

// make creates the task, waits for it, with the callback to wake it, and writes the video.
func (j *job) make(ctx context.Context, s *server, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(ctx, j.timeout)
	defer cancel()
	began := time.Now()
	req := &vidu.Reference2VideoRequest{
		Model:       vidu.ModelQ2Pro,
		Images:      []vidu.Media{vidu.URL(j.image)},
		Prompt:      j.prompt,
		CallbackURL: s.callbackURL,
		Payload:     vidu.NewMarker(),
	}
	created, err := j.client.Reference2Video(ctx, req)
	if err != nil {
		return explain(err, req.Payload, stderr)
	}
	fmt.Fprintf(stderr, "Task %s was created.\n", created.ID)
	task, err := j.client.Wait(ctx, created.ID)
	j.report(ctx, s, created.ID, task, began, stdout)
	if err != nil {
		return explainWait(err, created.ID, stderr)
	}
	path := j.out
	if path == "" {
		path = task.ID + ".mp4"
	}
	size, err := j.client.DownloadFile(ctx, task, path)
	if err != nil {
		fmt.Fprintln(stderr, err)
		fmt.Fprintf(stderr, "The video is made. Fetch it by its task, %s.\n", task.ID)
		return exitMayExist
	}
	fmt.Fprintf(stdout, "%s (%d bytes)\n", path, size)
	return exitDone
}

// report says when the callback came. It is not waited for when the task has not ended.
func (j *job) report(ctx context.Context, s *server, id string, task *vidu.Task, began time.Time, stdout io.Writer) {
	if task == nil || !task.Done() {
		return
	}
	ended := time.Since(began)
	a, came := s.await(ctx, id, j.grace)
	if !came {
		fmt.Fprintf(stdout, "no callback came; asking found the task %s after %.1f s\n", task.State, ended.Seconds())
		return
	}
	fmt.Fprintf(stdout, "the callback for task %s came after %.1f s: %s\n", id, a.at.Sub(began).Seconds(), a.task.State)
}

// explain tells what a failed create means for the purse.
func explain(err error, payload string, stderr io.Writer) int {
	fmt.Fprintln(stderr, err)
	if !errors.Is(err, vidu.ErrMaybeCreated) {
		fmt.Fprintln(stderr, "No task was created.")
		return exitFailed
	}
	fmt.Fprintln(stderr, "A TASK MAY EXIST and may be charged. Look for it before you run this again; its payload is", payload)
	return exitMayExist
}

// explainWait tells whether the task has ended.
func explainWait(err error, id string, stderr io.Writer) int {
	fmt.Fprintln(stderr, err)
	if _, ended := errors.AsType[*vidu.TaskError](err); ended {
		return exitFailed
	}
	fmt.Fprintf(stderr, "The task exists. To go on waiting: go run ./examples/reference2video -task %s\n", id)
	return exitMayExist
}
