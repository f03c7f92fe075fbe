package sockets_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// busy starts a server that answers every request with body, after pause, and counts connections and requests.
func busy(t *testing.T, pause time.Duration, body string) (server *httptest.Server, conns, requests *atomic.Int64) {
	t.Helper()
	conns, requests = new(atomic.Int64), new(atomic.Int64)
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		select {
		case <-time.After(pause):
		case <-r.Context().Done():
		}
		io.WriteString(w, body)
	}))
	server.Config.ErrorLog = testkit.QuietLog()
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server, conns, requests
}

func TestLoad_ConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	server, conns, requests := busy(t, time.Millisecond, processingReply)
	client := newClient(t, server.URL)
	var running sync.WaitGroup
	for range 1000 {
		running.Go(func() {
			for range 5 {
				_, err := client.GetTask(t.Context(), "1")
				assert.NoError(t, err)
			}
		})
	}
	running.Wait()
	t.Logf("%d connections", conns.Load())
	assert.LessOrEqual(t, conns.Load(), int64(64+6), "64 at once; one that breaks is replaced")
	assert.Equal(t, int64(5000), requests.Load())
}

// ledger starts a server that records by their payload which creates it could have acted on.
func ledger(t *testing.T) (*httptest.Server, *sync.Map) {
	t.Helper()
	seen := new(sync.Map)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var create struct{ Payload string }
		body, err := io.ReadAll(r.Body) // what has arrived counts, whether or not the client is still there
		if json.Unmarshal(body, &create) != nil {
			return
		}
		if _, twice := seen.Swap(create.Payload, true); twice || err != nil {
			t.Errorf("%s arrived again: %v", create.Payload, err)
		}
		testkit.Linger(r.Context(), rand.N(2*time.Millisecond)) // works
		io.WriteString(w, createdReply)
	}))
	t.Cleanup(server.Close)
	return server, seen
}

func TestLoad_CreatesCanceledAtRandom(t *testing.T) {
	t.Parallel()
	server, seen := ledger(t)
	client := newClient(t, server.URL)
	var done, unknown, refusals atomic.Int64
	notCreated := make(chan string, 3000)
	var running sync.WaitGroup
	for worker := range 30 {
		running.Go(func() {
			for n := range 100 {
				req := smallRequest()
				req.Payload = fmt.Sprintf("job-%d-%d", worker, n)
				ctx, cancel := context.WithTimeout(t.Context(), rand.N(5*time.Millisecond))
				_, err := client.Reference2Video(ctx, req)
				cancel()
				maybe, unsure := errors.AsType[*vidu.MaybeCreatedError](err)
				switch {
				case err == nil:
					done.Add(1)
				case unsure:
					unknown.Add(1)
					assert.Equal(t, req.Payload, maybe.Payload)
				default:
					refusals.Add(1)
					notCreated <- req.Payload
				}
			}
		})
	}
	running.Wait()
	server.Close() // returns when every request has been handled
	close(notCreated)
	for payload := range notCreated {
		_, created := seen.Load(payload)
		assert.False(t, created, "%s was created after all", payload)
	}
	t.Logf("%d created, %d unknown, %d not created", done.Load(), unknown.Load(), refusals.Load())
	assert.Positive(t, unknown.Load())
	assert.Positive(t, refusals.Load())
}

// A thousand waits return within 100 ms when their context ends. The best of ten runs counts, and three times as much
// is allowed, for other processes share the machine.
func TestLoad_ManyWaitsCanceledAtOnce(t *testing.T) { //nolint:paralleltest // it measures time
	server, _, _ := busy(t, 50*time.Millisecond, processingReply)
	client := newClient(t, server.URL)
	best := time.Hour
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		var waits, started sync.WaitGroup
		started.Add(1000)
		for range 1000 {
			waits.Go(func() {
				started.Done()
				_, err := client.Wait(ctx, "1")
				assert.ErrorIs(t, err, context.Canceled)
			})
		}
		started.Wait()
		testkit.Linger(ctx, 100*time.Millisecond) // some ask, some pause, some queue for a connection
		cancelled := time.Now()
		cancel()
		waits.Wait()
		if best = min(best, time.Since(cancelled)); best < 100*time.Millisecond {
			break
		}
	}
	t.Logf("all back after %v", best)
	limit := 300 * time.Millisecond
	if testkit.UnderRace() {
		limit *= 10
	}
	assert.Less(t, best, limit)
}

func TestLoad_TenThousandPollsKeepNoMemory(t *testing.T) { //nolint:paralleltest // it measures the heap of the process
	server, conns, requests := busy(t, 0, processingReply)
	client := newClient(t, server.URL)
	poll := func(n int) {
		for range n {
			_, err := client.GetTask(t.Context(), "1")
			require.NoError(t, err)
		}
	}
	poll(100) // what is allocated once
	before := testkit.LiveHeap()
	poll(10_000)
	grown := int64(testkit.LiveHeap()) - int64(before)
	t.Logf("%d KiB more", grown>>10)
	assert.Less(t, grown, int64(1<<20))
	assert.LessOrEqual(t, conns.Load(), int64(5), "net/http drops a connection when its goroutines are held up for 50 ms")
	assert.GreaterOrEqual(t, requests.Load(), int64(10_100))
}

func TestLoad_OneClientInManyGoroutines(t *testing.T) {
	t.Parallel()
	w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
		for w.ReadRequest(conn) {
			testkit.WriteReply(conn, "200 OK", fmt.Sprintf(`{"task_id":"%d","state":"created"}`, w.Complete.Load()))
		}
	})
	client := newClient(t, w.URL)
	req := smallRequest()
	var running sync.WaitGroup
	for range 50 {
		running.Go(func() {
			_, err := client.Reference2Video(t.Context(), req)
			assert.NoError(t, err) //nolint:testifylint // require must not be called outside the test's goroutine
			_, err = client.GetTask(t.Context(), "another")
			assert.NoError(t, err)
		})
	}
	running.Wait()
	assert.Equal(t, int64(100), w.Complete.Load())
}
