package viduworkflow_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/vidu-go/vidu"
	viduworkflow "github.com/vidu-go/vidu/temporal"
)

func Example() {
	vc, err := vidu.NewClientFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	tc, err := client.Dial(client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer tc.Close()
	a := &viduworkflow.Activities{Client: vc, Store: viduworkflow.Dir("/srv/videos")}

	w := worker.New(tc, viduworkflow.TaskQueue, worker.Options{})
	viduworkflow.Register(w, a)

	submits := worker.New(tc, viduworkflow.SubmitQueue(viduworkflow.TaskQueue), worker.Options{
		DisableWorkflowWorker:        true,
		TaskQueueActivitiesPerSecond: 2,
		WorkerStopTimeout:            3 * time.Minute,
	})
	viduworkflow.RegisterSubmit(submits, a)
	if err := submits.Start(); err != nil {
		log.Fatal(err)
	}
	defer submits.Stop()
	if err := w.Run(worker.InterruptCh()); err != nil {
		log.Fatal(err)
	}
}

func ExampleStart() {
	ctx := context.Background()
	tc, err := client.Dial(client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer tc.Close()
	run, err := viduworkflow.Start(ctx, tc, "order-4711", viduworkflow.Input{
		Request: vidu.Reference2VideoRequest{
			Model:  vidu.ModelQ2Pro,
			Images: []vidu.Media{vidu.URL("https://example.com/hero.png")},
			Prompt: "The astronaut waved and the camera moved up.",
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	var out viduworkflow.Output // out.Location is where the video is
	err = run.Get(ctx, &out)
	fmt.Println(out, err)
}

func ExampleInput() {
	in := viduworkflow.Input{Text2Video: &vidu.Text2VideoRequest{
		Model:  vidu.ModelQ2,
		Prompt: "The astronaut waved and the camera moved up.",
	}}
	lips := viduworkflow.Input{Generic: &viduworkflow.Generic{Endpoint: "lip-sync", Fields: map[string]any{
		"video_url": "https://example.com/hero.mp4",
		"text":      "Hello from orbit.",
	}}}
	fmt.Println(in.Text2Video.Prompt, lips.Generic.Endpoint)
	// Output: The astronaut waved and the camera moved up. lip-sync
}

func ExampleCallbackHandler() {
	vc, err := vidu.NewClientFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	tc, err := client.Dial(client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer tc.Close()
	handler, err := viduworkflow.CallbackHandler(vc, tc, os.Getenv("VIDU_API_KEY"))
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: ":8080", Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute}
	log.Fatal(server.ListenAndServe())
}

// bucket is a Store that is not a directory.
type bucket struct {
	upload func(ctx context.Context, key, file string) error
}

func (b bucket) Save(ctx context.Context, name string, video *viduworkflow.Video) (string, error) {
	file := os.TempDir() + "/" + video.Task.ID + ".mp4"
	if _, err := video.DownloadFile(ctx, file); err != nil {
		return "", err
	}
	defer os.Remove(file) //nolint:errcheck // a temporary file
	key := "videos/" + name
	return key, b.upload(ctx, key, file)
}

func ExampleStore() {
	var _ viduworkflow.Store = bucket{}
}

// Every Go line of README is in this file.
func TestReadmeIsCompiled(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	compiled, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	programs := strings.Split(string(readme), "```go\n")[1:]
	require.Len(t, programs, 3)
	for _, program := range programs {
		program, _, _ = strings.Cut(program, "```")
		for line := range strings.Lines(strings.Replace(program, "func main() {", "", 1)) {
			assert.Contains(t, string(compiled), strings.TrimSpace(line))
		}
	}
}
