package vidu

import (
	"errors"
	"time"

	"github.com/vidu-go/vidu/internal/backoff"
)

const quotaPause = 5 * time.Second // a running task must end before QuotaExceeded can

// retryDelay is how long to wait before retry number retry (from 1), given how the last attempt failed.
func retryDelay(pause func(retry int) time.Duration, retry int, err error) time.Duration {
	delay := pause(retry)
	var failure *APIError
	if !errors.As(err, &failure) {
		return delay
	}
	if failure.Code == ErrQuotaExceeded {
		delay = max(delay, quotaPause)
	}
	return max(delay, min(failure.RetryAfter, backoff.MaxRetryAfter))
}
