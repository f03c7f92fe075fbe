package main

import (
	"context"
	"slices"

	"github.com/vidu-go/vidu"
)

// Run is the program.
var Run = run

// Outcome is what a client may return for a create.
type Outcome struct {
	ID    string
	Err   error
	Maybe bool
}

// Judge judges one create that was charged for the tasks paid. It returns the columns that count the create, sorted,
// and the verdict.
func Judge(got Outcome, paid ...string) ([]string, error) {
	c := &create{number: 7}
	ledger := newLedger()
	ledger.charges[c.payload()] = paid
	score := &tally{contestant: "client"}
	score.judge(c, outcome{id: got.ID, err: got.Err, maybe: got.Maybe}, ledger)
	var columns []string
	for name, n := range map[string]int{
		"answered": score.answered, "paid, unknown": score.paidUnknown, "not paid, unknown": score.unpaidUnknown,
		"failed": score.failed, "lost": score.lost, "twice": score.twice,
	} {
		if n > 0 {
			columns = append(columns, name)
		}
	}
	slices.Sort(columns)
	return columns, score.verdict()
}

// Ambiguous counts the creates that meet an ambiguous fault with their first request.
func Ambiguous(creates int, seed uint64) int {
	n := 0
	for number := range creates {
		if faultyCreate(seed, uint64(number)).faults[0].kind.ambiguous() {
			n++
		}
	}
	return n
}

// RunRetrying returns the counts of go-retryablehttp.
func RunRetrying(ctx context.Context, creates int) (twice, lost int, err error) {
	g := &trial{creates: creates, lanes: 8, newCreate: func(number uint64) *create { return faultyCreate(1, number) }}
	score, err := g.run(ctx, contestant{comparison, everySecond, retrying})
	if err != nil {
		return 0, 0, err
	}
	return score.twice, score.lost, nil
}

// RunNaive returns the counts of a caller that takes every error of the client for "not created".
func RunNaive(ctx context.Context, creates int) (twice, lost int, err error) {
	g := &trial{creates: creates, lanes: 8, newCreate: func(number uint64) *create { return cancelledCreate(1, number) }}
	score, err := g.run(ctx, contestant{"naive", everySecond, func(baseURL string) (testClient, error) {
		p, err := ownTransport(baseURL)
		return naive{p}, err
	}})
	if err != nil {
		return 0, 0, err
	}
	return score.twice, score.lost, nil
}

type naive struct{ testClient }

func (n naive) create(ctx context.Context, req *vidu.Reference2VideoRequest) outcome {
	got := n.testClient.create(ctx, req)
	got.maybe = false
	return got
}
