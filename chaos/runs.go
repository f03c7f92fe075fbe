package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// faultContestants get the same faults.
var faultContestants = []contestant{
	{"vidu", everySecond, ownTransport},
	{"vidu, caller's net/http transport", everySecond, pooledTransport},
	{"vidu, caller's x/net/http2 transport", everySecond, http2Transport},
	{comparison, everySecond, retrying},
}

// comparison has no promises to break.
const comparison = "go-retryablehttp"

// cancelContestants share the cancels and cuts.
var cancelContestants = []contestant{
	{"HTTP/1.1", never, ownTransport},
	{"HTTP/1.1 over TLS", always, ownTransport},
	{"HTTP/1.1, caller's pool", never, pooledTransport},
	{"HTTP/1.1, caller's circuit breaker", everySecond, impatientTransport},
	{"HTTP/2 over TLS, caller's net/http", always, pooledTransport},
	{"HTTP/2, caller's x/net/http2", everySecond, http2Transport},
}

// runFaults runs the faults against every contestant and prints the table.
func runFaults(ctx context.Context, out io.Writer, creates, lanes int, seed uint64) ([]*tally, error) {
	g := &trial{creates: creates, lanes: lanes, newCreate: func(number uint64) *create { return faultyCreate(seed, number) }}
	title := fmt.Sprintf("%d creates, seed %d, %s", creates, seed, g.faults())
	table := newTable(out, title, "client", "creates", "charged", "answered", "PAID TWICE", "paid, unknown", "PAID AND LOST",
		"not paid, unknown", "not paid, failed", "ambiguous faults met", "requests", "time")
	var scores []*tally
	for _, t := range faultContestants {
		score, err := g.run(ctx, t)
		if err != nil {
			return nil, err
		}
		scores = append(scores, score)
		table.row(score.contestant, score.creates, score.charged, score.answered, score.twice, score.paidUnknown, score.lost,
			score.unpaidUnknown, score.failed, score.met, score.requests, score.took.Round(100*time.Millisecond))
	}
	return scores, table.Flush()
}

// faults returns how many first requests meet which ambiguous fault.
func (g *trial) faults() string {
	total, count := 0, [kinds]int{}
	for number := range g.creates {
		if k := g.newCreate(uint64(number)).faults[0].kind; k.ambiguous() {
			total++
			count[k]++
		}
	}
	var parts []string
	for k := cutBefore; k < kinds; k++ {
		parts = append(parts, fmt.Sprintf("%s %d", kindNames[k], count[k]))
	}
	return fmt.Sprintf("%d ambiguous faults at their first request: %s", total, strings.Join(parts, ", "))
}

// runCancels shares the cancels and cuts between the protocols and prints the table.
func runCancels(ctx context.Context, out io.Writer, creates, lanes int, seed uint64) ([]*tally, error) {
	title := fmt.Sprintf("%d creates, seed %d, each cancelled or cut at a random point", creates, seed)
	table := newTable(out, title, "protocol", "creates", "charged", "answered", "PAID TWICE", "paid, unknown",
		"PAID, \"NOT CREATED\"", "not paid, unknown", "not paid, \"not created\"", "requests", "time")
	var scores []*tally
	for i, t := range cancelContestants {
		g := &trial{
			creates: creates*(i+1)/len(cancelContestants) - creates*i/len(cancelContestants), lanes: lanes,
			newCreate: func(number uint64) *create { return cancelledCreate(seed+uint64(i)<<32, number) }, //nolint:gosec // an index
		}
		score, err := g.run(ctx, t)
		if err != nil {
			return nil, err
		}
		scores = append(scores, score)
		table.row(score.contestant, score.creates, score.charged, score.answered, score.twice, score.paidUnknown, score.lost,
			score.unpaidUnknown, score.failed, score.requests, score.took.Round(100*time.Millisecond))
	}
	return scores, table.Flush()
}

// table is a Markdown table whose columns line up.
type table struct{ *tabwriter.Writer }

func newTable(out io.Writer, title string, columns ...any) table {
	io.WriteString(out, title+"\n\n") //nolint:errcheck // Flush fails as well
	t := table{tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)}
	t.row(columns...)
	t.row(slices.Repeat([]any{"---"}, len(columns))...)
	return t
}

func (t table) row(cells ...any) {
	fmt.Fprintf(t, "|"+strings.Repeat(" %v\t|", len(cells))+"\n", cells...) //nolint:errcheck // Flush fails as well
}
