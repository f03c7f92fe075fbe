package vidu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/vidu-go/vidu/internal/backoff"
	"github.com/vidu-go/vidu/internal/scrub"
)

// call does rq and hands the reply to read. It is where every failure gets its promise.
func (c *Client) call(ctx context.Context, rq *request, read func(reply []byte) error) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	from := time.Now()
	a := c.sendWithRetry(ctx, rq)
	c.decode(rq, a, read)
	if a.err == nil || !rq.paid || judgeCreate(a) != ambiguous {
		return a.err
	}
	e := &MaybeCreatedError{
		Payload: rq.payload, From: from, To: time.Now(), StatusCode: a.status, TraceID: c.traceIDOf(a.header), Err: a.err,
		Body: c.excerpt(a),
	}
	if failure, ok := errors.AsType[*APIError](a.err); ok {
		e.TraceID = failure.TraceID
	}
	return e
}

// decode reads a 2xx answer. One that broke off is tried, too, when it was paid for: it may still hold the task's id.
func (c *Client) decode(rq *request, a *attempt, read func(reply []byte) error) {
	if a.err != nil && (!rq.paid || a.status/100 != 2) {
		return
	}
	err := read(a.body)
	failure, isEnvelope := errors.AsType[*APIError](err)
	switch {
	case err == nil:
		a.err = nil
	case a.err != nil: // that it broke off says more
	case isEnvelope:
		failure.StatusCode = a.status
		a.err = c.finish(rq, a, failure)
	default:
		a.err = c.wrap(rq, fmt.Errorf("HTTP %d: %w", a.status, err))
	}
}

// sendWithRetry sends rq until it succeeds, fails for good, must not be sent again, or has used up its attempts.
func (c *Client) sendWithRetry(ctx context.Context, rq *request) *attempt {
	judge := judgeRead
	if rq.paid {
		judge = judgeCreate
	}
	expect := true
	for n := 1; ; n++ {
		started := time.Now()
		a := c.send(ctx, rq, expect)
		c.log(ctx, rq, a, n, time.Since(started))
		expect = a.status != http.StatusExpectationFailed
		if a.err == nil {
			c.budget.Refund()
			return a
		}
		if n == c.maxAttempts || judge(a) != again || !c.budget.Take() {
			return a
		}
		if !backoff.Sleep(ctx, retryDelay(c.backoff, n, a.err)) {
			if ended := ctx.Err(); ended != nil {
				a.err = fmt.Errorf("%w; %w while waiting to try again", a.err, ended)
			}
			return a
		}
	}
}

// log writes the record of one attempt.
func (c *Client) log(ctx context.Context, rq *request, a *attempt, n int, took time.Duration) {
	if c.logger == nil {
		return
	}
	c.record(ctx, slog.LevelDebug, "vidu: request",
		slog.String("method", rq.method), slog.String("path", c.target(rq).Path), slog.Int("status", a.status),
		slog.Duration("duration", took), slog.Int("attempt", n), slog.String("request_id", c.traceIDOf(a.header)))
}

// send puts one request on the wire and reads the answer. expect announces a large body before it is sent.
func (c *Client) send(ctx context.Context, rq *request, expect bool) *attempt {
	a := &attempt{}
	var sent *oneShot
	if rq.body != nil {
		sent = rq.body.open()
		defer sent.Close() //nolint:errcheck // its failures show in Read
	}
	guarded, g := guard(ctx, rq.paid, sent)
	defer g.release()
	req := c.newRequest(guarded, rq)
	if sent != nil {
		req.Body, req.ContentLength = sent, rq.body.size
		if expect && rq.body.size >= expectFrom {
			req.Header["Expect"] = expectContinue
		}
	}
	resp, err := c.clientFor(rq).Do(req)
	if sent != nil && (err != nil || resp.StatusCode > 299) { // after a 2xx the rest may go out while the reply is read
		a.incomplete = sent.seal()
	}
	a.ended = ctx.Err() != nil
	if resent := context.Cause(guarded) == errResent; resent && (err != nil || resp.StatusCode > 299) { //nolint:errorlint // the very one
		if err == nil { // whatever it says, it may not speak of the first sending
			resp.Body.Close()
		}
		err = errResent
	}
	if err != nil {
		a.err = c.wrap(rq, transportError(ctx, err))
		return a
	}
	defer resp.Body.Close()
	if a.incomplete { // the server may wait for the rest of the request as we wait for the rest of its early answer
		defer time.AfterFunc(earlyAnswerTime, g.release).Stop()
	}
	c.readAnswer(ctx, rq, resp, a)
	return a
}

const earlyAnswerTime = 30 * time.Second

// readAnswer fills a from resp. Only a 2xx that was read whole leaves a.err nil.
func (c *Client) readAnswer(ctx context.Context, rq *request, resp *http.Response, a *attempt) {
	a.status, a.header = resp.StatusCode, resp.Header
	if a.status < 200 { // 101: the body would be a raw connection
		a.err = c.wrap(rq, fmt.Errorf("unexpected HTTP %d", a.status))
		return
	}
	limit := rq.limit
	if a.status > 299 {
		limit = maxErrorReply
	}
	var err error
	a.body, err = readBounded(resp.Body, resp.ContentLength, limit)
	encoding := resp.Header.Get("Content-Encoding")
	encoded := encoding != "" && encoding != "identity"
	switch {
	case a.status > 299:
		tooBig := errors.Is(err, errReplyTooBig) // as web pages may be
		a.cut = encoded || (err != nil && !tooBig) || isTornJSON(a.body)
		a.err = c.refusal(rq, resp, a)
	case encoded:
		a.err = c.wrap(rq, fmt.Errorf("%w: it is encoded as %s, which was not asked for", errBadReply, scrub.OneLine(encoding, 20)))
	case err != nil:
		a.err = c.wrap(rq, fmt.Errorf("HTTP %d, but the reply broke off: %w", a.status, transportError(ctx, err)))
	}
	if a.status > 299 && errors.Is(err, errReplyTooBig) {
		io.CopyN(io.Discard, resp.Body, maxDrain) //nolint:errcheck // a web page read to its end leaves the connection usable
	}
}

// expectFrom is the size of a body from which on the server is asked before it is sent. A refusal then comes before
// the upload, saves it, and proves that nothing was created. A server that does not answer costs a second.
const expectFrom = 1 << 20

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

const quotaPause = 5 * time.Second // a running task must end before QuotaExceeded can
