package vidutest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

// watchedBody counts how often it is closed.
type watchedBody struct {
	io.Reader
	closed atomic.Int32
}

func (b *watchedBody) Close() error {
	b.closed.Add(1)
	return nil
}

// inBubble runs test with an in-memory server in a bubble, which fails if a goroutine outlives the server.
func inBubble(t *testing.T, test func(t *testing.T, s *vidutest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		s := vidutest.NewServer(vidutest.InMemory())
		defer s.Close()
		test(t, s)
	})
}

// roundTrip sends a create and leaves the body of its response to the caller.
func roundTrip(t *testing.T, s *vidutest.Server) *http.Response {
	t.Helper()
	resp, err := s.Transport().RoundTrip(createFrom(t, s, strings.NewReader(goodBody)))
	require.NoError(t, err)
	return resp
}

// createFrom returns a create with a body of the caller's.
func createFrom(t *testing.T, s *vidutest.Server, body io.Reader) *http.Request {
	t.Helper()
	return newRequest(t, http.MethodPost, s.URL+createPath, body)
}

func TestTransport_ClosesEveryRequestBody(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*vidutest.Server, *http.Request) *http.Request{
		"accepted":    func(_ *vidutest.Server, r *http.Request) *http.Request { return r },
		"refused":     func(_ *vidutest.Server, r *http.Request) *http.Request { r.Header.Del("Authorization"); return r },
		"dropped":     func(s *vidutest.Server, r *http.Request) *http.Request { s.DropReplyAfterCommit(); return r },
		"closed":      func(s *vidutest.Server, r *http.Request) *http.Request { s.Close(); return r },
		"other host":  func(_ *vidutest.Server, r *http.Request) *http.Request { r.URL.Host = "example.com"; return r },
		"bad path":    func(_ *vidutest.Server, r *http.Request) *http.Request { r.URL.Opaque = "%"; return r },
		"over before": func(_ *vidutest.Server, r *http.Request) *http.Request { return r.WithContext(canceled(r.Context())) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *vidutest.Server) {
				t.Helper()
				body := &watchedBody{Reader: strings.NewReader(goodBody)}
				req := newRequest(t, http.MethodPost, s.URL+createPath, body)
				resp, err := s.Transport().RoundTrip(spoil(s, req))
				synctest.Wait() // not for Close of the response: it comes too late or never
				assert.EqualValues(t, 1, body.closed.Load())
				if err == nil {
					require.NoError(t, resp.Body.Close())
				}
				synctest.Wait()
				assert.EqualValues(t, 1, body.closed.Load())
			})
		})
	}
}

func canceled(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

func TestTransport_UnknownHost(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	for _, url := range []string{"https://example.com/", "http://vidutest.invalid/", "https://vidutest.invalid:8443/"} {
		got := do(s, newRequest(t, http.MethodGet, url, http.NoBody))
		var unknown *net.DNSError
		require.ErrorAs(t, got.err, &unknown, url)
		assert.True(t, unknown.IsNotFound)
	}
}

func TestTransport_OfAListeningServer(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer()
	defer s.Close()
	resp := roundTrip(t, s)
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	require.NoError(t, resp.Body.Close())
}

func TestTransport_Response(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		resp := roundTrip(t, s)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "200 OK", resp.Status)
		assert.Equal(t, int64(len(body)), resp.ContentLength)
		assert.Equal(t, time.Now().UTC().Format(http.TimeFormat), resp.Header.Get("Date"))
		assert.Equal(t, createPath, resp.Request.URL.Path)

		_, err = resp.Body.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "an end stays an end")
		require.NoError(t, resp.Body.Close())
		_, err = resp.Body.Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.EOF)
	})
}

func TestTransport_ContextEnds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		s.Delay(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := do(s, createFrom(t, s, strings.NewReader(goodBody)).WithContext(ctx)).err
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))
	})
}

func TestTransport_ContextAlreadyDone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		req := createFrom(t, s, strings.NewReader(goodBody))
		require.ErrorIs(t, do(s, req.WithContext(canceled(t.Context()))).err, context.Canceled)
		synctest.Wait()
		assert.Empty(t, s.Requests(), "nothing was sent")
	})
}

func TestTransport_ContextEndsAfterHeader(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		s.FailNext(http.StatusOK, strings.Repeat("x", 1<<20))
		ctx, cancel := context.WithCancel(t.Context())
		resp, err := s.Transport().RoundTrip(createFrom(t, s, strings.NewReader(goodBody)).WithContext(ctx))
		require.NoError(t, err)
		cancel()
		synctest.Wait() // the handler's goroutine is gone, or the bubble would complain
		_, err = io.ReadAll(resp.Body)
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, resp.Body.Close())
	})
}

func TestTransport_ReadsLargeResponses(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		large := strings.Repeat("0123456789", 100_000)
		s.FailNext(http.StatusOK, large)
		got := create(t, s, goodBody)
		require.NoError(t, got.err)
		assert.Equal(t, large, got.body)
	})
}

// The handler ends whether the client closes the body unread, forgets a short one, or leaves a long one to Close.
func TestTransport_AbandonedBodies(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		s.FailNext(http.StatusOK, strings.Repeat("x", 1<<20))
		closed := roundTrip(t, s)
		require.NoError(t, closed.Body.Close())
		_, err := closed.Body.Read(make([]byte, 1))
		require.ErrorIs(t, err, http.ErrBodyReadAfterClose)

		roundTrip(t, s) //nolint:bodyclose // that is the point

		s.FailNext(http.StatusOK, strings.Repeat("x", 1<<20))
		long := roundTrip(t, s)
		s.Close()
		_, err = io.ReadAll(long.Body)
		require.Error(t, err)
		require.NoError(t, long.Body.Close())
	})
}

func TestTransport_RequestBodyFails(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		broken := errors.New("the file changed")
		half := strings.NewReader(goodBody[:50])
		err := do(s, createFrom(t, s, io.MultiReader(half, iotest.ErrReader(broken)))).err
		require.ErrorIs(t, err, broken)
		synctest.Wait()
		assert.Zero(t, s.Charged())
		assert.Zero(t, s.Requests()[0].Status)
	})
}

func TestTransport_ContentLengthIsWrong(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]int64{"too short": 1, "too long": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *vidutest.Server) {
				t.Helper()
				req := newRequest(t, http.MethodPost, s.URL+createPath, bytes.NewReader([]byte(goodBody)))
				req.ContentLength += off
				require.ErrorContains(t, do(s, req).err, "ContentLength")
				synctest.Wait()
				assert.Zero(t, s.Charged())
			})
		})
	}
}

// A body that stalls does not keep its handler once the client has given up.
func TestTransport_RequestBodyStalls(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		stalled, _ := io.Pipe()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, do(s, createFrom(t, s, stalled).WithContext(ctx)).err, context.DeadlineExceeded)
	})
}
