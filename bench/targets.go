package main

import (
	"fmt"
	"go/version"
	"math"
	"runtime"
	"strconv"
	"strings"
)

// limit is one number that the project has set itself: the limit and the goal. NaN is none.
type limit struct {
	what          string
	value         float64
	must, stretch float64
	show          func(float64) string
}

// target is a row of the project's list.
type target struct {
	measure string
	limits  []limit
}

// targets returns the project's own, by number, with the measured values.
func (b *bench) targets() []target {
	none := math.NaN()
	ratioOf := func(t, name, metric string) float64 {
		_, r := b.tables[t].get(name, metric)
		return r
	}
	ratio := func(t, metric string) float64 { return ratioOf(t, ours, metric) }
	value := func(t, name, metric string) float64 {
		v, _ := b.tables[t].get(name, metric)
		return v
	}
	freshest, where := b.worst(fresh)
	// With Go 1.27 encoding/json became cheaper, and so the work by hand.
	objects, size, work := 1.0, 0.90, 1.05
	if version.Compare(runtime.Version(), "go1.27") >= 0 {
		objects, size, work = 0.95, 1, 1
	}
	return []target{
		{"small create: allocations", []limit{{"", ratio(createTable, allocations), objects, 0.86, times}}},
		{"small create: bytes allocated", []limit{{"", ratio(createTable, allocated), size, 0.72, times}}},
		{"small create: CPU", []limit{{"", ratio(createTable, cpu), work, 0.90, times}}},
		{"poll: allocations, bytes", []limit{
			{"allocations", ratio(pollTable, allocations), objects, 0.86, times},
			{"bytes", ratio(pollTable, allocated), 1, 0.72, times},
		}},
		{"create with 14 MB: bytes allocated", []limit{{"", ratio(picturesTable, allocated), 0.002, 0.0006, times}}},
		{"create with 14 MB: CPU", []limit{{"", ratio(picturesTable, cpu), 0.35, 0.20, times}}},
		{"create with 14 MB: live heap in its middle", []limit{{"", value(heapTable, ours, liveHeap), 128e3, 64e3, showBytes}}},
		{"32 × 14 MB at once: peak memory over idle", []limit{{"", value(peakTable, ours, peakOver), 16e6, 4e6, showBytes}}},
		{"100,000 waiting tasks: bytes per task, goroutines", []limit{
			{"", value(waitingTable, waitAllLists, bytesPerTask), 128, 118, showBytes},
			{"goroutines", value(waitingTable, waitAllLists, goroutines), 20, 17, showCount},
		}},
		{"G, learned: worlds A, B, D", []limit{
			{"A", b.gOf("A", learned), 0.75, 0.58, showG}, {"B", b.gOf("B", learned), 0.92, 0.82, showG}, {"D", b.gOf("D", learned), 0.75, 0.42, showG},
		}},
		{"G of the first 40 tasks, everywhere", []limit{{strings.TrimSpace("worst: " + where), freshest, 1, 0.90, showG}}},
		{"verifying a callback: CPU against a bare HMAC of 1 KiB, and of what is signed; allocations", []limit{
			{"1 KiB", ratio(callbackTable, cpu) / ratioOf(callbackTable, bodyByHand, cpu), 1, 0.60, times},
			{"what is signed", ratio(callbackTable, cpu), 1.5, none, times},
			{"allocations", value(callbackTable, ours, allocations), 8, 1, showCount},
		}},
		{"32 polls at once over TLS: new connections per poll", []limit{
			{"HTTP/1.1", value(connectionsTable, ours, newConnections), 0.02, none, showShare},
			{"HTTP/2", value(streamsTable, ours, newConnections), 0.02, none, showShare},
		}},
		{"download: CPU against io.Copy; bytes allocated", []limit{
			{"CPU", ratio(downloadTable, cpu), 1, 0.65, times},
			{"", value(downloadTable, ours, allocated), 256e3, none, showBytes},
		}},
	}
}

func showG(v float64) string { return fmt.Sprintf("%.2f", v) }

// verdict compares the rounded values, so that 1.00 is never more than 1.00.
func (t target) verdict() (must, stretch bool, text string) {
	must, stretch = true, true
	wished := false
	for _, l := range t.limits {
		if math.IsNaN(l.value) {
			return false, false, "not measured"
		}
		must = must && !(asShown(l) > l.must)
		stretch = stretch && !(asShown(l) > l.stretch)
		wished = wished || !math.IsNaN(l.stretch)
	}
	switch {
	case !must:
		return must, stretch, "**must not met**"
	case !wished:
		return must, stretch, "must met"
	case stretch:
		return must, stretch, "must and stretch met"
	}
	return must, stretch, "must met, stretch not"
}

// asShown returns the value as it is printed, if that is a plain number or a ratio.
func asShown(l limit) float64 {
	text := strings.TrimSuffix(l.show(l.value), " ×")
	if shown, err := strconv.ParseFloat(text, 64); err == nil {
		return shown
	}
	return l.value
}
