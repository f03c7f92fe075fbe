package vidutest_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

func TestServer_Requests(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer()
		id := createTask(t, s, goodBody)
		req := newRequest(t, http.MethodGet, s.URL+"/vidu/v2/tasks/a%2Fb/creations?x=%3A;y", http.NoBody)
		assert.Equal(t, http.StatusNotFound, do(s, req).status)
		query(t, s, id)

		got := s.Requests()
		require.Len(t, got, 3)
		assert.Equal(t, http.MethodPost, got[0].Method)
		assert.Equal(t, createPath, got[0].Path)
		assert.JSONEq(t, goodBody, string(got[0].Body))
		assert.EqualValues(t, len(goodBody), got[0].BodySize)
		assert.True(t, got[0].Complete)
		assert.Equal(t, http.StatusOK, got[0].Status)
		assert.Equal(t, "application/json", got[0].Header.Get("Content-Type"))

		assert.Equal(t, "/vidu/v2/tasks/a%2Fb/creations", got[1].Path)
		assert.Equal(t, "x=%3A;y", got[1].RawQuery)
		assert.Nil(t, got[1].Body)
		assert.True(t, got[1].Complete)
		assert.Equal(t, http.StatusNotFound, got[1].Status)
		assert.Equal(t, http.StatusOK, got[2].Status)
		for _, entry := range got {
			assert.Equal(t, []string{"[removed]"}, entry.Header["Authorization"])
		}
	})
}

func TestServer_Requests_RefusedByHeader(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	req := newRequest(t, http.MethodPost, s.URL+createPath, strings.NewReader(goodBody))
	req.Header.Del("Authorization")
	require.Equal(t, http.StatusUnauthorized, do(s, req).status)

	got := s.Requests()[0]
	assert.False(t, got.Complete)
	assert.Zero(t, got.BodySize)
	assert.NotContains(t, got.Header, "Authorization")
}

func TestServer_Requests_KeepsBodiesUpToOneMiB(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	for _, size := range []int64{1 << 20, 1<<20 + 1} {
		for _, known := range []bool{true, false} {
			req := newRequest(t, http.MethodPost, s.URL+createPath, io.NopCloser(largeCreate(size)))
			if known {
				req.ContentLength = size
			}
			require.Equal(t, http.StatusOK, do(s, req).status)
			requests := s.Requests()
			last := requests[len(requests)-1]
			assert.Equal(t, size, last.BodySize)
			assert.Equal(t, size <= 1<<20, last.Body != nil)
			if size <= 1<<20 {
				want, err := io.ReadAll(largeCreate(size))
				require.NoError(t, err)
				assert.True(t, bytes.Equal(want, last.Body))
			}
		}
	}
	assert.EqualValues(t, 2*(1<<20)+2*(1<<20+1), received(s))
}

// A create and its task leave behind little more than a kilobyte, so a server takes 100 000 of them.
//
//nolint:paralleltest // it measures what the process holds
func TestServer_MemoryPerTask(t *testing.T) {
	const creates = 12_000 // so that what else the process allocates is little beside them
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	createTask(t, s, goodBody)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC() // what other tests left in pools goes with the second
	runtime.ReadMemStats(&before)
	for range creates {
		createTask(t, s, goodBody)
	}
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	assert.Less(t, (after.HeapAlloc-before.HeapAlloc)/creates, uint64(1500), "bytes held per create")
	assert.Len(t, s.Requests(), creates+1)
}

// A client that goes away in the middle of its upload creates nothing and gets no answer.
func TestServer_Requests_CutUpload(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer()
	defer s.Close()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	req := newRequest(t, http.MethodPost, s.URL+createPath, strings.NewReader(goodBody))
	var wire bytes.Buffer
	require.NoError(t, req.Write(&wire))
	_, err = conn.Write(wire.Bytes()[:wire.Len()-1])
	require.NoError(t, err)
	require.NoError(t, conn.Close())

	require.Eventually(t, func() bool {
		requests := s.Requests()
		return len(requests) == 1 && requests[0].BodySize == int64(len(goodBody)-1)
	}, 10*time.Second, time.Millisecond)
	assertNeverAnswered(t, s)
}

func TestServer_Requests_CutUploadInMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := vidutest.NewServer(vidutest.InMemory())
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		pr, pw := io.Pipe()
		defer context.AfterFunc(ctx, func() { pw.CloseWithError(context.DeadlineExceeded) })() // or net/http waits for it
		go func() { _, _ = io.WriteString(pw, goodBody[:len(goodBody)-1]) }()
		req := newRequest(t, http.MethodPost, s.URL+createPath, pr).WithContext(ctx)

		require.ErrorIs(t, do(s, req).err, context.DeadlineExceeded)
		synctest.Wait()
		assert.EqualValues(t, len(goodBody)-1, s.Requests()[0].BodySize)
		assertNeverAnswered(t, s)
	})
}

func assertNeverAnswered(t *testing.T, s *vidutest.Server) {
	t.Helper()
	requests := s.Requests()
	require.Len(t, requests, 1)
	assert.False(t, requests[0].Complete)
	assert.Zero(t, requests[0].Status)
	assert.Zero(t, s.Charged())
}

func TestServer_Requests_HasNoKey(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	createTask(t, s, goodBody)
	var text bytes.Buffer
	require.NoError(t, s.Requests()[0].Header.Write(&text))
	assert.NotContains(t, text.String(), vidutest.APIKey)
}
