package viduworkflow_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/vidu-go/vidu"
	viduworkflow "github.com/vidu-go/vidu/temporal"
	"github.com/vidu-go/vidu/vidutest"
)

// engine is a Temporal client that records its calls.
type engine struct {
	client.Client
	options client.StartWorkflowOptions
	args    []any
	signals []string // workflow ids
	err     error
}

func (e *engine) ExecuteWorkflow(_ context.Context, options client.StartWorkflowOptions, _ any, args ...any) (client.WorkflowRun, error) {
	e.options, e.args = options, args
	return nil, e.err
}

func (e *engine) SignalWorkflow(_ context.Context, id, _, _ string, _ any) error {
	e.signals = append(e.signals, id)
	return e.err
}

func TestStart(t *testing.T) {
	t.Parallel()
	e := &engine{}

	_, err := viduworkflow.Start(t.Context(), e, jobID, input())

	require.NoError(t, err)
	assert.Equal(t, client.StartWorkflowOptions{
		ID:                       jobID,
		TaskQueue:                "vidu",
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
	}, e.options)
	text, err := json.Marshal(e.args[0])
	require.NoError(t, err)
	assert.JSONEq(t, `{"request":{"model":"viduq2-pro","images":["https://example.com/hero.png"],"prompt":"The astronaut waved.",
		"duration":5,"seed":0,"resolution":"720p","movement_amplitude":"auto","off_peak":false}}`, string(text))
}

func TestStartElsewhere(t *testing.T) {
	t.Parallel()
	e := &engine{err: errors.New("no connection")}
	in := input()
	in.TaskQueue = "account-2"
	_, err := viduworkflow.Start(t.Context(), e, jobID, in)
	require.ErrorIs(t, err, e.err)
	assert.Equal(t, "account-2", e.options.TaskQueue)
	assert.Equal(t, "account-2-submit", viduworkflow.SubmitQueue(e.options.TaskQueue))
}

// An invalid input is refused before anything is started.
func TestStartRefuses(t *testing.T) {
	t.Parallel()
	png, err := os.ReadFile("../vidutest/assets/cover.jpg")
	require.NoError(t, err)
	subject := func(m vidu.Media) []vidu.Subject { return []vidu.Subject{{Name: "hero", Images: []vidu.Media{m}}} }
	tests := map[string]struct {
		id    string
		spoil func(*viduworkflow.Input)
		want  string
	}{
		"no id":          {"", func(*viduworkflow.Input) {}, "id is empty"},
		"no prompt":      {jobID, func(in *viduworkflow.Input) { in.Request.Prompt = "" }, "prompt"},
		"bytes":          {jobID, func(in *viduworkflow.Input) { in.Request.Images = []vidu.Media{vidu.Bytes(png)} }, "UploadImage"},
		"inline subject": {jobID, func(in *viduworkflow.Input) { in.Request.Images, in.Request.Subjects = nil, subject(vidu.Bytes(png)) }, "UploadImage"},
		"missing file":   {jobID, func(in *viduworkflow.Input) { in.Request.Images = []vidu.Media{vidu.File("missing.png")} }, "images[0]"},
		"too large":      {jobID, func(in *viduworkflow.Input) { in.Request.Extra = map[string]any{"x": strings.Repeat("x", 600<<10)} }, "history"},
		"payload":        {jobID, func(in *viduworkflow.Input) { in.Request.Payload = "mine" }, "payload"},
		"policy":         {jobID, func(in *viduworkflow.Input) { in.OnUnknown = "hope" }, "OnUnknown"},
		"negative":       {jobID, func(in *viduworkflow.Input) { in.Settle = -1 }, "negative"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &engine{}
			in := input()
			test.spoil(&in)
			_, err := viduworkflow.Start(t.Context(), e, test.id, in)
			require.ErrorContains(t, err, test.want)
			assert.Empty(t, e.args)
		})
	}
}

// post hands a callback about a task to the handler and returns the status.
func post(t *testing.T, w *world, tc client.Client, callback vidutest.Callback) int {
	t.Helper()
	handler, err := viduworkflow.CallbackHandler(w.client, tc, vidutest.APIKey)
	require.NoError(t, err)
	r, err := w.server.NewCallback(t.Context(), callback)
	require.NoError(t, err)
	reply := httptest.NewRecorder()
	handler.ServeHTTP(reply, r)
	return reply.Code
}

func TestCallbackHandler(t *testing.T) {
	t.Parallel()
	const named = "https://example.com/cb?workflow=" + jobID
	tests := map[string]struct {
		payload  string // of the task
		callback vidutest.Callback
		err      error // of Temporal
		status   int
		signals  []string
	}{
		"genuine":              {jobID, vidutest.Callback{URL: named}, nil, http.StatusOK, []string{jobID}},
		"no payload":           {"", vidutest.Callback{URL: named}, nil, http.StatusOK, []string{jobID}},
		"another's":            {"job-2", vidutest.Callback{URL: named}, nil, http.StatusOK, []string{"job-2"}},
		"nobody's":             {"", vidutest.Callback{URL: "https://example.com/cb"}, nil, http.StatusOK, nil},
		"workflow gone":        {jobID, vidutest.Callback{URL: named}, serviceerror.NewNotFound("gone"), http.StatusOK, []string{jobID}},
		"Temporal unreachable": {jobID, vidutest.Callback{URL: named}, serviceerror.NewUnavailable("down"), http.StatusInternalServerError, []string{jobID}},
		"forged":               {jobID, vidutest.Callback{URL: named, Key: "another-key"}, nil, http.StatusUnauthorized, nil},
		"stale":                {jobID, vidutest.Callback{URL: named, Date: time.Now().Add(-time.Hour)}, nil, http.StatusUnauthorized, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			e := &engine{err: test.err}
			test.callback.TaskID = w.create(t, test.payload)
			assert.Equal(t, test.status, post(t, w, e, test.callback))
			assert.Equal(t, test.signals, e.signals)
		})
	}
}

// A callback with success in its body about a running task wakes no workflow: the API decides, not the body.
func TestCallbackBodyIsNotTrusted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, vidutest.WithTiming(time.Hour, time.Hour))
	e := &engine{}
	id := w.create(t, jobID)
	status := post(t, w, e, vidutest.Callback{TaskID: id, State: "success", URL: "https://example.com/cb?workflow=" + jobID})
	assert.Equal(t, http.StatusOK, status)
	assert.Empty(t, e.signals)
}

func TestCallbackHandlerNeedsSecret(t *testing.T) {
	t.Parallel()
	_, err := viduworkflow.CallbackHandler(newWorld(t).client, &engine{}, "")
	require.Error(t, err)
}

func TestErrorOf(t *testing.T) {
	t.Parallel()
	assert.Nil(t, viduworkflow.ErrorOf(nil))
	assert.Nil(t, viduworkflow.ErrorOf(errors.New("another")))
	assert.Nil(t, viduworkflow.ErrorOf(temporal.NewApplicationError("another", "kind", "details")))
	assert.Nil(t, viduworkflow.ErrorOf(temporal.NewApplicationError("another", "kind", map[string]string{"kind": "mine"})))
	assert.Nil(t, viduworkflow.ErrorOf(temporal.NewCanceledError(7)))
	none := viduworkflow.ErrorOf(nil)
	require.NotErrorIs(t, none, vidu.ErrMaybeCreated)
	assert.Equal(t, "unknown reason", none.Error())
	refused := &viduworkflow.GenerateError{Kind: viduworkflow.Refused, Message: "no", Code: vidu.ErrCreditInsufficient}
	require.ErrorIs(t, refused, vidu.ErrCreditInsufficient)
	require.NotErrorIs(t, refused, vidu.ErrMaybeCreated)
	assert.Equal(t, "vidu.Refused: no", refused.Error())
}

func TestDirNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"job-1":                  "job-1.mp4",
		"../../x":                "%2E.%2F..%2Fx.mp4",
		"..":                     "%2E..mp4",
		`a\b:c`:                  "a%5Cb%3Ac.mp4",
		"猫":                      url.QueryEscape("猫") + ".mp4",
		"order 1/a+b":            "order+1%2Fa%2Bb.mp4",
		"order.1":                "order.1.mp4",
		"CON":                    "%43ON-a3dbc4b644a9a2c51e74509ded5c46cc.mp4",
		"con":                    "%63on.mp4",
		"nul.txt":                "%6Eul.txt.mp4",
		"com1":                   "%63om1.mp4",
		"lpt9.a":                 "%6Cpt9.a.mp4",
		"conference":             "conference.mp4",
		"com10":                  "com10.mp4",
		".a":                     "%2Ea.mp4",
		"-rf":                    "%2Drf.mp4",
		"a.":                     "a..mp4",
		"a=1~2":                  "a%3D1~2.mp4",
		"order-1":                "order-1.mp4",
		"Order-1":                "Order-1-3c3592c2f37a558107e6955feeb21a70.mp4",
		"ORDER-1":                "ORDER-1-c1d05a837876d68892cc978153fac336.mp4",
		strings.Repeat("a", 200): strings.Repeat("a", 200) + ".mp4",
		strings.Repeat("a", 201): strings.Repeat("a", 167) + "-a92efd82109373e58f9a2056dee01e80.mp4",
		strings.Repeat("猫", 100): strings.Repeat("%E7%8C%AB", 18) + "%E7%8-31d340fd2960d9f20b22410d78e1afbd.mp4",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := w.create(t, name)
			task, err := w.client.GetTask(t.Context(), id)
			require.NoError(t, err)
			dir := viduworkflow.Dir(filepath.Join(t.TempDir(), "new"))
			for range 2 { // again, after a crash
				location, err := dir.Save(t.Context(), name, &viduworkflow.Video{Client: w.client, Task: task})
				require.NoError(t, err)
				assert.Equal(t, filepath.Join(string(dir), want), location)
				assert.FileExists(t, location)
			}
			entries, err := os.ReadDir(string(dir))
			require.NoError(t, err)
			assert.Len(t, entries, 1)
		})
	}
}

func TestDirRefuses(t *testing.T) {
	t.Parallel()
	_, err := viduworkflow.Dir("").Save(t.Context(), "x", &viduworkflow.Video{})
	require.Error(t, err)
	_, err = viduworkflow.Dir(t.TempDir()).Save(t.Context(), "", &viduworkflow.Video{})
	require.Error(t, err)
}
