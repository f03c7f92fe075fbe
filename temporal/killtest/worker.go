package main

import (
	"errors"
	"os"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/vidu-go/vidu"
	viduworkflow "github.com/vidu-go/vidu/temporal"
	"github.com/vidu-go/vidu/vidutest"
)

// work is the worker process: killtest worker TEMPORAL API DIRECTORY.
func work() error {
	if len(os.Args) != 5 {
		return errors.New("the worker is started by the test")
	}
	tc, err := client.Dial(client.Options{HostPort: os.Args[2], Logger: quiet{}})
	if err != nil {
		return err
	}
	defer tc.Close()
	vc, err := vidu.NewClient(os.Args[3], vidutest.APIKey, vidu.WithOfficialAPI())
	if err != nil {
		return err
	}
	a := &viduworkflow.Activities{Client: vc, Store: viduworkflow.Dir(os.Args[4])}
	w := worker.New(tc, viduworkflow.TaskQueue, worker.Options{})
	viduworkflow.Register(w, a)
	submits := worker.New(tc, viduworkflow.SubmitQueue(viduworkflow.TaskQueue), worker.Options{
		DisableWorkflowWorker:        true,
		TaskQueueActivitiesPerSecond: 40,
	})
	viduworkflow.RegisterSubmit(submits, a)
	if err := submits.Start(); err != nil {
		return err
	}
	defer submits.Stop()
	return w.Run(worker.InterruptCh())
}
