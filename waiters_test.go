package vidu_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
)

// A wake-up has Wait, Watch and WaitAll ask at once.
func TestWake_AsksAtOnce(t *testing.T) {
	t.Parallel()
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := polled(t, outage(7*time.Minute, saying(http.StatusOK, processing)))
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

// waits are the ways to wait for task 1.
var waits = map[string]func(ctx context.Context, client *vidu.Client, opts ...vidu.WaitOption) error{
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
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := polled(t, func(r *http.Request, n int) (*http.Response, error) {
					time.Sleep(time.Second) //nolint:forbidigo // in virtual time
					return reply(r, http.StatusOK, []string{processing, processing, succeeded}[n])
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
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, _ := polled(t, outage(20*time.Minute, saying(http.StatusOK, processing)))
				client.Pacer().Remember(&vidu.Task{ID: "1"}, true)
				at, _ := client.Pacer().Begin("1")
				time.AfterFunc(20*time.Minute, func() { client.Wake("1") })
				require.NoError(t, wait(t.Context(), client, vidu.WithPollInterval(time.Hour)))
				_, _, learned, _ := client.Pacer().Learned(&at)
				assert.Equal(t, 1, learned)
			})
		})
	}
}

// A callback wakes all who wait for its task, and nobody else.
func TestWake_AllWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, p := polled(t, outage(time.Minute, saying(http.StatusOK, processing)))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		var group sync.WaitGroup
		for _, wait := range waits {
			group.Go(func() { assert.NoError(t, wait(ctx, client, vidu.WithPollInterval(time.Hour))) })
		}
		group.Go(func() {
			_, err := client.Wait(ctx, "2", vidu.WithPollInterval(time.Hour))
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		})
		synctest.Wait()
		assert.Equal(t, 4, client.Waiting())
		pass(time.Minute)
		client.Wake("1")
		group.Wait()
		assert.Len(t, p.at, 4+3)
		assert.Zero(t, client.Waiting())
	})
}

// While callbacks arrive, a task with a callback is hardly asked for; one whose callback is lost is still caught.
func TestWake_LostCallbackIsCaught(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		created := `{"task_id":"1","state":"created","model":"viduq2-pro"}`
		client, p := polled(t, func(r *http.Request, n int) (*http.Response, error) {
			if r.Method == http.MethodPost {
				return reply(r, http.StatusOK, created)
			}
			return reply(r, http.StatusOK, []string{processing, processing, processing, succeeded}[n])
		})
		client.Wake("an earlier one")
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
		client := dial(t, "https://gateway.example.com", through(func(r *http.Request) (*http.Response, error) {
			return reply(r, http.StatusOK, processing)
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
					pass(time.Second)
				}
			})
		}
		group.Wait()
		assert.Zero(t, client.Waiting())
	})
}
