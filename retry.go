package vidu

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	maxRetryAfter  = 60 * time.Second // longer is the caller's decision, who finds the wish in APIError.RetryAfter
	quotaPause     = 5 * time.Second  // a running task must end before QuotaExceeded can
	backoffFloor   = 500 * time.Millisecond
	backoffCeiling = 8 * time.Second
)

// retryDelay is how long to wait before retry number retry (from 1), given how the last attempt failed.
func retryDelay(backoff func(retry int) time.Duration, retry int, err error) time.Duration {
	delay := backoff(retry)
	var failure *APIError
	if !errors.As(err, &failure) {
		return delay
	}
	if failure.Code == ErrQuotaExceeded {
		delay = max(delay, quotaPause)
	}
	return max(delay, min(failure.RetryAfter, maxRetryAfter))
}

// fullJitter is the default backoff: uniform between zero and a limit that doubles from 0.5 s to 8 s.
func fullJitter(retry int) time.Duration {
	limit := backoffCeiling
	if shift := retry - 1; shift < 4 {
		limit = backoffFloor << shift
	}
	return rand.N(limit) //nolint:gosec // spreading load needs no secrecy
}

// retryBudget bounds what one client adds to an outage. Every retry takes a token and every call that succeeds gives a
// tenth of one back, so against a dead server a client soon sends no more requests than it has calls.
type retryBudget struct {
	mu    sync.Mutex
	spent float64
}

const (
	retryTokens = 100
	retryRefund = 0.1
)

// take reports whether one more retry is within the budget.
func (b *retryBudget) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spent+1 > retryTokens {
		return false
	}
	b.spent++
	return true
}

func (b *retryBudget) refund() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = max(b.spent-retryRefund, 0)
}

// parseRetryAfter reads seconds or an HTTP date. What makes no sense or lies in the past is 0.
func parseRetryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(header, 10, 64); err == nil {
		const longest = 10 * 365 * 24 * 60 * 60 // keeps the product far from overflow
		return time.Duration(min(max(seconds, 0), longest)) * time.Second
	}
	if date, err := http.ParseTime(header); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}

// sleep waits for d or until ctx ends. It returns false at once when ctx would end first.
func sleep(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
