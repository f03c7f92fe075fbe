package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// order of the tables in the report. The schedule stands before the callback.
var tableOrder = []string{
	createTable, pollTable, picturesTable, heapTable, peakTable, waitingTable, callbackTable, connectionsTable, streamsTable, downloadTable,
}

// report returns the whole file. Every sentence about a number is computed from it.
func (b *bench) report(now time.Time) string {
	var text strings.Builder
	text.WriteString("# What the client costs\n\n")
	text.WriteString(b.conditions(now))
	text.WriteString(b.targetsMarkdown() + "\n")
	text.WriteString(b.smallCallsMarkdown())
	text.WriteString(b.reading() + "\n")
	text.WriteString(contestantsMarkdown() + "\n")
	for _, name := range tableOrder {
		if name == callbackTable && len(b.worlds) > 0 {
			text.WriteString(b.scheduleMarkdown() + "\n")
		}
		if t := b.tables[name]; t != nil {
			text.WriteString(t.markdown() + "\n")
		}
	}
	text.WriteString(repeating)
	return text.String()
}

func (b *bench) conditions(now time.Time) string {
	text := fmt.Sprintf("Written by `make bench` in `bench/` on %s, with %s, on %s/%s with %d cores; everything is in memory and on loopback. "+
		"The contestants work in turn, and every round begins with another one; numbers are medians of the rounds. Ratios (×) are to the "+
		"same work written by hand, medians of the rounds' own ratios; less is better, but for throughput. They can be compared with those of "+
		"another machine, absolute times can not. Allocations and bytes repeat to the digit or nearly; ratios of CPU move by some hundredths "+
		"from run to run, so clients that differ by less than twice the standard error are called level.\n\n",
		now.UTC().Format("2006-01-02"), goNames(b.runs()), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	if len(b.beside) > 0 {
		text += "Where a section names no release, it is " + runtime.Version() + ".\n\n"
	}
	if b.quick {
		text += "**This was a quick run: it checks that everything works. Its numbers mean nothing.**\n\n"
	}
	return text
}

// reading summarizes the tables in words.
func (b *bench) reading() string {
	var text strings.Builder
	text.WriteString("## In words\n\n")
	var broken, short []string
	held := 0
	for i, t := range b.targets() {
		must, stretch, verdict := t.verdict()
		name := fmt.Sprintf("%d (%s)", i+1, t.measure)
		switch {
		case verdict == "not measured":
		case !must:
			broken = append(broken, name)
		default:
			held++
			if !stretch {
				short = append(short, name)
			}
		}
	}
	fmt.Fprintf(&text, "**Limits.** %d of %d musts are held.", held, held+len(broken))
	if len(broken) > 0 {
		fmt.Fprintf(&text, " Not held: %s.", strings.Join(broken, "; "))
	}
	if len(short) > 0 {
		fmt.Fprintf(&text, " Held, but short of the stretch: %s.", strings.Join(short, "; "))
	}
	text.WriteString("\n\n" + b.freshWords())
	var first, behind strings.Builder
	for _, name := range tableOrder {
		t := b.tables[name]
		if t == nil {
			continue
		}
		late := false
		for _, p := range t.places() {
			ratio := times(p.ours.ratios[p.n])
			switch {
			case len(p.better) > 0:
				late = true
				fmt.Fprintf(&behind, "- %s: %s, behind %s.\n", p.of, ratio, named(p.better, p.n))
			case len(p.level) > 0:
				fmt.Fprintf(&first, "- %s: %s, level with %s: the difference is within the noise.\n", p.of, ratio, named(p.level, p.n))
			default:
				fmt.Fprintf(&first, "- %s: %s; next is %s.\n", p.of, ratio, named([]line{p.next}, p.n))
			}
		}
		if late {
			fmt.Fprintf(&behind, "  %s\n", t.why)
		}
	}
	if first.Len() > 0 {
		text.WriteString("**Where vidu is first or level:**\n\n" + first.String() + "\n")
	}
	if behind.Len() > 0 {
		text.WriteString("**Where it is not, and why:**\n\n" + behind.String())
	}
	return text.String()
}

// named returns contestants with their ratios in metric n.
func named(lines []line, n int) string {
	var names []string
	for _, l := range lines {
		names = append(names, fmt.Sprintf("%s (%s)", l.name, times(l.ratios[n])))
	}
	return strings.Join(names, ", ")
}

// freshWords lists the worlds in which the untrained schedule is no better than a fixed interval.
func (b *bench) freshWords() string {
	var words []string
	for _, w := range b.worlds {
		if w.g[fresh] > 1 || w.g[together] > 1 {
			words = append(words, fmt.Sprintf("in world %s G is %.2f for the first 40 tasks one after the other and %.2f for 40 at once; "+
				"a fixed interval that polls as often has %.2f and %.2f", w.name, w.g[fresh], w.g[together],
				w.g[fresh]/w.even[fresh], w.g[together]/w.even[together]))
		}
	}
	if len(words) == 0 {
		return ""
	}
	return "**Before anything is learned** G may exceed 1: " + strings.Join(words, "; ") + ".\n\n"
}

func contestantsMarkdown() string {
	versions := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			versions[dep.Path] = dep.Version
		}
	}
	var text strings.Builder
	text.WriteString("## Contestants\n\nAll are at their defaults over the same `http.Client`, except that go-retryablehttp's log and resty's warnings are off and imroc/req, " +
		"which takes no `http.Client`, is given its transport. Where a peer can send any request, it sends the API's own, with the same Go types " +
		"as the code by hand. replicate-go and sashabaranov/go-openai cannot: they make their nearest call, with the same pictures and prompt, and " +
		"get a reply of the same length.\n\n| client | version | create | poll |\n|---|---|---|---|\n")
	for _, e := range entries() {
		version := "this one"
		switch {
		case e.name == floor:
			version = "net/http, encoding/json"
		case e.module != "":
			version = versions[e.module]
			if version == "" {
				version = "unknown" // in test binaries
			}
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s |\n", e.name, version, e.creates, e.polls)
	}
	return text.String()
}

const repeating = "## Run it again\n\n" +
	"```sh\ncd bench\nmake bench                      # all of it on two Go releases, ten minutes on two cores\ngo run . -only 'create|poll'    # a part of it, on this Go release, to standard output\n" +
	"go test ./...                   # every part and every contestant once, in small\n```\n"
