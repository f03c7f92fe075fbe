package viduworkflow_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/vidu-go/vidu"
	viduworkflow "github.com/vidu-go/vidu/temporal"
)

// reconcile looks for jobID once.
func (w *world) reconcile(t *testing.T) (*viduworkflow.Submitted, error) {
	t.Helper()
	suite := &testsuite.WorkflowTestSuite{}
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(w.a.Reconcile)
	value, err := env.ExecuteActivity(w.a.Reconcile, viduworkflow.Lookup{
		Payload: jobID, Prompt: input().Request.Prompt, Since: time.Now().Add(-time.Minute),
	})
	if err != nil {
		return nil, err
	}
	found := &viduworkflow.Submitted{}
	require.NoError(t, value.Get(found))
	return found, nil
}

// create makes a task outside of any workflow.
func (w *world) create(t *testing.T, payload string) string {
	t.Helper()
	req := input().Request
	req.Payload = payload
	task, err := w.client.Reference2Video(t.Context(), &req)
	require.NoError(t, err)
	return task.ID
}

// A fleet creates hundreds of tasks within the minutes that a look-up covers.
func TestReconcileChecksAllTasks(t *testing.T) {
	t.Parallel()
	w := newOfficialWorld(t)
	for i := range 120 {
		w.create(t, fmt.Sprintf("other-%d", i))
	}
	want := w.create(t, jobID)

	found, err := w.reconcile(t)

	require.NoError(t, err)
	assert.Equal(t, want, found.TaskID)
	assert.Empty(t, found.Duplicates)
	assert.WithinDuration(t, time.Now(), found.At, time.Minute)
}

// The second look-up queries only tasks that the first did not see.
func TestReconcileQueriesOnce(t *testing.T) {
	t.Parallel()
	w := newOfficialWorld(t)
	for i := range 30 {
		w.create(t, fmt.Sprintf("other-%d", i))
	}
	for range 3 {
		found, err := w.reconcile(t)
		require.NoError(t, err)
		assert.Equal(t, &viduworkflow.Submitted{}, found)
	}
	queries := 0
	for _, r := range w.server.Requests() {
		if strings.HasSuffix(r.Path, "/creations") {
			queries++
		}
	}
	assert.Equal(t, 30, queries)
}

func TestReconcileTakesOldest(t *testing.T) {
	t.Parallel()
	w := newOfficialWorld(t)
	first, second := w.create(t, jobID), w.create(t, jobID)

	found, err := w.reconcile(t)

	require.NoError(t, err)
	assert.Equal(t, first, found.TaskID)
	assert.Equal(t, []string{second}, found.Duplicates)
}

// Pages shift while they are read: a task that is on two of them was not paid for twice.
func TestReconcileCountsOnce(t *testing.T) {
	t.Parallel()
	w := newOfficialWorld(t)
	pages := 0
	w.net.answerWith(func(r *http.Request) *canned {
		switch {
		case !isList(r):
			return &canned{status: http.StatusOK, body: `{"id":"7","state":"processing","payload":"` + jobID + `"}`}
		case pages == 0:
			pages++
			return &canned{status: http.StatusOK, body: `{"tasks":[{"id":"7"}],"next_page_token":"b"}`}
		}
		return &canned{status: http.StatusOK, body: `{"tasks":[{"id":"7"}]}`}
	})
	found, err := w.reconcile(t)
	require.NoError(t, err)
	assert.Equal(t, "7", found.TaskID)
	assert.Empty(t, found.Duplicates)
}

// An incomplete look-up is an error, never "there is none": that would be paid for.
func TestReconcileIsCertainOrFails(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		match  func(*http.Request) bool
		status int
		body   string
	}{
		"a candidate is not found": {isQuery, http.StatusNotFound, `{"code":404,"reason":"NotFound","message":"no"}`},
		"a candidate has no payload": {
			isQuery, http.StatusOK, `{"state":"processing","prompt":"The astronaut waved."}`,
		},
		"the list fails":     {isList, http.StatusBadGateway, ""},
		"the list is absent": {isList, http.StatusNotFound, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newOfficialWorld(t)
			w.create(t, "other")
			w.net.times(-1, test.match, canned{status: test.status, body: test.body})
			_, err := w.reconcile(t)
			require.Error(t, err)
			if name == "the list is absent" {
				require.ErrorIs(t, viduworkflow.ErrorOf(err), vidu.ErrMaybeCreated)
			}
		})
	}
}

// The pauses between queries without Activities.Pause.
func TestDefaultPause(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body  string
		after time.Duration
		most  int // queries
		least int
	}{
		"immediate": {`{"state":"processing"}`, time.Hour, 220, 120},
		"off-peak":  {`{"state":"queueing","off_peak":true}`, 48 * time.Hour, 150, 90},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			end := w.Now().Add(test.after)
			queries := 0
			w.net.answerWith(func(r *http.Request) *canned {
				if !isQuery(r) || !w.Now().Before(end) {
					return nil
				}
				queries++
				return &canned{status: http.StatusOK, body: test.body}
			})
			_, err := w.run(t, input())
			require.NoError(t, err)
			assert.LessOrEqual(t, queries, test.most)
			assert.GreaterOrEqual(t, queries, test.least)
		})
	}
}

// A worker that was frozen when it got the activity sends nothing when it resumes: another may have sent it.
func TestSendBudget(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		began time.Duration // from now
		want  time.Duration
	}{
		"at once":            {0, 162 * time.Second},
		"late":               {-time.Minute, 102 * time.Second},
		"frozen":             {-time.Hour, 162*time.Second - time.Hour},
		"clock that is late": {time.Minute, 162 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			info := activity.Info{StartedTime: time.Now().Add(test.began), StartToCloseTimeout: 3 * time.Minute}
			assert.InDelta(t, test.want.Seconds(), viduworkflow.SendBudget(&info).Seconds(), 1)
		})
	}
}

func TestNothingIsSentWithoutBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := input()
	in.SubmitTimeout = time.Nanosecond
	require.NotNil(t, w.fail(t, in))
	assert.Zero(t, w.creates())
}

// Of the answers, NotCreated are those after which the client itself retries a create.
func TestKindOfFollowsTheClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for status := 300; status < 600; status++ {
			posts := 0
			client, err := vidu.NewClient("https://api.example.com", "key", vidu.WithMaxAttempts(2),
				vidu.WithHTTPClient(&http.Client{Transport: roundTrip(func(r *http.Request) *http.Response {
					posts++
					_, err := io.Copy(io.Discard, r.Body)
					assert.NoError(t, err)
					return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: r}
				})}))
			require.NoError(t, err)
			req := input().Request
			_, err = client.Reference2Video(t.Context(), &req)
			require.Error(t, err)
			want := viduworkflow.Refused
			switch {
			case errors.Is(err, vidu.ErrMaybeCreated):
				want = viduworkflow.MaybeCreated
			case posts == 2:
				want = viduworkflow.NotCreated
			}
			if status == http.StatusExpectationFailed { // sent again only if it came before the request was whole
				want = viduworkflow.NotCreated
			}
			assert.Equal(t, want, viduworkflow.KindOf(err), status)
		}
	})
}

type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }
