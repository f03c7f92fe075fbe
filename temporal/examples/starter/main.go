// Command starter asks for one video and waits for it. It may be stopped and started again with the same -id at any
// time: the video is made once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"

	"go.temporal.io/sdk/client"

	"github.com/vidu-go/vidu"
	viduworkflow "github.com/vidu-go/vidu/temporal"
)

func main() {
	id := flag.String("id", "", "name of the generation, such as the number of an order")
	image := flag.String("image", "https://example.com/hero.png", "URL of the reference image")
	prompt := flag.String("prompt", "The astronaut waved and the camera moved up.", "what happens")
	onUnknown := flag.String("on-unknown", string(viduworkflow.Fail), "after a create with an unknown outcome: fail, reconcile, resubmit")
	flag.Parse()
	if err := run(context.Background(), *id, viduworkflow.Input{
		Request: vidu.Reference2VideoRequest{
			Model:  vidu.ModelQ2Pro,
			Images: []vidu.Media{vidu.URL(*image)},
			Prompt: *prompt,
		},
		OnUnknown: viduworkflow.OnUnknown(*onUnknown),
	}); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, id string, in viduworkflow.Input) error {
	tc, err := client.Dial(client.Options{HostPort: os.Getenv("TEMPORAL_ADDRESS")})
	if err != nil {
		return err
	}
	defer tc.Close()
	generation, err := viduworkflow.Start(ctx, tc, id, in)
	if err != nil {
		return err
	}
	var out viduworkflow.Output
	err = generation.Get(ctx, &out)
	if failure := viduworkflow.ErrorOf(err); errors.Is(failure, vidu.ErrMaybeCreated) {
		return fmt.Errorf("a task with the payload %q may exist and be billed: %w", failure.Payload, err)
	}
	if err != nil {
		return err
	}
	fmt.Printf("%s: task %s, %d bytes, %d credits\n", out.Location, out.TaskID, out.Bytes, out.Credits)
	return nil
}
