// Command killtest starts 200 generations, each of them twice, kills the worker process with SIGKILL in the middle of
// its creates, starts another one, and counts.
//
//	go run ./killtest -cli PATH    # of the Temporal CLI; the default is $VIDU_TEMPORAL_CLI
//
// It needs the CLI for its development server and nothing else: the API is vidutest's fake, everything listens on the
// loopback address and ends with the program. The exit status is 1 unless all generations finished and none was paid
// twice. killtest/ci builds the CLI first, where that can be done in time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"github.com/vidu-go/vidu"
	viduworkflow "github.com/vidu-go/vidu/temporal"
)

// workerArg makes a process of this program the worker.
const workerArg = "worker"

func main() {
	run := test
	if len(os.Args) > 1 && os.Args[1] == workerArg {
		run = work
	}
	log.SetFlags(0)
	log.SetOutput(os.Stdout)
	if err := run(); err != nil {
		log.Fatal("killtest: ", err)
	}
}

// settings are the flags.
type settings struct {
	cli         string
	generations int
	killAt      int
	timeout     time.Duration
	policy      string
}

func readSettings() (*settings, error) {
	s := &settings{}
	flag.StringVar(&s.cli, "cli", os.Getenv("VIDU_TEMPORAL_CLI"), "path of the Temporal CLI")
	flag.IntVar(&s.generations, "n", 200, "how many generations")
	flag.IntVar(&s.killAt, "kill", 60, "after how many creates the worker is killed")
	flag.DurationVar(&s.timeout, "timeout", 3*time.Minute, "how long all may take")
	flag.StringVar(&s.policy, "on-unknown", string(viduworkflow.Reconcile), "what to do about unknown outcomes")
	flag.Parse()
	if s.cli == "" {
		return nil, errors.New("no Temporal CLI: set -cli or VIDU_TEMPORAL_CLI, or run killtest/ci")
	}
	return s, nil
}

func test() error {
	s, err := readSettings()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "killtest")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	api := newAPI()
	defer api.close()
	engine, err := startEngine(ctx, s.cli)
	if err != nil {
		return fmt.Errorf("start the dev server: %w", err)
	}
	defer engine.Stop() //nolint:errcheck // it ends either way

	began := time.Now()
	c, err := runFleet(ctx, s, engine, api, dir)
	if err != nil {
		return err
	}
	log.Printf("finished %d, creates %d, paid twice %d, reconciled %d, sent again %d (%.0f s)",
		c.finished, c.creates, c.paidTwice, c.reconciled, c.sentAgain, time.Since(began).Seconds())
	if c.finished != s.generations || c.creates != s.generations || c.paidTwice != 0 {
		return fmt.Errorf("wanted %d, %d, 0", s.generations, s.generations)
	}
	return nil
}

func startEngine(ctx context.Context, cli string) (*testsuite.DevServer, error) {
	return testsuite.StartDevServer(ctx, testsuite.DevServerOptions{
		ExistingPath:  cli,
		ClientOptions: &client.Options{HostPort: freeAddress(), Logger: quiet{}},
		LogLevel:      "error",
		Stdout:        io.Discard,
		Stderr:        io.Discard,
	})
}

// runFleet starts the generations, kills the worker, starts the next one and waits for the end.
func runFleet(ctx context.Context, s *settings, engine *testsuite.DevServer, api *api, dir string) (*count, error) {
	victim, err := startWorker(ctx, engine.FrontendHostPort(), api.URL(), dir)
	if err != nil {
		return nil, err
	}
	started := make(chan error, 1)
	runs := make([]client.WorkflowRun, s.generations)
	go func() { started <- startTwice(ctx, s, engine.Client(), runs) }()
	if err := api.awaitCreates(ctx, s.killAt); err != nil {
		return nil, err
	}
	inFlight := api.inFlight()
	if err := victim.Process.Kill(); err != nil {
		return nil, err
	}
	_ = victim.Wait() // "signal: killed"
	log.Printf("killed the worker after %d creates, with %d in flight", api.creates(), inFlight)

	heir, err := startWorker(ctx, engine.FrontendHostPort(), api.URL(), dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = heir.Process.Kill()
		_ = heir.Wait()
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return collect(ctx, runs, api)
}

func startWorker(ctx context.Context, temporalAddress, apiURL, dir string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, workerArg, temporalAddress, apiURL, dir) //nolint:gosec // this program
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd, cmd.Start()
}

// startTwice starts every generation twice, which must be harmless.
func startTwice(ctx context.Context, s *settings, tc client.Client, runs []client.WorkflowRun) error {
	for i := range 2 * s.generations {
		run, err := viduworkflow.Start(ctx, tc, fmt.Sprintf("job-%03d", i%s.generations), viduworkflow.Input{
			Request: vidu.Reference2VideoRequest{
				Model:  vidu.ModelQ2Pro,
				Images: []vidu.Media{vidu.URL("https://example.com/hero.png")},
				Prompt: "The astronaut waved and the camera moved up.",
			},
			OnUnknown:     viduworkflow.OnUnknown(s.policy),
			SubmitTimeout: 5 * time.Second,
			Settle:        3 * time.Second,
		})
		if err != nil {
			return err
		}
		runs[i%s.generations] = run
	}
	return nil
}

// count is the outcome.
type count struct {
	finished, creates, paidTwice, reconciled, sentAgain int
}

func collect(ctx context.Context, runs []client.WorkflowRun, api *api) (*count, error) {
	c := &count{}
	for _, run := range runs {
		var out viduworkflow.Output
		if err := run.Get(ctx, &out); err != nil {
			log.Printf("%s: %v", run.GetID(), err)
			continue
		}
		if info, err := os.Stat(out.Location); err != nil || info.Size() != out.Bytes || filepath.Base(out.Location) != run.GetID()+".mp4" {
			return nil, fmt.Errorf("%s is incomplete", out.Location)
		}
		c.finished++
		switch {
		case out.Reconciled:
			c.reconciled++
		case out.Doubts > 0:
			c.sentAgain++
		}
	}
	c.creates, c.paidTwice = api.creates(), api.paidTwice()
	return c, ctx.Err()
}

// quiet logs nothing.
type quiet struct{}

var _ sdklog.Logger = quiet{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}
