package vidu_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// downloadsFrom lets every download of client end in memory, at serve.
func downloadsFrom(t *testing.T, client *vidu.Client, serve func(conn net.Conn)) *http.Transport {
	t.Helper()
	_, _, downloads := client.Transports()
	transport, ok := downloads.Transport.(*http.Transport)
	require.True(t, ok)
	transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			serve(theirs)
		}()
		return ours, nil
	}
	return transport
}

// TestDownloadsDoNotWaitForEachOther: one more than the connections that reads may have, and no byte before all have
// asked.
func TestDownloadsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, "http://127.0.0.1")
		_, reads, _ := client.Transports()
		bound := reads.Transport.(*http.Transport).MaxConnsPerHost
		require.Positive(t, bound)
		var asked atomic.Int64
		all := make(chan struct{})
		transport := downloadsFrom(t, client, func(conn net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
				return
			}
			if asked.Add(1) == int64(bound+1) {
				close(all)
			}
			<-all
			io.WriteString(conn, testkit.RawFile(testkit.PlainFile))
		})
		assert.Positive(t, transport.MaxIdleConnsPerHost, "what is kept stays bounded")
		began := time.Now()
		var running sync.WaitGroup
		for range bound + 1 {
			running.Go(func() {
				_, err := client.Download(t.Context(), finishedTask("http://127.0.0.1/v?a"), io.Discard)
				assert.NoError(t, err)
			})
		}
		running.Wait()
		assert.Zero(t, time.Since(began))
		assert.Equal(t, int64(bound+1), asked.Load())
	})
}

// TestN20_HTTP2DownloadsAbandonedForEver: without the guard net/http would repeat each try eight times or for ever.
func TestN20_HTTP2DownloadsAbandonedForEver(t *testing.T) {
	t.Parallel()
	for name, do := range testkit.H2Refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // net/http pauses for seconds between its repetitions
				config, pool := testkit.Certificate(t, testkit.FarFuture, "cdn.example.com")
				config.NextProtos = []string{"h2"}
				w := &testkit.Server{}
				tries := 0
				client := newClient(t, someHost, vidu.WithBackoff(func(int) time.Duration { tries++; return 0 }))
				transport := downloadsFrom(t, client, func(conn net.Conn) {
					out := testkit.NewBufferedConn(conn)
					defer out.Close()
					testkit.ServeH2(w, tls.Server(out, config), do)
				})
				transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, NextProtos: []string{"h2"}}
				_, err := client.Download(t.Context(), finishedTask("https://cdn.example.com/v?sig=secret"), io.Discard)
				require.Error(t, err)
				assertSecretFree(t, err)
				assert.Equal(t, 4, tries, "pauses between five tries")
				assert.LessOrEqual(t, w.Requests.Load(), int64(5*4))
				assert.GreaterOrEqual(t, w.Requests.Load(), int64(5))
				synctest.Wait() // until the connection is idle, for only then it can be closed
				transport.CloseIdleConnections()
			})
		})
	}
}

// TestDownloadMaxAttempts: 1 turns further tries off. More is no number of tries, for those that bring something are
// free.
func TestDownloadMaxAttempts(t *testing.T) {
	t.Parallel()
	failures := map[string]testkit.RawReply{
		"503": testkit.Always(testkit.RawHTTP("503 Slow Down", "")),
		"cut": testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)),
	}
	for name, failure := range failures {
		for attempts, want := range map[int]int{1: 1, 2: 5, 10: 5} {
			t.Run(fmt.Sprint(name, attempts), func(t *testing.T) {
				t.Parallel()
				store := newRawStore(t, failure, testkit.Always(testkit.RawHTTP("503 Slow Down", "")))
				if name == "cut" && attempts > 1 {
					want++ // the first brought something
				}
				_, err := newClient(t, store.URL, vidu.WithMaxAttempts(attempts)).Download(t.Context(), finishedTask(store.URL+"/v?a"), io.Discard)
				require.Error(t, err)
				assert.Len(t, store.seen(), want)
			})
		}
	}
	t.Run("a new link is no further try", func(t *testing.T) {
		t.Parallel()
		store := newRawStore(t, testkit.Always(testkit.RawHTTP("403 Forbidden", "")), testkit.Always(testkit.RawFile(testkit.PlainFile)))
		_, err := newClient(t, store.URL, vidu.WithMaxAttempts(1)).Download(t.Context(), finishedTask(store.URL+"/v?a"), io.Discard)
		require.NoError(t, err)
		assert.Len(t, store.seen(), 2)
	})
}

// TestD09_ProgressOfAnotherObject: what was written of the old object does not count against the new one.
func TestD09_ProgressOfAnotherObject(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 15_000)), func(r *http.Request) string {
		from := testkit.RangeStart(r)
		if r.Header.Get("If-Range") != `"two"` {
			return testkit.CutBody(testkit.RawFile(otherFile, `ETag: "two"`), 2000)
		}
		return testkit.CutBody(testkit.RawRest(otherFile, from, `ETag: "two"`), min(2000, len(otherFile)-from))
	})
	got, err := store.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, otherFile, got)
	assert.Len(t, store.seen(), 1+9)
}

// TestD09_ChangesForEver: a server whose ETags never repeat is given up, though every second try brings something.
func TestD09_ChangesForEver(t *testing.T) {
	t.Parallel()
	requests := 0
	store := newRawStore(t, func(r *http.Request) string {
		requests++
		etag := fmt.Sprintf(`ETag: "%d"`, (requests+1)/2)
		switch from := testkit.RangeStart(r); {
		case requests > 100: // it would go on for ever
			return testkit.RawFile(testkit.PlainFile)
		case from == 1000 && requests%2 == 0:
			return testkit.CutBody(testkit.RawRest(testkit.PlainFile, from, etag), 1000)
		}
		return testkit.CutBody(testkit.RawFile(testkit.PlainFile, etag), 1000)
	})
	_, err := store.fetch(t)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.LessOrEqual(t, requests, 30)

	// Nor is one that starts the same object over all the time.
	requests = 0
	same := newRawStore(t, func(*http.Request) string {
		requests++
		return testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), []int{3000, 1000, 2000}[min(requests-1, 1+requests%2)])
	})
	_, err = same.fetch(t)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, 6, requests)
}

// reads is a body made of a function.
type reads func(p []byte) (int, error)

func (r reads) Read(p []byte) (int, error) { return r(p) }
func (reads) Close() error                 { return nil }

// TestDownloadEmptyReads: a transport's body may return nothing and no error; net/http's never does.
func TestDownloadEmptyReads(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 503} { // whose body is the file, or something to drain
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			var asked, tries int
			client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
				tries++
				return &http.Response{StatusCode: status, Header: http.Header{}, ContentLength: 1000, Body: reads(func([]byte) (int, error) {
					if asked++; asked > 10_000 { // it would go on for ever
						return 0, io.EOF
					}
					return 0, nil
				})}, nil
			}))
			_, err := client.Download(t.Context(), finishedTask("https://h/v?a"), io.Discard)
			require.Error(t, err)
			if status == 200 {
				require.ErrorIs(t, err, io.ErrNoProgress)
			}
			assert.Equal(t, 5, tries)
			assert.Equal(t, 5*100, asked)
		})
	}
	t.Run("few of them are no fault", func(t *testing.T) {
		t.Parallel()
		asked := 0
		client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: 20, Body: reads(func(p []byte) (int, error) {
				if asked++; asked%50 > 0 {
					return 0, nil
				}
				return copy(p, "x"), nil
			})}, nil
		}))
		n, err := client.Download(t.Context(), finishedTask("https://h/v?a"), io.Discard)
		require.NoError(t, err)
		assert.Equal(t, int64(20), n)
	})
}

// TestDownloadLooksAtItsContext, also where the body does not.
func TestDownloadLooksAtItsContext(t *testing.T) {
	t.Parallel()
	asked := 0
	client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: 1 << 30, Body: reads(func(p []byte) (int, error) {
			asked++
			return 1, nil
		})}, nil
	}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n, err := client.Download(ctx, finishedTask("https://h/v?a"), io.Discard, vidu.WithMaxBytes(1<<31), vidu.WithProgressBytes(func(done, _ int64) {
		if done == 10 {
			cancel()
		}
		require.LessOrEqual(t, done, int64(10))
	}))
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, int64(10), n)
	assert.Equal(t, 10, asked)
}

// TestC09_DownloadLoggerPanics: it costs no download.
func TestC09_DownloadLoggerPanics(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)), testkit.Always(testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader)))
	logged := 0
	logger := slog.New(testkit.LogHook{Hook: func() {
		logged++
		panic("boom") //nolint:forbidigo // the point
	}})
	n, err := newClient(t, store.URL, vidu.WithLogger(logger)).Download(t.Context(), finishedTask(store.URL+"/v?a"), io.Discard)
	require.NoError(t, err)
	assert.Equal(t, int64(len(testkit.PlainFile)), n)
	assert.Equal(t, 2, logged)
}

// endings are answers after which a download has come to an end, or tries again, with a part of the body unread.
var endings = map[string]string{
	"whole":            testkit.RawFile(testkit.PlainFile),
	"whole, in chunks": testkit.RawChunks(testkit.PlainFile, true),
	"cut":              testkit.CutBody(testkit.RawFile(testkit.PlainFile), 1000),
	"too large":        testkit.RawFile(strings.Repeat(testkit.PlainFile, 10)),
	"endless":          testkit.RawChunks(strings.Repeat(testkit.PlainFile, 10), true),
	"encoded":          testkit.RawFile(testkit.PlainFile, "Content-Encoding: gzip"),
	"a message":        testkit.RawFile("<html>", "Content-Type: text/html"),
	"unasked range":    testkit.RawRest(testkit.PlainFile, 0),
	"refused":          testkit.RawHTTP("403 Forbidden", "<Error/>"),
	"busy":             testkit.RawHTTP("503 Slow Down", "<Error/>"),
	"redirect":         testkit.RawHTTP("302 Found", "<html>", "Location: /again"),
	"bad redirect":     testkit.RawHTTP("302 Found", "<html>", "Location: ftp://h/"),
	"incomplete MP4":   testkit.RawFile(testkit.MP4File[:600]),
}

func TestDownloadClosesBodies(t *testing.T) {
	t.Parallel()
	for name, answer := range endings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, someHost, withTransport(func(req *http.Request) (*http.Response, error) { return inMemory(req, answer, false) }))
			_, _, downloads := r.Transports()
			r.tap(downloads) // and at the end no body may be open
			_, err := r.DownloadFile(t.Context(), finishedTask("https://h/v?a"), filepath.Join(t.TempDir(), "v.mp4"), vidu.WithMaxBytes(int64(len(testkit.PlainFile))))
			assert.Equal(t, strings.HasPrefix(name, "whole"), err == nil, "%v", err)
		})
	}
}

// TestDownloadReusesConnections: what is said besides files is read to its end where that is near.
func TestDownloadReusesConnections(t *testing.T) {
	t.Parallel()
	var conns, requests atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		message := strings.Repeat("<Error/>", 1000)
		switch requests.Add(1) % 5 {
		case 1:
			w.Header().Set("Location", "/v?b")
			w.WriteHeader(http.StatusFound)
			io.WriteString(w, message)
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, message)
		case 3:
			w.Header().Set("ETag", `"one"`)
			w.Header().Set("Content-Type", "video/mp4")
			w.(http.Flusher).Flush() // no length
			io.WriteString(w, testkit.MP4File[:600])
		case 4: // there is nothing more
			w.Header().Set("Content-Range", "bytes */9999")
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			io.WriteString(w, message)
		case 0:
			w.Header().Set("Content-Length", strconv.Itoa(len(testkit.PlainFile)))
			w.Header().Set("Content-Type", "video/mp4")
			io.WriteString(w, testkit.PlainFile)
		}
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	client := newClient(t, server.URL)
	for range 10 {
		_, err := client.DownloadFile(t.Context(), finishedTask(server.URL+"/v?a"), filepath.Join(t.TempDir(), "v.mp4"))
		require.NoError(t, err)
	}
	assert.Equal(t, int64(50), requests.Load())
	assert.Equal(t, int64(1), conns.Load())
}
