package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

func TestMakesVideosWithoutAKey(t *testing.T) {
	t.Setenv("VIDU_BASE_URL", "")
	t.Setenv("VIDU_API_KEY", "")
	var out bytes.Buffer
	folder := t.TempDir()
	require.Equal(t, exitDone, run(t.Context(), []string{"-out", folder, "prompts.txt"}, &out, &out), out.String())
	assert.Contains(t, out.String(), "using a fake server")
	assert.Contains(t, out.String(), "3 made, 0 made before")

	code := run(t.Context(), []string{"-out", folder, "prompts.txt"}, &out, &out)
	assert.Equal(t, exitUsage, code, "the tasks of a fake server end with it")
	assert.Contains(t, out.String(), "take another -out")
}

func TestRunsOnceAndAgain(t *testing.T) { //nolint:paralleltest // the environment is shared
	l := newLab(t, "one\n\n# a remark\ntwo\ntwo\n"+`{"prompt":"three","model":"viduq1","seed":7}`+"\n")
	code, said := l.run(t)
	require.Equal(t, exitDone, code, said)
	assert.Equal(t, 4, l.server.Charged(), "the same line twice is two videos")
	assert.Equal(t, 4, l.videos(t))
	assert.Equal(t, 4, strings.Count(said, ".mp4\n"), "one line per task")

	l.write(t, "prompts.txt", "new\ntwo\none\n")
	code, said = l.run(t)
	require.Equal(t, exitDone, code, said)
	assert.Contains(t, said, "1 made, 2 made before")
	assert.Equal(t, 5, l.server.Charged())
}

func TestExitStatus(t *testing.T) { //nolint:paralleltest // as above
	tests := map[string]struct {
		prompts string
		opts    []vidutest.Option
		script  func(*vidutest.Server)
		args    []string
		code    int
		says    string
		charged int
	}{
		"a refused one": {
			prompts: "one\nrude\nthree\n", opts: []vidutest.Option{vidutest.WithRefusedWord("rude", "TaskPromptPolicyViolation")},
			code: exitFailed, says: "2 made, 0 made before, 1 refused", charged: 2,
		},
		"a failed one": {
			prompts: "one\nrude\n", opts: []vidutest.Option{vidutest.WithFailingWord("rude", "AuditFailed")},
			code: exitFailed, says: "AuditFailed", charged: 2,
		},
		"out of money": {
			prompts: "one\ntwo\nthree\n", script: func(s *vidutest.Server) {
				s.FailNext(400, `{"code":400,"reason":"CreditInsufficient","message":"no"}`)
			},
			code: exitFailed, says: "1 refused or failed, 0 unfinished, 0 unknown, 2 not begun",
		},
		"unknown": {
			prompts: "one\ntwo\n", script: (*vidutest.Server).DropReplyAfterCommit,
			code: exitMayExist, says: "A TASK MAY EXIST", charged: 2,
		},
		"many unknown": {
			prompts: "1\n2\n3\n4\n5\n", script: func(s *vidutest.Server) {
				for range 5 {
					s.DropReplyAfterCommit()
				}
			},
			code: exitMayExist, says: "3 unknown, 2 not begun", charged: 3,
		},
		"bad lines":    {prompts: "fine\n{\"prompt\":\n{\"prompt\":\"x\",\"payload\":\"y\"}\n", code: exitUsage, says: "prompts.txt:3"},
		"no lines":     {prompts: "# nothing\n", code: exitUsage, says: "no prompts"},
		"a second one": {prompts: "one\n", args: []string{"prompts2.txt"}, code: exitUsage, says: "usage"},
		"no creates":   {prompts: "one\n", args: []string{"-tasks", "0"}, code: exitUsage, says: "-tasks"},
		"an old flag":  {prompts: "one\n", args: []string{"-retry-doubtful"}, code: exitUsage, says: "-retry-unknown"},
		"help":         {prompts: "one\n", args: []string{"-h"}, code: exitDone, says: "MAY PAY TWICE"},
	}
	for name, tt := range tests { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			l := newLab(t, tt.prompts, tt.opts...)
			if tt.script != nil {
				tt.script(l.server)
			}
			code, said := l.run(t, tt.args...)
			assert.Equal(t, tt.code, code, said)
			assert.Contains(t, said, tt.says)
			assert.Equal(t, tt.charged, l.server.Charged())
		})
	}
}

func TestRetryFailed(t *testing.T) { //nolint:paralleltest // as above
	l := newLab(t, "one\n")
	l.server.FailTask("AuditFailed")
	code, said := l.run(t)
	require.Equal(t, exitFailed, code, said)
	code, said = l.run(t)
	require.Equal(t, exitFailed, code, said)
	assert.Equal(t, 1, l.server.Charged())
	code, said = l.run(t, "-retry-failed")
	require.Equal(t, exitDone, code, said)
	assert.Equal(t, 2, l.server.Charged())
}
