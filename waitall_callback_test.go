package vidu_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// A callback makes Wait, Watch and WaitAll ask at once.
func TestWake_AsksAtOnce(t *testing.T) {
	t.Parallel()
	for name, wait := range waitCalls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := scriptedClient(t, outage(7*time.Minute, saying(http.StatusOK, processingReply)))
				time.AfterFunc(7*time.Minute, func() { client.Wake("1") })
				time.AfterFunc(8*time.Minute, func() { client.Wake("another") })
				require.NoError(t, wait(boundedContext(t), client, "1", vidu.WithPollInterval(time.Hour)))
				assert.Equal(t, []time.Duration{0, 7 * time.Minute}, p.at)
				assert.Zero(t, client.Waiting())
				client.Wake("1") // nobody waits any more
			})
		})
	}
}

// A callback that comes while its task is being asked for is not lost: the answer may be older. Many count as one.
func TestWake_WhileBeingAskedFor(t *testing.T) {
	t.Parallel()
	for name, wait := range waitCalls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := scriptedClient(t, func(r *http.Request, n int) (*http.Response, error) {
					testkit.Pass(time.Second)
					return testkit.Reply(r, http.StatusOK, []string{processingReply, processingReply, succeededReply}[n])
				})
				for range 100 {
					time.AfterFunc(500*time.Millisecond, func() { client.Wake("1") })
				}
				time.AfterFunc(time.Minute, func() { client.Wake("1") })
				require.NoError(t, wait(boundedContext(t), client, "1", vidu.WithPollInterval(time.Hour)))
				assert.Equal(t, []time.Duration{0, time.Second, time.Minute}, p.at)
			})
		})
	}
}

// A callback shows when a task ended better than any query.
func TestWake_TeachesTheMoment(t *testing.T) {
	t.Parallel()
	for name, wait := range waitCalls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeAPI(0, nil)
				client := f.client(t)
				client.SetJitter(noJitter)
				for _, called := range []bool{false, true} {
					before := client.PollDelay(&vidu.Task{}, time.Minute)
					id := f.newTask(t, client, 20*time.Minute, true)
					if called {
						time.AfterFunc(20*time.Minute, func() { client.Wake(id) })
					}
					require.NoError(t, wait(boundedContext(t), client, id, vidu.WithPollInterval(time.Hour)))
					assert.Equal(t, called, before != client.PollDelay(&vidu.Task{}, time.Minute), "something was learned")
				}
			})
		})
	}
}

// A flood of callbacks for one task costs one query per second, whoever sends them and however it is waited for.
func TestWake_Flood(t *testing.T) {
	t.Parallel()
	for how, wake := range map[string]func(*vidu.Client, string){"genuine": (*vidu.Client).Wake, "unverified": (*vidu.Client).WakeUnverified} {
		for name, wait := range waitCalls {
			t.Run(how+" "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					client, p := scriptedClient(t, outage(time.Minute, saying(http.StatusOK, processingReply)))
					go pester(client, wake)
					require.NoError(t, wait(boundedContext(t), client, "1", vidu.WithPollInterval(time.Minute)))
					assert.InDelta(t, 23, len(p.at), 2)
					assert.LessOrEqual(t, p.at[1]-p.at[0], 50*time.Millisecond, "the first one counts at once")
				})
			})
		}
	}
}

// pester wakes task 1 every 10 ms for 20 seconds.
func pester(client *vidu.Client, wake func(*vidu.Client, string)) {
	for range 2000 {
		testkit.Pass(10 * time.Millisecond)
		wake(client, "1")
	}
}

// Callbacks do not override a server that asked for a pause.
func TestWake_AfterRetryAfter(t *testing.T) {
	t.Parallel()
	for name, wait := range waitCalls {
		for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
			t.Run(name+" "+strconv.Itoa(status), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					client, p := scriptedClient(t, func(r *http.Request, n int) (*http.Response, error) {
						if n > 0 {
							return testkit.Reply(r, http.StatusOK, succeededReply)
						}
						resp, err := testkit.Reply(r, status, "")
						resp.Header.Set("Retry-After", "40")
						return resp, err
					})
					go pester(client, (*vidu.Client).Wake)
					require.NoError(t, wait(boundedContext(t), client, "1", vidu.WithPollInterval(30*time.Second)))
					require.Len(t, p.at, 2)
					assert.GreaterOrEqual(t, p.at[1], 40*time.Second)
				})
			})
		}
	}
}

// After a query that failed a callback brings the next one forward, however the task is waited for.
func TestWake_AfterFailure(t *testing.T) {
	t.Parallel()
	for name, wait := range waitCalls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := scriptedClient(t, outage(time.Second, saying(http.StatusServiceUnavailable, "")))
				time.AfterFunc(10*time.Second, func() { client.Wake("1") })
				require.NoError(t, wait(boundedContext(t), client, "1", vidu.WithPollInterval(time.Hour)))
				assert.Equal(t, []time.Duration{0, 10 * time.Second}, p.at)
			})
		})
	}
}

// Polling relies on callbacks when three in a row have reported an end before a query did, and no longer when one was
// lost. Those of other tasks, and those that nobody verified, prove nothing.
func TestWake_ProvesThatCallbacksArrive(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		wake   func(client *vidu.Client, id string, n int)
		relies []bool // after each of five tasks
	}{
		"its own":    {func(client *vidu.Client, id string, _ int) { client.Wake(id) }, []bool{false, false, true, true, true}},
		"unverified": {func(client *vidu.Client, id string, _ int) { client.WakeUnverified(id) }, make([]bool, 5)},
		"another's":  {func(client *vidu.Client, _ string, _ int) { client.Wake("another") }, make([]bool, 5)},
		"none":       {func(*vidu.Client, string, int) {}, make([]bool, 5)},
		"the fourth is lost": {func(client *vidu.Client, id string, n int) {
			if n != 3 {
				client.Wake(id)
			}
		}, []bool{false, false, true, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeAPI(0, nil)
				client := f.client(t)
				for n, want := range tt.relies {
					id := f.newTask(t, client, time.Minute, true)
					time.AfterFunc(time.Minute, func() { tt.wake(client, id, n) })
					_, err := client.Wait(boundedContext(t), id, vidu.WithPollInterval(37*time.Second))
					require.NoError(t, err)
					next := f.newTask(t, client, time.Minute, true)
					assert.Equal(t, want, client.PollDelay(&vidu.Task{ID: next}, 10*time.Second) > 30*time.Second, "after %d", n)
				}
			})
		})
	}
}

// A genuine callback counts, though strangers call before and after it.
func TestWake_GenuineAmongStrangers(t *testing.T) {
	t.Parallel()
	for name, wait := range waitCalls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeAPI(0, nil)
				client := f.client(t)
				var id string
				for range 3 {
					id = f.newTask(t, client, time.Minute, true)
					time.AfterFunc(time.Minute-500*time.Millisecond, func() { client.WakeUnverified(id) })
					time.AfterFunc(time.Minute, func() { client.Wake(id) })
					time.AfterFunc(time.Minute+200*time.Millisecond, func() { client.WakeUnverified(id) })
					require.NoError(t, wait(boundedContext(t), client, id, vidu.WithPollInterval(time.Hour)))
				}
				assert.Greater(t, client.PollDelay(&vidu.Task{ID: id}, 10*time.Second), 30*time.Second)
			})
		})
	}
}

// A genuine callback counts, too, when it comes while its task is being asked for and the answer is older.
func TestWake_GenuineWhileBeingAskedFor(t *testing.T) {
	t.Parallel()
	for name, wait := range waitCalls {
		for how, calls := range map[string][]bool{
			"genuine": {true}, "unverified": {false}, "a stranger first": {false, true}, "a stranger last": {true, false},
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f := newFakeAPI(0, nil)
					f.latency = time.Second
					f.instead = func(r *http.Request) (int, string) {
						if r.Method == http.MethodGet && len(f.times())%2 == 1 {
							return http.StatusOK, processingReply // as it was when it was asked for
						}
						return 0, ""
					}
					client := f.client(t)
					var id string
					for range 3 {
						f.asked = nil
						id = f.newTask(t, client, 0, true)
						time.AfterFunc(500*time.Millisecond, func() {
							for _, genuine := range calls {
								map[bool]func(*vidu.Client, string){true: (*vidu.Client).Wake, false: (*vidu.Client).WakeUnverified}[genuine](client, id)
							}
						})
						require.NoError(t, wait(boundedContext(t), client, id, vidu.WithPollInterval(time.Hour)))
						assert.Len(t, f.times(), 2)
					}
					assert.Equal(t, slices.Contains(calls, true), client.PollDelay(&vidu.Task{ID: id}, 10*time.Second) > 30*time.Second)
				})
			})
		}
	}
}

// A callback wakes all who wait for its task, and nobody else.
func TestWake_AllWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, p := scriptedClient(t, outage(time.Minute, saying(http.StatusOK, processingReply)))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		var group sync.WaitGroup
		for _, wait := range waitCalls {
			group.Go(func() { assert.NoError(t, wait(ctx, client, "1", vidu.WithPollInterval(time.Hour))) })
		}
		group.Go(func() { assert.NoError(t, waitCalls["WaitAll"](ctx, client, "1", vidu.WithPollInterval(time.Hour))) }) // a second one
		group.Go(func() {
			_, err := client.Wait(ctx, "2", vidu.WithPollInterval(time.Hour))
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		})
		synctest.Wait()
		assert.Equal(t, 5, client.Waiting())
		testkit.Pass(time.Minute)
		client.Wake("1")
		group.Wait()
		assert.Len(t, p.at, 5+4)
		assert.Zero(t, client.Waiting())
	})
}

// While callbacks arrive, a task with a callback is hardly asked for; one whose callback is lost is still caught.
func TestWake_LostCallbackIsCaught(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(0, nil)
		client := f.client(t)
		f.sendCallbacks(t, client)
		id := f.newTask(t, client, 10*time.Minute, true)
		created := time.Since(f.started)
		_, err := client.Wait(boundedContext(t), id)
		require.NoError(t, err)
		assert.LessOrEqual(t, time.Since(f.started)-created, 15*time.Minute)
		last := created
		for _, at := range f.times() {
			assert.GreaterOrEqual(t, at-last, 54*time.Second, "a minute, less a tenth of jitter")
			last = at
		}
		assert.Less(t, len(f.times()), 10)
	})
}

// Waits come and go while callbacks arrive. It is a test for -race.
func TestWake_Concurrently(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
			return testkit.Reply(r, http.StatusOK, about(r, processingReply))
		}))
		var group sync.WaitGroup
		for n := range 30 {
			group.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(10+n)*time.Second)
				defer cancel()
				if n%2 == 0 {
					_, err := client.Wait(ctx, "1")
					assert.ErrorIs(t, err, context.DeadlineExceeded)
					return
				}
				for _, err := range client.WaitAll(ctx, []string{"3", "1", "2"}) {
					assert.ErrorIs(t, err, context.DeadlineExceeded)
				}
			})
			group.Go(func() {
				for i := range 40 {
					client.Wake([]string{"1", "2", "4"}[i%3])
					testkit.Pass(time.Second)
				}
			})
		}
		group.Wait()
		assert.Zero(t, client.Waiting())
	})
}

// A woken task comes before those that are overdue.
func TestWaitAll_WakeOvertakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(10_000, func(int) time.Duration { return 10 * time.Second })
		client := f.client(t)
		time.AfterFunc(10*time.Second, func() { client.Wake("9999") })
		for task, err := range client.WaitAll(boundedContext(t), numbered(10_000)) {
			require.NoError(t, err)
			if task.ID == "9999" {
				assert.LessOrEqual(t, time.Since(f.started), 10*time.Second+200*time.Millisecond)
				break
			}
		}
	})
}

// A flood of callbacks for some tasks, each of which may bring one query per second forward,
// does not keep the others waiting.
func TestWaitAll_FloodOfWakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const named = 40 // so that they could take up the whole rate
		f := newFakeAPI(100, func(n int) time.Duration {
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

// Each callback is worth one query.
func TestWaitAll_WokenOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(2, func(int) time.Duration { return 10 * time.Minute })
		client := f.client(t)
		time.AfterFunc(time.Minute, func() { client.Wake("0") })
		time.AfterFunc(2*time.Minute, func() { client.Wake("1") })
		collect(boundedContext(t), client, numbered(2), vidu.WithPollInterval(time.Hour))
		assert.Len(t, f.asked, 2+2+2)
	})
}

// Lists lack the progress, which then stays as it was.
func TestWaitAll_ListLacksTheProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(10, func(int) time.Duration { return time.Minute })
		var reported []float64
		progress := vidu.WithProgress(func(task *vidu.Task) {
			if task.ID == "3" {
				reported = append(reported, task.Progress)
			}
		})
		client := f.client(t, vidu.WithOfficialAPI())
		time.AfterFunc(12*time.Second, func() { client.Wake("3") }) // asked for alone, it says 40 %
		together := func(elapsed time.Duration) time.Duration { return 5*time.Second - elapsed%(5*time.Second) }
		collect(boundedContext(t), client, numbered(10), progress, vidu.WithPollSchedule(together))
		assert.Equal(t, []float64{0, 40, 0}, reported)
		lists, _ := f.lists()
		assert.Contains(t, lists[len(lists)-1].ids, "3")
	})
}

// A new task may be unknown for a while, but not for ever.
func TestWait_NotFound(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer replyFunc
		from   time.Duration
	}{
		"never found":           {turning(0, nil, saying(404, "")), time.Minute},
		"400 task_not_exist":    {turning(0, nil, saying(400, `{"code":"task_not_exist"}`)), time.Minute},
		"200 and code 404":      {turning(0, nil, saying(200, `{"success":false,"code":404}`)), time.Minute},
		"200 TaskNotFound":      {seenFirst(turning(0, nil, saying(200, `{"reason":"TaskNotFound"}`))), time.Minute},
		"found, then gone":      {seenFirst(turning(0, nil, saying(404, ""))), time.Minute},
		"found for two minutes": {turning(2*time.Minute, saying(200, processingReply), saying(404, "")), 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := scriptedClient(t, tt.answer)
				_, err := client.Wait(boundedContext(t), "1")
				require.True(t, errors.Is(err, vidu.ErrNotFound) || errors.Is(err, vidu.ErrTaskNotFound), "%v", err)
				assert.GreaterOrEqual(t, time.Since(p.started), tt.from)
				assert.Less(t, time.Since(p.started), tt.from+15*time.Second)
			})
		})
	}
}

// What Wait rides out at first and in passing, WaitAll does, also where it asks for lists.
func TestWaitAll_NoSuchTaskYetAndStrayPages(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		from, to time.Duration
		status   int
		body     string
		says     string // the error of each task; "" for none
	}{
		"400 task_not_exist at first":   {0, 50 * time.Second, 400, `{"code":"task_not_exist"}`, ""},
		"400 TaskNotFound at first":     {0, 50 * time.Second, 400, `{"reason":"TaskNotFound"}`, ""},
		"200 and code 404 at first":     {0, 50 * time.Second, 200, `{"success":false,"code":404}`, ""},
		"400 task_not_exist for ever":   {0, time.Hour, 400, `{"code":"task_not_exist"}`, "task_not_exist"},
		"200 and code 404 for ever":     {0, time.Hour, 200, `{"success":false,"code":404}`, "HTTP 200 NotFound"},
		"403 page for a while":          {2 * time.Minute, 2*time.Minute + 20*time.Second, 403, "<html>", ""},
		"302 for a while":               {2 * time.Minute, 2*time.Minute + 20*time.Second, 302, "", ""},
		"403 page for ever":             {2 * time.Minute, time.Hour, 403, "<html>", "web page"},
		"403 in JSON for a while":       {2 * time.Minute, 3 * time.Minute, 403, `{"reason":"Forbidden"}`, "Forbidden"},
		"403 page from the first query": {0, time.Hour, 403, "<html>", "web page"},
	} {
		for _, opts := range [][]vidu.Option{nil, {vidu.WithOfficialAPI()}} {
			t.Run(fmt.Sprint(name, len(opts)), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f := newFakeAPI(20, func(int) time.Duration { return 4 * time.Minute })
					f.instead = func(*http.Request) (int, string) {
						if since := time.Since(f.started); since < tt.from || since >= tt.to {
							return 0, ""
						}
						return tt.status, tt.body
					}
					all := collect(boundedContext(t), f.client(t, opts...), numbered(20))
					require.Len(t, all, 20)
					for _, o := range all {
						if tt.says == "" {
							require.NoError(t, o.err)
							continue
						}
						require.ErrorContains(t, o.err, tt.says)
						testkit.AssertHarmless(t, o.err)
					}
				})
			})
		}
	}
}

// A callback for a task that a list in flight asks for counts for the query that follows the list.
func TestWaitAll_WokenInAList(t *testing.T) {
	t.Parallel()
	for name, list := range map[string]func() (int, string){
		"the list reports the end": func() (int, string) { return 0, "" },
		"the list is refused":      func() (int, string) { return http.StatusNotFound, "404 page not found" },
	} {
		for genuine, wake := range map[bool]func(*vidu.Client, string){true: (*vidu.Client).Wake, false: (*vidu.Client).WakeUnverified} {
			t.Run(fmt.Sprint(name, " ", genuine), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f := newFakeAPI(0, nil)
					client := f.client(t, vidu.WithOfficialAPI())
					var ids []string
					for range 10 {
						ids = append(ids, f.newTask(t, client, time.Minute, true))
					}
					f.latency = 2 * time.Second
					f.instead = func(r *http.Request) (int, string) {
						if isListQuery(r) {
							return list()
						}
						return 0, ""
					}
					testkit.Pass(59 * time.Second) // the last of them was created a second after the first
					time.AfterFunc(1500*time.Millisecond, func() {
						for _, id := range ids {
							wake(client, id)
						}
					})
					for _, o := range collect(boundedContext(t), client, ids, vidu.WithPollInterval(time.Hour)) {
						require.NoError(t, o.err)
						assert.Less(t, o.at, time.Minute)
					}
					lists, singles := f.lists()
					assert.Len(t, lists, 1)
					assert.Len(t, singles, len(ids), "each once")
					next := f.newTask(t, client, time.Minute, true)
					assert.Equal(t, genuine, client.PollDelay(&vidu.Task{ID: next}, 10*time.Second) > 30*time.Second)
				})
			})
		}
	}
}

// A task that this client has just created is not asked for at once when it is known that such tasks take longer.
func TestWaitAll_FirstAnswerIsTheCreates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(0, nil)
		client := f.client(t)
		f.teach(t, client)
		f.ends["older"] = time.Since(f.started) + 30*time.Second
		id := f.newTask(t, client, 30*time.Second, false)
		created := time.Since(f.started)
		var reported []string
		all := collect(boundedContext(t), client, []string{id, "older"}, vidu.WithProgress(func(task *vidu.Task) {
			reported = append(reported, fmt.Sprint(task.ID, " ", task.State))
		}))
		assert.Len(t, all, 2)
		assert.Equal(t, []string{id + " created", "older processing"}, reported[:2])
		for _, q := range f.asked {
			if q.ids[0] == id {
				assert.GreaterOrEqual(t, q.at-created, 15*time.Second)
			}
		}
	})
}

// What is learned is when an answer came, not when a busy caller made room for it.
func TestWaitAll_LearnsWhenAnswered(t *testing.T) {
	t.Parallel()
	learned := func(t *testing.T, busy time.Duration) (delay time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			f := newFakeAPI(0, nil)
			client := f.client(t)
			client.SetJitter(noJitter)
			ids := []string{f.newTask(t, client, 20*time.Second, false), f.newTask(t, client, 20*time.Second, false)}
			for _, err := range client.WaitAll(boundedContext(t), ids, vidu.WithPollInterval(5*time.Second), vidu.WithMaxPollRate(1000)) {
				require.NoError(t, err)
				testkit.Pass(busy)
			}
			delay = client.PollDelay(&vidu.Task{}, 10*time.Second)
		})
		return delay
	}
	assert.Equal(t, learned(t, 0), learned(t, 20*time.Second))
}

// Words of gateways for the end, in every way to learn of it. The task of the query is "1".
func TestEnd_OtherWords(t *testing.T) {
	t.Parallel()
	for state, succeeded := range map[string]bool{
		"succeeded": true, "completed": true, "FINISHED": true, "done": true, "success ": true, "archived": true,
		"error": false, "fail": false, "Expired": false, "timeout": false, "REJECTED": false, "cancelled": false,
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			body := `{"id":"1","state":"` + state + `","err_code":"","creations":[` + map[bool]string{true: `{"url":"https://h/x.mp4"}`}[succeeded] + `]}`
			for name, wait := range waitCalls {
				synctest.Test(t, func(t *testing.T) {
					client, p := scriptedClient(t, replyScript(body))
					err := wait(boundedContext(t), client, "1")
					_, failed := errors.AsType[*vidu.TaskError](err)
					assert.Equal(t, !succeeded && name != "Watch", failed, "%s: %v", name, err)
					assert.Equal(t, failed, err != nil, "%s: %v", name, err)
					assert.Len(t, p.at, 1, name)
				})
			}
			rc := receive(t, callbackSecret)
			rc.answer = func(string) (int, string) { return http.StatusOK, body }
			assert.Equal(t, http.StatusOK, rc.deliver(t, callback("1", `{"id":"1"}`)))
			require.Len(t, rc.reported, 1)
			assert.Equal(t, succeeded, rc.reported[0].State == vidu.StateSuccess)

			server, _ := fileServer(t, nil)
			task := finishedTask(server.URL + "/v?a")
			task.State = vidu.State(state)
			n, err := newClient(t, server.URL).Download(t.Context(), task, io.Discard)
			assert.Equal(t, succeeded && state != "archived", err == nil, "of a task made by hand: %v", err)
			assert.Equal(t, err == nil, n > 0)
		})
	}
}

// A failure that only "status" tells, with a word that may be the query's, counts when it is seen twice in a row.
func TestWait_FailureOfTheQuery(t *testing.T) {
	t.Parallel()
	const unsure, other = `{"id":"1","status":"error","message":"upstream busy"}`, `{"id":"1","status":"timeout"}`
	for name, tt := range map[string]struct {
		bodies []string
		polls  int
		failed bool
	}{
		"once":                  {[]string{unsure, succeededReply}, 2, false},
		"twice, not in a row":   {[]string{unsure, processingReply, unsure, succeededReply}, 4, false},
		"twice, a page between": {[]string{unsure, "<html>", unsure, succeededReply}, 4, false},
		"twice":                 {[]string{processingReply, unsure, unsure, succeededReply}, 3, true},
		"two words":             {[]string{unsure, other}, 2, true},
		"as the state":          {[]string{`{"id":"1","state":"error"}`, succeededReply}, 1, true},
		"a word of old":         {[]string{`{"id":"1","status":"FAILED"}`, succeededReply}, 1, true},
		"with a code":           {[]string{`{"id":"1","status":"error","err_code":"AuditFailed"}`, succeededReply}, 1, true},
		"with a code elsewhere": {[]string{`{"id":"1","status":"error","error":{"code":"AuditFailed"}}`, succeededReply}, 1, true},
		"with a mere number":    {[]string{`{"id":"1","status":"error","code":500}`, succeededReply}, 2, false},
		"canceled":              {[]string{`{"id":"1","status":"cancelled"}`, succeededReply}, 1, true},
		"without an id":         {[]string{`{"status":"error"}`, succeededReply}, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for call, wait := range waitCalls {
				synctest.Test(t, func(t *testing.T) {
					client, p := scriptedClient(t, replyScript(tt.bodies...))
					var seen []vidu.State
					err := wait(boundedContext(t), client, "1", vidu.WithProgress(func(task *vidu.Task) { seen = append(seen, task.State) }))
					failure, failed := errors.AsType[*vidu.TaskError](err)
					assert.Equal(t, tt.failed && call != "Watch", failed, "%s: %v", call, err)
					assert.Equal(t, failed, err != nil, "%s: %v", call, err)
					assert.Len(t, p.at, tt.polls, call)
					if failed {
						assert.True(t, failure.Task.Done())
					}
					assert.Equal(t, tt.failed, seen[len(seen)-1] != vidu.StateSuccess, "%s: %v", call, seen)
				})
			}
		})
	}
	t.Run("GetTask", func(t *testing.T) {
		t.Parallel()
		task, err := queryFrom(t, unsure)
		require.NoError(t, err)
		assert.True(t, task.Done())
		assert.Equal(t, []string{`the status "error" may be about the query`}, task.Warnings)
	})
	t.Run("callback", func(t *testing.T) {
		t.Parallel()
		for name, tt := range map[string]struct {
			bodies []string
			want   []vidu.State
		}{"once": {[]string{unsure, doneReply}, []vidu.State{vidu.StateSuccess}}, "twice": {[]string{unsure, unsure}, []vidu.State{vidu.StateFailed}}} {
			rc := receive(t, callbackSecret)
			rc.answer = func(string) (int, string) { return http.StatusOK, tt.bodies[len(rc.queried)-1] }
			assert.Equal(t, http.StatusOK, rc.deliver(t, callback("1", `{"id":"7"}`)), name)
			require.Len(t, rc.reported, 1)
			assert.Equal(t, tt.want[0], rc.reported[0].State, name)
			assert.Len(t, rc.queried, 2)
		}
	})
	t.Run("as the reply to a create", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			client, p := scriptedClient(t, replyScript(`{"task_id":"1","status":"error"}`, succeededReply))
			task, err := client.Reference2Video(t.Context(), smallRequest())
			require.NoError(t, err)
			_, err = client.Wait(t.Context(), task.ID)
			require.NoError(t, err)
			assert.Len(t, p.at, 2)
		})
	})
}

// Shortly before a deadline each task is asked for once more, as far as the rate allows.
func TestWaitAll_LastLook(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		tasks    int
		rate     float64
		deadline time.Duration // 0: cancelled after a minute
		found    int
		queries  int
	}{
		"one task":         {1, 10, time.Minute, 1, 2},
		"many":             {50, 10, time.Minute, 50, 100},
		"too many":         {200, 10, time.Minute, 99, 300},
		"the rate is slow": {30, 1, time.Minute, 16, 40},
		"the slowest rate": {1, 1e-300, time.Minute, 0, 1},
		"the highest rate": {100, 1e300, time.Minute, 100, 200},
		"a short wait":     {10, 1000, 3 * time.Second, 10, 20},
		"too short":        {10, 1000, 1800 * time.Millisecond, 0, 10},
		"no deadline":      {10, 10, 0, 0, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				end := cmp.Or(tt.deadline, time.Minute)
				f := newFakeAPI(tt.tasks, func(int) time.Duration { return end * 2 / 5 })
				ctx, cancel := context.WithCancel(t.Context())
				if tt.deadline > 0 {
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
				}
				defer cancel()
				time.AfterFunc(end, cancel)
				client := f.client(t)
				done := 0
				for _, o := range collect(ctx, client, numbered(tt.tasks), vidu.WithPollInterval(time.Hour), vidu.WithMaxPollRate(tt.rate)) {
					if o.err == nil {
						done++
					}
				}
				assert.InDelta(t, tt.found, done, 1)
				assert.InDelta(t, tt.queries, len(f.asked), 1)
			})
		})
	}
}

// What the server wants is kept until the end.
func TestWaitAll_LastLookKeepsRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(2, func(int) time.Duration { return time.Hour })
		f.instead = func(r *http.Request) (int, string) {
			if time.Since(f.started) < time.Minute && path.Base(path.Dir(r.URL.Path)) == "1" {
				return http.StatusServiceUnavailable, ""
			}
			return 0, ""
		}
		f.header = http.Header{"Retry-After": {"59"}}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
		defer cancel()
		collect(ctx, f.client(t), numbered(2), vidu.WithPollInterval(time.Hour))
		var ids []string
		for _, q := range f.asked {
			ids = append(ids, q.ids...)
		}
		assert.Equal(t, []string{"0", "1", "0"}, ids)
	})
}
