package vidu_test

import (
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
		f := newFakeAPI(20, func(i int) time.Duration { return time.Duration(2+(i*7)%20) * time.Minute })
		all := collect(boundedContext(t), f.client(t), numbered(20))
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

// One result for each id; one that fails, is unknown or is invalid does not end the others.
func TestWaitAll_OneResultForEachID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(6, func(int) time.Duration { return 10 * time.Minute })
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
		all := collect(boundedContext(t), f.client(t), ids)
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
	assert.Empty(t, collect(promptContext(t), clientWithReply(t, 200, succeededReply), nil))
	var none *vidu.Client
	for _, o := range append(collect(promptContext(t), none, []string{"1", "2"}), collect(nil, clientWithReply(t, 200, succeededReply), []string{"1", "2"})...) { //nolint:staticcheck // that is the test
		require.Error(t, o.err)
		assert.Contains(t, []string{"1", "2"}, o.task.ID)
	}
}

// When the context ends, finished tasks are yielded and the rest is named, at once and without a further request.
func TestWaitAll_ContextEnds(t *testing.T) {
	t.Parallel()
	const limit = 150*time.Minute + 13*time.Millisecond // not when something is due
	for name, latency := range map[string]time.Duration{"in the pause": time.Millisecond, "in the requests": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeAPI(200, func(i int) time.Duration { return time.Duration(i) * time.Hour })
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
					require.ErrorContains(t, o.err, "vidu: waiting for task "+o.task.ID+", ")
				}
				if latency < time.Second {
					assert.Equal(t, 3, good)
					last := all[len(all)-1]
					assert.Equal(t, vidu.StateProcessing, last.task.State)
					assert.InDelta(t, 40, last.task.Progress, 0.01)
					require.ErrorContains(t, last.err, "last seen processing ")
				}
				assert.Less(t, f.asked[len(f.asked)-1].at, limit)
			})
		})
	}
}

func TestWaitAll_ContextIsOverAlready(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(3, func(int) time.Duration { return 0 })
		all := collect(canceledContext(t), f.client(t), []string{"0", "?", "1", "2"})
		require.Len(t, all, 4)
		require.ErrorContains(t, all[0].err, "is not a task id")
		for _, o := range all[1:] {
			require.ErrorIs(t, o.err, context.Canceled)
		}
		assert.Empty(t, f.asked)
	})
}

// Answers that were there when the context ended are not lost, though the caller had no time for them.
func TestWaitAll_AnswersAtTheEndAreHandedOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(5, func(int) time.Duration { return 0 })
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

// Nor are those of queries in flight that are answered all the same.
func TestWaitAll_AnswersAfterTheEndAreHandedOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(5, func(int) time.Duration { return 0 })
		client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
			testkit.Pass(2 * time.Second) // whatever becomes of the context
			return f.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, o := range collect(ctx, client, numbered(5)) {
			require.NoError(t, o.err)
		}
	})
}

// The error says why nothing is known of a task.
func TestWaitAll_ContextEndsInAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(20, func(int) time.Duration { return 0 })
		f.instead = func(*http.Request) (int, string) { return http.StatusBadGateway, "<html>" }
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, o := range collect(ctx, f.client(t), numbered(20)) {
			require.EqualError(t, o.err, "vidu: waiting for task "+o.task.ID+", not seen yet: context deadline exceeded, last: HTTP 502: a web page instead of an API response")
		}
	})
}

// An outage that is over is not part of the error.
func TestWaitAll_ContextEndsAfterAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(20, func(int) time.Duration { return time.Hour })
		f.instead = func(*http.Request) (int, string) {
			return map[bool]int{true: http.StatusBadGateway}[time.Since(f.started) < 10*time.Second], ""
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, o := range collect(ctx, f.client(t), numbered(20)) {
			require.Regexp(t, "^vidu: waiting for task "+o.task.ID+`, last seen processing \d+s ago: context deadline exceeded$`, o.err.Error())
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
		"break at an invalid id": {[]string{"?", "0", "1"}, "?", time.Second, nil},
		"break among the same":   {[]string{"0", "0", "0"}, "0", time.Second, nil},
		"panic":                  {numbered(100), "0", time.Second, func() { panic("caller") }}, //nolint:forbidigo // that is the test
		"while queries hang":     {numbered(100), "0", time.Second, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeAPI(100, func(i int) time.Duration { return time.Duration(i) * time.Hour })
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
					for task, err := range client.WaitAll(boundedContext(t), tt.ids, vidu.WithMaxPollRate(1000)) {
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
				f := newFakeAPI(2000, func(int) time.Duration { return time.Hour })
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
			f := newFakeAPI(100, func(int) time.Duration { return 0 })
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			collect(ctx, f.client(t), numbered(100), vidu.WithMaxPollRate(rate))
			assert.Len(t, f.asked, want)
			assert.LessOrEqual(t, f.most, 16)
		})
	}
}

// After a 429 with Retry-After no task is asked for.
func TestWaitAll_RetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(100, func(int) time.Duration { return 0 })
		f.latency = 0
		f.header = http.Header{"Retry-After": {"40"}}
		first := true
		f.instead = func(*http.Request) (int, string) {
			defer func() { first = false }()
			return map[bool]int{true: http.StatusTooManyRequests}[first], ""
		}
		for _, o := range collect(boundedContext(t), f.client(t), numbered(100)) {
			require.NoError(t, o.err)
		}
		assert.Equal(t, 40*time.Second, f.asked[1].at)
	})
}

// Every task gets its turn, the one that has waited longest first, and in the order of ids at the beginning.
func TestWaitAll_IsFair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(200, func(int) time.Duration { return time.Hour })
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

// Retry-After concerns one task, unless the status is 429.
func TestWaitAll_RetryAfterOfOneTask(t *testing.T) {
	t.Parallel()
	for status, slow := range map[int]bool{http.StatusServiceUnavailable: false, http.StatusTooManyRequests: true} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeAPI(20, func(int) time.Duration { return 30 * time.Second })
				f.header = http.Header{"Retry-After": {"50"}}
				f.instead = func(r *http.Request) (int, string) {
					if path.Base(path.Dir(r.URL.Path)) == "3" && time.Since(f.started) < 45*time.Second {
						return status, ""
					}
					return 0, ""
				}
				for _, o := range collect(boundedContext(t), f.client(t), numbered(20), vidu.WithPollInterval(5*time.Second)) {
					require.NoError(t, o.err)
					if o.task.ID != "3" {
						assert.Equal(t, slow, o.at > 40*time.Second, "%v", o.at)
					}
				}
			})
		})
	}
}

// Nothing is asked while the caller is busy, and nothing is lost by that.
func TestWaitAll_SlowCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(30, func(i int) time.Duration { return time.Duration(i) * time.Second })
		client := f.client(t)
		seen := map[string]bool{}
		for task, err := range client.WaitAll(boundedContext(t), numbered(30)) {
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
					f := newFakeAPI(30, func(i int) time.Duration { return time.Duration(i) * time.Second })
					outage := map[bool]time.Duration{true: 50 * time.Second, false: 10 * time.Minute}[name == "404"]
					f.instead = func(r *http.Request) (int, string) {
						if time.Since(f.started) > outage || (name == "404" && isListQuery(r)) {
							return 0, ""
						}
						status, _ := strconv.Atoi(name)
						return status, body
					}
					all := collect(boundedContext(t), f.client(t, opts...), numbered(30))
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
				f := newFakeAPI(tt.tasks, func(int) time.Duration { return 3 * time.Second })
				var reported []float64
				progress := vidu.WithProgress(func(task *vidu.Task) { reported = append(reported, task.Progress) })
				all := collect(boundedContext(t), f.client(t, vidu.WithOfficialAPI()), numbered(tt.tasks), progress, vidu.WithPollInterval(5*time.Second))
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
				assert.Len(t, reported, 2*tt.tasks)
			})
		})
	}
}

// A task that the list lacks is asked for alone.
func TestWaitAll_ListWithoutTheTask(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(20, func(int) time.Duration { return time.Minute })
		f.unlist["7"] = true
		delete(f.ends, "8")
		for _, o := range collect(boundedContext(t), f.client(t, vidu.WithOfficialAPI()), numbered(20), vidu.WithPollInterval(5*time.Second)) {
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

// A server without lists, or whose answer is not a list, is asked for one task after the other.
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
				f := newFakeAPI(20, func(int) time.Duration { return time.Minute })
				f.instead = func(r *http.Request) (int, string) {
					if isListQuery(r) {
						return tt.status, tt.body
					}
					return 0, ""
				}
				for _, o := range collect(boundedContext(t), f.client(t, vidu.WithOfficialAPI()), numbered(20), vidu.WithPollInterval(5*time.Second)) {
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
				f := newFakeAPI(tt.tasks, func(int) time.Duration { return 5 * time.Minute })
				f.instead = func(*http.Request) (int, string) { // answers take from a moment to a second, which sets the tasks apart
					testkit.Pass(rand.N(time.Second))
					return 0, ""
				}
				for _, o := range collect(boundedContext(t), f.client(t, vidu.WithOfficialAPI()), numbered(tt.tasks), tt.opt) {
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

// One unusable answer to a list, where others were fine, costs a moment and not the lists.
func TestWaitAll_ListUnusableOnce(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func() (int, string){
		"all usable": func() (int, string) { return 0, "" },
		"502":        func() (int, string) { return http.StatusBadGateway, "" },
		"403":        func() (int, string) { return http.StatusForbidden, "" },
		"404":        func() (int, string) { return http.StatusNotFound, "404 page not found" },
		"a web page": func() (int, string) { return http.StatusOK, "<html>" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeAPI(20, func(int) time.Duration { return 20 * time.Minute })
				var asked atomic.Int64
				f.instead = func(r *http.Request) (int, string) { // one answer, and later all for half a minute
					at := time.Since(f.started)
					if isListQuery(r) && (asked.Add(1) == 10 || at > 5*time.Minute && at < 330*time.Second) {
						return answer()
					}
					return 0, ""
				}
				for _, o := range collect(boundedContext(t), f.client(t, vidu.WithOfficialAPI()), numbered(20), vidu.WithPollInterval(5*time.Second)) {
					require.NoError(t, o.err)
				}
				lists, singles := f.lists()
				assert.Greater(t, len(lists), 200, "of about 240")
				assert.Less(t, len(singles), 300, "one pause of a minute")
			})
		})
	}
}

// Lists that are in flight together are answered in any order: an unusable one among the first proves nothing.
func TestWaitAll_ListUnusableAmongTheFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(300, func(int) time.Duration { return 10 * time.Minute })
		var asked atomic.Int64
		f.instead = func(r *http.Request) (int, string) {
			if isListQuery(r) && asked.Add(1) == 1 {
				return http.StatusOK, "<html>"
			}
			return 0, ""
		}
		for _, o := range collect(boundedContext(t), f.client(t, vidu.WithOfficialAPI()), numbered(300), vidu.WithPollInterval(5*time.Second)) {
			require.NoError(t, o.err)
		}
		_, singles := f.lists()
		assert.Less(t, len(singles), 500)
	})
}

// Retry-After is kept, though lists ask for other tasks a moment before they are due.
func TestWaitAll_ListsKeepRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(300, func(int) time.Duration { return 10 * time.Minute })
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
			if isListQuery(r) && at > time.Minute && len(failed) == 0 {
				for _, id := range r.URL.Query()["task_ids"] {
					failed[id] = at
				}
				return http.StatusServiceUnavailable, ""
			}
			return 0, ""
		}
		for _, o := range collect(boundedContext(t), f.client(t, vidu.WithOfficialAPI()), numbered(300)) {
			require.NoError(t, o.err)
		}
		assert.NotEmpty(t, failed)
	})
}

// A second without name service, before every task was asked for once, is not a mistake of configuration: others were
// answered.
func TestWaitAll_BlipInTheFirstPass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(100, func(int) time.Duration { return 2 * time.Minute })
		f.started = time.Now()
		client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
			if at := time.Since(f.started); at > 2*time.Second && at < 3*time.Second {
				return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
			}
			return f.RoundTrip(r)
		}))
		for _, o := range collect(boundedContext(t), client, numbered(100)) {
			require.NoError(t, o.err)
		}
	})
}

// A client that was made before the bubble of a test began works inside.
func TestWaitAll_ClientFromOutsideTheBubble(t *testing.T) {
	t.Parallel()
	f := newFakeAPI(3, func(int) time.Duration { return time.Minute })
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

// A failure that may pass does not count against lists.
func TestWaitAll_ListFailsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(20, func(int) time.Duration { return time.Minute })
		f.instead = func(*http.Request) (int, string) {
			return map[bool]int{true: http.StatusBadGateway}[time.Since(f.started) < time.Second], ""
		}
		for _, o := range collect(boundedContext(t), f.client(t, vidu.WithOfficialAPI()), numbered(20), vidu.WithPollInterval(5*time.Second)) {
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
				f := newFakeAPI(20, func(int) time.Duration { return 10 * time.Minute })
				f.instead = func(r *http.Request) (int, string) {
					if time.Since(f.started) < outage || (outage == 0 && isListQuery(r)) {
						return http.StatusBadGateway, ""
					}
					return 0, ""
				}
				for _, o := range collect(boundedContext(t), f.client(t, vidu.WithOfficialAPI()), numbered(20), vidu.WithPollInterval(5*time.Second)) {
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

// A gateway is not asked for lists.
func TestWaitAll_OnlyTheOfficialAPIIsAskedForLists(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(50, func(int) time.Duration { return time.Minute })
		collect(boundedContext(t), f.client(t), numbered(50))
		lists, _ := f.lists()
		assert.Empty(t, lists)
	})
}

func TestWaitAll_Progress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(3, func(int) time.Duration { return time.Minute })
		f.failing["1"] = true
		reported := map[string][]vidu.State{}
		collect(boundedContext(t), f.client(t), numbered(3), vidu.WithProgress(func(task *vidu.Task) {
			reported[task.ID] = append(reported[task.ID], task.State)
		}))
		assert.Equal(t, map[string][]vidu.State{
			"0": {vidu.StateProcessing, vidu.StateSuccess},
			"1": {vidu.StateProcessing, vidu.StateFailed},
			"2": {vidu.StateProcessing, vidu.StateSuccess},
		}, reported)
	})
}

func TestWaitAll_OwnSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(1, func(int) time.Duration { return 100 * time.Second })
		f.latency = 0
		client := f.client(t)
		testkit.Pass(time.Hour) // the age of the client does not matter
		f.started = time.Now()
		collect(boundedContext(t), client, numbered(1), vidu.WithPollSchedule(func(elapsed time.Duration) time.Duration { return 10*time.Second + elapsed }))
		var at []time.Duration
		for _, q := range f.asked {
			at = append(at, q.at/time.Second)
		}
		assert.Equal(t, []time.Duration{0, 10, 30, 70, 150}, at)
	})
}

// The sequence can be iterated again, and the ids belong to the caller.
func TestWaitAll_Again(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(3, func(int) time.Duration { return 0 })
		ids := numbered(3)
		all := f.client(t).WaitAll(boundedContext(t), ids)
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
		for _, o := range collect(boundedContext(t), client, ids) {
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
		f := newFakeAPI(10_000, func(i int) time.Duration { return time.Duration(i%7) * time.Minute })
		seen := map[string]bool{}
		for task, err := range f.client(t).WaitAll(boundedContext(t), numbered(10_000)) {
			require.NoError(t, err)
			require.False(t, seen[task.ID])
			seen[task.ID] = true
		}
		assert.Len(t, seen, 10_000)
		assert.LessOrEqual(t, len(f.asked), 20_000)
	})
}
