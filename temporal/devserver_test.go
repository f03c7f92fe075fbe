package viduworkflow_test

import (
	"bytes"
	"context"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
	viduworkflow "github.com/vidu-go/vidu/temporal"
	"github.com/vidu-go/vidu/vidutest"
)

// record renews testdata; a released version of the workflow needs a new name there.
var record = flag.Bool("record", false, "have TestDevServer write the histories in testdata")

// maxEvents is the history's length per generation, however long it takes.
const maxEvents = 23

// TestDevServer runs against Temporal's development server.
func TestDevServer(t *testing.T) { //nolint:paralleltest // it needs the processor for itself
	f := newFleet(t)

	t.Run("plain", func(t *testing.T) { //nolint:paralleltest // one generation after another
		out := f.generate(t, "plain", input())
		assert.FileExists(t, out.Location)
		assert.Zero(t, out.Doubts)

		events := f.history(t, "plain", "history_v1.json")
		t.Logf("%d events", bytes.Count(events, []byte(`"eventId"`)))
		assert.LessOrEqual(t, bytes.Count(events, []byte(`"eventId"`)), maxEvents)
	})
	t.Run("twice", func(t *testing.T) { //nolint:paralleltest // one generation after another
		before := f.api.Charged()
		first := f.start(t, "twice", input())
		second := f.start(t, "twice", input())
		require.NoError(t, first.Get(t.Context(), nil))
		third := f.start(t, "twice", input())
		assert.Equal(t, first.GetRunID(), second.GetRunID())
		assert.Equal(t, first.GetRunID(), third.GetRunID())
		var out viduworkflow.Output
		require.NoError(t, third.Get(t.Context(), &out))
		assert.FileExists(t, out.Location)
		assert.Equal(t, before+1, f.api.Charged())
	})
	t.Run("callback", func(t *testing.T) { //nolint:paralleltest // one generation after another
		f.a.Pause = func(*vidu.Task, time.Duration) time.Duration { return time.Hour }
		in := input()
		in.Request.CallbackURL = f.callbacks.URL + "/vidu?a=1"
		began := time.Now()
		out := f.generate(t, "callback", in)
		assert.FileExists(t, out.Location)
		assert.Less(t, time.Since(began), 20*time.Second)
		f.history(t, "callback", "history_v1_callback.json")
		f.a.Pause = func(*vidu.Task, time.Duration) time.Duration { return time.Second }
	})
	t.Run("reconcile", func(t *testing.T) { //nolint:paralleltest // one generation after another
		before := f.api.Charged()
		f.api.DropReplyAfterCommit()
		in := input()
		in.OnUnknown = viduworkflow.Reconcile
		out := f.generate(t, "reconcile", in)
		assert.True(t, out.Reconciled)
		assert.Equal(t, before+1, f.api.Charged())
		f.history(t, "reconcile", "history_v1_reconcile.json")
	})
	t.Run("unknown", func(t *testing.T) { //nolint:paralleltest // one generation after another
		f.api.DropReplyAfterCommit()
		err := f.start(t, "unknown", input()).Get(t.Context(), nil)
		require.ErrorIs(t, viduworkflow.ErrorOf(err), vidu.ErrMaybeCreated)
		assert.Equal(t, "unknown", viduworkflow.ErrorOf(err).Payload)
		f.history(t, "unknown", "history_v1_unknown.json")
	})
	t.Run("cancelled while it is created", func(t *testing.T) { //nolint:paralleltest // one generation after another
		before := len(f.api.Requests())
		f.api.Delay(3 * time.Second)
		run := f.start(t, "cancelled", input())
		require.Eventually(t, func() bool { return len(f.api.Requests()) > before }, 20*time.Second, 10*time.Millisecond)
		require.NoError(t, f.tc.CancelWorkflow(t.Context(), "cancelled", ""))
		failure := viduworkflow.ErrorOf(run.Get(t.Context(), nil))
		require.NotNil(t, failure)
		assert.Equal(t, viduworkflow.Canceled, failure.Kind)
		assert.NotEmpty(t, failure.TaskID, "the create went on, and the failure has its task")
		f.history(t, "cancelled", "history_v1_cancelled.json")
	})
	t.Run("queued", func(t *testing.T) { //nolint:paralleltest // one generation after another
		f.submits.Stop()
		before := f.api.Charged()
		patient, dropped := f.start(t, "patient", input()), f.start(t, "dropped", input())
		testkit.Linger(t.Context(), 3*time.Second) // the server is real: creates wait for a worker
		require.NoError(t, f.tc.CancelWorkflow(t.Context(), "dropped", ""))
		failure := viduworkflow.ErrorOf(dropped.Get(t.Context(), nil))
		require.NotNil(t, failure)
		assert.Equal(t, viduworkflow.Canceled, failure.Kind, "at once, without a worker")

		var oldest time.Duration
		f.a.Pause = func(_ *vidu.Task, age time.Duration) time.Duration {
			oldest = max(oldest, age)
			return time.Second
		}
		require.NoError(t, f.submitWorker().Start())
		require.NoError(t, patient.Get(t.Context(), nil))
		assert.Equal(t, before+1, f.api.Charged(), "nothing is paid for the one that was cancelled")
		assert.Less(t, oldest, 3*time.Second, "the time in the queue does not count")
		f.history(t, "dropped", "history_v1_dropped.json")
	})
	t.Run("retry of the workflow", func(t *testing.T) { //nolint:paralleltest // one generation after another
		before := f.api.Charged()
		f.api.Delay(5 * time.Second) // the first run pays, and times out
		run, err := f.tc.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
			ID: "retry", TaskQueue: viduworkflow.TaskQueue, WorkflowRunTimeout: 2 * time.Second,
			RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, MaximumAttempts: 3},
		}, viduworkflow.WorkflowName, input())
		require.NoError(t, err)
		require.ErrorIs(t, viduworkflow.ErrorOf(run.Get(t.Context(), nil)), vidu.ErrMaybeCreated)
		assert.Equal(t, before+1, f.api.Charged())
	})
}

// fleet is a dev server, a worker, a fake API and a receiver of its callbacks.
type fleet struct {
	cli       string
	address   string
	tc        client.Client
	api       *vidutest.Server
	a         *viduworkflow.Activities
	callbacks *httptest.Server
	submits   worker.Worker
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{cli: os.Getenv("VIDU_TEMPORAL_CLI")}
	if f.cli == "" {
		t.Skip("VIDU_TEMPORAL_CLI does not name a Temporal CLI, which killtest/ci can build")
	}
	dev, err := testsuite.StartDevServer(t.Context(), testsuite.DevServerOptions{
		ExistingPath: f.cli, LogLevel: "error", Stdout: t.Output(), Stderr: t.Output(),
		ClientOptions: &client.Options{Identity: "vidu"},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, dev.Stop()) })
	f.tc, f.address = dev.Client(), dev.FrontendHostPort()
	t.Cleanup(f.tc.Close)

	f.api = vidutest.NewServer(vidutest.WithOfficialAPI(), vidutest.WithTiming(0, time.Second), vidutest.WithCallbacks(&http.Client{Timeout: time.Minute}))
	t.Cleanup(f.api.Close)
	vc, err := vidu.NewClient(f.api.URL, vidutest.APIKey, vidu.WithOfficialAPI())
	require.NoError(t, err)
	handler, err := viduworkflow.CallbackHandler(vc, f.tc, vidutest.APIKey)
	require.NoError(t, err)
	f.callbacks = httptest.NewServer(handler)
	t.Cleanup(f.callbacks.Close)

	f.a = &viduworkflow.Activities{Client: vc, Store: viduworkflow.Dir(t.TempDir())}
	f.a.Pause = func(*vidu.Task, time.Duration) time.Duration { return time.Second }
	w := worker.New(f.tc, viduworkflow.TaskQueue, worker.Options{})
	viduworkflow.Register(w, f.a)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	require.NoError(t, f.submitWorker().Start())
	t.Cleanup(func() { f.submits.Stop() })
	return f
}

// submitWorker replaces the worker of creates.
func (f *fleet) submitWorker() worker.Worker {
	f.submits = worker.New(f.tc, viduworkflow.SubmitQueue(viduworkflow.TaskQueue), worker.Options{DisableWorkflowWorker: true})
	viduworkflow.RegisterSubmit(f.submits, f.a)
	return f.submits
}

func (f *fleet) start(t *testing.T, id string, in viduworkflow.Input) client.WorkflowRun {
	t.Helper()
	run, err := viduworkflow.Start(t.Context(), f.tc, id, in)
	require.NoError(t, err)
	return run
}

func (f *fleet) generate(t *testing.T, id string, in viduworkflow.Input) *viduworkflow.Output {
	t.Helper()
	out := &viduworkflow.Output{}
	require.NoError(t, f.start(t, id, in).Get(t.Context(), out))
	return out
}

// history returns the history of a workflow, which must not contain the key, and records it if -record is set.
func (f *fleet) history(t *testing.T, id, file string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	text, err := exec.CommandContext(ctx, f.cli, "workflow", "show", "--address", f.address, "-w", id, "--output", "json").Output()
	require.NoError(t, err)
	assert.NotContains(t, string(text), vidutest.APIKey)
	if *record {
		require.NoError(t, os.WriteFile(filepath.Join("testdata", file), text, 0o644))
	}
	return text
}
