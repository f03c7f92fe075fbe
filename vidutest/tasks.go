package vidutest

import (
	"io"
	"math/rand/v2"
	"net/http"
	"path"
	"strconv"
	"sync"
	"time"
)

// The states of a task.
const (
	stateCreated    = "created"
	stateQueueing   = "queueing"
	stateProcessing = "processing"
	stateSuccess    = "success"
	stateFailed     = "failed"
)

// task is a create that was accepted. It never changes: its state follows from its age.
type task struct {
	id         string
	creationID string
	createdAt  time.Time
	request    createRequest // its images are links alone
	credits    int
	failure    string // the err_code it ends with, "" for success
}

// tasks holds every task of a server.
type tasks struct {
	mu   sync.Mutex
	byID map[string]*task
	next uint32
}

// newTasks starts the counter of ids anywhere, so that two servers that make a task in the same millisecond hardly ever
// give it the same id.
func newTasks() tasks {
	return tasks{
		byID: make(map[string]*task),
		next: rand.Uint32(), //nolint:gosec // an id is no secret
	}
}

// add makes the task of an accepted request.
func (ts *tasks) add(req *createRequest, failure string) *task {
	req.Images, req.Subjects = req.links(), nil
	if req.Seed == 0 {
		req.Seed = 1 + int(rand.Int32N(1<<31-1)) //nolint:gosec // a seed is no secret
	}
	t := &task{createdAt: time.Now().UTC(), request: *req, credits: price(req), failure: failure}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.id, t.creationID = ts.newID(t.createdAt), ts.newID(t.createdAt)
	ts.byID[t.id] = t
	return t
}

// newID returns 18 or 19 digits: the time in milliseconds and a counter of 20 bits below it.
func (ts *tasks) newID(now time.Time) string {
	ts.next++
	return strconv.FormatInt(now.UnixMilli()<<20|int64(ts.next&(1<<20-1)), 10)
}

func (ts *tasks) get(id string) *task {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.byID[id]
}

func (ts *tasks) count() int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return len(ts.byID)
}

// creditsPerSecond is the price of a second of video. Any other resolution costs as much as 720p.
var creditsPerSecond = map[string]int{"360p": 5, "540p": 8, "720p": 11, "1080p": 22}

// price returns the credits of a task. An automatic duration counts as 5 s; off-peak is half, rounded up.
func price(req *createRequest) int {
	perSecond, ok := creditsPerSecond[req.Resolution]
	if !ok {
		perSecond = creditsPerSecond["720p"]
	}
	seconds := req.Duration
	if seconds == 0 {
		seconds = 5
	}
	credits := perSecond * seconds
	if req.OffPeak {
		credits = (credits + 1) / 2
	}
	return credits
}

// queryReply is the body of the answer to a query.
type queryReply struct {
	ID        string     `json:"id"`
	State     string     `json:"state"`
	ErrCode   string     `json:"err_code"`
	Credits   int        `json:"credits"`
	Payload   string     `json:"payload"`
	BGM       bool       `json:"bgm"`
	OffPeak   bool       `json:"off_peak"`
	Progress  int        `json:"progress"`
	Creations []creation `json:"creations"`
}

// query answers GET tasks/{id}/creations.
func (s *Server) query(r *http.Request, _ io.Reader) answer {
	t := s.tasks.get(path.Base(path.Dir(r.URL.Path)))
	if t == nil {
		return refuse(http.StatusNotFound, "TaskNotFound", "there is no such task")
	}
	state, progress := s.state(t)
	reply := queryReply{
		ID:        t.id,
		State:     state,
		Credits:   t.credits,
		Payload:   t.request.Payload,
		BGM:       t.request.BGM,
		OffPeak:   t.request.OffPeak,
		Progress:  progress,
		Creations: []creation{},
	}
	switch state {
	case stateSuccess:
		reply.Creations = append(reply.Creations, s.newCreation(t))
	case stateFailed:
		reply.ErrCode = t.failure
		reply.Credits = 0 // given back
	}
	return success(reply)
}

// state tells how far a task is by now, with its progress in percent. A task is created for the first tenth of the time
// it queues.
func (s *Server) state(t *task) (state string, progress int) {
	age := time.Since(t.createdAt)
	switch worked := age - s.queue; {
	case age < s.queue/10:
		return stateCreated, 0
	case worked < 0:
		return stateQueueing, 0
	case worked < s.work:
		return stateProcessing, int(100 * worked / s.work)
	case t.failure != "":
		return stateFailed, 0
	}
	return stateSuccess, 100
}
