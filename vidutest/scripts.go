package vidutest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// FailNext has the next request answered with status and body in place of the real answer. The request is read to its
// end and otherwise has no effect: no task is created and nothing is charged.
//
// status is 200 to 599; with any other FailNext panics. "" for the body stands for the official error envelope of that
// status. A body that is JSON is sent as application/json, any other with a sniffed Content-Type.
//
// [Server.AnswerNext] covers the rest: headers such as Retry-After, no body at all, or the next create while other
// requests are in flight.
func (s *Server) FailNext(status int, body string) { s.When(nil).FailNext(status, body) }

// AnswerNext has h answer the next request that pattern matches, in place of the server. It is the general form of
// [Server.FailNext]: the answer may have any status, any header and any body, or none.
//
// pattern is one of [http.ServeMux], for the path below the API's prefix: "POST /reference2video" is the next create,
// "GET /tasks/{id}/creations" the next query, and then r.PathValue("id") in h is the task. Uploads have no prefix, as
// in "PUT /upload/{id}". "" is any request. Requests that do not match are answered as usual and leave the script in
// the queue. AnswerNext panics when the pattern is malformed or h is nil.
//
// The request has no effect: its key is not checked, no task is created and nothing is charged. It is read to its end
// before the answer goes out, whether or not h reads it, so that the client has sent all of it. h runs in the request's
// own goroutine, and may cut the connection as every handler may: panic(http.ErrAbortHandler). h must not outlive the
// request's context, which ends when the client goes away or the server is closed.
func (s *Server) AnswerNext(pattern string, h http.HandlerFunc) { s.When(nil).AnswerNext(pattern, h) }

// DropReplyAfterCommit has the next create accepted and charged, and then the connection cut in place of an answer.
// Other requests leave the script in the queue. A create that is refused is answered all the same, and uses the script
// up.
func (s *Server) DropReplyAfterCommit() { s.When(nil).DropReplyAfterCommit() }

// LateCommit has the next create cut off at once in place of an answer, and accepted and charged d later: until then
// queries, lists and [Server.Charged] do not include the task, though [WithTaskLimit] counts it. A look-up after a lost
// answer can miss such a task. Other requests leave the script in the queue. A create that is refused is answered all
// the same, and uses the script up.
func (s *Server) LateCommit(d time.Duration) { s.When(nil).LateCommit(d) }

// DropMidBody has the connection cut in the middle of the next answer: its header promises the whole body, and half of
// it is sent. A create is accepted and charged. A PUT to an upload link and a HEAD leave the script in the queue: their
// answers have no body to cut. [Server.CutDownload] is for downloads.
func (s *Server) DropMidBody() { s.When(nil).DropMidBody() }

// Delay has the next request answered d later. It is acted on at once: a create is accepted and charged even if its
// client gives up before the answer. The wait ends early, without an answer, when the client goes away or the server is
// closed.
func (s *Server) Delay(d time.Duration) { s.When(nil).Delay(d) }

// FailTask has the next task that is accepted end as failed with code as its err_code, at the time when it would have
// succeeded. An empty code changes nothing. FailTask and [Server.Hold] have a queue of their own, of which each
// accepted create takes one, whatever else happens to its request.
func (s *Server) FailTask(code string) { s.When(nil).FailTask(code) }

// Hold has the next task that is accepted work until [Server.Finish] or [Server.Fail] ends it, however much time goes
// by. It is queued as [Server.FailTask] is.
func (s *Server) Hold() { s.When(nil).Hold() }

// CutDownload has the connection of the next download cut after so many bytes of its body; less than 0 counts as 0. A
// shorter body is sent whole, and uses the script up. With [WithoutContentLength] the truncated body looks complete.
//
// The scripts of downloads have a queue of their own, of which each GET of a result link that is answered with content
// takes one.
func (s *Server) CutDownload(after int64) { s.When(nil).CutDownload(after) }

// ReplaceVideo cuts the next download as [Server.CutDownload] does, and puts another video in the place of every task's
// at that moment: of the same size, with another ETag, and with noise in place of the pictures. A client that resumes
// instead of starting over ends up with pieces of both.
func (s *Server) ReplaceVideo(after int64) { s.When(nil).ReplaceVideo(after) }

// Script queues scripts for the requests that a condition selects. [Server.When] returns it. Each method is that of
// [Server] with the same name, and its script has its place in the same queue.
type Script struct {
	server *Server
	when   func(Request) bool // nil for every request
}

// When returns a [Script] for requests that condition selects, such as the create with a certain payload:
//
//	server.When(func(r vidutest.Request) bool { return r.Payload == "job-7" }).DropReplyAfterCommit()
//
// condition gets a request that was received whole but not answered: every field but Status is set. Of a download it
// gets the request for the link. It runs while the server is locked, so it must not call the server. As long as such a
// script is queued, every request is read whole, and kept in memory, before anything else happens to it. A nil
// condition selects every request.
func (s *Server) When(condition func(Request) bool) *Script {
	return &Script{server: s, when: condition}
}

// FailNext is [Server.FailNext] for the selected requests.
func (sc *Script) FailNext(status int, body string) {
	if status < 200 || status > 599 {
		panic("vidutest: FailNext: the status must be 200 to 599, not " + strconv.Itoa(status)) //nolint:forbidigo // a mistake in the test
	}
	reply := failure(status, body)
	sc.add(fault{
		name:    fmt.Sprintf("FailNext(%d)", status),
		instead: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reply.write(w, false) }),
	})
}

// AnswerNext is [Server.AnswerNext] for the selected requests.
func (sc *Script) AnswerNext(pattern string, h http.HandlerFunc) {
	if h == nil {
		panic("vidutest: AnswerNext: the handler is nil") //nolint:forbidigo // a mistake in the test
	}
	f := fault{name: fmt.Sprintf("AnswerNext(%q)", pattern), instead: h}
	if pattern != "" {
		mux := http.NewServeMux()
		mux.Handle(sc.server.dialect.below(pattern), scripted{h})
		f.instead = mux
		f.appliesTo = func(r *http.Request) bool {
			found, _ := mux.Handler(r)
			_, matched := found.(scripted)
			return matched
		}
	}
	sc.add(f)
}

// DropReplyAfterCommit is [Server.DropReplyAfterCommit] for the selected creates.
func (sc *Script) DropReplyAfterCommit() {
	sc.add(fault{name: "DropReplyAfterCommit()", appliesTo: sc.server.isCreate, dropReply: true})
}

// LateCommit is [Server.LateCommit] for the selected creates.
func (sc *Script) LateCommit(d time.Duration) {
	sc.add(fault{
		name: fmt.Sprintf("LateCommit(%v)", d), appliesTo: sc.server.isCreate, dropReply: true, late: max(d, 0),
	})
}

// DropMidBody is [Server.DropMidBody] for the selected requests.
func (sc *Script) DropMidBody() {
	sc.add(fault{name: "DropMidBody()", appliesTo: sc.server.hasAnswerBody, cutBody: true})
}

// Delay is [Server.Delay] for the selected requests.
func (sc *Script) Delay(d time.Duration) {
	sc.add(fault{name: fmt.Sprintf("Delay(%v)", d), delay: d})
}

// FailTask is [Server.FailTask] for the tasks of the selected creates.
func (sc *Script) FailTask(code string) {
	sc.add(fault{name: fmt.Sprintf("FailTask(%q)", code), target: ofTask, code: code})
}

// Hold is [Server.Hold] for the tasks of the selected creates.
func (sc *Script) Hold() {
	sc.add(fault{name: "Hold()", target: ofTask, hold: true})
}

// CutDownload is [Server.CutDownload] for the selected downloads.
func (sc *Script) CutDownload(after int64) {
	sc.add(fault{name: fmt.Sprintf("CutDownload(%d)", after), target: ofDownload, cut: cut{after: max(after, 0)}})
}

// ReplaceVideo is [Server.ReplaceVideo] for the selected downloads.
func (sc *Script) ReplaceVideo(after int64) {
	sc.add(fault{name: fmt.Sprintf("ReplaceVideo(%d)", after), target: ofDownload, cut: cut{after: max(after, 0), replace: true}})
}

// add queues a fault, under the condition.
func (sc *Script) add(f fault) {
	f.when, f.calledAt = sc.when, caller()
	if f.when != nil {
		f.name = "When(…)." + f.name
	}
	sc.server.scripts.add(f)
}

// caller returns the file and the line of the first function outside this package on the stack.
func caller() string {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	for {
		frame, more := frames.Next()
		if !more || !strings.HasPrefix(frame.Function, packageName) {
			return fmt.Sprintf("%s:%d", filepath.Base(frame.File), frame.Line)
		}
	}
}

// packageName begins the names of this package's functions.
var packageName = reflect.TypeFor[Server]().PkgPath() + "."

// Pending returns the scripts that no request has used yet, the oldest first, as they were called: "FailNext(503)",
// "When(…).Hold()". [New] has a test fail that ends with any.
func (s *Server) Pending() []string {
	var names []string
	for _, f := range s.scripts.pending() {
		names = append(names, f.name)
	}
	return names
}

// target is what a script happens to.
type target int

const (
	ofRequest target = iota // to the API
	ofTask
	ofDownload
)

// fault is what happens once. The zero fault is none, and is never in the queue.
type fault struct {
	target    target
	appliesTo func(*http.Request) bool // nil for any request
	when      func(Request) bool       // nil for any request
	name      string
	calledAt  string

	instead   http.Handler  // answers in place of the server
	dropReply bool          // once a create is accepted
	late      time.Duration // after which an accepted create makes its task
	cutBody   bool
	delay     time.Duration

	code string // of a task's failure
	hold bool
	cut  cut // of a download
}

// cut is what happens to one download.
type cut struct {
	after   int64 // bytes of the body, noCut for none
	replace bool  // the video is another from then on
}

const noCut = -1

// scripts holds the queued faults of every kind, the oldest first.
type scripts struct {
	mu     sync.Mutex
	faults []fault
}

func (q *scripts) add(f fault) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.faults = append(q.faults, f)
}

func (q *scripts) pending() []fault {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.faults)
}

// conditional reports whether a fault is queued that depends on what is in the request.
func (q *scripts) conditional(t target) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.faults, func(f fault) bool { return f.target == t && f.when != nil })
}

// next takes the oldest fault that applies to a request. Those under a condition are for a request that is known.
func (q *scripts) next(t target, r *http.Request, known *Request) (fault, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.faults, func(f fault) bool {
		return f.target == t && (f.appliesTo == nil || f.appliesTo(r)) && (f.when == nil || known != nil && f.when(*known))
	})
	if i < 0 {
		return fault{}, false
	}
	f := q.faults[i]
	q.faults = slices.Delete(q.faults, i, i+1)
	return f, true
}

// reasons are those of the official envelope for the statuses that have their own.
var reasons = map[int]string{
	http.StatusUnauthorized:    "Unauthorized",
	http.StatusPaymentRequired: "CreditInsufficient",
	http.StatusForbidden:       "Forbidden",
	http.StatusNotFound:        "NotFound",
	http.StatusConflict:        "Conflict",
	http.StatusTooManyRequests: "TooManyRequests",
	499:                        "Canceled", // the client closed the request
}

// failure returns the answer of FailNext.
func failure(status int, body string) answer {
	if body == "" {
		return refuse(status, reason(status), "scripted failure")
	}
	contentType := contentTypeJSON
	if !json.Valid([]byte(body)) {
		contentType = http.DetectContentType([]byte(body))
	}
	return answer{status: status, contentType: contentType, body: []byte(body)}
}

func reason(status int) string {
	if word, ok := reasons[status]; ok {
		return word
	}
	if status < http.StatusInternalServerError {
		return "BadRequest"
	}
	return "InternalServiceFailure"
}
