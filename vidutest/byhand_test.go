package vidutest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

// state returns the state, the err_code and the credits in the reply to a query.
func state(t *testing.T, s *vidutest.Server, id string) []any {
	t.Helper()
	got := decode(t, query(t, s, id).body)
	return []any{got["state"], got["err_code"], got["credits"], got["progress"]}
}

func TestServer_Tasks(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		start := time.Now().UTC()
		assert.Empty(t, s.Tasks())
		first := createTask(t, s, with(t, "payload", `"job-1"`))
		s.FailTask("AuditFailed")
		s.DropReplyAfterCommit()
		require.Error(t, create(t, s, with(t, "payload", `"job-2"`)).err)
		assertRefused(t, create(t, s, with(t, "payload", "7")), http.StatusBadRequest, "FieldInvalid", "payload")
		pass(time.Minute)
		s.LateCommit(time.Minute)
		require.Error(t, createAt(t, s, "text2video", goodBodies["text2video"]).err)

		want := vidutest.Task{
			ID: first, Endpoint: "reference2video", Model: "viduq2-pro", Prompt: "The astronaut waved.", Payload: "job-1",
			State: "success", Credits: 55, CreatedAt: start,
		}
		tasks := s.Tasks()
		require.Len(t, tasks, 2, "one for each create that was charged so far")
		assert.Equal(t, want, tasks[0])
		want.ID, want.Payload, want.State, want.ErrCode, want.Credits = tasks[1].ID, "job-2", "failed", "AuditFailed", 0
		assert.Equal(t, want, tasks[1])

		pass(time.Minute)
		late := s.Tasks()[2]
		assert.Equal(t, "text2video", late.Endpoint)
		assert.Equal(t, "created", late.State)
		assert.Equal(t, 3, s.Charged())
		assert.Equal(t, "queueing", func() string { pass(time.Second / 2); return s.Tasks()[2].State }())
	})
}

// A task that is held works on, and ends by hand alone.
func TestServer_Hold(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		timing vidutest.Option
		end    func(s *vidutest.Server, id string)
		want   []any
	}{
		"finished":         {vidutest.WithTiming(time.Second, 2*time.Second), (*vidutest.Server).Finish, []any{"success", "", 55.0, 100.0}},
		"finished at once": {vidutest.WithTiming(0, 0), (*vidutest.Server).Finish, []any{"success", "", 55.0, 100.0}},
		"failed":           {vidutest.WithTiming(0, 0), func(s *vidutest.Server, id string) { s.Fail(id, "AuditFailed") }, []any{"failed", "AuditFailed", 0.0, 0.0}},
		"failed, no code":  {vidutest.WithTiming(0, 0), func(s *vidutest.Server, id string) { s.Fail(id, "") }, []any{"failed", "", 0.0, 0.0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *vidutest.Server) {
				t.Helper()
				s.Hold()
				id, other := createTask(t, s, goodBody), createTask(t, s, goodBody)
				pass(24 * time.Hour)
				assert.Equal(t, []any{"processing", "", 55.0, 99.0}, state(t, s, id))
				assert.Equal(t, []any{"success", "", 55.0, 100.0}, state(t, s, other), "one task is held")

				test.end(s, id)
				assert.Equal(t, test.want, state(t, s, id))
				s.Fail(id, "InternalServiceFailure")
				s.Finish(id)
				assert.Equal(t, test.want, state(t, s, id), "it has ended")
				assert.Equal(t, test.want[0], s.Tasks()[0].State)
			}, test.timing)
		})
	}
}

// Finish and Fail end a task that nothing holds, too, before its time and against its script.
func TestServer_FinishBeforeItsTime(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		s.FailTask("AuditFailed")
		first, second := createTask(t, s, goodBody), createTask(t, s, goodBody)
		s.Finish(first)
		s.Fail(second, "CreationPolicyViolation")
		for range 2 {
			assert.Equal(t, []any{"success", "", 55.0, 100.0}, state(t, s, first))
			assert.Equal(t, []any{"failed", "CreationPolicyViolation", 0.0, 0.0}, state(t, s, second))
			pass(time.Hour)
		}
		assert.PanicsWithValue(t, "vidutest: Finish: there is no task 1", func() { s.Finish("1") })
		assert.PanicsWithValue(t, "vidutest: Fail: there is no task 1", func() { s.Fail("1", "x") })
	})
}

// A held task keeps its place under the limit for as long as it is held.
func TestServer_Hold_CountsForTheLimit(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		s.Hold()
		id := createTask(t, s, goodBody)
		createTask(t, s, goodBody)
		pass(time.Hour)
		createTask(t, s, goodBody)
		assertRefused(t, create(t, s, goodBody), http.StatusTooManyRequests, "QuotaExceeded", "")
		s.Finish(id)
		createTask(t, s, goodBody)
		assertRefused(t, create(t, s, goodBody), http.StatusTooManyRequests, "QuotaExceeded", "")
	}, vidutest.WithTaskLimit(2))
}

// The callbacks of a task follow what is done to it by hand.
func TestServer_Hold_Callbacks(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end  func(s *vidutest.Server, id string)
		work time.Duration
		want []string
	}{
		"finished":          {(*vidutest.Server).Finish, 20 * time.Second, []string{"processing", "success"}},
		"no work, finished": {(*vidutest.Server).Finish, 0, []string{"processing", "success"}},
		"failed":            {func(s *vidutest.Server, id string) { s.Fail(id, "AuditFailed") }, 0, []string{"processing", "failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withCallbacks(t, func(t *testing.T, s *vidutest.Server, r *receiver) {
				t.Helper()
				s.Hold()
				id := createWithHook(t, s, hook)
				pass(time.Hour)
				assert.Equal(t, []string{"processing"}, r.states(t))
				test.end(s, id)
				synctest.Wait()
				assert.Equal(t, test.want, r.states(t))
				pass(time.Hour)
				assert.Equal(t, test.want, r.states(t))
			}, vidutest.WithTiming(10*time.Second, test.work))
		})
	}
}

func hasPayload(payload string) func(vidutest.Request) bool {
	return func(r vidutest.Request) bool { return r.Payload == payload }
}

// A script under a condition waits for its own request, whatever comes before, and the body of every other arrives
// whole.
func TestServer_When(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		script  func(*vidutest.Script)
		charged int // for the one create that is selected
		check   func(t *testing.T, got reply)
	}{
		"FailNext": {func(sc *vidutest.Script) { sc.FailNext(502, "") }, 0, func(t *testing.T, got reply) {
			t.Helper()
			assert.Equal(t, http.StatusBadGateway, got.status)
		}},
		"AnswerNext": {func(sc *vidutest.Script) { sc.AnswerNext("POST /reference2video", teapot) }, 0, func(t *testing.T, got reply) {
			t.Helper()
			assert.Equal(t, http.StatusTeapot, got.status)
		}},
		"DropReplyAfterCommit": {(*vidutest.Script).DropReplyAfterCommit, 1, func(t *testing.T, got reply) {
			t.Helper()
			require.Error(t, got.err)
		}},
		"LateCommit": {func(sc *vidutest.Script) { sc.LateCommit(0) }, 1, func(t *testing.T, got reply) {
			t.Helper()
			require.Error(t, got.err)
		}},
		"DropMidBody": {(*vidutest.Script).DropMidBody, 1, func(t *testing.T, got reply) {
			t.Helper()
			require.Error(t, got.err)
			assert.Equal(t, http.StatusOK, got.status)
		}},
		"Delay": {func(sc *vidutest.Script) { sc.Delay(time.Millisecond) }, 1, func(t *testing.T, got reply) {
			t.Helper()
			assert.Equal(t, http.StatusOK, got.status)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
				t.Helper()
				s := newServer()
				test.script(s.When(hasPayload("job-7")))
				assert.Equal(t, http.StatusNotFound, query(t, s, "1").status)
				other := with(t, "payload", `"job-8"`)
				createTask(t, s, other)
				assertRefused(t, create(t, s, with(t, "payload", `["job-7"]`)), http.StatusBadRequest, "FieldInvalid", "payload")
				assert.Len(t, s.Pending(), 1)
				assert.JSONEq(t, other, string(s.Requests()[1].Body))
				assert.Equal(t, "job-8", s.Requests()[1].Payload)

				got := create(t, s, with(t, "payload", `"job-7"`))
				test.check(t, got)
				assert.Equal(t, 1+test.charged, s.Charged())
				assert.Equal(t, "job-7", s.Requests()[3].Payload)
				assert.True(t, s.Requests()[3].Complete)
				assert.Empty(t, s.Pending())
				createTask(t, s, with(t, "payload", `"job-7"`))
			})
		})
	}
}

// Scripts for tasks and for downloads take conditions, too.
func TestServer_When_TasksAndDownloads(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		s.When(hasPayload("b")).Hold()
		s.When(hasPayload("c")).FailTask("AuditFailed")
		var ids []string
		for _, payload := range []string{"a", "b", "c", "b"} {
			ids = append(ids, createTask(t, s, with(t, "payload", `"`+payload+`"`)))
		}
		var states []string
		for _, task := range s.Tasks() {
			states = append(states, task.State)
		}
		assert.Equal(t, []string{"success", "processing", "failed", "success"}, states)

		isCover := func(r vidutest.Request) bool { return strings.HasSuffix(r.Path, "cover.jpg") }
		s.When(isCover).CutDownload(10)
		s.When(isCover).ReplaceVideo(20)
		video, cover, _ := links(t, s, ids[0])
		require.NoError(t, download(t, s, http.MethodGet, video, http.Header{}).err)
		assert.Len(t, s.Pending(), 2)
		for _, length := range []int{10, 20} {
			got := download(t, s, http.MethodGet, cover, http.Header{})
			require.Error(t, got.err)
			assert.Len(t, got.body, length)
		}
		assert.NoError(t, download(t, s, http.MethodGet, cover, http.Header{}).err)
	}, vidutest.WithTiming(0, 0))
}

// A condition sees all of a request but its answer, and a body that is too large or broken is refused as ever.
func TestServer_When_Request(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		var seen []vidutest.Request
		s.When(func(r vidutest.Request) bool { seen = append(seen, r); return false }).FailNext(500, "")
		body := with(t, "payload", `"job-7"`)
		createTask(t, s, body)
		assertRefused(t, create(t, s, "{"), http.StatusBadRequest, "BadRequest", "not one JSON object")
		large := createFrom(t, s, io.NopCloser(largeCreate(20<<20+1)))
		assertRefused(t, do(s, large), http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "")
		wrongKey := createFrom(t, s, strings.NewReader(body))
		wrongKey.Header.Set("Authorization", "Bearer nonsense")
		assert.Equal(t, http.StatusUnauthorized, do(s, wrongKey).status)

		require.Len(t, seen, 4)
		recorded := s.Requests()
		for i, r := range seen {
			assert.Zero(t, r.Status)
			r.Status = recorded[i].Status
			if i != 2 { // of which the server has read a byte less than it was offered
				assert.Equal(t, recorded[i], r)
			}
		}
		assert.Equal(t, body, string(seen[0].Body))
		assert.Equal(t, "reference2video", seen[0].Endpoint)
	})
}

// A nil condition is none.
func TestServer_When_Nil(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	s.When(nil).FailNext(502, "")
	assert.Equal(t, []string{"FailNext(502)"}, s.Pending())
	assert.Equal(t, http.StatusBadGateway, query(t, s, "1").status)
}

func TestServer_Pending(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTiming(0, 0))
	defer s.Close()
	assert.Empty(t, s.Pending())
	s.DropReplyAfterCommit()
	s.FailTask("AuditFailed")
	s.When(hasPayload("job-7")).Hold()
	s.FailNext(http.StatusServiceUnavailable, "")
	s.AnswerNext("POST /text2video", teapot)
	s.AnswerNext("", teapot)
	s.LateCommit(time.Minute)
	s.DropMidBody()
	s.Delay(time.Second)
	s.CutDownload(10)
	s.ReplaceVideo(-1)
	assert.Equal(t, []string{
		"DropReplyAfterCommit()", `FailTask("AuditFailed")`, "When(…).Hold()", "FailNext(503)", `AnswerNext("POST /text2video")`,
		`AnswerNext("")`, "LateCommit(1m0s)", "DropMidBody()", "Delay(1s)", "CutDownload(10)", "ReplaceVideo(-1)",
	}, s.Pending())

	require.Error(t, create(t, s, goodBody).err)
	assert.Equal(t, http.StatusServiceUnavailable, query(t, s, "1").status)
	assert.Equal(t, []string{
		"When(…).Hold()", `AnswerNext("POST /text2video")`,
		`AnswerNext("")`, "LateCommit(1m0s)", "DropMidBody()", "Delay(1s)", "CutDownload(10)", "ReplaceVideo(-1)",
	}, s.Pending())
}

// fakeTB is a test that is told to end.
type fakeTB struct {
	testing.TB // nil: nothing else is called
	cleanups   []func()
	errors     []string
	failed     bool
	skipped    bool
}

func (tb *fakeTB) Helper()          {}
func (tb *fakeTB) Cleanup(f func()) { tb.cleanups = append(tb.cleanups, f) }
func (tb *fakeTB) Failed() bool     { return tb.failed }
func (tb *fakeTB) Skipped() bool    { return tb.skipped }
func (tb *fakeTB) Errorf(format string, args ...any) {
	text := format
	for _, arg := range args {
		text = strings.Replace(text, "%s", arg.(string), 1)
	}
	tb.errors = append(tb.errors, text)
}

func TestNew(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		tb     fakeTB
		script func(*vidutest.Server)
		want   []string
	}{
		"nothing":       {fakeTB{}, func(*vidutest.Server) {}, nil},
		"used":          {fakeTB{}, func(s *vidutest.Server) { s.FailNext(503, ""); query(t, s, "1") }, nil},
		"unused":        {fakeTB{}, func(s *vidutest.Server) { s.FailNext(503, "") }, []string{"FailNext(503)"}},
		"some unused":   {fakeTB{}, func(s *vidutest.Server) { s.FailNext(503, ""); s.Hold(); s.CutDownload(1); query(t, s, "1") }, []string{"Hold()", "CutDownload(1)"}},
		"failed anyway": {fakeTB{failed: true}, func(s *vidutest.Server) { s.FailNext(503, "") }, nil},
		"skipped":       {fakeTB{skipped: true}, func(s *vidutest.Server) { s.FailNext(503, "") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tb := test.tb
			s := vidutest.New(&tb, vidutest.InMemory())
			test.script(s)
			require.Len(t, tb.cleanups, 1)
			tb.cleanups[0]()
			require.Len(t, tb.errors, len(test.want))
			for i, want := range test.want {
				assert.Regexp(t, `^vidutest: nothing used the script `+strings.NewReplacer("(", `\(`, ")", `\)`).Replace(want)+` of byhand_test\.go:\d+$`, tb.errors[i])
			}
			require.ErrorContains(t, query(t, s, "1").err, "the server was closed")
		})
	}
}

// A bubble's test closes its server before the bubble ends.
func TestNew_InABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := vidutest.New(t, vidutest.InMemory())
		createTask(t, s, goodBody)
	})
}
