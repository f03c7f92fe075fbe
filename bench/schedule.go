package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// world is one distribution of durations in the simulation of the client's own tests, with the results.
type world struct {
	name      string
	text      string             // the table as printed
	schedules []string           // in its order
	g         map[string]float64 // by schedule
	even      map[string]float64 // lag, as a multiple of a fixed interval's at equal polls
}

const (
	learned  = "ours, learned"
	fresh    = "ours, first 40"
	together = "ours, first 40, together"
)

var (
	heading  = regexp.MustCompile(`^\s+(\S+): lognormal `)
	schedule = regexp.MustCompile(`^\s+(\S.*?)\s{2,}[\d.]+ ×\s+[\d.]+ s\s+=\s+([\d.]+)\s+([\d.]+)\s+[\d.]+$`)
)

// measureSchedule runs the simulation of the client's own tests, which compares schedules in virtual time.
func measureSchedule(ctx context.Context, b *bench) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "-run=TestSchedule_Simulation/"+b.effort.worlds, "./internal/schedule") //nolint:gosec // a constant
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput() // build errors are on stderr
	if err != nil {
		return fmt.Errorf("the simulation: %w\n%s", err, out)
	}
	b.worlds, err = readWorlds(out)
	return err
}

func readWorlds(out []byte) (worlds []world, err error) {
	var lines []string
	for scanner := bufio.NewScanner(bytes.NewReader(out)); scanner.Scan(); {
		text := scanner.Text()
		if found := heading.FindStringSubmatch(text); found != nil {
			worlds = append(worlds, world{name: found[1], g: map[string]float64{}, even: map[string]float64{}})
			lines = nil
		}
		if len(worlds) == 0 {
			continue
		}
		w := &worlds[len(worlds)-1]
		found := schedule.FindStringSubmatch(text)
		if found != nil {
			g, err1 := strconv.ParseFloat(found[2], 64)
			even, err2 := strconv.ParseFloat(found[3], 64)
			if err := errors.Join(err1, err2); err != nil {
				return nil, err
			}
			w.schedules = append(w.schedules, found[1])
			w.g[found[1]], w.even[found[1]] = g, even
		}
		if found != nil || len(lines) < 2 {
			lines = append(lines, strings.TrimPrefix(text, "        "))
			w.text = strings.Join(lines, "\n")
		}
	}
	for _, w := range worlds {
		if w.g[learned] == 0 || w.g[fresh] == 0 || w.g[together] == 0 {
			return nil, fmt.Errorf("the simulation has no %q in world %s", learned, w.name)
		}
	}
	if len(worlds) == 0 {
		return nil, errors.New("the simulation printed no table")
	}
	slices.SortFunc(worlds, func(a, b world) int { return strings.Compare(a.name, b.name) }) // they run in parallel
	return worlds, nil
}

// gOf returns G of a schedule in a world, NaN if it was not measured.
func (b *bench) gOf(name, schedule string) float64 {
	for _, w := range b.worlds {
		if w.name == name {
			return w.g[schedule]
		}
	}
	return math.NaN()
}

// worst returns the largest G of a schedule in any world.
func (b *bench) worst(schedule string) (g float64, in string) {
	if len(b.worlds) == 0 {
		return math.NaN(), ""
	}
	for _, w := range b.worlds {
		if w.g[schedule] > g {
			g, in = w.g[schedule], w.name
		}
	}
	return g, in
}

func (b *bench) scheduleMarkdown() string {
	var text strings.Builder
	text.WriteString("## When to poll\n\nG = polls × lag ÷ (mean duration ÷ 2), where lag is the time from the end of a task to the " +
		"answer that reports it. More polls shorten lag but do not lower G: any fixed interval has a G near 1, and less " +
		"takes knowledge of how long tasks run. A world is a distribution of durations; it is the first line of each " +
		"table below. Measured in virtual time, by the simulation in the client's own tests (`go test -v -run " +
		"TestSchedule_Simulation ./internal/schedule`), which also has the schedules of replicate-go, hcloud-go and " +
		"AWS's waiters. The oracle is given the distribution that the client has to learn. The last two columns below " +
		"are lag as a multiple of that of a fixed interval, and of the oracle, with as many polls.\n")
	for i, w := range b.worlds {
		if i == 0 {
			text.WriteString("\n| G in world |")
			for _, schedule := range w.schedules {
				fmt.Fprintf(&text, " %s |", strings.Replace(schedule, "ours", ours, 1))
			}
			text.WriteString("\n|---|" + strings.Repeat("---:|", len(w.schedules)) + "\n")
		}
		fmt.Fprintf(&text, "| %s |", w.name)
		for _, schedule := range w.schedules {
			fmt.Fprintf(&text, " %.2f |", w.g[schedule])
		}
		text.WriteByte('\n')
	}
	text.WriteString("\n```text\n")
	for i, w := range b.worlds {
		if i > 0 {
			text.WriteByte('\n')
		}
		text.WriteString(w.text + "\n")
	}
	text.WriteString("```\n")
	return text.String()
}
