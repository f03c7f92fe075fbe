package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

const programVariable = "CALLBACK_TEST_PROGRAM"

// TestMain runs the program in the test's own binary.
func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

// TestCtrlCTwice kills a run that would wait for the answer to its create.
func TestCtrlCTwice(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" || signal.Ignored(os.Interrupt) {
		t.Skip("os.Interrupt cannot be sent, or is ignored from the start, as under nohup")
	}
	arrived, answer := make(chan struct{}), make(chan struct{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		select {
		case <-answer:
		case <-time.After(5 * time.Second): // it was not killed
		}
		w.WriteHeader(http.StatusBadRequest)
	}))
	defer front.Close()
	path, err := os.Executable()
	require.NoError(t, err)
	program := exec.CommandContext(t.Context(), path, "-callback-url", "http://127.0.0.1/hook")
	program.Env = append(os.Environ(), programVariable+"=1", "VIDU_BASE_URL="+front.URL, "VIDU_API_KEY="+vidutest.APIKey)
	require.NoError(t, program.Start())
	<-arrived
	require.NoError(t, program.Process.Signal(os.Interrupt))
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
}
