// Bench measures what the vidu client costs, compared with the same work written by hand and with other clients, in
// turn in one run. It writes a Markdown report.
//
//	go run . -out RESULTS.md           # everything, on one Go release
//	make bench                         # on two, side by side, with pictures
//	go run . -quick -only callback     # a few rounds of one part, to standard output
//
// Everything happens in memory and on loopback; nothing costs money. It needs Linux (/proc).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	if text := os.Getenv(jobVariable); text != "" {
		err = runJob(ctx, text, os.Stdin, os.Stdout)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// effort is the amounts of work.
type effort struct {
	rounds, calls          int // of the calls in memory
	verifications          int // of a callback, in a round
	bigRounds              int
	pictureSize            int // bytes
	atOnce                 int // big requests
	heapRounds             int
	manyTasks, fewTasks    int // waiting tasks: ours and the floor's, and the peers'
	interval               time.Duration
	worlds                 string // of the simulation, as a pattern
	pollers, polls         int
	videoSize, videoRounds int // bytes, rounds
}

var (
	// A round of 8000 calls spans several garbage collections: what a client leaves behind costs time, too.
	full = effort{
		rounds: 41, calls: 8000, verifications: 20_000, bigRounds: 15, pictureSize: 2 << 20, atOnce: 32, heapRounds: 3,
		manyTasks: 100_000, fewTasks: 2000, interval: 2 * time.Second, worlds: ".*", pollers: 32, polls: 100, videoSize: 256 << 20, videoRounds: 9,
	}
	quick = effort{
		rounds: 3, calls: 20, verifications: 20, bigRounds: 1, pictureSize: 8 << 10, atOnce: 3, heapRounds: 1,
		manyTasks: 500, fewTasks: 20, interval: 200 * time.Millisecond, worlds: "^A$", pollers: 32, polls: 2, videoSize: 2 << 20, videoRounds: 1,
	}
)

// bench is one run of the program.
type bench struct {
	effort

	quick  bool
	dir    string // scratch
	tables map[string]*table
	worlds []world
	beside []saved // of other Go releases
}

// parts of the run. Each fills the tables of its name.
var parts = []struct {
	name    string
	measure func(ctx context.Context, b *bench) error
}{
	{"create", measureCreate},
	{"poll", measurePoll},
	{"pictures", measurePictures},
	{"heap", measureHeap},
	{"peak", measurePeak},
	{"waiting", measureWaiting},
	{"schedule", measureSchedule},
	{"callback", measureCallback},
	{"connections", measureConnections},
	{"download", measureDownload},
}

// run is the program. It writes its progress to progress.
func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	short := flags.Bool("quick", false, "a few small rounds: checks that everything works and measures nothing")
	file := flags.String("out", "", "write the report to this `file` instead of standard output")
	save := flags.String("save", "", "write the figures to this `file` instead of a report, for -beside")
	pictures := flags.String("pictures", "", "draw the pictures of README in this `directory`")
	var others []string
	flags.Func("beside", "show the figures in this `file`, too, from a run on another Go release", func(path string) error {
		others = append(others, path)
		return nil
	})
	only := flags.String("only", "", "run only the parts whose name matches this `regexp`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	b := &bench{effort: full, quick: *short, tables: map[string]*table{}}
	if *short {
		b.effort = quick
	}
	for _, path := range others {
		run, err := readSaved(path)
		if err != nil {
			return err
		}
		b.beside = append(b.beside, run)
	}
	if b.dir, err = os.MkdirTemp("", "vidu-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	for _, part := range parts {
		if !wanted.MatchString(part.name) {
			continue
		}
		began := time.Now()
		if err := part.measure(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		if _, err := fmt.Fprintf(progress, "%s: %.1f s\n", part.name, time.Since(began).Seconds()); err != nil {
			return err
		}
	}
	if *pictures != "" {
		if err := b.writePictures(*pictures); err != nil {
			return err
		}
	}
	if *save != "" {
		figures := b.save()
		return figures.writeFile(*save)
	}
	report := b.report(time.Now())
	if *file == "" {
		_, err = io.WriteString(out, report)
		return err
	}
	return os.WriteFile(*file, []byte(report), 0o644) //nolint:gosec // a report is public
}
