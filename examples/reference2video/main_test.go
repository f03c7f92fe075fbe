package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

// against points the program at server, nil for none, and runs it in a folder of its own.
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
		"an argument":                 {args: []string{"hero.png"}, code: exitUsage, says: "hero.png"},
		"help":                        {args: []string{"-h"}, code: exitDone, says: "-off-peak"},
		"an image that is none":       {args: []string{"-image", "missing.png"}, code: exitFailed, says: "No task was created."},
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

func TestUsageWithoutAKey(t *testing.T) {
	code, said := against(t, t.Context(), nil, "-task", "1")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, said, "VIDU_API_KEY")
	t.Setenv("VIDU_API_KEY", vidutest.APIKey)
	var stderr bytes.Buffer
	assert.Equal(t, exitUsage, run(t.Context(), nil, &stderr, &stderr))
	assert.Contains(t, stderr.String(), "VIDU_BASE_URL is not set")
}

// TestInterruptAndResume presses Ctrl-C while the task runs and then does what the program says.
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
