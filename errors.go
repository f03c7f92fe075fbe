package vidu

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vidu-go/vidu/internal/backoff"
	"github.com/vidu-go/vidu/internal/oneshot"
	"github.com/vidu-go/vidu/internal/scrub"
)

// ErrMaybeCreated marks every error after which a task may exist and be billed. It is the one question to ask after a
// failed [Client.Reference2Video]: if errors.Is(err, ErrMaybeCreated) is false, nothing was created. The error that
// carries it is a [*MaybeCreatedError].
var ErrMaybeCreated = errors.New("vidu: a task may have been created")

// ErrorCode is the API's own word for a failure. It is itself an error, so that one line matches a refused call and a
// failed task alike:
//
//	if errors.Is(err, vidu.ErrCreditInsufficient) { … }
//
// The set is open: codes that this package does not know pass through as they came. Source: the error codes page of
// platform.vidu.com.
type ErrorCode string //nolint:errname // "code" is the field's own term; the type is an error the way syscall.Errno is one

// Codes of a request that was refused for what it says. Sending it again as it is changes nothing.
const (
	ErrBadRequest               ErrorCode = "BadRequest"               // 400, the request as a whole; also a cancel that came too late
	ErrFieldLacking             ErrorCode = "FieldLacking"             // 400, a required field is missing
	ErrFieldUnwanted            ErrorCode = "FieldUnwanted"            // 400, a field that the model does not take
	ErrFieldItemCountOutOfRange ErrorCode = "FieldItemCountOutOfRange" // 400, too few or too many images, videos or subjects
	ErrFieldInvalid             ErrorCode = "FieldInvalid"             // 400, a value that the model does not take
	ErrPageSizeOutOfRange       ErrorCode = "PageSizeOutOfRange"       // 400, of a list; at most 100
	ErrModelUnavailable         ErrorCode = "ModelUnavailable"         // 400, no such model, or not for this account
)

// Codes of media that cannot be used. The download failures usually come as the code of a failed task.
const (
	ErrImageFormatInvalid   ErrorCode = "ImageFormatInvalid"   // 400, not png, jpeg or webp
	ErrImageSizeInvalid     ErrorCode = "ImageSizeInvalid"     // 400, too large, too small or out of ratio
	ErrImageDownloadFailure ErrorCode = "ImageDownloadFailure" // 400, the server could not fetch a link
	ErrVideoFormatInvalid   ErrorCode = "VideoFormatInvalid"   // 400, not mp4, avi or mov
	ErrVideoDownloadFailure ErrorCode = "VideoDownloadFailure" // 400, the server could not fetch a link
)

// Codes of the content moderation.
const (
	ErrTaskPromptPolicyViolation ErrorCode = "TaskPromptPolicyViolation" // 400, the prompt
	ErrAuditSubmitIllegal        ErrorCode = "AuditSubmitIllegal"        // 400, what was sent
	ErrCreationPolicyViolation   ErrorCode = "CreationPolicyViolation"   // 400, the result
	ErrPhotoAuditNotPass         ErrorCode = "PhotoAuditNotPass"         // 400, an image
	ErrAuditFailed               ErrorCode = "AuditFailed"               // 400, of a failed task as a rule
)

// Codes of the account, the key and its limits. ErrCreditInsufficient also matches the words that gateways use for an
// empty balance, such as insufficient_quota.
const (
	ErrUnauthorized       ErrorCode = "Unauthorized"       // 401, the key is wrong or its scheme is, see [WithAuthScheme]
	ErrForbidden          ErrorCode = "Forbidden"          // 403, the key may not do this
	ErrCreditInsufficient ErrorCode = "CreditInsufficient" // 400 or 402, the balance is too low
	ErrQuotaExceeded      ErrorCode = "QuotaExceeded"      // 429, too many tasks at once; may pass
	ErrTooManyRequests    ErrorCode = "TooManyRequests"    // 429, too many requests; may pass
	ErrSystemThrottling   ErrorCode = "SystemThrottling"   // 429, the server is busy; may pass
)

// Codes of the state of a task or of the server.
const (
	ErrTaskNotFound           ErrorCode = "TaskNotFound"           // 404, no such task, or not yet
	ErrCreationNotFound       ErrorCode = "CreationNotFound"       // 404, no such result
	ErrNotFound               ErrorCode = "NotFound"               // 404; also of [Client.FindTask], where it means: not seen
	ErrOperationInProcess     ErrorCode = "OperationInProcess"     // 400, please wait; after a create a task may exist
	ErrConflict               ErrorCode = "Conflict"               // 409, a twin may exist
	ErrUserCancelled          ErrorCode = "UserCancelled"          // of a task that was cancelled
	ErrCanceled               ErrorCode = "Canceled"               // 499, the request was given up midway; after a create a task may exist
	ErrInternalServiceFailure ErrorCode = "InternalServiceFailure" // 500, may pass; after a create a task may exist
)

// Error returns the code as the API spells it.
func (c ErrorCode) Error() string { return scrub.OneLine(string(c), 80) }

// Is makes [ErrCreditInsufficient] match every spelling of "out of money".
func (c ErrorCode) Is(target error) bool {
	return target == ErrCreditInsufficient && c.outOfMoney()
}

// outOfMoney tells the codes that no waiting cures. Gateways say insufficient_quota, insufficient_user_quota,
// insufficient_balance and the like, some of them with status 429; insufficient_permissions is something else.
func (c ErrorCode) outOfMoney() bool {
	lower := strings.ToLower(string(c))
	return strings.Contains(lower, "insufficient") &&
		slices.ContainsFunc([]string{"credit", "quota", "balance", "fund"}, func(money string) bool { return strings.Contains(lower, money) })
}

// statusClientClosed is nginx's "client closed request", which the API documents as Canceled.
const statusClientClosed = 499

// codeOfStatus is the code that an answer stands for when its body names none.
func codeOfStatus(status int) ErrorCode {
	switch status {
	case http.StatusBadRequest:
		return ErrBadRequest
	case http.StatusUnauthorized:
		return ErrUnauthorized
	case http.StatusPaymentRequired:
		return ErrCreditInsufficient
	case http.StatusForbidden:
		return ErrForbidden
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusConflict:
		return ErrConflict
	case http.StatusTooManyRequests:
		return ErrTooManyRequests
	case statusClientClosed:
		return ErrCanceled
	case http.StatusInternalServerError:
		return ErrInternalServiceFailure
	default:
		return ""
	}
}

// APIError is an answer of the server that says no: any status outside 2xx, or a 2xx that carries an error envelope.
// Returned by [Client.Reference2Video] on its own, not inside a [*MaybeCreatedError], it means that no task was
// created.
type APIError struct {
	StatusCode int             // HTTP status of the answer
	Code       ErrorCode       // the answer's "reason", else its "code", else what the status stands for; "" when unknown
	Message    string          // the server's own words; "" when there were none
	TraceID    string          // what the vendor's support asks for; "" when the answer has none
	RetryAfter time.Duration   // the Retry-After header as sent, in any of its forms; 0 when absent or unreadable
	Metadata   json.RawMessage // the envelope's "metadata"; nil when absent
	Body       []byte          // the answer as received, at most 64 KiB, with the API key masked

	op string // method and path
}

// Error is one line: operation, status, code, message and trace id.
func (e *APIError) Error() string {
	said := e.said()
	if said != "" {
		said = ": " + said
	}
	return "vidu: " + e.headline() + said + e.traceNote()
}

// headline is the operation, the status and the code.
func (e *APIError) headline() string {
	text := "HTTP " + strconv.Itoa(e.StatusCode)
	if e.op != "" {
		text = e.op + ": " + text
	}
	if e.Code != "" {
		text += " " + e.Code.Error()
	}
	return text
}

// said is the message or, where the envelope is unknown, the beginning of the body.
func (e *APIError) said() string {
	if scrub.IsMarkup([]byte(e.Message)) || (e.Message == "" && scrub.IsMarkup(e.Body)) {
		return "a web page, not an answer of the API"
	}
	if e.Message != "" {
		return scrub.OneLine(e.Message, 160)
	}
	return scrub.OneLine(string(e.Body), 120)
}

func (e *APIError) traceNote() string {
	if e.TraceID == "" {
		return ""
	}
	return " (trace id " + scrub.OneLine(e.TraceID, 64) + ")"
}

// Unwrap returns the code, so that errors.Is(err, [ErrQuotaExceeded]) holds.
func (e *APIError) Unwrap() error { return e.Code.orNil() }

// orNil keeps an absent code out of error chains.
func (c ErrorCode) orNil() error {
	if c == "" {
		return nil
	}
	return c
}

// TaskError is the failure of a task that had been accepted: it ended as failed or was cancelled. The API does not
// charge for it.
type TaskError struct {
	Task *Task // as last seen; ErrCode and ErrMessage say why
}

// Error is one line: task id, state, code and message.
func (e *TaskError) Error() string {
	if e.Task == nil {
		return "vidu: a task failed"
	}
	text := "vidu: task " + e.Task.ID + " " + scrub.OneLine(string(e.Task.State), 40)
	if e.Task.ErrCode != "" {
		text += ": " + e.Task.ErrCode.Error()
	}
	if e.Task.ErrMessage != "" {
		text += ": " + scrub.OneLine(e.Task.ErrMessage, 200)
	}
	return text
}

// Unwrap returns the task's error code, so that errors.Is(err, [ErrImageDownloadFailure]) holds.
func (e *TaskError) Unwrap() error {
	if e.Task == nil {
		return nil
	}
	return e.Task.ErrCode.orNil()
}

// FieldProblem is one thing that is wrong with a request.
type FieldProblem struct {
	Field  string // as on the wire, with index: "prompt", "images[3]", "subjects[0].name"
	Reason string // what is wrong, and what would be right
}

// ValidationError lists everything that is wrong with a request. Nothing was sent.
type ValidationError struct {
	Problems []FieldProblem // at least one
}

// Error is one line that names the first problems and counts the rest.
func (e *ValidationError) Error() string {
	const shown = 3
	var b strings.Builder
	b.WriteString("vidu: invalid request")
	for i, p := range e.Problems {
		if i == shown {
			fmt.Fprintf(&b, "; and %d more", len(e.Problems)-shown)
			break
		}
		b.WriteString([]string{": ", "; "}[min(i, 1)] + scrub.OneLine(p.Field, 40) + ": " + scrub.OneLine(p.Reason, 110))
	}
	return b.String()
}

// MaybeCreatedError is the outcome of a create that nobody can know from here: the server may have received the whole
// request, and a task may exist and be billed. Do not send the request again; look for the task by its payload, or
// alert a person.
type MaybeCreatedError struct {
	Payload    string    // the request's Payload, which comes back with the task; "" when none was set
	From, To   time.Time // when the call began and ended, by the local clock; a task may appear later, by the server's
	StatusCode int       // HTTP status of the answer; 0 when there was none
	TraceID    string    // of the answer; "" when it has none
	Body       []byte    // of the answer, at most 64 KiB, with the API key masked; nil when there was none
	Err        error     // the cause; an [*APIError] when the server answered with an error
}

// Error is one line: what may have happened, the cause and the payload to look for. It leaves out what the server said:
// that is often "please retry later", the one thing not to do.
func (e *MaybeCreatedError) Error() string {
	text := "vidu: a task may have been created and billed: " + e.cause()
	if e.Payload != "" {
		text += fmt.Sprintf(" (payload %q)", scrub.OneLine(e.Payload, 64))
	}
	return text
}

func (e *MaybeCreatedError) cause() string {
	if failure, ok := errors.AsType[*APIError](e.Err); ok {
		return failure.headline() + failure.traceNote()
	}
	if e.Err == nil || invitesRetry(e.Err.Error()) {
		return "the answer was lost"
	}
	return scrub.OneLine(strings.TrimPrefix(e.Err.Error(), "vidu: "), 280)
}

// invitesRetry finds advice such as net/http's on HTTP/2: "cannot retry … define Request.GetBody to avoid this error".
func invitesRetry(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "retry") || strings.Contains(text, "try again")
}

// Is makes errors.Is(err, [ErrMaybeCreated]) hold.
func (e *MaybeCreatedError) Is(target error) bool { return target == ErrMaybeCreated }

// Unwrap returns the cause.
func (e *MaybeCreatedError) Unwrap() error { return e.Err }

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
	if _, ours := errors.AsType[*oneshot.SourceError](err); !ours { // an error about media quotes the names of files
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

// maskTask masks the key in the texts of a task that become errors.
func (c *Client) maskTask(task *Task) {
	task.State = State(c.redact(string(task.State)))
	task.ErrCode = ErrorCode(c.redact(string(task.ErrCode)))
	task.ErrMessage = c.redact(task.ErrMessage)
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
