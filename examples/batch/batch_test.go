package main

import (
	"context"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

// TestInterrupted has four creates in flight when the run is interrupted: they are paid, so their ids are recorded.
func TestInterrupted(t *testing.T) { //nolint:paralleltest // the environment is shared
	tests := map[string]struct {
		ctrlC bool
		args  []string
	}{
		"Ctrl-C":  {ctrlC: true},
		"timeout": {args: []string{"-timeout", "1s"}},
	}
	for name, tt := range tests { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "1\n2\n3\n4\n5\n6\n")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var arrived sync.WaitGroup
			arrived.Add(4)
			l.front(t, func(w http.ResponseWriter, r *http.Request) {
				if isCreate(r) && ctx.Err() == nil {
					arrived.Done()
					arrived.Wait()
					l.server.Delay(1500 * time.Millisecond) // until after the end
					if tt.ctrlC {
						cancel()
					}
				}
				l.server.ServeHTTP(w, r)
			})
			code, said := l.runUntil(ctx, t, append(tt.args, "-creates", "4")...)
			assert.Equal(t, exitMayExist, code, said)
			assert.Equal(t, 4, l.server.Charged(), "no more are begun")
			assert.Equal(t, 4, strings.Count(l.results(t), `"state":"created"`), "each answer is on record")
			assert.Contains(t, said, "Stopping when the creates in flight are answered")
			assert.Contains(t, said, "4 unfinished, 0 unknown, 2 not begun")
			assert.Regexp(t, `line 4: task \d+ exists`, said)

			cancel() // nothing is delayed any more
			code, said = l.run(t, "-tasks", "1")
			assert.Equal(t, exitDone, code, said)
			assert.Equal(t, 6, l.server.Charged())
			assert.Equal(t, 6, l.videos(t))
		})
	}
}

// TestRefills keeps the first of two tasks going until a third was created.
func TestRefills(t *testing.T) { //nolint:paralleltest // as above
	l := newLab(t, "1\n2\n3\n")
	third := make(chan struct{})
	var first atomic.Pointer[string]
	l.front(t, func(w http.ResponseWriter, r *http.Request) {
		if !isCreate(r) && strings.Contains(r.URL.Path, "/tasks/") {
			first.CompareAndSwap(nil, &r.URL.Path)
			if *first.Load() == r.URL.Path {
				select {
				case <-third:
				case <-time.After(5 * time.Second):
					assert.Fail(t, "a slow task delays the rest")
				}
			}
		}
		l.server.ServeHTTP(w, r)
		if isCreate(r) && l.server.Charged() == 3 {
			close(third)
		}
	})
	code, said := l.run(t, "-tasks", "2")
	assert.Equal(t, exitDone, code, said)
}

// TestTasksAtATime has a server that would refuse a third task.
func TestTasksAtATime(t *testing.T) { //nolint:paralleltest // as above
	l := newLab(t, "1\n2\n3\n4\n5\n", vidutest.WithTaskLimit(2), vidutest.WithTiming(0, 150*time.Millisecond))
	code, said := l.runOnce(t, "-creates", "4", "-tasks", "2")
	require.Equal(t, exitDone, code, said)
	assert.Equal(t, 5, l.server.Charged())
	assert.NotContains(t, l.results(t), "refused")
	l.nothingForgotten(t)
}

// TestFull has a server that accepts two tasks at a time: the others wait for their turn.
func TestFull(t *testing.T) { //nolint:paralleltest // as above
	l := newLab(t, "1\n2\n3\n4\n", vidutest.WithTaskLimit(2), vidutest.WithTiming(0, 1500*time.Millisecond)) // the disk may be slow
	code, said := l.runOnce(t)
	require.Equal(t, exitDone, code, said)
	assert.Equal(t, 4, l.server.Charged())
	assert.Contains(t, l.results(t), "QuotaExceeded", "the third was refused at first")
	l.nothingForgotten(t)
}

// TestFullOfOthers has a server that is full of other tasks.
func TestFullOfOthers(t *testing.T) { //nolint:paralleltest // as above
	l := newLab(t, "1\n2\n", vidutest.WithTaskLimit(1), vidutest.WithTiming(0, time.Hour))
	client, err := vidu.NewClientFromEnv()
	require.NoError(t, err)
	_, err = client.Reference2Video(t.Context(), sample("elsewhere"))
	require.NoError(t, err)
	code, said := l.runOnce(t)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, said, "the server accepts no more at present")
	assert.Contains(t, said, "2 not begun")
	assert.Equal(t, 1, strings.Count(l.results(t), "QuotaExceeded"), "one is refused, and the others are not sent")
}

func sample(payload string) *vidu.Reference2VideoRequest {
	return &vidu.Reference2VideoRequest{
		Model: vidu.ModelQ2Pro, Images: []vidu.Media{vidu.URL(sampleImage)}, Prompt: "one", Payload: payload,
	}
}

// TestMayCreate refuses a create during which a task ended: the server may accept more by now.
func TestMayCreate(t *testing.T) {
	t.Parallel()
	b := newBatch(&config{creates: 1, tasks: 9}, nil, nil, &results{}, nil)
	b.ended = 1
	b.afterCreate(t.Context(), &job{begun: 0})
	assert.True(t, b.mayCreate(t.Context()))
	b.afterCreate(t.Context(), &job{begun: 1})
	assert.False(t, b.mayCreate(t.Context()))
	b.ended++
	assert.True(t, b.mayCreate(t.Context()))
	b.results.broken = os.ErrClosed
	assert.False(t, b.mayCreate(t.Context()), "what cannot be recorded")
}

// TestDownloadsAtATime has four tasks that are done at once.
func TestDownloadsAtATime(t *testing.T) { //nolint:paralleltest // as above
	l := newLab(t, "1\n2\n3\n4\n")
	var mu sync.Mutex
	now, most := 0, 0
	count := func(change int) int {
		mu.Lock()
		defer mu.Unlock()
		now += change
		most = max(most, now)
		return most
	}
	l.front(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/vidu/v2/") { // a result link
			count(+1)
			<-time.After(100 * time.Millisecond) // a slow one, so that they overlap
			count(-1)
		}
		l.server.ServeHTTP(w, r)
	})
	code, said := l.run(t, "-creates", "2")
	assert.Equal(t, exitDone, code, said)
	assert.Equal(t, 2, count(0))
}
