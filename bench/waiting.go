package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/replicate/replicate-go"

	"github.com/vidu-go/vidu"
)

const (
	waitingTable = "waiting"

	waitAllLists  = ours + ", WaitAll, official API"
	waitAll       = ours + ", WaitAll, gateway"
	replicateWait = "replicate-go, Wait each"
	hcloudWait    = "hcloud-go, WaitFor each"
	hcloudWaitAll = "hcloud-go, one WaitFor for all"

	bytesPerTask = "bytes per task"
	goroutines   = "goroutines for all"

	queriesAtOnce = 16  // of one WaitAll
	tasksPerList  = 100 // of one query, where the server has lists
)

// processing is a transport to a server on which every task is being processed. It counts the queried tasks, and does
// not answer the last of them.
type processing struct {
	from                  int64 // tasks that are answered
	asked, under, stalled atomic.Int64
}

func (c *processing) RoundTrip(r *http.Request) (*http.Response, error) {
	c.under.Add(1)
	defer c.under.Add(-1)
	query := r.URL.Query()
	list := append(query["task_ids"], query["id"]...)
	if n := int64(max(1, len(list))); c.asked.Add(n)-n >= c.from {
		c.stalled.Add(1)
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	switch {
	case query.Has("task_ids"):
		return reply(r, listOf("tasks", list, `{"id":"%","state":"processing","model":"`+model+`"}`)), nil
	case query.Has("id"):
		return reply(r, listOf("actions", list, `{"id":%,"status":"running","progress":0}`)), nil
	}
	return reply(r, answer(r, 0)), nil // a poll
}

func listOf(name string, ids []string, form string) []byte {
	before, after, _ := strings.Cut(form, "%")
	var b strings.Builder
	b.WriteString(`{"` + name + `":[`)
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(before + id + after)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

// until waits until done returns true.
func until(ctx context.Context, done func() bool) error {
	for range 30_000 {
		if done() {
			return nil
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("not every task was queried within a minute")
}

// waiter is a way to wait for tasks. watch returns when its context ends.
type waiter struct {
	watch func(ctx context.Context) error
	stuck int // tasks whose first query is still in flight when it is measured
}

// costOfWaiting is the job of a process that waits for many tasks. It returns the footprint after one query for each.
func costOfWaiting(ctx context.Context, e childJob) (any, error) {
	transport := new(processing)
	ids := make([]string, e.Count)
	for i := range ids {
		ids[i] = strconv.Itoa(885482446060000000 + i*7919) // 18 digits each, as the API's
	}
	v, err := newWaiter(e, &http.Client{Transport: transport}, ids)
	if err != nil {
		return nil, err
	}
	transport.from = int64(max(0, e.Count-v.stuck))
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	before := currentFootprint()
	ended := make(chan error, 1)
	go func() { ended <- v.watch(ctx) }()
	err = until(ctx, func() bool {
		return transport.asked.Load() >= int64(e.Count) && transport.under.Load() == transport.stalled.Load()
	})
	if err == nil {
		err = pause(ctx, 100*time.Millisecond) // until the last answers are processed
	}
	after := currentFootprint()
	runtime.KeepAlive(ids)
	runtime.KeepAlive(v) // the caller's input must not be freed before
	stop()
	if failure := <-ended; failure != nil {
		return nil, failure
	}
	return footprint{after.Heap - before.Heap, after.Stacks - before.Stacks, after.Goroutines - before.Goroutines}, err
}

func newWaiter(e childJob, httpClient *http.Client, ids []string) (*waiter, error) {
	const base = "https://gateway.example.com"
	switch e.Name {
	case waitAll:
		return waitForAll(base, httpClient, ids, queriesAtOnce)
	case waitAllLists:
		return waitForAll(base, httpClient, ids, queriesAtOnce*tasksPerList, vidu.WithOfficialAPI())
	case replicateWait:
		c, err := newReplicate(base, httpClient)
		if err != nil {
			return nil, err
		}
		return each(ids, func(ctx context.Context, id string) {
			// It notices the end of the context late; its error does not matter.
			_ = c.Wait(ctx, &replicate.Prediction{ID: id}, replicate.WithPollingInterval(e.Interval))
		}), nil
	case hcloudWait, hcloudWaitAll:
		return hcloudWaiter(e.Name, base, httpClient, ids, e.Interval)
	}
	entry, err := entryOf(e.Name)
	if err != nil {
		return nil, err
	}
	c, err := entry.dial(base, httpClient)
	if err != nil {
		return nil, err
	}
	return each(ids, func(ctx context.Context, id string) {
		timer := time.NewTimer(time.Hour)
		defer timer.Stop()
		for ctx.Err() == nil {
			if err := gotTask(c.poll(ctx, id)); err != nil {
				return // the count shows it
			}
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
		}
	}), nil
}

// each waits with a goroutine per task.
func each(ids []string, watch func(ctx context.Context, id string)) *waiter {
	return &waiter{watch: func(ctx context.Context) error {
		var watching sync.WaitGroup
		for _, id := range ids {
			watching.Go(func() { watch(ctx, id) })
		}
		watching.Wait()
		return nil
	}}
}

func waitForAll(base string, httpClient *http.Client, ids []string, stuck int, opts ...vidu.Option) (*waiter, error) {
	c, err := newVidu(base, httpClient, opts...)
	if err != nil {
		return nil, err
	}
	return &waiter{stuck: stuck, watch: func(ctx context.Context) error {
		for seen, failure := range c.WaitAll(ctx, ids, vidu.WithMaxPollRate(1e6), vidu.WithPollInterval(time.Hour)) {
			if seen.Done() || ctx.Err() == nil {
				return fmt.Errorf("the wait for %s ended: %w", seen.ID, failure)
			}
		}
		return nil
	}}, nil
}

func hcloudWaiter(name, base string, httpClient *http.Client, ids []string, interval time.Duration) (*waiter, error) {
	c := newHCloud(base, httpClient, hcloud.WithPollOpts(hcloud.PollOpts{BackoffFunc: hcloud.ConstantBackoff(interval)}))
	actions := make([]*hcloud.Action, len(ids))
	for i, id := range ids {
		number, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return nil, err
		}
		actions[i] = &hcloud.Action{ID: number, Status: hcloud.ActionStatusRunning}
	}
	if name == hcloudWaitAll {
		return &waiter{watch: func(ctx context.Context) error {
			if err := c.Action.WaitFor(ctx, actions...); ctx.Err() == nil {
				return fmt.Errorf("the wait ended: %w", err)
			}
			return nil
		}}, nil
	}
	return each(ids, func(ctx context.Context, id string) {
		i, _ := slices.BinarySearch(ids, id)
		_ = c.Action.WaitFor(ctx, actions[i]) // the context has ended
	}), nil
}

func measureWaiting(ctx context.Context, b *bench) error {
	t := &table{
		title: "Waiting for many tasks",
		text: fmt.Sprintf("Heap and stacks after a garbage collection, in memory, when every task was queried once and waits for its next "+
			"poll; a fresh process for each client. %d tasks for vidu, the code by hand and hcloud-go's one call; %d, scaled "+
			"up, for the others, which have a goroutine per task. Where nothing else is said it sleeps on a timer between "+
			"polls. vidu also has %d queries in flight. The caller's ids or actions are not counted.",
			b.manyTasks, b.fewTasks, queriesAtOnce),
		why: "hcloud-go's one call keeps only a set of numbers: it queries every action at every interval, and the first " +
			"failure ends the wait for all. vidu keeps a time and a schedule per task, and a failed task ends only its own " +
			"wait.",
		metrics: []metric{{name: bytesPerTask, show: showBytes}, {name: goroutines, show: showCount}},
	}
	names := []string{waitAllLists, waitAll, floor}
	for _, e := range entries()[2:] {
		names = append(names, e.name)
	}
	for _, name := range append(names, replicateWait, hcloudWait, hcloudWaitAll) {
		count := b.fewTasks
		if isOurs(name) || name == floor || name == hcloudWaitAll {
			count = b.manyTasks
		}
		var cost footprint
		if err := b.do(ctx, childJob{Job: "waiting", Name: name, Count: count, Interval: b.interval}, &cost); err != nil {
			return err
		}
		// Goroutines per task are scaled to as many tasks as the floor has.
		all := 1 + float64(cost.Goroutines-1)*float64(b.manyTasks)/float64(count)
		t.add(name, float64(cost.Heap+cost.Stacks)/float64(count), all)
	}
	t.rate()
	b.tables[waitingTable] = t
	return nil
}
