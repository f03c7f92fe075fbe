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

// faultTeams play the same faults.
var faultTeams = []team{
	{"vidu", everySecond, ownTransport},
	{"vidu, caller's net/http transport", everySecond, pooledTransport},
	{"vidu, caller's x/net/http2 transport", everySecond, http2Transport},
	{comparison, everySecond, retrying},
}

// comparison promises nothing.
const comparison = "go-retryablehttp"

// cancelTeams share the cancels and cuts.
var cancelTeams = []team{
	{"HTTP/1.1", never, ownTransport},
	{"HTTP/1.1 over TLS", always, ownTransport},
	{"HTTP/1.1, caller's pool", never, pooledTransport},
	{"HTTP/1.1, caller's circuit breaker", everySecond, impatientTransport},
	{"HTTP/2 over TLS, caller's net/http", always, pooledTransport},
	{"HTTP/2, caller's x/net/http2", everySecond, http2Transport},
}

// playFaults plays the faults against every team and prints the table.
func playFaults(ctx context.Context, out io.Writer, creates, lanes int, seed uint64) ([]*tally, error) {
	g := &game{creates: creates, lanes: lanes, deal: func(number uint64) *create { return faultyCreate(seed, number) }}
	title := fmt.Sprintf("%d creates, seed %d, %s", creates, seed, g.faults())
	table := newTable(out, title, "client", "creates", "charged", "answered", "PAID TWICE", "paid and flagged", "PAID AND LOST",
		"flagged, not paid", "failed, not paid", "ambiguous faults met", "requests", "time")
	var scores []*tally
	for _, t := range faultTeams {
		score, err := g.play(ctx, t)
		if err != nil {
			return nil, err
		}
		scores = append(scores, score)
		table.row(score.team, score.creates, score.charged, score.answered, score.twice, score.flagged, score.lost,
			score.alarms, score.failed, score.met, score.requests, score.took.Round(100*time.Millisecond))
	}
	return scores, table.Flush()
}

// faults says how many first requests meet which ambiguous fault.
func (g *game) faults() string {
	total, count := 0, [kinds]int{}
	for number := range g.creates {
		if k := g.deal(uint64(number)).faults[0].kind; k.ambiguous() {
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

// playCancels shares the cancels and cuts between the protocols and prints the table.
func playCancels(ctx context.Context, out io.Writer, creates, lanes int, seed uint64) ([]*tally, error) {
	title := fmt.Sprintf("%d creates, seed %d, each cancelled or cut at a random point", creates, seed)
	table := newTable(out, title, "protocol", "creates", "charged", "answered", "PAID TWICE", "paid and flagged",
		"PAID, SAID \"NOT CREATED\"", "flagged, not paid", "rightly \"not created\"", "requests", "time")
	var scores []*tally
	for i, t := range cancelTeams {
		g := &game{
			creates: creates*(i+1)/len(cancelTeams) - creates*i/len(cancelTeams), lanes: lanes,
			deal: func(number uint64) *create { return cancelledCreate(seed+uint64(i)<<32, number) }, //nolint:gosec // an index
		}
		score, err := g.play(ctx, t)
		if err != nil {
			return nil, err
		}
		scores = append(scores, score)
		table.row(score.team, score.creates, score.charged, score.answered, score.twice, score.flagged, score.lost,
			score.alarms, score.failed, score.requests, score.took.Round(100*time.Millisecond))
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
