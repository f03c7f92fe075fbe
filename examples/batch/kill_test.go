package main

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

const killVariable = "BATCH_TEST_KILL_AT"

// TestMain runs the program in the test's own binary, which kills itself the second time that it reaches a point.
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
				select {} // until the signal arrives
			}
		}
	}
	main()
}

// program returns the program as a process that kills itself at a point.
func (l *lab) program(t *testing.T, point string, more ...string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), path, l.args(more...)...)
	command.Env = append(os.Environ(), killVariable+"="+point)
	return command
}

// kill runs the program until it kills itself at a point.
func (l *lab) kill(t *testing.T, point string, more ...string) {
	t.Helper()
	said, err := l.program(t, point, more...).CombinedOutput()
	var killed *exec.ExitError
	require.ErrorAs(t, err, &killed, string(said))
	require.Equal(t, -1, killed.ExitCode(), "killed by the signal: %s", said)
	l.nothingForgotten(t)
}

// TestKilled kills a run of three prompts at the second one, on a gateway, which lists no tasks, and on the official
// API, which does. The ledger shows what was paid.
func TestKilled(t *testing.T) { //nolint:paralleltest // the environment is shared
	type after struct{ code, charged, videos int }
	finished := after{exitDone, 3, 3}
	oneByOne := []string{"-tasks", "1"} // else a create may come before or after the second video
	tests := map[string]struct {
		point    string
		args     []string
		paid     int // when killed
		gateway  after
		official after
		retried  after // with -retry-unknown, on the gateway
	}{
		"before anything": {"before creating", nil, 1, finished, finished, finished},
		"before the create": {
			"after creating", nil, 1,
			after{exitMayExist, 2, 2},
			after{exitMayExist, 2, 2}, // not found, which proves nothing
			finished,                  // the user decided that there was none, and was right
		},
		"after the create, before its record": {
			"before created", nil, 2,
			after{exitMayExist, 3, 2},
			finished,
			after{exitDone, 4, 3}, // the user was warned
		},
		"while waiting":                         {"after created", nil, 2, finished, finished, finished},
		"after the download, before its record": {"before done", oneByOne, 2, finished, finished, finished},
		"after a record of a video":             {"after done", oneByOne, 2, finished, finished, finished},
	}
	for name, tt := range tests { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			check := func(l *lab, want after, args ...string) {
				t.Helper()
				l.kill(t, tt.point, append(args, tt.args...)...)
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
				check(newLab(t, "one\ntwo\nthree\n"), tt.retried, "-retry-unknown")
			})
		})
	}
}

// TestKilledAmongMany kills a run with several creates, waits and downloads in flight.
func TestKilledAmongMany(t *testing.T) { //nolint:paralleltest // as above
	for _, point := range []string{ //nolint:paralleltest // as above
		"before creating", "after creating", "before created", "after created", "before done", "after done",
	} {
		t.Run(point, func(t *testing.T) {
			l := newLab(t, "1\n2\n3\n4\n5\n6\n7\n8\n")
			l.kill(t, point, "-creates", "4", "-tasks", "6")
			_, said := l.run(t)
			unknown := strings.Count(said, "A TASK MAY EXIST")
			assert.Equal(t, 8-unknown, l.videos(t), said)
			assert.LessOrEqual(t, l.server.Charged(), 8, "not paid twice: %s", said)
		})
	}
}

// TestKilledAndEdited removes the lines of unfinished tasks from the input: the tasks are paid, and so not forgotten.
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

// TestCtrlCTwice kills a run that would wait for the answer to a create.
func TestCtrlCTwice(t *testing.T) { //nolint:paralleltest // as above
	if runtime.GOOS == "windows" || signal.Ignored(os.Interrupt) {
		t.Skip("os.Interrupt cannot be sent, or is ignored from the start, as under nohup")
	}
	l := newLab(t, "one\n")
	arrived, answer := make(chan struct{}), make(chan struct{})
	l.front(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		select {
		case <-answer:
		case <-time.After(5 * time.Second): // it was not killed
		}
		l.server.ServeHTTP(w, r)
	})
	program := l.program(t, "no point")
	stderr, err := program.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	<-arrived
	require.NoError(t, program.Process.Signal(os.Interrupt))
	line, err := bufio.NewReader(stderr).ReadString('\n')
	require.NoError(t, err)
	assert.Contains(t, line, "Stopping when the creates in flight are answered")

	go func() { // repeatedly, as the first may come before the program is ready for it
		for {
			select {
			case <-answer:
				return
			case <-time.After(20 * time.Millisecond):
				_ = program.Process.Signal(os.Interrupt)
			}
		}
	}()
	err = program.Wait()
	close(answer)
	var killed *exec.ExitError
	require.ErrorAs(t, err, &killed)
	assert.Equal(t, -1, killed.ExitCode(), "killed by the signal")
	assert.Contains(t, l.results(t), `"state":"creating"`, "an unknown outcome, which the next run reports")
}
