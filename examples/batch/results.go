package main

import (
	"cmp"
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

// States of a record. Each line but the first is about one job, and the last one about a job counts.
const (
	stateBatch    = "batch"    // the first line: the version, and the server that the tasks belong to
	stateCreating = "creating" // a task may exist from here on, with this payload
	stateCreated  = "created"  // the task exists
	stateRefused  = "refused"  // nothing was created; the next run retries
	stateDone     = "done"     // the video is in the file
	stateFailed   = "failed"   // the task ended without a video and is not charged
)

// furthest lists the states of a job, the one first that is nearest to a video.
var furthest = []string{stateDone, stateCreated, stateCreating, stateRefused, stateFailed}

// version is that of the results file. In version 1, which had no number, the payload was called marker.
const version = 2

// record is a line of the results file.
type record struct {
	Job     string    `json:"job,omitempty"`
	State   string    `json:"state"`
	Time    time.Time `json:"time"`
	Name    string    `json:"name,omitempty"`
	Version int       `json:"version,omitempty"`
	Server  string    `json:"server,omitempty"`
	Payload string    `json:"payload,omitempty"`
	Marker  string    `json:"marker,omitempty"` // only read
	ID      string    `json:"id,omitempty"`
	File    string    `json:"file,omitempty"`
	Bytes   int64     `json:"bytes,omitempty"`
	Error   string    `json:"error,omitempty"`
}

// results is the results file. It is append-only, and each line is synced before the program goes on.
type results struct {
	mu     sync.Mutex
	file   file
	lock   *flock.Flock
	size   int64
	last   map[string]record // by job
	broken error             // the first failure of a write, after which nothing is written
	missed map[string]record // by job: what could not be written
}

// file is the part of an [os.File] that is used.
type file interface {
	io.Reader
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}

// open opens a file or a folder. Tests replace it to record calls or to have the disk fail.
var open = func(path string, flag int) (file, error) { return os.OpenFile(path, flag, 0o600) }

// reached is called before and after each write, for tests that kill the program there.
var reached = func(string) {}

// add reports whether the record is on the disk. After a failure no record is written, no more tasks are created, and
// the run ends by printing what is missing.
func (r *results) add(rec record) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec.Time = time.Now().UTC()
	if r.broken == nil {
		r.broken = r.write(rec)
	}
	if r.broken != nil {
		if rec.State != stateCreating { // it is not sent
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
		_ = r.file.Truncate(r.size) // half a line; if this fails, the next run reports it
		return fmt.Errorf("the results cannot be written: %w", err)
	}
	r.size += int64(len(line))
	reached("after " + rec.State)
	return nil
}

// failure returns why nothing is written any more, nil if all was.
func (r *results) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken
}

// unrecorded returns the lines that the file lacks.
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

// get returns the last record of a job, zero if there is none.
func (r *results) get(key string) record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[key]
}

// assign gives each job the key of its records, and returns the jobs that are not over and no longer in the input.
// Which of several equal lines was deleted cannot be known, so the remaining ones get the records that got furthest.
func (r *results) assign(jobs []*job) (orphans []*job) {
	rank := func(key string) int { return slices.Index(furthest, r.last[key].State) }
	known := slices.SortedFunc(maps.Keys(r.last), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	free := map[string][]string{} // keys by the hash of a line
	for _, key := range known {
		hash, _, _ := strings.Cut(key, "-")
		free[hash] = append(free[hash], key)
	}
	numbers := map[string]int{} // of the latest new key
	assigned := map[string]bool{}
	for _, j := range jobs {
		if keys := free[j.hash]; len(keys) > 0 {
			j.key, free[j.hash] = keys[0], keys[1:]
			assigned[j.key] = true
			continue
		}
		for used := true; used; _, used = r.last[j.key] {
			numbers[j.hash]++
			j.key = fmt.Sprintf("%s-%d", j.hash, numbers[j.hash])
		}
	}
	for _, key := range known {
		if rec := r.last[key]; !assigned[key] && (rec.State == stateCreating || rec.State == stateCreated) {
			orphans = append(orphans, &job{key: key, name: "former " + rec.Name})
		}
	}
	return orphans
}

func (r *results) close() {
	_ = r.file.Close() // every line was synced
	if r.lock != nil {
		_ = r.lock.Unlock()
	}
}
