package vidu_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

func TestWatch_YieldsEachChangeOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, p := scriptedClient(t, replyScript(
			`{"state":"created"}`, `{"state":"created"}`, `{"state":"queueing"}`, `{"state":"QUEUEING"}`, `{"status":"cooking"}`,
			`{"state":"processing","progress":0}`, `{"state":"processing","progress":40}`, `{"state":"processing","progress":"40%"}`,
			`{"state":"processing","progress":20}`, succeededReply, `{"state":"never asked for"}`,
		))
		var reported []string
		progress := vidu.WithProgress(func(task *vidu.Task) { reported = append(reported, fmt.Sprint(task.State, " ", task.Progress)) })
		var got []string
		for task, err := range client.Watch(boundedContext(t), "1", progress) {
			require.NoError(t, err)
			assert.Equal(t, "1", task.ID)
			got = append(got, fmt.Sprint(task.State, " ", task.Progress))
			assert.Equal(t, got, reported, "progress comes first")
		}
		assert.Equal(t, []string{"created 0", "queueing 0", "cooking 0", "processing 0", "processing 40", "processing 20", "success 0"}, got)
		assert.Len(t, p.at, 10)
	})
}

func TestWatch_BreakEndsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, p := scriptedClient(t, replyScript(processingReply))
		watch := client.Watch(boundedContext(t), "1")
		for range 2 { // a sequence can be gone through again
			for task, err := range watch {
				require.NoError(t, err)
				assert.Equal(t, vidu.StateProcessing, task.State)
				break
			}
		}
		assert.Equal(t, []time.Duration{0, 0}, p.at)
	})
}

func TestWatch_YieldsAFailedTaskWithoutError(t *testing.T) {
	t.Parallel()
	client := clientWithReply(t, http.StatusOK, `{"state":"failed","err_code":"AuditFailed"}`)
	count := 0
	for task, err := range client.Watch(boundedContext(t), "1") {
		require.NoError(t, err)
		assert.Equal(t, vidu.ErrAuditFailed, task.ErrCode)
		count++
	}
	assert.Equal(t, 1, count)
}

func TestWait_TaskError(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body string
		code vidu.ErrorCode
	}{
		"failed":          {`{"state":"failed","err_code":"ImageDownloadFailure"}`, vidu.ErrImageDownloadFailure},
		"failed, no code": {`{"state":"FAILED","err_code":""}`, ""},
		"cancelled":       {`{"state":"cancelled","err_code":"UserCancelled"}`, vidu.ErrUserCancelled},
		"with a link":     {`{"state":"failed","creations":[{"url":"https://h/x"}]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := clientWithReply(t, http.StatusOK, tt.body).Wait(boundedContext(t), "1")
			failure, ok := errors.AsType[*vidu.TaskError](err)
			require.True(t, ok, "%v", err)
			testkit.AssertHarmless(t, err)
			assert.Same(t, task, failure.Task)
			assert.Equal(t, "1", task.ID)
			assert.Equal(t, tt.code, task.ErrCode)
			assert.Equal(t, tt.code != "", errors.Is(err, tt.code))
		})
	}
}

func TestWait_ContextEnds(t *testing.T) {
	t.Parallel()
	timedOut := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, time.Minute)
	}
	cancelled := func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(time.Minute, cancel)
		return ctx, cancel
	}
	for name, tt := range map[string]struct {
		limit  func(context.Context) (context.Context, context.CancelFunc)
		answer replyFunc
		is     error
		text   string // a regular expression
		state  vidu.State
	}{
		"deadline":       {timedOut, replyScript(processingReply), context.DeadlineExceeded, `^vidu: waiting for task 1, last seen processing \d+s ago: context deadline exceeded$`, "processing"},
		"cancelled":      {cancelled, replyScript(processingReply), context.Canceled, `^vidu: waiting for task 1, last seen processing \d+s ago: context canceled$`, "processing"},
		"unknown state":  {timedOut, replyScript(`{"state":"Scheduling"}`), context.DeadlineExceeded, `^vidu: waiting for task 1, last seen Scheduling \d+s ago: context deadline exceeded$`, "Scheduling"},
		"never answered": {timedOut, outage(time.Hour, saying(502, "<html>")), context.DeadlineExceeded, "not seen yet: context deadline exceeded, last: GET /vidu/v2/tasks/1/creations: HTTP 502: a web page instead of an API response$", ""},
		"429 for ever":   {cancelled, outage(time.Hour, saying(429, `{"reason":"TooManyRequests","message":"slowly"}`)), context.Canceled, "HTTP 429 TooManyRequests: slowly$", ""},
		"hanging request": {timedOut, func(r *http.Request, n int) (*http.Response, error) {
			if n == 0 {
				return testkit.Reply(r, 200, processingReply)
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, context.DeadlineExceeded, `, last seen processing 1m0s ago: context deadline exceeded$`, "processing"},
		"hanging from the start": {cancelled, func(r *http.Request, _ int) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, context.Canceled, "not seen yet: context canceled$", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := scriptedClient(t, tt.answer)
				ctx, cancel := tt.limit(t.Context())
				defer cancel()
				task, err := client.Wait(ctx, "1")
				require.ErrorIs(t, err, tt.is)
				assert.Regexp(t, tt.text, err.Error())
				testkit.AssertHarmless(t, err)
				assert.NotErrorAs(t, err, new(*vidu.APIError))
				assert.Equal(t, time.Minute, time.Since(p.started))
				assert.Less(t, p.at[len(p.at)-1], time.Minute, "nothing is asked after the end")
				if tt.state == "" {
					assert.Nil(t, task)
					return
				}
				assert.Equal(t, tt.state, task.State)
				assert.Equal(t, "1", task.ID)
			})
		})
	}
}

func TestWait_ContextIsOverAlready(t *testing.T) {
	t.Parallel()
	_, err := clientWithReply(t, http.StatusOK, processingReply).Wait(canceledContext(t), "1")
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "waiting for task 1")
}

// outage answers with fault until the time is over, and then with success.
func outage(until time.Duration, fault testkit.RoundTrip) replyFunc {
	return turning(until, fault, saying(http.StatusOK, succeededReply))
}

// turning answers in one way until the time is over, and then in another.
func turning(after time.Duration, before, then testkit.RoundTrip) replyFunc {
	var started time.Time
	var once sync.Once
	return func(r *http.Request, n int) (*http.Response, error) {
		once.Do(func() { started = time.Now() })
		if time.Since(started) < after {
			return before(r)
		}
		return then(r)
	}
}

// seenFirst answers once with a task that is being processed.
func seenFirst(then replyFunc) replyFunc {
	return func(r *http.Request, n int) (*http.Response, error) {
		if n == 0 {
			return testkit.Reply(r, http.StatusOK, processingReply)
		}
		return then(r, n-1)
	}
}

// once answers with fault once after some time in which the task runs. Then the task ends.
func once(after time.Duration, fault testkit.RoundTrip) replyFunc {
	runs, faults := outage(after, saying(http.StatusOK, processingReply)), 0
	return func(r *http.Request, n int) (*http.Response, error) {
		resp, err := runs(r, n)
		if resp.ContentLength == int64(len(succeededReply)) && faults == 0 {
			faults++
			return fault(r)
		}
		return resp, err
	}
}

// saying answers with an error response; breaking fails without a response.
func saying(status int, body string) testkit.RoundTrip {
	return func(r *http.Request) (*http.Response, error) { return testkit.Reply(r, status, body) }
}

func breaking(err error) testkit.RoundTrip {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

func TestWait_RidesOut(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	unknownHost := &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}
	certificate := &tls.CertificateVerificationError{Err: errors.New("expired")}
	for name, answer := range map[string]replyFunc{
		"502 pages for an hour":           outage(time.Hour, saying(502, "<html>Bad Gateway</html>")),
		"503":                             outage(time.Hour, saying(503, "")),
		"524":                             outage(time.Hour, saying(524, "")),
		"408":                             outage(time.Hour, saying(408, "")),
		"500 InternalServiceFailure":      outage(time.Hour, saying(500, `{"reason":"InternalServiceFailure"}`)),
		"429 QuotaExceeded":               outage(time.Hour, saying(429, `{"reason":"QuotaExceeded"}`)),
		"400 OperationInProcess":          outage(time.Hour, saying(400, `{"reason":"OperationInProcess"}`)),
		"network down for 10 minutes":     outage(10*time.Minute, breaking(refused)),
		"network down, task seen":         seenFirst(outage(10*time.Minute, breaking(refused))),
		"connection reset":                outage(time.Minute, breaking(syscall.ECONNRESET)),
		"name not resolved, task seen":    seenFirst(outage(10*time.Minute, breaking(unknownHost))),
		"certificate expired, task seen":  seenFirst(outage(10*time.Minute, breaking(certificate))),
		"404 at first":                    outage(55*time.Second, saying(404, `{"reason":"TaskNotFound"}`)),
		"404 with a web page at first":    outage(55*time.Second, saying(404, "<html>")),
		"400 task_not_exist at first":     outage(55*time.Second, saying(400, `{"code":"task_not_exist"}`)),
		"400 TaskNotFound at first":       outage(55*time.Second, saying(400, `{"error":{"code":"TaskNotFound"}}`)),
		"200 and code 404 at first":       outage(55*time.Second, saying(200, `{"success":false,"code":404,"message":"no"}`)),
		"200 task_not_exist at first":     outage(55*time.Second, saying(200, `{"code":"TASK_NOT_EXIST"}`)),
		"403 page after an answer":        seenFirst(outage(10*time.Second, saying(403, "<html>"))),
		"401 page after an answer":        seenFirst(outage(10*time.Second, saying(401, "<html>"))),
		"404 page after an answer":        once(3*time.Minute, saying(404, "<html>")),
		"429 pages for an hour":           seenFirst(outage(time.Hour, saying(429, "<html>"))),
		"302 after an answer":             seenFirst(outage(10*time.Second, saying(302, ""))),
		"307 after an answer":             seenFirst(outage(10*time.Second, saying(307, "<html>"))),
		"404 at a lagging replica":        seenFirst(outage(50*time.Second, saying(404, `{"reason":"TaskNotFound"}`))),
		"cut replies":                     outage(10*time.Second, saying(200, `{"id":"1","state":"succ`)),
		"web pages with status 200":       outage(10*time.Second, saying(200, "<html>")),
		"errors with status 200":          outage(10*time.Second, saying(200, `{"success":false,"message":"busy"}`)),
		"success without a link":          outage(10*time.Second, saying(200, `{"state":"success","creations":[]}`)),
		"success with an empty link":      outage(10*time.Second, saying(200, `{"state":"success","creations":[{"url":""}]}`)),
		"unknown states":                  outage(time.Hour, saying(200, `{"state":"scheduling"}`)),
		"no state":                        outage(time.Hour, saying(200, `{"id":"1"}`)),
		"states that go back":             replyScript(processingReply, `{"state":"queueing"}`, processingReply, `{"state":"created"}`, succeededReply),
		"success taken back":              replyScript(`{"state":"success"}`, processingReply, succeededReply),
		"link in fail_reason":             replyScript(`{"code":"success","data":{"task_id":"1","status":"SUCCESS","progress":"100%","fail_reason":"https://h/x.mp4"}}`),
		"bad replies, but not in a row":   replyScript("<html>", "{", "x", "", processingReply, "<html>", "{", "x", "", succeededReply),
		"reply that breaks off":           outage(time.Minute, breakingOff),
		"many kinds of failure, then all": replyScript(`{"state":"success"}`, "", processingReply, `{"state":"cooking"}`, "null", succeededReply),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, _ := scriptedClient(t, answer)
				task, err := client.Wait(boundedContext(t), "1")
				require.NoError(t, err)
				video, ok := task.Video()
				assert.True(t, ok)
				assert.Equal(t, "https://h/x.mp4", video.URL)
			})
		})
	}
}

// breakingOff closes the connection in the middle of the answer.
func breakingOff(r *http.Request) (*http.Response, error) {
	resp, err := testkit.Reply(r, http.StatusOK, "")
	resp.Body, resp.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader(processingReply[:20]), testkit.FailingReader{Err: io.ErrUnexpectedEOF})), 100
	return resp, err
}

func TestWait_EndsWithAnError(t *testing.T) {
	t.Parallel()
	always := func(fault testkit.RoundTrip) replyFunc {
		return outage(1000*time.Hour, fault)
	}
	for name, tt := range map[string]struct {
		answer replyFunc
		polls  int
		says   string
		state  vidu.State // of the task that comes with the error; "" for none
	}{
		"401":                       {always(saying(401, `{"reason":"Unauthorized"}`)), 1, "HTTP 401 Unauthorized", ""},
		"403":                       {always(saying(403, ``)), 1, "HTTP 403 Forbidden", ""},
		"400":                       {always(saying(400, ``)), 1, "HTTP 400", ""},
		"405":                       {always(saying(405, ``)), 1, "HTTP 405", ""},
		"501":                       {always(saying(501, ``)), 1, "HTTP 501", ""},
		"redirect":                  {always(saying(302, ``)), 1, "HTTP 302", ""},
		"403 page at first":         {always(saying(403, `<html>`)), 1, "HTTP 403", ""},
		"403 pages, task seen":      {seenFirst(always(saying(403, `<html>`))), 6, "HTTP 403", "processing"},
		"redirects, task seen":      {seenFirst(always(saying(302, ``))), 6, "HTTP 302", "processing"},
		"403 in JSON, task seen":    {seenFirst(always(saying(403, `{"code":403}`))), 2, "HTTP 403", "processing"},
		"401, task seen":            {seenFirst(always(saying(401, ``))), 2, "HTTP 401", "processing"},
		"429 out of money":          {always(saying(429, `{"code":"insufficient_quota"}`)), 1, "insufficient_quota", ""},
		"500 with a refusal's code": {always(saying(500, `{"code":"400","message":"no"}`)), 1, "HTTP 500 BadRequest", ""},
		"certificate":               {always(breaking(&tls.CertificateVerificationError{Err: errors.New("expired")})), 1, "expired", ""},
		"host unknown":              {always(breaking(&net.DNSError{Err: "no such host", IsNotFound: true})), 1, "no such host", ""},
		"http peer":                 {always(breaking(http.ErrSchemeMismatch)), 1, "HTTP response to HTTPS client", ""},
		"success without a link":    {replyScript(processingReply, `{"state":"success","credits":5}`), 6, "task 1 succeeded, but the reply cannot be used: it has no link to a video", "success"},
		"success with null":         {replyScript(`{"state":"success","creations":null}`), 5, "has no link", "success"},
		"web page":                  {replyScript("<html>"), 5, "it is a web page", ""},
		"web page, task seen":       {seenFirst(replyScript("<html>")), 6, "it is a web page", "processing"},
		"error with status 200":     {replyScript(`{"success":false,"message":"no"}`), 5, "HTTP 200: no", ""},
		"gzip that is broken":       {always(compressed), 5, "its gzip is broken", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := scriptedClient(t, tt.answer)
				task, err := client.Wait(boundedContext(t), "1")
				require.ErrorContains(t, err, tt.says)
				testkit.AssertHarmless(t, err)
				assert.Len(t, p.at, tt.polls)
				assert.Equal(t, time.Since(p.started), p.at[len(p.at)-1], "at once after the last answer")
				if tt.state == "" {
					assert.Nil(t, task)
					return
				}
				require.NotNil(t, task)
				assert.Equal(t, tt.state, task.State)
			})
		})
	}
}

func compressed(r *http.Request) (*http.Response, error) {
	resp, err := testkit.Reply(r, http.StatusOK, "\x1f\x8b")
	resp.Header.Set("Content-Encoding", "gzip")
	return resp, err
}

// A gateway may report its own failure in the words of a failed task. That is not the end of the task, which was paid
// for.
func TestWait_FailureOfTheAnswer(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"status":"failure","message":"upstream timeout"}`, `{"status":"FAILURE","msg":"rate limited","code":500}`,
		`{"success":false,"status":"failed","message":"busy"}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
				if asked++; asked < 4 {
					return testkit.Reply(r, 200, body)
				}
				return testkit.Reply(r, 200, `{"code":"success","data":{"task_id":"1","status":"FAILURE","fail_reason":"no"}}`)
			}))
			task, err := client.Wait(boundedContext(t), "1")
			failure, ok := errors.AsType[*vidu.TaskError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, "no", failure.Task.ErrMessage)
			assert.Equal(t, 4, asked)
			assert.Equal(t, vidu.StateFailed, task.State)
		})
	}
}

func TestWait_RetryAfter(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		header string
		want   time.Duration
	}{
		"seconds":  {"20", 20 * time.Second},
		"10 years": {"315360000", time.Minute},
		"shorter":  {"1", 5 * time.Second},
		"garbage":  {"soon", 5 * time.Second},
		"negative": {"-20", 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := scriptedClient(t, func(r *http.Request, n int) (*http.Response, error) {
					if n > 0 {
						return testkit.Reply(r, http.StatusOK, succeededReply)
					}
					resp, err := testkit.Reply(r, http.StatusTooManyRequests, "")
					resp.Header.Set("Retry-After", tt.header)
					return resp, err
				})
				_, err := client.Wait(boundedContext(t), "1", vidu.WithPollInterval(5*time.Second))
				require.NoError(t, err)
				assert.Equal(t, []time.Duration{0, tt.want}, p.at)
			})
		})
	}
}

func TestWait_Schedule(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts []vidu.WaitOption
		want []time.Duration // in milliseconds
	}{
		"default":            {nil, []time.Duration{0, 1000, 2000, 4000, 8000}},
		"interval":           {[]vidu.WaitOption{vidu.WithPollInterval(2 * time.Second)}, []time.Duration{0, 2000, 4000, 6000, 8000}},
		"interval too short": {[]vidu.WaitOption{vidu.WithPollInterval(time.Nanosecond)}, []time.Duration{0, 100, 200, 300, 400}},
		"interval 0":         {[]vidu.WaitOption{vidu.WithPollInterval(0)}, []time.Duration{0, 100, 200, 300, 400}},
		"interval negative":  {[]vidu.WaitOption{vidu.WithPollInterval(-time.Hour)}, []time.Duration{0, 100, 200, 300, 400}},
		"the last one wins":  {[]vidu.WaitOption{vidu.WithPollInterval(time.Hour), vidu.WithPollInterval(time.Second)}, []time.Duration{0, 1000, 2000, 3000, 4000}},
		"nil":                {[]vidu.WaitOption{nil, vidu.WithPollSchedule(nil), vidu.WithProgress(nil)}, []time.Duration{0, 1000, 2000, 4000, 8000}},
		"schedule":           {[]vidu.WaitOption{vidu.WithPollSchedule(func(elapsed time.Duration) time.Duration { return time.Second + elapsed })}, []time.Duration{0, 1000, 3000, 7000, 15000}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := scriptedClient(t, replyScript(processingReply, processingReply, processingReply, processingReply, succeededReply))
				client.SetJitter(noJitter)
				testkit.Pass(time.Hour) // the age of the client does not matter
				p.started = time.Now()
				_, err := client.Wait(boundedContext(t), "1", tt.opts...)
				require.NoError(t, err)
				want := make([]time.Duration, len(tt.want))
				for i, ms := range tt.want {
					want[i] = ms * time.Millisecond
				}
				assert.Equal(t, want, p.at)
			})
		})
	}
}

func TestWait_DefaultScheduleStopsGrowing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, p := scriptedClient(t, outage(48*time.Hour, saying(200, processingReply)))
		client.SetJitter(func() float64 { return 0.5 })
		_, err := client.Wait(boundedContext(t), "1")
		require.NoError(t, err)
		last := len(p.at) - 1
		assert.Equal(t, 30*time.Second, p.at[last]-p.at[last-1])
	})
}

// An outage says nothing about the task: the pauses in it are neither as short as for a new one nor as long as
// off-peak.
func TestWait_PausesInAnOutage(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]string{"new": processingReply, "off-peak": `{"state":"queueing","off_peak":true}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := scriptedClient(t, func(r *http.Request, n int) (*http.Response, error) {
					switch {
					case n == 0:
						return testkit.Reply(r, http.StatusOK, first)
					case n < 10:
						return testkit.Reply(r, http.StatusBadGateway, "")
					}
					return testkit.Reply(r, http.StatusOK, succeededReply)
				})
				_, err := client.Wait(boundedContext(t), "1")
				require.NoError(t, err)
				for i := 2; i <= 10; i++ {
					assert.GreaterOrEqual(t, p.at[i]-p.at[i-1], 5*time.Second)
					assert.LessOrEqual(t, p.at[i]-p.at[i-1], 30*time.Second)
				}
			})
		})
	}
}

// A task that this client has just created is asked for at once, until it is known that such tasks take longer.
func TestWait_FirstAnswerIsTheCreates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		created := 0
		var since time.Time
		client, p := scriptedClient(t, func(r *http.Request, _ int) (*http.Response, error) {
			switch {
			case r.Method == http.MethodPost:
				created++
				since = time.Now()
				return testkit.Reply(r, http.StatusOK, fmt.Sprintf(`{"task_id":"%d","state":"created","model":"viduq2-pro","payload":"p"}`, created))
			case time.Since(since) < 20*time.Second:
				return testkit.Reply(r, http.StatusOK, about(r, processingReply))
			}
			return testkit.Reply(r, http.StatusOK, about(r, succeededReply))
		})
		for n := range 10 {
			task, err := client.Reference2Video(t.Context(), smallRequest())
			require.NoError(t, err)
			asked := len(p.at)
			var states []vidu.State
			for task, err := range client.Watch(boundedContext(t), task.ID) {
				require.NoError(t, err)
				if states = append(states, task.State); task.State == vidu.StateCreated {
					assert.Equal(t, "p", task.Payload)
					assert.Len(t, p.at, asked, "nothing was asked for it")
				}
			}
			want := []vidu.State{vidu.StateProcessing, vidu.StateSuccess}
			if n >= 3 {
				want = append([]vidu.State{vidu.StateCreated}, want...)
			}
			assert.Equal(t, want, states)
			assert.Equal(t, n >= 3, p.at[asked]-p.at[asked-1] > time.Second, "asked at once")
		}
	})
}

// Of its creates a client remembers the newest 1,024: for those a wait begins with the reply to the create.
func TestWait_NewestCreatesAreRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(0, nil)
		f.latency = 0
		client := f.client(t)
		f.teach(t, client)
		var ids []string
		for range 1024 + 100 {
			ids = append(ids, f.newTask(t, client, time.Hour, false))
		}
		for n, remembered := range map[int]bool{1123: true, 1024: true, 600: true, 100: true, 99: false, 0: false} {
			asked := len(f.asked)
			for task, err := range client.Watch(boundedContext(t), ids[n]) {
				require.NoError(t, err)
				require.Equal(t, ids[n], task.ID)
				assert.Equal(t, remembered, len(f.asked) == asked, n)
				break
			}
		}
	})
}

// A storm of cancelled waits is over at once and leaves nothing; synctest fails when a goroutine stays.
func TestWait_ThousandAreCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
			if strings.Contains(r.URL.Path, "odd") { // these hang in the request, the others in the pause
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return testkit.Reply(r, http.StatusOK, processingReply)
		}))
		ctx, cancel := context.WithCancel(t.Context())
		errs := make([]error, 1000)
		var waits sync.WaitGroup
		for i := range errs {
			waits.Go(func() { _, errs[i] = client.Wait(ctx, []string{"even", "odd"}[i%2]) })
		}
		testkit.Pass(time.Minute + time.Second)
		cancelled := time.Now()
		cancel()
		waits.Wait()
		assert.LessOrEqual(t, time.Since(cancelled), 100*time.Millisecond)
		for _, err := range errs {
			require.ErrorIs(t, err, context.Canceled)
		}
	})
}

// PollDelay is the schedule of a wait that began with the create.
func TestPollDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(0, nil)
		client := f.client(t)
		client.SetJitter(noJitter)
		f.sendCallbacks(t, client)
		assert.Less(t, client.PollDelay(&vidu.Task{}, time.Minute), 30*time.Second)
		assert.Greater(t, client.PollDelay(&vidu.Task{Model: vidu.ModelQ2, OffPeak: true}, 6*time.Hour), 5*time.Minute, "off-peak")
		assert.GreaterOrEqual(t, client.PollDelay(&vidu.Task{}, -time.Hour), time.Second)

		id := f.newTask(t, client, time.Minute, true)
		assert.Greater(t, client.PollDelay(&vidu.Task{ID: id}, time.Minute), 30*time.Second, "a callback is awaited")
	})
	assert.Equal(t, 30*time.Second, (*vidu.Client)(nil).PollDelay(&vidu.Task{}, 0))
	assert.Equal(t, 30*time.Second, new(vidu.Client).PollDelay(&vidu.Task{}, 0))
	assert.Equal(t, 30*time.Second, clientWithReply(t, http.StatusOK, "").PollDelay(nil, 0))
}

// The reply that stands for the first answer is a copy: it does not show what a caller did to the created task.
func TestWatch_FirstAnswerIsACopy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(0, nil)
		client := f.client(t)
		f.teach(t, client)
		f.instead = func(*http.Request) (int, string) { return http.StatusOK, `{"id":"42","state":"created","credits":4}` }
		created, err := client.Reference2Video(t.Context(), smallRequest())
		require.NoError(t, err)
		created.Credits = 5
		clear(created.RawJSON())
		for first, err := range client.Watch(boundedContext(t), "42") {
			require.NoError(t, err)
			assert.Equal(t, "42", first.ID)
			assert.Equal(t, vidu.StateCreated, first.State)
			assert.Equal(t, 4, first.Credits)
			assert.JSONEq(t, `{"id":"42","state":"created","credits":4}`, string(first.RawJSON()))
			break
		}
		assert.Empty(t, f.times())
	})
}

// The reply that stands for the first answer may be one to a query without an id in it, when the task was found by a
// look-up after its create.
func TestWatch_FirstAnswerHasTheID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(0, nil)
		client := f.client(t, vidu.WithOfficialAPI(), vidu.WithRecovery(time.Minute))
		f.teach(t, client)
		f.instead = func(r *http.Request) (int, string) {
			switch {
			case r.Method == http.MethodPost:
				return http.StatusOK, "" // the answer is lost
			case isListQuery(r):
				return http.StatusOK, `{"tasks":[{"id":"42","state":"created"}]}`
			}
			return http.StatusOK, `{"state":"created","payload":"job-42"}`
		}
		task, err := client.Reference2Video(t.Context(), smallRequest())
		require.NoError(t, err)
		require.Equal(t, "42", task.ID)
		f.asked = nil
		for first, err := range client.Watch(boundedContext(t), "42") {
			require.NoError(t, err)
			assert.Equal(t, "42", first.ID)
			assert.Equal(t, vidu.StateCreated, first.State)
			break
		}
		assert.Empty(t, f.times())
	})
}

// A long reply to a create, such as one that echoes a payload of a million characters, is not kept.
func TestWatch_LongRepliesAreNotKept(t *testing.T) {
	t.Parallel()
	for size, kept := range map[int]bool{100: true, 5000: false} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeAPI(0, nil)
			client := f.client(t)
			f.teach(t, client)
			f.instead = func(*http.Request) (int, string) {
				return http.StatusOK, `{"id":"42","state":"created","payload":"` + strings.Repeat("x", size) + `"}`
			}
			created, err := client.Reference2Video(t.Context(), smallRequest())
			require.NoError(t, err)
			for first, err := range client.Watch(boundedContext(t), "42") {
				require.NoError(t, err)
				assert.Equal(t, created.Payload, first.Payload)
				assert.Equal(t, created.RawJSON(), first.RawJSON())
				break
			}
			assert.Equal(t, kept, len(f.times()) == 0)
		})
	}
}

// The reply to a create is out of date once any other request has returned the task.
func TestWait_FirstAnswerIsOutOfDate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(0, nil)
		client := f.client(t)
		f.teach(t, client)
		id := f.newTask(t, client, 30*time.Second, false)
		_, err := client.GetTask(t.Context(), id)
		require.NoError(t, err)
		for task, err := range client.Watch(boundedContext(t), id) {
			require.NoError(t, err)
			assert.Equal(t, vidu.StateProcessing, task.State)
			break
		}
		assert.Len(t, f.times(), 2, "asked at once")
	})
}

// A caller's own schedule is used from the first query on.
func TestWait_OwnScheduleAsksAtOnce(t *testing.T) {
	t.Parallel()
	for name, wait := range waitCalls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeAPI(0, nil)
				client := f.client(t)
				f.teach(t, client)
				id := f.newTask(t, client, 30*time.Second, false)
				began := time.Since(f.started)
				require.NoError(t, wait(boundedContext(t), client, id, vidu.WithPollInterval(10*time.Minute)))
				assert.Equal(t, []time.Duration{began, began + f.latency + 10*time.Minute}, f.times())
			})
		})
	}
}

// However many wait for a task, its duration is learned once.
func TestWait_LearnsEachTaskOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(0, nil)
		client := f.client(t)
		client.SetJitter(noJitter)
		id := f.newTask(t, client, 40*time.Second, false)
		delays := []time.Duration{client.PollDelay(&vidu.Task{}, time.Minute)}
		for range 4 {
			_, err := client.Wait(boundedContext(t), id)
			require.NoError(t, err)
			delays = append(delays, client.PollDelay(&vidu.Task{}, time.Minute))
		}
		assert.Len(t, slices.Compact(delays), 2)
	})
}

// The longest pause does not overflow into the past.
func TestWait_HugeInterval(t *testing.T) {
	t.Parallel()
	for name, wait := range waitCalls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := scriptedClient(t, replyScript(processingReply))
				testkit.Pass(time.Second) // so that the time from now on is longer than can be said
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				require.Error(t, wait(ctx, client, "1", vidu.WithPollInterval(math.MaxInt64)))
				assert.Len(t, p.at, map[bool]int{false: 1, true: 2}[name == "WaitAll"], "WaitAll asks once more before the deadline")
			})
		})
	}
}

// waitCalls are the ways to wait for a task.
var waitCalls = map[string]func(ctx context.Context, client *vidu.Client, id string, opts ...vidu.WaitOption) error{
	"Wait": func(ctx context.Context, client *vidu.Client, id string, opts ...vidu.WaitOption) error {
		_, err := client.Wait(ctx, id, opts...)
		return err
	},
	"Watch": func(ctx context.Context, client *vidu.Client, id string, opts ...vidu.WaitOption) error {
		for _, err := range client.Watch(ctx, id, opts...) {
			if err != nil {
				return err
			}
		}
		return nil
	},
	"WaitAll": func(ctx context.Context, client *vidu.Client, id string, opts ...vidu.WaitOption) error {
		for _, err := range client.WaitAll(ctx, []string{id}, opts...) {
			if err != nil {
				return err
			}
		}
		return nil
	},
}

func TestWait_UnknownState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, _ := scriptedClient(t, replyScript(`{"state":"scheduling"}`))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		task, err := client.Wait(ctx, "1")
		require.ErrorContains(t, err, "last seen scheduling ")
		testkit.AssertHarmless(t, err)
		assert.Equal(t, vidu.State("scheduling"), task.State)
	})
}

func TestWait_StateGoesBack(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		bodies []string
		want   vidu.State
		polls  int
	}{
		"the first end counts":   {[]string{processingReply, succeededReply, processingReply, `{"state":"failed"}`}, vidu.StateSuccess, 2},
		"failure is an end, too": {[]string{processingReply, `{"state":"failed"}`, succeededReply}, vidu.StateFailed, 2},
		"before the end":         {[]string{processingReply, `{"state":"queueing"}`, `{"state":"created"}`, succeededReply}, vidu.StateSuccess, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := scriptedClient(t, replyScript(tt.bodies...))
				task, _ := client.Wait(t.Context(), "1")
				require.NotNil(t, task)
				assert.Equal(t, tt.want, task.State)
				assert.Len(t, p.at, tt.polls)
			})
		})
	}
}

func TestWait_SuccessWithoutLink(t *testing.T) {
	t.Parallel()
	each(t, map[string]string{
		"missing": `{"state":"success","credits":5}`, "empty": `{"state":"success","credits":5,"creations":[]}`,
		"null": `{"state":"success","credits":5,"creations":null}`, "empty link": `{"state":"success","credits":5,"creations":[{"url":""}]}`,
	}, func(t *testing.T, body string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			client, p := scriptedClient(t, replyScript(body))
			task, err := client.Wait(t.Context(), "1")
			assertNotCreated(t, err)
			require.ErrorContains(t, err, "has no link")
			require.NotNil(t, task)
			assert.Equal(t, 5, task.Credits, "what was paid for")
			assert.Len(t, p.at, 5)
		})
		synctest.Test(t, func(t *testing.T) {
			client, _ := scriptedClient(t, replyScript(body, body, body, body, succeededReply))
			_, err := client.Wait(t.Context(), "1")
			require.NoError(t, err)
		})
	})
}

func TestWait_FailedWithoutCode(t *testing.T) {
	t.Parallel()
	each(t, map[string]string{
		"empty": `{"state":"failed","err_code":""}`, "absent": `{"state":"failed"}`, "null": `{"state":"failed","err_code":null}`,
	}, func(t *testing.T, body string) {
		t.Helper()
		_, err := clientWithReply(t, 200, body).Wait(t.Context(), "1")
		failure, ok := errors.AsType[*vidu.TaskError](err)
		require.True(t, ok)
		assert.Empty(t, failure.Task.ErrCode)
		testkit.AssertHarmless(t, err)
	})
}

// Polls follow the monotonic clock alone, even if the clocks of server and client differ by an hour.
func TestWait_ServerClockIsOff(t *testing.T) {
	t.Parallel()
	schedule := func(t *testing.T, off time.Duration) (at []time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			client, p := scriptedClient(t, func(req *http.Request, n int) (*http.Response, error) {
				state := []string{"queueing", "processing", "processing", "processing", "success"}[min(n, 4)]
				theirs := time.Now().Add(off).UTC()
				resp, err := testkit.Reply(req, 200, fmt.Sprintf(
					`{"state":%q,"created_at":%q,"creations":[{"url":"https://h/x.mp4"}]}`, state, theirs.Format(time.RFC3339)))
				resp.Header.Set("Date", theirs.Format(http.TimeFormat))
				return resp, err
			})
			client.SetJitter(func() float64 { return 0.5 })
			_, err := client.Wait(t.Context(), "1")
			require.NoError(t, err)
			at = p.at
		})
		return at
	}
	right := schedule(t, 0)
	assert.Equal(t, right, schedule(t, time.Hour))
	assert.Equal(t, right, schedule(t, -time.Hour))
}

// A gateway may have a code of its own for "too fast".
func TestWait_SurvivesAny429(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		polls := 0
		client := newClient(t, "https://gateway.example.com", vidu.WithMaxAttempts(1), withTransport(func(r *http.Request) (*http.Response, error) {
			if polls++; polls < 20 {
				return testkit.Reply(r, 429, `{"error":{"code":"rate_limit_exceeded","message":"slow down"}}`)
			}
			return testkit.Reply(r, 200, `{"state":"success","creations":[{"url":"https://h/v.mp4"}]}`)
		}))
		_, err := client.Wait(t.Context(), "1")
		require.NoError(t, err)
	})
}

// each runs check for every body.
func each(t *testing.T, bodies map[string]string, check func(t *testing.T, body string)) {
	t.Helper()
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, body)
		})
	}
}
