package testkit

import (
	"context"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
)

// Pass lets d go by in the virtual time of a synctest bubble. Outside one it would be a real sleep.
func Pass(d time.Duration) { <-time.After(d) }

// Linger waits for d of real time, where real sockets need it, or until ctx ends.
func Linger(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Settle sleeps for an hour of virtual time, so that timeouts still pending expire inside the bubble.
func Settle() { Pass(time.Hour) }

// Allocations returns how many bytes the process allocates while f runs. A test that uses it must not be parallel.
func Allocations(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// UnderRace reports whether the race detector is built in.
func UnderRace() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// LiveHeap returns how many bytes of the heap are in use after a garbage collection.
func LiveHeap() uint64 {
	runtime.GC()
	runtime.GC() // the second one empties the pools
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
