package vidu_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
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

func TestQuery_Retries(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status   int
		body     string
		attempts int
	}{
		"499":                    {499, "", 3},
		"500":                    {500, "", 3},
		"504":                    {504, "", 3},
		"520":                    {520, "", 3},
		"524":                    {524, "", 3},
		"502, a web page":        {502, "<html>", 3},
		"503":                    {503, "", 3},
		"429":                    {429, "", 3},
		"408":                    {408, "", 3},
		"425":                    {425, "", 3},
		"operation in process":   {400, `{"reason":"OperationInProcess"}`, 3},
		"500 that hides a 429":   {500, `{"code":"429","message":"busy"}`, 3},
		"500 that hides a 400":   {500, `{"code":"400","message":"bad"}`, 1},
		"501":                    {501, "", 1},
		"400":                    {400, "", 1},
		"401":                    {401, "", 1},
		"404":                    {404, `{"reason":"TaskNotFound"}`, 1},
		"429, out of money":      {429, `{"code":"insufficient_quota","message":"no"}`, 1},
		"200, an error envelope": {200, `{"success":false,"message":"no"}`, 1},
		"200, a web page":        {200, "<html>", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := testkit.ServeReply(t, tt.status, tt.body)
			_, err := newClient(t, w.URL).GetTask(t.Context(), "1")
			require.Error(t, err)
			testkit.AssertHarmless(t, err)
			require.NotErrorIs(t, err, vidu.ErrMaybeCreated)
			if failure, ok := errors.AsType[*vidu.APIError](err); ok || tt.status != 200 {
				require.True(t, ok, "%v", err)
				assert.Equal(t, tt.status, failure.StatusCode)
			}
			assert.Equal(t, int64(tt.attempts), w.Requests.Load())
		})
	}
}

// By default there are four attempts, so three pauses.
func TestCreate_RetryAfter(t *testing.T) {
	t.Parallel()
	always := func(header string) func() string { return func() string { return header } }
	for name, tt := range map[string]struct {
		retryAfter func() string
		deadline   time.Duration
		attempts   int
		took       time.Duration
	}{
		"seconds":                              {always("7"), time.Hour, 4, 21 * time.Second},
		"HTTP date":                            {func() string { return time.Now().Add(20 * time.Second).UTC().Format(http.TimeFormat) }, time.Hour, 4, time.Minute},
		"date, server an hour ahead":           {func() string { return time.Now().Add(time.Hour).UTC().Format(http.TimeFormat) }, time.Hour, 4, 3 * time.Minute},
		"date, server an hour behind":          {func() string { return time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat) }, time.Hour, 4, 3 * time.Second},
		"ten years are capped":                 {always("315360000"), time.Hour, 4, 3 * time.Minute},
		"absent: the backoff":                  {always(""), time.Hour, 4, 3 * time.Second},
		"garbage: the backoff":                 {always("soon"), time.Hour, 4, 3 * time.Second},
		"negative: the backoff":                {always("-7"), time.Hour, 4, 3 * time.Second},
		"overflow: the backoff":                {always("99999999999999999999"), time.Hour, 4, 3 * time.Second},
		"longer than the deadline: no retry":   {always("60"), 30 * time.Second, 1, 0},
		"the second one outlasts the deadline": {always("20"), 30 * time.Second, 2, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				client, err := vidu.NewClient(someHost, testkit.Key, vidu.WithBackoff(func(int) time.Duration { return time.Second }),
					withTransport(func(r *http.Request) (*http.Response, error) {
						attempts++
						resp, err := testkit.Reply(r, 429, envelope(429, vidu.ErrTooManyRequests))
						resp.Header.Set("Retry-After", tt.retryAfter())
						return resp, err
					}))
				require.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
				defer cancel()
				started := time.Now()
				_, err = client.Reference2Video(ctx, smallRequest())
				assertNotCreated(t, err)
				require.ErrorIs(t, err, vidu.ErrTooManyRequests)
				assert.Equal(t, tt.attempts, attempts)
				assert.Equal(t, tt.took, time.Since(started))
			})
		})
	}
}

func TestQuery_ContextEndsDuringThePause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, "https://gateway.example.com", vidu.WithBackoff(func(int) time.Duration { return time.Minute }),
			withTransport(func(r *http.Request) (*http.Response, error) { return testkit.Reply(r, 503, "") }))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		started := time.Now()
		_, err := client.GetTask(ctx, "1")
		require.ErrorIs(t, err, context.Canceled)
		failure, ok := errors.AsType[*vidu.APIError](err)
		require.True(t, ok, "the last answer is kept")
		assert.Equal(t, 503, failure.StatusCode)
		assert.Equal(t, time.Second, time.Since(started))
	})
}

func TestQuery_CanceledWithACause(t *testing.T) {
	t.Parallel()
	w := testkit.ServeReply(t, 200, `{"state":"success"}`)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("shutting down"))
	_, err := newClient(t, w.URL).GetTask(ctx, "1")
	require.ErrorIs(t, err, context.Canceled)
}

func TestReply_Unusable(t *testing.T) {
	t.Parallel()
	encoded := func(encoding, body string) testkit.RoundTrip {
		return func(r *http.Request) (*http.Response, error) {
			resp, err := testkit.Reply(r, 200, body)
			resp.Header.Set("Content-Encoding", encoding)
			return resp, err
		}
	}
	empty := func(status int) testkit.RoundTrip {
		return func(r *http.Request) (*http.Response, error) { return testkit.Reply(r, status, "") }
	}
	for name, tt := range map[string]struct {
		answer testkit.RoundTrip
		says   string
	}{
		"no gzip at all":  {encoded("gzip", "\x1f\x8b no"), "its gzip is broken"},
		"broken gzip":     {encoded("", strings.Replace(testkit.Gzip(t, createdReply), "\x1f\x8b\x08", "\x1f\x8b\x07", 1)), "its gzip is broken"},
		"words as gzip":   {encoded("gzip", "no"), "invalid character"},
		"a page in gzip":  {encoded("gzip", testkit.Gzip(t, "<html>")), "it is a web page"},
		"gzip thrice":     {encoded("gzip", testkit.Gzip(t, testkit.Gzip(t, testkit.Gzip(t, createdReply)))), "invalid character"},
		"br":              {encoded("br", "\x0f\x02\x80{}\x03"), "encoded as br"},
		"br after gzip":   {encoded("gzip, br", "\x0f\x02\x80{}\x03"), "encoded as br"},
		"br, more blanks": {encoded("identity ,  Br ", "\x0f\x02\x80{}\x03"), "encoded as Br"},
		"too large": {func(r *http.Request) (*http.Response, error) {
			resp, err := testkit.Reply(r, 200, strings.Repeat("x", 32<<20+1))
			resp.ContentLength = -1
			return resp, err
		}, "larger than the limit"},
		"200, empty": {empty(200), "HTTP 200"},
		"201, empty": {empty(201), "HTTP 201"},
		"202, empty": {empty(202), "HTTP 202"},
		"204":        {empty(204), "HTTP 204"},
		"101":        {empty(101), "unexpected HTTP 101"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			posts := 0
			r := newRig(t, someHost, withTransport(func(req *http.Request) (*http.Response, error) {
				if req.Method == http.MethodPost {
					posts++
				}
				return tt.answer(req)
			}))
			_, err := r.create(t)
			assertUnknownOutcome(t, err)
			require.ErrorContains(t, err, tt.says)
			assert.Equal(t, 1, posts)
			_, err = r.GetTask(t.Context(), "1")
			assertNotCreated(t, err)
			require.ErrorContains(t, err, tt.says)
		})
	}
}

func TestReply_ErrorBodyIsBounded(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
		return testkit.Reply(r, 400, strings.Repeat("x", 10<<20))
	}))
	_, err := client.GetTask(t.Context(), "1")
	failure, ok := errors.AsType[*vidu.APIError](err)
	require.True(t, ok)
	assert.Len(t, failure.Body, vidu.MaxErrorReply)
	testkit.AssertHarmless(t, err)
}

func TestLogger_OneRecordPerAttempt(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	statuses := []int{503, 200}
	client := newClient(t, "https://gateway.example.com", vidu.WithLogger(logger), withTransport(func(r *http.Request) (*http.Response, error) {
		status := statuses[0]
		statuses = statuses[1:]
		resp, err := testkit.Reply(r, status, `{"state":"success"}`)
		resp.Header.Set("X-Request-Id", "req-1")
		return resp, err
	}))
	_, err := client.GetTask(t.Context(), "42")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 2)
	for i, line := range lines {
		var record map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		assert.Equal(t, "DEBUG", record["level"])
		assert.Equal(t, "GET", record["method"])
		assert.Equal(t, "/vidu/v2/tasks/42/creations", record["path"])
		assert.InDelta(t, []int{503, 200}[i], record["status"], 0)
		assert.InDelta(t, i+1, record["attempt"], 0)
		assert.Equal(t, "req-1", record["request_id"])
		assert.Contains(t, record, "duration")
	}
}

// envelope is an error of the API whose message quotes the key, as careless servers do.
func envelope(status int, reason vidu.ErrorCode) string {
	return fmt.Sprintf(`{"code":%d,"reason":%q,"message":"no, %s","metadata":{"trace_id":"4bf92f35"}}`, status, reason, testkit.Key)
}

func TestCreate_Refused(t *testing.T) {
	t.Parallel()
	for status, codes := range map[int][]vidu.ErrorCode{
		400: {
			vidu.ErrBadRequest, vidu.ErrFieldLacking, vidu.ErrFieldUnwanted, vidu.ErrFieldItemCountOutOfRange, vidu.ErrFieldInvalid,
			vidu.ErrModelUnavailable, vidu.ErrImageFormatInvalid, vidu.ErrImageSizeInvalid, vidu.ErrImageDownloadFailure,
			vidu.ErrTaskPromptPolicyViolation, vidu.ErrAuditSubmitIllegal, vidu.ErrCreditInsufficient, "SomethingNew",
		},
		401: {vidu.ErrUnauthorized}, 403: {vidu.ErrForbidden, "insufficient_user_quota"}, 404: {vidu.ErrNotFound, "model_not_found"},
		413: {vidu.ErrBadRequest}, 415: {vidu.ErrBadRequest}, 422: {vidu.ErrFieldInvalid}, 431: {vidu.ErrBadRequest},
	} {
		for _, code := range codes {
			t.Run(strconv.Itoa(status)+" "+string(code), func(t *testing.T) {
				t.Parallel()
				w := testkit.ServeReply(t, status, envelope(status, code))
				_, err := newRig(t, w.URL).create(t)
				assertNotCreated(t, err)
				failure, ok := errors.AsType[*vidu.APIError](err)
				require.True(t, ok, "%v", err)
				assert.Equal(t, status, failure.StatusCode)
				assert.Equal(t, code, failure.Code)
				require.ErrorIs(t, err, code)
				assert.Equal(t, "no, [redacted]", failure.Message)
				assert.Equal(t, "4bf92f35", failure.TraceID)
				assert.NotContains(t, string(failure.Body), testkit.Key)
				assert.Equal(t, int64(1), w.Requests.Load())
			})
		}
	}
}

func TestCreate_OutcomeUnknown(t *testing.T) {
	t.Parallel()
	assertUnknown := func(t *testing.T, status int, body string) {
		t.Helper()
		w := testkit.ServeReply(t, status, body)
		_, err := newRig(t, w.URL).create(t)
		assertUnknownOutcome(t, err)
		unknown := unknownOutcome(t, err)
		assert.Equal(t, status, unknown.StatusCode)
		assert.Equal(t, strings.HasPrefix(body, "{"), unknown.TraceID == "4bf92f35")
		assert.NotContains(t, string(unknown.Body), testkit.Key)
		assert.Equal(t, int64(1), w.Requests.Load())
	}
	for _, status := range []int{408, 409, 499, 500, 502, 503, 504, 520, 524} {
		for name, body := range map[string]string{
			"empty": "", "documented": envelope(status, vidu.ErrInternalServiceFailure), "another code": envelope(status, "UpstreamError"),
			"web page": "<html><h1>Bad Gateway, " + testkit.Key + "</h1></html>",
		} {
			t.Run(strconv.Itoa(status)+" "+name, func(t *testing.T) {
				t.Parallel()
				assertUnknown(t, status, body)
			})
		}
	}
	t.Run("409 Conflict", func(t *testing.T) {
		t.Parallel()
		assertUnknown(t, 409, envelope(409, vidu.ErrConflict))
	})
	t.Run("400 OperationInProcess", func(t *testing.T) {
		t.Parallel()
		assertUnknown(t, 400, envelope(400, vidu.ErrOperationInProcess))
	})
}

func TestQuery_RetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gets := 0
		r := newRig(t, someHost, withTransport(func(req *http.Request) (*http.Response, error) {
			if gets++; gets == 3 {
				return testkit.Reply(req, 200, processingReply)
			}
			resp, err := testkit.Reply(req, 503, "")
			resp.Header.Set("Retry-After", []string{"11", "3600"}[gets-1])
			return resp, err
		}))
		started := time.Now()
		_, err := r.GetTask(t.Context(), "1")
		require.NoError(t, err)
		assert.Equal(t, 11*time.Second+time.Minute, time.Since(started), "at most a minute")
	})
}

func TestRedirects_AreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			other := testkit.ServeReply(t, 200, createdReply)
			for name, location := range map[string]string{
				"other host": other.URL + "/moved", "same host": "/moved", "https": "https://gateway.example.com/moved",
			} {
				var requests atomic.Int64
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					requests.Add(1)
					io.Copy(io.Discard, r.Body) //nolint:errcheck // the answer shows
					w.Header().Set("Location", location+"?signature=secret")
					w.WriteHeader(status)
				}))
				r := newRig(t, server.URL)
				_, created := r.create(t)
				_, queried := r.GetTask(t.Context(), "1")
				for _, err := range []error{created, queried} {
					assertNotCreated(t, err)
					require.ErrorContains(t, err, "redirect to "+location+" not followed", name)
					assert.NotContains(t, err.Error(), "secret")
				}
				assert.Equal(t, int64(2), requests.Load(), name)
				server.Close()
			}
			assert.Zero(t, other.Requests.Load())
		})
	}
}

func TestCreate_AcceptedByAny2xx(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 202, 203} {
		w := testkit.ServeReply(t, status, createdReply)
		task, err := newRig(t, w.URL).create(t)
		assertCreated(t, task, err)
		assert.Equal(t, int64(1), w.Requests.Load())
	}
}

func TestReply_SwitchingProtocols(t *testing.T) {
	t.Parallel()
	closed := make(chan error, 1)
	w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
		if w.ReadRequest(conn) {
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"+createdReply)
			_, err := conn.Read(make([]byte, 1))
			closed <- err
		}
	})
	_, err := newRig(t, w.URL).create(t)
	assertUnknownOutcome(t, err)
	require.ErrorContains(t, err, "unexpected HTTP 101")
	assert.Equal(t, int64(1), w.Requests.Load())
	select {
	case err := <-closed:
		require.Error(t, err)
	case <-time.After(time.Second):
		t.Error("the connection is still open")
	}
}

// flooding is a rig whose server answers with head and then text without end, and the count of what the client read.
func flooding(t *testing.T, w *testkit.Server, head, text string) (*rig, *atomic.Int64) {
	t.Helper()
	sent := new(atomic.Int64)
	r := newRig(t, "http://127.0.0.1")
	r.pipes(testkit.AnswerEach(w, func(conn net.Conn) { sent.Add(testkit.Flood(conn, head, text)) }))
	return r, sent
}

const limitOfHeader = 64<<10 + 8<<10 // and a buffer

func TestReply_EndlessHeader(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"many lines": "X-Filler: " + strings.Repeat("a", 90) + "\r\n",
		"one line":   strings.Repeat("a", 100),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := &testkit.Server{}
				r, sent := flooding(t, w, "HTTP/1.1 200 OK\r\nX-Filler: ", line)
				_, err := r.create(t)
				assertUnknownOutcome(t, err)
				synctest.Wait()
				assert.LessOrEqual(t, sent.Load(), int64(limitOfHeader))
				assert.Equal(t, int64(1), w.Requests.Load())

				_, err = r.GetTask(t.Context(), "1")
				assertNotCreated(t, err)
				synctest.Wait()
				assert.LessOrEqual(t, sent.Load(), int64(4*limitOfHeader), "with three attempts more")
			})
		})
	}
}

func TestReply_MalformedHeader(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{
		"10,000 lines":        strings.Repeat("X-A: b\r\n", 10_000),
		"NUL":                 "X-A: a\x00b\r\n",
		"CR in a value":       "X-A: a\rb\r\n",
		"no colon":            "garbage " + testkit.Key + strings.Repeat(" garbage", 1000) + "\r\n",
		"two lengths":         "Content-Length: 5\r\n",
		"length not a number": "Content-Length: many\r\n",
		"odd encoding":        "Transfer-Encoding: gzip, chunked\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
				if w.ReadRequest(conn) {
					fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", header, len(createdReply), createdReply)
				}
			})
			r := newRig(t, w.URL)
			_, err := r.create(t)
			assertUnknownOutcome(t, err)
			assert.Equal(t, int64(1), w.Requests.Load())
			_, err = r.GetTask(t.Context(), "1")
			assertNotCreated(t, err)
		})
	}
}

func TestReply_CookiesAreIgnored(t *testing.T) {
	t.Parallel()
	var requests, cookies atomic.Int64
	reply := newTasks()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		cookies.Add(int64(len(r.Cookies())))
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1", Path: "/"})
		io.WriteString(w, reply())
	}))
	defer server.Close()
	r := newRig(t, server.URL)
	for range 2 {
		_, err := r.create(t)
		require.NoError(t, err)
		_, err = r.GetTask(t.Context(), "another")
		require.NoError(t, err)
	}
	assert.Equal(t, int64(4), requests.Load())
	assert.Zero(t, cookies.Load())
}

func TestReply_WebPage(t *testing.T) {
	t.Parallel()
	html := func(t *testing.T, body string) (*rig, *atomic.Int64) {
		t.Helper()
		requests := new(atomic.Int64)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			_, err := io.Copy(io.Discard, r.Body) // closed with a request unread, the connection is reset, and the end of the page is lost
			assert.NoError(t, err)
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, body)
		}))
		t.Cleanup(server.Close)
		return newRig(t, server.URL), requests
	}
	t.Run("page", func(t *testing.T) {
		t.Parallel()
		page := "<!DOCTYPE html><html>" + testkit.Key + strings.Repeat("<p>Welcome</p>", 10_000)
		r, requests := html(t, page)
		_, err := r.create(t)
		assertUnknownOutcome(t, err)
		require.ErrorContains(t, err, "it is a web page")
		kept := unknownOutcome(t, err).Body
		assert.True(t, bytes.HasPrefix(kept, []byte("<!DOCTYPE html><html>[redacted]<p>Welcome")))
		assert.LessOrEqual(t, len(kept), vidu.MaxErrorReply)
		assert.Equal(t, int64(1), requests.Load())
		_, err = r.GetTask(t.Context(), "1")
		assertNotCreated(t, err)
	})
	t.Run("JSON that calls itself a page", func(t *testing.T) {
		t.Parallel()
		r, _ := html(t, createdReply)
		task, err := r.create(t)
		assertCreated(t, task, err) // the content counts, not what a proxy calls it
	})
}

func TestCreate_ConnectingHangs(t *testing.T) {
	t.Parallel()
	const dialTimeout = 10 * time.Second // of our own dialer
	for name, tt := range map[string]struct{ deadline, took time.Duration }{
		"every attempt ends":           {time.Hour, 3 * dialTimeout},
		"the context ends the attempt": {25 * time.Second, 25 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, someHost)
				r.dialTo(func(ctx context.Context, _, _ string) (net.Conn, error) {
					timed, cancel := context.WithTimeout(ctx, dialTimeout)
					defer cancel()
					<-timed.Done()
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: timed.Err()}
				})
				ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
				defer cancel()
				started := time.Now()
				_, err := r.Reference2Video(ctx, smallRequest())
				assertNotCreated(t, err)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Equal(t, tt.took, time.Since(started))
			})
		})
	}
}

func TestReply_NeverComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &testkit.Server{}
		r := newRig(t, "http://127.0.0.1")
		r.pipes(testkit.AnswerEach(w, func(conn net.Conn) { conn.Read(make([]byte, 1)) })) //nolint:errcheck // until the client is gone
		started := time.Now()
		_, err := r.create(t)
		assertUnknownOutcome(t, err)
		assert.Equal(t, 2*time.Minute, time.Since(started))
		assert.Equal(t, int64(1), w.Requests.Load())

		started = time.Now()
		_, err = r.GetTask(t.Context(), "1")
		assertNotCreated(t, err)
		assert.Equal(t, 3*30*time.Second, time.Since(started))
	})
}

func TestReply_Trickles(t *testing.T) {
	t.Parallel()
	drip := func(head string) func(conn net.Conn) { // a byte a second
		return func(conn net.Conn) {
			text := "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + head
			for _, err := io.WriteString(conn, text); err == nil; _, err = io.WriteString(conn, " ") {
				testkit.Pass(time.Second)
			}
		}
	}
	t.Run("create", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			defer testkit.Settle()
			w := &testkit.Server{}
			r := newRig(t, "http://127.0.0.1")
			r.pipes(testkit.AnswerEach(w, drip("")))
			started := time.Now()
			_, err := r.create(t)
			assertUnknownOutcome(t, err)
			assert.Equal(t, 10*time.Minute, time.Since(started))
			assert.Equal(t, int64(1), w.Requests.Load())
		})
	})
	t.Run("create, the id came first", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			defer testkit.Settle()
			r := newRig(t, "http://127.0.0.1")
			r.pipes(testkit.AnswerEach(&testkit.Server{}, drip(`{"task_id":"1","prompt":"`)))
			task, err := r.create(t)
			assertCreated(t, task, err)
			assert.NotEmpty(t, task.Warnings)
		})
	})
	t.Run("query", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			defer testkit.Settle()
			w := &testkit.Server{}
			r := newRig(t, "http://127.0.0.1")
			r.pipes(testkit.AnswerEach(w, drip("")))
			started := time.Now()
			_, err := r.GetTask(t.Context(), "1")
			assertNotCreated(t, err)
			assert.Equal(t, 3*time.Minute, time.Since(started), "three attempts")
			assert.Equal(t, int64(3), w.Requests.Load())
		})
	})
}

// Without the guard there are eight requests per attempt, or no end of them.
func TestHTTP2_ReadsRefusedForEver(t *testing.T) {
	t.Parallel()
	for name, do := range testkit.H2Refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // net/http pauses for seconds between its repetitions
				config, pool := testkit.Certificate(t, testkit.FarFuture, "gateway.example.com")
				config.NextProtos = []string{"h2"}
				w := &testkit.Server{}
				r := newRig(t, someHost)
				r.trust(pool)
				r.pipes(func(conn net.Conn) {
					out := testkit.NewBufferedConn(conn)
					defer out.Close()
					testkit.ServeH2(w, tls.Server(out, config), do)
				})
				_, err := r.GetTask(t.Context(), "1")
				assertNotCreated(t, err)
				assert.LessOrEqual(t, w.Requests.Load(), int64(3*4), "three attempts")
				assert.GreaterOrEqual(t, w.Requests.Load(), int64(3))
				synctest.Wait() // until the connection is idle, for only then it can be closed
			})
		})
	}
}

// An error keeps all of an answer that has room in it.
func TestRefusal_KeepsWhatFits(t *testing.T) {
	t.Parallel()
	const head, tail = `{"message":"`, `"}`
	body := head + strings.Repeat("x", vidu.MaxErrorReply-len(head+tail)) + tail
	_, err := clientWithReply(t, http.StatusBadRequest, body).GetTask(t.Context(), "1")
	var failure *vidu.APIError
	require.ErrorAs(t, err, &failure)
	assert.True(t, body == string(failure.Body)) //nolint:testifylint // it would be printed
}

func TestConnections_AreReused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status, size int
		calls, conns int64 // connections at the most
	}{
		"answers":                    {200, 0, 200, 1},
		"errors":                     {404, 0, 200, 1},
		"pages beyond what is kept":  {404, 100 << 10, 200, 1},
		"pages too long to be read":  {404, 300 << 10, 20, 20},
		"answers that are no answer": {204, 0, 200, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var conns atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				if tt.status != http.StatusNoContent {
					io.WriteString(w, processingReply+strings.Repeat(" ", tt.size))
				}
			}))
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					conns.Add(1)
				}
			}
			server.Start()
			defer server.Close()
			r := newRig(t, server.URL)
			for range tt.calls {
				_, err := r.GetTask(t.Context(), "1")
				assert.Equal(t, tt.status == 200, err == nil, "%v", err)
			}
			assert.LessOrEqual(t, conns.Load(), tt.conns)
			assert.LessOrEqual(t, r.read.Load(), tt.calls*(vidu.MaxErrorReply+64<<10+1024), "read to its end only where that is near")
		})
	}
}

// The request is read once, before anything is sent. Changes that the caller makes after that have no effect.
func TestCreate_RequestChangesDuringTheCall(t *testing.T) {
	t.Parallel()
	req := smallRequest()
	req.Extra = map[string]any{"extra": 1}
	var bodies []string
	r := newRig(t, someHost, withTransport(func(sent *http.Request) (*http.Response, error) {
		changed := make(chan struct{})
		go func() { // not the caller's goroutine, so that the race detector sees every later read
			defer close(changed)
			req.Model, req.Prompt, req.Payload, req.CallbackURL, req.Seed = "other", "other", "other", "other", 9
			req.Images[0], req.Extra["extra"] = vidu.URL("https://example.com/other.png"), 2
		}()
		body, err := io.ReadAll(sent.Body)
		<-changed
		bodies = append(bodies, string(body))
		if err != nil {
			return nil, err
		}
		return testkit.Reply(sent, 429, "")
	}))
	_, err := r.Reference2Video(t.Context(), req)
	assertNotCreated(t, err)
	require.Len(t, bodies, 3)
	assert.Contains(t, bodies[0], "The astronaut waved")
	for _, body := range bodies {
		assert.Equal(t, bodies[0], body, "every attempt sends the same")
	}

	r = newRig(t, someHost, withTransport(func(sent *http.Request) (*http.Response, error) {
		req.Payload = "changed"
		return testkit.Reply(sent, 500, "")
	}))
	req = smallRequest()
	_, err = r.Reference2Video(t.Context(), req)
	assertUnknownOutcome(t, err) // which names the payload that was sent
}

// When a client's budget of retries is empty, a server that is down sees no more requests than there are calls.
func TestRetries_AreBudgeted(t *testing.T) {
	t.Parallel()
	const calls = 100
	clients := 100
	if testkit.UnderRace() { // which is slow
		clients = 20
	}
	var requests atomic.Int64
	dead := func(req *http.Request) (*http.Response, error) {
		requests.Add(1)
		return testkit.Reply(req, 503, "")
	}
	many := make([]*vidu.Client, clients)
	for i := range many {
		many[i] = newClient(t, someHost, withTransport(dead))
	}
	ask := func(times int) {
		requests.Store(0)
		for _, client := range many {
			for range times {
				_, err := client.GetTask(t.Context(), "1")
				failure, ok := errors.AsType[*vidu.APIError](err)
				require.True(t, ok, "%v", err)
				assert.Equal(t, 503, failure.StatusCode)
			}
		}
	}
	ask(50)
	t.Logf("%.2f requests per call while there are tokens", float64(requests.Load())/float64(50*clients))
	ask(calls)
	assert.LessOrEqual(t, requests.Load(), int64(clients*calls*11/10))
}

// A pause that is cut short leaves no timer behind: the bubble would not end while one is running.
func TestRetries_CanceledPauseLeavesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, someHost, vidu.WithBackoff(func(int) time.Duration { return 100 * time.Hour }),
			withTransport(func(req *http.Request) (*http.Response, error) { return testkit.Reply(req, 503, "") }))
		for i := range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := r.GetTask(ctx, strconv.Itoa(i))
			require.ErrorIs(t, err, context.Canceled)
		}
	})
}

// A server that answers before the request is complete and holds back the rest of its answer: that nothing was created
// is proven without the rest.
func TestReply_EarlyAndIncomplete(t *testing.T) {
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

// A read that its caller gives up costs no token: it is not repeated, however often that happens.
func TestRetries_AbandonedReadsCostNothing(t *testing.T) {
	t.Parallel()
	requests := 0
	client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
		if r.Context().Err() != nil {
			return nil, r.Context().Err()
		}
		requests++
		return testkit.Reply(r, 503, "")
	}))
	abandoned, cancel := context.WithCancel(t.Context())
	cancel()
	for range 200 {
		_, err := client.GetTask(abandoned, "1")
		require.ErrorIs(t, err, context.Canceled)
	}
	_, err := client.GetTask(t.Context(), "1")
	require.Error(t, err)
	assert.Equal(t, 3, requests, "retries are left")
}

// A large body is announced in every attempt, so that a refusal by the header proves that nothing was created.
func TestCreate_Expects100Continue(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		statuses []int
		expects  []string
	}{
		"busy, then broken": {[]int{429, 503, 503}, []string{"100-continue", "100-continue", "100-continue"}},
		"417, then without": {[]int{417, 200}, []string{"100-continue", ""}},
		"417, then busy":    {[]int{417, 429, 200}, []string{"100-continue", "", ""}},
		"417, then broken":  {[]int{417, 503, 503}, []string{"100-continue", "", ""}},
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
