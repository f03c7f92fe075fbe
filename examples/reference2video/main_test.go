package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

// against runs the program against server, nil for none, in its own folder.
func against(t *testing.T, ctx context.Context, server *vidutest.Server, args ...string) (int, string) { //nolint:revive // t comes first
	t.Helper()
	t.Setenv("VIDU_BASE_URL", "")
	t.Setenv("VIDU_API_KEY", "")
	if server != nil {
		t.Setenv("VIDU_BASE_URL", server.URL)
		t.Setenv("VIDU_API_KEY", vidutest.APIKey)
	}
	t.Chdir(t.TempDir())
	var stdout, stderr bytes.Buffer
	code := run(ctx, args, &stdout, &stderr)
	return code, stdout.String() + stderr.String()
}

func TestMakesAVideoWithoutAKey(t *testing.T) { //nolint:paralleltest // the environment and the folder are shared
	code, said := against(t, t.Context(), nil, "-out", "hero.mp4")
	require.Equal(t, exitDone, code, said)
	assert.Contains(t, said, "hero.mp4 (9096 bytes)")
	assert.Contains(t, said, "using a fake server")
	video, err := os.ReadFile("hero.mp4")
	require.NoError(t, err)
	assert.Equal(t, "ftyp", string(video[4:8]))
}

// TestEndpoints makes a video in each of the four ways, and each flag that goes into a request arrives.
func TestEndpoints(t *testing.T) { //nolint:paralleltest // as above
	for name, tt := range map[string]struct { //nolint:paralleltest // as above
		args []string
		sent string
	}{
		"reference2video": {sent: `"images":["https://example.com/a.png"],"model":"m","prompt":"p",`},
		"text2video":      {sent: `"model":"m","prompt":"p",`},
		"img2video":       {sent: `"images":["https://example.com/a.png"],"model":"m","prompt":"p",`},
		"start-end2video": {
			args: []string{"-image", "https://example.com/b.png"},
			sent: `"images":["https://example.com/a.png","https://example.com/b.png"],"model":"m","prompt":"p",`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := vidutest.NewServer(vidutest.WithTiming(0, 0))
			defer server.Close()
			args := []string{"-endpoint", name, "-model", "m", "-prompt", "p", "-duration", "7", "-resolution", "540p", "-seed", "3", "-off-peak"}
			if name != "text2video" {
				args = append(args, "-image", "https://example.com/a.png")
			}
			code, said := against(t, t.Context(), server, append(args, tt.args...)...)
			require.Equal(t, exitDone, code, said)
			created := server.Requests()[0]
			assert.Equal(t, name, created.Endpoint)
			var fields map[string]any
			require.NoError(t, json.Unmarshal(created.Body, &fields))
			assert.Regexp(t, "^vidu-", fields["payload"])
			delete(fields, "payload")
			sent, err := json.Marshal(fields)
			require.NoError(t, err)
			assert.JSONEq(t, "{"+tt.sent+`"duration":7,"resolution":"540p","seed":3,"off_peak":true,"movement_amplitude":"auto"}`, string(sent))
		})
	}
}

// TestEndpoints_Defaults lets each endpoint choose its model and the number of its images.
func TestEndpoints_Defaults(t *testing.T) { //nolint:paralleltest // as above
	for name := range endpoints { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			code, said := against(t, t.Context(), nil, "-endpoint", name, "-out", "v.mp4")
			assert.Equal(t, exitDone, code, said)
		})
	}
}

func TestExitStatus(t *testing.T) { //nolint:paralleltest // as above
	quick := vidutest.WithTiming(0, 0)
	tests := map[string]struct {
		script func(*vidutest.Server)
		args   []string
		code   int
		says   string
	}{
		"video, named after the task": {code: exitDone, says: ".mp4 (9096 bytes)"},
		"an unknown flag":             {args: []string{"-colour"}, code: exitUsage, says: "-colour"},
		"an unknown endpoint":         {args: []string{"-endpoint", "tasks"}, code: exitUsage, says: `-endpoint: there is no "tasks"`},
		"an image for text2video":     {args: []string{"-endpoint", "text2video", "-image", "a.png"}, code: exitUsage, says: "takes no images"},
		"one image of two":            {args: []string{"-endpoint", "start-end2video", "-image", "https://example.com/1.png"}, code: exitFailed, says: "No task was created."},
		"an invalid task id":          {args: []string{"-task", "../../x"}, code: exitUsage, says: "is not a task id"},
		"an unknown task":             {args: []string{"-task", "77", "-timeout", "1s"}, code: exitMayExist, says: "To try again:"},
		"no time at all":              {args: []string{"-timeout", "-1s"}, code: exitUsage, says: "-timeout"},
		"an argument":                 {args: []string{"hero.png"}, code: exitUsage, says: "hero.png"},
		"help":                        {args: []string{"-h"}, code: exitDone, says: "-off-peak"},
		"a missing image":             {args: []string{"-image", "missing.png"}, code: exitFailed, says: "No task was created."},
		"refused":                     {script: func(s *vidutest.Server) { s.FailNext(400, "") }, code: exitFailed, says: "No task was created."},
		"unknown":                     {script: (*vidutest.Server).DropReplyAfterCommit, code: exitMayExist, says: "A TASK MAY EXIST"},
		"failed":                      {script: func(s *vidutest.Server) { s.FailTask("AuditFailed") }, code: exitFailed, says: "AuditFailed"},
		"a key but the wrong API":     {args: []string{"-official"}, code: exitFailed, says: "No task was created."},
	}
	for name, tt := range tests { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			server := vidutest.NewServer(quick)
			defer server.Close()
			if tt.script != nil {
				tt.script(server)
			}
			code, said := against(t, t.Context(), server, tt.args...)
			assert.Equal(t, tt.code, code, said)
			assert.Contains(t, said, tt.says)
			assert.NotContains(t, said, vidutest.APIKey)
		})
	}
}

// TestFakeEndsWithTheProgram prints no advice to wait for a task that is gone.
func TestFakeEndsWithTheProgram(t *testing.T) { //nolint:paralleltest // as above
	code, said := against(t, t.Context(), nil, "-timeout", "1ms")
	assert.Equal(t, exitMayExist, code, said)
	assert.Contains(t, said, "the task with it")
	assert.NotContains(t, said, "go run")
}

func TestUsageWithoutAKey(t *testing.T) {
	code, said := against(t, t.Context(), nil, "-task", "1")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, said, "VIDU_API_KEY")
	t.Setenv("VIDU_API_KEY", vidutest.APIKey)
	var stderr bytes.Buffer
	assert.Equal(t, exitUsage, run(t.Context(), nil, &stderr, &stderr))
	assert.Contains(t, stderr.String(), "VIDU_BASE_URL is not set")
}

// TestInterruptAndResume presses Ctrl-C while the task runs and then follows the advice.
func TestInterruptAndResume(t *testing.T) { //nolint:paralleltest // as above
	server := vidutest.NewServer(vidutest.WithTiming(0, time.Second))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	code, said := against(t, ctx, server)
	require.Equal(t, exitMayExist, code, said)
	_, id, found := strings.Cut(said, "go run ./examples/reference2video -task ")
	require.True(t, found, said)

	code, said = against(t, t.Context(), server, "-task", strings.TrimSpace(id), "-out", filepath.Join(t.TempDir(), "v.mp4"))
	require.Equal(t, exitDone, code, said)
	assert.Equal(t, 1, server.Charged(), "waiting again costs nothing")
}

// TestInterruptDuringTheCreate presses Ctrl-C while the create is in flight: its answer, and so the id, is still waited
// for.
func TestInterruptDuringTheCreate(t *testing.T) { //nolint:paralleltest // as above
	server := vidutest.NewServer()
	defer server.Close()
	server.Delay(500 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	code, said := against(t, ctx, server)
	require.Equal(t, exitMayExist, code, said)
	assert.Contains(t, said, "Creating a task with the payload vidu-")
	assert.Contains(t, said, "The task exists. To go on waiting: go run ./examples/reference2video -task ")
	assert.Equal(t, 1, server.Charged())
}

func TestInterruptBeforeTheCreate(t *testing.T) { //nolint:paralleltest // as above
	server := vidutest.NewServer()
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, said := against(t, ctx, server)
	require.Equal(t, exitFailed, code, said)
	assert.Contains(t, said, "No task was created.")
	assert.Empty(t, server.Requests())
}

// TestChecksTheTargetFirst has targets that cannot be written, which is reported before anything is sent.
func TestChecksTheTargetFirst(t *testing.T) { //nolint:paralleltest // as above
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file.mp4"), filepath.Join(dir, "link.mp4")
	hero, missing := filepath.Join(dir, "my hero.mp4"), filepath.Join(dir, "missing")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, os.Symlink(missing, link))
	code, said := against(t, t.Context(), server, "-out", hero)
	require.Equal(t, exitDone, code, said)
	before := len(server.Requests())
	for name, tt := range map[string]struct { //nolint:paralleltest // as above
		args []string
		says string
	}{
		"the video of the first run": {[]string{"-out", hero}, hero + " exists already"},
		"a file":                     {[]string{"-out", file}, file + " exists already"},
		"a link to nothing":          {[]string{"-out", link}, link + " exists already"},
		"a folder":                   {[]string{"-out", dir}, dir + " exists already"},
		"no folder to put it in":     {[]string{"-out", filepath.Join(missing, "v.mp4")}, missing},
		"a file for a folder":        {[]string{"-out", filepath.Join(file, "v.mp4")}, file},
	} {
		t.Run(name, func(t *testing.T) {
			code, said := against(t, t.Context(), server, tt.args...)
			assert.Equal(t, exitUsage, code, said)
			assert.Contains(t, said, tt.says)
			assert.Len(t, server.Requests(), before, "nothing was sent")
			found, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Len(t, found, 3, "nothing was left behind")
		})
	}
	assert.Equal(t, 1, server.Charged())
}

// TestNameTakenMeanwhile has another process write the file while the task runs: the advice names another file.
func TestNameTakenMeanwhile(t *testing.T) { //nolint:paralleltest // as above
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	hero := filepath.Join(t.TempDir(), "hero.mp4")
	server.AnswerNext("GET /tasks/{id}/creations", func(w http.ResponseWriter, _ *http.Request) {
		assert.NoError(t, os.WriteFile(hero, nil, 0o600))
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	code, said := against(t, t.Context(), server, "-out", hero)
	require.Equal(t, exitMayExist, code, said)
	_, advice, found := strings.Cut(said, "The video is made. To fetch it: go run ./examples/reference2video ")
	require.True(t, found, said)
	code, said = against(t, t.Context(), server, strings.Fields(advice)...)
	require.Equal(t, exitDone, code, said)
	assert.Equal(t, 1, server.Charged())
}

// TestTakenNameOfATask has a file with the name of the task, which is safe on every system.
func TestTakenNameOfATask(t *testing.T) {
	t.Chdir(t.TempDir())
	for id, name := range map[string]string{
		"77": "task-77.mp4", "-1": "task--1.mp4", "CON": "task-CON.mp4", "a.": "task-a_.mp4", "cgt:20~x+y==": "task-cgt_20_x_y__.mp4",
	} {
		require.NoError(t, os.WriteFile(name, nil, 0o600))
		var stderr bytes.Buffer
		assert.Equal(t, exitUsage, run(t.Context(), []string{"-task", id}, &stderr, &stderr))
		assert.Contains(t, stderr.String(), name+" exists already")
	}
}

// TestAdviceIsTheSameJob has a shell parse the advice, and the program parse the result.
func TestAdviceIsTheSameJob(t *testing.T) {
	t.Parallel()
	const program = "go run ./examples/reference2video"
	for name, tt := range map[string]struct {
		args []string
		id   string
		want string // after the program
	}{
		"no flags":                        {nil, "77", " -task 77"},
		"official, a name":                {[]string{"-official", "-out", "a/b-c_1.mp4"}, "77", " -official -out a/b-c_1.mp4 -task 77"},
		"off-peak":                        {[]string{"-off-peak"}, "77", " -timeout 49h0m0s -task 77"},
		"a timeout":                       {[]string{"-timeout", "90m"}, "77", " -timeout 1h30m0s -task 77"},
		"off-peak, and the usual timeout": {[]string{"-off-peak", "-timeout", "15m"}, "77", " -task 77"},
		"a space":                         {[]string{"-out", "my hero.mp4"}, "77", " -out 'my hero.mp4' -task 77"},
		"quotes":                          {[]string{"-out", `it's "$HOME".mp4`}, "77", ` -out 'it'\''s "$HOME".mp4' -task 77`},
		"a pattern":                       {[]string{"-out", "~/*;&|<>#!`ls`\\\n.mp4"}, "77", " -out '~/*;&|<>#!`ls`\\\n.mp4' -task 77"},
		"other letters":                   {[]string{"-out", "主角.mp4"}, "77", " -out '主角.mp4' -task 77"},
		"a name like a flag":              {[]string{"-out", "-official"}, "-1", " -out -official -task -1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, err := parse(tt.args, io.Discard)
			require.NoError(t, err)
			advice := j.resume(tt.id)
			require.Equal(t, program+tt.want, advice)
			shell, err := exec.LookPath("sh")
			if err != nil {
				t.Skip("no shell")
			}
			words, err := exec.CommandContext(t.Context(), shell, "-c", "printf '%s\\0'"+strings.TrimPrefix(advice, program)).Output()
			require.NoError(t, err)
			again, err := parse(strings.Split(strings.TrimSuffix(string(words), "\x00"), "\x00"), io.Discard)
			require.NoError(t, err)
			assert.Equal(t, tt.id, again.taskID)
			assert.Equal(t, j.out, again.out)
			assert.Equal(t, j.official, again.official)
			assert.Equal(t, j.timeout, again.timeout)
		})
	}
}
