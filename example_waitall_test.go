package vidu_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/vidu-go/vidu"
)

// Each task comes as it ends, and the one that fails does not end the others.
func ExampleClient_WaitAll() {
	server, client := fake()
	defer server.Close()
	server.FailTask("")
	server.FailTask("AuditFailed") // the second of three

	ctx := context.Background()
	var ids []string
	for range 3 {
		task, err := client.Reference2Video(ctx, astronaut())
		if err != nil {
			log.Fatal(err)
		}
		ids = append(ids, task.ID)
	}
	videos := 0
	for task, err := range client.WaitAll(ctx, ids) {
		var failed *vidu.TaskError
		switch {
		case err == nil:
			videos++ // download it
		case errors.As(err, &failed):
			fmt.Println("no video, not charged:", task.ErrCode)
		default:
			fmt.Println("wait again for", task.ID, "because", err)
		}
	}
	fmt.Println(videos, "videos")
	// Output:
	// no video, not charged: AuditFailed
	// 2 videos
}

// However many tasks there are, the server is asked at most five times a second.
func ExampleWithMaxPollRate() {
	server, client := fake()
	defer server.Close()

	ctx := context.Background()
	task, err := client.Reference2Video(ctx, astronaut())
	if err != nil {
		log.Fatal(err)
	}
	for task, err := range client.WaitAll(ctx, []string{task.ID}, vidu.WithMaxPollRate(5)) {
		fmt.Println(task.State, err)
	}
	// Output: success <nil>
}
