package vidu_test

import (
	"context"
	"math"
	"net/http"
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

// A wake-up has Wait, Watch and WaitAll ask at once.
func TestWake_AsksAtOnce(t *testing.T) {
	t.Parallel()
	for name, wait := range waitCalls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := scriptedClient(t, outage(7*time.Minute, saying(http.StatusOK, processingReply)))
				time.AfterFunc(7*time.Minute, func() { client.Wake("1") })
				time.AfterFunc(8*time.Minute, func() { client.Wake("another") })
				require.NoError(t, wait(t.Context(), client, vidu.WithPollInterval(time.Hour)))
				assert.Equal(t, []time.Duration{0, 7 * time.Minute}, p.at)
				assert.Zero(t, client.Waiting())
				client.Wake("1") // nobody waits any more
			})
		})
	}
}

// waitCalls are the ways to wait for task 1.
var waitCalls = map[string]func(ctx context.Context, client *vidu.Client, opts ...vidu.WaitOption) error{
	"Wait": func(ctx context.Context, client *vidu.Client, opts ...vidu.WaitOption) error {
		_, err := client.Wait(ctx, "1", opts...)
		return err
	},
	"Watch": func(ctx context.Context, client *vidu.Client, opts ...vidu.WaitOption) error {
		for _, err := range client.Watch(ctx, "1", opts...) {
			if err != nil {
				return err
			}
		}
		return nil
	},
	"WaitAll": func(ctx context.Context, client *vidu.Client, opts ...vidu.WaitOption) error {
		for _, err := range client.WaitAll(ctx, []string{"0", "1", "2"}[1:2], opts...) {
			if err != nil {
				return err
			}
		}
		return nil
	},
}

// A callback that comes while its task is being asked for is not lost: the answer may be older. Many are as good as one.
func TestWake_WhileBeingAskedFor(t *testing.T) {
	t.Parallel()
	for name, wait := range waitCalls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := scriptedClient(t, func(r *http.Request, n int) (*http.Response, error) {
					time.Sleep(time.Second) //nolint:forbidigo // in virtual time
					return testkit.Reply(r, http.StatusOK, []string{processingReply, processingReply, succeededReply}[n])
				})
				for range 100 {
					time.AfterFunc(500*time.Millisecond, func() { client.Wake("1") })
				}
				time.AfterFunc(time.Minute, func() { client.Wake("1") })
				require.NoError(t, wait(t.Context(), client, vidu.WithPollInterval(time.Hour)))
				assert.Equal(t, []time.Duration{0, time.Second, time.Minute}, p.at)
			})
		})
	}
}

// A callback tells when a task ended better than any query.
func TestWake_TeachesTheMoment(t *testing.T) {
	t.Parallel()
	for name, wait := range waitCalls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, _ := scriptedClient(t, outage(20*time.Minute, saying(http.StatusOK, processingReply)))
				client.SetJitter(func() float64 { return 0.5 })
				client.Remember(&vidu.Task{ID: "1"}, true)
				before := client.PollDelay(&vidu.Task{}, time.Minute)
				time.AfterFunc(20*time.Minute, func() { client.Wake("1") })
				require.NoError(t, wait(t.Context(), client, vidu.WithPollInterval(time.Hour)))
				assert.NotEqual(t, before, client.PollDelay(&vidu.Task{}, time.Minute))
			})
		})
	}
}

// A flood of callbacks for one task costs a query a second, whoever sends them and however it is waited for.
func TestWake_Flood(t *testing.T) {
	t.Parallel()
	for how, wake := range map[string]func(*vidu.Client, string){"genuine": (*vidu.Client).Wake, "unverified": (*vidu.Client).WakeUnverified} {
		for name, wait := range waitCalls {
			t.Run(how+" "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					client, p := scriptedClient(t, outage(time.Minute, saying(http.StatusOK, processingReply)))
					go pester(client, wake)
					require.NoError(t, wait(t.Context(), client, vidu.WithPollInterval(time.Minute)))
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
					require.NoError(t, wait(t.Context(), client, vidu.WithPollInterval(30*time.Second)))
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
				require.NoError(t, wait(t.Context(), client, vidu.WithPollInterval(time.Hour)))
				assert.Equal(t, []time.Duration{0, 10 * time.Second}, p.at)
			})
		})
	}
}

// Polling relies on callbacks when three in a row have told of an end first, and no longer when one was lost. Those of
// other tasks, and those that nobody verified, prove nothing.
func TestWake_ProvesThatCallbacksArrive(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		wake   func(client *vidu.Client, id string)
		relies []bool // after each of five tasks
	}{
		"its own":       {(*vidu.Client).Wake, []bool{false, false, true, true, true}},
		"unverified":    {(*vidu.Client).WakeUnverified, make([]bool, 5)},
		"another's":     {func(client *vidu.Client, _ string) { client.Wake("another") }, make([]bool, 5)},
		"none":          {func(*vidu.Client, string) {}, make([]bool, 5)},
		"the fourth no": {func(client *vidu.Client, id string) { client.Wake(map[bool]string{true: id, false: "x"}[id != "3"]) }, []bool{false, false, true, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var ends time.Time
				client, _ := scriptedClient(t, func(r *http.Request, _ int) (*http.Response, error) {
					return testkit.Reply(r, http.StatusOK, map[bool]string{true: succeededReply, false: processingReply}[!time.Now().Before(ends)])
				})
				for n, want := range tt.relies {
					id := strconv.Itoa(n)
					client.Remember(&vidu.Task{ID: id}, true)
					ends = time.Now().Add(time.Minute)
					time.AfterFunc(time.Minute, func() { tt.wake(client, id) })
					_, err := client.Wait(t.Context(), id, vidu.WithPollInterval(37*time.Second))
					require.NoError(t, err)
					client.Remember(&vidu.Task{ID: "next"}, true)
					assert.Equal(t, want, client.PollDelay(&vidu.Task{ID: "next"}, 10*time.Second) > 30*time.Second, "after %d", n)
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
				var ends time.Time
				client, _ := scriptedClient(t, func(r *http.Request, _ int) (*http.Response, error) {
					return testkit.Reply(r, http.StatusOK, map[bool]string{true: succeededReply, false: processingReply}[!time.Now().Before(ends)])
				})
				for range 3 {
					client.Remember(&vidu.Task{ID: "1"}, true)
					ends = time.Now().Add(time.Minute)
					time.AfterFunc(time.Minute-500*time.Millisecond, func() { client.WakeUnverified("1") })
					time.AfterFunc(time.Minute, func() { client.Wake("1") })
					time.AfterFunc(time.Minute+200*time.Millisecond, func() { client.WakeUnverified("1") })
					require.NoError(t, wait(t.Context(), client, vidu.WithPollInterval(time.Hour)))
				}
				assert.Greater(t, client.PollDelay(&vidu.Task{ID: "1"}, 10*time.Second), 30*time.Second)
			})
		})
	}
}

// The reply to a create is no answer any more once the server has said more, by whatever question.
func TestWait_FirstAnswerIsOutOfDate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, p := scriptedClient(t, replyScript(processingReply, succeededReply))
		client.Teach(20, 30*time.Second)
		client.Remember(&vidu.Task{ID: "1", State: vidu.StateCreated}, false)
		_, err := client.GetTask(t.Context(), "1")
		require.NoError(t, err)
		for task, err := range client.Watch(t.Context(), "1") {
			require.NoError(t, err)
			assert.Equal(t, vidu.StateSuccess, task.State)
		}
		assert.Len(t, p.at, 2)
		assert.Equal(t, p.at[0], p.at[1], "asked at once")
	})
}

// Who has a schedule of his own wants to ask at once.
func TestWait_OwnScheduleAsksAtOnce(t *testing.T) {
	t.Parallel()
	for name, wait := range waitCalls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := scriptedClient(t, replyScript(succeededReply))
				client.Teach(20, 30*time.Second)
				client.Remember(&vidu.Task{ID: "1", State: vidu.StateCreated}, false)
				began := time.Since(p.started)
				require.NoError(t, wait(t.Context(), client, vidu.WithPollInterval(10*time.Minute)))
				assert.Equal(t, []time.Duration{began}, p.at)
			})
		})
	}
}

// However many wait for a task, its duration is learned once.
func TestWait_LearnsEachTaskOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, _ := scriptedClient(t, outage(40*time.Second, saying(http.StatusOK, processingReply)))
		client.SetJitter(func() float64 { return 0.5 })
		client.Remember(&vidu.Task{ID: "1"}, false)
		delays := []time.Duration{client.PollDelay(&vidu.Task{}, time.Minute)}
		for range 4 {
			_, err := client.Wait(t.Context(), "1")
			require.NoError(t, err)
			delays = append(delays, client.PollDelay(&vidu.Task{}, time.Minute))
		}
		assert.Len(t, slices.Compact(delays), 2)
	})
}

// A pause that is as long as it gets is no pause that has passed.
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
				require.Error(t, wait(ctx, client, vidu.WithPollInterval(math.MaxInt64)))
				assert.Len(t, p.at, 1)
			})
		})
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
			group.Go(func() { assert.NoError(t, wait(ctx, client, vidu.WithPollInterval(time.Hour))) })
		}
		group.Go(func() { assert.NoError(t, waitCalls["WaitAll"](ctx, client, vidu.WithPollInterval(time.Hour))) }) // a second one
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
		created := `{"task_id":"1","state":"created","model":"viduq2-pro"}`
		client, p := scriptedClient(t, func(r *http.Request, n int) (*http.Response, error) {
			if r.Method == http.MethodPost {
				return testkit.Reply(r, http.StatusOK, created)
			}
			return testkit.Reply(r, http.StatusOK, []string{processingReply, processingReply, processingReply, succeededReply}[n])
		})
		client.RelyOnCallbacks()
		req := smallRequest()
		req.CallbackURL = "https://example.com/callback"
		task, err := client.Reference2Video(t.Context(), req)
		require.NoError(t, err)
		_, err = client.Wait(t.Context(), task.ID)
		require.NoError(t, err)
		assert.Len(t, p.at, 4) // the create, at once, after the longest time that it might take, and once more
		assert.GreaterOrEqual(t, p.at[2]-p.at[1], time.Minute)
		assert.LessOrEqual(t, p.at[3], 15*time.Minute)
	})
}

// Waits come and go while callbacks arrive. It is a test for -race.
func TestWake_Concurrently(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
			return testkit.Reply(r, http.StatusOK, processingReply)
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
