package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// game is a number of creates, to be played by one team after the other.
type game struct {
	creates int
	lanes   int
	deal    func(number uint64) *create
}

// play lets a team do all creates, as many at once as there are lanes, and judges it when everything has ended.
func (g *game) play(ctx context.Context, t team) (*tally, error) {
	began := time.Now()
	books := newLedger()
	outcomes := make([]outcome, g.creates)
	failures := make([]error, g.lanes)
	var running sync.WaitGroup
	for n := range g.lanes {
		running.Go(func() { failures[n] = g.playLane(ctx, t, n, books, outcomes) })
	}
	running.Wait()
	if err := errors.Join(append(failures, ctx.Err())...); err != nil {
		return nil, err
	}
	score := &tally{team: t.name, took: time.Since(began)}
	for number, said := range outcomes {
		score.judge(g.deal(uint64(number)), said, books)
	}
	score.readBooks(books)
	return score, nil
}

// playLane does every create whose number falls to the lane.
func (g *game) playLane(ctx context.Context, t team, n int, books *ledger, outcomes []outcome) error {
	server, err := openLane(ctx, books, t.secure(n))
	if err != nil {
		return err
	}
	client, err := t.join(server.url)
	if err != nil {
		return errors.Join(err, server.close())
	}
	for number := n; number < len(outcomes) && ctx.Err() == nil; number += g.lanes {
		outcomes[number] = playCreate(ctx, client, server, g.deal(uint64(number))) //nolint:gosec // an index
	}
	client.close()
	return server.close()
}

func playCreate(ctx context.Context, client player, server *lane, c *create) outcome {
	deadline := time.Minute // far more than any takes
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
