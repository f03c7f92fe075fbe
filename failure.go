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
	"unicode/utf8"

	"github.com/vidu-go/vidu/internal/backoff"
	"github.com/vidu-go/vidu/internal/oneshot"
	"github.com/vidu-go/vidu/internal/scrub"
)

// What went wrong becomes a public error here. The functions work on values, so that they can be read, and called,
// apart from the path of a call.

// callError is any failure but an error response. Its text is bounded and free of the key, whatever the cause's is.
type callError struct {
	text string
	err  error
}

func (e *callError) Error() string { return e.text }
func (e *callError) Unwrap() error { return e.err }

// wrap names the call that failed. A cause that quotes a secret is not found by unwrapping.
func (op operation) wrap(err error) error {
	mask := op.mask
	if _, ours := errors.AsType[*oneshot.SourceError](err); !ours { // an error about media quotes the names of files
		mask = op.maskText
	}
	err = scrub.Error(err, mask)
	return &callError{text: "vidu: " + op.name + ": " + scrub.OneLine(err.Error(), 300), err: err}
}

// maskText masks what is secret in the words of others: the key, and queries and user names of links.
func (op operation) maskText(text string) string { return scrub.Queries(op.mask(text)) }

// refusal returns the error of a response outside 2xx.
func (op operation) refusal(a *attempt) *APIError {
	e := parseEnvelope(a.body)
	failure := e.apiError(a.status)
	failure.RetryAfter = backoff.RetryAfter(a.header.Get("Retry-After"), time.Now())
	if a.status/100 == 3 && !op.link {
		location := scrub.URL(op.mask(a.header.Get("Location")))
		failure.Message = "redirect to " + cmp.Or(location, "nowhere") + " not followed"
	}
	return op.complete(a, failure)
}

// complete adds what every APIError has and masks what is secret in the server's words. In the body, of which Metadata
// is a part, the key is masked already.
func (op operation) complete(a *attempt, failure *APIError) *APIError {
	failure.op, failure.unread = op.name, a.unread
	failure.Message = op.maskText(failure.Message)
	failure.Code = ErrorCode(op.maskText(string(failure.Code)))
	failure.Body = op.excerpt(a)
	if failure.TraceID == "" {
		failure.TraceID = traceIDOf(a.header, op.mask)
	}
	failure.TraceID = op.maskText(failure.TraceID)
	return failure
}

// maybeCreated returns the error of a paid call after which a task may exist.
func (op operation) maybeCreated(a *attempt, payload string, from time.Time) *MaybeCreatedError {
	e := &MaybeCreatedError{
		Payload: payload, TaskID: op.mask(a.names().only()), From: from, To: time.Now(),
		StatusCode: a.status, TraceID: traceIDOf(a.header, op.mask), Body: op.excerpt(a), Err: a.err,
	}
	if failure, ok := errors.AsType[*APIError](a.err); ok {
		e.TraceID = failure.TraceID
	}
	return e
}

// excerpt returns what errors keep of a response; nil when there was none. In a long one some spellings of the key were
// not looked for.
func (op operation) excerpt(a *attempt) []byte {
	if len(a.body) == 0 {
		return nil
	}
	kept := keep(a.body)
	if len(kept) < len(a.body) {
		kept = []byte(op.mask(string(kept)))
	}
	return kept
}

// keptOfTexts are how many bytes are kept of each text in a long response: as many as fit. Ids are short.
var keptOfTexts = []int{8 << 10, 1 << 10, 64}

// keep returns what is worth keeping of text in maxErrorReply bytes: all of it, or all but the ends of long strings, or
// its beginning and its end.
func keep(text string) []byte {
	if len(text) <= maxErrorReply {
		return []byte(text)
	}
	for _, n := range keptOfTexts {
		if short, ok := shortenStrings(text, n); ok {
			return short
		}
	}
	const half = maxErrorReply/2 - len("…")
	return []byte(text[:half] + "…" + text[len(text)-half:])
}

// shortenStrings cuts each string of a JSON text to about n bytes. ok: the result is no longer than maxErrorReply.
func shortenStrings(text string, n int) (short []byte, ok bool) {
	for len(text) > 0 && len(short) <= maxErrorReply {
		start := strings.IndexByte(text, '"')
		if start < 0 {
			start = len(text)
		}
		short = append(short, text[:min(start, maxErrorReply+1)]...)
		text = text[start:]
		end := endOfString(text, len(text))
		if end > n+len(`"…"`) {
			short = append(append(short, text[:endOfString(text, n)]...), `…"`...)
		} else {
			short = append(short, text[:end]...)
		}
		text = text[end:]
	}
	return short, len(short) <= maxErrorReply
}

// endOfString returns where the string at the start of text ends, but no more than about n bytes on: it cuts no
// character and no escape.
func endOfString(text string, n int) int {
	i := min(1, len(text))
	for i < min(n, len(text)) {
		switch {
		case text[i] == '"':
			return i + 1
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == 'u':
			i += len(`\u0000`)
		case text[i] == '\\':
			i += 2
		default:
			_, size := utf8.DecodeRuneInString(text[i:])
			i += size
		}
	}
	return min(i, len(text))
}

// transportError takes net/http's error out of its *url.Error, which repeats the URL, and makes sure that errors.Is
// finds the end of the context even where it was given a cause of its own.
func transportError(ctx context.Context, err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("%w: %w", ended, err)
	}
	return err
}

// traceIDOf returns the request id from the headers that the API and its gateways use, "" where there is none.
func traceIDOf(header http.Header, mask func(string) string) string {
	for _, name := range []string{"X-Oneapi-Request-Id", "X-Request-Id", "X-Trace-Id", "Trace-Id"} {
		if values := header[name]; len(values) > 0 {
			return scrub.OneLine(scrub.Queries(mask(values[0])), 80)
		}
	}
	return ""
}

// unsupported turns the refusals of a server that lacks an endpoint into [ErrNotSupported] and leaves others alone.
func unsupported(err error) error {
	failure, ok := errors.AsType[*APIError](err)
	if !ok || errors.Is(failure, ErrTaskNotFound) { // the endpoint is there, the task is not
		return err
	}
	switch failure.StatusCode {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		text := ErrNotSupported.Error() + ": " + strings.TrimPrefix(err.Error(), "vidu: ")
		return &callError{text: text, err: ErrNotSupported} // not err: its code would match ErrNotFound
	}
	return err
}

// maskTask masks what is secret in the texts of a task that become errors and logs: the key, and queries and user names
// of links.
func maskTask(task *Task, mask func(string) string) {
	task.State = State(scrub.Queries(mask(string(task.State))))
	task.ErrCode = ErrorCode(scrub.Queries(mask(string(task.ErrCode))))
	task.ErrMessage = scrub.Queries(mask(task.ErrMessage))
	for i, warning := range task.Warnings {
		task.Warnings[i] = scrub.Queries(mask(warning))
	}
}

// isStatus reports whether err is an error response with this HTTP status.
func isStatus(err error, status int) bool {
	failure, ok := errors.AsType[*APIError](err)
	return ok && failure.StatusCode == status
}
