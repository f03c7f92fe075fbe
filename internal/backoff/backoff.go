// Package backoff is how to wait between attempts: jittered pauses, a budget of retries, the server's Retry-After and a
// sleep that a context cuts short. Whether an attempt may be repeated is not decided here.
package backoff

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// MaxRetryAfter is the longest Retry-After that is waited for. What to do about a longer one is the caller's decision.
const MaxRetryAfter = 60 * time.Second

const (
	floor   = 500 * time.Millisecond
	ceiling = 8 * time.Second
)

// FullJitter is the pause before a retry (the first is 1): uniform between zero and a limit that doubles from 0.5 s to
// 8 s.
func FullJitter(retry int) time.Duration {
	limit := ceiling
	if shift := retry - 1; shift < 4 {
		limit = floor << shift
	}
	return rand.N(limit) //nolint:gosec // spreading load needs no secrecy
}

// Budget bounds what one client adds to an outage. Every retry takes one of 100 tokens and every call that succeeds
// refunds a tenth of one, so against a dead server a client soon sends no more requests than it has calls. The zero
// Budget is full.
type Budget struct {
	mu    sync.Mutex
	spent float64
}

const (
	tokens = 100
	refund = 0.1
)

// Take takes a token for one more retry and reports whether there was one.
func (b *Budget) Take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spent+1 > tokens {
		return false
	}
	b.spent++
	return true
}

// Refund is called after every call that succeeded.
func (b *Budget) Refund() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = max(b.spent-refund, 0)
}

// RetryAfter returns the pause that a Retry-After header asks for, in seconds or as an HTTP date. It is 0 for what
// cannot be parsed and for the past, and not bounded by [MaxRetryAfter].
func RetryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(header, 10, 64); err == nil {
		const longest = 10 * 365 * 24 * 60 * 60 // keeps the product far from overflow
		return time.Duration(min(max(seconds, 0), longest)) * time.Second
	}
	if date, err := http.ParseTime(header); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}

// Sleep waits for d and reports whether it could. It returns false at once when the deadline of ctx comes first, and as
// soon as ctx is canceled.
func Sleep(ctx context.Context, d time.Duration) bool {
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
