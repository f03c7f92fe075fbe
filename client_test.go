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
	"path"
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
	"github.com/vidu-go/vidu/vidutest"
)

func TestNewClient_BaseURL(t *testing.T) {
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

func TestNewClient_BaseURLIsRefused(t *testing.T) {
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

// What is usually meant by a base URL that would answer 401 or 404 to everything.
func TestNewClient_WrongSetup(t *testing.T) {
	t.Parallel()
	official, bare := vidu.WithOfficialAPI(), vidu.WithAPIPath("")
	byHand := []vidu.Option{vidu.WithAPIPath("/ent/v2"), vidu.WithAuthScheme("Token")}
	for name, tt := range map[string]struct {
		base string
		opts []vidu.Option
		want string // "": allowed
	}{
		"official host":                {vidu.OfficialBaseURL, nil, "api.vidu.com is the official API; add WithOfficialAPI"},
		"official host, China":         {vidu.OfficialBaseURLChina, nil, "api.vidu.cn is the official API; add WithOfficialAPI"},
		"official host, in capitals":   {"https://API.Vidu.com:443/", nil, "add WithOfficialAPI"},
		"official host, the path only": {vidu.OfficialBaseURL, byHand[:1], "add WithOfficialAPI"},
		"official host, the word only": {vidu.OfficialBaseURL, byHand[1:], "add WithOfficialAPI"},
		"official host, with it":       {vidu.OfficialBaseURL, []vidu.Option{official}, ""},
		"official host, China, too":    {vidu.OfficialBaseURLChina, []vidu.Option{official}, ""},
		"official host, by hand":       {vidu.OfficialBaseURL, byHand, ""},
		"a host like it":               {"https://api.vidu.com.example.com", nil, ""},
		"a subdomain":                  {"https://eu.api.vidu.com", nil, ""},

		"API path":                {"https://h/vidu/v2", nil, "ends in \"vidu/v2\", which is added to it"},
		"API path, slash":         {"https://h/vidu/v2/", nil, "vidu/v2"},
		"API path behind a path":  {"https://h/router/vidu/v2", nil, "vidu/v2"},
		"official path":           {vidu.OfficialBaseURL + "/ent/v2", []vidu.Option{official}, "ent/v2"},
		"path of one's own":       {"https://h/a/b", []vidu.Option{vidu.WithAPIPath("/a/b/")}, "ends in \"a/b\""},
		"reference2video":         {"https://h/vidu/v2/reference2video", nil, "vidu/v2/reference2video"},
		"text2video":              {"https://h/vidu/v2/text2video/", nil, "vidu/v2/text2video"},
		"img2video":               {"https://h/x/vidu/v2/img2video", nil, "vidu/v2/img2video"},
		"start-end2video":         {"https://h/vidu/v2/start-end2video", nil, "vidu/v2/start-end2video"},
		"tasks":                   {"https://h/vidu/v2/tasks", nil, "vidu/v2/tasks"},
		"empty API path":          {"https://h/vidu/v2", []vidu.Option{bare}, ""},
		"a slash for an API path": {"https://h/vidu/v2", []vidu.Option{vidu.WithAPIPath("/")}, ""},
		"another path":            {"https://h/ent/v2", nil, ""},
		"part of a name":          {"https://h/mividu/v2", nil, ""},
		"API path in the middle":  {"https://h/vidu/v2/proxy", nil, ""},
		"another version":         {"https://h/vidu/v22", nil, ""},
		"an endpoint without it":  {"https://h/reference2video", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := vidu.NewClient(tt.base, testkit.Key, tt.opts...)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "vidu: base URL: ")
			require.ErrorContains(t, err, tt.want)
			assert.Nil(t, client)
			testkit.AssertHarmless(t, err)
		})
	}
}

func TestNewClient_PlainHTTP(t *testing.T) {
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

func TestNewClient_KeyIsRefused(t *testing.T) {
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

func TestKey_IsNeverPrinted(t *testing.T) {
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

func TestKey_IsMaskedInTransportErrors(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("cannot send %v", r.Header)
	}))
	_, err := client.GetTask(t.Context(), "1")
	testkit.AssertHarmless(t, err)
	assert.Contains(t, err.Error(), "[redacted]")
}

func TestNewClient_OptionsAreChecked(t *testing.T) {
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

func TestClient_NilIsAnError(t *testing.T) {
	t.Parallel()
	var none *vidu.Client
	for name, client := range map[string]*vidu.Client{"nil": none, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for method, call := range map[string]func() error{
				"Reference2Video": func() error { _, err := client.Reference2Video(t.Context(), smallRequest()); return err },
				"GetTask":         func() error { _, err := client.GetTask(t.Context(), "1"); return err },
				"Wait":            func() error { _, err := client.Wait(t.Context(), "1"); return err },
				"Download":        func() error { _, err := client.Download(t.Context(), &vidu.Task{}, io.Discard); return err },
				"DownloadFile":    func() error { _, err := client.DownloadFile(t.Context(), nil, "x"); return err },
				"CancelTask":      func() error { return client.CancelTask(t.Context(), "1") },
				"ListTasks":       func() error { _, err := client.ListTasks(t.Context(), nil); return err },
				"FindTask":        func() error { _, err := client.FindTask(t.Context(), "job-42", time.Now()); return err },
				"GetCredits":      func() error { _, err := client.GetCredits(t.Context()); return err },
			} {
				require.ErrorContains(t, call(), "NewClient", method)
			}
			for _, err := range client.AllTasks(t.Context(), nil) {
				require.ErrorContains(t, err, "NewClient")
			}
			for _, err := range client.WaitAll(t.Context(), []string{"1"}) {
				require.ErrorContains(t, err, "NewClient")
			}
		})
	}
}

func TestClient_NilArguments(t *testing.T) {
	t.Parallel()
	client := newClient(t, someHost, nil, vidu.WithLogger(nil), withTransport(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("sent")
	}))
	_, err := client.Reference2Video(nil, smallRequest()) //nolint:staticcheck // a nil context is the point
	require.ErrorContains(t, err, "context is nil")
	_, err = client.Wait(nil, "1") //nolint:staticcheck // as above
	require.ErrorContains(t, err, "context is nil")
	_, err = client.ListTasks(nil, nil) //nolint:staticcheck // as above
	require.ErrorContains(t, err, "context is nil")
	_, err = client.Reference2Video(t.Context(), nil)
	assert.Equal(t, []string{"req"}, problemFields(t, err))
	_, err = client.Download(t.Context(), nil, io.Discard)
	require.ErrorContains(t, err, "task is nil")
}

func TestCalls_Headers(t *testing.T) {
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
			assert.NotContains(t, seen[0].Header, "Cache-Control")
			assert.Equal(t, "no-cache", seen[1].Header.Get("Cache-Control"), "a cache must not keep a task from ending")
			seen[1].Header.Del("Cache-Control")
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

func TestWithHTTPClient_IsNotModified(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	callers := &http.Client{Timeout: time.Minute, Transport: testkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
		sent.Add(1)
		if r.URL.Host == "h" {
			return testkit.Reply(r, 200, testkit.MP4File)
		}
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

func TestClient_EveryMethodConcurrently(t *testing.T) {
	t.Parallel()
	var posts atomic.Int64
	reply := newTasks()
	r := newRig(t, someHost, vidu.WithOfficialAPI(), withTransport(func(req *http.Request) (*http.Response, error) {
		switch {
		case strings.HasSuffix(req.URL.Path, "/reference2video"):
			posts.Add(1)
			return testkit.Reply(req, 200, reply())
		case strings.HasSuffix(req.URL.Path, "/tasks"):
			return testkit.Reply(req, 200, `{"tasks":[{"id":"1","state":"success"}]}`)
		case strings.HasSuffix(req.URL.Path, "/credits"):
			return testkit.Reply(req, 200, `{"remains":[]}`)
		case strings.HasSuffix(req.URL.Path, "/cancel"):
			return testkit.Reply(req, 200, `{}`)
		case req.URL.Host == "h":
			return testkit.Reply(req, 200, testkit.MP4File)
		}
		return testkit.Reply(req, 200, about(req, succeededReply))
	}))
	var running sync.WaitGroup
	for range 100 {
		running.Go(func() { assert.NoError(t, callEverything(t.Context(), r.Client)) })
	}
	running.Wait()
	assert.Equal(t, int64(100), posts.Load())
}

func callEverything(ctx context.Context, client *vidu.Client) error {
	task, err := client.Reference2Video(ctx, smallRequest())
	if err != nil {
		return err
	}
	task, waitErr := client.Wait(ctx, task.ID)
	_, downloadErr := client.Download(ctx, task, io.Discard)
	_, creditsErr := client.GetCredits(ctx)
	errs := []error{waitErr, downloadErr, creditsErr, client.CancelTask(ctx, "1")}
	for _, err := range client.AllTasks(ctx, nil) {
		errs = append(errs, err)
	}
	for _, err := range client.WaitAll(ctx, []string{"1", "2"}) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// A logger that panics costs no answer. Every other function of the caller's panics in the caller's goroutine, and
// leaves the client usable: no lock is held, no body is open, no goroutine stays.
func TestHooks_Panic(t *testing.T) {
	t.Parallel()
	boom := func() { panic("boom") } //nolint:forbidigo // the point
	requests := 0
	failing := withTransport(func(req *http.Request) (*http.Response, error) { // once
		if requests++; requests == 1 {
			return testkit.Reply(req, 503, "")
		}
		return testkit.Reply(req, 200, processingReply)
	})
	working := withTransport(func(req *http.Request) (*http.Response, error) { return testkit.Reply(req, 200, processingReply) })
	ids := []string{"1", "2", "3"}
	t.Run("logger", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, someHost, vidu.WithLogger(slog.New(testkit.LogHook{Hook: boom})),
			withTransport(func(req *http.Request) (*http.Response, error) { return testkit.Reply(req, 200, createdReply) }))
		task, err := r.create(t)
		assertCreated(t, task, err)
	})
	for name, tt := range map[string]struct {
		opts []vidu.Option
		call func(ctx context.Context, r *rig)
	}{
		"backoff": {[]vidu.Option{failing, vidu.WithBackoff(func(int) time.Duration { boom(); return 0 })}, func(ctx context.Context, r *rig) {
			r.GetTask(ctx, "1") //nolint:errcheck // it panics
		}},
		"progress of Wait": {[]vidu.Option{working}, func(ctx context.Context, r *rig) {
			r.Wait(ctx, "1", vidu.WithProgress(func(*vidu.Task) { boom() })) //nolint:errcheck // it panics
		}},
		"progress of WaitAll": {[]vidu.Option{working}, func(ctx context.Context, r *rig) {
			for range r.WaitAll(ctx, ids, vidu.WithProgress(func(*vidu.Task) { boom() })) { //nolint:errcheck // it panics
				continue
			}
		}},
		"schedule of Wait": {[]vidu.Option{working}, func(ctx context.Context, r *rig) {
			r.Wait(ctx, "1", vidu.WithPollSchedule(func(time.Duration) time.Duration { boom(); return 0 })) //nolint:errcheck // it panics
		}},
		"schedule of WaitAll": {[]vidu.Option{working}, func(ctx context.Context, r *rig) {
			for range r.WaitAll(ctx, ids, vidu.WithPollSchedule(func(time.Duration) time.Duration { boom(); return 0 })) { //nolint:errcheck // it panics
				continue
			}
		}},
		"body of the loop": {[]vidu.Option{working}, func(ctx context.Context, r *rig) {
			for range r.Watch(ctx, "1") { //nolint:errcheck // it panics
				boom()
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // which fails when a goroutine stays
				r := newRig(t, someHost, tt.opts...)
				assert.PanicsWithValue(t, "boom", func() { tt.call(t.Context(), r) })
				assert.Zero(t, r.Waiting())
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				r.Wait(ctx, "1", vidu.WithProgress(func(*vidu.Task) { cancel() })) //nolint:errcheck // it ends: no lock is held
			})
		})
	}
}

func TestHooks_Block(t *testing.T) {
	t.Parallel()
	for name, hook := range map[string]func(block func()) (vidu.Option, vidu.WaitOption){
		"logger": func(block func()) (vidu.Option, vidu.WaitOption) {
			return vidu.WithLogger(slog.New(testkit.LogHook{Hook: block})), nil
		},
		"progress": func(block func()) (vidu.Option, vidu.WaitOption) {
			return nil, vidu.WithProgress(func(*vidu.Task) { block() })
		},
		"schedule": func(block func()) (vidu.Option, vidu.WaitOption) {
			return nil, vidu.WithPollSchedule(func(time.Duration) time.Duration { block(); return time.Second })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release, first := make(chan struct{}), new(atomic.Bool)
				option, waitOption := hook(func() {
					if first.CompareAndSwap(false, true) { // one call is stuck
						<-release
					}
				})
				r := newRig(t, someHost, option, withTransport(func(req *http.Request) (*http.Response, error) {
					return testkit.Reply(req, 200, about(req, processingReply))
				}))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var stuck sync.WaitGroup
				stuck.Go(func() { r.Wait(ctx, "1", waitOption) }) //nolint:errcheck // the others are the point
				synctest.Wait()
				require.True(t, first.Load())
				short, done := context.WithTimeout(t.Context(), time.Minute)
				defer done()
				_, err := r.Wait(short, "2")
				require.ErrorIs(t, err, context.DeadlineExceeded)
				_, err = r.Wait(short, "1")
				require.ErrorIs(t, err, context.DeadlineExceeded)
				cancel()
				close(release)
				stuck.Wait()
			})
		})
	}
}

// Over the wire, too, a create has the library's headers and no others, whatever the options.
func TestCalls_HeadersOnTheWire(t *testing.T) {
	t.Parallel()
	var seen http.Header
	var host string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen, host = r.Header, r.Host
		io.WriteString(w, createdReply)
	}))
	defer server.Close()
	_, err := newRig(t, server.URL, vidu.WithUserAgent("service/1")).create(t)
	require.NoError(t, err)
	assert.Equal(t, strings.TrimPrefix(server.URL, "http://"), host)
	for name := range seen {
		assert.Contains(t, []string{"Authorization", "Content-Type", "Content-Length", "Accept-Encoding", "User-Agent", "Connection"}, name)
	}
}

// The key is not printed with what holds a client either.
func TestKey_IsNotPrintedWithHolders(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	client := newClient(t, someHost)
	holder := struct {
		Client *vidu.Client
		Copies []any
	}{client, []any{client, client.Wait, client.Watch(t.Context(), "1")}}
	fmt.Fprintf(&out, "%v %+v %#v", holder, holder, holder)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("holder", "holder", holder.Client)
	text, err := json.Marshal(map[string]any{"client": client})
	require.NoError(t, err)
	out.Write(text)
	func() {
		defer func() { fmt.Fprint(&out, recover()) }()
		panic(client) //nolint:forbidigo // a panic prints what it is given
	}()
	assert.NotContains(t, out.String(), testkit.Key)
}

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

// A transport that sends a create again by itself: the answer to the second request must not be taken for one to the
// first.
func TestGuard_TransportRetriesCreate(t *testing.T) {
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

// A transport may fetch a token with the request's own context before it sends the create.
func TestGuard_TransportFetchesToken(t *testing.T) {
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

// What costs nothing may be sent a few times in one attempt, and then the attempt is over.
func TestGuard_TransportRetriesRead(t *testing.T) {
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

// What is signed does not pass through a wrapper, and everything else does.
func TestWithTransportWrapper_CallsOfTheAPI(t *testing.T) {
	t.Parallel()
	server := vidutest.NewServer(vidutest.WithOfficialAPI(), vidutest.WithTiming(0, 0))
	defer server.Close()
	for name, opts := range map[string][]vidu.Option{"default": nil, "a caller's transport": {vidu.WithHTTPClient(server.Client())}} {
		var seen []string
		wraps := 0
		wrap := func(number string) vidu.Option {
			return vidu.WithTransportWrapper(func(next http.RoundTripper) http.RoundTripper {
				wraps++
				return testkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
					seen = append(seen, number+" "+r.Method+" "+path.Base(r.URL.Path))
					return next.RoundTrip(r)
				})
			})
		}
		client, err := vidu.NewClient(server.URL, vidutest.APIKey, append(opts, vidu.WithOfficialAPI(), wrap("1"), wrap("2"))...)
		require.NoError(t, err)
		assert.Equal(t, 2, wraps)
		req := smallRequest()
		image, err := client.UploadImage(t.Context(), vidu.Bytes(testkit.BigPNG(t, 2000)))
		require.NoError(t, err)
		req.Images = []vidu.Media{image}
		task, err := client.Reference2Video(t.Context(), req)
		require.NoError(t, err)
		task, err = client.Wait(t.Context(), task.ID)
		require.NoError(t, err)
		_, err = client.Download(t.Context(), task, io.Discard)
		require.NoError(t, err)
		assert.Equal(t, []string{
			"1 POST uploads", "2 POST uploads", "1 PUT finish", "2 PUT finish", "1 POST reference2video", "2 POST reference2video",
			"1 GET creations", "2 GET creations",
		}, seen, name)
		assert.Equal(t, 2, wraps)
	}
}

func TestWithTransportWrapper_Refused(t *testing.T) {
	t.Parallel()
	calls := 0
	for name, tt := range map[string]struct {
		opts []vidu.Option
		want string
	}{
		"nil function": {[]vidu.Option{vidu.WithTransportWrapper(nil)}, "vidu: WithTransportWrapper: the function is nil"},
		"nil result": {
			[]vidu.Option{vidu.WithTransportWrapper(func(http.RoundTripper) http.RoundTripper { return nil })},
			"vidu: WithTransportWrapper: the function returned nil",
		},
		"nil transport": {
			[]vidu.Option{vidu.WithHTTPClient(&http.Client{Transport: (*http.Transport)(nil)})},
			"vidu: WithHTTPClient: the transport is a nil *http.Transport",
		},
	} {
		_, err := vidu.NewClient(someHost, testkit.Key, tt.opts...)
		require.EqualError(t, err, tt.want, name)
	}
	_, err := vidu.NewClient("no URL", testkit.Key, vidu.WithTransportWrapper(func(next http.RoundTripper) http.RoundTripper {
		calls++
		return next
	}))
	require.Error(t, err)
	assert.Zero(t, calls, "it is called for a client that comes to be")
}

// A mock in place of the default transport must not be passed by, or the test would reach a paid API.
func TestNewClient_ReplacedDefaultTransport(t *testing.T) { //nolint:paralleltest // it replaces a global
	standard := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = standard })
	posts := 0
	http.DefaultTransport = testkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
		posts++
		return testkit.Reply(r, http.StatusOK, createdReply)
	})
	for name, opts := range map[string][]vidu.Option{
		"none given": nil, "the default client": {vidu.WithHTTPClient(http.DefaultClient)}, //nolint:forbidigo // it is what is tested
		"a panicking logger": {vidu.WithLogger(slog.New(testkit.LogHook{Hook: func() { panic("boom") }}))}, //nolint:forbidigo // the point
	} {
		for _, logs := range []bool{true, false} {
			var log strings.Builder
			if logs {
				opts = append([]vidu.Option{vidu.WithLogger(slog.New(slog.NewTextHandler(&log, nil)))}, opts...)
			}
			posts = 0
			client, err := vidu.NewClient(someHost, testkit.Key, opts...)
			require.NoError(t, err)
			_, err = client.Reference2Video(t.Context(), smallRequest())
			require.NoError(t, err)
			assert.Equal(t, 1, posts, name)
			if logs && name != "a panicking logger" {
				assert.Equal(t, 1, strings.Count(log.String(), "\n"))
				assert.Contains(t, log.String(), "level=WARN")
				assert.Contains(t, log.String(), "WithTransportWrapper")
				assert.Contains(t, log.String(), "testkit.RoundTrip")
			}
		}
	}
	var log strings.Builder
	_, err := vidu.NewClient(someHost, testkit.Key, vidu.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
		vidu.WithHTTPClient(&http.Client{Transport: &http.Transport{}}))
	require.NoError(t, err)
	assert.Empty(t, log.String(), "the replacement is not used")
}

// A mock that answers without reading the body is told so: nothing can have been created.
func TestCreate_BodyNotRead(t *testing.T) {
	t.Parallel()
	for status, tt := range map[int]struct {
		attempts int
		unread   bool
	}{502: {3, true}, 400: {1, true}, 200: {1, false}} {
		for _, read := range []bool{true, false} {
			var log strings.Builder
			attempts := 0
			client := newClient(t, someHost, vidu.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))),
				withTransport(func(r *http.Request) (*http.Response, error) {
					attempts++
					resp, err := testkit.Reply(&http.Request{}, status, createdReply)
					if status != http.StatusOK {
						resp, err = testkit.Reply(&http.Request{}, status, `{"message":"no"}`)
					}
					if read {
						io.Copy(io.Discard, r.Body) //nolint:errcheck // the test is about it
					}
					return resp, err
				}))
			_, err := client.Reference2Video(t.Context(), smallRequest())
			const note = "the request body was not read"
			if read || !tt.unread {
				assert.NotContains(t, log.String(), note)
				assert.Equal(t, read && status == 502, errors.Is(err, vidu.ErrMaybeCreated))
				if err != nil {
					assert.NotContains(t, err.Error(), note)
				}
				continue
			}
			require.NotErrorIs(t, err, vidu.ErrMaybeCreated)
			_, answered := errors.AsType[*vidu.APIError](err)
			assert.True(t, answered)
			require.ErrorContains(t, err, note)
			assert.Equal(t, tt.attempts, attempts)
			assert.Equal(t, attempts, strings.Count(log.String(), note))
			testkit.AssertHarmless(t, err)
		}
	}
}

// A RoundTripper that is none of net/http's is asked not to keep the connections of creates.
func TestCreate_ClosesItsConnection(t *testing.T) {
	t.Parallel()
	closes := map[string]bool{}
	client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
		closes[r.Method] = r.Close
		return testkit.Reply(r, http.StatusOK, createdReply)
	}))
	_, err := client.Reference2Video(t.Context(), smallRequest())
	require.NoError(t, err)
	_, err = client.GetTask(t.Context(), "1")
	require.NoError(t, err)
	assert.Equal(t, map[string]bool{http.MethodPost: true, http.MethodGet: false}, closes)
}
