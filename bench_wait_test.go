package vidu_test

import (
	"context"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// footprint is what waiting costs: bytes of heap and stacks, and goroutines.
type footprint struct{ bytes, goroutines int }

func measure() footprint {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers and pools kept
	runtime.ReadMemStats(&stats)
	return footprint{int(stats.HeapAlloc + stats.StackInuse), runtime.NumGoroutine()}
}

// crowd is 18 digits each, as the ids of the API.
func crowd(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.FormatInt(885482446060000000+int64(i)*7919, 10)
	}
	return ids
}

// crowded says of every task in a list that it is being processed. Requests for one task hang.
func crowded(r *http.Request) (*http.Response, error) {
	if !isListQuery(r) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	var b strings.Builder
	b.WriteString(`{"tasks":[`)
	for i, id := range r.URL.Query()["task_ids"] {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"id":"` + id + `","state":"processing","model":"viduq2-pro"}`)
	}
	b.WriteString(`]}`)
	return testkit.Reply(r, http.StatusOK, b.String())
}

// costOfWaitAll is what WaitAll keeps for n tasks, every one of which was seen. It leaves one waiter of every kind of
// request: as many as it allows itself hang in one.
func costOfWaitAll(t *testing.T, n int) (cost footprint) {
	t.Helper()
	ids := crowd(n)
	synctest.Test(t, func(t *testing.T) {
		client, err := vidu.NewClient("https://gateway.example.com", testkit.Key, vidu.WithOfficialAPI(), withTransport(crowded))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		before := measure()
		var waiting sync.WaitGroup
		waiting.Go(func() {
			for _, err := range client.WaitAll(ctx, ids, vidu.WithMaxPollRate(1e6), vidu.WithPollInterval(time.Hour)) {
				assert.ErrorIs(t, err, context.Canceled)
				break
			}
		})
		testkit.Pass(time.Minute)
		for _, id := range ids[:20] {
			client.Wake(id)
		}
		synctest.Wait()
		testkit.Pass(time.Second)
		after := measure()
		cost = footprint{after.bytes - before.bytes, after.goroutines - before.goroutines}
		cancel()
		waiting.Wait()
		runtime.KeepAlive(ids)
	})
	return cost
}

// costOfGoroutines is what a goroutine for each task keeps that asks once, with a request as small as can be, and then
// sleeps on a timer.
func costOfGoroutines(t *testing.T, n int) (cost footprint) {
	t.Helper()
	ids := crowd(n)
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, "https://gateway.example.com", vidu.WithMaxAttempts(1), withTransport(func(r *http.Request) (*http.Response, error) {
			return testkit.Reply(r, http.StatusOK, processingReply)
		}))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		before := measure()
		var waiting sync.WaitGroup
		for _, id := range ids {
			waiting.Go(func() {
				ticker := time.NewTicker(time.Hour)
				defer ticker.Stop()
				for ctx.Err() == nil {
					if task, err := client.GetTask(ctx, id); err != nil || task.Done() {
						return
					}
					select {
					case <-ctx.Done():
					case <-ticker.C:
					}
				}
			})
		}
		testkit.Pass(time.Minute)
		after := measure()
		cost = footprint{after.bytes - before.bytes, after.goroutines - before.goroutines}
		cancel()
		waiting.Wait()
	})
	return cost
}

// What 100 000 waiting tasks cost, beside a goroutine and a timer for each.
func TestWaitAll_CostOfWaiting(t *testing.T) { //nolint:paralleltest // it measures the heap
	const baseline = 2_000
	n := 100_000
	if testkit.UnderRace() {
		n = 20_000 // it makes everything slow, and a task no larger
	}
	ours, floor := costOfWaitAll(t, n), costOfGoroutines(t, baseline)
	t.Logf("WaitAll: %d B a task, %d goroutines for %d; goroutine and timer: %d B a task, %d goroutines for %d",
		ours.bytes/n, ours.goroutines, n, floor.bytes/baseline, floor.goroutines, baseline)
	assert.LessOrEqual(t, ours.bytes/n, map[bool]int{false: 128, true: 160}[testkit.UnderRace()])
	assert.LessOrEqual(t, ours.goroutines, 20)
	assert.Less(t, 10*ours.bytes/n, floor.bytes/baseline)
}

// thousand is a round trip that says of a thousand tasks that they have ended.
func thousand(r *http.Request) (*http.Response, error) {
	return testkit.Reply(r, http.StatusOK, succeededReply)
}

// BenchmarkWaitAll_1000Polls asks for a thousand tasks, each of which has ended. The floor asks by GetTask, one after
// the other; the baseline has a goroutine that calls Wait for each task.
func BenchmarkWaitAll_1000Polls(b *testing.B) {
	client, err := vidu.NewClient("https://gateway.example.com", testkit.Key, withTransport(thousand))
	require.NoError(b, err)
	ids := crowd(1000)
	b.Run("floor", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, id := range ids {
				_, err := client.GetTask(b.Context(), id)
				require.NoError(b, err)
			}
		}
	})
	b.Run("WaitAll", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, err := range client.WaitAll(b.Context(), ids, vidu.WithMaxPollRate(1e9)) {
				require.NoError(b, err)
			}
		}
	})
	b.Run("goroutine each", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var waiting sync.WaitGroup
			for _, id := range ids {
				waiting.Go(func() { _, _ = client.Wait(b.Context(), id) })
			}
			waiting.Wait()
		}
	})
}
