package viduworkflow_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	viduworkflow "github.com/vidu-go/vidu/temporal"
)

// Workflows of an earlier version must be able to continue. When this fails, put the change behind workflow.GetVersion;
// record anew only what was never released.
func TestReplay(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/history_v*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			require.NoError(t, replay(file))
		})
	}
}

// A history with swapped activities is rejected: the test above can fail.
func TestReplayFindsSwappedActivities(t *testing.T) {
	t.Parallel()
	tests := map[string][2]string{
		"history_v1.json":           {viduworkflow.AwaitName, viduworkflow.DownloadName},
		"history_v1_reconcile.json": {viduworkflow.ReconcileName, viduworkflow.AwaitName},
	}
	for name, names := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("testdata", name))
			require.NoError(t, err)
			swapped := strings.NewReplacer(quote(names[0]), quote(names[1]), quote(names[1]), quote(names[0])).Replace(string(text))
			require.NotEqual(t, string(text), swapped)
			file := filepath.Join(t.TempDir(), name)
			require.NoError(t, os.WriteFile(file, []byte(swapped), 0o600))
			assert.ErrorContains(t, replay(file), "nondeterministic")
		})
	}
}

func quote(s string) string { return `"` + s + `"` }

func replay(file string) error {
	replayer := worker.NewWorkflowReplayer()
	replayer.RegisterWorkflowWithOptions(viduworkflow.Generate, workflow.RegisterOptions{Name: viduworkflow.WorkflowName})
	return replayer.ReplayWorkflowHistoryFromJSONFile(nil, file)
}
