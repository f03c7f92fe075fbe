package vidutest

import (
	"cmp"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
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

// task is a create that was accepted. Its state follows from its age, unless it is held or was stopped. Once it is
// stopped it never changes.
type task struct {
	id          string
	creationID  string
	createdAt   time.Time
	queue, work time.Duration
	endpoint    *endpoint
	request     createRequest // its images are links alone
	credits     int
	failure     string        // the err_code it ends with, "" for success
	held        bool          // it works until it is stopped
	stopped     chan struct{} // closed by a cancel, Finish or Fail
	outcome     string        // the state it was stopped in; set before stopped is closed, as is code
	code        string        // the err_code then
}

// tasks holds every task of a server.
type tasks struct {
	queue, work time.Duration // of every task
	listDelay   time.Duration
	limit       int // of tasks that have not ended, 0 for none
	failing     rules

	mu   sync.Mutex
	all  []*task // the oldest first
	open []*task // those that may not have ended, late ones included; kept for the limit alone
	late []*task // not created yet; the first to be created first
	byID map[string]*task
	next uint32
}

// newTasks starts the counter of ids at random, so that tasks of two servers in the same millisecond hardly ever have
// the same id.
func newTasks() tasks {
	return tasks{
		queue: defaultQueue,
		work:  defaultWork,
		byID:  make(map[string]*task),
		next:  rand.Uint32(), //nolint:gosec // an id is not secret
	}
}

// add makes the task of an accepted request, late from now, with the fault of the script that take returns. It returns
// nil when there are too many.
func (ts *tasks) add(e *endpoint, req *createRequest, late time.Duration, take func() fault) *task {
	req.Images, req.Subjects, req.Videos, req.Sounds = req.links(), nil, nil, nil
	if req.Seed == 0 {
		req.Seed = 1 + int(rand.Int32N(1<<31-1)) //nolint:gosec // a seed is not secret
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.settle()
	if ts.limit > 0 && ts.pending() >= ts.limit {
		return nil
	}
	script := take()
	t := &task{
		createdAt: time.Now().Add(late).UTC(),
		queue:     ts.queue,
		work:      ts.work,
		endpoint:  e,
		request:   *req,
		credits:   price(req),
		failure:   cmp.Or(script.code, ts.failing.code(req.Prompt)),
		held:      script.hold,
		stopped:   make(chan struct{}),
	}
	if ts.limit > 0 {
		ts.open = append(ts.open, t)
	}
	t.id, t.creationID = ts.newID(t.createdAt), ts.newID(t.createdAt)
	if late > 0 {
		ts.late = append(ts.late, t)
		slices.SortStableFunc(ts.late, func(a, b *task) int { return a.createdAt.Compare(b.createdAt) })
		return t
	}
	ts.enter(t)
	return t
}

// settle enters the late tasks that are due. The caller holds the lock, here and below.
func (ts *tasks) settle() {
	now := time.Now()
	for len(ts.late) > 0 && !ts.late[0].createdAt.After(now) {
		ts.enter(ts.late[0])
		ts.late = ts.late[1:]
	}
}

func (ts *tasks) enter(t *task) {
	ts.all = append(ts.all, t)
	ts.byID[t.id] = t
}

// pending counts the tasks that have not ended, those included that are yet to be created.
func (ts *tasks) pending() int {
	ts.open = slices.DeleteFunc(ts.open, (*task).hasEnded)
	return len(ts.open)
}

// newID returns 18 or 19 digits: the time in milliseconds and a counter of 20 bits below it.
func (ts *tasks) newID(now time.Time) string {
	ts.next++
	return strconv.FormatInt(now.UnixMilli()<<20|int64(ts.next&(1<<20-1)), 10)
}

func (ts *tasks) get(id string) *task {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.settle()
	return ts.byID[id]
}

func (ts *tasks) count() int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.settle()
	return len(ts.all)
}

// cancel cancels a task that queues. It returns the state of any other, which it does not change.
func (ts *tasks) cancel(t *task) (refused string) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	state, _ := t.state()
	if state != stateCreated && state != stateQueueing {
		return state
	}
	t.stop(stateFailed, "UserCancelled")
	return ""
}

// stop ends a task that has not ended. The caller holds the lock of tasks.
func (t *task) stop(outcome, code string) {
	if t.hasEnded() {
		return
	}
	t.outcome, t.code = outcome, code
	close(t.stopped)
}

// creditsPerSecond is the price of a second of video. Any other resolution costs as much as 720p.
var creditsPerSecond = map[string]int{"360p": 5, "540p": 8, "720p": 11, "1080p": 22}

// recPrice is what it costs to have the server write the prompt.
const recPrice = 10

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
	if req.IsRec {
		credits += recPrice
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
func (s *Server) query(c *call) answer {
	t := s.tasks.get(path.Base(path.Dir(c.URL.Path)))
	if t == nil {
		return noTask()
	}
	return success(s.newQueryReply(t, ""))
}

// newQueryReply returns the reply to a query of a task in a state, by default its present one.
func (s *Server) newQueryReply(t *task, state string) queryReply {
	present, progress := t.state()
	switch state {
	case "", present:
		state = present
	case stateSuccess:
		progress = 100
	default:
		progress = 0
	}
	return queryReply{
		ID:        t.id,
		State:     state,
		ErrCode:   t.errCode(state),
		Credits:   t.charge(state),
		Payload:   t.request.Payload,
		BGM:       t.request.BGM,
		OffPeak:   t.request.OffPeak,
		Progress:  progress,
		Creations: s.creations(t, state),
	}
}

func noTask() answer {
	return refuse(http.StatusNotFound, "TaskNotFound", "there is no such task")
}

// state returns the present state of a task, and its progress in percent. A task is created for the first tenth of the
// time it queues.
func (t *task) state() (state string, progress int) {
	age := time.Since(t.createdAt)
	switch worked := age - t.queue; {
	case t.isStopped() && t.outcome == stateSuccess:
		return stateSuccess, 100
	case t.isStopped():
		return stateFailed, 0
	case age < t.queue/10:
		return stateCreated, 0
	case worked < 0:
		return stateQueueing, 0
	case worked < t.work:
		return stateProcessing, int(100 * worked / t.work)
	case t.held:
		return stateProcessing, 99
	case t.failure != "":
		return stateFailed, 0
	}
	return stateSuccess, 100
}

func (t *task) hasEnded() bool {
	state, _ := t.state()
	return state == stateSuccess || state == stateFailed
}

func (t *task) isStopped() bool {
	select {
	case <-t.stopped:
		return true
	default:
		return false
	}
}

// errCode returns the err_code of a task in a state.
func (t *task) errCode(state string) string {
	switch {
	case state != stateFailed:
		return ""
	case t.isStopped():
		return t.code
	}
	return t.failure
}

// charge returns what a task costs in a state. A failed one is refunded.
func (t *task) charge(state string) int {
	if state == stateFailed {
		return 0
	}
	return t.credits
}
