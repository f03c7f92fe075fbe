package viduworkflow_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/vidu-go/vidu"
	viduworkflow "github.com/vidu-go/vidu/temporal"
)

func TestGenerate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var queues sync.Map
	w.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
		queues.Store(info.ActivityType.Name, info.TaskQueue)
	})

	out, err := w.run(t, input())

	require.NoError(t, err)
	assert.NotEmpty(t, out.TaskID)
	assert.Equal(t, filepath.Join(w.dir, jobID+".mp4"), out.Location)
	info, err := os.Stat(out.Location)
	require.NoError(t, err)
	assert.Equal(t, info.Size(), out.Bytes)
	assert.Positive(t, out.Credits)
	assert.Zero(t, out.Doubts)
	assert.Equal(t, 1, w.server.Charged())
	assert.Contains(t, string(w.server.Requests()[0].Body), `"payload":"`+jobID+`"`)
	queue, _ := queues.Load(viduworkflow.SubmitName)
	assert.Equal(t, "vidu-submit", queue)
}

// A task of two days takes one create, and no real time.
func TestOffPeakTakesTwoDays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	began := w.Now()
	w.runningUntil(began.Add(48 * time.Hour))
	in := input()
	in.Request.OffPeak = true

	out, err := w.run(t, in)

	require.NoError(t, err)
	assert.FileExists(t, out.Location)
	assert.Equal(t, 1, w.server.Charged())
	assert.GreaterOrEqual(t, w.Now().Sub(began), 48*time.Hour)
	assert.Less(t, w.Now().Sub(began), 48*time.Hour+31*time.Minute)
}

func TestWaitEndsAfter49Hours(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	began := w.Now()
	w.runningUntil(began.Add(1000 * time.Hour))

	failure := w.fail(t, input())

	assert.Equal(t, viduworkflow.StillRunning, failure.Kind)
	assert.NotEmpty(t, failure.TaskID)
	assert.InDelta(t, 49, w.Now().Sub(began).Hours(), 0.01)
	assert.Equal(t, 1, w.server.Charged())
}

// A callback makes an Await query at once that would sleep for an hour.
func TestCallbackWakesAwait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	began := w.Now()
	w.runningUntil(began.Add(2 * time.Minute))
	w.a.Pause = func(*vidu.Task, time.Duration) time.Duration { return time.Hour }
	for _, after := range []time.Duration{time.Minute, 3 * time.Minute, 3 * time.Minute} { // the first comes too early
		w.RegisterDelayedCallback(func() { w.SignalWorkflow(viduworkflow.CallbackName, nil) }, after)
	}

	out, err := w.run(t, input())

	require.NoError(t, err)
	assert.FileExists(t, out.Location)
	assert.Less(t, w.Now().Sub(began), 4*time.Minute)
}

// However many callbacks came before the wait began, its first query answers them all, and a later one still wakes it.
func TestEarlyCallbacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	began := w.Now()
	w.runningUntil(began.Add(2 * time.Minute))
	w.a.Pause = func(*vidu.Task, time.Duration) time.Duration { return time.Hour }
	w.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
		if info.ActivityType.Name == viduworkflow.SubmitName {
			for range 30 {
				w.SignalWorkflow(viduworkflow.CallbackName, nil)
			}
		}
	})
	w.RegisterDelayedCallback(func() { w.SignalWorkflow(viduworkflow.CallbackName, nil) }, 3*time.Minute)

	_, err := w.run(t, input())

	require.NoError(t, err)
	assert.Less(t, w.Now().Sub(began), 4*time.Minute)
}

// Without the callback the same wait lasts an hour: the test above can fail.
func TestAwaitSleepsWithoutCallback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	began := w.Now()
	w.runningUntil(began.Add(2 * time.Minute))
	w.a.Pause = func(*vidu.Task, time.Duration) time.Duration { return time.Hour }

	_, err := w.run(t, input())

	require.NoError(t, err)
	assert.GreaterOrEqual(t, w.Now().Sub(began), time.Hour)
}

// Endless callbacks do not fill the history.
func TestWakesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	began := w.Now()
	w.runningUntil(began.Add(100 * time.Hour))
	awaits := 0
	w.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
		if info.ActivityType.Name == viduworkflow.AwaitName && info.Attempt == 1 {
			awaits++
		}
	})
	for i := range 100 {
		w.RegisterDelayedCallback(func() { w.SignalWorkflow(viduworkflow.CallbackName, nil) }, time.Duration(i)*time.Minute)
	}

	assert.Equal(t, viduworkflow.StillRunning, w.fail(t, input()).Kind)
	assert.LessOrEqual(t, awaits, 21)
}

// The answers to a create and their outcomes.
func TestCreateFailures(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status  int
		body    string
		kind    viduworkflow.Kind // "" when a later create succeeds
		is      error
		creates int
	}{
		"refused":      {400, `{"code":400,"reason":"AuditSubmitIllegal","message":"no"}`, viduworkflow.Refused, vidu.ErrAuditSubmitIllegal, 1},
		"wrong key":    {401, "", viduworkflow.Refused, vidu.ErrUnauthorized, 1},
		"out of money": {429, `{"code":429,"reason":"CreditInsufficient","message":"pay"}`, viduworkflow.Refused, vidu.ErrCreditInsufficient, 1},
		"throttled":    {429, "", "", nil, 2},
		"server error": {500, "", viduworkflow.MaybeCreated, vidu.ErrMaybeCreated, 1},
		"gateway":      {502, "<html>bad gateway</html>", viduworkflow.MaybeCreated, vidu.ErrMaybeCreated, 1},
		"twin":         {409, "", viduworkflow.MaybeCreated, vidu.ErrMaybeCreated, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.server.FailNext(test.status, test.body)
			if test.kind == "" {
				_, err := w.run(t, input())
				require.NoError(t, err)
			} else {
				failure := w.fail(t, input())
				assert.Equal(t, test.kind, failure.Kind)
				require.ErrorIs(t, failure, test.is)
				assert.Equal(t, test.kind == viduworkflow.MaybeCreated, errors.Is(failure, vidu.ErrMaybeCreated))
				assert.Equal(t, jobID, failure.Payload)
				assert.Empty(t, failure.TaskID)
			}
			assert.Equal(t, test.creates, w.creates())
		})
	}
}

// A create that was never sent is retried for a day.
func TestNotSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	began := w.Now()
	w.net.times(4, isCreate, canned{err: errors.New("connection refused")})

	out, err := w.run(t, input())

	require.NoError(t, err)
	assert.Zero(t, out.Doubts)
	assert.Equal(t, 1, w.creates())
	assert.GreaterOrEqual(t, w.Now().Sub(began), (5+10+20+40)*time.Second)
}

func TestNotSentForADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	began := w.Now()
	w.net.times(-1, isCreate, canned{err: errors.New("connection refused")})

	failure := w.fail(t, input())

	assert.Equal(t, viduworkflow.NotCreated, failure.Kind)
	assert.InDelta(t, 24, w.Now().Sub(began).Hours(), 0.2)
	assert.Zero(t, w.creates())
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	for after, want := range map[string]time.Duration{"600": 10 * time.Minute, "315360000": time.Hour, "-1": 5 * time.Second} {
		t.Run(after, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			began := w.Now()
			w.net.times(1, isCreate, canned{status: http.StatusTooManyRequests, retryAfter: after})

			_, err := w.run(t, input())

			require.NoError(t, err)
			assert.InDelta(t, want.Seconds(), w.Now().Sub(began).Seconds(), 3)
		})
	}
}

// An unknown outcome stays, even if the next create provably created nothing.
func TestUnknownOutcomeOutlivesRefusal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lostReply(w)
	w.server.FailNext(http.StatusBadRequest, "")
	in := input()
	in.OnUnknown = viduworkflow.Resubmit

	failure := w.fail(t, in)

	assert.Equal(t, viduworkflow.MaybeCreated, failure.Kind)
	assert.Equal(t, 2, w.creates())
	assert.Equal(t, 1, w.server.Charged())
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*viduworkflow.Input){
		"request":        func(in *viduworkflow.Input) { in.Request.Prompt = "" },
		"payload":        func(in *viduworkflow.Input) { in.Request.Payload = "another" },
		"policy":         func(in *viduworkflow.Input) { in.OnUnknown = "hope" },
		"submit timeout": func(in *viduworkflow.Input) { in.SubmitTimeout = -1 },
		"settle":         func(in *viduworkflow.Input) { in.Settle = -1 },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			in := input()
			spoil(&in)
			assert.Equal(t, viduworkflow.Invalid, w.fail(t, in).Kind)
			assert.Zero(t, w.creates())
		})
	}
}

// After a worker died or panicked during a create there is no verdict, so a task may exist.
func TestCreateWithoutVerdict(t *testing.T) {
	t.Parallel()
	tests := map[string]error{
		"timeout":      temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_START_TO_CLOSE, nil),
		"panic":        temporal.NewApplicationError("index out of range", "PanicError"),
		"unknown kind": temporal.NewNonRetryableApplicationError("what", "another", nil),
		"a kind of a newer worker": temporal.NewNonRetryableApplicationError("what", "vidu.Held", nil,
			viduworkflow.GenerateError{Kind: "vidu.Held", Message: "what"}),
		"a kind of another activity": temporal.NewNonRetryableApplicationError("what", "vidu.StillRunning", nil,
			viduworkflow.GenerateError{Kind: viduworkflow.StillRunning, Message: "what"}),
	}
	for name, failure := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			calls := 0
			w.OnActivity(viduworkflow.SubmitName, mock.Anything, mock.Anything).Return(
				func(context.Context, *vidu.Reference2VideoRequest) (*viduworkflow.Submitted, error) {
					calls++
					return nil, failure
				})

			got := w.fail(t, input())

			assert.Equal(t, viduworkflow.MaybeCreated, got.Kind)
			require.ErrorIs(t, got, vidu.ErrMaybeCreated)
			assert.Equal(t, 1, calls, "a create without a verdict is not repeated")
		})
	}
}

// The API takes longer than a create may: the client gives up, and the outcome is unknown.
func TestSlowCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.server.Delay(time.Minute)
	in := input()
	in.SubmitTimeout = 200 * time.Millisecond

	failure := w.fail(t, in)

	assert.Equal(t, viduworkflow.MaybeCreated, failure.Kind)
	assert.Equal(t, 1, w.creates())
	assert.Equal(t, 1, w.server.Charged())
}

func TestOnUnknown(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		policy   viduworkflow.OnUnknown
		official bool
		lose     func(*world) // makes the outcome of the first create unknown
		failed   bool
		want     viduworkflow.Output // Reconciled and Doubts
		charged  int
		least    time.Duration // virtual
	}{
		"default":                    {"", true, lostReply, true, viduworkflow.Output{}, 1, 0},
		"fail":                       {viduworkflow.Fail, true, lostReply, true, viduworkflow.Output{}, 1, 0},
		"reconcile, found":           {viduworkflow.Reconcile, true, lostReply, false, viduworkflow.Output{Reconciled: true, Doubts: 1}, 1, 0},
		"reconcile, found later":     {viduworkflow.Reconcile, true, lateList, false, viduworkflow.Output{Reconciled: true, Doubts: 1}, 1, 5 * time.Minute},
		"reconcile, absent twice":    {viduworkflow.Reconcile, true, serverError, false, viduworkflow.Output{Doubts: 1}, 1, 5 * time.Minute},
		"reconcile, no list":         {viduworkflow.Reconcile, false, lostReply, true, viduworkflow.Output{}, 1, 0},
		"reconcile, list fails once": {viduworkflow.Reconcile, true, brokenList, false, viduworkflow.Output{Reconciled: true, Doubts: 1}, 1, 0},
		"resubmit":                   {viduworkflow.Resubmit, false, lostReply, false, viduworkflow.Output{Doubts: 1}, 2, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if test.official {
				w = newOfficialWorld(t)
			}
			test.lose(w)
			in := input()
			in.OnUnknown = test.policy
			began := w.Now()
			if test.failed {
				require.ErrorIs(t, w.fail(t, in), vidu.ErrMaybeCreated)
			} else {
				out, err := w.run(t, in)
				require.NoError(t, err)
				assert.FileExists(t, out.Location)
				assert.Equal(t, test.want, viduworkflow.Output{Reconciled: out.Reconciled, Doubts: out.Doubts, Duplicates: out.Duplicates})
			}
			assert.Equal(t, test.charged, w.server.Charged())
			assert.GreaterOrEqual(t, w.Now().Sub(began), test.least)
		})
	}
}

func lostReply(w *world) { w.server.DropReplyAfterCommit() }

func serverError(w *world) { w.server.FailNext(http.StatusInternalServerError, "") }

// lateList shows the task to the second look-up only.
func lateList(w *world) {
	lostReply(w)
	w.net.times(1, isList, canned{status: http.StatusOK, body: `{"tasks":[],"next_page_token":""}`})
}

func brokenList(w *world) {
	lostReply(w)
	w.net.times(1, isList, canned{status: http.StatusBadGateway})
}

// A server that loses every answer gets a limited number of creates.
func TestUnknownOutcomesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 10 {
		lostReply(w)
	}
	in := input()
	in.OnUnknown = viduworkflow.Resubmit

	assert.Equal(t, viduworkflow.MaybeCreated, w.fail(t, in).Kind)
	assert.Equal(t, 5, w.server.Charged())
}

func TestTaskFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.server.FailTask(string(vidu.ErrCreationPolicyViolation))

	failure := w.fail(t, input())

	assert.Equal(t, viduworkflow.TaskFailed, failure.Kind)
	require.ErrorIs(t, failure, vidu.ErrCreationPolicyViolation)
	assert.NotEmpty(t, failure.TaskID)
	assert.Len(t, w.server.Requests(), 2, "a failed task is not queried again")
	assert.Equal(t, 1, w.creates())
}

// The answers to a query, and whether the wait survives them.
func TestQueryFailures(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		times  int // -1 is always
		answer canned
		kind   viduworkflow.Kind // "" when the wait goes on
	}{
		"wrong key":                {4, canned{status: http.StatusUnauthorized}, ""},
		"forbidden":                {4, canned{status: http.StatusForbidden}, ""},
		"server error":             {4, canned{status: http.StatusBadGateway, body: "<html>"}, ""},
		"throttled":                {4, canned{status: http.StatusTooManyRequests}, ""},
		"no answer":                {4, canned{err: io.ErrUnexpectedEOF}, ""},
		"refused":                  {-1, canned{status: http.StatusBadRequest, body: `{"code":400,"reason":"FieldInvalid","message":"id"}`}, viduworkflow.Lost},
		"not yet known":            {1, canned{status: http.StatusNotFound, body: `{"code":404,"reason":"TaskNotFound","message":"no"}`}, ""},
		"gone":                     {-1, canned{status: http.StatusGone}, viduworkflow.Lost},
		"failed, without a reason": {1, canned{status: http.StatusOK, body: `{"state":"failed"}`}, ""},
		"error, without a reason":  {1, canned{status: http.StatusOK, body: `{"status":"error"}`}, ""},
		"failed for good":          {-1, canned{status: http.StatusOK, body: `{"state":"failed"}`}, viduworkflow.TaskFailed},
		"an unknown state":         {4, canned{status: http.StatusOK, body: `{"state":"embargoed"}`}, ""},
		"without a link":           {4, canned{status: http.StatusOK, body: `{"state":"success","creations":[]}`}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.net.times(test.times, isQuery, test.answer)
			if test.kind != "" {
				failure := w.fail(t, input())
				assert.Equal(t, test.kind, failure.Kind)
				assert.NotEmpty(t, failure.TaskID)
				return
			}
			out, err := w.run(t, input())
			require.NoError(t, err)
			assert.FileExists(t, out.Location)
			assert.Equal(t, 1, w.server.Charged())
		})
	}
}

// A workflow that is cancelled while it waits returns the id of its task.
func TestCancelWhileWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.runningUntil(w.Now().Add(10 * time.Hour))
	w.RegisterDelayedCallback(w.CancelWorkflow, time.Hour)

	_, err := w.run(t, input())

	assert.True(t, temporal.IsCanceledError(err), "%v", err)
	failure := viduworkflow.ErrorOf(err)
	require.NotNil(t, failure)
	assert.Equal(t, viduworkflow.Canceled, failure.Kind)
	assert.NotEmpty(t, failure.TaskID)
}

// A workflow that is cancelled while its create is queued has created nothing and reports so.
func TestCancelInQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.OnActivity(viduworkflow.SubmitName, mock.Anything, mock.Anything).Return(nil, temporal.NewCanceledError())

	_, err := w.run(t, input())

	assert.True(t, temporal.IsCanceledError(err), "%v", err)
	failure := viduworkflow.ErrorOf(err)
	require.NotNil(t, failure)
	assert.Equal(t, viduworkflow.Canceled, failure.Kind)
	require.NotErrorIs(t, failure, vidu.ErrMaybeCreated)
}

// A task's age counts from its create, without the time in the queue; wrong clocks are ignored.
func TestAgeOfATask(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ late, age time.Duration }{
		"created late": {time.Hour, time.Hour}, "by a clock that is late": {-time.Hour, 2 * time.Hour}, "by a clock that is early": {3 * time.Hour, 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := w.create(t, "other")
			began := w.Now()
			w.OnActivity(viduworkflow.SubmitName, mock.Anything, mock.Anything).After(2*time.Hour).
				Return(&viduworkflow.Submitted{TaskID: id, At: began.Add(tt.late)}, nil)
			var since time.Time
			w.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, args converter.EncodedValues) {
				var in viduworkflow.AwaitInput
				if info.ActivityType.Name == viduworkflow.AwaitName && args.Get(&in) == nil {
					since = in.Since
				}
			})
			_, err := w.run(t, input())
			require.NoError(t, err)
			assert.WithinDuration(t, began.Add(2*time.Hour-tt.age), since, time.Minute)
		})
	}
}

// A workflow that is cancelled before its create creates nothing.
func TestCancelBeforeCreating(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.net.times(-1, isCreate, canned{err: errors.New("connection refused")})
	w.RegisterDelayedCallback(w.CancelWorkflow, time.Hour)

	_, err := w.run(t, input())

	failure := viduworkflow.ErrorOf(err)
	require.NotNil(t, failure, "%v", err)
	assert.Equal(t, viduworkflow.Canceled, failure.Kind)
	assert.Empty(t, failure.TaskID)
	assert.Zero(t, w.server.Charged())
}

// A workflow that is cancelled before it began creates nothing.
func TestCancelBeforeStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.RegisterDelayedCallback(w.CancelWorkflow, 0)

	_, err := w.run(t, input())

	assert.True(t, temporal.IsCanceledError(err), "%v", err)
	assert.Zero(t, w.creates())
}

// A workflow that is cancelled after an unknown outcome reports MaybeCreated.
func TestCancelAfterUnknownOutcome(t *testing.T) {
	t.Parallel()
	w := newOfficialWorld(t)
	serverError(w)
	in := input()
	in.OnUnknown, in.Settle = viduworkflow.Reconcile, time.Hour
	w.RegisterDelayedCallback(w.CancelWorkflow, time.Minute)

	_, err := w.run(t, in)

	assert.True(t, temporal.IsCanceledError(err), "%v", err)
	require.ErrorIs(t, viduworkflow.ErrorOf(err), vidu.ErrMaybeCreated)
}

// flakyStore loses the first video.
type flakyStore struct {
	viduworkflow.Dir
	links []string
}

func (s *flakyStore) Save(ctx context.Context, name string, video *viduworkflow.Video) (string, error) {
	creation, _ := video.Task.Video()
	s.links = append(s.links, creation.URL)
	if len(s.links) == 1 {
		_, err := video.Download(ctx, io.Discard)
		return "", errors.Join(err, errors.New("the disk is full"))
	}
	return s.Dir.Save(ctx, name, video)
}

func TestDownloadIsRetriedWithFreshLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := &flakyStore{Dir: viduworkflow.Dir(w.dir)}
	w.a.Store = store

	out, err := w.run(t, input())

	require.NoError(t, err)
	assert.FileExists(t, out.Location)
	require.Len(t, store.links, 2)
	assert.NotEqual(t, store.links[0], store.links[1])
	assert.Equal(t, 1, w.server.Charged())
}

// A worker without a Store does not lose a video.
func TestNotSaved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.a.Store = nil
	began := w.Now()

	failure := w.fail(t, input())

	assert.Equal(t, viduworkflow.NotSaved, failure.Kind)
	assert.NotEmpty(t, failure.TaskID)
	assert.InDelta(t, 24, w.Now().Sub(began).Hours(), 0.2)
}

func TestCallbackURLNamesWorkflow(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"https://example.com/cb":           "https://example.com/cb?workflow=job-1",
		"https://example.com/cb?b=2&a=%20": "https://example.com/cb?b=2&a=%20&workflow=job-1",
	}
	for given, want := range tests {
		t.Run(given, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			in := input()
			in.Request.CallbackURL = given
			_, err := w.run(t, in)
			require.NoError(t, err)
			assert.Contains(t, strings.ReplaceAll(string(w.server.Requests()[0].Body), `\u0026`, "&"), `"`+want+`"`)
		})
	}
}
