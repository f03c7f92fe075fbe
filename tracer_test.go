package vidu_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
	"github.com/vidu-go/vidu/vidutest"
)

// tracer records what it is given, of each call under the context of its start.
type tracer struct {
	mu       sync.Mutex
	starts   []string
	attempts []vidu.Attempt
	ends     []vidu.CallEnd
	strays   int // under a context that is not that of a start
}

type traceKey struct{}

func (tr *tracer) TraceCallStart(ctx context.Context, start vidu.CallStart) context.Context {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.starts = append(tr.starts, start.Operation)
	return context.WithValue(ctx, traceKey{}, start.Operation)
}

func (tr *tracer) TraceAttempt(ctx context.Context, attempt vidu.Attempt) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.attempts = append(tr.attempts, attempt)
	tr.note(ctx)
}

func (tr *tracer) TraceCallEnd(ctx context.Context, end vidu.CallEnd) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.ends = append(tr.ends, end)
	tr.note(ctx)
}

func (tr *tracer) note(ctx context.Context) {
	if ctx.Value(traceKey{}) == nil {
		tr.strays++
	}
}

// traced is a client of the official API with three attempts whose n-th request, from 1, gets the n-th answer, and its
// tracer. A status of 0 is an answer that is lost once the request was read, and below 0 one that was never read.
func traced(t *testing.T, answers ...string) (*vidu.Client, *tracer) {
	t.Helper()
	tr, n := &tracer{}, 0
	client := newClient(t, someHost, vidu.WithOfficialAPI(), vidu.WithTracer(tr), withTransport(func(r *http.Request) (*http.Response, error) {
		answer := answers[min(n, len(answers)-1)]
		n++
		var status int
		var body string
		_, err := fmt.Sscanf(answer, "%d", &status)
		require.NoError(t, err)
		_, body, _ = strings.Cut(answer, " ")
		if status < 0 {
			return nil, syscall.ECONNREFUSED
		}
		if r.Body != nil {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		if status == 0 {
			return nil, syscall.ECONNRESET
		}
		resp, err := testkit.Reply(r, status, body)
		resp.Header.Set("X-Request-Id", fmt.Sprint("req-", n))
		return resp, err
	}))
	return client, tr
}

func TestWithTracer_Outcomes(t *testing.T) {
	t.Parallel()
	create := func(ctx context.Context, c *vidu.Client) error {
		_, err := c.Reference2Video(ctx, smallRequest())
		return err
	}
	get := func(ctx context.Context, c *vidu.Client) error {
		_, err := c.GetTask(ctx, "1")
		return err
	}
	for name, tt := range map[string]struct {
		call     func(context.Context, *vidu.Client) error
		answers  []string
		outcome  vidu.Outcome
		statuses []int // of the attempts
		taskID   string
	}{
		"created":                       {create, []string{"200 " + createdReply}, vidu.OutcomeCreated, []int{200}, "1"},
		"created, after a 429":          {create, []string{"429", "429", "200 " + createdReply}, vidu.OutcomeCreated, []int{429, 429, 200}, "1"},
		"created, after no connection":  {create, []string{"-1", "200 " + createdReply}, vidu.OutcomeCreated, []int{0, 200}, "1"},
		"refused":                       {create, []string{"400"}, vidu.OutcomeRefused, []int{400}, ""},
		"refused inside a 200":          {create, []string{`200 {"code":400,"reason":"CreditInsufficient"}`}, vidu.OutcomeRefused, []int{200}, ""},
		"refused three times":           {create, []string{"429"}, vidu.OutcomeRefused, []int{429, 429, 429}, ""},
		"no connection":                 {create, []string{"-1"}, vidu.OutcomeNotSent, []int{0, 0, 0}, ""},
		"answer lost":                   {create, []string{"0"}, vidu.OutcomeUnknown, []int{0}, ""},
		"gateway fails":                 {create, []string{"502 <html>"}, vidu.OutcomeUnknown, []int{502}, ""},
		"answer that cannot be used":    {create, []string{"200 {}"}, vidu.OutcomeUnknown, []int{200}, ""},
		"query":                         {get, []string{"200 " + processingReply}, vidu.OutcomeOK, []int{200}, "1"},
		"query, after an outage":        {get, []string{"503", "0", "200 " + processingReply}, vidu.OutcomeOK, []int{503, 0, 200}, "1"},
		"query of a task that is none":  {get, []string{"404"}, vidu.OutcomeFailed, []int{404}, "1"},
		"query without a usable answer": {get, []string{"200 <html>"}, vidu.OutcomeFailed, []int{200}, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, tr := traced(t, tt.answers...)
			err := tt.call(t.Context(), client)
			assert.Len(t, tr.starts, 1)
			require.Len(t, tr.ends, 1, "an end for each start")
			end := tr.ends[0]
			assert.Equal(t, vidu.CallEnd{TaskID: tt.taskID, Attempts: len(tt.statuses), Outcome: tt.outcome, Err: err}, end)
			assert.Equal(t, end.Outcome == vidu.OutcomeCreated || end.Outcome == vidu.OutcomeOK, err == nil)
			assert.Zero(t, tr.strays)
			require.Len(t, tr.attempts, len(tt.statuses))
			for i, a := range tr.attempts {
				assert.Equal(t, i+1, a.Number)
				assert.Equal(t, tt.statuses[i], a.StatusCode)
				if a.StatusCode == 0 {
					assert.Empty(t, a.RequestID)
					require.Error(t, a.Err)
					continue
				}
				assert.Equal(t, fmt.Sprint("req-", i+1), a.RequestID)
				assert.Equal(t, a.StatusCode != http.StatusOK, a.Err != nil, "%v", a.Err)
			}
		})
	}
}

// Every call has a name of its own, and that of a create is its endpoint.
func TestWithTracer_Operations(t *testing.T) {
	t.Parallel()
	for operation, call := range map[string]func(context.Context, *vidu.Client){
		"reference2video": func(ctx context.Context, c *vidu.Client) { _, _ = createCalls["Reference2Video"].send(ctx, c) },
		"text2video":      func(ctx context.Context, c *vidu.Client) { _, _ = createCalls["Text2Video"].send(ctx, c) },
		"img2video":       func(ctx context.Context, c *vidu.Client) { _, _ = createCalls["Img2Video"].send(ctx, c) },
		"start-end2video": func(ctx context.Context, c *vidu.Client) { _, _ = createCalls["StartEnd2Video"].send(ctx, c) },
		"reference2image": func(ctx context.Context, c *vidu.Client) { _, _ = createCalls["CreateTask"].send(ctx, c) },
		"get task":        func(ctx context.Context, c *vidu.Client) { _, _ = c.GetTask(ctx, "1") },
		"list tasks":      func(ctx context.Context, c *vidu.Client) { _, _ = c.ListTasks(ctx, nil) },
		"cancel task":     func(ctx context.Context, c *vidu.Client) { _ = c.CancelTask(ctx, "1") },
		"get credits":     func(ctx context.Context, c *vidu.Client) { _, _ = c.GetCredits(ctx) },
		"start upload": func(ctx context.Context, c *vidu.Client) {
			_, _ = c.UploadImage(ctx, vidu.Bytes(testkit.PNG(t, 128, 128)))
		},
	} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			client, tr := traced(t, "400")
			call(t.Context(), client)
			assert.Equal(t, []string{operation}, tr.starts)
			assert.Len(t, tr.ends, 1)
		})
	}
}

func TestWithTracer_Upload(t *testing.T) {
	t.Parallel()
	tr := &tracer{}
	_, r := officialServer(t, nil, vidu.WithTracer(tr))
	_, err := r.UploadImage(t.Context(), vidu.Bytes(testkit.PNG(t, 128, 128)))
	require.NoError(t, err)
	assert.Equal(t, []string{"start upload", "upload image", "finish upload"}, tr.starts)
	assert.Len(t, tr.ends, 3)
}

// What is refused before it is sent is no call.
func TestWithTracer_InvalidRequestIsNoCall(t *testing.T) {
	t.Parallel()
	client, tr := traced(t, "200 "+createdReply)
	_, err := client.Reference2Video(t.Context(), &vidu.Reference2VideoRequest{})
	require.Error(t, err)
	_, err = client.GetTask(t.Context(), "../1")
	require.Error(t, err)
	assert.Empty(t, tr.starts)
	assert.Empty(t, tr.ends)
}

// A look-up is part of its create: its calls lie within it, and the create ends once, with what was found.
func TestWithTracer_Recovery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &tracer{}
		fake, r := officialServer(t, nil, vidu.WithRecovery(time.Minute), vidu.WithTracer(tr))
		fake.DropReplyAfterCommit()
		task, err := r.create(t)
		require.NoError(t, err)
		assert.Equal(t, []string{"reference2video", "list tasks", "get task"}, tr.starts)
		require.Len(t, tr.ends, 3)
		assert.Equal(t, vidu.CallEnd{TaskID: task.ID, Attempts: 1, Outcome: vidu.OutcomeCreated}, tr.ends[2])
	})
}

// The context that the tracer returns is that of the requests, so that a RoundTripper can propagate it.
func TestWithTracer_ContextReachesTheTransport(t *testing.T) {
	t.Parallel()
	var seen []any
	client := newClient(t, someHost, vidu.WithTracer(&tracer{}), withTransport(func(r *http.Request) (*http.Response, error) {
		seen = append(seen, r.Context().Value(traceKey{}))
		return testkit.Reply(r, http.StatusOK, createdReply)
	}))
	_, err := client.Reference2Video(t.Context(), smallRequest())
	require.NoError(t, err)
	_, err = client.GetTask(t.Context(), "1")
	require.NoError(t, err)
	assert.Equal(t, []any{"reference2video", "get task"}, seen)
}

func TestWithTracer_Duration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &tracer{}
		client := newClient(t, someHost, vidu.WithTracer(tr), withTransport(func(r *http.Request) (*http.Response, error) {
			testkit.Pass(3 * time.Second)
			return testkit.Reply(r, http.StatusOK, createdReply)
		}))
		_, err := client.Reference2Video(t.Context(), smallRequest())
		require.NoError(t, err)
		assert.Equal(t, 3*time.Second, tr.attempts[0].Duration)
	})
}

// hostile is a tracer that breaks in every method, or returns no context.
type hostile struct{ panics bool }

func (h hostile) TraceCallStart(context.Context, vidu.CallStart) context.Context { return h.trace() }
func (h hostile) TraceAttempt(context.Context, vidu.Attempt)                     { h.trace() }
func (h hostile) TraceCallEnd(context.Context, vidu.CallEnd)                     { h.trace() }

func (h hostile) trace() context.Context {
	if h.panics {
		panic("no space left") //nolint:forbidigo // that is the point
	}
	return nil
}

func TestWithTracer_NoTracerCostsATask(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]vidu.Tracer{
		"nil": nil, "typed nil": (*tracer)(nil), "panics": hostile{panics: true}, "returns no context": hostile{},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, someHost, vidu.WithTracer(one), withTransport(func(r *http.Request) (*http.Response, error) {
				return testkit.Reply(r, http.StatusOK, createdReply)
			}))
			task, err := client.Reference2Video(t.Context(), smallRequest())
			assertCreated(t, task, err)
			_, err = client.GetTask(t.Context(), "1")
			require.NoError(t, err)
		})
	}
}

// Nothing that a tracer is given holds the key or a prompt.
func TestWithTracer_SeesNoSecrets(t *testing.T) {
	t.Parallel()
	tr := &tracer{}
	client := newClient(t, someHost, vidu.WithTracer(tr), withTransport(func(r *http.Request) (*http.Response, error) {
		resp, err := testkit.Reply(r, http.StatusBadRequest, `{"message":"bad key `+testkit.Key+`"}`)
		resp.Header.Set("X-Request-Id", "of "+testkit.Key)
		return resp, err
	}))
	_, err := client.Reference2Video(t.Context(), smallRequest())
	require.Error(t, err)
	shown := fmt.Sprintf("%+v %+v %+v", tr.starts, tr.attempts, tr.ends)
	assert.NotContains(t, shown, testkit.Key)
	assert.NotContains(t, shown, "astronaut")
}

func TestWithTracer_ConcurrentCalls(t *testing.T) {
	t.Parallel()
	tr, reply := &tracer{}, newTasks()
	client := newClient(t, someHost, vidu.WithTracer(tr), withTransport(func(r *http.Request) (*http.Response, error) {
		return testkit.Reply(r, http.StatusOK, reply())
	}))
	var running sync.WaitGroup
	for range 50 {
		running.Go(func() {
			_, err := client.Reference2Video(t.Context(), smallRequest())
			assert.NoError(t, err)
		})
	}
	running.Wait()
	assert.Len(t, tr.starts, 50)
	assert.Len(t, tr.ends, 50)
	for _, a := range tr.attempts {
		assert.Equal(t, 1, a.Number)
	}
}

// outcomeCounter counts how calls end.
type outcomeCounter map[vidu.Outcome]int

func (c outcomeCounter) TraceCallStart(ctx context.Context, start vidu.CallStart) context.Context {
	fmt.Println("begin", start.Operation) //nolint:forbidigo // for the output of the Example
	return ctx
}

func (c outcomeCounter) TraceAttempt(_ context.Context, attempt vidu.Attempt) {
	fmt.Println("attempt", attempt.Number, attempt.StatusCode) //nolint:forbidigo // as above
}

func (c outcomeCounter) TraceCallEnd(_ context.Context, end vidu.CallEnd) { c[end.Outcome]++ }

func ExampleWithTracer() {
	server := vidutest.NewServer()
	defer server.Close()
	outcomes := outcomeCounter{}
	client, err := vidu.NewClient(server.URL, vidutest.APIKey, vidu.WithTracer(outcomes))
	if err != nil {
		log.Fatal(err)
	}
	server.FailNext(502, "")
	_, err = client.Reference2Video(context.Background(), astronaut())
	fmt.Println(errors.Is(err, vidu.ErrMaybeCreated), outcomes)
	// Output:
	// begin reference2video
	// attempt 1 502
	// true map[unknown:1]
}

// unknowns counts the creates whose outcome is unknown, and logs each.
type unknowns struct {
	count  atomic.Int64
	logger *slog.Logger
}

func (u *unknowns) TraceCallStart(ctx context.Context, _ vidu.CallStart) context.Context { return ctx }

func (u *unknowns) TraceAttempt(context.Context, vidu.Attempt) {}

func (u *unknowns) TraceCallEnd(ctx context.Context, end vidu.CallEnd) {
	if end.Outcome == vidu.OutcomeUnknown {
		u.count.Add(1)
		u.logger.ErrorContext(ctx, "a task may exist and be billed", "task_id", end.TaskID, "error", end.Err)
	}
}

// What to alert on.
func ExampleWithTracer_unknownOutcomes() {
	server := vidutest.NewServer()
	defer server.Close()
	alert := &unknowns{logger: slog.New(slog.DiscardHandler)}
	client, err := vidu.NewClient(server.URL, vidutest.APIKey, vidu.WithTracer(alert))
	if err != nil {
		log.Fatal(err)
	}
	server.DropReplyAfterCommit()
	_, err = client.Reference2Video(context.Background(), astronaut())
	fmt.Println(errors.Is(err, vidu.ErrMaybeCreated), alert.count.Load())
	// Output: true 1
}
