// Chaos plays the same seeded faults of network and server against the vidu client and against go-retryablehttp, and
// then compares what each client reported with what was charged: was a task paid twice, or paid and lost?
//
//	go run . -creates 10000 -seed 1    # faults: this client and go-retryablehttp, side by side
//	go run . -cancels 100000           # cancels and cuts at random points, over HTTP/1.1, HTTP/2 and TLS
//
// Everything happens on loopback; nothing costs money. The exit status is 1 if a promise of the client was broken.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// run is the program. Its error lists the broken promises.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(out)
	creates := flags.Int("creates", 0, "this many creates with faults, for every client")
	cancels := flags.Int("cancels", 0, "this many creates that are cancelled or cut, shared by the protocols")
	seed := flags.Uint64("seed", 1, "of every random choice")
	lanes := flags.Int("lanes", 32, "how many creates run at once")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *creates <= 0 && *cancels <= 0 || *lanes <= 0 {
		flags.Usage()
		return errors.New("give -creates or -cancels")
	}
	var scores []*tally
	for _, part := range []struct {
		creates int
		run     func(ctx context.Context, out io.Writer, creates, lanes int, seed uint64) ([]*tally, error)
	}{{*creates, runFaults}, {*cancels, runCancels}} {
		if part.creates <= 0 {
			continue
		}
		results, err := part.run(ctx, out, part.creates, *lanes, *seed)
		if err != nil {
			return err
		}
		scores = append(scores, results...)
	}
	return verdict(scores)
}

// verdict returns an error if a promise of this project's client was broken.
func verdict(scores []*tally) error {
	var broken error
	for _, score := range scores {
		if score.contestant != comparison {
			broken = errors.Join(broken, score.verdict())
		}
	}
	return broken
}
