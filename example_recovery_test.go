package vidu_test

import (
	"context"
	"errors"
	"fmt"
	"log"
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

// jobs stands for the table of a backend.
type jobs map[string]string

func (j jobs) save(id, state string) { j[id] = state }

// What a careful backend does with a call that costs money: it stores the payload, makes the call, looks for the task
// when the outcome is unknown, and else alerts an operator. It never makes the call a second time.
func Example_maybeCreated() {
	server, client := fakeOfficial()
	defer server.Close()
	server.DropReplyAfterCommit() // the server takes the request, and the connection dies
	table := jobs{}

	task, err := createOnce(context.Background(), client, table, "job-4711")
	fmt.Println("found:", err == nil && task.Payload != "")
	fmt.Println("stored:", table["job-4711"])
	fmt.Println("charged:", server.Charged())
	// Output:
	// found: true
	// stored: running
	// charged: 1
}

func createOnce(ctx context.Context, client *vidu.Client, table jobs, job string) (*vidu.Task, error) {
	req := astronaut()
	req.Payload = vidu.NewMarker()
	table.save(job, "creating "+req.Payload) // before the call, so that a crash leaves something to look for

	task, err := client.Reference2Video(ctx, req)
	if maybe, ok := errors.AsType[*vidu.MaybeCreatedError](err); ok {
		task, err = look(ctx, client, maybe)
	}
	switch {
	case err == nil:
		table.save(job, "running")
	case errors.Is(err, vidu.ErrMaybeCreated):
		table.save(job, "unknown "+req.Payload) // and an operator is alerted
	default:
		table.save(job, "failed")
	}
	return task, err
}

// look asks for the task a few times, for it may be listed late. Not seen is not the same as not created, so without a
// task the outcome stays unknown.
func look(ctx context.Context, client *vidu.Client, maybe *vidu.MaybeCreatedError) (*vidu.Task, error) {
	for _, pause := range []time.Duration{0, time.Second, 10 * time.Second, time.Minute} {
		select {
		case <-ctx.Done():
			return nil, maybe
		case <-time.After(pause):
		}
		task, err := client.FindTask(ctx, maybe.Payload, maybe.From)
		switch {
		case task != nil:
			return task, nil // when there are several, it is the oldest, and err names the others
		case errors.Is(err, vidu.ErrNotSupported), errors.Is(err, context.Canceled):
			return nil, maybe
		}
	}
	return nil, maybe
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
