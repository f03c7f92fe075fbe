package main

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

const killVariable = "BATCH_TEST_KILL_AT"

// TestMain makes of the test's own binary the program, to be killed the second time that it comes to a point.
func TestMain(m *testing.M) {
	point := os.Getenv(killVariable)
	if point == "" {
		os.Exit(m.Run())
	}
	times := 0
	reached = func(now string) {
		if now == point {
			times++
		}
		if times == 2 {
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = self.Kill()
			}
			if err == nil {
				select {} // until the signal is there
			}
		}
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// kill runs the program until it kills itself at a point.
func (l *lab) kill(t *testing.T, point string, more ...string) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), program, l.args(more...)...)
	command.Env = append(os.Environ(), killVariable+"="+point)
	said, err := command.CombinedOutput()
	var killed *exec.ExitError
	require.ErrorAs(t, err, &killed, string(said))
	require.Equal(t, -1, killed.ExitCode(), "killed by the signal: %s", said)
	l.nothingForgotten(t)
}

// TestKilled kills a run of three prompts at the second one, on a gateway, which lists no tasks, and on the official
// API, which does. The ledger then says what was paid.
func TestKilled(t *testing.T) { //nolint:paralleltest // the environment is shared
	type after struct{ code, charged, videos int }
	finished := after{exitDone, 3, 3}
	tests := map[string]struct {
		point    string
		paid     int // when killed
		gateway  after
		official after
		retried  after // with -retry-doubtful, on the gateway
	}{
		"before anything": {"before creating", 1, finished, finished, finished},
		"before the create": {
			"after creating", 1,
			after{exitMayExist, 2, 2},
			after{exitMayExist, 2, 2}, // not found, which proves nothing
			finished,                  // the user said that there was none, and was right
		},
		"after the create, before its record": {
			"before created", 2,
			after{exitMayExist, 3, 2},
			finished,
			after{exitDone, 4, 3}, // the user was warned
		},
		"while waiting":                         {"after created", 2, finished, finished, finished},
		"after the download, before its record": {"before done", 3, finished, finished, finished},
		"after a record of a video":             {"after done", 3, finished, finished, finished},
	}
	for name, tt := range tests { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			check := func(l *lab, want after, args ...string) {
				t.Helper()
				l.kill(t, tt.point, args...)
				require.Equal(t, tt.paid, l.server.Charged())
				for range 2 { // the third run changes nothing
					code, said := l.run(t, args...)
					assert.Equal(t, want, after{code, l.server.Charged(), l.videos(t)}, said)
				}
			}
			t.Run("gateway", func(t *testing.T) { //nolint:paralleltest // as above
				check(newLab(t, "one\ntwo\nthree\n"), tt.gateway)
			})
			t.Run("official", func(t *testing.T) { //nolint:paralleltest // as above
				check(newLab(t, "one\ntwo\nthree\n", vidutest.WithOfficialAPI()), tt.official, "-official")
			})
			t.Run("retried", func(t *testing.T) { //nolint:paralleltest // as above
				check(newLab(t, "one\ntwo\nthree\n"), tt.retried, "-retry-doubtful")
			})
		})
	}
}

// TestKilledAndEdited takes the lines of tasks under way out of the input: the tasks are paid, and so not forgotten.
func TestKilledAndEdited(t *testing.T) { //nolint:paralleltest // as above
	l := newLab(t, "one\ntwo\nthree\n")
	l.kill(t, "after created")
	l.write(t, "prompts.txt", "three\n")
	code, said := l.run(t)
	require.Equal(t, exitDone, code, said)
	assert.Equal(t, 3, l.server.Charged())
	assert.Equal(t, 3, l.videos(t))
	assert.Contains(t, said, "former line 2")
}
