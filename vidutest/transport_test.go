package vidutest_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

// inBubble runs test with an in-memory server in a bubble, which fails if a goroutine outlives the server.
func inBubble(t *testing.T, test func(t *testing.T, s *vidutest.Server), opts ...vidutest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		s := vidutest.NewServer(append([]vidutest.Option{vidutest.InMemory()}, opts...)...)
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
	_, err := s.Transport().RoundTrip(newRequest(t, http.MethodGet, "https"+strings.TrimPrefix(s.URL, "http"), http.NoBody)) //nolint:bodyclose // there is none
	require.ErrorContains(t, err, "no such host")
}

// A connection is kept and used again, as one of a network is.
func TestTransport_KeepsConnections(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		var opened atomic.Int32
		own := s.Transport().(*http.Transport).Clone()
		defer own.CloseIdleConnections()
		dial := own.DialTLSContext
		own.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			opened.Add(1)
			return dial(ctx, network, addr)
		}
		for range 3 {
			resp, err := own.RoundTrip(createFrom(t, s, strings.NewReader(goodBody)))
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
		}
		assert.EqualValues(t, 1, opened.Load())
	})
}

// The clock of a bubble moves on while a request waits, and a client that gives up leaves no goroutine behind.
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

// A server that is closed ends the answer that a client is reading.
func TestTransport_ServerClosesMidAnswer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		s.FailNext(http.StatusOK, strings.Repeat("x", 1<<20))
		long := roundTrip(t, s)
		s.Close()
		_, err := io.ReadAll(long.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.NoError(t, long.Body.Close())
	})
}

func TestTransport_AfterClose(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		s.Close()
		var dial *net.OpError
		require.ErrorAs(t, create(t, s, goodBody).err, &dial)
		assert.ErrorContains(t, dial, "the server was closed")
	})
}
