package vidu_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// resender is a RoundTripper as some programs have it: it keeps the body and sends it again after a 502.
func resender(next http.RoundTripper, obeys bool) testkit.RoundTrip {
	return func(r *http.Request) (*http.Response, error) {
		var text []byte
		if r.Body != nil {
			var err error
			if text, err = io.ReadAll(r.Body); err != nil {
				return nil, err
			}
		}
		for {
			ctx := r.Context()
			if !obeys { // keeps the trace and loses the cancellation
				ctx = context.WithoutCancel(ctx)
			}
			again := r.Clone(ctx)
			again.Body = io.NopCloser(strings.NewReader(string(text)))
			resp, err := next.RoundTrip(again)
			if err != nil && ctx.Err() != nil {
				return nil, ctx.Err() // not its cause, as many loops do
			}
			if err != nil || resp.StatusCode != http.StatusBadGateway {
				return resp, err
			}
			resp.Body.Close()
		}
	}
}

// TestGuard_Resender shows what is left to do about a transport that sends a create again by itself: the answer to the
// second sending must not be taken for one to the first.
func TestGuard_Resender(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		second int
		obeys  bool
		posts  int64 // at most
	}{
		"stopped at the second connection": {400, true, 1},
		"not stoppable, then 400":          {400, false, 2},
		"not stoppable, then 429":          {429, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var posts atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body) //nolint:errcheck // the test sees it
				w.WriteHeader([]int{502, tt.second}[min(posts.Add(1)-1, 1)])
			}))
			defer server.Close()
			transport := &http.Transport{DisableKeepAlives: true}
			client := newClient(t, server.URL, vidu.WithHTTPClient(&http.Client{Transport: resender(transport, tt.obeys)}))
			_, err := client.Reference2Video(t.Context(), smallRequest())
			require.ErrorIs(t, err, vidu.ErrMaybeCreated)
			require.ErrorContains(t, err, "by itself")
			assert.LessOrEqual(t, posts.Load(), tt.posts)
			testkit.AssertHarmless(t, err)
		})
	}
}

// TestGuard_ResentRead: what costs nothing may be sent a few times by one attempt, and then the attempt is over.
func TestGuard_ResentRead(t *testing.T) {
	t.Parallel()
	calls := map[string]func(ctx context.Context, client *vidu.Client, link string) error{
		"query": func(ctx context.Context, client *vidu.Client, _ string) error {
			_, err := client.GetTask(ctx, "1")
			return err
		},
		"download": func(ctx context.Context, client *vidu.Client, link string) error {
			_, err := client.Download(ctx, finishedTask(link), io.Discard)
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := testkit.ServeReply(t, http.StatusBadGateway, "")
			transport := resender(&http.Transport{DisableKeepAlives: true}, true)
			client := newClient(t, w.URL, vidu.WithHTTPClient(&http.Client{Transport: transport}), vidu.WithMaxAttempts(1))
			err := call(t.Context(), client, w.URL+"/v?a")
			require.ErrorContains(t, err, "by itself")
			require.NotErrorIs(t, err, context.Canceled, "nobody canceled it")
			assert.Equal(t, int64(4), w.Requests.Load())
		})
	}
}

// TestGuard_TokenFirst lets a transport fetch a token with the request's own context before it sends the create.
func TestGuard_TokenFirst(t *testing.T) {
	t.Parallel()
	w := testkit.ServeReply(t, 200, `{"task_id":"1","state":"created"}`)
	transport := &http.Transport{DisableKeepAlives: true}
	client := newClient(t, w.URL, withTransport(func(r *http.Request) (*http.Response, error) {
		token, err := http.NewRequestWithContext(r.Context(), http.MethodGet, w.URL+"/token", http.NoBody)
		if err != nil {
			return nil, err
		}
		resp, err := transport.RoundTrip(token)
		if err != nil {
			return nil, err
		}
		resp.Body.Close()
		return transport.RoundTrip(r)
	}))
	_, err := client.Reference2Video(t.Context(), smallRequest())
	require.NoError(t, err)
}

// TestLoggerThatPanics must not cost a paid task.
func TestLoggerThatPanics(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://gateway.example.com", vidu.WithLogger(slog.New(panicking{})), withTransport(func(r *http.Request) (*http.Response, error) {
		return testkit.Reply(r, 200, `{"task_id":"1","state":"created"}`)
	}))
	task, err := client.Reference2Video(t.Context(), smallRequest())
	require.NoError(t, err)
	assert.Equal(t, "1", task.ID)
}

type panicking struct{ slog.Handler }

func (panicking) Enabled(context.Context, slog.Level) bool  { return true }
func (panicking) Handle(context.Context, slog.Record) error { panic("no space left") } //nolint:forbidigo // that is the point

// A server that answers early and keeps the rest of its answer back until it has the whole request is not waited for:
// the proof that nothing was created is there.
func TestEarlyAnswerIsKeptBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &testkit.Server{}
		r := newRig(t, "http://127.0.0.1")
		r.pipes(func(conn net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
				return
			}
			w.Requests.Add(1)
			io.WriteString(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\n{")
			<-t.Context().Done() // it reads nothing
		})
		started := time.Now()
		_, err := r.Reference2Video(t.Context(), bigRequest(t))
		assertNotCreated(t, err)
		assert.Equal(t, int64(3), w.Requests.Load(), "sent again")
		assert.Equal(t, 90*time.Second, time.Since(started))
	})
}

// TestRefusalThatCannotBeRead: what was lost of it may have said that something has begun.
func TestRefusalThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status         int
		body, encoding string
		cut            bool
		maybe          bool
	}{
		"400, cut before its reason":     {400, `{"code":400,"message":"operation in process","reason":"Operatio`, "", true, true},
		"400, cut before its first byte": {400, ``, "", true, true},
		"400, cut in a task's id":        {400, `{"message":"x","task_id":"8854824460`, "", true, true},
		"400, packed":                    {400, "\x1f\x8b\x08\x00\x00", "gzip", false, true},
		"429, cut before its reason":     {429, `{"code":429,"message":"operation in process","reason":"Operatio`, "", true, true},
		"400, whole":                     {400, `{"code":400,"message":"x","reason":"FieldInvalid"}`, "", false, false},
		"400, a very long page":          {400, "<html>" + strings.Repeat("x", 70<<10), "", false, false},
		"400, a very long text":          {400, strings.Repeat("x", 70<<10), "", false, false},
		"400, reason beyond 64 KiB":      {400, `{"message":"` + strings.Repeat("x", 70<<10) + `","reason":"OperationInProcess"}`, "", false, true},
		"429, reason beyond 64 KiB":      {429, `{"message":"` + strings.Repeat("x", 70<<10) + `","reason":"OperationInProcess"}`, "", false, true},
		"400, torn, length not told":     {400, `{"code":400,"message":"operation in pro`, "", false, true},
		"429, torn, length not told":     {429, "\uFEFF [{", "", false, true},
		"400, torn behind its reason":    {400, `{"code":400,"reason":"FieldInvalid","mess`, "", false, false},
		"400, cut behind its reason":     {400, `{"code":400,"reason":"FieldInvalid","mess`, "", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sent atomic.Int64
			client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
				sent.Add(1)
				resp, err := testkit.Reply(r, tt.status, tt.body)
				if tt.encoding != "" {
					resp.Header.Set("Content-Encoding", tt.encoding)
				}
				if tt.cut {
					resp.ContentLength = 700
					resp.Body = io.NopCloser(io.MultiReader(resp.Body, testkit.FailingReader{Err: io.ErrUnexpectedEOF}))
				}
				return resp, err
			}))
			_, err := client.Reference2Video(t.Context(), smallRequest())
			require.Error(t, err)
			assert.Equal(t, tt.maybe, errors.Is(err, vidu.ErrMaybeCreated), "%v", err)
			assert.Equal(t, int64(1), sent.Load())
		})
	}
}

// TestRefusalThatQuotesAnother: gateways give a code of their own and put their upstream's into the message, with any
// status.
func TestRefusalThatQuotesAnother(t *testing.T) {
	t.Parallel()
	for body, maybe := range map[string]bool{
		`{"code":"fail_to_fetch_task","message":"{\"code\":400,\"reason\":\"OperationInProcess\"}"}`: true,
		`{"code":400,"message":"operation in process, please retry later"}`:                          true,
		`{"error":{"type":"OperationInProcess"}}`:                                                    true,
		`{"code":400,"data":{"reason":"OperationInProcess"}}`:                                        true,
		`{"code":"operation_in_process"}`:                                                            true,
		`{"reason":"BadRequest","code":"OperationInProcess"}`:                                        true,
		`{"code":400,"reason":"BadRequest","message":"{\"reason\":\"OperationInProcess\"}"}`:         true,
		`{"code":"fail_to_fetch_task","message":"{\"reason\":\"Conflict\"}"}`:                        true,
		`{"code":400,"data":{"reason":"Canceled"}}`:                                                  true,
		`{"code":400,"message":"internal service failure"}`:                                          true,
		`{"code":400,"message":"the prompt conflicts with our policy; it was canceled"}`:             false,
		`{"reason":"TaskPromptPolicyViolation","message":"a surgical operation in process"}`:         false,
		`{"reason":"FieldInvalid","message":"style must be one of \"conflict\""}`:                    false,
	} {
		for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
			posts := 0
			client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
				posts++
				return testkit.Reply(r, status, body)
			}))
			_, err := client.Reference2Video(t.Context(), smallRequest())
			require.Error(t, err)
			assert.Equal(t, maybe, errors.Is(err, vidu.ErrMaybeCreated), "%d %s: %v", status, body, err)
			assert.Equal(t, 1, posts)
		}
	}
}

// TestRefusalThatTellsOfATask: what is alive was created, whatever the status says; an id alone may be the request's.
func TestRefusalThatTellsOfATask(t *testing.T) {
	t.Parallel()
	for body, maybe := range map[string]bool{
		`{"id":"9","state":"created"}`:           true,
		`{"id":"9","state":"scheduling"}`:        true,
		`{"data":{"id":"9","state":"queueing"}}`: true,
		`{"task_id":"9"}`:                        true,
		`{"id":"req-9","message":"no"}`:          false,
		`{"id":"req-9","state":"failed"}`:        false,
		`{"id":"req-9","status":"error"}`:        false,
		`{"id":"req-9","status":"success"}`:      false,
	} {
		client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) { return testkit.Reply(r, 400, body) }))
		_, err := client.Reference2Video(t.Context(), smallRequest())
		require.Error(t, err)
		assert.Equal(t, maybe, errors.Is(err, vidu.ErrMaybeCreated), body)
	}
}

// TestRefusalThatIsNoJSON: what only begins like JSON is whole all the same.
func TestRefusalThatIsNoJSON(t *testing.T) {
	t.Parallel()
	for body, status := range map[string]int{
		`[unauthorized] bad token`:     401,
		`{'error': 'invalid api key'}`: 401,
		"{\"message\":\"one\ntwo\"}":   401,
		`[404] no route`:               404,
		`{error: too large}`:           413,
		"{\"code\":403}\x00":           403,
		`{"code":400}{"code":400}`:     400,
		`{"code":"insufficient_quota","message":"` + strings.Repeat("x", 70<<10) + `"}`: 402,
	} {
		client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) { return testkit.Reply(r, status, body) }))
		_, err := client.Reference2Video(t.Context(), smallRequest())
		assertNotCreated(t, err)
	}
}

// TestReplyCutBeforeTheTasksID: the "id" that a gateway calls its own is none of a task's.
func TestReplyCutBeforeTheTasksID(t *testing.T) {
	t.Parallel()
	for body, id := range map[string]string{
		`{"id":"req-77","data":{"task_id":"885482446060003328","sta`: "885482446060003328",
		`{"id":"req-77","data":{"task_id":"8854824460`:               "",
		`{"id":"req-77","code":0,`:                                   "",
		`{"id":"req-77","state":"ok","task_id":"8854`:                "",
	} {
		client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
			resp, err := testkit.Reply(r, 200, body)
			resp.ContentLength = 700
			resp.Body = io.NopCloser(io.MultiReader(resp.Body, testkit.FailingReader{Err: io.ErrUnexpectedEOF}))
			return resp, err
		}))
		task, err := client.Reference2Video(t.Context(), smallRequest())
		if id == "" {
			require.ErrorIs(t, err, vidu.ErrMaybeCreated, body)
			continue
		}
		require.NoError(t, err, body)
		assert.Equal(t, id, task.ID)
	}
}

// TestEarlyAnswersOverHTTP2 has a server that writes its header before it reads the request, over HTTP/2, which notices
// the end of a call only in the goroutine that writes the body.
func TestEarlyAnswersOverHTTP2(t *testing.T) {
	t.Parallel()
	for status, created := range map[int]bool{http.StatusOK: true, http.StatusServiceUnavailable: false} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
				assert.NoError(t, http.NewResponseController(w).Flush())
				if n, err := io.Copy(io.Discard, r.Body); err == nil && n == r.ContentLength {
					io.WriteString(w, `{"task_id":"1","state":"created"}`)
				}
			}))
			server.EnableHTTP2 = true
			server.StartTLS()
			defer server.Close()
			client := newClient(t, server.URL, vidu.WithHTTPClient(server.Client()), vidu.WithMaxAttempts(1))
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			began := time.Now()
			_, err := client.Reference2Video(ctx, bigRequest(t))
			assert.Less(t, time.Since(began), 20*time.Second)
			assert.Equal(t, created, err == nil, "%v", err)
			assert.NotErrorIs(t, err, vidu.ErrMaybeCreated)
		})
	}
}

// TestLocationThatCannotBeRead keeps out of errors what net/http quotes of it.
func TestLocationThatCannotBeRead(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://api.example.com", vidu.WithOfficialAPI(), withTransport(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/uploads") {
			return testkit.Reply(r, 200, `{"id":"1","put_url":"https://store.example.com/x?signature=hunter2"}`)
		}
		resp, err := testkit.Reply(r, 302, "")
		resp.Header.Set("Location", "https://other.example.com/%zz?x-id=PutObject&signature=hunter3")
		return resp, err
	}))
	_, uploaded := client.UploadImage(t.Context(), vidu.Bytes(testkit.BigPNG(t, 1000)))
	_, asked := client.GetTask(t.Context(), "1")
	_, created := client.Reference2Video(t.Context(), smallRequest())
	for _, err := range []error{uploaded, asked, created} {
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "hunter")
	}
}

// TestExpectIsKept announces a large body at every attempt, so that a refusal by the header stays proof.
func TestExpectIsKept(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		statuses []int
		expects  []string
	}{
		"busy, then broken":      {[]int{429, 503, 503}, []string{"100-continue", "100-continue", "100-continue"}},
		"does not understand it": {[]int{417, 200}, []string{"100-continue", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var expects []string
			client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
				status := tt.statuses[len(expects)]
				expects = append(expects, r.Header.Get("Expect"))
				if status == 200 {
					return testkit.Reply(r, 200, `{"task_id":"1"}`)
				}
				r.Body.Close() // unread: refused by the header
				return testkit.Reply(&http.Request{}, status, "")
			}))
			_, err := client.Reference2Video(t.Context(), bigRequest(t))
			require.NotErrorIs(t, err, vidu.ErrMaybeCreated)
			assert.Equal(t, tt.expects, expects)
		})
	}
}

// TestSignedLinkIsNotQuoted covers a transport whose own errors quote the URL.
func TestSignedLinkIsNotQuoted(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://api.example.com", vidu.WithOfficialAPI(), withTransport(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost {
			return testkit.Reply(r, 200, `{"id":"1","put_url":"https://store.example.com/x?signature=hunter2"}`)
		}
		return nil, fmt.Errorf("Put %q: connection refused", r.URL.String())
	}))
	_, err := client.UploadImage(t.Context(), vidu.Bytes(testkit.BigPNG(t, 1000)))
	require.Error(t, err)
	for ; err != nil; err = errors.Unwrap(err) {
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

// TestTraceIDIsMasked covers a server that answers with the Authorization header as its request id.
func TestTraceIDIsMasked(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
		resp, err := testkit.Reply(r, 200, `{}`)
		resp.Header.Set("X-Request-Id", strings.Repeat("x", 70)+r.Header.Get("Authorization"))
		return resp, err
	}))
	_, err := client.Reference2Video(t.Context(), smallRequest())
	doubt, ok := errors.AsType[*vidu.MaybeCreatedError](err)
	require.True(t, ok)
	assert.NotContains(t, doubt.TraceID, "sentinel", "not even a part of the key")
}

// TestWaitSurvives429WithAnyCode covers gateways whose code for "too fast" is a word of their own.
func TestWaitSurvives429WithAnyCode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		polls := 0
		client := newClient(t, "https://gateway.example.com", vidu.WithMaxAttempts(1), withTransport(func(r *http.Request) (*http.Response, error) {
			if polls++; polls < 20 {
				return testkit.Reply(r, 429, `{"error":{"code":"rate_limit_exceeded","message":"slow down"}}`)
			}
			return testkit.Reply(r, 200, `{"state":"success","creations":[{"url":"https://h/v.mp4"}]}`)
		}))
		_, err := client.Wait(t.Context(), "1")
		require.NoError(t, err)
	})
}

func TestTaskErrorWithoutATask(t *testing.T) {
	t.Parallel()
	err := &vidu.TaskError{}
	assert.Equal(t, "vidu: a task failed", err.Error())
	assert.NoError(t, err.Unwrap())
}
