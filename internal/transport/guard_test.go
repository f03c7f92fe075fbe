package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
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

func TestGuardRead(t *testing.T) {
	t.Parallel()
	var guard transport.Guard
	ctx := guard.GuardRead(t.Context(), 0)
	defer guard.Release()
	for range 4 {
		connect(ctx)
		require.NoError(t, ctx.Err())
		assert.False(t, guard.Retried())
		assert.Equal(t, io.EOF, guard.Cause(io.EOF))
	}
	connect(ctx)
	require.ErrorIs(t, ctx.Err(), context.Canceled)
	require.ErrorIs(t, guard.Cause(io.EOF), transport.ErrRetried)
	assert.True(t, guard.Retried())
}

func TestGuardCreate(t *testing.T) {
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
			var guard transport.Guard
			ctx := guard.GuardCreate(t.Context(), 0, sent)
			defer guard.Release()
			for range tt.before {
				connect(ctx)
			}
			require.NoError(t, ctx.Err())
			sent.touched = true
			for range tt.after {
				connect(ctx)
			}
			assert.Equal(t, tt.stopped, guard.Retried())
			assert.Equal(t, tt.stopped, ctx.Err() != nil)
		})
	}
}

// Only what the guard ended counts as stopped.
func TestGuard_OtherEnds(t *testing.T) {
	t.Parallel()
	parent, cancel := context.WithCancelCause(t.Context())
	var guard transport.Guard
	ctx := guard.GuardRead(parent, time.Hour)
	cancel(errors.New("the caller gave up"))
	assert.False(t, guard.Retried())
	require.Error(t, ctx.Err())
	for range 5 {
		connect(ctx)
	}
	assert.False(t, guard.Retried(), "it had ended before")
	assert.Equal(t, io.EOF, guard.Cause(io.EOF))
	guard.Release()

	var another transport.Guard
	ctx = another.GuardRead(t.Context(), 0)
	another.Release()
	require.Error(t, ctx.Err())
	assert.False(t, another.Retried())
	assert.Equal(t, io.EOF, another.Cause(io.EOF))
}

// An attempt may take as long as its limit, and no time after its end counts.
func TestGuard_Timeout(t *testing.T) {
	t.Parallel()
	type start = func(context.Context, *transport.Guard, time.Duration) context.Context
	for name, start := range map[string]start{
		"read": func(ctx context.Context, g *transport.Guard, limit time.Duration) context.Context {
			return g.GuardRead(ctx, limit)
		},
		"create": func(ctx context.Context, g *transport.Guard, limit time.Duration) context.Context {
			return g.GuardCreate(ctx, limit, &body{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var guard, unlimited, released transport.Guard
				ctx, free := start(t.Context(), &guard, time.Minute), start(t.Context(), &unlimited, 0)
				start(t.Context(), &released, time.Minute)
				released.Release()
				testkit.Pass(time.Minute - 1)
				require.NoError(t, ctx.Err())
				testkit.Pass(1)
				synctest.Wait() // the timer runs beside us
				require.Error(t, ctx.Err())
				err := guard.Cause(ctx.Err())
				require.EqualError(t, err, "no complete response within 1m0s")
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.NotErrorIs(t, err, context.Canceled)
				timeout, ok := errors.AsType[net.Error](err)
				require.True(t, ok && timeout.Timeout() && timeout.Temporary()) //nolint:staticcheck // callers still ask
				assert.False(t, guard.Retried())
				guard.Release()

				testkit.Pass(100 * time.Hour)
				require.NoError(t, free.Err())
				unlimited.Release()
				assert.Equal(t, io.EOF, released.Cause(io.EOF))
			})
		})
	}
}

func TestGuard_CallersTraceIsKept(t *testing.T) {
	t.Parallel()
	var seen []string
	traced := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GetConn: func(host string) { seen = append(seen, host) }})
	var guard transport.Guard
	ctx := guard.GuardCreate(traced, 0, nil)
	defer guard.Release()
	connect(ctx)
	connect(ctx)
	assert.Len(t, seen, 2)
	assert.True(t, guard.Retried())
}

// Mocks forget what net/http never does.
func TestCheck(t *testing.T) {
	t.Parallel()
	resp := &http.Response{StatusCode: http.StatusOK}
	require.EqualError(t, transport.Check(nil, nil), "the transport returned neither a response nor an error")
	assert.Equal(t, io.EOF, transport.Check(resp, io.EOF))
	require.NoError(t, transport.Check(resp, nil))
	assert.Equal(t, http.NoBody, resp.Body)
	body := io.NopCloser(strings.NewReader("text"))
	resp = &http.Response{StatusCode: http.StatusOK, Body: body}
	require.NoError(t, transport.Check(resp, nil))
	assert.Equal(t, body, resp.Body)
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
func TestGuard_TransportThatResends(t *testing.T) {
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
		"read":   {nil, 4},
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
		var guard transport.Guard
		ctx, sent := context.Context(nil), io.Reader(http.NoBody)
		if tt.body != nil {
			ctx, sent = guard.GuardCreate(t.Context(), 0, tt.body), tt.body
		} else {
			ctx = guard.GuardRead(t.Context(), 0)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, sent)
		require.NoError(t, err)
		_, err = resending.RoundTrip(req) //nolint:bodyclose // an error has none
		require.Error(t, err)
		assert.True(t, guard.Retried(), name)
		assert.Equal(t, tt.posts, posts.Load(), name)
		guard.Release()
	}
}

// A transport that dumps requests, to log or to record them, sends them over a connection in memory first.
func TestGuard_DumpedRequests(t *testing.T) {
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
			var guard transport.Guard
			ctx := guard.GuardCreate(t.Context(), 0, sent)
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, sent)
			require.NoError(t, err)
			req.ContentLength = 4
			resp, err := dumping.RoundTrip(req)
			if sendings > 1 {
				require.Error(t, err)
				assert.True(t, guard.Retried(), name)
			} else if assert.NoError(t, err, name) {
				resp.Body.Close()
				assert.False(t, guard.Retried(), name)
			}
			guard.Release()
		}
	}
}

// Transports that call the hooks by themselves may have no connection to show.
func TestGuard_NoConnectionToShow(t *testing.T) {
	t.Parallel()
	var guard transport.Guard
	ctx := guard.GuardCreate(t.Context(), 0, nil)
	defer guard.Release()
	connect(ctx)
	httptrace.ContextClientTrace(ctx).GotConn(httptrace.GotConnInfo{})
	require.NoError(t, ctx.Err())
	connect(ctx)
	assert.True(t, guard.Retried(), "what is not known to lead nowhere counts")
}

// A Guard leaves nothing behind once it is released.
func TestGuard_Release(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var guard transport.Guard
		ctx := guard.GuardRead(t.Context(), time.Hour)
		ended := false
		context.AfterFunc(ctx, func() { ended = true })
		guard.Release()
		guard.Release()
		synctest.Wait()
		assert.True(t, ended)
	})
}

func TestCheck_PlainHTTPOverTLS(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{"HTTP/": http.ErrSchemeMismatch, "SSH-2": nil} {
		record := tls.RecordHeaderError{Msg: "no TLS", RecordHeader: [5]byte([]byte(text))}
		err := transport.Check(nil, fmt.Errorf("handshake: %w", record))
		if want == nil {
			require.ErrorContains(t, err, "no TLS", text)
		} else {
			require.ErrorIs(t, err, want, text)
		}
	}
}

// The caller's context may have ended because of another attempt, as that of an errgroup does: its cause is not this
// attempt's.
func TestGuard_CauseOfAnotherAttempt(t *testing.T) {
	t.Parallel()
	for _, other := range []error{transport.ErrRetried, &transport.TimeoutError{Limit: time.Second}} {
		ctx, cancel := context.WithCancelCause(t.Context())
		var guard transport.Guard
		guard.GuardCreate(ctx, time.Minute, nil)
		cancel(fmt.Errorf("vidu: another call: %w", other))
		assert.False(t, guard.Retried())
		assert.Equal(t, context.Canceled, guard.Cause(context.Canceled))
		guard.Release()
	}
}
