package main

import (
	"context"
	"slices"

	"github.com/vidu-go/vidu"
)

// Run is the program.
var Run = run

// Said is what a client may say about a create.
type Said struct {
	ID    string
	Err   error
	Maybe bool
}

// Judge judges one create for which the books have these tasks. It returns the columns that count the create, sorted,
// and the verdict.
func Judge(said Said, paid ...string) ([]string, error) {
	c := &create{number: 7}
	books := newLedger()
	books.charges[c.marker()] = paid
	score := &tally{team: "client"}
	score.judge(c, outcome{id: said.ID, err: said.Err, maybe: said.Maybe}, books)
	var columns []string
	for name, n := range map[string]int{
		"answered": score.answered, "flagged": score.flagged, "alarm": score.alarms,
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

// PlayRetrying is the verdict on go-retryablehttp.
func PlayRetrying(ctx context.Context, creates int) (twice, lost int, err error) {
	g := &game{creates: creates, lanes: 8, deal: func(number uint64) *create { return faultyCreate(1, number) }}
	score, err := g.play(ctx, team{comparison, everySecond, retrying})
	if err != nil {
		return 0, 0, err
	}
	return score.twice, score.lost, nil
}

// PlayNaive is the verdict on somebody to whom every error of the client means "not created".
func PlayNaive(ctx context.Context, creates int) (twice, lost int, err error) {
	g := &game{creates: creates, lanes: 8, deal: func(number uint64) *create { return cancelledCreate(1, number) }}
	score, err := g.play(ctx, team{"naive", everySecond, func(baseURL string) (player, error) {
		p, err := ownTransport(baseURL)
		return naive{p}, err
	}})
	if err != nil {
		return 0, 0, err
	}
	return score.twice, score.lost, nil
}

type naive struct{ player }

func (n naive) create(ctx context.Context, req *vidu.Reference2VideoRequest) outcome {
	said := n.player.create(ctx, req)
	said.maybe = false
	return said
}
