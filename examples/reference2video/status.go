package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vidu-go/vidu"
)

// statusLine is one live line on a terminal, and one line per change elsewhere.
type statusLine struct {
	out     io.Writer
	live    bool
	id      string
	started time.Time
	done    chan struct{}
	ticking sync.WaitGroup

	mu   sync.Mutex
	task vidu.Task
}

func newStatusLine(out io.Writer, id string) *statusLine {
	l := &statusLine{out: out, live: isTerminal(out), id: id, started: time.Now(), done: make(chan struct{})}
	if l.live {
		l.ticking.Go(l.tick)
	}
	return l
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// show is called with every change of the task.
func (l *statusLine) show(task *vidu.Task) {
	l.mu.Lock()
	l.task = *task
	l.mu.Unlock()
	if !l.live {
		fmt.Fprintln(l.out, l.text())
	}
}

func (l *statusLine) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := fmt.Sprintf("task %s  %-10s %4.0f s  %d credits", l.id, l.task.State, time.Since(l.started).Seconds(), l.task.Credits)
	if l.task.Progress > 0 {
		text += fmt.Sprintf("  %.0f %%", l.task.Progress)
	}
	return text
}

func (l *statusLine) tick() {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		fmt.Fprintf(l.out, "\r%s\x1b[K", l.text())
		select {
		case <-l.done:
			fmt.Fprintf(l.out, "\r%s\x1b[K\n", l.text())
			return
		case <-ticker.C:
		}
	}
}

// stop prints the last state and ends the line.
func (l *statusLine) stop() {
	close(l.done)
	l.ticking.Wait()
}
