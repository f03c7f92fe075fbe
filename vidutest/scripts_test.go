package vidutest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

func TestServer_FailNext(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		for status, reason := range map[int]string{
			400: "BadRequest", 401: "Unauthorized", 402: "CreditInsufficient", 403: "Forbidden", 404: "NotFound",
			409: "Conflict", 422: "BadRequest", 429: "TooManyRequests", 499: "Canceled",
			500: "InternalServiceFailure", 503: "InternalServiceFailure",
		} {
			s := newServer()
			s.FailNext(status, "")
			assertRefused(t, create(t, s, goodBody), status, reason, "scripted")
			assert.Zero(t, s.Charged())
			assert.True(t, s.Requests()[0].Complete)
			assert.Equal(t, status, s.Requests()[0].Status)
			assert.Equal(t, http.StatusOK, create(t, s, goodBody).status)
		}
	})
}

func TestServer_FailNext_Body(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	for body, contentType := range map[string]string{
		`{"error":"text"}`:         "application/json",
		"<html>Bad Gateway</html>": "text/html; charset=utf-8",
		" ":                        "text/plain; charset=utf-8",
	} {
		s.FailNext(http.StatusBadGateway, body)
		got := query(t, s, "1")
		assert.Equal(t, http.StatusBadGateway, got.status)
		assert.Equal(t, body, got.body)
		assert.Equal(t, contentType, got.header.Get("Content-Type"))
	}
}

func TestServer_FailNext_RefusesTheStatus(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	for _, status := range []int{-1, 0, 99, 100, 199, 600, 1000} {
		assert.Panics(t, func() { s.FailNext(status, "") }, status)
	}
	assert.Equal(t, http.StatusOK, create(t, s, goodBody).status, "nothing was queued")
	for _, status := range []int{200, 599} {
		s.FailNext(status, "x")
		assert.Equal(t, status, create(t, s, goodBody).status)
	}
}

func TestServer_DropReplyAfterCommit(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer()
		id := createTask(t, s, goodBody)
		s.DropReplyAfterCommit()
		assert.Equal(t, http.StatusOK, query(t, s, id).status, "a query is not a create")

		got := create(t, s, goodBody)
		require.ErrorIs(t, got.err, io.EOF)
		assert.Equal(t, 2, s.Charged())
		last := s.Requests()[2]
		assert.Zero(t, last.Status)
		assert.True(t, last.Complete)
		assert.JSONEq(t, goodBody, string(last.Body))

		assert.Equal(t, http.StatusOK, create(t, s, goodBody).status)
	})
}

func TestServer_LateCommit(t *testing.T) {
	t.Parallel()
	inOfficialBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		s.LateCommit(time.Minute)
		s.LateCommit(time.Second)
		start := time.Now()
		for range 2 {
			require.ErrorIs(t, ask(t, s, http.MethodPost, "/ent/v2/reference2video", officialBody).err, io.EOF)
		}
		assert.Equal(t, start, time.Now(), "the connection is cut at once")
		assert.Zero(t, s.Charged())

		pass(time.Second - 1)
		ids, _ := listed(t, s, "")
		assert.Empty(t, ids)
		pass(1)
		ids, _ = listed(t, s, "")
		require.Len(t, ids, 1)
		assert.Equal(t, 1, s.Charged())
		assert.Equal(t, "created", queryOfficial(t, s, ids[0])["state"])
		assert.Equal(t, "job 7", queryOfficial(t, s, ids[0])["payload"])

		pass(58 * time.Second)
		third := createOfficial(t, s)
		assert.Equal(t, 2, s.Charged())
		pass(time.Second)
		assert.Equal(t, 3, s.Charged())
		ids, _ = listed(t, s, "")
		require.Len(t, ids, 3)
		assert.Equal(t, third, ids[1], "the newest comes first, by its creation")
		assert.Equal(t, "created", queryOfficial(t, s, ids[0])["state"])
	})
}

// A late task has its place among those that have not ended from the moment when it is accepted.
func TestServer_LateCommit_CountsForTheLimit(t *testing.T) {
	t.Parallel()
	inOfficialBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		create := func() reply { return ask(t, s, http.MethodPost, "/ent/v2/reference2video", officialBody) }
		s.LateCommit(time.Second)
		require.ErrorIs(t, create().err, io.EOF)
		assertRefused(t, create(), http.StatusTooManyRequests, "QuotaExceeded", "")
		pass(time.Second)
		assertRefused(t, create(), http.StatusTooManyRequests, "QuotaExceeded", "")
		assert.Equal(t, 1, s.Charged())
		pass(30 * time.Second)
		createOfficial(t, s)
		assert.Equal(t, 2, s.Charged())
	}, vidutest.WithTaskLimit(1))
}

// A late task takes its place among the others even without a request in between.
func TestServer_LateCommit_BeforeACreate(t *testing.T) {
	t.Parallel()
	inOfficialBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		s.LateCommit(time.Second)
		require.ErrorIs(t, ask(t, s, http.MethodPost, "/ent/v2/reference2video", officialBody).err, io.EOF)
		pass(time.Minute)
		second := createOfficial(t, s)
		ids, _ := listed(t, s, "")
		require.Len(t, ids, 2)
		assert.Equal(t, second, ids[0])
	})
}

// Every kind of call finds the task of a late commit.
func TestServer_LateCommit_FoundByEveryCall(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		path string // of what is asked for first, "" for nothing
		want string // in the answer
	}{
		"list":    {"/ent/v2/tasks", `"state":"created"`},
		"credits": {"/ent/v2/credits", `"queue_count":1`},
		"charged": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inOfficialBubble(t, func(t *testing.T, s *vidutest.Server) {
				t.Helper()
				s.LateCommit(time.Second)
				require.ErrorIs(t, ask(t, s, http.MethodPost, "/ent/v2/reference2video", officialBody).err, io.EOF)
				pass(time.Second)
				if test.path != "" {
					assert.Contains(t, ask(t, s, http.MethodGet, test.path, "").body, test.want)
				}
				assert.Equal(t, 1, s.Charged())
			})
		})
	}
}

func TestServer_DropReplyAfterCommit_RefusedCreate(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	s.DropReplyAfterCommit()
	assert.Equal(t, http.StatusBadRequest, create(t, s, "{}").status)
	assert.Equal(t, http.StatusOK, create(t, s, goodBody).status)
}

func TestServer_DropMidBody(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer()
		s.DropMidBody()

		got := create(t, s, goodBody)
		require.ErrorIs(t, got.err, io.ErrUnexpectedEOF)
		assert.Equal(t, http.StatusOK, got.status)
		assert.True(t, strings.HasPrefix(got.body, `{"task_id":"`), got.body)
		assert.NotContains(t, got.body, "}")
		assert.Equal(t, 1, s.Charged())
		assert.Equal(t, http.StatusOK, s.Requests()[0].Status)
	})
}

// An answer without a body cannot be cut, and leaves the script to the next.
func TestServer_DropMidBody_SkipsEmptyAnswers(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer(vidutest.WithOfficialAPI())
		id, putURL := startUpload(t, s)
		s.DropMidBody()
		got := do(s, newRequest(t, http.MethodHead, s.URL+createPath, http.NoBody))
		require.NoError(t, got.err)
		got = put(t, s, putURL, strings.NewReader("\x89PNG\r\n\x1a\n"), nil)
		require.NoError(t, got.err)
		assert.Equal(t, http.StatusOK, got.status)

		got = finish(t, s, id, got.header.Get("ETag"))
		require.ErrorIs(t, got.err, io.ErrUnexpectedEOF)
		assert.NotEmpty(t, got.body)
	})
}

func TestServer_Delay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := vidutest.NewServer(vidutest.InMemory())
		defer s.Close()
		start := time.Now()
		s.Delay(time.Minute)
		assert.Equal(t, http.StatusOK, create(t, s, goodBody).status)
		assert.Equal(t, time.Minute, time.Since(start))
		assert.Equal(t, http.StatusOK, create(t, s, goodBody).status)
		assert.Equal(t, time.Minute, time.Since(start))
	})
}

func TestServer_Delay_ClientGivesUp(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer()
		s.Delay(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for s.Charged() == 0 && t.Context().Err() == nil {
				runtime.Gosched()
			}
			cancel()
		}()
		req := newRequest(t, http.MethodPost, s.URL+createPath, strings.NewReader(goodBody))

		require.ErrorIs(t, do(s, req.WithContext(ctx)).err, context.Canceled)
		assert.Equal(t, 1, s.Charged())
		assert.Zero(t, s.Requests()[0].Status)
	})
}

// An answer is not sent once its client is gone.
func TestServer_Delay_EndsWithItsClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := vidutest.NewServer(vidutest.InMemory())
		defer s.Close()
		s.Delay(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req := newRequest(t, http.MethodPost, s.URL+createPath, strings.NewReader(goodBody))
		require.ErrorIs(t, do(s, req.WithContext(ctx)).err, context.DeadlineExceeded)

		pass(2 * time.Hour)
		assert.Zero(t, s.Requests()[0].Status)
	})
}

// Close ends a delay even where the connection is another server's.
func TestServer_Delay_EndsWithItsServer(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	outer := httptest.NewServer(s)
	defer outer.Close()
	s.Delay(time.Hour)
	time.AfterFunc(50*time.Millisecond, s.Close)

	resp, err := outer.Client().Do(newRequest(t, http.MethodPost, outer.URL+createPath, strings.NewReader(goodBody)))
	if err == nil {
		_ = resp.Body.Close()
	}
	assert.ErrorIs(t, err, io.EOF)
}

// Scripts happen in the order of their calls, to queries and creates alike; downloads use none up.
func TestServer_ScriptsAreAQueue(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer(vidutest.WithTiming(0, 0))
		id := createTask(t, s, goodBody)
		video, _, _ := links(t, s, id)
		s.FailNext(http.StatusServiceUnavailable, "")
		s.DropReplyAfterCommit()
		s.FailNext(http.StatusTooManyRequests, "")
		s.DropMidBody()

		assert.Equal(t, http.StatusOK, download(t, s, http.MethodGet, video, http.Header{}).status)
		assert.Equal(t, http.StatusServiceUnavailable, create(t, s, goodBody).status)
		assert.Equal(t, http.StatusTooManyRequests, query(t, s, id).status, "the oldest that applies to a query")
		require.ErrorIs(t, create(t, s, goodBody).err, io.EOF)
		require.ErrorIs(t, query(t, s, id).err, io.ErrUnexpectedEOF)
		assert.NoError(t, query(t, s, id).err)
	})
}
