package vidu_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"path"
	"slices"
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
	"github.com/vidu-go/vidu/vidutest"
)

// farm is an API in memory, for a synctest bubble, that keeps tasks which end at a known time.
type farm struct {
	started time.Time
	latency time.Duration
	ends    map[string]time.Duration // a task that is not in it does not exist
	failing map[string]bool
	unlist  map[string]bool                                 // not in the list
	instead func(r *http.Request) (status int, body string) // 0: the real answer
	header  http.Header                                     // of what comes instead

	mu    sync.Mutex
	asked []question
	most  int // at once
	now   int
}

// question is one request.
type question struct {
	at  time.Duration
	ids []string // of a list several
}

func (f *farm) RoundTrip(r *http.Request) (*http.Response, error) {
	f.enter(r)
	defer f.leave()
	timer := time.NewTimer(f.latency)
	defer timer.Stop()
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-timer.C:
	}
	if f.instead != nil {
		if status, body := f.instead(r); status != 0 {
			resp, err := testkit.Reply(r, status, body)
			resp.Header = cmp.Or(&f.header, &resp.Header).Clone()
			return resp, err
		}
	}
	if isList(r) {
		return testkit.Reply(r, http.StatusOK, f.list(r.URL.Query()["task_ids"]))
	}
	status, body := f.task(path.Base(path.Dir(r.URL.Path)))
	return testkit.Reply(r, status, body)
}

func isList(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/tasks") }

func (f *farm) enter(r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := question{time.Since(f.started), []string{path.Base(path.Dir(r.URL.Path))}}
	if isList(r) {
		q.ids = r.URL.Query()["task_ids"]
	}
	f.asked = append(f.asked, q)
	f.now++
	f.most = max(f.most, f.now)
}

func (f *farm) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now--
}

func (f *farm) state(id string) string {
	switch ends, ok := f.ends[id]; {
	case !ok:
		return ""
	case time.Since(f.started) < ends:
		return "processing"
	case f.failing[id]:
		return "failed"
	}
	return "success"
}

func (f *farm) task(id string) (status int, body string) {
	switch state := f.state(id); state {
	case "":
		return http.StatusNotFound, `{"reason":"TaskNotFound"}`
	case "success":
		return http.StatusOK, `{"id":"` + id + `","state":"success","payload":"in full","creations":[{"url":"https://h/` + id + `.mp4"}]}`
	default:
		return http.StatusOK, `{"id":"` + id + `","state":"` + state + `","progress":40}`
	}
}

func (f *farm) list(ids []string) string {
	var items []string
	for _, id := range ids {
		if state := f.state(id); state != "" && !f.unlist[id] {
			items = append(items, `{"id":"`+id+`","state":"`+state+`","model":"viduq2-pro","creations":[{"url":"https://h/`+id+`.mp4"}]}`)
		}
	}
	return `{"tasks":[` + strings.Join(items, ",") + `],"next_page_token":""}`
}

func (f *farm) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked)
}

func (f *farm) busy() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// lists are the requests for several tasks, singles those for one.
func (f *farm) lists() (lists, singles []question) {
	for _, q := range f.asked {
		if len(q.ids) > 1 {
			lists = append(lists, q)
		} else {
			singles = append(singles, q)
		}
	}
	return lists, singles
}

// client has the retries that a user's has.
func (f *farm) client(t *testing.T, opts ...vidu.Option) *vidu.Client {
	t.Helper()
	f.started = time.Now()
	client, err := vidu.NewClient("https://gateway.example.com", testkit.Key, append(opts, vidu.WithHTTPClient(&http.Client{Transport: f}))...)
	require.NoError(t, err)
	return client
}

// farming is a farm of n tasks named 0, 1, … that end after each its time.
func farming(n int, ends func(i int) time.Duration) *farm {
	f := &farm{latency: 100 * time.Millisecond, ends: map[string]time.Duration{}, failing: map[string]bool{}, unlist: map[string]bool{}}
	for i := range n {
		f.ends[strconv.Itoa(i)] = ends(i)
	}
	return f
}

func numbered(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.Itoa(i)
	}
	return ids
}

// outcome is one result of a WaitAll.
type outcome struct {
	at   time.Duration
	task *vidu.Task
	err  error
}

func collect(ctx context.Context, client *vidu.Client, ids []string, opts ...vidu.WaitOption) (all []outcome) {
	started := time.Now()
	for task, err := range client.WaitAll(ctx, ids, opts...) {
		all = append(all, outcome{time.Since(started), task, err})
	}
	return all
}

func idsOf(all []outcome) []string {
	ids := make([]string, len(all))
	for i, o := range all {
		ids[i] = o.task.ID
	}
	return ids
}

func TestWaitAll_InTheOrderOfEnding(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(20, func(i int) time.Duration { return time.Duration(2+(i*7)%20) * time.Minute })
		all := collect(t.Context(), f.client(t), numbered(20))
		require.Len(t, all, 20)
		for i, o := range all {
			require.NoError(t, o.err)
			assert.Equal(t, vidu.StateSuccess, o.task.State)
			video, _ := o.task.Video()
			assert.Equal(t, "https://h/"+o.task.ID+".mp4", video.URL)
			ended := f.ends[o.task.ID]
			assert.Equal(t, time.Duration(2+i)*time.Minute, ended)
			assert.GreaterOrEqual(t, o.at, ended)
			assert.LessOrEqual(t, o.at, ended+35*time.Second)
		}
	})
}

// One result for each id; one that fails, is unknown or is no id at all does not end the others.
func TestWaitAll_OneResultForEachID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(6, func(int) time.Duration { return 10 * time.Minute })
		f.failing["2"] = true
		f.instead = func(r *http.Request) (int, string) {
			switch id := path.Base(path.Dir(r.URL.Path)); id {
			case "3":
				return http.StatusUnauthorized, `{"reason":"Unauthorized"}`
			case "4":
				return http.StatusOK, `{"state":"success","creations":[]}`
			}
			return 0, ""
		}
		ids := []string{"5", "1", "2", "../3", "3", "0", "1", "", "unknown", "4", "1", "../3"}
		all := collect(t.Context(), f.client(t), ids)
		got := idsOf(all)
		assert.ElementsMatch(t, ids, got)
		for _, o := range all {
			says := map[string]string{
				"2": "vidu: task 2 failed", "../3": `vidu: "../3" is not a task id`, "": `vidu: "" is not a task id`,
				"3":       "vidu: GET /vidu/v2/tasks/3/creations: HTTP 401 Unauthorized",
				"unknown": "vidu: GET /vidu/v2/tasks/unknown/creations: HTTP 404 TaskNotFound",
				"4":       "vidu: task 4 succeeded, but the reply cannot be used",
			}[o.task.ID]
			if says == "" {
				require.NoError(t, o.err)
				assert.GreaterOrEqual(t, o.at, 10*time.Minute)
				continue
			}
			require.ErrorContains(t, o.err, says)
			testkit.AssertHarmless(t, o.err)
			failure, ok := errors.AsType[*vidu.TaskError](o.err)
			assert.Equal(t, o.task.ID == "2", ok)
			if ok {
				assert.Same(t, o.task, failure.Task)
			}
			if o.task.ID == "unknown" {
				assert.GreaterOrEqual(t, o.at, time.Minute)
			}
		}
		for _, q := range f.asked {
			assert.NotContains(t, q.ids, "..")
		}
		asked := 0
		for _, q := range f.asked {
			if q.ids[0] == "1" {
				asked++
			}
		}
		assert.Less(t, asked, 80, "an id that is given three times is asked for once")
	})
}

func TestWaitAll_None(t *testing.T) {
	t.Parallel()
	assert.Empty(t, collect(t.Context(), clientWithReply(t, 200, succeededReply), nil))
	var none *vidu.Client
	for _, o := range append(collect(t.Context(), none, []string{"1", "2"}), collect(nil, clientWithReply(t, 200, succeededReply), []string{"1", "2"})...) { //nolint:staticcheck // that is the test
		require.Error(t, o.err)
		assert.Contains(t, []string{"1", "2"}, o.task.ID)
	}
}

// When the context ends, what has ended is handed over and the rest is named, at once and without a further request.
func TestWaitAll_ContextEnds(t *testing.T) {
	t.Parallel()
	const limit = 150*time.Minute + 13*time.Millisecond // not when something is due
	for name, latency := range map[string]time.Duration{"in the pause": time.Millisecond, "in the requests": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := farming(200, func(i int) time.Duration { return time.Duration(i) * time.Hour })
				f.latency = latency
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				all := collect(ctx, f.client(t), numbered(200), vidu.WithPollInterval(10*time.Minute))
				require.Len(t, all, 200)
				slices.SortFunc(all, func(a, b outcome) int { return strings.Compare(a.task.ID, b.task.ID) })
				assert.Len(t, slices.Compact(idsOf(all)), 200)
				good := 0
				for _, o := range all {
					assert.LessOrEqual(t, o.at, limit+100*time.Millisecond)
					if o.err == nil {
						good++
						continue
					}
					require.ErrorIs(t, o.err, context.DeadlineExceeded)
					require.ErrorContains(t, o.err, "vidu: waiting for task "+o.task.ID+", which is ")
				}
				if latency < time.Second {
					assert.Equal(t, 3, good)
					last := all[len(all)-1]
					assert.Equal(t, vidu.StateProcessing, last.task.State)
					assert.InDelta(t, 40, last.task.Progress, 0.01)
					require.ErrorContains(t, last.err, "which is still processing: context deadline exceeded")
				}
				assert.Less(t, f.asked[len(f.asked)-1].at, limit)
			})
		})
	}
}

func TestWaitAll_ContextIsOverAlready(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(3, func(int) time.Duration { return 0 })
		all := collect(canceledContext(t), f.client(t), []string{"0", "?", "1", "2"})
		require.Len(t, all, 4)
		require.ErrorContains(t, all[0].err, "is not a task id")
		for _, o := range all[1:] {
			require.ErrorIs(t, o.err, context.Canceled)
		}
		assert.Empty(t, f.asked)
	})
}

// What was answered when the context ended is not lost, though the caller had no time for it.
func TestWaitAll_AnswersAtTheEndAreHandedOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(5, func(int) time.Duration { return 0 })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		good := 0
		for _, err := range f.client(t).WaitAll(ctx, numbered(5), vidu.WithMaxPollRate(math.Inf(1))) {
			testkit.Pass(time.Hour)
			if err == nil {
				good++
			}
		}
		assert.Equal(t, 5, good)
	})
}

// The reason for which nothing is known is told.
func TestWaitAll_ContextEndsInAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(20, func(int) time.Duration { return 0 })
		f.instead = func(*http.Request) (int, string) { return http.StatusBadGateway, "<html>" }
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, o := range collect(ctx, f.client(t), numbered(20)) {
			require.EqualError(t, o.err, "vidu: waiting for task "+o.task.ID+", which is not seen yet: context deadline exceeded, last: HTTP 502: a web page instead of an API response")
		}
	})
}

// An outage that is over is not.
func TestWaitAll_ContextEndsAfterAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(20, func(int) time.Duration { return time.Hour })
		f.instead = func(*http.Request) (int, string) {
			return map[bool]int{true: http.StatusBadGateway}[time.Since(f.started) < 10*time.Second], ""
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, o := range collect(ctx, f.client(t), numbered(20)) {
			require.EqualError(t, o.err, "vidu: waiting for task "+o.task.ID+", which is still processing: context deadline exceeded")
		}
	})
}

// A caller who has seen enough leaves nothing behind: synctest fails when a goroutine stays.
func TestWaitAll_Break(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ids     []string
		first   string
		latency time.Duration
		leave   func()
	}{
		"break":                  {numbered(100), "0", time.Second, nil},
		"break at what is no id": {[]string{"?", "0", "1"}, "?", time.Second, nil},
		"break among the same":   {[]string{"0", "0", "0"}, "0", time.Second, nil},
		"panic":                  {numbered(100), "0", time.Second, func() { panic("caller") }}, //nolint:forbidigo // that is the test
		"while queries hang":     {numbered(100), "0", time.Second, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := farming(100, func(i int) time.Duration { return time.Duration(i) * time.Hour })
				f.latency = tt.latency
				f.instead = func(r *http.Request) (int, string) {
					if name == "while queries hang" && path.Base(path.Dir(r.URL.Path)) != "0" {
						<-r.Context().Done()
						testkit.Pass(time.Second) // it takes its time to end
					}
					return 0, ""
				}
				client := f.client(t)
				count := 0
				wait := func() {
					for task, err := range client.WaitAll(t.Context(), tt.ids, vidu.WithMaxPollRate(1000)) {
						assert.Equal(t, tt.first, task.ID)
						assert.Equal(t, tt.first == "?", err != nil)
						count++
						testkit.Pass(time.Minute)
						if tt.leave != nil {
							tt.leave()
						}
						break
					}
				}
				if tt.leave == nil {
					wait()
				} else {
					assert.PanicsWithValue(t, "caller", wait)
				}
				assert.Equal(t, 1, count)
				assert.Zero(t, client.Waiting())
				assert.Zero(t, f.busy(), "what was under way has ended")
				asked := f.count()
				testkit.Pass(time.Hour)
				assert.Equal(t, asked, f.count())
			})
		})
	}
}

// The rate holds whatever happens: many tasks, wake-ups, failures, and the retries that a client has.
func TestWaitAll_RateIsBounded(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts   []vidu.WaitOption
		status int
		want   float64
	}{
		"default":   {nil, 0, 20},
		"slower":    {[]vidu.WaitOption{vidu.WithMaxPollRate(2)}, 0, 2},
		"faster":    {[]vidu.WaitOption{vidu.WithMaxPollRate(100)}, 0, 100},
		"ignored":   {[]vidu.WaitOption{vidu.WithMaxPollRate(0), vidu.WithMaxPollRate(-1), vidu.WithMaxPollRate(math.NaN())}, 0, 20},
		"an outage": {nil, http.StatusBadGateway, 20},
		"quota":     {nil, http.StatusTooManyRequests, 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := farming(2000, func(int) time.Duration { return time.Hour })
				f.instead = func(*http.Request) (int, string) { return tt.status, "" }
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				client := f.client(t)
				time.AfterFunc(10*time.Second, func() {
					for _, id := range numbered(100) {
						client.Wake(id)
					}
				})
				collect(ctx, client, numbered(2000), tt.opts...)
				assert.InDelta(t, 20*tt.want, len(f.asked), 2)
				for i := 1; i < len(f.asked); i++ {
					require.GreaterOrEqual(t, f.asked[i].at-f.asked[i-1].at, time.Duration(float64(time.Second)/tt.want)-1)
				}
				assert.LessOrEqual(t, f.most, 16)
			})
		})
	}
}

func TestWaitAll_ExtremeRates(t *testing.T) {
	t.Parallel()
	for rate, want := range map[float64]int{math.Inf(1): 100, 1e-300: 1} {
		synctest.Test(t, func(t *testing.T) {
			f := farming(100, func(int) time.Duration { return 0 })
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			collect(ctx, f.client(t), numbered(100), vidu.WithMaxPollRate(rate))
			assert.Len(t, f.asked, want)
			assert.LessOrEqual(t, f.most, 16)
		})
	}
}

// A server that wants to be left alone is, by every task.
func TestWaitAll_RetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(100, func(int) time.Duration { return 0 })
		f.latency = 0
		f.header = http.Header{"Retry-After": {"40"}}
		first := true
		f.instead = func(*http.Request) (int, string) {
			defer func() { first = false }()
			return map[bool]int{true: http.StatusTooManyRequests}[first], ""
		}
		for _, o := range collect(t.Context(), f.client(t), numbered(100)) {
			require.NoError(t, o.err)
		}
		assert.Equal(t, 40*time.Second, f.asked[1].at)
	})
}

// Every task gets its turn, the one that has waited longest first, and in the order of ids at the beginning.
func TestWaitAll_IsFair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(200, func(int) time.Duration { return time.Hour })
		ids := numbered(200)
		slices.Reverse(ids)
		ctx, cancel := context.WithTimeout(t.Context(), 59*time.Second)
		defer cancel()
		collect(ctx, f.client(t), ids, vidu.WithPollInterval(time.Second))
		turns := map[string]int{}
		for i, q := range f.asked {
			turns[q.ids[0]]++
			if i < 200 {
				assert.Equal(t, ids[i], q.ids[0])
			}
		}
		for _, id := range ids {
			assert.InDelta(t, 6, turns[id], 1.01, id)
		}
	})
}

// A wake-up comes before what is overdue.
func TestWaitAll_WakeOvertakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(10_000, func(int) time.Duration { return 10 * time.Second })
		client := f.client(t)
		time.AfterFunc(10*time.Second, func() { client.Wake("9999") })
		for task, err := range client.WaitAll(t.Context(), numbered(10_000)) {
			require.NoError(t, err)
			if task.ID == "9999" {
				assert.LessOrEqual(t, time.Since(f.started), 10*time.Second+200*time.Millisecond)
				break
			}
		}
	})
}

// A flood of callbacks for some tasks, each of which may bring one query a second forward, does not keep the others waiting.
func TestWaitAll_FloodOfWakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const named = 40 // so that they could take up the whole rate
		f := farming(100, func(n int) time.Duration {
			return map[bool]time.Duration{true: time.Hour, false: time.Minute}[n < named]
		})
		f.latency = 0
		client := f.client(t)
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
		defer stop()
		go func() {
			for ctx.Err() == nil {
				testkit.Pass(5 * time.Millisecond)
				for n := range named {
					client.WakeUnverified(strconv.Itoa(n))
				}
			}
		}()
		ended := 0
		for _, o := range collect(ctx, client, numbered(100)) {
			if o.err == nil {
				assert.LessOrEqual(t, o.at, 2*time.Minute)
				ended++
			}
		}
		assert.Equal(t, 100-named, ended)
		stop()
		testkit.Pass(time.Second) // for the flood to end
	})
}

// What a server asks of one task is nothing to the others, unless it says that there are too many requests.
func TestWaitAll_RetryAfterOfOneTask(t *testing.T) {
	t.Parallel()
	for status, slow := range map[int]bool{http.StatusServiceUnavailable: false, http.StatusTooManyRequests: true} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := farming(20, func(int) time.Duration { return 30 * time.Second })
				f.header = http.Header{"Retry-After": {"50"}}
				f.instead = func(r *http.Request) (int, string) {
					if path.Base(path.Dir(r.URL.Path)) == "3" && time.Since(f.started) < 45*time.Second {
						return status, ""
					}
					return 0, ""
				}
				for _, o := range collect(t.Context(), f.client(t), numbered(20), vidu.WithPollInterval(5*time.Second)) {
					require.NoError(t, o.err)
					if o.task.ID != "3" {
						assert.Equal(t, slow, o.at > 40*time.Second, "%v", o.at)
					}
				}
			})
		})
	}
}

// Each wake-up is worth one query.
func TestWaitAll_WokenOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(2, func(int) time.Duration { return 10 * time.Minute })
		client := f.client(t)
		time.AfterFunc(time.Minute, func() { client.Wake("0") })
		time.AfterFunc(2*time.Minute, func() { client.Wake("1") })
		collect(t.Context(), client, numbered(2), vidu.WithPollInterval(time.Hour))
		assert.Len(t, f.asked, 2+2+2)
	})
}

// What this client has just created, and knows to take longer, is not asked for at once.
func TestWaitAll_FirstAnswerIsTheCreates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(2, func(int) time.Duration { return 30 * time.Second })
		client := f.client(t)
		client.Teach(10, 30*time.Second)
		f.started = time.Now()
		client.Remember(&vidu.Task{ID: "0", State: vidu.StateCreated}, false)
		var told []string
		all := collect(t.Context(), client, numbered(2), vidu.WithProgress(func(task *vidu.Task) {
			told = append(told, fmt.Sprint(task.ID, " ", task.State))
		}))
		assert.Len(t, all, 2)
		assert.Equal(t, []string{"0 created", "1 processing"}, told[:2])
		for _, q := range f.asked {
			if q.ids[0] == "0" {
				assert.GreaterOrEqual(t, q.at, 15*time.Second)
			}
		}
	})
}

// Nothing is asked while the caller is busy, and nothing is lost by that.
func TestWaitAll_SlowCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(30, func(i int) time.Duration { return time.Duration(i) * time.Second })
		client := f.client(t)
		seen := map[string]bool{}
		for task, err := range client.WaitAll(t.Context(), numbered(30)) {
			require.NoError(t, err)
			assert.False(t, seen[task.ID])
			seen[task.ID] = true
			testkit.Pass(time.Second) // what is under way is answered
			asked := f.count()
			testkit.Pass(10 * time.Minute)
			assert.Equal(t, asked, f.count())
		}
		assert.Len(t, seen, 30)
	})
}

func TestWaitAll_RidesOut(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{"502": "<html>", "503": "", "429": "", "500": `{"reason":"InternalServiceFailure"}`, "404": `{"reason":"TaskNotFound"}`} {
		for _, opts := range [][]vidu.Option{nil, {vidu.WithOfficialAPI()}} {
			t.Run(fmt.Sprint(name, len(opts)), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f := farming(30, func(i int) time.Duration { return time.Duration(i) * time.Second })
					outage := map[bool]time.Duration{true: 50 * time.Second, false: 10 * time.Minute}[name == "404"]
					f.instead = func(r *http.Request) (int, string) {
						if time.Since(f.started) > outage || (name == "404" && isList(r)) {
							return 0, ""
						}
						status, _ := strconv.Atoi(name)
						return status, body
					}
					all := collect(t.Context(), f.client(t, opts...), numbered(30))
					require.Len(t, all, 30)
					for _, o := range all {
						require.NoError(t, o.err)
					}
				})
			})
		}
	}
}

// With the official API one request asks for many. What has ended is then asked for alone: a list says less.
func TestWaitAll_List(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		tasks int
		lists []int // the first requests: how many ids
	}{
		"7":   {7, nil},
		"8":   {8, []int{8}},
		"100": {100, []int{100}},
		"250": {250, []int{100, 100, 50}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := farming(tt.tasks, func(int) time.Duration { return 3 * time.Second })
				var told []float64
				progress := vidu.WithProgress(func(task *vidu.Task) { told = append(told, task.Progress) })
				all := collect(t.Context(), f.client(t, vidu.WithOfficialAPI()), numbered(tt.tasks), progress, vidu.WithPollInterval(5*time.Second))
				require.Len(t, all, tt.tasks)
				for _, o := range all {
					require.NoError(t, o.err)
					assert.Equal(t, "in full", o.task.Payload)
				}
				lists, singles := f.lists()
				for i, want := range tt.lists {
					assert.Len(t, lists[i].ids, want)
					assert.Equal(t, f.asked[i], lists[i])
				}
				if tt.lists == nil {
					assert.Empty(t, lists)
				} else {
					assert.Len(t, singles, tt.tasks, "one for each result")
				}
				assert.Len(t, told, 2*tt.tasks)
			})
		})
	}
}

// A task that the list does not tell of is asked for alone.
func TestWaitAll_ListWithoutTheTask(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(20, func(int) time.Duration { return time.Minute })
		f.unlist["7"] = true
		delete(f.ends, "8")
		for _, o := range collect(t.Context(), f.client(t, vidu.WithOfficialAPI()), numbered(20), vidu.WithPollInterval(5*time.Second)) {
			assert.Equal(t, o.task.ID == "8", errors.Is(o.err, vidu.ErrTaskNotFound))
		}
		_, singles := f.lists()
		asked := map[string]int{}
		for _, q := range singles {
			asked[q.ids[0]]++
		}
		assert.Greater(t, asked["7"], 1)
		assert.Equal(t, 1, asked["6"])
	})
}

// A server that does not list, or answers with what is no list, is asked for each task as any other.
func TestWaitAll_ListIsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		body   string
	}{
		"404":             {http.StatusNotFound, "404 page not found"},
		"405":             {http.StatusMethodNotAllowed, ""},
		"400":             {http.StatusBadRequest, `{"reason":"FieldInvalid"}`},
		"414":             {http.StatusRequestURITooLong, ""},
		"403":             {http.StatusForbidden, ""},
		"a web page":      {http.StatusOK, "<html>"},
		"an error in 200": {http.StatusOK, `{"success":false,"message":"no"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := farming(20, func(int) time.Duration { return time.Minute })
				f.instead = func(r *http.Request) (int, string) {
					if isList(r) {
						return tt.status, tt.body
					}
					return 0, ""
				}
				for _, o := range collect(t.Context(), f.client(t, vidu.WithOfficialAPI()), numbered(20), vidu.WithPollInterval(5*time.Second)) {
					require.NoError(t, o.err)
				}
				lists, _ := f.lists()
				assert.Len(t, lists, 1, "asked once, and never again")
				assert.Len(t, lists[0].ids, 20)
			})
		})
	}
}

// Tasks that are due at different times share lists all the same, and none is asked for more than once a second.
func TestWaitAll_ListsGather(t *testing.T) {
	t.Parallel()
	every := vidu.WithPollInterval
	for name, tt := range map[string]struct {
		tasks int
		opt   vidu.WaitOption
		many  int // in a list, at least
	}{
		"learned": {1000, nil, 50}, "5 s": {1000, every(5 * time.Second), 50}, "1.1 s": {1000, every(1100 * time.Millisecond), 50},
		"few": {150, every(1100 * time.Millisecond), 8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := farming(tt.tasks, func(int) time.Duration { return 5 * time.Minute })
				f.instead = func(*http.Request) (int, string) { // answers take from a moment to a second, which sets the tasks apart
					time.Sleep(rand.N(time.Second)) //nolint:forbidigo // in virtual time
					return 0, ""
				}
				for _, o := range collect(t.Context(), f.client(t, vidu.WithOfficialAPI()), numbered(tt.tasks), tt.opt) {
					require.NoError(t, o.err)
				}
				lists, singles := f.lists()
				asked, last := 0, map[string]time.Duration{}
				for _, q := range lists {
					asked += len(q.ids)
					for _, id := range q.ids {
						if at, before := last[id]; before {
							assert.GreaterOrEqual(t, q.at-at, time.Second)
						}
						last[id] = q.at
					}
				}
				assert.Greater(t, asked, tt.many*len(lists))
				assert.Less(t, len(singles), tt.tasks+asked/8, "one each for the end, and few besides")
				t.Logf("%d lists of %d, %d singles", len(lists), asked/len(lists), len(singles))
			})
		})
	}
}

// One odd answer to a list, where others were fine, costs a moment and not the lists.
func TestWaitAll_ListIsOddOnce(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func() (int, string){
		"nothing odd": func() (int, string) { return 0, "" },
		"502":         func() (int, string) { return http.StatusBadGateway, "" },
		"403":         func() (int, string) { return http.StatusForbidden, "" },
		"404":         func() (int, string) { return http.StatusNotFound, "404 page not found" },
		"a web page":  func() (int, string) { return http.StatusOK, "<html>" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := farming(20, func(int) time.Duration { return 20 * time.Minute })
				var asked atomic.Int64
				f.instead = func(r *http.Request) (int, string) { // one answer, and later all for half a minute
					at := time.Since(f.started)
					if isList(r) && (asked.Add(1) == 10 || at > 5*time.Minute && at < 330*time.Second) {
						return answer()
					}
					return 0, ""
				}
				for _, o := range collect(t.Context(), f.client(t, vidu.WithOfficialAPI()), numbered(20), vidu.WithPollInterval(5*time.Second)) {
					require.NoError(t, o.err)
				}
				lists, singles := f.lists()
				assert.Greater(t, len(lists), 200, "of about 240")
				assert.Less(t, len(singles), 300, "one pause of a minute")
			})
		})
	}
}

// Lists that are under way together are answered in any order: an odd one among the first says nothing.
func TestWaitAll_ListIsOddAmongTheFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(300, func(int) time.Duration { return 10 * time.Minute })
		var asked atomic.Int64
		f.instead = func(r *http.Request) (int, string) {
			if isList(r) && asked.Add(1) == 1 {
				return http.StatusOK, "<html>"
			}
			return 0, ""
		}
		for _, o := range collect(t.Context(), f.client(t, vidu.WithOfficialAPI()), numbered(300), vidu.WithPollInterval(5*time.Second)) {
			require.NoError(t, o.err)
		}
		_, singles := f.lists()
		assert.Less(t, len(singles), 500)
	})
}

// What a server asks of a task after a failure is kept, though others are asked for a moment before.
func TestWaitAll_ListsKeepRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(300, func(int) time.Duration { return 10 * time.Minute })
		f.header = http.Header{"Retry-After": {"20"}}
		failed := map[string]time.Duration{}
		var mu sync.Mutex
		f.instead = func(r *http.Request) (int, string) {
			mu.Lock()
			defer mu.Unlock()
			at := time.Since(f.started)
			for _, id := range r.URL.Query()["task_ids"] {
				if since, ok := failed[id]; ok && at-since < 20*time.Second {
					t.Errorf("task %s was asked for after %v", id, at-since)
				}
			}
			if isList(r) && at > time.Minute && len(failed) == 0 {
				for _, id := range r.URL.Query()["task_ids"] {
					failed[id] = at
				}
				return http.StatusServiceUnavailable, ""
			}
			return 0, ""
		}
		for _, o := range collect(t.Context(), f.client(t, vidu.WithOfficialAPI()), numbered(300)) {
			require.NoError(t, o.err)
		}
		assert.NotEmpty(t, failed)
	})
}

// A second without name service, before every task was asked for once, is no mistake of configuration: others were
// answered.
func TestWaitAll_BlipInTheFirstPass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(100, func(int) time.Duration { return 2 * time.Minute })
		f.started = time.Now()
		client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
			if at := time.Since(f.started); at > 2*time.Second && at < 3*time.Second {
				return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
			}
			return f.RoundTrip(r)
		}))
		for _, o := range collect(t.Context(), client, numbered(100)) {
			require.NoError(t, o.err)
		}
	})
}

// A client that was made before the bubble of a test began works inside.
func TestWaitAll_ClientFromOutsideTheBubble(t *testing.T) {
	t.Parallel()
	f := farming(3, func(int) time.Duration { return time.Minute })
	client := f.client(t)
	synctest.Test(t, func(t *testing.T) {
		f.started = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for _, o := range collect(ctx, client, numbered(3)) {
			require.NoError(t, o.err)
		}
	})
}

// A failure that may pass is none of the list's.
func TestWaitAll_ListFailsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(20, func(int) time.Duration { return time.Minute })
		f.instead = func(*http.Request) (int, string) {
			return map[bool]int{true: http.StatusBadGateway}[time.Since(f.started) < time.Second], ""
		}
		for _, o := range collect(t.Context(), f.client(t, vidu.WithOfficialAPI()), numbered(20), vidu.WithPollInterval(5*time.Second)) {
			require.NoError(t, o.err)
		}
		lists, singles := f.lists()
		assert.Greater(t, len(lists), 10)
		assert.Len(t, singles, 20)
	})
}

// A list that fails for ever is given up, though its failure may pass; in an outage of everything it is not.
func TestWaitAll_ListFailsForEver(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]time.Duration{"the list": 0, "everything": 5 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := farming(20, func(int) time.Duration { return 10 * time.Minute })
				f.instead = func(r *http.Request) (int, string) {
					if time.Since(f.started) < outage || (outage == 0 && isList(r)) {
						return http.StatusBadGateway, ""
					}
					return 0, ""
				}
				for _, o := range collect(t.Context(), f.client(t, vidu.WithOfficialAPI()), numbered(20), vidu.WithPollInterval(5*time.Second)) {
					require.NoError(t, o.err)
				}
				lists, _ := f.lists()
				if outage == 0 {
					assert.Len(t, lists, 3)
				} else {
					assert.Greater(t, lists[len(lists)-1].at, 9*time.Minute)
				}
			})
		})
	}
}

// A list does not tell the progress, which is then as it was.
func TestWaitAll_ListDoesNotTellTheProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(10, func(int) time.Duration { return time.Minute })
		var told []float64
		progress := vidu.WithProgress(func(task *vidu.Task) {
			if task.ID == "3" {
				told = append(told, task.Progress)
			}
		})
		client := f.client(t, vidu.WithOfficialAPI())
		time.AfterFunc(12*time.Second, func() { client.Wake("3") }) // asked for alone, it says 40 %
		together := func(elapsed time.Duration) time.Duration { return 5*time.Second - elapsed%(5*time.Second) }
		collect(t.Context(), client, numbered(10), progress, vidu.WithPollSchedule(together))
		assert.Equal(t, []float64{0, 40, 0}, told)
		lists, _ := f.lists()
		assert.Contains(t, lists[len(lists)-1].ids, "3")
	})
}

// With the gateway nothing is listed.
func TestWaitAll_OnlyTheOfficialAPIIsAskedForLists(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(50, func(int) time.Duration { return time.Minute })
		collect(t.Context(), f.client(t), numbered(50))
		lists, _ := f.lists()
		assert.Empty(t, lists)
	})
}

func TestWaitAll_Progress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(3, func(int) time.Duration { return time.Minute })
		f.failing["1"] = true
		told := map[string][]vidu.State{}
		collect(t.Context(), f.client(t), numbered(3), vidu.WithProgress(func(task *vidu.Task) {
			told[task.ID] = append(told[task.ID], task.State)
		}))
		assert.Equal(t, map[string][]vidu.State{
			"0": {vidu.StateProcessing, vidu.StateSuccess},
			"1": {vidu.StateProcessing, vidu.StateFailed},
			"2": {vidu.StateProcessing, vidu.StateSuccess},
		}, told)
	})
}

func TestWaitAll_OwnSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(1, func(int) time.Duration { return 100 * time.Second })
		f.latency = 0
		collect(t.Context(), f.client(t), numbered(1), vidu.WithPollSchedule(func(elapsed time.Duration) time.Duration { return 10*time.Second + elapsed }))
		var at []time.Duration
		for _, q := range f.asked {
			at = append(at, q.at/time.Second)
		}
		assert.Equal(t, []time.Duration{0, 10, 30, 70, 150}, at)
	})
}

// The sequence can be gone through again, and the ids belong to the caller.
func TestWaitAll_Again(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(3, func(int) time.Duration { return 0 })
		ids := numbered(3)
		all := f.client(t).WaitAll(t.Context(), ids)
		for range 2 {
			count := 0
			for task, err := range all {
				require.NoError(t, err)
				ids[0], ids[1], ids[2] = ids[1], ids[2], ids[0]
				assert.NotEmpty(t, task.ID)
				count++
			}
			assert.Equal(t, 3, count)
		}
	})
}

// From the create to the end, through the fake server with the official API.
func TestWaitAll_WithTheFakeServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := vidutest.NewServer(vidutest.InMemory(), vidutest.WithOfficialAPI(), vidutest.WithTiming(20*time.Second, 40*time.Second))
		defer server.Close()
		client, err := vidu.NewClient(server.URL, vidutest.APIKey, vidu.WithOfficialAPI(), vidu.WithHTTPClient(server.Client()))
		require.NoError(t, err)
		server.FailTask("")
		server.FailTask("AuditFailed")
		var ids []string
		for range 40 {
			task, err := client.Reference2Video(t.Context(), smallRequest())
			require.NoError(t, err)
			ids = append(ids, task.ID)
		}
		good := 0
		for _, o := range collect(t.Context(), client, ids) {
			if o.err == nil {
				good++
				assert.Equal(t, "job-42", o.task.Payload)
				continue
			}
			assert.Equal(t, ids[1], o.task.ID)
			require.ErrorIs(t, o.err, vidu.ErrAuditFailed)
		}
		assert.Equal(t, 39, good)
	})
}

// Ten thousand tasks, two hours, in virtual time.
func TestWaitAll_TenThousand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := farming(10_000, func(i int) time.Duration { return time.Duration(i%7) * time.Minute })
		seen := map[string]bool{}
		for task, err := range f.client(t).WaitAll(t.Context(), numbered(10_000)) {
			require.NoError(t, err)
			require.False(t, seen[task.ID])
			seen[task.ID] = true
		}
		assert.Len(t, seen, 10_000)
		assert.LessOrEqual(t, len(f.asked), 20_000)
	})
}
