package vidu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vidu-go/vidu/internal/backoff"
	"github.com/vidu-go/vidu/internal/scrub"
)

// refusal makes the error of an answer outside 2xx.
func (c *Client) refusal(rq *request, resp *http.Response, a *attempt) *APIError {
	if rq.signed != nil { // what a storage says may quote the signed link, in any spelling
		a.body = nil
	}
	e := parseEnvelope(a.body)
	failure := e.apiError(a.status)
	failure.RetryAfter = backoff.RetryAfter(resp.Header.Get("Retry-After"), time.Now())
	if location := resp.Header.Get("Location"); a.status/100 == 3 && rq.signed == nil {
		failure.Message = "redirect to " + cmp.Or(scrub.URL(c.redact(location)), "nowhere") + " not followed"
	}
	return c.finish(rq, a, failure)
}

// finish adds what every APIError has and masks the key in what the server wrote.
func (c *Client) finish(rq *request, a *attempt, failure *APIError) *APIError {
	failure.op = c.op(rq)
	failure.Message = c.redact(failure.Message)
	failure.Code = ErrorCode(c.redact(string(failure.Code)))
	failure.Body = c.excerpt(a)
	if failure.Metadata != nil {
		failure.Metadata = []byte(c.redact(string(failure.Metadata)))
	}
	if failure.TraceID == "" {
		failure.TraceID = c.traceIDOf(a.header)
	}
	failure.TraceID = c.redact(failure.TraceID)
	return failure
}

// excerpt is what errors keep of an answer; nil when there was none.
func (c *Client) excerpt(a *attempt) []byte {
	if len(a.body) == 0 {
		return nil
	}
	return []byte(c.redact(string(a.body[:min(len(a.body), maxErrorReply)])))
}

func (c *Client) op(rq *request) string { return scrub.OneLine(rq.method+" "+c.target(rq).Path, 160) }

// callError is any failure but an answer that says no. Its text is bounded and free of the key, whatever the cause's is.
type callError struct {
	text string
	err  error
}

func (e *callError) Error() string { return e.text }

func (e *callError) Unwrap() error { return e.err }

// wrap says which call failed.
func (c *Client) wrap(rq *request, err error) error {
	text := c.redact(err.Error())
	if _, ours := errors.AsType[*mediaError](err); !ours { // an error about media quotes the names of files
		text = scrub.Queries(text)
	}
	if rq.signed != nil && rq.signed.url.RawQuery != "" {
		text = strings.ReplaceAll(text, rq.signed.url.RawQuery, "[redacted]")
	}
	if text != err.Error() { // a cause that quotes a secret must not be found by unwrapping
		switch {
		case errors.Is(err, context.Canceled):
			err = context.Canceled
		case errors.Is(err, context.DeadlineExceeded):
			err = context.DeadlineExceeded
		default:
			err = nil
		}
	}
	return &callError{text: "vidu: " + c.op(rq) + ": " + scrub.OneLine(text, 300), err: err}
}

// transportError takes net/http's error out of its *url.Error, which repeats the URL, and makes sure that the end of
// the context can be told even where it was given a cause of its own.
func transportError(ctx context.Context, err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("%w: %w", ended, err)
	}
	return err
}

// traceIDOf finds the request id in the headers that the API and its gateways use.
func (c *Client) traceIDOf(header http.Header) string {
	for _, name := range []string{"X-Oneapi-Request-Id", "X-Request-Id", "X-Trace-Id", "Trace-Id"} {
		if values := header[name]; len(values) > 0 {
			return scrub.OneLine(c.redact(values[0]), 80)
		}
	}
	return ""
}

// unsupported tells "the server has no such endpoint" from other refusals.
func unsupported(err error) error {
	failure, ok := errors.AsType[*APIError](err)
	if !ok || failure.Code == ErrTaskNotFound {
		return err
	}
	switch failure.StatusCode {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		text := ErrNotSupported.Error() + ": " + strings.TrimPrefix(err.Error(), "vidu: ")
		return &callError{text: text, err: ErrNotSupported} // not err: its code would match ErrNotFound
	}
	return err
}

func isStatus(err error, status int) bool {
	failure, ok := errors.AsType[*APIError](err)
	return ok && failure.StatusCode == status
}
