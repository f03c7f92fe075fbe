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

// maxUnknown is how many creates of one run may have an unknown outcome before no more are begun: a server that charges
// for creates and answers with errors must not cost the whole batch.
const maxUnknown = 3

// createLimit is how long one create may take, even after Ctrl-C: cutting it short would leave its outcome unknown.
const createLimit = 5 * time.Minute

// batch is one run.
type batch struct {
	client  *vidu.Client
	waiting []vidu.WaitOption
	config  *config
	results *results
	report  *report

	// Used only by the goroutine of run.
	queue    []*job // to be created
	creates  int    // in flight
	waits    int    // in flight, the downloads included
	ended    int    // tasks so far
	room     int    // no create is begun until this many have ended
	created  chan *job
	finished chan *job

	downloads chan struct{} // holds one for each in flight

	mu      sync.Mutex
	unknown int   // creates with an unknown outcome
	halted  error // why no more creates are begun
}

func newBatch(c *config, client *vidu.Client, waiting []vidu.WaitOption, results *results, report *report) *batch {
	return &batch{
		client: client, waiting: waiting, config: c, results: results, report: report,
		created: make(chan *job), finished: make(chan *job), downloads: make(chan struct{}, c.creates),
	}
}

// run returns when all jobs are settled or it was interrupted. Each create and each wait has a goroutine that hands its
// job back at the end. Waits for tasks of earlier runs begin at once.
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
				b.report.note("Stopping when the creates in flight are answered. Killed before that, it would leave unknown outcomes.")
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

// beginCreates begins as many creates as are allowed.
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

// afterCreate continues a job after its create.
func (b *batch) afterCreate(ctx context.Context, j *job) {
	switch j.phase {
	case toWait:
		b.beginWait(ctx, j)
	case toCreate: // the server was full: retry once a task has ended since
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

// sumUp reports why the run ends and its results, and returns the exit status.
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
		b.report.note("No more tasks were created: the server accepts no more at present")
	}
	code := b.report.finish()
	if failure == nil {
		return code
	}
	if lines := b.results.unrecorded(); len(lines) > 0 {
		b.report.note("NOT ON RECORD. Add these lines to results.jsonl, or the next run cannot tell how its creates ended:\n" +
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

// create pays for one task. The payload is on the disk before the call, and the id before anything else is done. Once
// begun, the call is not cancelled: that would not undo the create, only lose the answer with the id.
func (b *batch) create(ctx context.Context, j *job) {
	rec := record{Job: j.key, Name: j.name, State: stateCreating, Payload: vidu.NewMarker()}
	if !b.results.add(rec) {
		return // not on record, so not sent
	}
	request := *j.request
	request.Payload = rec.Payload
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), createLimit)
	defer cancel()
	task, err := b.client.Reference2Video(ctx, &request)
	switch {
	case errors.Is(err, vidu.ErrMaybeCreated):
		b.unknownOutcome(j, rec, err)
	case err != nil:
		b.refused(j, rec, err)
	default:
		j.phase, j.id = toWait, task.ID
		rec.State, rec.ID = stateCreated, task.ID
		if !b.results.add(rec) {
			b.report.note(fmt.Sprintf("%s: task %s was created but not recorded", j.name, task.ID))
		}
	}
}

// unknownOutcome leaves "creating" as the job's last record, so that no later run creates it again unasked.
func (b *batch) unknownOutcome(j *job, rec record, err error) {
	j.phase = settled
	b.report.ended(j, unknown, fmt.Sprintf("A TASK MAY EXIST and be charged, with payload %s: %v", rec.Payload, err))
	b.mu.Lock()
	b.unknown++
	tooMany := b.unknown >= maxUnknown
	b.mu.Unlock()
	if tooMany {
		b.halt(fmt.Errorf("%d creates had an unknown outcome", maxUnknown))
	}
}

// refused records that nothing was created.
func (b *batch) refused(j *job, rec record, err error) {
	rec.State, rec.Error = stateRefused, err.Error()
	b.results.add(rec)
	if errors.Is(err, vidu.ErrQuotaExceeded) {
		return // it is retried
	}
	if errors.Is(err, vidu.ErrCreditInsufficient) || errors.Is(err, vidu.ErrUnauthorized) || errors.Is(err, vidu.ErrForbidden) {
		b.halt(err) // the others would fail, too
	}
	j.phase = settled
	b.report.ended(j, notMade, fmt.Sprintf("nothing was created: %v", err))
}
