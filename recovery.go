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

	"github.com/vidu-go/vidu/internal/backoff"
	"github.com/vidu-go/vidu/internal/scrub"
)

const (
	clockSkew        = 5 * time.Minute // how far the server's clock may be behind ours
	maxCandidates    = 50
	maxQueryFailures = 3           // in a row
	firstLook        = time.Second // after an unknown outcome; then twice as long each time
)

// NewMarker returns a text that no other request has, for [Reference2VideoRequest.Payload]. Store it before the call.
func NewMarker() string { return "vidu-" + rand.Text() }

// FindTask looks for the task with this payload among those created after since; the zero time is the server's default
// window, 7 days. It is what to do after a [*MaybeCreatedError], with its Payload and From.
//
// The API lists tasks without their payload, so candidates are queried, the 50 that are nearest to since. Without a
// match the error is [ErrNotFound]: the task was not seen, which is no proof that it was not created, since it may
// appear later. If the search was incomplete the error does not match ErrNotFound. Several matches return the
// oldest and a [*DuplicateTasksError]. On a server that lists no tasks the error is [ErrNotSupported].
func (c *Client) FindTask(ctx context.Context, payload string, since time.Time) (*Task, error) {
	if payload == "" {
		return nil, &ValidationError{Problems: []FieldProblem{{Field: "payload", Reason: "is required"}}}
	}
	return newSearch(payload, since, func(*Task) bool { return true }).run(ctx, c)
}

// search is one look for the task with a payload.
type search struct {
	payload string
	since   time.Time
	window  ListTasksRequest
	mayBe   func(*Task) bool // false for tasks that it cannot be

	matches    []*Task
	candidates []candidate
	unsure     error // why the task may be there and was not found
}

// candidate is a listed task whose payload is not known. Thousands may be listed, so no more of them is kept.
type candidate struct {
	id        string
	createdAt time.Time // a query does not say it
}

func newSearch(payload string, since time.Time, mayBe func(*Task) bool) *search {
	s := &search{payload: payload, since: since, mayBe: mayBe}
	if !since.IsZero() {
		s.window.From = since.Add(-clockSkew)
	}
	return s
}

func (s *search) run(ctx context.Context, c *Client) (*Task, error) {
	if err := s.list(ctx, c); err != nil {
		return nil, err
	}
	slices.SortStableFunc(s.candidates, func(a, b candidate) int {
		return cmp.Compare(a.createdAt.Sub(s.since).Abs(), b.createdAt.Sub(s.since).Abs())
	})
	queried := s.queryAll(ctx, c)
	if queried < len(s.candidates) {
		s.unsure = cmp.Or(s.unsure, fmt.Errorf("vidu: no task with the payload %q was seen among %d; %d more were not looked at",
			scrub.OneLine(s.payload, 64), queried, len(s.candidates)-queried))
	}
	if len(s.matches) == 0 && s.unsure != nil {
		return nil, s.unsure
	}
	return choose(s.payload, s.matches, queried)
}

// list finds the matches and candidates of the window.
func (s *search) list(ctx context.Context, c *Client) error {
	seen := map[string]bool{} // pages shift while they are read
	for task, err := range c.AllTasks(ctx, &s.window) {
		switch {
		case errors.Is(err, ErrNotSupported), isStatus(err, http.StatusUnauthorized):
			return err
		case err != nil: // the task may be on one of the pages that were read
			s.unsure = inconclusive(err)
		case seen[task.ID] || !s.mayBe(task):
		case task.Payload == s.payload:
			s.matches = append(s.matches, task)
		case task.Payload == "":
			s.candidates = append(s.candidates, candidate{id: task.ID, createdAt: task.CreatedAt})
		}
		if task != nil {
			seen[task.ID] = true
		}
	}
	return nil
}

// queryAll looks at the payloads of candidates and returns how many it came to. One that cannot be queried must not
// hide the others; several in a row mean that the server answers nobody.
func (s *search) queryAll(ctx context.Context, c *Client) (queried int) {
	failed := 0
	for ; queried < min(len(s.candidates), maxCandidates) && failed < maxQueryFailures && ctx.Err() == nil; queried++ {
		one := s.candidates[queried]
		task, err := c.GetTask(ctx, one.id)
		switch {
		case saysNoSuchTask(err): // usual just after a create
			failed = 0
		case err != nil:
			failed++
			s.unsure = cmp.Or(s.unsure, inconclusive(err))
			if isStatus(err, http.StatusUnauthorized) || isStatus(err, http.StatusTooManyRequests) {
				return queried
			}
		case task.Payload == s.payload:
			task.CreatedAt = one.createdAt
			s.matches = append(s.matches, task)
			fallthrough
		default:
			failed = 0
		}
	}
	return queried
}

// saysNoSuchTask reports whether an error response is plain about it. Inside a 200 it may be about anything.
func saysNoSuchTask(err error) bool {
	return isStatus(err, http.StatusNotFound) || (isStatus(err, http.StatusBadRequest) && errors.Is(err, ErrTaskNotFound))
}

// inconclusive returns the failure of a part of the search, which must not match [ErrNotFound], whatever its code.
func inconclusive(err error) error {
	if errors.Is(err, ErrNotFound) {
		return &callError{text: err.Error()}
	}
	return err
}

func choose(payload string, matches []*Task, queried int) (*Task, error) {
	if len(matches) == 0 {
		return nil, fmt.Errorf("vidu: no task with the payload %q was seen among %d, which does not prove that there is none: %w",
			scrub.OneLine(payload, 64), queried, ErrNotFound)
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

// lookUp looks for the task of a create whose outcome is unknown. It returns nil when the outcome stays unknown;
// several tasks leave it unknown as well, but maybe then names them.
func (c *Client) lookUp(ctx context.Context, maybe *MaybeCreatedError, prompt string) *Task {
	if c.recovery == 0 || maybe.Payload == "" || ctx.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.recovery)
	defer cancel()
	mayBe := func(t *Task) bool { // what this client has from earlier creates is not this one; fewer words, fewer queries
		return !c.pacer.Remembers(t.ID) && (t.Payload != "" || prompt == "" || t.Prompt == prompt || t.Prompt == "")
	}
	for pause := firstLook; ; pause *= 2 {
		task, err := newSearch(maybe.Payload, maybe.From, mayBe).run(ctx, c)
		if _, several := errors.AsType[*DuplicateTasksError](err); several {
			maybe.Err = errors.Join(maybe.Err, err)
			return nil
		}
		if err == nil {
			return task
		}
		if errors.Is(err, ErrNotSupported) || !backoff.Sleep(ctx, pause) {
			return nil
		}
	}
}
