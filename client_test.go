package vidu_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

func TestU02_BaseURLIsJoined(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		base string
		opts []vidu.Option
		want string
	}{
		"bare":                 {"https://h", nil, "https://h/vidu/v2/tasks/1/creations"},
		"trailing slash":       {"https://h/", nil, "https://h/vidu/v2/tasks/1/creations"},
		"path":                 {"https://h/router/v1", nil, "https://h/router/v1/vidu/v2/tasks/1/creations"},
		"path, double slashes": {"https://h//router//v1//", nil, "https://h/router/v1/vidu/v2/tasks/1/creations"},
		"escaped path":         {"https://h/a%2Fb", nil, "https://h/a%2Fb/vidu/v2/tasks/1/creations"},
		"port":                 {"https://h:8443", nil, "https://h:8443/vidu/v2/tasks/1/creations"},
		"IPv6":                 {"http://[::1]:80", nil, "http://[::1]:80/vidu/v2/tasks/1/creations"},
		"official":             {"https://h", []vidu.Option{vidu.WithOfficialAPI()}, "https://h/ent/v2/tasks/1/creations"},
		"API path":             {"https://h/x", []vidu.Option{vidu.WithAPIPath("vidu/ent/v2/")}, "https://h/x/vidu/ent/v2/tasks/1/creations"},
		"no API path":          {"https://h", []vidu.Option{vidu.WithAPIPath("")}, "https://h/tasks/1/creations"},
		"no API path, slash":   {"https://h/", []vidu.Option{vidu.WithAPIPath("/")}, "https://h/tasks/1/creations"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got string
			client, err := vidu.NewClient(tt.base, testkit.Key, append(tt.opts, withTransport(func(r *http.Request) (*http.Response, error) {
				got = r.URL.String()
				return testkit.Reply(r, 200, `{"state":"success"}`)
			}))...)
			require.NoError(t, err)
			_, err = client.GetTask(t.Context(), "1")
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestU03_BaseURLIsRefused(t *testing.T) {
	t.Parallel()
	for name, base := range map[string]string{
		"empty":                  "",
		"relative":               "gateway.example.com",
		"path only":              "/vidu",
		"scheme":                 "ftp://gateway.example.com",
		"opaque":                 "https:gateway.example.com",
		"no host":                "https://",
		"no host but a port":     "https://:443",
		"query":                  "https://gateway.example.com?key=1",
		"empty query":            "https://gateway.example.com?",
		"fragment":               "https://gateway.example.com#a",
		"empty fragment":         "https://gateway.example.com#",
		"user name":              "https://user@gateway.example.com",
		"user name and password": "https://user:hunter2@gateway.example.com",
		"unreadable, a password": "https://user:hunter2%zz@gateway.example.com",
		"port out of range":      "https://gateway.example.com:99999",
		"port zero":              "https://gateway.example.com:0",
		"space":                  "https://gateway.example.com/a b",
		"control character":      "https://gateway.example.com/\n",
		"not ASCII":              "https://gateway.example.com/ü",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := vidu.NewClient(base, testkit.Key)
			require.ErrorContains(t, err, "vidu: base URL: ")
			assert.Nil(t, client)
			assert.NotContains(t, err.Error(), "hunter2")
			testkit.AssertHarmless(t, err)
		})
	}
}

func TestU04_PlainHTTPIsRefused(t *testing.T) {
	t.Parallel()
	_, err := vidu.NewClient("http://gateway.example.com", testkit.Key)
	require.ErrorContains(t, err, "WithInsecureHTTP")
	for _, base := range []string{"http://127.0.0.1:1", "http://127.8.9.1", "http://[::1]", "http://localhost:8080", "http://LOCALHOST"} {
		_, err = vidu.NewClient(base, testkit.Key)
		require.NoError(t, err, base)
	}
	_, err = vidu.NewClient("http://gateway.example.com", testkit.Key, vidu.WithInsecureHTTP())
	require.NoError(t, err)
}

func TestU05_KeyIsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ key, says string }{
		"empty":            {"", "is empty"},
		"newline":          {testkit.Key + "\n", "ends with a newline"},
		"carriage return":  {testkit.Key + "\r\n", "ends with a newline"},
		"newline within":   {"sentinel-key\n-0123456789", "characters that a header cannot have"},
		"NUL":              {testkit.Key + "\x00", "characters that a header cannot have"},
		"space":            {testkit.Key + " x", "spaces"},
		"tab":              {testkit.Key + "\t", "characters that a header cannot have"},
		"not ASCII":        {testkit.Key + "ü", "characters that a header cannot have"},
		"Bearer in front":  {"Bearer " + testkit.Key, "begins with the scheme"},
		"Token in front":   {"Token " + testkit.Key, "begins with the scheme"},
		"nothing but line": {"\n", "ends with a newline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := vidu.NewClient("https://gateway.example.com", tt.key)
			require.ErrorContains(t, err, "vidu: API key: ")
			require.ErrorContains(t, err, tt.says)
			assert.NotContains(t, err.Error(), "sentinel")
		})
	}
}

func TestU06_KeyIsNeverPrinted(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	echo := `{"code":401,"reason":"Unauthorized","message":"bad key ` + testkit.Key + `","metadata":{"trace_id":"` + testkit.Key + `"}}`
	client := newClient(t, "https://gateway.example.com", vidu.WithLogger(logger), withTransport(func(r *http.Request) (*http.Response, error) {
		return testkit.Reply(r, 401, echo)
	}))
	_, err := client.Reference2Video(t.Context(), smallRequest())
	testkit.AssertHarmless(t, err)
	failure, ok := errors.AsType[*vidu.APIError](err)
	require.True(t, ok)
	assert.NotContains(t, fmt.Sprintf("%s %s %s", failure.Body, failure.Metadata, failure.TraceID), testkit.Key)
	assert.Contains(t, err.Error(), "bad key [redacted]")

	logger.Info("client", "client", client, "value", *client)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&log, verb, client)
		fmt.Fprintf(&log, verb, *client)
	}
	text, err := json.Marshal(map[string]any{"client": client})
	require.NoError(t, err)
	assert.NotContains(t, log.String()+string(text), testkit.Key)
	assert.NotContains(t, log.String(), fmt.Sprintf("%x", testkit.Key))
}

func TestU06_KeyInTransportErrorIsMasked(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("cannot send %v", r.Header)
	}))
	_, err := client.GetTask(t.Context(), "1")
	testkit.AssertHarmless(t, err)
	assert.Contains(t, err.Error(), "[redacted]")
}

func TestU09_NoOptionSetsForbiddenHeaders(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]vidu.Option{
		"WithUserAgent":   vidu.WithUserAgent("x\r\nIdempotency-Key: 1"),
		"WithAuthScheme":  vidu.WithAuthScheme("Bearer\r\nHost: x"),
		"WithAPIPath":     vidu.WithAPIPath("/v2 HTTP/1.1\r\nIdempotency-Key: 1"),
		"WithMaxAttempts": vidu.WithMaxAttempts(0),
		"WithBackoff":     vidu.WithBackoff(nil),
		"WithHTTPClient":  vidu.WithHTTPClient(nil),
	} {
		_, err := vidu.NewClient("https://gateway.example.com", testkit.Key, opt)
		require.ErrorContains(t, err, "vidu: "+name+": ")
	}
	for _, path := range []string{"/a?b", "/a#b", "/../a", "/a%2e", "\\a"} {
		_, err := vidu.NewClient("https://gateway.example.com", testkit.Key, vidu.WithAPIPath(path))
		require.ErrorContains(t, err, "WithAPIPath", path)
	}
	_, err := vidu.NewClient("https://gateway.example.com", testkit.Key, vidu.WithAuthScheme("two words"))
	require.ErrorContains(t, err, "WithAuthScheme")
}

func TestU12_NilIsAnError(t *testing.T) {
	t.Parallel()
	var none *vidu.Client
	for name, client := range map[string]*vidu.Client{"nil": none, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client.Reference2Video(t.Context(), smallRequest())
			require.ErrorContains(t, err, "NewClient")
			_, err = client.GetTask(t.Context(), "1")
			require.ErrorContains(t, err, "NewClient")
			_, err = client.Wait(t.Context(), "1")
			require.ErrorContains(t, err, "NewClient")
			_, err = client.Download(t.Context(), &vidu.Task{}, io.Discard)
			require.ErrorContains(t, err, "NewClient")
			_, err = client.DownloadFile(t.Context(), nil, "x")
			require.ErrorContains(t, err, "NewClient")
		})
	}
	client := newClient(t, "https://gateway.example.com", nil)
	_, err := client.Reference2Video(nil, smallRequest()) //nolint:staticcheck // a nil context is the point
	require.ErrorContains(t, err, "context is nil")
	_, err = client.Wait(nil, "1") //nolint:staticcheck // as above
	require.ErrorContains(t, err, "context is nil")
	_, err = client.Reference2Video(t.Context(), nil)
	invalid, ok := errors.AsType[*vidu.ValidationError](err)
	require.True(t, ok)
	assert.Equal(t, "req", invalid.Problems[0].Field)
	_, err = client.Download(t.Context(), nil, io.Discard)
	require.ErrorContains(t, err, "task is nil")
}

func TestRequestHeaders(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts []vidu.Option
		want string
	}{
		"default":  {nil, "Bearer " + testkit.Key},
		"official": {[]vidu.Option{vidu.WithOfficialAPI()}, "Token " + testkit.Key},
		"scheme":   {[]vidu.Option{vidu.WithAuthScheme("Key")}, "Key " + testkit.Key},
		"bare key": {[]vidu.Option{vidu.WithAuthScheme("")}, testkit.Key},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen []*http.Request
			mock := httpmock.NewMockTransport()
			mock.RegisterNoResponder(func(r *http.Request) (*http.Response, error) {
				seen = append(seen, r)
				return testkit.Reply(r, 200, `{"task_id":"1","state":"created"}`)
			})
			opts := append(tt.opts, vidu.WithUserAgent("my-service/2"), vidu.WithHTTPClient(&http.Client{Transport: mock}))
			client := newClient(t, "https://gateway.example.com", opts...)
			_, err := client.Reference2Video(t.Context(), smallRequest())
			require.NoError(t, err)
			_, err = client.GetTask(t.Context(), "1")
			require.NoError(t, err)
			require.Len(t, seen, 2)
			for _, r := range seen {
				assert.Equal(t, tt.want, r.Header.Get("Authorization"))
				assert.Equal(t, "application/json", r.Header.Get("Content-Type"))
				assert.Equal(t, "identity", r.Header.Get("Accept-Encoding"))
				assert.Regexp(t, `^vidu-go/\d+\.\d+\.\d+ go/\d\S* my-service/2$`, r.Header.Get("User-Agent"))
				assert.Len(t, r.Header, 4, "nothing else, above all no idempotency key, for net/http would then send creates twice")
				assert.NotContains(t, r.URL.String(), testkit.Key)
			}
			assert.Nil(t, seen[0].GetBody, "with it net/http could send the create twice")
			assert.Positive(t, seen[0].ContentLength)
		})
	}
}

func TestCallersClientIsNotModified(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	callers := &http.Client{Timeout: time.Minute, Transport: testkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
		sent.Add(1)
		return testkit.Reply(r, 200, `{"task_id":"1","state":"success","creations":[{"url":"https://h/v.mp4"}]}`)
	})}
	before := *callers
	client := newClient(t, "https://gateway.example.com", vidu.WithHTTPClient(callers))
	task, err := client.Reference2Video(t.Context(), smallRequest())
	require.NoError(t, err)
	_, err = client.Download(t.Context(), task, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, int64(2), sent.Load())
	assert.Equal(t, before.Timeout, callers.Timeout)
	assert.Nil(t, callers.CheckRedirect)
	assert.Nil(t, callers.Jar)
}

// TestCreatesSpeakHTTP1 shows over real TLS that a server which offers HTTP/2 gets it for reads and never for creates.
func TestCreatesSpeakHTTP1(t *testing.T) {
	t.Parallel()
	protocols := map[string]string{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocols[r.Method] = r.Proto
		io.WriteString(w, `{"task_id":"1","state":"created"}`)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	client := newClient(t, server.URL)
	creates, reads, _ := client.Transports()
	for _, c := range []*http.Client{creates, reads} {
		transport, ok := c.Transport.(*http.Transport)
		require.True(t, ok)
		roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		if transport.TLSClientConfig == nil {
			transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		}
		transport.TLSClientConfig.RootCAs = roots
		defer transport.CloseIdleConnections()
	}
	_, err := client.Reference2Video(t.Context(), smallRequest())
	require.NoError(t, err)
	_, err = client.GetTask(t.Context(), "1")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"POST": "HTTP/1.1", "GET": "HTTP/2.0"}, protocols)
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			other := testkit.ServeReply(t, 200, `{"task_id":"1"}`)
			server := httptest.NewServer(http.RedirectHandler(other.URL+"/x?signature=secret", status))
			defer server.Close()
			client := newClient(t, server.URL)
			for name, do := range map[string]func() error{
				"create": func() error { _, err := client.Reference2Video(t.Context(), smallRequest()); return err },
				"query":  func() error { _, err := client.GetTask(t.Context(), "1"); return err },
			} {
				err := do()
				require.ErrorContains(t, err, "redirect to "+other.URL+"/x not followed", name)
				require.NotErrorIs(t, err, vidu.ErrMaybeCreated, "a redirect was not acted on")
				testkit.AssertHarmless(t, err)
			}
			assert.Zero(t, other.Requests.Load())
		})
	}
}

func TestReadsAreRetried(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status   int
		body     string
		attempts int
	}{
		"500":                    {500, "", 3},
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
			assert.Equal(t, int64(tt.attempts), w.Requests.Load())
		})
	}
}

func TestRetryPausesInVirtualTime(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		retryAfter string
		deadline   time.Duration
		attempts   int
		took       time.Duration
	}{
		"seconds":                              {"7", time.Hour, 3, 14 * time.Second},
		"ten years are capped":                 {"315360000", time.Hour, 3, 2 * time.Minute},
		"garbage is the backoff":               {"soon", time.Hour, 3, 2 * time.Second},
		"negative is the backoff":              {"-5", time.Hour, 3, 2 * time.Second},
		"longer than the deadline: at once":    {"60", 30 * time.Second, 1, 0},
		"the second one outlasts the deadline": {"20", 30 * time.Second, 2, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				client, err := vidu.NewClient("https://gateway.example.com", testkit.Key, vidu.WithMaxAttempts(3),
					vidu.WithBackoff(func(int) time.Duration { return time.Second }),
					withTransport(func(r *http.Request) (*http.Response, error) {
						attempts++
						resp, err := testkit.Reply(r, 429, "")
						resp.Header.Set("Retry-After", tt.retryAfter)
						return resp, err
					}))
				require.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
				defer cancel()
				started := time.Now()
				_, err = client.Reference2Video(ctx, smallRequest())
				failure, ok := errors.AsType[*vidu.APIError](err)
				require.True(t, ok)
				assert.Equal(t, 429, failure.StatusCode)
				assert.Equal(t, tt.attempts, attempts)
				assert.Equal(t, tt.took, time.Since(started))
			})
		})
	}
}

func TestRetryPauseIsCutByTheContext(t *testing.T) {
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
		require.True(t, ok, "the last answer is still there")
		assert.Equal(t, 503, failure.StatusCode)
		assert.Equal(t, time.Second, time.Since(started))
	})
}

func TestContextWithACauseStillSaysCanceled(t *testing.T) {
	t.Parallel()
	w := testkit.ServeReply(t, 200, `{"state":"success"}`)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("shutting down"))
	_, err := newClient(t, w.URL).GetTask(ctx, "1")
	require.ErrorIs(t, err, context.Canceled)
}

func TestLoggerHasOneRecordAnAttempt(t *testing.T) {
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

func TestClientIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	w := testkit.ServeReply(t, 200, `{"task_id":"1","state":"created"}`)
	client := newClient(t, w.URL)
	_, reads, _ := client.Transports()
	defer reads.CloseIdleConnections()
	req := smallRequest()
	var running sync.WaitGroup
	for range 50 {
		running.Go(func() {
			_, err := client.Reference2Video(t.Context(), req)
			assert.NoError(t, err) //nolint:testifylint // require must not be called outside the test's goroutine
			_, err = client.GetTask(t.Context(), "1")
			assert.NoError(t, err)
		})
	}
	running.Wait()
	assert.Equal(t, int64(100), w.Complete.Load())
}

func TestNewClientFromEnv(t *testing.T) {
	t.Setenv("VIDU_BASE_URL", "")
	t.Setenv("VIDU_API_KEY", "")
	_, err := vidu.NewClientFromEnv()
	require.EqualError(t, err, "vidu: the environment variable VIDU_BASE_URL is not set")
	t.Setenv("VIDU_BASE_URL", "https://gateway.example.com")
	_, err = vidu.NewClientFromEnv()
	require.EqualError(t, err, "vidu: the environment variable VIDU_API_KEY is not set")
	t.Setenv("VIDU_API_KEY", testkit.Key)
	client, err := vidu.NewClientFromEnv(vidu.WithOfficialAPI())
	require.NoError(t, err)
	assert.NotNil(t, client)
}

func TestAnswersThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	endless := strings.Repeat("x", 32<<20+1)
	for name, tt := range map[string]struct {
		answer func(r *http.Request) (*http.Response, error)
		says   string
	}{
		"gzip that was not asked for": {func(r *http.Request) (*http.Response, error) {
			resp, err := testkit.Reply(r, 200, "\x1f\x8b…")
			resp.Header.Set("Content-Encoding", "gzip")
			return resp, err
		}, "encoded as gzip"},
		"too large": {func(r *http.Request) (*http.Response, error) {
			resp, err := testkit.Reply(r, 200, endless)
			resp.ContentLength = -1
			return resp, err
		}, "too large"},
		"protocol switch": {func(r *http.Request) (*http.Response, error) {
			return testkit.Reply(r, 101, "")
		}, "unexpected HTTP 101"},
		"no content": {func(r *http.Request) (*http.Response, error) {
			return testkit.Reply(r, 204, "")
		}, "HTTP 204"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, "https://gateway.example.com", withTransport(tt.answer))
			_, err := client.Reference2Video(t.Context(), smallRequest())
			require.ErrorIs(t, err, vidu.ErrMaybeCreated)
			require.ErrorContains(t, err, tt.says)
			testkit.AssertHarmless(t, err)
			_, err = client.GetTask(t.Context(), "1")
			require.ErrorContains(t, err, tt.says)
		})
	}
}

func TestErrorBodyIsBounded(t *testing.T) {
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

// TestReplyCutAfterTheID shows that a paid task is not lost for the rest of its reply.
func TestReplyCutAfterTheID(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
		resp, err := testkit.Reply(r, 200, `{"task_id":"885482446060003328","type":"img2v`)
		resp.ContentLength = 700
		resp.Body = io.NopCloser(io.MultiReader(resp.Body, testkit.FailingReader{Err: io.ErrUnexpectedEOF}))
		return resp, err
	}))
	task, err := client.Reference2Video(t.Context(), smallRequest())
	require.NoError(t, err)
	assert.Equal(t, "885482446060003328", task.ID)
	assert.Contains(t, strings.Join(task.Warnings, " "), "cannot be used")
}
