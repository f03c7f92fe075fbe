package vidutest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
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
func (s *Server) FailNext(status int, body string) {
	if status < 200 || status > 599 {
		panic("vidutest: FailNext: the status must be 200 to 599, not " + strconv.Itoa(status)) //nolint:forbidigo // a mistake in the test
	}
	reply := failure(status, body)
	s.AnswerNext("", func(w http.ResponseWriter, _ *http.Request) { reply.write(w, false) })
}

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
func (s *Server) AnswerNext(pattern string, h http.HandlerFunc) {
	if h == nil {
		panic("vidutest: AnswerNext: the handler is nil") //nolint:forbidigo // a mistake in the test
	}
	if pattern == "" {
		s.scripts.add(fault{appliesTo: anyRequest, instead: h})
		return
	}
	mux := http.NewServeMux()
	mux.Handle(s.dialect.below(pattern), scripted{h})
	s.scripts.add(fault{appliesTo: func(r *http.Request) bool {
		found, _ := mux.Handler(r)
		_, matched := found.(scripted)
		return matched
	}, instead: mux})
}

// DropReplyAfterCommit has the next create accepted and charged, and then the connection cut in place of an answer.
// Other requests leave the script in the queue. A create that is refused is answered all the same, and uses the script
// up.
func (s *Server) DropReplyAfterCommit() {
	s.scripts.add(fault{appliesTo: s.isCreate, dropReply: true})
}

// LateCommit has the next create cut off at once in place of an answer, and accepted and charged d later: until then
// queries, lists and [Server.Charged] do not include the task, though [WithTaskLimit] counts it. A look-up after a lost
// answer can miss such a task. Other requests leave the script in the queue. A create that is refused is answered all
// the same, and uses the script up.
func (s *Server) LateCommit(d time.Duration) {
	s.scripts.add(fault{appliesTo: s.isCreate, dropReply: true, late: max(d, 0)})
}

// DropMidBody has the connection cut in the middle of the next answer: its header promises the whole body, and half of
// it is sent. A create is accepted and charged. A PUT to an upload link and a HEAD leave the script in the queue: their
// answers have no body to cut. [Server.CutDownload] is for downloads.
func (s *Server) DropMidBody() {
	s.scripts.add(fault{appliesTo: s.hasAnswerBody, cutBody: true})
}

// Delay has the next request answered d later. It is acted on at once: a create is accepted and charged even if its
// client gives up before the answer. The wait ends early, without an answer, when the client goes away or the server is
// closed.
func (s *Server) Delay(d time.Duration) {
	s.scripts.add(fault{appliesTo: anyRequest, delay: d})
}

// FailTask has the next task that is accepted end as failed with code as its err_code, at the time when it would have
// succeeded. An empty code changes nothing. These scripts have a separate queue, of which each accepted create takes
// one, whatever else happens to its request.
func (s *Server) FailTask(code string) {
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	s.tasks.failures = append(s.tasks.failures, code)
}

// CutDownload has the connection of the next download cut after so many bytes of its body; less than 0 counts as 0. A
// shorter body is sent whole, and uses the script up. With [WithoutContentLength] the truncated body looks complete.
//
// The scripts of downloads have a separate queue, of which each GET of a result link that is answered with content
// takes one.
func (s *Server) CutDownload(after int64) {
	s.scripts.addCut(cut{after: max(after, 0)})
}

// ReplaceVideo cuts the next download as [Server.CutDownload] does, and puts another video in the place of every task's
// at that moment: of the same size, with another ETag, and with noise in place of the pictures. A client that resumes
// instead of starting over ends up with pieces of both.
func (s *Server) ReplaceVideo(after int64) {
	s.scripts.addCut(cut{after: max(after, 0), replace: true})
}

// fault is what happens to one request. The zero fault is none, and is never in the queue.
type fault struct {
	appliesTo func(*http.Request) bool
	instead   http.Handler  // answers in place of the server
	dropReply bool          // once a create is accepted
	late      time.Duration // after which an accepted create makes its task
	cutBody   bool
	delay     time.Duration
}

func anyRequest(*http.Request) bool { return true }

// cut is what happens to one download.
type cut struct {
	after   int64 // bytes of the body, noCut for none
	replace bool  // the video is another from then on
}

const noCut = -1

// scripts holds the queued faults.
type scripts struct {
	mu     sync.Mutex
	faults []fault
	cuts   []cut // of downloads
}

func (q *scripts) add(f fault) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.faults = append(q.faults, f)
}

func (q *scripts) addCut(c cut) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cuts = append(q.cuts, c)
}

// next takes the oldest fault that applies to a request.
func (q *scripts) next(r *http.Request) fault {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.faults, func(f fault) bool { return f.appliesTo(r) })
	if i < 0 {
		return fault{}
	}
	f := q.faults[i]
	q.faults = slices.Delete(q.faults, i, i+1)
	return f
}

// nextCut takes the oldest cut for a download that is about to be sent.
func (q *scripts) nextCut() cut {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.cuts) == 0 {
		return cut{after: noCut}
	}
	c := q.cuts[0]
	q.cuts = q.cuts[1:]
	return c
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
