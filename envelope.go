package vidu

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/vidu-go/vidu/internal/lenientjson"
)

// envelope is what the known shapes of an error body have in common.
type envelope struct {
	reason   string
	code     string // in words, or a number, which some servers write as a string
	kind     string // the nested error's "type"
	status   string // likewise, of problem details (RFC 9457) and the like
	title    string
	detail   string
	problem  string // their "type", which is a URI
	message  string
	traceID  string
	metadata json.RawMessage
	nested   lenientjson.Value // "error" where it is an object
	failed   bool              // the body says in so many words that it is an error
}

// parseEnvelope reads the beginning of an error body of any shape; what is not a JSON object gives the zero envelope.
func parseEnvelope(body string) envelope {
	var e envelope
	body = strings.TrimPrefix(body, lenientjson.ByteOrderMark)
	e.read(lenientjson.Value(body[:min(len(body), maxErrorReply)]))
	if nested := e.nested; nested != "" { // only one deep: every level is read once more
		uri := e.problem
		e.problem = ""
		e.read(nested)
		e.kind, e.problem = e.problem, uri
	}
	e.readProblem()
	return e
}

// readProblem takes from problem details what the other members do not say.
func (e *envelope) readProblem() {
	said := e.detail
	if e.title != "" && e.detail != "" && e.title != e.detail {
		said = e.title + ": " + e.detail
	}
	e.message = cmp.Or(e.message, said, e.title)
	number, word := e.splitCode()
	if status, err := strconv.Atoi(e.status); err == nil && word == "" && number < 400 && status >= 400 {
		e.code = e.status
	}
	row := ErrorCode(e.problem[strings.LastIndexAny(e.problem, "/:#")+1:]).row()
	if row = cmp.Or(row, rowOf[foldWords(e.title)]); row != nil && word == "" {
		e.code = string(row.code)
	}
}

func (e *envelope) read(object lenientjson.Value) {
	for it := object.Items(); it.Next(); {
		v := it.Value()
		switch it.Key() {
		case "reason":
			e.reason = cmp.Or(v.Str(), e.reason)
		case "code":
			e.code = cmp.Or(v.Text(), e.code)
		case "message", "msg":
			e.message = cmp.Or(v.Text(), e.message)
		case "title":
			e.title = cmp.Or(v.Str(), e.title)
		case "detail":
			e.detail = cmp.Or(v.Str(), e.detail)
		case "status":
			e.status = cmp.Or(v.Text(), e.status)
		case "type":
			e.problem = cmp.Or(v.Str(), e.problem)
		case "success":
			e.failed = e.failed || v == "false"
		case "error":
			e.failed = e.failed || !v.IsEmpty()
			e.message = cmp.Or(e.message, v.Str())
			if v.IsObject() {
				e.nested = v
			}
		case "metadata":
			if v.IsObject() && v.Valid() {
				e.metadata = json.RawMessage(v)
				e.traceID = v.Member("trace_id").Text()
			}
		}
	}
}

// saysError reports whether the body of a 2xx is an error envelope, rather than a reply that lacks a task for another
// reason.
func (e *envelope) saysError() bool {
	number, word := e.splitCode()
	return e.failed || e.reason != "" || number >= 400 ||
		(word != "" && !strings.EqualFold(word, "success") && !strings.EqualFold(word, "ok"))
}

func (e *envelope) splitCode() (number int, word string) {
	if number, err := strconv.Atoi(e.code); err == nil {
		return number, ""
	}
	return 0, e.code
}

// errorCode classifies by reason, then by a code in words, then by a numeric code, then by the status. The nested
// error's type is the last resort, except for money: some servers say 429 and insufficient_quota.
func (e *envelope) errorCode(status int) ErrorCode {
	number, _ := e.splitCode()
	kind := ErrorCode(e.kind)
	switch word := e.word(); {
	case word != "":
		return word
	case kind.isOutOfMoney():
		return kind
	}
	return cmp.Or(codeOfStatus(number), codeOfStatus(status), kind)
}

// word is the code that the body itself gives in words.
func (e *envelope) word() ErrorCode {
	_, word := e.splitCode()
	return ErrorCode(cmp.Or(e.reason, word))
}

func (e *envelope) apiError(status int) *APIError {
	return &APIError{
		StatusCode: status, Code: e.errorCode(status), Message: e.message,
		TraceID: cmp.Or(e.traceID, traceIDIn(e.message)), Metadata: e.metadata,
	}
}

// traceIDIn finds the id in a message such as "no such model (request id: 20260801…)".
func traceIDIn(message string) string {
	_, after, _ := strings.Cut(message, "request id: ")
	id, _, _ := strings.Cut(after, " ")
	return strings.TrimRight(id, ").,")
}

// isTornJSON reports whether the end of a JSON body is missing: its length was not announced, or is more than what is
// read.
func isTornJSON(body string) bool {
	var whole json.RawMessage
	err := json.NewDecoder(strings.NewReader(strings.TrimPrefix(body, lenientjson.ByteOrderMark))).Decode(&whole)
	return errors.Is(err, io.ErrUnexpectedEOF)
}
