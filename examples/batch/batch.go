package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/vidu-go/vidu"
)

// maxDoubts is how many creates of one run may end in doubt before no more are begun: a server that answers every
// create with an error and charges for it must not cost the whole batch.
const maxDoubts = 3

// batch is one run.
type batch struct {
	client  *vidu.Client
	waiting []vidu.WaitOption
	config  *config
	results *results
	report  *report

	mu     sync.Mutex
	doubts int
	full   bool  // the server takes no more tasks until some have ended
	halted error // why no more creates are begun
}

// run goes round until nothing is left that could be done: create, wait, download.
func (b *batch) run(ctx context.Context, jobs []*job) int {
	for _, j := range jobs {
		b.recall(ctx, j)
	}
	for {
		b.createAll(ctx, jobs)
		if b.waitAll(ctx, jobs) == 0 { // nothing was under way, so nothing will make room
			break
		}
	}
	switch {
	case b.halted != nil:
		b.report.note(fmt.Sprintf("No more tasks were created: %v", b.halted))
	case b.full:
		b.report.note("No more tasks were created: the server takes no more at present")
	case ctx.Err() != nil:
		b.report.note("Interrupted. To go on, run the same command again.")
	}
	return b.report.finish()
}

// createAll creates tasks, a few at a time, until config.tasks are under way. One round of run ends before the next
// begins, so no job is in two hands.
func (b *batch) createAll(ctx context.Context, jobs []*job) {
	b.full = false
	room := b.config.tasks - len(inPhase(jobs, toWait))
	next := make(chan *job)
	var workers sync.WaitGroup
	for range b.config.creates {
		workers.Go(func() {
			for j := range next {
				if b.mayCreate(ctx) {
					b.create(ctx, j)
				}
			}
		})
	}
	for _, j := range inPhase(jobs, toCreate) {
		if room <= 0 || !b.mayCreate(ctx) {
			break
		}
		next <- j
		room--
	}
	close(next)
	workers.Wait()
}

func inPhase(jobs []*job, p phase) []*job {
	var found []*job
	for _, j := range jobs {
		if j.phase == p {
			found = append(found, j)
		}
	}
	return found
}

func (b *batch) mayCreate(ctx context.Context) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return ctx.Err() == nil && b.halted == nil && !b.full
}

func (b *batch) halt(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.halted == nil {
		b.halted = err
	}
}

// create pays for one task. The marker is on the disk before the call, and the id before anything else is done.
func (b *batch) create(ctx context.Context, j *job) {
	rec := record{Job: j.key, Name: j.name, State: stateCreating, Marker: vidu.NewMarker()}
	if err := b.results.add(rec); err != nil {
		b.halt(err)
		return
	}
	request := *j.request
	request.Payload = rec.Marker
	task, err := b.client.Reference2Video(ctx, &request)
	switch {
	case errors.Is(err, vidu.ErrMaybeCreated):
		b.doubt(j, rec, err)
	case err != nil:
		b.refused(j, rec, err)
	default:
		j.phase, j.id = toWait, task.ID
		rec.State, rec.ID = stateCreated, task.ID
		if err := b.results.add(rec); err != nil {
			b.halt(err)
			b.report.note(fmt.Sprintf("%s: task %s was created, and this is not on record", j.name, task.ID))
		}
	}
}

// doubt leaves "creating" as the last word about the job, so that no later run creates it again unasked.
func (b *batch) doubt(j *job, rec record, err error) {
	j.phase = settled
	b.report.ended(j, doubtful, fmt.Sprintf("A TASK MAY EXIST and be charged, with payload %s: %v", rec.Marker, err))
	b.mu.Lock()
	b.doubts++
	tooMany := b.doubts >= maxDoubts
	b.mu.Unlock()
	if tooMany {
		b.halt(fmt.Errorf("%d creates ended in doubt", maxDoubts))
	}
}

// refused records that nothing was created.
func (b *batch) refused(j *job, rec record, err error) {
	rec.State, rec.Error = stateRefused, err.Error()
	if err := b.results.add(rec); err != nil {
		b.halt(err)
	}
	if errors.Is(err, vidu.ErrQuotaExceeded) {
		b.mu.Lock()
		b.full = true
		b.mu.Unlock()
		return // its turn comes again
	}
	if errors.Is(err, vidu.ErrCreditInsufficient) || errors.Is(err, vidu.ErrUnauthorized) || errors.Is(err, vidu.ErrForbidden) {
		b.halt(err) // the others would fare no better
	}
	j.phase = settled
	b.report.ended(j, notMade, fmt.Sprintf("nothing was created: %v", err))
}
