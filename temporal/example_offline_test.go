package viduworkflow_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/vidu-go/vidu"
	viduworkflow "github.com/vidu-go/vidu/temporal"
	"github.com/vidu-go/vidu/vidutest"
)

// ExampleGenerate tests a whole generation without Temporal and without the API.
func ExampleGenerate() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	vc, err := vidu.NewClient(server.URL, vidutest.APIKey)
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "videos")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	suite := &testsuite.WorkflowTestSuite{}
	suite.SetLogger(sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: "order-4711", TaskQueue: viduworkflow.TaskQueue})
	a := &viduworkflow.Activities{Client: vc, Store: viduworkflow.Dir(dir)}
	viduworkflow.Register(env, a)
	viduworkflow.RegisterSubmit(env, a)
	env.ExecuteWorkflow("vidu.Generate", viduworkflow.Input{Request: vidu.Reference2VideoRequest{
		Model:  vidu.ModelQ2Pro,
		Images: []vidu.Media{vidu.URL("https://example.com/hero.png")},
		Prompt: "The astronaut waved and the camera moved up.",
	}})

	var out viduworkflow.Output
	if err := env.GetWorkflowResult(&out); err != nil {
		log.Fatal(err)
	}
	fmt.Println(filepath.Base(out.Location), out.Bytes, "bytes; charged:", server.Charged())
	// Output: order-4711.mp4 9096 bytes; charged: 1
}

func ExampleSubmitQueue() {
	fmt.Println(viduworkflow.SubmitQueue(viduworkflow.TaskQueue))
	// Output: vidu-submit
}

// finished is a video on a fake server.
func finished(server *vidutest.Server) *viduworkflow.Video {
	vc, err := vidu.NewClient(server.URL, vidutest.APIKey)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	task, err := vc.Reference2Video(ctx, &vidu.Reference2VideoRequest{
		Model: vidu.ModelQ2Pro, Images: []vidu.Media{vidu.URL("https://example.com/hero.png")}, Prompt: "A dance.",
	})
	if err != nil {
		log.Fatal(err)
	}
	if task, err = vc.Wait(ctx, task.ID); err != nil {
		log.Fatal(err)
	}
	return &viduworkflow.Video{Client: vc, Task: task}
}

func ExampleDir_Save() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	dir, err := os.MkdirTemp("", "videos")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	location, err := viduworkflow.Dir(dir).Save(context.Background(), "order 4711/a", finished(server))
	fmt.Println(filepath.Base(location), err)
	// Output: order+4711%2Fa.mp4 <nil>
}

func ExampleVideo_DownloadFile() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	file := filepath.Join(os.TempDir(), "order-4711.mp4")
	defer os.Remove(file) //nolint:errcheck // it is temporary
	fmt.Println(finished(server).DownloadFile(context.Background(), file))
	// Output: 9096 <nil>
}

func ExampleVideo_Download() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	var size counter
	fmt.Println(finished(server).Download(context.Background(), &size))
	// Output: 9096 <nil>
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// The error of a workflow shows whether a task may exist.
func ExampleErrorOf() {
	reason := viduworkflow.GenerateError{Kind: viduworkflow.MaybeCreated, Message: "the worker died", Payload: "order-4711"}
	err := temporal.NewNonRetryableApplicationError("", string(reason.Kind), nil, reason) // as run.Get returns it
	failure := viduworkflow.ErrorOf(err)
	fmt.Println(failure, failure.Payload)
	fmt.Println(errors.Is(failure, vidu.ErrMaybeCreated))
	// Output:
	// vidu.MaybeCreated: the worker died order-4711
	// true
}

func ExampleGenerateError_Error() {
	err := &viduworkflow.GenerateError{Kind: viduworkflow.Refused, Message: "HTTP 400 CreditInsufficient"}
	fmt.Println(err)
	// Output: vidu.Refused: HTTP 400 CreditInsufficient
}

func ExampleGenerateError_Is() {
	err := error(&viduworkflow.GenerateError{Kind: viduworkflow.MaybeCreated})
	fmt.Println(errors.Is(err, vidu.ErrMaybeCreated))
	// Output: true
}

func ExampleGenerateError_Unwrap() {
	err := error(&viduworkflow.GenerateError{Kind: viduworkflow.Refused, Code: vidu.ErrCreditInsufficient})
	fmt.Println(errors.Is(err, vidu.ErrCreditInsufficient))
	// Output: true
}
