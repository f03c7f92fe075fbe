package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
)

// saved is what the run on one Go release leaves for the report of the run on another.
type saved struct {
	Go      string                              `json:"go"`
	Quick   bool                                `json:"quick"`
	Targets []savedTarget                       `json:"targets"` // by number
	Ratios  map[string]map[string][]savedMetric `json:"ratios"`  // by table and contestant
}

// savedTarget is a row of the project's list, as it is printed.
type savedTarget struct {
	Must     string `json:"must"`
	Measured string `json:"measured"`
	Verdict  string `json:"verdict"`
}

type savedMetric struct {
	Name  string  `json:"name"`
	Ratio float64 `json:"ratio"`
}

// save returns what this run has measured.
func (b *bench) save() saved {
	s := saved{Go: runtime.Version(), Quick: b.quick, Ratios: map[string]map[string][]savedMetric{}}
	for _, t := range b.targets() {
		_, _, verdict := t.verdict()
		s.Targets = append(s.Targets, savedTarget{t.column(mustOf), t.measured(), verdict})
	}
	for name, t := range b.tables {
		s.Ratios[name] = map[string][]savedMetric{}
		for _, l := range t.lines {
			for n, ratio := range l.ratios {
				if !math.IsNaN(ratio) && !math.IsInf(ratio, 0) {
					s.Ratios[name][l.name] = append(s.Ratios[name][l.name], savedMetric{t.metrics[n].name, ratio})
				}
			}
		}
	}
	return s
}

// ratio returns one number of a table, NaN if it was not measured.
func (s *saved) ratio(table, contestant, metric string) float64 {
	metrics := s.Ratios[table][contestant]
	n := slices.IndexFunc(metrics, func(m savedMetric) bool { return m.Name == metric })
	if n < 0 {
		return math.NaN()
	}
	return metrics[n].Ratio
}

func (s *saved) writeFile(path string) error {
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644) //nolint:gosec // figures are public
}

func readSaved(path string) (saved, error) {
	var s saved
	text, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// runs returns the runs to be shown beside each other, this one last.
func (b *bench) runs() []saved { return append(slices.Clone(b.beside), b.save()) }

// targetsMarkdown lists the project's own limits, with a column for each run.
func (b *bench) targetsMarkdown() string {
	runs := b.runs()
	var text strings.Builder
	text.WriteString("## The project's own limits\n\nRatios are to the same work by hand, on the same Go release. “Must” is the limit, “stretch” " +
		"the goal. G rates a schedule, see [When to poll](#when-to-poll).\n\n| # | measure | must | stretch |")
	for _, run := range runs {
		fmt.Fprintf(&text, " %s | |", run.Go)
	}
	text.WriteString("\n|---:|---|---|---|" + strings.Repeat("---|---|", len(runs)) + "\n")
	for i, t := range b.targets() {
		fmt.Fprintf(&text, "| %d | %s | %s | %s |", i+1, t.measure, mustOnEach(runs, i), t.column(stretchOf))
		for _, run := range runs {
			fmt.Fprintf(&text, " %s | %s |", run.Targets[i].Measured, run.Targets[i].Verdict)
		}
		text.WriteByte('\n')
	}
	return text.String()
}

// mustOnEach returns the limit of row i, for each release where they differ.
func mustOnEach(runs []saved, i int) string {
	var musts []string
	for _, run := range runs {
		musts = append(musts, run.Targets[i].Must)
	}
	if len(slices.Compact(slices.Clone(musts))) == 1 {
		return musts[0]
	}
	for n, run := range runs {
		musts[n] += " on " + run.Go
	}
	return strings.Join(musts, "; ")
}

// smallCallsMarkdown shows the small calls on each release. It is empty for one release.
func (b *bench) smallCallsMarkdown() string {
	runs := b.runs()
	if len(runs) == 1 || b.tables[createTable] == nil || b.tables[pollTable] == nil {
		return ""
	}
	var text strings.Builder
	fmt.Fprintf(&text, "## Small calls, release by release\n\nEach cell has the ratios with %s. The work by hand became cheaper with "+
		"encoding/json of Go 1.27; so did every client that uses it.\n\n| |", goNames(runs))
	for _, name := range []string{createTable, pollTable} {
		for _, m := range costMetrics() {
			fmt.Fprintf(&text, " %s: %s |", name, m.name)
		}
	}
	text.WriteString("\n|---|" + strings.Repeat("---:|", 2*len(costMetrics())) + "\n")
	for _, l := range b.tables[createTable].lines {
		fmt.Fprintf(&text, "| %s |", l.name)
		for _, name := range []string{createTable, pollTable} {
			for _, m := range costMetrics() {
				var cells []string
				for _, run := range runs {
					cells = append(cells, times(run.ratio(name, l.name, m.name)))
				}
				fmt.Fprintf(&text, " %s |", strings.Join(cells, ", "))
			}
		}
		text.WriteByte('\n')
	}
	return text.String() + "\n"
}

func goNames(runs []saved) string {
	var names []string
	for _, run := range runs {
		names = append(names, run.Go)
	}
	return strings.Join(names, " and with ")
}

func mustOf(l limit) float64    { return l.must }
func stretchOf(l limit) float64 { return l.stretch }

// column returns one kind of a target's limits.
func (t target) column(pick func(limit) float64) string {
	var parts []string
	for _, l := range t.limits {
		if v := pick(l); !math.IsNaN(v) {
			parts = append(parts, "≤ "+l.show(v))
		}
	}
	return cmp.Or(strings.Join(parts, "; "), "–")
}

func (t target) measured() string {
	var parts []string
	for _, l := range t.limits {
		shown := "–"
		if !math.IsNaN(l.value) {
			shown = l.show(l.value)
		}
		parts = append(parts, strings.TrimSpace(l.what+" "+shown))
	}
	return strings.Join(parts, "; ")
}
