package vidu_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

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
