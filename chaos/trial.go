package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// trial is a number of creates, to be run by one contestant after the other.
type trial struct {
	creates   int
	lanes     int
	newCreate func(number uint64) *create
}

// run has a contestant do all creates, one at a time per lane, and judges them when all have ended.
func (g *trial) run(ctx context.Context, t contestant) (*tally, error) {
	began := time.Now()
	ledger := newLedger()
	outcomes := make([]outcome, g.creates)
	failures := make([]error, g.lanes)
	var running sync.WaitGroup
	for n := range g.lanes {
		running.Go(func() { failures[n] = g.runLane(ctx, t, n, ledger, outcomes) })
	}
	running.Wait()
	if err := errors.Join(append(failures, ctx.Err())...); err != nil {
		return nil, err
	}
	score := &tally{contestant: t.name, took: time.Since(began)}
	for number, got := range outcomes {
		score.judge(g.newCreate(uint64(number)), got, ledger)
	}
	score.readLedger(ledger)
	return score, nil
}

// runLane runs the creates of one lane.
func (g *trial) runLane(ctx context.Context, t contestant, n int, ledger *ledger, outcomes []outcome) error {
	server, err := openLane(ctx, ledger, t.secure(n))
	if err != nil {
		return err
	}
	client, err := t.dial(server.url)
	if err != nil {
		return errors.Join(err, server.close())
	}
	for number := n; number < len(outcomes) && ctx.Err() == nil; number += g.lanes {
		outcomes[number] = runCreate(ctx, client, server, g.newCreate(uint64(number))) //nolint:gosec // an index
	}
	client.close()
	return server.close()
}

func runCreate(ctx context.Context, client testClient, server *lane, c *create) outcome {
	deadline := time.Minute // far longer than any takes
	if c.cancelAfter > 0 {
		deadline = c.cancelAfter
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	server.expect(c, cancel)
	if c.warm {
		client.warm(ctx)
	}
	return client.create(ctx, c.request(cancel))
}
