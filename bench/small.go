package main

import (
	"context"
	"fmt"
	"net/http"
)

const (
	createTable = "create"
	pollTable   = "poll"
)

// inMemory returns a contestant for each entry. Each has its own counting transport.
func inMemory(call func(c *client) func(ctx context.Context) (string, error)) (contestants []contestant, transports []*memory, err error) {
	for _, e := range entries() {
		transport := &memory{}
		c, err := e.dial("https://gateway.example.com", &http.Client{Transport: transport})
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", e.name, err)
		}
		do := call(c)
		contestants = append(contestants, contestant{name: e.name, run: func(ctx context.Context) error { return gotTask(do(ctx)) }})
		transports = append(transports, transport)
	}
	return contestants, transports, nil
}

// smallCalls compares one call in memory.
func (b *bench) smallCalls(ctx context.Context, t *table, call func(c *client) func(ctx context.Context) (string, error)) error {
	contestants, transports, err := inMemory(call)
	if err != nil {
		return err
	}
	costs, err := compare(ctx, contestants, b.rounds, b.calls/10, b.calls)
	if err != nil {
		return err
	}
	for i, transport := range transports {
		if want := int64(pieces(b.rounds, b.calls/10, b.calls)); transport.requests.Load() != want {
			return fmt.Errorf("%s sent %d requests for %d calls", contestants[i].name, transport.requests.Load(), want)
		}
	}
	t.metrics = costMetrics()
	t.fill(contestants, costs)
	t.text = fmt.Sprintf("%s %d rounds of %d calls each; the work of the garbage collector counts.", t.text, b.rounds, b.calls)
	return nil
}

func smallCreate(c *client) func(ctx context.Context) (string, error) {
	return func(ctx context.Context) (string, error) { return c.create(ctx, order{link: picLink}) }
}

func onePoll(c *client) func(ctx context.Context) (string, error) {
	return func(ctx context.Context) (string, error) { return c.poll(ctx, taskID) }
}

func measureCreate(ctx context.Context, b *bench) error {
	b.tables[createTable] = &table{
		title: "A small create",
		text: "A create with one link, against a transport in memory that reads the request to its end and answers at once. " +
			"vidu has its defaults: retries, classification of failures, proof of what was sent.",
		why: "vidu checks the request before it is sent, tracks it on the wire to determine whether a task may exist after " +
			"any failure, and keeps the reply's text for `Task.RawJSON`; the code by hand does none of that.",
	}
	return b.smallCalls(ctx, b.tables[createTable], smallCreate)
}

func measurePoll(ctx context.Context, b *bench) error {
	b.tables[pollTable] = &table{
		title: "A poll",
		text:  "A query for one task, likewise in memory.",
		why:   "vidu bounds and keeps the reply, reads every known form of it, and tracks the request for its retries.",
	}
	return b.smallCalls(ctx, b.tables[pollTable], onePoll)
}
