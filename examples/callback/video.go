package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/vidu-go/vidu"
)

// createLimit is how long the create may take, its attempts together.
const createLimit = 5 * time.Minute

// make creates the task, waits for it, woken by the callback, and writes the video.
func (j *job) make(ctx context.Context, s *server, stdout, stderr io.Writer) int {
	began := time.Now()
	req := &vidu.Reference2VideoRequest{
		Model:       vidu.ModelQ2Pro,
		Images:      []vidu.Media{vidu.URL(j.image)},
		Prompt:      j.prompt,
		CallbackURL: s.callbackURL,
		Payload:     vidu.NewMarker(),
	}
	created, err := j.create(ctx, req)
	if err != nil {
		return explain(err, req.Payload, stderr)
	}
	fmt.Fprintf(stderr, "Task %s was created.\n", created.ID)
	task, err := j.wait(ctx, created.ID)
	ended := time.Since(began)
	var code int
	if err != nil {
		code = explainWait(err, created.ID, stderr)
	} else {
		code = j.download(ctx, task, stdout, stderr)
	}
	if task != nil && task.Done() { // last, so that a lost callback delays nothing
		j.report(ctx, s, task, began, ended, stdout)
	}
	return code
}

// create pays. Once begun, the call is not cancelled by Ctrl-C: that would not undo the create, only lose the answer
// with the id.
func (j *job) create(ctx context.Context, req *vidu.Reference2VideoRequest) (*vidu.Task, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), createLimit)
	defer cancel()
	return j.client.Reference2Video(ctx, req)
}

func (j *job) wait(ctx context.Context, id string) (*vidu.Task, error) {
	ctx, cancel := context.WithTimeout(ctx, j.timeout)
	defer cancel()
	return j.client.Wait(ctx, id)
}

// unsafeInNames matches what not every file system takes in a name.
var unsafeInNames = regexp.MustCompile(`[^\w-]`)

func (j *job) download(ctx context.Context, task *vidu.Task, stdout, stderr io.Writer) int {
	path := j.out
	if path == "" {
		path = "task-" + unsafeInNames.ReplaceAllString(task.ID, "_") + ".mp4"
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

// report prints when the callback came.
func (j *job) report(ctx context.Context, s *server, task *vidu.Task, began time.Time, ended time.Duration, stdout io.Writer) {
	a, came := s.await(ctx, task.ID, j.grace)
	if !came {
		fmt.Fprintf(stdout, "no callback came; polling found the task %s after %.1f s\n", task.State, ended.Seconds())
		return
	}
	fmt.Fprintf(stdout, "the callback for task %s came after %.1f s: %s\n", task.ID, a.at.Sub(began).Seconds(), a.state)
}

// explain prints whether a failed create may have been charged.
func explain(err error, payload string, stderr io.Writer) int {
	fmt.Fprintln(stderr, err)
	if !errors.Is(err, vidu.ErrMaybeCreated) {
		fmt.Fprintln(stderr, "No task was created.")
		return exitFailed
	}
	fmt.Fprintln(stderr, "A TASK MAY EXIST and may be charged. Look for it before you run this again; its payload is", payload)
	return exitMayExist
}

// explainWait prints how to go on unless the task has ended.
func explainWait(err error, id string, stderr io.Writer) int {
	fmt.Fprintln(stderr, err)
	if _, ended := errors.AsType[*vidu.TaskError](err); ended {
		return exitFailed
	}
	fmt.Fprintf(stderr, "The task exists. To go on waiting: go run ./examples/reference2video -task %s\n", id)
	return exitMayExist
}
