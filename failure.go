package vidu

import (
	"bytes"
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

// wrap names the call that failed.
func (op operation) wrap(err error) error {
	text := op.mask(err.Error())
	if _, ours := errors.AsType[*oneshot.SourceError](err); !ours { // an error about media quotes the names of files
		text = scrub.Queries(text)
	}
	if op.query != "" {
		text = strings.ReplaceAll(text, op.query, "[redacted]")
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
	return &callError{text: "vidu: " + op.name + ": " + scrub.OneLine(text, 300), err: err}
}

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

// complete adds what every APIError has and masks the key in what the server wrote.
func (op operation) complete(a *attempt, failure *APIError) *APIError {
	failure.op, failure.unread = op.name, a.unread
	failure.Message = op.mask(failure.Message)
	failure.Code = ErrorCode(op.mask(string(failure.Code)))
	failure.Body = op.excerpt(a)
	if failure.Metadata != nil {
		failure.Metadata = []byte(op.mask(string(failure.Metadata)))
	}
	if failure.TraceID == "" {
		failure.TraceID = traceIDOf(a.header, op.mask)
	}
	failure.TraceID = op.mask(failure.TraceID)
	return failure
}

// maybeCreated returns the error of a paid call after which a task may exist.
func (op operation) maybeCreated(a *attempt, payload string, from time.Time) *MaybeCreatedError {
	e := &MaybeCreatedError{
		Payload: payload, TaskID: op.mask(a.names().only()), From: from, To: time.Now(), StatusCode: a.status, TraceID: traceIDOf(a.header, op.mask), Err: a.err,
		Body: op.excerpt(a),
	}
	if failure, ok := errors.AsType[*APIError](a.err); ok {
		e.TraceID = failure.TraceID
	}
	return e
}

// excerpt returns what errors keep of a response; nil when there was none.
func (op operation) excerpt(a *attempt) []byte {
	if len(a.body) == 0 {
		return nil
	}
	return keep(a.body, op.mask)
}

// keptOfTexts are how many bytes are kept of each text in a long response: as many as fit. Ids are short.
var keptOfTexts = []int{8 << 10, 1 << 10, 64}

// longestSecret is how far what is masked reaches beyond a cut, whatever its spelling.
const longestSecret = 2 << 10

// keep returns what is worth keeping of text in maxErrorReply bytes: all of it, or all but the ends of long strings, or
// its beginning and its end. Text is masked before it is cut: a part of a key would not be recognized.
func keep(text []byte, mask func(string) string) []byte {
	for i := 0; len(text) > maxErrorReply && i < len(keptOfTexts); i++ {
		if short, ok := shortenStrings(text, keptOfTexts[i], mask); ok {
			text = short
		}
	}
	if len(text) <= maxErrorReply {
		masked := mask(string(text))
		return []byte(masked[:min(len(masked), maxErrorReply)])
	}
	const half, window = maxErrorReply/2 - len("…"), maxErrorReply/2 + longestSecret
	head, tail := mask(string(text[:window])), mask(string(text[len(text)-window:]))
	head, tail = head[:len(head)-longestSecret], tail[longestSecret:]
	return []byte(head[:min(len(head), half)] + "…" + tail[max(len(tail)-half, 0):])
}

// shortenStrings cuts each string of a JSON text to about n bytes. ok: the result is no longer than maxErrorReply.
func shortenStrings(text []byte, n int, mask func(string) string) (short []byte, ok bool) {
	for len(text) > 0 && len(short) <= maxErrorReply {
		start := bytes.IndexByte(text, '"')
		if start < 0 {
			start = len(text)
		}
		short = append(short, text[:min(start, maxErrorReply+1)]...)
		text = text[start:]
		end := endOfString(text, len(text))
		if end > n+len(`"…"`) {
			masked := mask(string(text[:min(end, n+longestSecret)]))
			short = append(append(short, masked[:endOfString([]byte(masked), n)]...), `…"`...)
		} else {
			short = append(short, text[:end]...)
		}
		text = text[end:]
	}
	return short, len(short) <= maxErrorReply
}

// endOfString returns where the string at the start of text ends, but no more than about n bytes on: it cuts no
// character and no escape.
func endOfString(text []byte, n int) int {
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
			_, size := utf8.DecodeRune(text[i:])
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
			return scrub.OneLine(mask(values[0]), 80)
		}
	}
	return ""
}

// unsupported turns the refusals of a server that lacks an endpoint into [ErrNotSupported] and leaves others alone.
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

// isStatus reports whether err is an error response with this HTTP status.
func isStatus(err error, status int) bool {
	failure, ok := errors.AsType[*APIError](err)
	return ok && failure.StatusCode == status
}
