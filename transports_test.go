package vidu_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
	"github.com/vidu-go/vidu/vidutest"
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
		"a panicking logger": {vidu.WithLogger(slog.New(panicking{}))},
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
