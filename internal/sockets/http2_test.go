package sockets_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// overHTTP2 returns a client whose transport is not net/http's, so that creates use it as it is, and speaks HTTP/2 to a
// server on which do happens to every request.
func overHTTP2(t *testing.T, do testkit.H2Fault) (*countingClient, *testkit.Server) {
	t.Helper()
	config := trusted.Clone()
	config.NextProtos = []string{"h2"}
	w := testkit.Serve(t, config, func(w *testkit.Server, conn net.Conn) { testkit.ServeH2(w, conn, do) })
	standard, ok := http.DefaultTransport.(*http.Transport)
	require.True(t, ok)
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: standard.TLSClientConfig.Clone()}
	t.Cleanup(transport.CloseIdleConnections)
	return newClient(t, serverAt(w, "https", "gateway.example.com"), vidu.WithHTTPClient(&http.Client{Transport: testkit.RoundTrip(transport.RoundTrip)})), w
}

func TestHTTP2_CreateFails(t *testing.T) {
	t.Parallel()
	for _, faults := range []map[string]testkit.H2Fault{testkit.H2Refusals, testkit.H2Breaks} {
		for name, do := range faults {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				client, w := overHTTP2(t, do)
				_, err := client.create(t)
				assertUnknownOutcome(t, err)
				assert.Equal(t, int64(1), w.Requests.Load())
				assert.Equal(t, int64(1), w.Complete.Load())
			})
		}
	}
}

func TestHTTP2_RefusedInsideABigBodyThenWorks(t *testing.T) {
	t.Parallel()
	var refused atomic.Bool
	client, w := overHTTP2(t, func(s testkit.H2Conn, stream uint32, whole bool) {
		switch {
		case refused.CompareAndSwap(false, true):
			s.Reset(stream, testkit.H2RefusedStream)
		case whole: // on a connection of its own
			s.Reply(stream, createdReply)
		}
	})
	task, err := client.Reference2Video(t.Context(), bigRequest(t))
	assertCreated(t, task, err)
	assert.Equal(t, int64(2), w.Requests.Load())
	assert.Equal(t, int64(1), w.Complete.Load())
}

// The server sends its header before it reads the request. Over HTTP/2 only the goroutine that writes the body notices
// the end of the call.
func TestHTTP2_AnswerBeforeTheBody(t *testing.T) {
	t.Parallel()
	for status, created := range map[int]bool{http.StatusOK: true, http.StatusServiceUnavailable: false} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
				assert.NoError(t, http.NewResponseController(w).Flush())
				if n, err := io.Copy(io.Discard, r.Body); err == nil && n == r.ContentLength {
					io.WriteString(w, `{"task_id":"1","state":"created"}`)
				}
			}))
			server.EnableHTTP2 = true
			server.StartTLS()
			defer server.Close()
			client := newClient(t, server.URL, vidu.WithHTTPClient(&http.Client{Transport: testkit.RoundTrip(server.Client().Transport.RoundTrip)}),
				vidu.WithMaxAttempts(1))
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			began := time.Now()
			_, err := client.Reference2Video(ctx, bigRequest(t))
			assert.Less(t, time.Since(began), 20*time.Second)
			assert.Equal(t, created, err == nil, "%v", err)
			assert.NotErrorIs(t, err, vidu.ErrMaybeCreated)
		})
	}
}

// A server that offers HTTP/2 gets it for reads and never for creates.
func TestHTTP2_NeverForCreates(t *testing.T) {
	t.Parallel()
	protocols := map[string]string{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocols[r.Method] = r.Proto
		io.WriteString(w, createdReply)
	}))
	server.TLS = trusted.Clone()
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	client := newClient(t, strings.Replace(server.URL, "127.0.0.1", "gateway.example.com", 1))
	task, err := client.create(t)
	assertCreated(t, task, err)
	_, err = client.GetTask(t.Context(), "1")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"POST": "HTTP/1.1", "GET": "HTTP/2.0"}, protocols)
}
