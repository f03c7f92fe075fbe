package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// What a record says. Each but the first line is about one job, and the last one about a job holds.
const (
	stateBatch    = "batch"    // the first line: the server that the tasks belong to
	stateCreating = "creating" // a task may exist from here on, with this marker as its payload
	stateCreated  = "created"  // the task exists
	stateRefused  = "refused"  // nothing was created; the next run tries again
	stateDone     = "done"     // the video is in the file
	stateFailed   = "failed"   // the task ended without a video and is not charged
)

// record is a line of the results file.
type record struct {
	Job    string    `json:"job,omitempty"`
	State  string    `json:"state"`
	Time   time.Time `json:"time"`
	Name   string    `json:"name,omitempty"`
	Server string    `json:"server,omitempty"`
	Marker string    `json:"marker,omitempty"`
	ID     string    `json:"id,omitempty"`
	File   string    `json:"file,omitempty"`
	Error  string    `json:"error,omitempty"`
}

// results is the results file: only ever added to, each line on the disk before the program goes on.
type results struct {
	mu     sync.Mutex
	file   file
	lock   *flock.Flock
	size   int64
	last   map[string]record // by job
	server string
	broken error             // the first failure of a write, after which nothing is written
	missed map[string]record // by job: what happened all the same
}

// file is what is needed of an [os.File].
type file interface {
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}

// open opens a file or a folder, for tests that note what is done to it, or have the disk fail.
var open = func(path string, flag int) (file, error) { return os.OpenFile(path, flag, 0o600) }

// reached is told what is about to be and what was written, for tests that kill the program there.
var reached = func(string) {}

// add returns true when the record is on the disk. If it cannot be put there no later one is either, no more tasks are
// created, and the run ends by telling what is missing.
func (r *results) add(rec record) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec.Time = time.Now().UTC()
	if r.broken == nil {
		r.broken = r.write(rec)
	}
	if r.broken != nil {
		if rec.State != stateCreating { // that is not begun
			r.missed[rec.Job] = rec
		}
		return false
	}
	r.last[rec.Job] = rec
	return true
}

func (r *results) write(rec record) error {
	line, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	reached("before " + rec.State)
	if _, err = r.file.WriteAt(line, r.size); err == nil {
		err = r.file.Sync()
	}
	if err != nil {
		_ = r.file.Truncate(r.size) // half a line; failing that, the next run cuts it off
		return fmt.Errorf("the results cannot be written: %w", err)
	}
	r.size += int64(len(line))
	reached("after " + rec.State)
	return nil
}

// failure returns why nothing is written any more, nil while all is.
func (r *results) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken
}

// unrecorded are the lines that the file lacks.
func (r *results) unrecorded() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(r.missed)) {
		if line, err := json.Marshal(r.missed[key]); err == nil {
			lines = append(lines, string(line))
		}
	}
	return lines
}

// get returns what stands about a job. The zero record is nothing.
func (r *results) get(key string) record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[key]
}

// orphans are the jobs that are not over and that the input no longer has.
func (r *results) orphans(jobs []*job) []*job {
	known := map[string]bool{}
	for _, j := range jobs {
		known[j.key] = true
	}
	var orphans []*job
	for key, rec := range r.last {
		if !known[key] && (rec.State == stateCreating || rec.State == stateCreated) {
			orphans = append(orphans, &job{key: key, name: "former " + rec.Name})
		}
	}
	slices.SortFunc(orphans, func(a, b *job) int { return strings.Compare(a.key, b.key) })
	return orphans
}

func (r *results) close() {
	if r.file != nil {
		_ = r.file.Close() // every line was synced
	}
	_ = r.lock.Unlock()
}
