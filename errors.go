package vidu

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vidu-go/vidu/internal/scrub"
)

// ErrMaybeCreated marks every error after which a task may exist and be billed. It is the one question to ask after a
// failed [Client.Reference2Video]: if errors.Is(err, ErrMaybeCreated) is false, nothing was created. The error that
// carries it is a [*MaybeCreatedError].
var ErrMaybeCreated = errors.New("vidu: a task may have been created")

// APIError is an error response from the server: any status outside 2xx, or a 2xx that carries an error envelope.
// Returned by [Client.Reference2Video] on its own, not inside a [*MaybeCreatedError], it means that no task was
// created.
type APIError struct {
	StatusCode int             // HTTP status of the answer
	Code       ErrorCode       // the answer's "reason", else its "code", else what the status stands for; "" when unknown
	Message    string          // as the server put it; "" when it gave none
	TraceID    string          // the request id that the vendor's support asks for; "" when the response has none
	RetryAfter time.Duration   // the Retry-After header as sent, in any of its forms; 0 when absent or unreadable
	Metadata   json.RawMessage // the envelope's "metadata"; nil when absent
	Body       []byte          // of the answer, with the API key masked; at most 64 KiB, as in a [*MaybeCreatedError]; nil when there was none

	op     string // method and path
	unread bool   // the answer came before a byte of the request's body was read
}

// bodyUnread is for those whose transport in a test answers without reading.
const bodyUnread = "the request body was not read"

// Error is one line: operation, status, code, message and trace id.
func (e *APIError) Error() string {
	said := e.said()
	if said != "" {
		said = ": " + said
	}
	if e.unread {
		said += "; " + bodyUnread
	}
	return "vidu: " + e.headline() + said + e.traceNote()
}

// GoString is Error, for %#v: the body may have links in it.
func (e *APIError) GoString() string { return "vidu.APIError(" + e.Error() + ")" }

// headline returns the operation, the status and the code.
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

// said returns the message or, where the envelope is unknown, the beginning of the body.
func (e *APIError) said() string {
	if scrub.IsMarkup(e.Message) || (e.Message == "" && scrub.IsMarkup(string(e.Body))) {
		return "a web page instead of an API response"
	}
	if e.Message != "" {
		return scrub.OneLine(e.Message, 160)
	}
	return scrub.OneLine(scrub.Queries(string(e.Body[:min(len(e.Body), 480)])), 120)
}

func (e *APIError) traceNote() string {
	if e.TraceID == "" {
		return ""
	}
	return " (trace id " + scrub.OneLine(e.TraceID, 64) + ")"
}

// Unwrap returns the code, so that errors.Is(err, [ErrQuotaExceeded]) holds.
func (e *APIError) Unwrap() error { return e.Code.orNil() }

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
	id := scrub.OneLine(e.Task.ID, maxID)
	text := "vidu: task " + id + " " + scrub.OneLine(string(e.Task.State), 40)
	if e.Task.ErrCode != "" {
		text += ": " + e.Task.ErrCode.Error()
	}
	if e.Task.ErrMessage != "" {
		text += ": " + scrub.OneLine(e.Task.ErrMessage, 230-len(id)/2)
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

// DownloadError is the answer of a store, or of what stands before it, from which [Client.Download] and
// [Client.DownloadFile] got no file: a status that is not that of a file, or a message in place of it with status 200.
// It comes after all further tries and does not change the task: the result is still paid for, and can be downloaded
// later with the task from [Client.GetTask].
type DownloadError struct {
	StatusCode int    // HTTP status of the answer
	Code       string // that the store gave, such as "NoSuchKey" or "SignatureDoesNotMatch"; "" when it gave none
	Host       string // that answered: of the link, or the one that it redirects to
	Err        error  // what the answer means, what to do, and why the link could not be renewed; nil when unknown
}

// Error is one line: host, status, code, and what to do.
func (e *DownloadError) Error() string {
	text := "vidu: " + scrub.OneLine(e.Host, 100) + " answered HTTP " + strconv.Itoa(e.StatusCode)
	if e.Code != "" {
		text += " " + scrub.OneLine(e.Code, 64)
	}
	if e.Err != nil {
		text += ": " + scrub.OneLine(strings.ReplaceAll(e.Err.Error(), "vidu: ", ""), 300)
	}
	return text
}

// Unwrap returns what the answer means; the failure of a query for a new link is in its chain.
func (e *DownloadError) Unwrap() error { return e.Err }

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

// MaybeCreatedError is returned when the outcome of a create is unknown: the server may have received the whole
// request, and a task may exist and be billed. Do not send the request again; look for the task by its payload, or
// alert an operator.
type MaybeCreatedError struct {
	Payload    string    // as it was sent, see [WithRecovery]; it comes back with the task; "" when there was none
	TaskID     string    // the task that the response names, wherever it does; "" when it names none, or more than one
	From, To   time.Time // when the call began and ended, by the local clock; a task may appear later, by the server's
	StatusCode int       // HTTP status of the answer; 0 when there was none
	TraceID    string    // of the answer; "" when it has none
	Body       []byte    // of the answer, with the API key masked; at most 64 KiB, of a longer one without the ends of long texts; nil when there was none
	Err        error     // the cause; an [*APIError] when the server answered with an error
}

// Error is one line: what may have happened, the cause and the payload to look for. It leaves out the server's own
// words: those are often "please retry later", the one thing not to do.
func (e *MaybeCreatedError) Error() string {
	id := scrub.OneLine(e.TaskID, maxID)
	text := "vidu: a task may have been created and billed: " + scrub.OneLine(e.cause(), max(290-len(id), 60))
	if id != "" {
		text += " (task " + id + ")"
	}
	if e.Payload != "" {
		text += fmt.Sprintf(" (payload %q)", scrub.OneLine(e.Payload, 64-len(id)/16))
	}
	return text
}

// GoString is Error, for %#v: the body may have links in it.
func (e *MaybeCreatedError) GoString() string { return "vidu.MaybeCreatedError(" + e.Error() + ")" }

func (e *MaybeCreatedError) cause() string {
	if failure, ok := errors.AsType[*APIError](e.Err); ok {
		return failure.headline() + failure.traceNote()
	}
	if e.Err == nil {
		return "the answer was lost"
	}
	if text := e.Err.Error(); invitesRetry(text) { // of HTTP/2's endings keep the name
		for _, name := range []string{"GOAWAY", "REFUSED_STREAM", "PROTOCOL_ERROR"} {
			if strings.Contains(text, name) {
				return "the answer was lost: the server ended the HTTP/2 request with " + name
			}
		}
		return "the answer was lost"
	}
	return strings.TrimPrefix(e.Err.Error(), "vidu: ")
}

// invitesRetry reports whether text is advice such as net/http's on HTTP/2: "cannot retry … define Request.GetBody to
// avoid this error".
func invitesRetry(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "retry") || strings.Contains(text, "try again")
}

// Is makes errors.Is(err, [ErrMaybeCreated]) hold.
func (e *MaybeCreatedError) Is(target error) bool { return target == ErrMaybeCreated }

// Unwrap returns the cause.
func (e *MaybeCreatedError) Unwrap() error { return e.Err }

// ErrNotSupported says that the server lacks the endpoint. Listing, cancelling, credits and uploads are part of the
// official API; most gateways have none of them.
var ErrNotSupported = errors.New("vidu: the server does not offer this")

// DuplicateTasksError comes with the oldest of several tasks that have the same payload: a gateway sent one request
// on more than once, or the payload was not unique.
type DuplicateTasksError struct {
	Payload string
	IDs     []string // of all of them, the oldest first
}

// Error is one line with the ids.
func (e *DuplicateTasksError) Error() string {
	return fmt.Sprintf("vidu: %d tasks have the payload %q: %s", len(e.IDs), scrub.OneLine(e.Payload, 64), scrub.OneLine(fmt.Sprint(e.IDs), 200))
}
