package vidu_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// subprocesses are what tests start this binary for, in a process of its own. An error is printed and the status is 1.
var subprocesses = map[string]func(args []string) error{}

const subprocessVariable = "VIDU_TEST_SUBPROCESS"

// subprocess returns the command that runs one of subprocesses.
func subprocess(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	require.Contains(t, subprocesses, name)
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), subprocessVariable+"="+name)
	return cmd
}

func TestMain(m *testing.M) {
	if body, ok := subprocesses[os.Getenv(subprocessVariable)]; ok {
		if err := body(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} { // no proxy for the names in these tests
		_ = os.Unsetenv(name)
		_ = os.Unsetenv(strings.ToLower(name))
	}
	goleak.VerifyTestMain(m)
}
