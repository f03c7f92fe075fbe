package viduworkflow_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.uber.org/goleak"

	"github.com/vidu-go/vidu"
	viduworkflow "github.com/vidu-go/vidu/temporal"
	"github.com/vidu-go/vidu/vidutest"
)

func TestMain(m *testing.M) {
	// The testsuite leaks activities that are cancelled while they sleep between two attempts.
	const env = "go.temporal.io/sdk/internal.(*testWorkflowEnvironmentImpl)."
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction(env+"executeActivityWithRetryForTest"), goleak.IgnoreAnyFunction(env+"ExecuteActivity.func2"))
}

const jobID = "job-1"

// world runs the workflow in virtual time against a fake API.
type world struct {
	*testsuite.TestWorkflowEnvironment
	server *vidutest.Server
	net    *front
	client *vidu.Client
	a      *viduworkflow.Activities
	dir    string
}

// newWorld makes one. The tasks of its API end at once.
func newWorld(t *testing.T, opts ...vidutest.Option) *world {
	t.Helper()
	server := vidutest.NewServer(append([]vidutest.Option{vidutest.InMemory(), vidutest.WithTiming(0, 0)}, opts...)...)
	t.Cleanup(server.Close)
	return newWorldOf(t, server)
}

// newOfficialWorld makes one whose API lists tasks.
func newOfficialWorld(t *testing.T, opts ...vidutest.Option) *world {
	t.Helper()
	opts = append([]vidutest.Option{vidutest.InMemory(), vidutest.WithTiming(0, 0), vidutest.WithOfficialAPI()}, opts...)
	server := vidutest.NewServer(opts...)
	t.Cleanup(server.Close)
	return newWorldOf(t, server, vidu.WithOfficialAPI())
}

func newWorldOf(t *testing.T, server *vidutest.Server, opts ...vidu.Option) *world {
	t.Helper()
	w := &world{server: server, net: &front{behind: server.Transport()}, dir: t.TempDir()}
	opts = append(opts, vidu.WithHTTPClient(&http.Client{Transport: w.net}), vidu.WithMaxAttempts(1))
	var err error
	w.client, err = vidu.NewClient(server.URL, vidutest.APIKey, opts...)
	require.NoError(t, err)
	suite := &testsuite.WorkflowTestSuite{}
	w.TestWorkflowEnvironment = suite.NewTestWorkflowEnvironment()
	w.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: time.Minute}) // a second is too short on a busy machine
	w.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: jobID, TaskQueue: viduworkflow.TaskQueue})
	w.a = &viduworkflow.Activities{Client: w.client, Store: viduworkflow.Dir(w.dir)}
	w.a.SetClock(w.Now)
	viduworkflow.Register(w, w.a)
	viduworkflow.RegisterSubmit(w, w.a)
	return w
}

// run runs the workflow to its end.
func (w *world) run(t *testing.T, in viduworkflow.Input) (*viduworkflow.Output, error) {
	t.Helper()
	w.ExecuteWorkflow(viduworkflow.WorkflowName, in)
	require.True(t, w.IsWorkflowCompleted())
	if err := w.GetWorkflowError(); err != nil {
		return nil, err
	}
	out := &viduworkflow.Output{}
	require.NoError(t, w.GetWorkflowResult(out))
	return out, nil
}

// fail runs the workflow to its failure.
func (w *world) fail(t *testing.T, in viduworkflow.Input) *viduworkflow.GenerateError {
	t.Helper()
	_, err := w.run(t, in)
	require.Error(t, err)
	failure := viduworkflow.ErrorOf(err)
	require.NotNil(t, failure, "%v", err)
	return failure
}

// creates counts the creates that arrived at the API, whatever their outcome.
func (w *world) creates() int {
	n := 0
	for _, r := range w.server.Requests() {
		if r.Method == http.MethodPost {
			n++
		}
	}
	return n
}

// input returns a valid request.
func input() viduworkflow.Input {
	return viduworkflow.Input{Request: vidu.Reference2VideoRequest{
		Model:  vidu.ModelQ2Pro,
		Images: []vidu.Media{vidu.URL("https://example.com/hero.png")},
		Prompt: "The astronaut waved.",
	}}
}

// canned is an answer or an error.
type canned struct {
	status     int
	body       string
	retryAfter string
	err        error
}

// front is a transport that may answer in place of the API.
type front struct {
	behind http.RoundTripper

	mu     sync.Mutex
	answer func(*http.Request) *canned // nil, or with the result nil, the API answers
}

func (f *front) RoundTrip(r *http.Request) (*http.Response, error) {
	c := f.answerTo(r)
	if c == nil {
		return f.behind.RoundTrip(r)
	}
	if c.err != nil {
		return nil, c.err
	}
	return &http.Response{
		StatusCode: c.status, Status: http.StatusText(c.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header:        http.Header{"Content-Type": {"application/json"}, "Retry-After": {c.retryAfter}},
		ContentLength: int64(len(c.body)), Body: io.NopCloser(strings.NewReader(c.body)),
	}, nil
}

func (f *front) answerTo(r *http.Request) *canned {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.answer == nil {
		return nil
	}
	return f.answer(r)
}

// answerWith sets what answers.
func (f *front) answerWith(answer func(*http.Request) *canned) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// times has the first n requests that match answered with c; -1 is all of them.
func (f *front) times(n int, match func(*http.Request) bool, c canned) {
	f.answerWith(func(r *http.Request) *canned {
		if n == 0 || !match(r) {
			return nil
		}
		n--
		return &c
	})
}

func isCreate(r *http.Request) bool { return r.Method == http.MethodPost }

func isQuery(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/creations") }

func isList(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/tasks") }

// runningUntil has every task run until a virtual time.
func (w *world) runningUntil(end time.Time) {
	w.net.answerWith(func(r *http.Request) *canned {
		if !isQuery(r) || !w.Now().Before(end) {
			return nil
		}
		return &canned{status: http.StatusOK, body: `{"state":"processing","off_peak":true}`}
	})
}
