// Command worker makes the videos that are asked for in the task queue "vidu". It needs a Temporal server, on
// localhost:7233 or at TEMPORAL_ADDRESS, and either the account in VIDU_BASE_URL and VIDU_API_KEY or, for trying it
// out, -fake:
//
//	temporal server start-dev
//	go run ./examples/worker -fake
//	go run ./examples/starter -id order-4711
package main

import (
	"flag"
	"log"
	"os"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/vidu-go/vidu"
	viduworkflow "github.com/vidu-go/vidu/temporal"
	"github.com/vidu-go/vidu/vidutest"
)

func main() {
	official := flag.Bool("official", false, "VIDU_BASE_URL is the official API, which lists tasks: for OnUnknown Reconcile")
	fake := flag.Bool("fake", false, "make videos with the fake server of package vidutest, free and within seconds")
	out := flag.String("out", "videos", "directory for the videos")
	rate := flag.Float64("rate", 2, "creates per second, of all workers together")
	flag.Parse()
	if err := run(*fake, *official, *out, *rate); err != nil {
		log.Fatal(err)
	}
}

func run(fake, official bool, out string, rate float64) error {
	vc, closeAPI, err := newClient(fake, official)
	if err != nil {
		return err
	}
	defer closeAPI()
	tc, err := client.Dial(client.Options{HostPort: os.Getenv("TEMPORAL_ADDRESS")})
	if err != nil {
		return err
	}
	defer tc.Close()

	a := &viduworkflow.Activities{Client: vc, Store: viduworkflow.Dir(out)}
	w := worker.New(tc, viduworkflow.TaskQueue, worker.Options{})
	viduworkflow.Register(w, a)
	submits := worker.New(tc, viduworkflow.SubmitQueue(viduworkflow.TaskQueue), worker.Options{
		DisableWorkflowWorker:        true,
		TaskQueueActivitiesPerSecond: rate,
		WorkerStopTimeout:            3 * time.Minute, // a create in flight gets its answer
	})
	viduworkflow.RegisterSubmit(submits, a)
	if err := submits.Start(); err != nil {
		return err
	}
	defer submits.Stop()
	return w.Run(worker.InterruptCh())
}

// newClient returns a client for the account in the environment, or for a fake in this process.
func newClient(fake, official bool) (*vidu.Client, func(), error) {
	if !fake {
		var opts []vidu.Option
		if official {
			opts = append(opts, vidu.WithOfficialAPI())
		}
		vc, err := vidu.NewClientFromEnv(opts...)
		return vc, func() {}, err
	}
	server := vidutest.NewServer(vidutest.WithOfficialAPI(), vidutest.WithTiming(time.Second, 5*time.Second))
	vc, err := vidu.NewClient(server.URL, vidutest.APIKey, vidu.WithOfficialAPI())
	return vc, server.Close, err
}
