package vidu

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"regexp"
	"slices"
)

// verdict says what one failed attempt at a paid create proves.
type verdict int

const (
	refused   verdict = iota // no task was created, and sending the same again is pointless
	again                    // no task was created, and sending the same again is safe
	ambiguous                // a task may exist: never send again
)

// createRule is one row of the policy: which failures it covers, and what they prove.
type createRule struct {
	name       string
	from, to   int                 // statuses; 0, 0: there was no answer
	incomplete bool                // only when the request provably never left whole
	codes      []ErrorCode         // only with one of these codes
	cause      func(*attempt) bool // only for such a cause
	verdict    verdict
}

// createRules is the whole policy, top to bottom, the first match wins. What no row covers is ambiguous: rounding is
// always toward "a task may exist".
//
// "Incomplete" is the one proof that holds without an answer: our own body reader never handed out the last byte of
// the JSON and, being sealed, never will. Nothing that net/http reports is such a proof, not even
// httptrace.WroteRequest.
var createRules = []createRule{
	{name: "no answer, context ended before the request was complete", incomplete: true, cause: isContextEnd, verdict: refused},
	{name: "no answer, medium unreadable or changed", incomplete: true, cause: isMediaFailure, verdict: refused},
	{name: "no answer, certificate or protocol wrong", incomplete: true, cause: isTLSRefusal, verdict: refused},
	{name: "no answer, host unknown", incomplete: true, cause: isUnknownHost, verdict: refused},
	{name: "no answer, proxy wants a password", incomplete: true, cause: isProxyAuth, verdict: refused},
	{name: "no answer, request incomplete", incomplete: true, verdict: again},
	{name: "no answer, request may have arrived", verdict: ambiguous},

	{name: "2xx that quotes a code after which a task may exist", from: 200, to: 299, cause: quotesBeginning, verdict: ambiguous},
	{name: "2xx with a documented refusal inside", from: 200, to: 299, codes: refusals, verdict: refused},
	{name: "2xx without a usable task", from: 200, to: 299, verdict: ambiguous},

	{name: "3xx or 4xx that names a task", from: 300, to: 499, cause: namesTask, verdict: ambiguous},
	{name: "3xx or 4xx whose code says that something may have begun", from: 300, to: 499, codes: beginnings, verdict: ambiguous},
	{name: "3xx or 4xx that quotes such a code", from: 300, to: 499, cause: quotesBeginning, verdict: ambiguous},
	{name: "4xx, of which not all could be read", from: 400, to: 499, cause: hidesReason, verdict: ambiguous},
	{name: "redirect, never followed", from: 300, to: 399, verdict: refused},

	{name: "408, request incomplete", from: 408, to: 408, incomplete: true, verdict: again},
	{name: "408", from: 408, to: 408, verdict: ambiguous},
	{name: "409, a twin may exist", from: 409, to: 409, verdict: ambiguous},
	{name: "499, given up midway", from: 499, to: 499, verdict: ambiguous},
	{name: "417, our Expect is not understood", from: 417, to: 417, incomplete: true, verdict: again},
	{name: "425, not processed by definition", from: 425, to: 425, verdict: again},
	{name: "429, out of money", from: 429, to: 429, cause: isOutOfMoney, verdict: refused},
	{name: "429", from: 429, to: 429, verdict: again},
	{name: "4xx", from: 400, to: 499, verdict: refused},

	{name: "5xx, request incomplete", from: 500, to: 599, incomplete: true, verdict: again},
	{name: "5xx", from: 500, to: 599, verdict: ambiguous},
}

// judgeCreate applies createRules to a failed attempt.
func judgeCreate(a *attempt) verdict {
	for i := range createRules {
		if createRules[i].covers(a) {
			return createRules[i].verdict
		}
	}
	return ambiguous
}

func (r *createRule) covers(a *attempt) bool {
	return a.status >= r.from && a.status <= r.to &&
		(!r.incomplete || a.incomplete) &&
		(r.codes == nil || slices.Contains(r.codes, codeOf(a.err))) &&
		(r.cause == nil || r.cause(a))
}

// judgeRead is the policy for everything that costs nothing to ask twice.
func judgeRead(a *attempt) verdict {
	code := codeOf(a.err)
	switch {
	case a.status == 0:
		if a.ended || isMediaFailure(a) || isTLSRefusal(a) || isUnknownHost(a) || isProxyAuth(a) {
			return refused
		}
		return again
	case a.status < 300: // broke off, or cannot be used
		if errors.Is(a.err, errBadReply) {
			return refused
		}
		return again
	case code.outOfMoney():
		return refused
	case code == ErrOperationInProcess, code == ErrQuotaExceeded, code == ErrTooManyRequests, code == ErrSystemThrottling:
		return again
	case slices.Contains(refusals, code): // also where a gateway dresses a refusal up as a 500
		return refused
	case a.status == http.StatusNotImplemented:
		return refused
	case a.status == http.StatusRequestTimeout, a.status == http.StatusTooEarly, a.status == http.StatusTooManyRequests,
		a.status == statusClientClosed, a.status >= 500:
		return again
	default:
		return refused
	}
}

// codeOf is the API's code inside err, "" when there is none.
func codeOf(err error) ErrorCode {
	var code ErrorCode
	errors.As(err, &code)
	return code
}

func isContextEnd(a *attempt) bool { return a.ended }

func isMediaFailure(a *attempt) bool {
	var failure *mediaError
	return errors.As(a.err, &failure)
}

// isTLSRefusal tells the failures of a handshake that a second try would only repeat. A peer that talks plain HTTP
// belongs here: the key must never be sent to it.
func isTLSRefusal(a *attempt) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(a.err, &certificate) || errors.As(a.err, &record) || errors.Is(a.err, http.ErrSchemeMismatch)
}

func isUnknownHost(a *attempt) bool {
	var dns *net.DNSError
	return errors.As(a.err, &dns) && dns.IsNotFound
}

// isProxyAuth tells the 407 of a proxy's CONNECT, of which net/http reports the status text and nothing else.
func isProxyAuth(a *attempt) bool {
	for err := a.err; err != nil; err = errors.Unwrap(err) {
		if err.Error() == http.StatusText(http.StatusProxyAuthRequired) {
			return true
		}
	}
	return false
}

// hidesReason tells an answer whose code may be one of the beginnings, for all we know.
func hidesReason(a *attempt) bool {
	e := parseEnvelope(a.body)
	return a.cut && !a.incomplete && !slices.Contains(refusals, e.word()) && !e.word().outOfMoney()
}

// namesTask tells an answer that says no and yet has the id of a task in it. A mere "id" may be the request's.
func namesTask(a *attempt) bool {
	d := readTask(a.body)
	return d.taskID || (d.task.ID != "" && slices.Contains(aliveStates, d.task.State))
}

// aliveStates are those of tasks that have begun, the internal ones included that were seen to leak.
var aliveStates = []State{StateCreated, StateQueueing, StateProcessing, "pending", "preparation", "scheduling", "scheduled"}

// quotesBeginning finds the beginnings anywhere in an answer: gateways give another code and put what their upstream
// said into the message. An answer that itself gives a documented reason to refuse is believed, except for BadRequest,
// which says nothing.
func quotesBeginning(a *attempt) bool {
	e := parseEnvelope(a.body)
	believed := e.word() != ErrBadRequest && slices.Contains(refusals, e.word())
	rejected := a.status == http.StatusUnauthorized || a.status == http.StatusForbidden
	return !believed && !rejected && quotedBeginning.Match(a.body[:min(len(a.body), maxErrorReply)])
}

var quotedBeginning = regexp.MustCompile(`(?i)operation[ _-]*in[ _-]*process|internal[ _-]*service[ _-]*failure|"(conflict|canceled)\\*"`)

func isOutOfMoney(a *attempt) bool { return codeOf(a.err).outOfMoney() }
