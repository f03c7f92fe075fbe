package vidu

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/vidu-go/vidu/internal/backoff"
	"github.com/vidu-go/vidu/internal/lenientjson"
	"github.com/vidu-go/vidu/internal/oneshot"
	"github.com/vidu-go/vidu/internal/scrub"
	"github.com/vidu-go/vidu/internal/transport"
)

// Every call of the API takes one way, which this file shows from top to bottom: call, sendWithRetry, send,
// readResponse, and readReply for the 2xx reply. What a failed attempt proves is in verdict.go, how it becomes an error
// in failure.go.

// call sends rq and passes the attempt that succeeded to read. The error of a paid request is a [*MaybeCreatedError]
// unless it is provable that no task was created.
func (c *Client) call(ctx context.Context, rq *request, read func(*attempt) error) (err error) {
	if err := c.ready(ctx); err != nil {
		return err
	}
	if !rq.paid { // the trace of a create ends after its look-up
		ctx, rq.trace = startTrace(ctx, c.tracer, rq.operation)
		defer func() { rq.trace.end(rq.taskID, readOutcome(err), err) }()
	}
	from := time.Now()
	a := c.sendWithRetry(ctx, rq, from)
	c.readReply(rq, a, read)
	if a.err == nil || !rq.paid || classifyCreate(a) != ambiguous {
		return a.err
	}
	return c.operation(rq).maybeCreated(a, rq.payload, from)
}

// sendWithRetry sends rq until it succeeds, must not be sent again, or has used up its attempts. The first one starts
// now.
func (c *Client) sendWithRetry(ctx context.Context, rq *request, now time.Time) *attempt {
	classify := classifyRead
	if rq.paid {
		classify = classifyCreate
	}
	expect := true
	for n, started := 1, now; ; n, started = n+1, time.Now() {
		a := c.send(ctx, rq, expect)
		c.report(ctx, rq, a, n, started)
		expect = expect && a.status != http.StatusExpectationFailed
		if a.err == nil {
			c.budget.Refund()
			return a
		}
		if n == c.maxAttempts || classify(a) != retry || !c.budget.Take() {
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

const quotaPause = 5 * time.Second // a running task must end before QuotaExceeded can

// retryDelay returns how long to wait before retry number n (from 1), given how the last attempt failed.
func retryDelay(pause func(retry int) time.Duration, n int, err error) time.Duration {
	delay := pause(n)
	var failure *APIError
	if !errors.As(err, &failure) {
		return delay
	}
	if errors.Is(failure.Code.orNil(), ErrQuotaExceeded) {
		delay = max(delay, quotaPause)
	}
	return max(delay, min(failure.RetryAfter, backoff.MaxRetryAfter))
}

// report tells the tracer and the logger of one attempt.
func (c *Client) report(ctx context.Context, rq *request, a *attempt, n int, started time.Time) {
	if c.logger == nil && rq.trace == nil {
		return
	}
	took, requestID := time.Since(started), traceIDOf(a.header, c.redact)
	rq.trace.attempt(Attempt{Number: n, StatusCode: a.status, Duration: took, RequestID: requestID, Err: a.err})
	attrs := []slog.Attr{
		slog.String("method", rq.method), slog.String("path", c.target(rq).Path), slog.Int("status", a.status),
		slog.Duration("duration", took), slog.Int("attempt", n), slog.String("request_id", requestID),
	}
	if a.unread {
		attrs = append(attrs, slog.String("note", bodyUnread))
	}
	c.record(ctx, slog.LevelDebug, "vidu: request", attrs...)
}

// A body of expectFrom bytes or more is announced with Expect: 100-continue. A refusal then comes before the upload,
// saves it, and proves that nothing was created. A server that ignores the announcement costs a second.
const expectFrom = 1 << 20

var expectContinue = []string{"100-continue"}

// send sends rq once and reads the response.
func (c *Client) send(ctx context.Context, rq *request, expect bool) *attempt {
	a := &attempt{}
	var sent *oneshot.Reader
	if rq.body != nil {
		sent = &a.reqBody
		rq.body.OpenIn(sent)
		defer sent.Close() //nolint:errcheck // its failures show in Read
	}
	route := c.routeFor(rq)
	var guarded context.Context
	if rq.paid {
		guarded = a.guard.GuardCreate(ctx, route.Timeout, sent)
	} else {
		guarded = a.guard.GuardRead(ctx, route.Timeout)
	}
	defer a.guard.Release()
	req := c.newRequest(guarded, rq, a)
	if sent != nil {
		req.Body, req.ContentLength = sent, rq.body.Size()
		if expect && rq.body.Size() >= expectFrom {
			req.Header["Expect"] = expectContinue
		}
	}
	resp, err := route.Transport.RoundTrip(req)
	err = transport.Check(resp, err)
	if sent != nil && (err != nil || resp.StatusCode > 299) { // after a 2xx the rest may go out while the reply is read
		a.incomplete = sent.Seal()
		a.unread = a.incomplete && err == nil && sent.Untouched()
	}
	a.ended = ctx.Err() != nil
	if err == nil && resp.StatusCode > 299 && a.guard.Retried() { // whatever it says, it may not be about the first sending
		resp.Body.Close()
		err = transport.ErrRetried
	}
	if err != nil {
		a.err = c.operation(rq).wrap(transportError(ctx, a.guard.Cause(err)))
		return a
	}
	defer resp.Body.Close()
	if a.incomplete { // the server may wait for the rest of the request while we wait for the rest of its early response
		defer time.AfterFunc(earlyResponseTime, a.guard.Release).Stop()
	}
	c.readResponse(ctx, rq, resp, a)
	return a
}

const earlyResponseTime = 30 * time.Second

// readResponse fills a from resp. Only a 2xx that was read to its end leaves a.err nil.
func (c *Client) readResponse(ctx context.Context, rq *request, resp *http.Response, a *attempt) {
	a.status, a.header = resp.StatusCode, resp.Header
	if a.status < 200 { // 101: the body would be a raw connection
		a.err = c.operation(rq).wrap(fmt.Errorf("unexpected HTTP %d", a.status))
		return
	}
	limit := rq.limit
	if a.status > 299 {
		limit = maxErrorReply
	}
	encoding, err := c.readBody(resp, a, limit)
	encoded := encoding != ""
	tooBig := errors.Is(err, transport.ErrTooBig)
	switch {
	case a.status > 299:
		if rq.presigned != nil { // the storage's words may quote the presigned link, in any spelling
			a.body = ""
		}
		torn := isTornJSON(a.body)
		a.truncated = encoded || torn || (err != nil && !tooBig) // web pages may be too big
		a.cutShort = tooBig && torn
		a.err = c.operation(rq).refusal(a)
		if tooBig {
			transport.Drain(resp.Body) // a web page read to its end leaves the connection usable
		}
	case encoded:
		a.err = c.operation(rq).wrap(fmt.Errorf("%w: it is encoded as %s, which was not asked for", errBadReply, scrub.OneLine(c.redact(encoding), 20)))
	case tooBig:
		a.err = c.operation(rq).wrap(fmt.Errorf("HTTP %d: %w of %d bytes", a.status, errReplyTooBig, limit))
	case errors.Is(err, transport.ErrGzip):
		a.err = c.operation(rq).wrap(fmt.Errorf("HTTP %d: %w: %w", a.status, errBadReply, err))
	case err != nil:
		a.err = c.operation(rq).wrap(fmt.Errorf("HTTP %d, but the reply broke off: %w", a.status, transportError(ctx, a.guard.Cause(err))))
	}
}

// readBody reads the body of resp, which may be packed, and masks the key in it. It returns in which encoding the body
// still is, "" for none: whatever the header says, JSON is JSON.
func (c *Client) readBody(resp *http.Response, a *attempt, limit int64) (encoding string, err error) {
	a.body, err = transport.ReadBounded(resp.Body, limit)
	a.body = c.redactBody(a.body, err != nil)
	if encoding = transport.Encoding(resp.Header); encoding != "" && lenientjson.Value(a.reply()).Valid() {
		encoding = ""
	}
	return encoding, err
}

// readReply passes a 2xx reply to read. The truncated reply to a paid request is read, too: it may contain the task id.
func (c *Client) readReply(rq *request, a *attempt, read func(*attempt) error) {
	if a.err != nil && (!rq.paid || a.status/100 != 2) {
		return
	}
	err := read(a)
	failure, isEnvelope := errors.AsType[*APIError](err)
	switch {
	case err == nil:
		a.err = nil
	case a.err != nil: // that the reply broke off is the better explanation
	case rq.paid && errors.Is(err, errNoTask) && a.names().named():
		a.err = c.operation(rq).wrap(fmt.Errorf("HTTP %d: %w", a.status, errElsewhere))
	case isEnvelope:
		failure.StatusCode = a.status
		a.err = c.operation(rq).complete(a, failure)
	default:
		a.err = c.operation(rq).wrap(fmt.Errorf("HTTP %d: %w", a.status, err))
	}
}

// readOutcome returns the outcome of a call that is no create.
func readOutcome(err error) Outcome {
	if err != nil {
		return OutcomeFailed
	}
	return OutcomeOK
}

// createOutcome returns the outcome of a create.
func createOutcome(err error) Outcome {
	_, answered := errors.AsType[*APIError](err)
	switch {
	case err == nil:
		return OutcomeCreated
	case errors.Is(err, ErrMaybeCreated):
		return OutcomeUnknown
	case answered:
		return OutcomeRefused
	}
	return OutcomeNotSent
}
