package vidu_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

func ExampleWithOfficialAPI() {
	client, err := vidu.NewClient(vidu.OfficialBaseURL, "the key", vidu.WithOfficialAPI())
	fmt.Println(client != nil, err)
	// Output: false vidu: API key: contains spaces or characters that a header cannot have
}

// Each attempt is a record. The key and the query are in none.
func ExampleWithLogger() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	handler := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case "time", "duration", "request_id", "path":
				return slog.Attr{} // not the same every time
			}
			return a
		},
	})
	client, err := vidu.NewClient(server.URL, vidutest.APIKey, vidu.WithLogger(slog.New(handler)),
		vidu.WithBackoff(func(int) time.Duration { return 0 }))
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	task, err := client.Reference2Video(ctx, astronaut())
	if err != nil {
		log.Fatal(err)
	}
	server.FailNext(http.StatusBadGateway, "")
	if _, err = client.GetTask(ctx, task.ID); err != nil {
		log.Fatal(err)
	}
	// Output:
	// level=DEBUG msg="vidu: request" method=POST status=200 attempt=1
	// level=DEBUG msg="vidu: request" method=GET status=502 attempt=1
	// level=DEBUG msg="vidu: request" method=GET status=200 attempt=2
}

func ExampleWithMaxAttempts() {
	server := vidutest.NewServer()
	defer server.Close()
	client, err := vidu.NewClient(server.URL, vidutest.APIKey, vidu.WithMaxAttempts(1)) // no retries
	if err != nil {
		log.Fatal(err)
	}
	server.FailNext(http.StatusBadGateway, "")
	_, err = client.GetTask(context.Background(), "885482446060003328")
	if failure, ok := errors.AsType[*vidu.APIError](err); ok {
		fmt.Println(failure.StatusCode, len(server.Requests()))
	}
	// Output: 502 1
}

func ExampleWithProgress() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	client, err := vidu.NewClient(server.URL, vidutest.APIKey)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	task, err := client.Reference2Video(ctx, astronaut())
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Wait(ctx, task.ID, vidu.WithProgress(func(task *vidu.Task) { fmt.Println(task.State) }))
	fmt.Println(err)
	// Output:
	// success
	// <nil>
}
