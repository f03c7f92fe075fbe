package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vidu-go/vidu"
)

// maxDoubts is how many creates of one run may end in doubt before no more are begun: a server that answers every
// create with an error and charges for it must not cost the whole batch.
const maxDoubts = 3

// createLimit is how long one create may take, whatever becomes of the run. To cut it short would be to buy a doubt.
const createLimit = 5 * time.Minute

// batch is one run.
type batch struct {
	client  *vidu.Client
	waiting []vidu.WaitOption
	config  *config
	results *results
	report  *report

	// Of the goroutine of run alone.
	queue    []*job // to be created
	creates  int    // under way
	waits    int    // under way, the downloads included
	ended    int    // tasks so far
	room     int    // no create is begun before this many have ended
	created  chan *job
	finished chan *job

	downloads chan struct{} // holds one for each that is under way

	mu     sync.Mutex
	doubts int
	halted error // why no more creates are begun
}

func newBatch(c *config, client *vidu.Client, waiting []vidu.WaitOption, results *results, report *report) *batch {
	return &batch{
		client: client, waiting: waiting, config: c, results: results, report: report,
		created: make(chan *job), finished: make(chan *job), downloads: make(chan struct{}, c.creates),
	}
}

// run goes on until nothing is left that could be done. Each create and each wait has a goroutine, and hands its job
// back at the end. What earlier runs created is waited for from the start.
func (b *batch) run(ctx context.Context, jobs []*job) int {
	for _, j := range jobs {
		b.recall(ctx, j)
	}
	b.queue = inPhase(jobs, toCreate)
	for _, j := range inPhase(jobs, toWait) {
		b.beginWait(ctx, j)
	}
	interrupted := ctx.Done()
	for b.beginCreates(ctx); b.creates+b.waits > 0; b.beginCreates(ctx) {
		select {
		case j := <-b.created:
			b.creates--
			b.afterCreate(ctx, j)
		case <-b.finished:
			b.waits--
			b.ended++
		case <-interrupted:
			interrupted = nil
			if b.creates > 0 {
				b.report.note("Stopping when the creates under way are answered. Killed before that, it would leave doubts.")
			}
		}
	}
	return b.sumUp(ctx)
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

// beginCreates fills what room there is.
func (b *batch) beginCreates(ctx context.Context) {
	for len(b.queue) > 0 && b.mayCreate(ctx) {
		j := b.queue[0]
		b.queue = b.queue[1:]
		j.begun = b.ended
		b.creates++
		go func() {
			b.create(ctx, j)
			b.created <- j
		}()
	}
}

func (b *batch) mayCreate(ctx context.Context) bool {
	if b.creates == b.config.creates || b.creates+b.waits >= b.config.tasks || b.ended < b.room {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return ctx.Err() == nil && b.halted == nil && b.results.failure() == nil
}

// afterCreate goes on with a job from where its create has left it.
func (b *batch) afterCreate(ctx context.Context, j *job) {
	switch j.phase {
	case toWait:
		b.beginWait(ctx, j)
	case toCreate: // the server was full: its turn comes again when a task has ended since it asked
		b.queue = slices.Insert(b.queue, 0, j)
		b.room = max(b.room, j.begun+1)
	case settled:
	}
}

func (b *batch) beginWait(ctx context.Context, j *job) {
	b.waits++
	go func() {
		b.finish(ctx, j)
		b.finished <- j
	}()
}

// sumUp says why the run ends and what it made, and returns the exit status.
func (b *batch) sumUp(ctx context.Context) int {
	failure := b.results.failure()
	switch {
	case failure != nil:
		b.report.note(fmt.Sprintf("No more tasks were created: %v", failure))
	case b.halted != nil:
		b.report.note(fmt.Sprintf("No more tasks were created: %v", b.halted))
	case ctx.Err() != nil:
		b.report.note("Interrupted. To go on, run the same command again.")
	case len(b.queue) > 0:
		b.report.note("No more tasks were created: the server takes no more at present")
	}
	code := b.report.finish()
	if failure == nil {
		return code
	}
	if lines := b.results.unrecorded(); len(lines) > 0 {
		b.report.note("NOT ON RECORD. Add these lines to results.jsonl, or the next run does not know how its creates ended:\n" +
			strings.Join(lines, "\n"))
	}
	return exitMayExist
}

func (b *batch) halt(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.halted == nil {
		b.halted = err
	}
}

// create pays for one task. The marker is on the disk before the call, and the id before anything else is done. Once
// begun, the call is not cancelled: to cancel is not to un-create, and the answer with the id would be lost.
func (b *batch) create(ctx context.Context, j *job) {
	rec := record{Job: j.key, Name: j.name, State: stateCreating, Marker: vidu.NewMarker()}
	if !b.results.add(rec) {
		return // not on record, so not sent
	}
	request := *j.request
	request.Payload = rec.Marker
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), createLimit)
	defer cancel()
	task, err := b.client.Reference2Video(ctx, &request)
	switch {
	case errors.Is(err, vidu.ErrMaybeCreated):
		b.doubt(j, rec, err)
	case err != nil:
		b.refused(j, rec, err)
	default:
		j.phase, j.id = toWait, task.ID
		rec.State, rec.ID = stateCreated, task.ID
		if !b.results.add(rec) {
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
	b.results.add(rec)
	if errors.Is(err, vidu.ErrQuotaExceeded) {
		return // its turn comes again
	}
	if errors.Is(err, vidu.ErrCreditInsufficient) || errors.Is(err, vidu.ErrUnauthorized) || errors.Is(err, vidu.ErrForbidden) {
		b.halt(err) // the others would fare no better
	}
	j.phase = settled
	b.report.ended(j, notMade, fmt.Sprintf("nothing was created: %v", err))
}
