package main

import (
	"encoding/json"
	"fmt"
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
	file   *os.File
	lock   *flock.Flock
	size   int64
	last   map[string]record // by job
	server string
	broken error // of a write; nothing is written behind half a line
}

// reached is told what is about to be and what was written, for tests that kill the program there.
var reached = func(string) {}

// add returns when the record is on the disk.
func (r *results) add(rec record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return r.broken
	}
	rec.Time = time.Now().UTC()
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
		r.broken = fmt.Errorf("the results cannot be written: %w", err)
		return r.broken
	}
	r.size += int64(len(line))
	r.last[rec.Job] = rec
	reached("after " + rec.State)
	return nil
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
