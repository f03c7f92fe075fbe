package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// metric is a column of a table.
type metric struct {
	name  string
	of    func(cost) float64 // nil: the table is not made of costs
	show  func(float64) string
	rises bool // more is better
	aside bool // measured once, so not ranked
}

// line is one contestant in a table: what was measured, and that as a multiple of the floor.
type line struct {
	name   string
	values []float64
	ratios []float64
	noise  []float64 // standard errors of the ratios; nil where there were no rounds
}

// table is what one part of the program measured.
type table struct {
	title   string
	text    string // what was measured, and how
	why     string // what vidu does beyond the others; printed if it is not first
	metrics []metric
	lines   []line
	rounds  int
}

// fill adds the contestants' lines. A ratio is the median of the rounds' ratios, as both ran within a second of each
// other.
func (t *table) fill(contestants []contestant, costs [][]cost) {
	base := slices.IndexFunc(contestants, func(c contestant) bool { return c.name == floor })
	t.rounds = len(costs[base])
	for i, c := range contestants {
		l := line{name: c.name}
		for _, m := range t.metrics {
			var values, ratios []float64
			for round := range t.rounds {
				value := m.of(costs[i][round])
				values = append(values, value)
				ratios = append(ratios, value/m.of(costs[base][round]))
			}
			l.values = append(l.values, median(values))
			l.ratios = append(l.ratios, median(ratios))
			l.noise = append(l.noise, medianError(ratios))
		}
		t.lines = append(t.lines, l)
	}
}

// add adds a contestant with its values. rate computes the ratios once all are added.
func (t *table) add(name string, values ...float64) {
	t.lines = append(t.lines, line{name: name, values: values})
}

func (t *table) rate() {
	base, _ := t.find(floor)
	for i := range t.lines {
		l := &t.lines[i]
		l.ratios = nil
		for n, value := range l.values {
			l.ratios = append(l.ratios, value/base.values[n])
		}
	}
}

func (t *table) find(name string) (line, bool) {
	i := slices.IndexFunc(t.lines, func(l line) bool { return l.name == name })
	if i < 0 {
		return line{}, false
	}
	return t.lines[i], true
}

// get returns one number of a table, NaN if it was not measured.
func (t *table) get(name, of string) (value, ratio float64) {
	if t == nil {
		return math.NaN(), math.NaN()
	}
	l, found := t.find(name)
	n := slices.IndexFunc(t.metrics, func(m metric) bool { return m.name == of })
	if !found || n < 0 {
		return math.NaN(), math.NaN()
	}
	return l.values[n], l.ratios[n]
}

func (t *table) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n| |", t.title, t.text)
	for _, m := range t.metrics {
		fmt.Fprintf(&b, " %s × |", m.name)
	}
	for _, m := range t.metrics {
		fmt.Fprintf(&b, " %s |", m.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", 2*len(t.metrics)) + "\n")
	for _, l := range t.lines {
		mark := ""
		if isOurs(l.name) {
			mark = "**"
		}
		fmt.Fprintf(&b, "| %s%s%s |", mark, l.name, mark)
		for _, ratio := range l.ratios {
			fmt.Fprintf(&b, " %s%s%s |", mark, times(ratio), mark)
		}
		for n, value := range l.values {
			fmt.Fprintf(&b, " %s |", t.metrics[n].show(value))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func isOurs(name string) bool { return strings.HasPrefix(name, ours) }

// place is vidu's rank in one metric.
type place struct {
	of     string // "table, metric"
	ours   line
	n      int    // the metric's
	better []line // by more than the noise, the best first
	level  []line // better, but not by more than the noise
	next   line   // the best of the others
}

// places ranks the rounded figures, so that those printed alike are equal.
func (t *table) places() (all []place) {
	first := slices.IndexFunc(t.lines, func(l line) bool { return isOurs(l.name) })
	if first < 0 {
		return nil
	}
	others := slices.DeleteFunc(slices.Clone(t.lines), func(l line) bool { return isOurs(l.name) })
	for n, m := range t.metrics {
		if m.aside {
			continue
		}
		p := place{of: t.title + ", " + m.name, ours: t.lines[first], n: n}
		rank := func(l line) float64 {
			if m.rises {
				return -rounded(l.ratios[n])
			}
			return rounded(l.ratios[n])
		}
		slices.SortStableFunc(others, func(a, b line) int { return cmp.Compare(rank(a), rank(b)) })
		for _, l := range others {
			switch ahead := rank(p.ours) - rank(l); {
			case ahead <= 0:
			case ahead <= 2*math.Hypot(l.noiseOf(n), p.ours.noiseOf(n)):
				p.level = append(p.level, l)
			default:
				p.better = append(p.better, l)
			}
		}
		p.next = others[0]
		all = append(all, p)
	}
	return all
}

func (l line) noiseOf(n int) float64 {
	if l.noise == nil {
		return 0
	}
	return l.noise[n]
}

// rounded rounds a ratio as it is printed: to two decimals or, below 0.1, two digits.
func rounded(ratio float64) float64 {
	if math.IsNaN(ratio) || math.Abs(ratio) >= 0.1 {
		return math.Round(ratio*100) / 100
	}
	text := strconv.FormatFloat(ratio, 'e', 1, 64)
	short, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return ratio
	}
	return short
}

func times(ratio float64) string {
	switch {
	case math.IsNaN(ratio) || math.IsInf(ratio, 0):
		return "–"
	case math.Abs(ratio) < 0.1:
		return strconv.FormatFloat(rounded(ratio), 'f', -1, 64) + " ×"
	case ratio >= 100:
		return fmt.Sprintf("%.0f ×", ratio)
	}
	return fmt.Sprintf("%.2f ×", ratio)
}

func showCount(v float64) string {
	if v != math.Trunc(v) && v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func showBytes(v float64) string {
	switch {
	case v < 1e3:
		return fmt.Sprintf("%.0f B", v)
	case v < 1e6:
		return strings.Replace(fmt.Sprintf("%.1f kB", v/1e3), ".0 ", " ", 1)
	case v < 1e9:
		return strings.Replace(fmt.Sprintf("%.1f MB", v/1e6), ".0 ", " ", 1)
	}
	return fmt.Sprintf("%.2f GB", v/1e9)
}

func showTime(v float64) string {
	if v < 1e-3 {
		return fmt.Sprintf("%.1f µs", v*1e6)
	}
	return fmt.Sprintf("%.1f ms", v*1e3)
}

// showSize formats round sizes.
func showSize(bytes int) string {
	if bytes >= 1<<20 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}

func showShare(v float64) string { return fmt.Sprintf("%.4f", v) }

func ofObjects(c cost) float64 { return c.objects }
func ofBytes(c cost) float64   { return c.bytes }
func ofCPU(c cost) float64     { return c.cpu }

const (
	allocations = "allocations"
	allocated   = "bytes allocated"
	cpu         = "CPU"
)

// costMetrics returns the metrics of work that is repeated.
func costMetrics() []metric {
	return []metric{
		{name: allocations, of: ofObjects, show: showCount},
		{name: allocated, of: ofBytes, show: showBytes},
		{name: cpu, of: ofCPU, show: showTime},
	}
}
