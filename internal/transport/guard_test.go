package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/testkit"
	"github.com/vidu-go/vidu/internal/transport"
)

// body is a request body whose bytes are handed out when touch is called.
type body struct{ touched bool }

func (b *body) Untouched() bool { return !b.touched }

// connect does what net/http does before it sends a request on a connection, new or idle.
func connect(ctx context.Context) {
	httptrace.ContextClientTrace(ctx).GetConn("gateway.example.com:443")
}

func TestWatch_Read(t *testing.T) {
	t.Parallel()
	ctx, guard := transport.Watch(t.Context(), transport.Sendings, nil)
	defer guard.Release()
	for range 4 {
		connect(ctx)
		require.NoError(t, ctx.Err())
		assert.False(t, transport.Stopped(ctx))
	}
	connect(ctx)
	require.ErrorIs(t, ctx.Err(), context.Canceled)
	require.ErrorIs(t, context.Cause(ctx), transport.ErrRetried)
	assert.True(t, transport.Stopped(ctx))
}

func TestWatch_Create(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before, after int // connections before the body is touched and after that
		stopped       bool
	}{
		"one":                            {1, 0, false},
		"fetches tokens first":           {9, 0, false},
		"again":                          {1, 1, true},
		"again, after tokens":            {9, 1, true},
		"reads the body before it sends": {0, 1, false},
		"and sends it twice":             {0, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := &body{}
			ctx, guard := transport.Watch(t.Context(), 1, sent)
			defer guard.Release()
			for range tt.before {
				connect(ctx)
			}
			require.NoError(t, ctx.Err())
			sent.touched = true
			for range tt.after {
				connect(ctx)
			}
			assert.Equal(t, tt.stopped, transport.Stopped(ctx))
			assert.Equal(t, tt.stopped, ctx.Err() != nil)
		})
	}
}

// Only what the guard ended counts as stopped.
func TestStopped_OtherEnds(t *testing.T) {
	t.Parallel()
	parent, cancel := context.WithCancelCause(t.Context())
	ctx, guard := transport.Watch(parent, transport.Sendings, nil)
	cancel(errors.New("the caller gave up"))
	assert.False(t, transport.Stopped(ctx))
	require.Error(t, ctx.Err())
	for range 5 {
		connect(ctx)
	}
	assert.False(t, transport.Stopped(ctx), "it had ended before")
	guard.Release()

	ctx, guard = transport.Watch(t.Context(), transport.Sendings, nil)
	guard.Release()
	require.Error(t, ctx.Err())
	assert.False(t, transport.Stopped(ctx))
	assert.False(t, transport.Stopped(t.Context()))
}

// A context that is derived from the guarded one, as transports make them, is stopped with it.
func TestStopped_DerivedContext(t *testing.T) {
	t.Parallel()
	ctx, guard := transport.Watch(t.Context(), 0, nil)
	defer guard.Release()
	derived, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	connect(derived)
	assert.True(t, transport.Stopped(derived))
}

func TestWatch_CallersTraceIsKept(t *testing.T) {
	t.Parallel()
	var seen []string
	traced := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GetConn: func(host string) { seen = append(seen, host) }})
	ctx, guard := transport.Watch(traced, 1, nil)
	defer guard.Release()
	connect(ctx)
	connect(ctx)
	assert.Len(t, seen, 2)
	assert.True(t, transport.Stopped(ctx))
}

// touchable is a request body that is a [transport.Body], too.
type touchable struct {
	io.Reader
	touched atomic.Bool
}

func (b *touchable) Read(p []byte) (int, error) {
	b.touched.Store(true)
	return b.Reader.Read(p)
}

func (b *touchable) Untouched() bool { return !b.touched.Load() }
func (*touchable) Close() error      { return nil }

// A transport that keeps the body and sends it again is stopped before it has a second connection.
func TestWatch_TransportThatResends(t *testing.T) {
	t.Parallel()
	var posts atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		posts.Add(1)
		io.Copy(io.Discard, r.Body) //nolint:errcheck // the test sees it
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer server.Close()
	for name, tt := range map[string]struct {
		body  *touchable
		posts int64
	}{
		"create": {&touchable{Reader: strings.NewReader("text")}, 1},
		"read":   {nil, transport.Sendings},
	} {
		posts.Store(0)
		next := &http.Transport{DisableKeepAlives: true}
		resending := testkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
			text, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			for range 100 {
				again := r.Clone(r.Context())
				again.Body = io.NopCloser(strings.NewReader(string(text)))
				resp, err := next.RoundTrip(again)
				if err != nil {
					return nil, err
				}
				resp.Body.Close()
			}
			return nil, errors.New("it was not stopped")
		})
		sendings, watched, sent := int32(transport.Sendings), transport.Body(nil), io.Reader(http.NoBody)
		if tt.body != nil {
			sendings, watched, sent = 1, tt.body, tt.body
		}
		ctx, guard := transport.Watch(t.Context(), sendings, watched)
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, sent)
		require.NoError(t, err)
		_, err = made(t, &http.Client{Transport: resending}).Reads.Do(req) //nolint:bodyclose // an error has none
		require.Error(t, err)
		assert.True(t, transport.Stopped(ctx), name)
		assert.Equal(t, tt.posts, posts.Load(), name)
		guard.Release()
	}
}

// A transport that dumps requests, to log or to record them, sends them over a connection in memory first.
func TestWatch_DumpedRequests(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) //nolint:errcheck // the test sees it
	}))
	defer server.Close()
	for name, bodies := range map[string][]bool{"none": {}, "once": {true}, "without body": {false}, "often": {false, true, false, true, true}} {
		for _, sendings := range []int{1, 2} {
			next := &http.Transport{DisableKeepAlives: true}
			dumping := testkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
				for _, body := range bodies {
					if _, err := httputil.DumpRequestOut(r, body); err != nil {
						return nil, err
					}
				}
				for range sendings - 1 {
					if text, err := io.ReadAll(r.Body); err != nil || len(text) == 0 {
						return nil, errors.New("no body")
					}
					r.Body = io.NopCloser(strings.NewReader("text"))
					resp, err := next.RoundTrip(r)
					if err != nil {
						return nil, err
					}
					resp.Body.Close()
					r.Body = io.NopCloser(strings.NewReader("text"))
				}
				return next.RoundTrip(r)
			})
			sent := &touchable{Reader: strings.NewReader("text")}
			ctx, guard := transport.Watch(t.Context(), 1, sent)
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, sent)
			require.NoError(t, err)
			req.ContentLength = 4
			resp, err := made(t, &http.Client{Transport: dumping}).Creates.Do(req)
			if sendings > 1 {
				require.Error(t, err)
				assert.True(t, transport.Stopped(ctx), name)
			} else if assert.NoError(t, err, name) {
				resp.Body.Close()
				assert.False(t, transport.Stopped(ctx), name)
			}
			guard.Release()
		}
	}
}

// Transports that call the hooks by themselves may have no connection to show.
func TestWatch_NoConnectionToShow(t *testing.T) {
	t.Parallel()
	ctx, guard := transport.Watch(t.Context(), 1, nil)
	defer guard.Release()
	connect(ctx)
	httptrace.ContextClientTrace(ctx).GotConn(httptrace.GotConnInfo{})
	require.NoError(t, ctx.Err())
	connect(ctx)
	assert.True(t, transport.Stopped(ctx), "what is not known to lead nowhere counts")
}

// A Guard leaves nothing behind once it is released.
func TestGuard_Release(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, guard := transport.Watch(t.Context(), transport.Sendings, nil)
		ended := false
		context.AfterFunc(ctx, func() { ended = true })
		guard.Release()
		guard.Release()
		synctest.Wait()
		assert.True(t, ended)
	})
}
