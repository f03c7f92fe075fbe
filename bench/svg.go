package main

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// chart is a picture of horizontal bars, one row a contestant, in each row one bar for every series.
type chart struct {
	title, text string
	series      []string
	rows        []chartRow
	show        func(float64) string
}

type chartRow struct {
	name   string
	values []float64 // by series; NaN: none
}

// writePictures writes the two pictures of README into dir.
func (b *bench) writePictures(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // pictures are public
		return err
	}
	for name, c := range map[string]chart{"small-calls.svg": b.smallCallsChart(), "memory.svg": b.memoryChart()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(c.svg()), 0o644); err != nil { //nolint:gosec // as above
			return err
		}
	}
	return nil
}

// smallCallsChart shows what a small create allocates, on each release.
func (b *bench) smallCallsChart() chart {
	runs := b.runs()
	c := chart{
		title: "A small create: allocations", text: "as a multiple of the same work by hand (net/http, encoding/json) on the same Go release; less is better",
		show: times,
	}
	for _, run := range runs {
		c.series = append(c.series, run.Go)
	}
	for name := range runs[len(runs)-1].Ratios[createTable] {
		row := chartRow{name: name}
		for _, run := range runs {
			row.values = append(row.values, run.ratio(createTable, name, allocations))
		}
		c.rows = append(c.rows, row)
	}
	return c.sorted()
}

// memoryChart shows the peak of many big requests at once.
func (b *bench) memoryChart() chart {
	c := chart{
		title: fmt.Sprintf("%d creates with 14 MB of images at once", b.atOnce), text: "peak memory above idle; less is better",
		series: []string{peakOver}, show: showBytes,
	}
	if t := b.tables[peakTable]; t != nil {
		for _, l := range t.lines {
			value, _ := t.get(l.name, peakOver)
			c.rows = append(c.rows, chartRow{l.name, []float64{value}})
		}
	}
	return c.sorted()
}

// sorted puts the least first, by the last series.
func (c chart) sorted() chart {
	slices.SortStableFunc(c.rows, func(x, y chartRow) int {
		last := len(x.values) - 1
		return cmp.Or(cmp.Compare(x.values[last], y.values[last]), strings.Compare(x.name, y.name))
	})
	return c
}

// Sizes in the picture's own units.
const (
	chartWidth = 720
	chartLeft  = 220 // of the bars
	chartRight = 90  // beside them, for the figures
	barHeight  = 13
	rowGap     = 9
	chartTop   = 70
)

// style suits light and dark pages. The first colour is of the last series, the newest release.
const style = `text{font:13px system-ui,sans-serif;fill:#24292f}.t{font-size:16px;font-weight:600}.s{fill:#57606a}.b0{fill:#8c959f}.b1{fill:#afb8c1}` +
	`.o0{fill:#0969da}.o1{fill:#80b4ee}.o{font-weight:600}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#8d96a0}.b0{fill:#6e7681}.b1{fill:#484f58}` +
	`.o0{fill:#4493f8}.o1{fill:#1f4f8f}}`

// svg draws the chart. Every bar has its figure beside it, so nothing depends on colours.
func (c chart) svg() string {
	most := 0.0
	for _, row := range c.rows {
		for _, v := range row.values {
			if !math.IsNaN(v) {
				most = max(most, v)
			}
		}
	}
	rowHeight := barHeight*len(c.series) + rowGap
	height := chartTop + rowHeight*len(c.rows) + 10
	var text strings.Builder
	fmt.Fprintf(&text, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label=%q><style>%s</style>`+"\n",
		chartWidth, height, escaped(c.title), style)
	fmt.Fprintf(&text, `<text class="t" x="0" y="20">%s</text><text class="s" x="0" y="40">%s</text>`+"\n", escaped(c.title), escaped(c.text))
	if len(c.series) > 1 {
		fmt.Fprintf(&text, `<text class="s" x="0" y="58">upper bar %s, lower bar %s</text>`+"\n", escaped(c.series[0]), escaped(c.series[1]))
	}
	for i, row := range c.rows {
		kind, class := "b", ""
		if isOurs(row.name) {
			kind, class = "o", ` class="o"`
		}
		top := chartTop + i*rowHeight
		fmt.Fprintf(&text, `<text%s x="%d" y="%d" text-anchor="end">%s</text>`+"\n",
			class, chartLeft-8, top+barHeight*len(c.series)/2+5, escaped(row.name))
		for n, v := range row.values {
			if math.IsNaN(v) {
				continue
			}
			shade := len(row.values) - 1 - n
			width := 1.0
			if most > 0 {
				width = max(1, v/most*(chartWidth-chartLeft-chartRight))
			}
			y := top + n*barHeight
			fmt.Fprintf(&text, `<rect class="%s%d" x="%d" y="%d" width="%.1f" height="%d"/><text class="s" x="%.1f" y="%d">%s</text>`+"\n",
				kind, shade, chartLeft, y, width, barHeight-2, chartLeft+width+6, y+barHeight-2, escaped(c.show(v)))
		}
	}
	return text.String() + "</svg>\n"
}

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}
