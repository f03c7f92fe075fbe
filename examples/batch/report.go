package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/schollz/progressbar/v3"
)

// outcome is the end of a job in this run.
type outcome int

const (
	made       outcome = iota
	madeBefore         // by an earlier run
	notMade            // refused or failed
	unfinished         // a task exists
	unknown            // a task may exist
)

// report prints a line for each job that ended, and on a terminal a progress bar.
type report struct {
	mu     sync.Mutex
	stdout io.Writer
	stderr io.Writer
	bar    *progressbar.ProgressBar
	total  int
	counts map[outcome]int
}

func newReport(total int, stdout, stderr io.Writer) *report {
	return &report{
		stdout: stdout, stderr: stderr, total: total, counts: map[outcome]int{},
		bar: progressbar.NewOptions(total,
			progressbar.OptionSetWriter(stderr),
			progressbar.OptionSetVisibility(isTerminal(stderr)),
			progressbar.OptionSetDescription("videos"),
			progressbar.OptionShowCount(),
			progressbar.OptionFullWidth(),
			progressbar.OptionSetRenderBlankState(true),
			progressbar.OptionClearOnFinish(),
		),
	}
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// ended reports a job that is over for this run. Videos of earlier runs are only counted.
func (r *report) ended(j *job, how outcome, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[how]++
	out := r.stderr
	if how == made {
		out = r.stdout
	}
	_ = r.bar.Clear() // a bar that cannot be drawn does not stop the work
	if how != madeBefore {
		fmt.Fprintf(out, "%s: %s\n", j.name, text)
	}
	_ = r.bar.Add(1)
}

// note reports what concerns the whole run.
func (r *report) note(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.bar.Clear()
	fmt.Fprintln(r.stderr, text)
}

// finish sums up and returns the exit status.
func (r *report) finish() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.bar.Finish()
	ended := 0
	for _, n := range r.counts {
		ended += n
	}
	c := r.counts
	fmt.Fprintf(r.stderr, "%d made, %d made before, %d refused or failed, %d unfinished, %d unknown, %d not begun\n",
		c[made], c[madeBefore], c[notMade], c[unfinished], c[unknown], r.total-ended)
	switch {
	case c[unfinished]+c[unknown] > 0:
		return exitMayExist
	case c[notMade] > 0 || ended < r.total:
		return exitFailed
	}
	return exitDone
}
