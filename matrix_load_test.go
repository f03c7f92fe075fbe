package vidu_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
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

// busy is a server that counts its connections and answers every request with body, after pause.
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

func TestC01_ConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	server, conns, requests := busy(t, time.Millisecond, processingReply)
	r := newRig(t, server.URL)
	var running sync.WaitGroup
	for range 1000 {
		running.Go(func() {
			for range 5 {
				_, err := r.GetTask(t.Context(), "1")
				assert.NoError(t, err)
			}
		})
	}
	running.Wait()
	t.Logf("%d connections", conns.Load())
	assert.LessOrEqual(t, conns.Load(), int64(64+6), "64 at once; one that breaks is replaced")
	assert.Equal(t, int64(5000), requests.Load())
}

// ledger is a server that knows by their payload which creates it could have acted on.
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
		time.Sleep(rand.N(2 * time.Millisecond)) //nolint:forbidigo // works
		io.WriteString(w, createdReply)
	}))
	t.Cleanup(server.Close)
	return server, seen
}

func TestC02_CreatesCancelledAtRandom(t *testing.T) {
	t.Parallel()
	server, seen := ledger(t)
	r := newRig(t, server.URL)
	var done, doubts, refusals atomic.Int64
	notCreated := make(chan string, 3000)
	var running sync.WaitGroup
	for worker := range 30 {
		running.Go(func() {
			for n := range 100 {
				req := smallRequest()
				req.Payload = fmt.Sprintf("job-%d-%d", worker, n)
				ctx, cancel := context.WithTimeout(t.Context(), rand.N(5*time.Millisecond))
				_, err := r.Reference2Video(ctx, req)
				cancel()
				doubt, unsure := errors.AsType[*vidu.MaybeCreatedError](err)
				switch {
				case err == nil:
					done.Add(1)
				case unsure:
					doubts.Add(1)
					assert.Equal(t, req.Payload, doubt.Payload)
				default:
					refusals.Add(1)
					notCreated <- req.Payload
				}
			}
		})
	}
	running.Wait()
	server.Close() // when every request has been dealt with
	close(notCreated)
	for payload := range notCreated {
		_, created := seen.Load(payload)
		assert.False(t, created, "%s was created after all", payload)
	}
	t.Logf("%d created, %d in doubt, %d provably not", done.Load(), doubts.Load(), refusals.Load())
	assert.Positive(t, doubts.Load())
	assert.Positive(t, refusals.Load())
}

// The best of ten counts, and up to three times the 100 ms that it takes at most on a machine of its own: others share it.
func TestC03_CancelStorm(t *testing.T) { //nolint:paralleltest // it measures time
	server, _, _ := busy(t, 50*time.Millisecond, processingReply)
	r := newRig(t, server.URL)
	best := time.Hour
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		var waits, started sync.WaitGroup
		started.Add(1000)
		for range 1000 {
			waits.Go(func() {
				started.Done()
				_, err := r.Wait(ctx, "1")
				assert.ErrorIs(t, err, context.Canceled)
			})
		}
		started.Wait()
		time.Sleep(100 * time.Millisecond) //nolint:forbidigo // some ask, some pause, some queue for a connection
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

func TestC04_OneClientForAll(t *testing.T) {
	t.Parallel()
	var posts atomic.Int64
	r := newRig(t, someHost, vidu.WithOfficialAPI(), withTransport(func(req *http.Request) (*http.Response, error) {
		switch {
		case strings.HasSuffix(req.URL.Path, "/reference2video"):
			posts.Add(1)
			return testkit.Reply(req, 200, createdReply)
		case strings.HasSuffix(req.URL.Path, "/tasks"):
			return testkit.Reply(req, 200, `{"tasks":[{"id":"1","state":"success"}]}`)
		case strings.HasSuffix(req.URL.Path, "/credits"):
			return testkit.Reply(req, 200, `{"remains":[]}`)
		case strings.HasSuffix(req.URL.Path, "/cancel"):
			return testkit.Reply(req, 200, `{}`)
		case req.URL.Host == "h":
			return testkit.Reply(req, 200, "video")
		}
		return testkit.Reply(req, 200, succeededReply)
	}))
	var running sync.WaitGroup
	for range 100 {
		running.Go(func() { assert.NoError(t, callEverything(t.Context(), r.Client)) })
	}
	running.Wait()
	assert.Equal(t, int64(100), posts.Load())
}

func callEverything(ctx context.Context, client *vidu.Client) error {
	task, err := client.Reference2Video(ctx, smallRequest())
	if err != nil {
		return err
	}
	task, waitErr := client.Wait(ctx, task.ID)
	_, downloadErr := client.Download(ctx, task, io.Discard)
	_, creditsErr := client.GetCredits(ctx)
	errs := []error{waitErr, downloadErr, creditsErr, client.CancelTask(ctx, "1")}
	for _, err := range client.AllTasks(ctx, nil) {
		errs = append(errs, err)
	}
	for _, err := range client.WaitAll(ctx, []string{"1", "2"}) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func TestC05_ConnectionsAreReused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status, size int
		calls, conns int64 // connections at the most
	}{
		"answers":                    {200, 0, 200, 1},
		"errors":                     {404, 0, 200, 1},
		"pages beyond what is kept":  {404, 100 << 10, 200, 1},
		"pages too long to be read":  {404, 300 << 10, 20, 20},
		"answers that are no answer": {204, 0, 200, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var conns atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				if tt.status != http.StatusNoContent {
					io.WriteString(w, processingReply+strings.Repeat(" ", tt.size))
				}
			}))
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					conns.Add(1)
				}
			}
			server.Start()
			defer server.Close()
			r := newRig(t, server.URL)
			for range tt.calls {
				_, err := r.GetTask(t.Context(), "1")
				assert.Equal(t, tt.status == 200, err == nil, "%v", err)
			}
			assert.LessOrEqual(t, conns.Load(), tt.conns)
			assert.LessOrEqual(t, r.read.Load(), tt.calls*(vidu.MaxErrorReply+64<<10+1024), "read to its end only where that is near")
		})
	}
}

func TestC06_TenThousandPolls(t *testing.T) { //nolint:paralleltest // it measures the heap of the process
	server, conns, requests := busy(t, 0, processingReply)
	r := newRig(t, server.URL)
	poll := func(n int) {
		for range n {
			_, err := r.GetTask(t.Context(), "1")
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

// The request is read once, before anything is sent. What the caller does to it then concerns nobody.
func TestC07_RequestChangesDuringTheCall(t *testing.T) {
	t.Parallel()
	req := smallRequest()
	req.Extra = map[string]any{"extra": 1}
	var bodies []string
	r := newRig(t, someHost, withTransport(func(sent *http.Request) (*http.Response, error) {
		changed := make(chan struct{})
		go func() { // not the caller's goroutine, so that the race detector sees every later read
			defer close(changed)
			req.Model, req.Prompt, req.Payload, req.CallbackURL, req.Seed = "other", "other", "other", "other", 9
			req.Images[0], req.Extra["extra"] = vidu.URL("https://example.com/other.png"), 2
		}()
		body, err := io.ReadAll(sent.Body)
		<-changed
		bodies = append(bodies, string(body))
		if err != nil {
			return nil, err
		}
		return testkit.Reply(sent, 429, "")
	}))
	_, err := r.Reference2Video(t.Context(), req)
	assertNotCreated(t, err)
	require.Len(t, bodies, 3)
	assert.Contains(t, bodies[0], "The astronaut waved")
	for _, body := range bodies {
		assert.Equal(t, bodies[0], body, "every attempt sends the same")
	}

	r = newRig(t, someHost, withTransport(func(sent *http.Request) (*http.Response, error) {
		req.Payload = "changed"
		return testkit.Reply(sent, 500, "")
	}))
	req = smallRequest()
	_, err = r.Reference2Video(t.Context(), req)
	assertUnknownOutcome(t, err) // which names the payload that was sent
}

// A client's own bucket of retries: when it is empty, an outage sees no more requests than there are calls.
func TestC08_RetryBudget(t *testing.T) {
	t.Parallel()
	const calls = 100
	clients := 100
	if testkit.UnderRace() { // which is slow
		clients = 20
	}
	var requests atomic.Int64
	dead := func(req *http.Request) (*http.Response, error) {
		requests.Add(1)
		return testkit.Reply(req, 503, "")
	}
	many := make([]*vidu.Client, clients)
	for i := range many {
		many[i] = newClient(t, someHost, withTransport(dead))
	}
	ask := func(times int) {
		requests.Store(0)
		for _, client := range many {
			for range times {
				_, err := client.GetTask(t.Context(), "1")
				assertUnavailable(t, err)
			}
		}
	}
	ask(50)
	t.Logf("%.2f requests a call while there are tokens", float64(requests.Load())/float64(50*clients))
	ask(calls)
	assert.LessOrEqual(t, requests.Load(), int64(clients*calls*11/10))
}

func assertUnavailable(t *testing.T, err error) {
	t.Helper()
	failure, ok := errors.AsType[*vidu.APIError](err)
	require.True(t, ok)
	assert.Equal(t, 503, failure.StatusCode)
}

// A logger that panics costs no answer. Every other function of the caller's panics in the caller's goroutine, and
// leaves the client usable: no lock is held, no body is open, no goroutine stays.
func TestC09_HooksPanic(t *testing.T) {
	t.Parallel()
	boom := func() { panic("boom") } //nolint:forbidigo // the point
	requests := 0
	failing := withTransport(func(req *http.Request) (*http.Response, error) { // once
		if requests++; requests == 1 {
			return testkit.Reply(req, 503, "")
		}
		return testkit.Reply(req, 200, processingReply)
	})
	working := withTransport(func(req *http.Request) (*http.Response, error) { return testkit.Reply(req, 200, processingReply) })
	ids := []string{"1", "2", "3"}
	t.Run("logger", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, someHost, vidu.WithLogger(slog.New(testkit.LogHook{Hook: boom})),
			withTransport(func(req *http.Request) (*http.Response, error) { return testkit.Reply(req, 200, createdReply) }))
		task, err := r.create(t)
		assertCreated(t, task, err)
	})
	for name, tt := range map[string]struct {
		opts []vidu.Option
		call func(ctx context.Context, r *rig)
	}{
		"backoff": {[]vidu.Option{failing, vidu.WithBackoff(func(int) time.Duration { boom(); return 0 })}, func(ctx context.Context, r *rig) {
			r.GetTask(ctx, "1") //nolint:errcheck // it panics
		}},
		"progress of Wait": {[]vidu.Option{working}, func(ctx context.Context, r *rig) {
			r.Wait(ctx, "1", vidu.WithProgress(func(*vidu.Task) { boom() })) //nolint:errcheck // it panics
		}},
		"progress of WaitAll": {[]vidu.Option{working}, func(ctx context.Context, r *rig) {
			for range r.WaitAll(ctx, ids, vidu.WithProgress(func(*vidu.Task) { boom() })) { //nolint:errcheck // it panics
				continue
			}
		}},
		"schedule of Wait": {[]vidu.Option{working}, func(ctx context.Context, r *rig) {
			r.Wait(ctx, "1", vidu.WithPollSchedule(func(time.Duration) time.Duration { boom(); return 0 })) //nolint:errcheck // it panics
		}},
		"schedule of WaitAll": {[]vidu.Option{working}, func(ctx context.Context, r *rig) {
			for range r.WaitAll(ctx, ids, vidu.WithPollSchedule(func(time.Duration) time.Duration { boom(); return 0 })) { //nolint:errcheck // it panics
				continue
			}
		}},
		"body of the loop": {[]vidu.Option{working}, func(ctx context.Context, r *rig) {
			for range r.Watch(ctx, "1") { //nolint:errcheck // it panics
				boom()
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // which fails when a goroutine stays
				r := newRig(t, someHost, tt.opts...)
				assert.PanicsWithValue(t, "boom", func() { tt.call(t.Context(), r) })
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				r.Wait(ctx, "1", vidu.WithProgress(func(*vidu.Task) { cancel() })) //nolint:errcheck // it ends: no lock is held
			})
		})
	}
}

func TestC09_HooksBlock(t *testing.T) {
	t.Parallel()
	for name, hook := range map[string]func(block func()) (vidu.Option, vidu.WaitOption){
		"logger": func(block func()) (vidu.Option, vidu.WaitOption) {
			return vidu.WithLogger(slog.New(testkit.LogHook{Hook: block})), nil
		},
		"progress": func(block func()) (vidu.Option, vidu.WaitOption) {
			return nil, vidu.WithProgress(func(*vidu.Task) { block() })
		},
		"schedule": func(block func()) (vidu.Option, vidu.WaitOption) {
			return nil, vidu.WithPollSchedule(func(time.Duration) time.Duration { block(); return time.Second })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release, first := make(chan struct{}), new(atomic.Bool)
				option, waitOption := hook(func() {
					if first.CompareAndSwap(false, true) { // one call is stuck
						<-release
					}
				})
				r := newRig(t, someHost, option, withTransport(func(req *http.Request) (*http.Response, error) { return testkit.Reply(req, 200, processingReply) }))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var stuck sync.WaitGroup
				stuck.Go(func() { r.Wait(ctx, "1", waitOption) }) //nolint:errcheck // the others are the point
				synctest.Wait()
				require.True(t, first.Load())
				short, done := context.WithTimeout(t.Context(), time.Minute)
				defer done()
				_, err := r.Wait(short, "2")
				require.ErrorIs(t, err, context.DeadlineExceeded)
				_, err = r.Wait(short, "1")
				require.ErrorIs(t, err, context.DeadlineExceeded)
				cancel()
				close(release)
				stuck.Wait()
			})
		})
	}
}

// No timer outlives its wait: none is made by time.After, and each NewTimer is stopped.
func TestC10_TimersAreStopped(t *testing.T) {
	t.Parallel()
	files := token.NewFileSet()
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	timers, stops := 0, 0
	for _, entry := range entries {
		if !isOurs(entry) {
			continue
		}
		file, err := parser.ParseFile(files, entry.Name(), nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(node ast.Node) bool {
			if call, ok := node.(*ast.DeferStmt); ok && strings.HasSuffix(name(call.Call), ".Stop") {
				stops++
			}
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch name(call) {
			case "time.After", "time.Tick", "time.NewTicker", "time.Sleep":
				t.Errorf("%s: %s", files.Position(call.Pos()), name(call))
			case "time.NewTimer", "time.AfterFunc":
				timers++
			}
			return true
		})
	}
	assert.Positive(t, timers)
	assert.Equal(t, timers, stops, "each timer has its deferred Stop")
}

func isOurs(entry fs.DirEntry) bool {
	return strings.HasSuffix(entry.Name(), ".go") && !strings.HasSuffix(entry.Name(), "_test.go")
}

// name is what a call calls, "time.After".
func name(call *ast.CallExpr) string {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	of, ok := selector.X.(*ast.Ident)
	if !ok {
		return "…." + selector.Sel.Name
	}
	return of.Name + "." + selector.Sel.Name
}

// A wait that is cut short leaves no timer that fires later: in the bubble, time stands still after it.
func TestC10_CutWaitsLeaveNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, someHost, vidu.WithBackoff(func(int) time.Duration { return 100 * time.Hour }),
			withTransport(func(req *http.Request) (*http.Response, error) { return testkit.Reply(req, 503, "") }))
		for i := range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := r.GetTask(ctx, strconv.Itoa(i))
			require.ErrorIs(t, err, context.Canceled)
		}
	})
}
