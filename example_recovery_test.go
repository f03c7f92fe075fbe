package vidu_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

// fakeOfficial starts a fake of the official API, which has more endpoints than most gateways, and a client for it.
func fakeOfficial(opts ...vidu.Option) (*vidutest.Server, *vidu.Client) {
	server := vidutest.NewServer(vidutest.WithOfficialAPI(), vidutest.WithTiming(0, 0))
	client, err := vidu.NewClient(server.URL, vidutest.APIKey, append(opts, vidu.WithOfficialAPI())...)
	if err != nil {
		log.Fatal(err)
	}
	return server, client
}

// orders stands for a table of a database; docs/recovery.md has it in SQL.
type orders struct {
	mu   sync.Mutex
	rows map[string]order // by payload
}

// order is a row: one try to make the video of a job.
type order struct {
	job, state, taskID string
	createdAt          time.Time
}

func newOrders() *orders { return &orders{rows: map[string]order{}} }

// insert is INSERT … VALUES (payload, job, 'creating', now()).
func (o *orders) insert(payload, job string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rows[payload] = order{job: job, state: "creating", createdAt: time.Now()}
	return nil
}

// set is UPDATE … WHERE payload = $1 AND state IN (from).
func (o *orders) set(payload, state, taskID string, from ...string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if row, known := o.rows[payload]; known && slices.Contains(from, row.state) {
		row.state, row.taskID = state, taskID
		o.rows[payload] = row
	}
	return nil
}

// open is SELECT … WHERE state IN ('creating', 'unknown', 'running').
func (o *orders) open() map[string]order {
	o.mu.Lock()
	defer o.mu.Unlock()
	rows := maps.Clone(o.rows)
	maps.DeleteFunc(rows, func(_ string, row order) bool {
		return !slices.Contains([]string{"creating", "unknown", "running"}, row.state)
	})
	return rows
}

// states returns how many rows are in each state.
func (o *orders) states() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	states := map[string]int{}
	for _, row := range o.rows {
		states[row.state]++
	}
	return states
}

// place makes the paid call for a job.
func place(ctx context.Context, client *vidu.Client, table *orders, job, callbackURL string) error {
	payload := vidu.NewMarker()
	if err := table.insert(payload, job); err != nil { // committed before the call
		return err
	}
	task, err := client.Reference2Video(ctx, &vidu.Reference2VideoRequest{
		Model:       vidu.ModelQ2Pro,
		Images:      []vidu.Media{vidu.URL("https://example.com/hero.png")},
		Prompt:      "The astronaut waved and the camera moved up.",
		Payload:     payload,
		CallbackURL: callbackURL,
	})
	switch {
	case err == nil:
		return table.set(payload, "running", task.ID, "creating", "unknown")
	case errors.Is(err, vidu.ErrMaybeCreated):
		return table.set(payload, "unknown", "", "creating") // a callback may have been quicker
	default: // nothing was created
		return errors.Join(err, table.set(payload, "refused", "", "creating", "unknown"))
	}
}

// adopt takes the task of an order that lacks it. It is the function of the CallbackHandler, too: the task comes from
// the API, with the payload of its create.
func (o *orders) adopt(_ context.Context, task *vidu.Task) error {
	return o.set(task.Payload, "running", task.ID, "creating", "unknown")
}

// resume runs at every start of the program, and every few minutes. It never creates.
func resume(ctx context.Context, client *vidu.Client, table *orders, dir string) error {
	var errs []error
	for payload, row := range table.open() {
		if row.state == "running" {
			errs = append(errs, finish(ctx, client, table, payload, row.taskID, dir))
			continue
		}
		task, err := client.FindTask(ctx, payload, row.createdAt)
		switch {
		case task != nil: // if there are several it is the oldest, and err names the others
			errs = append(errs, err, table.adopt(ctx, task))
		case errors.Is(err, vidu.ErrNotSupported), errors.Is(err, vidu.ErrNotFound): // a callback may still come
			errs = append(errs, table.set(payload, "unknown", "", "creating"))
		default:
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// finish waits for the task of an order and stores its video.
func finish(ctx context.Context, client *vidu.Client, table *orders, payload, id, dir string) error {
	task, err := client.Wait(ctx, id)
	if _, failed := errors.AsType[*vidu.TaskError](err); failed {
		return table.set(payload, "failed", id, "running") // not charged
	}
	if err == nil {
		_, err = client.DownloadFile(ctx, task, filepath.Join(dir, payload+".mp4"), vidu.WithOverwrite())
	}
	if err != nil { // the task goes on, or the video is there for some hours: the next resume tries again
		return err
	}
	return table.set(payload, "done", id, "running")
}

// What a careful backend does with a call that costs money: it stores the payload, makes the call, and looks for the
// task when the outcome is unknown. It never makes the call a second time.
func Example_maybeCreated() {
	server, client := fakeOfficial()
	defer server.Close()
	ctx, table := context.Background(), newOrders()
	dir, err := os.MkdirTemp("", "vidu")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	server.DropReplyAfterCommit() // the server takes the request, and the connection dies
	fmt.Println(place(ctx, client, table, "job-4711", ""), table.states())
	for range 2 { // at the next starts of the program
		fmt.Println(resume(ctx, client, table, dir), table.states())
	}
	fmt.Println("charged:", server.Charged())
	// Output:
	// <nil> map[unknown:1]
	// <nil> map[running:1]
	// <nil> map[done:1]
	// charged: 1
}

// The shortest form, for the call site.
func ExampleClient_FindTask_unknownOutcome() {
	server, client := fakeOfficial()
	defer server.Close()
	ctx, req := context.Background(), astronaut()
	req.Payload = vidu.NewMarker() // stored before the call
	server.DropReplyAfterCommit()  // the server takes the request, and the connection dies
	task, err := client.Reference2Video(ctx, req)
	if maybe, ok := errors.AsType[*vidu.MaybeCreatedError](err); ok {
		if found, _ := client.FindTask(ctx, maybe.Payload, maybe.From); found != nil {
			task, err = found, nil // not found is no proof: then the outcome stays unknown
		}
	}
	fmt.Println(task.Payload == req.Payload, err)
	// Output: true <nil>
}

// On a server that lists no tasks, which is every gateway, the lost task comes by itself: as a callback.
func Example_lostTaskByCallback() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 50*time.Millisecond),
		vidutest.WithCallbacks(&http.Client{Timeout: 5 * time.Second}))
	defer server.Close()
	client, err := vidu.NewClient(server.URL, vidutest.APIKey)
	if err != nil {
		log.Fatal(err)
	}
	ctx, table, adopted := context.Background(), newOrders(), make(chan struct{})
	handler, err := client.CallbackHandler(vidutest.APIKey, func(ctx context.Context, task *vidu.Task) error {
		defer close(adopted)
		return table.adopt(ctx, task)
	})
	if err != nil {
		log.Fatal(err)
	}
	receiver := httptest.NewServer(handler)
	defer receiver.Close()
	dir, err := os.MkdirTemp("", "vidu")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	server.DropReplyAfterCommit() // the server takes the request, and the connection dies
	fmt.Println(place(ctx, client, table, "job-4711", receiver.URL), len(table.open()))
	<-adopted
	fmt.Println(table.states())
	fmt.Println(resume(ctx, client, table, dir), table.states())
	fmt.Println("charged:", server.Charged())
	// Output:
	// <nil> 1
	// map[running:1]
	// <nil> map[done:1]
	// charged: 1
}

func ExampleNewMarker() {
	payload := vidu.NewMarker()
	fmt.Println(len(payload), payload != vidu.NewMarker())
	// Output: 31 true
}

func ExampleWithRecovery() {
	server, client := fakeOfficial(vidu.WithRecovery(time.Minute))
	defer server.Close()
	server.DropReplyAfterCommit() // the server takes the request, and the connection dies

	req := astronaut()
	req.Payload = "order-4711" // stored before the call
	task, err := client.Reference2Video(context.Background(), req)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("found:", task.Payload)
	fmt.Println("charged:", server.Charged())
	// Output:
	// found: order-4711
	// charged: 1
}

func ExampleClient_FindTask() {
	server, client := fakeOfficial()
	defer server.Close()
	ctx, began := context.Background(), time.Now()
	req := astronaut()
	req.Payload = "order-4711"
	if _, err := client.Reference2Video(ctx, req); err != nil {
		log.Fatal(err)
	}

	task, err := client.FindTask(ctx, "order-4711", began)
	fmt.Println(task.State, err)
	_, err = client.FindTask(ctx, "order-4712", began)
	fmt.Println(errors.Is(err, vidu.ErrNotFound), err)
	// Output:
	// success <nil>
	// true vidu: no task with the payload "order-4712" was seen among 1, which does not prove that there is none: NotFound
}

func ExampleDuplicateTasksError() {
	server, client := fakeOfficial()
	defer server.Close()
	ctx, began := context.Background(), time.Now()
	for range 2 { // as a gateway does that sends a request on twice
		req := astronaut()
		req.Payload = "order-4711"
		if _, err := client.Reference2Video(ctx, req); err != nil {
			log.Fatal(err)
		}
	}

	task, err := client.FindTask(ctx, "order-4711", began)
	if twins, ok := errors.AsType[*vidu.DuplicateTasksError](err); ok {
		fmt.Println(len(twins.IDs), twins.Payload, task.ID == twins.IDs[0])
	}
	// Output: 2 order-4711 true
}

func ExampleDuplicateTasksError_Error() {
	err := &vidu.DuplicateTasksError{Payload: "order-4711", IDs: []string{"885482446060003328", "885482446060003329"}}
	fmt.Println(err)
	// Output: vidu: 2 tasks have the payload "order-4711": [885482446060003328 885482446060003329]
}

func ExampleClient_ListTasks() {
	server, client := fakeOfficial()
	defer server.Close()
	ctx := context.Background()
	for range 3 {
		if _, err := client.Reference2Video(ctx, astronaut()); err != nil {
			log.Fatal(err)
		}
	}

	page, err := client.ListTasks(ctx, &vidu.ListTasksRequest{
		From: time.Now().Add(-time.Hour), States: []vidu.State{vidu.StateSuccess}, PageSize: 2,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(page.Tasks), page.Tasks[0].Prompt, page.NextPageToken != "")
	// Output: 2 The astronaut waved and the camera moved up. true
}

func ExampleClient_AllTasks() {
	server, client := fakeOfficial()
	defer server.Close()
	ctx := context.Background()
	for range 3 {
		if _, err := client.Reference2Video(ctx, astronaut()); err != nil {
			log.Fatal(err)
		}
	}

	credits := 0
	for task, err := range client.AllTasks(ctx, &vidu.ListTasksRequest{Models: []vidu.Model{vidu.ModelQ2Pro}}) {
		if err != nil {
			log.Fatal(err)
		}
		credits += task.Credits
	}
	fmt.Println(credits > 0)
	// Output: true
}

func ExampleClient_CancelTask() {
	server := vidutest.NewServer(vidutest.WithOfficialAPI(), vidutest.WithTiming(time.Hour, time.Hour))
	defer server.Close()
	client, err := vidu.NewClient(server.URL, vidutest.APIKey, vidu.WithOfficialAPI())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	task, err := client.Reference2Video(ctx, astronaut())
	if err != nil {
		log.Fatal(err)
	}

	fmt.Println(client.CancelTask(ctx, task.ID))
	_, err = client.Wait(ctx, task.ID)
	fmt.Println(errors.Is(err, vidu.ErrUserCancelled))
	fmt.Println(errors.Is(client.CancelTask(ctx, task.ID), vidu.ErrBadRequest)) // too late
	// Output:
	// <nil>
	// true
	// true
}

func ExampleClient_GetCredits() {
	server, client := fakeOfficial()
	defer server.Close()

	credits, err := client.GetCredits(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, remain := range credits.Remains {
		fmt.Println(remain.Type, remain.Credits, remain.ConcurrencyLimit)
	}
	// Output: metered 1000000 5
}

// Most gateways have the two endpoints that every server has, and no others.
func Example_notSupported() {
	server, client := fake() // a gateway
	defer server.Close()

	_, err := client.GetCredits(context.Background())
	fmt.Println(errors.Is(err, vidu.ErrNotSupported))
	_, err = client.FindTask(context.Background(), "order-4711", time.Now())
	fmt.Println(errors.Is(err, vidu.ErrNotSupported))
	// Output:
	// true
	// true
}
