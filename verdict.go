package vidu

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/vidu-go/vidu/internal/oneshot"
	"github.com/vidu-go/vidu/internal/transport"
)

// verdict is what one failed attempt proves, and so what may be done next.
type verdict int

const (
	fail      verdict = iota // nothing was created, and sending the same again is pointless
	retry                    // nothing was created, or nothing can be: sending the same again is safe
	ambiguous                // a task may exist: never send again
)

// rule is one row of a policy: which failures it covers, and what they prove.
type rule struct {
	name       string
	from, to   int                 // statuses; 0, 0: there was no response
	incomplete bool                // only when the request provably never left whole
	codes      []codeVerdict       // only with a code of one of these kinds
	cause      func(*attempt) bool // only for such a cause
	verdict    verdict
}

// createRules is the whole policy for paid requests, top to bottom, the first match wins. Unmatched failures are
// ambiguous: if in doubt, assume that a task exists.
//
// "Incomplete" is the one proof that holds without a response: our own body reader never handed out the last byte of
// the JSON and, being sealed, never will. Nothing that net/http reports is such a proof, not even
// httptrace.WroteRequest.
var createRules = []rule{
	{name: "no answer, context ended before the request was complete", incomplete: true, cause: isContextEnd, verdict: fail},
	{name: "no answer, medium unreadable or changed", incomplete: true, cause: isMediaFailure, verdict: fail},
	{name: "no answer, certificate or protocol wrong", incomplete: true, cause: isTLSRefusal, verdict: fail},
	{name: "no answer, host unknown", incomplete: true, cause: isUnknownHost, verdict: fail},
	{name: "no answer, proxy refuses to connect", incomplete: true, cause: isProxyRefusal, verdict: fail},
	{name: "no answer, server speaks HTTP/2 only", cause: isHTTP2Only, verdict: fail},
	{name: "no answer, request incomplete", incomplete: true, verdict: retry},
	{name: "no answer, request may have arrived", verdict: ambiguous},

	{name: "any answer that names a task and is no usable reply", from: 200, to: anyStatus, cause: namesTask, verdict: ambiguous},
	{name: "2xx to 4xx whose code says that something may have begun", from: 200, to: 499, codes: []codeVerdict{unknownOutcome}, verdict: ambiguous},
	{name: "2xx to 4xx that quotes such a code", from: 200, to: 499, cause: quotesAmbiguousCode, verdict: ambiguous},
	{name: "2xx to 4xx, of which not all could be read", from: 200, to: 499, cause: hidesReason, verdict: ambiguous},

	{name: "2xx with a documented refusal inside", from: 200, to: 299, codes: refusals, verdict: fail},
	{name: "2xx without a usable task", from: 200, to: 299, verdict: ambiguous},
	{name: "redirect, never followed", from: 300, to: 399, verdict: fail},

	{name: "408, request incomplete", from: 408, to: 408, incomplete: true, verdict: retry},
	{name: "408", from: 408, to: 408, verdict: ambiguous},
	{name: "409, a duplicate task may exist", from: 409, to: 409, verdict: ambiguous},
	{name: "499, abandoned midway", from: 499, to: 499, verdict: ambiguous},
	{name: "417, our Expect is not understood", from: 417, to: 417, incomplete: true, verdict: retry},
	{name: "425, not processed by definition", from: 425, to: 425, verdict: retry},
	{name: "429, out of money, be it only in words", from: 429, to: 429, cause: speaksOfMoney, verdict: fail},
	{name: "429", from: 429, to: 429, verdict: retry},
	{name: "4xx", from: 400, to: 499, verdict: fail},

	{name: "5xx, request incomplete", from: 500, to: 599, incomplete: true, verdict: retry},
	{name: "5xx", from: 500, to: 599, verdict: ambiguous},
}

// readRules is the retry policy for requests that cost nothing to repeat, read in the same way. Unmatched failures are
// final.
var readRules = []rule{
	{name: "no answer, context ended", cause: isContextEnd, verdict: fail},
	{name: "no answer, medium unreadable or changed", cause: isMediaFailure, verdict: fail},
	{name: "no answer, certificate or protocol wrong", cause: isTLSRefusal, verdict: fail},
	{name: "no answer, host unknown", cause: isUnknownHost, verdict: fail},
	{name: "no answer, proxy refuses to connect", cause: isProxyRefusal, verdict: fail},
	{name: "no answer", verdict: retry},

	{name: "reply that cannot be used", from: 1, to: 299, cause: isBadReply, verdict: fail},
	{name: "reply that broke off", from: 1, to: 299, verdict: retry},

	{name: "out of money", from: 300, to: anyStatus, codes: []codeVerdict{outOfMoney}, verdict: fail},
	{name: "429, out of money in words", from: 429, to: 429, cause: speaksOfMoney, verdict: fail},
	{name: "still in process", from: 300, to: anyStatus, cause: isInProcess, verdict: retry},
	{name: "a code that may pass", from: 300, to: anyStatus, codes: []codeVerdict{mayPass}, verdict: retry},
	{name: "a refusal, also where a gateway dresses it up as a 500", from: 300, to: anyStatus, codes: refusals, verdict: fail},
	{name: "501", from: 501, to: 501, verdict: fail},
	{name: "408", from: 408, to: 408, verdict: retry},
	{name: "425", from: 425, to: 425, verdict: retry},
	{name: "429", from: 429, to: 429, verdict: retry},
	{name: "499", from: 499, to: 499, verdict: retry},
	{name: "5xx", from: 500, to: anyStatus, verdict: retry},
}

const anyStatus = 999

// classifyCreate returns the verdict on a failed attempt at a paid request.
func classifyCreate(a *attempt) verdict { return classify(createRules, a, ambiguous) }

// classifyRead returns the verdict on a failed attempt at a request that costs nothing to repeat.
func classifyRead(a *attempt) verdict { return classify(readRules, a, fail) }

func classify(rules []rule, a *attempt, otherwise verdict) verdict {
	for i := range rules {
		if rules[i].covers(a) {
			return rules[i].verdict
		}
	}
	return otherwise
}

func (r *rule) covers(a *attempt) bool {
	return a.status >= r.from && a.status <= r.to &&
		(!r.incomplete || a.incomplete) &&
		(r.codes == nil || slices.Contains(r.codes, codeOf(a.err).verdict())) &&
		(r.cause == nil || r.cause(a))
}

// codeOf returns the API's code inside err, "" when there is none.
func codeOf(err error) ErrorCode {
	var code ErrorCode
	errors.As(err, &code)
	return code
}

func isContextEnd(a *attempt) bool { return a.ended }

func isMediaFailure(a *attempt) bool {
	var failure *oneshot.SourceError
	return errors.As(a.err, &failure)
}

func isBadReply(a *attempt) bool { return errors.Is(a.err, errBadReply) }

func isInProcess(a *attempt) bool { return errors.Is(a.err, ErrOperationInProcess) }

// speaksOfMoney reports whether an error response means an empty balance, by its code or only by its words. Words are
// believed where they save useless retries and for nothing else: anybody's may be in a message.
func speaksOfMoney(a *attempt) bool {
	failure, ok := errors.AsType[*APIError](a.err)
	if !ok {
		return false
	}
	words := foldWords(cmp.Or(failure.Message, string(failure.Body)))
	return failure.Code.isOutOfMoney() || saysOutOfMoney(words) ||
		slices.ContainsFunc(moneyTalk, func(word string) bool { return strings.Contains(words, word) })
}

// moneyTalk are further words for an empty balance, as foldWords has them, which may mean something else elsewhere.
var moneyTalk = []string{"overdue", "topup", "recharge", "充值"}

// isTLSRefusal reports whether a handshake failed in a way that a second one would only repeat. A peer that speaks
// plain HTTP belongs here: the key must never be sent to it.
func isTLSRefusal(a *attempt) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(a.err, &certificate) || errors.As(a.err, &record) || errors.Is(a.err, http.ErrSchemeMismatch)
}

func isUnknownHost(a *attempt) bool {
	var dns *net.DNSError
	return errors.As(a.err, &dns) && dns.IsNotFound
}

// isHTTP2Only reports whether the server began with a frame of HTTP/2: it can have made no sense of an HTTP/1.1
// request.
func isHTTP2Only(a *attempt) bool { return errors.Is(a.err, transport.ErrHTTP2Only) }

// isProxyRefusal reports whether a proxy refused CONNECT in a way that it would only repeat. Of one behind a transport
// that is the caller's, net/http reports the status text and nothing else.
func isProxyRefusal(a *attempt) bool {
	if refusal, ok := errors.AsType[*transport.ConnectError](a.err); ok {
		return refusal.Status < 500
	}
	for err := a.err; err != nil; err = errors.Unwrap(err) {
		if err.Error() == http.StatusText(http.StatusProxyAuthRequired) {
			return true
		}
	}
	return false
}

// namesTask reports whether a response names a task anywhere.
func namesTask(a *attempt) bool { return a.names().named() }

// hidesReason reports whether a part of the response is not known, which may be a task's id or a code after which a
// task may exist. A documented reason that came before the break is believed, unless the rest came and was not read.
func hidesReason(a *attempt) bool {
	if a.incomplete || slices.Contains(refusedUnseen, a.status) {
		return false
	}
	e := parseEnvelope(a.body)
	return a.names().hidden || a.cutShort || (a.truncated && a.status >= 400 && !e.word().isRefusal())
}

// refusedUnseen are the statuses of refusals for what a request is, not for what it asks for, whatever their body says.
var refusedUnseen = []int{
	http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
	http.StatusNotAcceptable, http.StatusProxyAuthRequired, http.StatusLengthRequired, http.StatusRequestEntityTooLarge,
	http.StatusRequestURITooLong, http.StatusUnsupportedMediaType, http.StatusMisdirectedRequest, http.StatusUpgradeRequired,
	http.StatusRequestHeaderFieldsTooLarge,
}

// quotesAmbiguousCode reports whether a response mentions a code after which a task may exist, wherever that is:
// gateways give a code of their own and put their upstream's words into the message. A documented reason to refuse in
// the response itself is believed, except for BadRequest, which is no reason. A body of megabytes is not searched: it
// counts as one that does.
func quotesAmbiguousCode(a *attempt) bool {
	e := parseEnvelope(a.body)
	word := e.word()
	believed := word.isRefusal() && !errors.Is(word, ErrBadRequest)
	rejected := a.status == http.StatusUnauthorized || a.status == http.StatusForbidden || a.status == http.StatusProxyAuthRequired
	return !believed && !rejected && (len(a.body) > maxErrorReply || quotedAmbiguousCode.MatchString(a.body))
}

var quotedAmbiguousCode = regexp.MustCompile(`(?i)operation[ _-]*in[ _-]*process|internal[ _-]*service[ _-]*failure|"(conflict|canceled)\\*"`)
