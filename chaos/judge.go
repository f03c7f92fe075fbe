package main

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// tally counts the outcomes of a contestant: every create is in exactly one of answered, paidUnknown, unpaidUnknown,
// failed and lost; those charged more than once are also in twice.
type tally struct {
	contestant string
	took       time.Duration

	creates       int
	answered      int // the task that was paid for was returned
	paidUnknown   int // paid for, and the error is ErrMaybeCreated
	unpaidUnknown int // the same error, and nothing was paid for
	failed        int // another error, and nothing was paid for
	lost          int // paid for, and the client reported "not created" or another task
	twice         int // two tasks or more were paid for

	charged  int // tasks
	requests int
	met      int // ambiguous faults
	broken   []string
}

// judge compares the outcome of a create with the ledger.
func (t *tally) judge(c *create, got outcome, ledger *ledger) {
	paid := ledger.charges[c.payload()]
	t.creates++
	if len(paid) > 1 {
		t.twice++
		t.blame(c, got, paid)
	}
	switch {
	case got.err == nil && slices.Contains(paid, got.id):
		t.answered++
	case got.maybe && len(paid) > 0:
		t.paidUnknown++
	case got.maybe:
		t.unpaidUnknown++
	case got.err != nil && len(paid) == 0:
		t.failed++
	default:
		t.lost++
		t.blame(c, got, paid)
	}
}

// blame records a create that broke a promise, up to a few.
func (t *tally) blame(c *create, got outcome, paid []string) {
	const enough = 5
	if len(t.broken) < enough {
		t.broken = append(t.broken, fmt.Sprintf("create %+v: paid for %v; the client returned id %q, error %v", *c, paid, got.id, got.err))
	}
}

func (t *tally) readLedger(ledger *ledger) {
	t.charged, t.requests = ledger.tasks, ledger.requests
	for k, n := range ledger.met {
		if kind(k).ambiguous() {
			t.met += n
		}
	}
}

// verdict returns an error if the contestant broke a promise of the client.
func (t *tally) verdict() error {
	if t.twice == 0 && t.lost == 0 {
		return nil
	}
	err := fmt.Errorf("%s: %d paid twice, %d lost silently", t.contestant, t.twice, t.lost)
	for _, example := range t.broken {
		err = errors.Join(err, errors.New(example))
	}
	return err
}
