package backoff_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/backoff"
)

func TestFullJitter(t *testing.T) {
	t.Parallel()
	for retry, limit := range map[int]time.Duration{
		1: 500 * time.Millisecond, 2: time.Second, 3: 2 * time.Second, 4: 4 * time.Second, 5: 8 * time.Second,
		6: 8 * time.Second, 60: 8 * time.Second, 1000: 8 * time.Second,
	} {
		shortest, longest := limit, time.Duration(0)
		for range 1000 {
			pause := backoff.FullJitter(retry)
			require.GreaterOrEqual(t, pause, time.Duration(0))
			require.Less(t, pause, limit)
			shortest, longest = min(shortest, pause), max(longest, pause)
		}
		assert.Greater(t, longest, limit*9/10, "retry %d", retry)
		assert.Less(t, shortest, limit/10, "retry %d", retry)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	tests := map[string]time.Duration{
		"":                               0,
		"0":                              0,
		"1":                              time.Second,
		"7":                              7 * time.Second,
		"-7":                             0,
		"7.5":                            0,
		"soon":                           0,
		"3600":                           time.Hour, // longer than MaxRetryAfter
		"315360000":                      10 * 365 * 24 * time.Hour,
		"315360001":                      10 * 365 * 24 * time.Hour,
		"9223372036854775807":            10 * 365 * 24 * time.Hour,
		"-9223372036854775808":           0,
		"99999999999999999999":           0,
		"Sun, 22 Nov 2026 10:00:30 GMT":  30 * time.Second,
		"Sun, 22 Nov 2026 10:00:00 GMT":  0,
		"Sun, 22 Nov 2026 09:00:00 GMT":  0,
		"Sunday, 22-Nov-26 10:01:00 GMT": time.Minute,
		"Sun Nov 22 10:00:01 2026":       time.Second,
		"Sun, 22 Nov 2026 10:00:30":      0,
	}
	for header, want := range tests {
		assert.Equal(t, want, backoff.RetryAfter(header, now), header)
	}
	assert.Positive(t, backoff.RetryAfter("Fri, 31 Dec 9999 23:59:59 GMT", now), "beyond what a Duration holds")
	assert.Equal(t, time.Minute, backoff.MaxRetryAfter)
}

// takeAll empties the budget and returns how many tokens it had.
func takeAll(b *backoff.Budget) int {
	n := 0
	for n < 1000 && b.Take() {
		n++
	}
	return n
}

func TestBudget_Size(t *testing.T) {
	t.Parallel()
	var b backoff.Budget
	assert.Equal(t, 100, takeAll(&b))
	assert.False(t, b.Take(), "what is refused costs nothing, and gives nothing")
	for range 5000 { // far more than it holds
		b.Refund()
	}
	assert.Equal(t, 100, takeAll(&b))
}

func TestBudget_TenSuccessesRefundARetry(t *testing.T) {
	t.Parallel()
	var b backoff.Budget
	takeAll(&b)
	for range 9 {
		b.Refund()
		require.False(t, b.Take())
	}
	refunds := 9
	for taken := range 50 {
		for !b.Take() {
			b.Refund()
			refunds++
			require.Less(t, refunds, 1000)
		}
		require.InDelta(t, 10*(taken+1), refunds, 1, "tenths are no exact binary fractions")
	}
}

func TestBudget_Concurrent(t *testing.T) {
	t.Parallel()
	var b backoff.Budget
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 50 {
				if b.Take() {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 100, taken.Load())
	for range 10 {
		wg.Go(func() {
			for range 50 {
				b.Refund()
			}
		})
	}
	wg.Wait()
	assert.InDelta(t, 50, takeAll(&b), 1)
}

func TestSleep(t *testing.T) {
	t.Parallel()
	const d = 10 * time.Second
	for name, tt := range map[string]struct {
		deadline, cancel time.Duration // 0: none
		want             bool
		slept            time.Duration
	}{
		"undisturbed":                    {0, 0, true, d},
		"deadline before":                {d / 2, 0, false, 0},
		"deadline just before":           {d - 1, 0, false, 0},
		"deadline at the end":            {d, 0, false, 0},
		"deadline just behind":           {d + 1, 0, true, d},
		"canceled midway":                {0, d / 2, false, d / 2},
		"canceled at once":               {0, 1, false, 1},
		"canceled behind the end":        {0, d + 1, true, d},
		"canceled before a far deadline": {2 * d, d / 2, false, d / 2},
		"canceled, a deadline before":    {d / 2, d / 4, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.deadline > 0 {
					var stop context.CancelFunc
					ctx, stop = context.WithTimeout(ctx, tt.deadline)
					defer stop()
				}
				if tt.cancel > 0 {
					defer time.AfterFunc(tt.cancel, cancel).Stop()
				}
				started := time.Now()
				assert.Equal(t, tt.want, backoff.Sleep(ctx, d))
				assert.Equal(t, tt.slept, time.Since(started))
			})
		})
	}
}

func TestSleep_AlreadyCanceled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		started := time.Now()
		assert.False(t, backoff.Sleep(ctx, time.Hour))
		assert.Zero(t, time.Since(started))
	})
}
