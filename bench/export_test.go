package main

import (
	"context"
	"net/http"
)

// The main functions of the program and of a child process.
var (
	Run    = run
	RunJob = runJob
)

// JobVariable is set in a child process.
const JobVariable = jobVariable

// Pictures is the number of pictures of a create.
const Pictures = pictures

// Picture returns picture n of size bytes.
func Picture(n, size int) ([]byte, error) { return picture(n, size) }

// Backend returns the server of the big requests.
func Backend() http.Handler { return newBackend().mux() }

// RoundTrip sends a request to the transport in memory.
func RoundTrip(r *http.Request) (*http.Response, error) { return new(memory).RoundTrip(r) }

// Order is what a create in memory must contain.
const Order = prompt + " " + picLink

// Compare measures two contestants, the second of which fails.
func Compare(ctx context.Context, failure error) error {
	_, err := compare(ctx, []contestant{
		{name: "good", run: func(context.Context) error { return nil }},
		{name: "bad", run: func(context.Context) error { return failure }},
	}, 1, 0, 1)
	return err
}

// Turns returns who worked when.
func Turns(ctx context.Context, names []string, rounds int) (turns []string, err error) {
	var contestants []contestant
	for _, name := range names {
		contestants = append(contestants, contestant{name: name, run: func(context.Context) error {
			turns = append(turns, name)
			return nil
		}})
	}
	_, err = compare(ctx, contestants, rounds, 0, 1)
	return turns[len(names):], err // after the warming up
}

// Reading returns the report on a table with one metric and on its limit for bytes.
func Reading(mine, theirs, other float64) string {
	t := &table{title: "T", why: "That is why.", metrics: []metric{{name: allocated, show: showBytes}}}
	t.add(ours, mine)
	t.add(floor, theirs)
	t.add("other", other)
	t.rate()
	b := &bench{tables: map[string]*table{createTable: t}}
	return b.targetsMarkdown() + b.reading()
}

// ReadingOfRounds returns the report on two contestants that were measured several times.
func ReadingOfRounds(mine, theirs []float64) string {
	costs := make([][]cost, 2)
	for round := range mine {
		costs[0] = append(costs[0], cost{bytes: mine[round]})
		costs[1] = append(costs[1], cost{bytes: theirs[round]})
	}
	t := &table{title: "T", metrics: []metric{{name: allocated, of: ofBytes, show: showBytes}}}
	t.fill([]contestant{{name: ours}, {name: floor}}, costs)
	return (&bench{tables: map[string]*table{createTable: t}}).reading()
}

// Times formats a ratio.
var Times = times

// ReadWorlds parses the output of a simulation.
func ReadWorlds(out string) (learnedG map[string]float64, err error) {
	worlds, err := readWorlds([]byte(out))
	learnedG = map[string]float64{}
	for _, w := range worlds {
		learnedG[w.name] = w.g[learned]
	}
	return learnedG, err
}
