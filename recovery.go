package vidu

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

const (
	clockSkew     = 5 * time.Minute // how far the server's clock may be behind ours
	maxCandidates = 50
	firstLook     = time.Second // after an unknown outcome; then twice as long each time
)

// NewMarker returns a text that no other request has, for [Reference2VideoRequest.Payload]. Store it before the call.
func NewMarker() string { return "vidu-" + rand.Text() }

// WithRecovery makes [Client.Reference2Video] look for the task, for at most budget, before it returns a
// [*MaybeCreatedError]: by [Client.FindTask], so only on servers that list tasks and only for requests with a Payload,
// which must be unique. Nothing is sent a second time. The default, 0, is not to look.
func WithRecovery(budget time.Duration) Option {
	return func(c *config) error {
		if budget < 0 {
			return fmt.Errorf("WithRecovery: the budget %v is negative", budget)
		}
		c.recovery = budget
		return nil
	}
}

// DuplicateTasksError comes with the oldest of several tasks that have the same payload: a gateway sent one request
// on more than once, or the payload was not unique.
type DuplicateTasksError struct {
	Payload string
	IDs     []string // of all of them, the oldest first
}

// Error is one line with the ids.
func (e *DuplicateTasksError) Error() string {
	return fmt.Sprintf("vidu: %d tasks have the payload %q: %s", len(e.IDs), oneLine(e.Payload, 64), oneLine(fmt.Sprint(e.IDs), 200))
}

// FindTask looks for the task with this payload among those created after since; the zero time is the server's default
// window, 7 days. It is what to do after a [*MaybeCreatedError], with its Payload and From.
//
// The API lists tasks without their payload, so candidates are queried, the 50 that are nearest to since. Without a
// match the error is [ErrNotFound]: the task was not seen, which is no proof that it was not created, since it may
// appear later. When there were more candidates than could be queried the error is another. Several matches return the
// oldest and a [*DuplicateTasksError]. On a server that lists no tasks the error is [ErrNotSupported].
func (c *Client) FindTask(ctx context.Context, payload string, since time.Time) (*Task, error) {
	if payload == "" {
		return nil, &ValidationError{Problems: []FieldProblem{{Field: "payload", Reason: "is required"}}}
	}
	return c.find(ctx, payload, since, func(*Task) bool { return true })
}

func (c *Client) find(ctx context.Context, payload string, since time.Time, isCandidate func(*Task) bool) (*Task, error) {
	var matches, candidates []*Task
	for task, err := range c.AllTasks(ctx, tasksSince(since)) {
		switch {
		case err != nil:
			return nil, err
		case task.Payload == payload:
			matches = append(matches, task)
		case task.Payload == "" && isCandidate(task):
			candidates = append(candidates, task)
		}
	}
	slices.SortStableFunc(candidates, func(a, b *Task) int {
		return cmp.Compare(a.CreatedAt.Sub(since).Abs(), b.CreatedAt.Sub(since).Abs())
	})
	queried := candidates[:min(len(candidates), maxCandidates)]
	for _, candidate := range queried {
		task, err := c.GetTask(ctx, candidate.ID)
		switch {
		case isStatus(err, http.StatusNotFound): // usual just after a create
		case err != nil:
			return nil, err
		case task.Payload == payload:
			task.CreatedAt = candidate.CreatedAt // a query does not say it
			matches = append(matches, task)
		}
	}
	if len(matches) == 0 && len(queried) < len(candidates) {
		return nil, fmt.Errorf("vidu: no task with the payload %q was seen among %d; %d more were not looked at",
			oneLine(payload, 64), len(queried), len(candidates)-len(queried))
	}
	return choose(payload, matches, len(queried))
}

// tasksSince allows for a server whose clock is behind.
func tasksSince(since time.Time) *ListTasksRequest {
	if since.IsZero() {
		return nil
	}
	return &ListTasksRequest{From: since.Add(-clockSkew)}
}

func choose(payload string, matches []*Task, queried int) (*Task, error) {
	if len(matches) == 0 {
		return nil, fmt.Errorf("vidu: no task with the payload %q was seen among %d, which does not prove that there is none: %w",
			oneLine(payload, 64), queried, ErrNotFound)
	}
	slices.SortStableFunc(matches, byAge)
	if len(matches) == 1 {
		return matches[0], nil
	}
	ids := make([]string, len(matches))
	for i, task := range matches {
		ids[i] = task.ID
	}
	return matches[0], &DuplicateTasksError{Payload: payload, IDs: ids}
}

func byAge(a, b *Task) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID))
}

// lookUp looks for the task of a create whose outcome is unknown. It returns nil when the doubt remains; several tasks
// are no answer either, but the doubt then names them.
func (c *Client) lookUp(ctx context.Context, doubt *MaybeCreatedError, prompt string) *Task {
	if c.recovery == 0 || doubt.Payload == "" || ctx.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.recovery)
	defer cancel()
	sameWords := func(t *Task) bool { return t.Prompt == prompt || t.Prompt == "" } // fewer candidates to query
	for pause := firstLook; ; pause *= 2 {
		task, err := c.find(ctx, doubt.Payload, doubt.From, sameWords)
		if _, several := errors.AsType[*DuplicateTasksError](err); several {
			doubt.Err = errors.Join(doubt.Err, err)
			return nil
		}
		if err == nil {
			return task
		}
		if errors.Is(err, ErrNotSupported) || !sleep(ctx, pause) {
			return nil
		}
	}
}
