package viduworkflow_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
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

// The inputs of the other requests, as histories hold them, run the same steps; only their create has another name.
func TestReplay_Kinds(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"text2video":      `{"text2video":{"model":"viduq2","prompt":"p","duration":5,"seed":0,"resolution":"720p"}}`,
		"img2video":       `{"img2video":{"model":"viduq2-pro","images":["https://example.com/hero.png"],"seed":0}}`,
		"start-end2video": `{"start_end2video":{"model":"viduq2-pro","images":["https://example.com/1.png","https://example.com/2.png"]}}`,
		"generic":         `{"generic":{"endpoint":"lip-sync","fields":{"text":"t","number":9223372036854775809}}}`,
	}
	text, err := os.ReadFile("testdata/history_v1.json")
	require.NoError(t, err)
	input := regexp.MustCompile(`"data": "[^"]*"`).FindString(string(text)) // the first of all is the workflow's
	require.NotEmpty(t, input)
	for name, request := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := `"data": ` + quote(base64.StdEncoding.EncodeToString([]byte(request)))
			history := strings.Replace(string(text), input, data, 1)
			file := filepath.Join(t.TempDir(), "history.json")
			require.NoError(t, os.WriteFile(file, []byte(history), 0o600))
			require.ErrorContains(t, replay(file), "nondeterministic", "the create of a Reference2VideoRequest is another activity")
			history = strings.ReplaceAll(history, quote(viduworkflow.SubmitName), `"vidu.Create"`)
			require.NoError(t, os.WriteFile(file, []byte(history), 0o600))
			require.NoError(t, replay(file))
		})
	}
}

func quote(s string) string { return `"` + s + `"` }

func replay(file string) error {
	replayer := worker.NewWorkflowReplayer()
	replayer.RegisterWorkflowWithOptions(viduworkflow.Generate, workflow.RegisterOptions{Name: viduworkflow.WorkflowName})
	return replayer.ReplayWorkflowHistoryFromJSONFile(nil, file)
}
