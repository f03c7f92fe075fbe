package main

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// tally is how a team did: every create lands in exactly one of answered, flagged, alarms, failed and lost, and those
// that were charged more than once also in twice.
type tally struct {
	team string
	took time.Duration

	creates  int
	answered int // the task that was paid for was returned
	flagged  int // paid for, and the error says that a task may exist
	alarms   int // the same error, and nothing was paid for
	failed   int // another error, and nothing was paid for
	lost     int // paid for, and the client says an error that means "not created", or names another task
	twice    int // two tasks or more were paid for

	charged  int // tasks
	requests int
	met      int // ambiguous faults
	broken   []string
}

// judge compares what a client said of a create with the books.
func (t *tally) judge(c *create, said outcome, books *ledger) {
	paid := books.charges[c.marker()]
	t.creates++
	if len(paid) > 1 {
		t.twice++
		t.blame(c, said, paid)
	}
	switch {
	case said.err == nil && slices.Contains(paid, said.id):
		t.answered++
	case said.maybe && len(paid) > 0:
		t.flagged++
	case said.maybe:
		t.alarms++
	case said.err != nil && len(paid) == 0:
		t.failed++
	default:
		t.lost++
		t.blame(c, said, paid)
	}
}

// blame keeps the first few creates that broke a promise.
func (t *tally) blame(c *create, said outcome, paid []string) {
	const enough = 5
	if len(t.broken) < enough {
		t.broken = append(t.broken, fmt.Sprintf("create %+v: paid for %v; the client said id %q, error %v", *c, paid, said.id, said.err))
	}
}

func (t *tally) readBooks(books *ledger) {
	t.charged, t.requests = books.tasks, books.requests
	for k, n := range books.met {
		if kind(k).ambiguous() {
			t.met += n
		}
	}
}

// verdict is an error if the team broke a promise of the client.
func (t *tally) verdict() error {
	if t.twice == 0 && t.lost == 0 {
		return nil
	}
	err := fmt.Errorf("%s: %d paid twice, %d lost silently", t.team, t.twice, t.lost)
	for _, example := range t.broken {
		err = errors.Join(err, errors.New(example))
	}
	return err
}
