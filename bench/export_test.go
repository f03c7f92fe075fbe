package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"strconv"
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

// Contestant does one piece of work in its own way.
type Contestant struct {
	Name  string
	Run   func(ctx context.Context) error
	After func() error // checks and cleans up; may be nil
}

// Names of contestants.
const (
	Ours  = ours
	Floor = floor
)

// measured are the contestants of the benchmarks: the client and the floor, with variants.
var measured = []string{ours, ownTransports, floor, sameChecks}

func exported(all []contestant, err error) ([]Contestant, error) {
	var some []Contestant
	for _, c := range all {
		if slices.Contains(measured, c.name) {
			some = append(some, Contestant{c.name, c.run, c.after})
		}
	}
	return some, err
}

// Creates are small creates in memory.
func Creates() ([]Contestant, error) {
	all, _, err := inMemory(smallCreate)
	return exported(all, err)
}

// Polls are queries for one task, in memory.
func Polls() ([]Contestant, error) {
	all, _, err := inMemory(onePoll)
	return exported(all, err)
}

// Verifications are those of a callback.
func Verifications(ctx context.Context) ([]Contestant, error) {
	return exported(verifications(ctx))
}

// StartServer starts a server in a child process.
func StartServer(ctx context.Context) (serverURL string, stop func() error, err error) {
	p, err := startServer(ctx)
	if err != nil {
		return "", nil, err
	}
	return p.url, p.stop, nil
}

// PictureCreates send pictures of size bytes, which are written into dir, to the server.
func PictureCreates(serverURL, dir string, size int, httpClient *http.Client) ([]Contestant, error) {
	o, err := writePictures(dir, size)
	if err != nil {
		return nil, err
	}
	return exported(senders(serverURL+"/whole/"+strconv.Itoa(size), httpClient, o))
}

// Downloads fetch size bytes from the server into the file at path.
func Downloads(serverURL, path string, size int, httpClient *http.Client) ([]Contestant, error) {
	all, err := exported(downloads(serverURL, VideoURL(serverURL, size), path, httpClient))
	for i := range all {
		all[i].After = func() error { return errors.Join(checkVideo(path, size), os.Remove(path)) }
	}
	return all, err
}

// VideoURL returns the link to a video of size bytes.
func VideoURL(serverURL string, size int) string { return serverURL + "/video/" + strconv.Itoa(size) }

// Peak returns by how many bytes a process grows that sends count creates with pictures at once.
func Peak(ctx context.Context, name, serverURL, dir string, size, count int) (grown int, err error) {
	for _, s := range []int{tiny, size} {
		if _, err := writePictures(dir, s); err != nil {
			return 0, err
		}
	}
	err = runInChild(ctx, childJob{Job: "peak", Name: name, URL: serverURL, Dir: dir, Size: size, Count: count}, &grown)
	return grown, err
}

// PeakNames returns the contestants of Peak.
func PeakNames() []string { return []string{ours, ownTransports, floor} }

// CPUTime returns the CPU time of the process.
var CPUTime = cpuTime

// Loopback returns the http.Client that all contestants share.
var Loopback = loopback

// ChartOf draws a chart with two series.
func ChartOf(rows map[string][]float64) string {
	c := chart{title: "a title", text: "a text", series: []string{"old", "new"}, show: times}
	for name, values := range rows {
		c.rows = append(c.rows, chartRow{name, values})
	}
	return c.sorted().svg()
}
