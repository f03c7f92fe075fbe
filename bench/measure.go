package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// contestant does one piece of work in its own way. It returns an error if the work was not done.
type contestant struct {
	name  string
	run   func(ctx context.Context) error
	after func() error // checks and cleans up, unmeasured; may be nil
}

// cost is what one piece of work took, on average.
type cost struct {
	cpu, wall      float64 // seconds
	objects, bytes float64
}

// compare has the contestants work in turn, and begins every round with another one. A turn is warm pieces of work that
// are not measured, so that the previous contestant does not matter, and then times pieces that are. The result is by
// contestant and round.
func compare(ctx context.Context, contestants []contestant, rounds, warm, times int) ([][]cost, error) {
	costs := make([][]cost, len(contestants))
	for _, c := range contestants { // connections are not what is compared
		if err := c.work(ctx, 1); err != nil {
			return nil, err
		}
	}
	for round := range rounds {
		for i := range contestants {
			n := (i + round) % len(contestants)
			if err := contestants[n].work(ctx, warm); err != nil {
				return nil, err
			}
			taken, err := take(ctx, contestants[n], times)
			if err != nil {
				return nil, err
			}
			costs[n] = append(costs[n], taken)
		}
	}
	return costs, nil
}

// pieces returns how often compare runs each contestant.
func pieces(rounds, warm, times int) int { return 1 + rounds*(warm+times) }

// work does some pieces, unmeasured.
func (c contestant) work(ctx context.Context, times int) error {
	for range times {
		if err := c.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if err := c.tidy(); err != nil {
			return err
		}
	}
	return nil
}

func (c contestant) tidy() error {
	if c.after == nil {
		return nil
	}
	if err := c.after(); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

// take measures the whole process, so nothing else may run in it. It begins with a garbage collection; later ones
// count.
func take(ctx context.Context, c contestant, times int) (cost, error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu, err := cpuTime()
	if err != nil {
		return cost{}, err
	}
	began := time.Now()
	for range times {
		if err := c.run(ctx); err != nil {
			return cost{}, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	wall := time.Since(began)
	spent, err := cpuTime()
	if err != nil {
		return cost{}, err
	}
	runtime.ReadMemStats(&after)
	n := float64(times)
	return cost{
		cpu:     (spent - cpu).Seconds() / n,
		wall:    wall.Seconds() / n,
		objects: float64(after.Mallocs-before.Mallocs) / n,
		bytes:   float64(after.TotalAlloc-before.TotalAlloc) / n,
	}, c.tidy()
}

func cpuTime() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// medianError returns the standard error of the median of a normal distribution, by the spread of the middle half: a
// few disturbed rounds do not count.
func medianError(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return 1.2533 / 1.349 * (sorted[(3*n)/4] - sorted[n/4]) / math.Sqrt(float64(n))
}

// footprint is the memory of a process: bytes of heap and of stacks, and goroutines.
type footprint struct{ Heap, Stacks, Goroutines int }

func currentFootprint() footprint {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // of finalizers and pools
	runtime.ReadMemStats(&stats)
	return footprint{int(stats.HeapAlloc), int(stats.StackInuse), runtime.NumGoroutine()} //nolint:gosec // never near 2⁶³
}

// resident reads one figure of this process's memory from Linux, in bytes.
func resident(name string) (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), name+":")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0, errors.New("no " + name + " in /proc/self/status")
	}
	kB, err := strconv.Atoi(fields[0])
	return kB << 10, err
}

// pause waits, unless the context ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
