package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
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
	said := stdout.String() + stderr.String()
	assert.NotContains(t, said, vidutest.APIKey)
	return code, said
}

func TestIsCalledBackWithoutAKey(t *testing.T) { //nolint:paralleltest // the environment and the folder are shared
	code, said := against(t, t.Context(), nil, "-out", "hero.mp4")
	require.Equal(t, exitDone, code, said)
	assert.Regexp(t, `the callback for task \d+ came after [3-5]\.\d s: success`, said)
	assert.Contains(t, said, "hero.mp4 (9096 bytes)")
	video, err := os.ReadFile("hero.mp4")
	require.NoError(t, err)
	assert.Equal(t, "ftyp", string(video[4:8]))
}

// freeAddress returns an address on which nothing listens at the moment.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

func TestExitStatus(t *testing.T) { //nolint:paralleltest // as above
	tests := map[string]struct {
		script func(*vidutest.Server)
		mute   bool
		args   []string
		code   int
		says   string
	}{
		"called back":     {code: exitDone, says: "the callback for task"},
		"unverified":      {args: []string{"-unverified"}, code: exitDone, says: "the callback for task"},
		"a lost one":      {mute: true, args: []string{"-grace", "10ms"}, code: exitDone, says: "no callback came"},
		"refused":         {script: func(s *vidutest.Server) { s.FailNext(400, "") }, code: exitFailed, says: "No task was created."},
		"unknown":         {script: (*vidutest.Server).DropReplyAfterCommit, code: exitMayExist, says: "A TASK MAY EXIST"},
		"failed":          {script: func(s *vidutest.Server) { s.FailTask("AuditFailed") }, code: exitFailed, says: ": failed"},
		"timed out":       {args: []string{"-timeout", "30ms"}, code: exitMayExist, says: "The task exists."},
		"help":            {args: []string{"-h"}, code: exitDone, says: "-callback-url"},
		"an argument":     {args: []string{"hero.png"}, code: exitUsage, says: "hero.png"},
		"no callback URL": {args: []string{"-callback-url", ""}, code: exitUsage, says: "-callback-url"},
		"no listener":     {args: []string{"-listen", "256.0.0.1:1"}, code: exitUsage, says: "256.0.0.1"},
	}
	for name, tt := range tests { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			opts := []vidutest.Option{vidutest.WithTiming(0, 100*time.Millisecond)}
			if !tt.mute {
				opts = append(opts, vidutest.WithCallbacks(newSender()))
			}
			server := vidutest.NewServer(opts...)
			defer server.Close()
			if tt.script != nil {
				tt.script(server)
			}
			here := freeAddress(t)
			args := append([]string{"-listen", here, "-callback-url", "http://" + here + "/hook?tenant=7"}, tt.args...)
			code, said := against(t, t.Context(), server, args...)
			assert.Equal(t, tt.code, code, said)
			assert.Contains(t, said, tt.says)
			if tt.code == exitMayExist {
				assert.NotRegexp(t, "callback (for|came)", said, "no callback is waited for")
			}
			if tt.code == exitUsage {
				assert.Zero(t, server.Charged())
			}
		})
	}
}

func TestUsageWithoutAKey(t *testing.T) { //nolint:paralleltest // as above
	code, said := against(t, t.Context(), nil, "-callback-url", "https://example.com/vidu")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, said, "VIDU_API_KEY")
}

// TestInterrupted ends the run while the create is in flight: it is paid, so the id is printed.
func TestInterrupted(t *testing.T) { //nolint:paralleltest // as above
	server := vidutest.NewServer()
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server.Delay(500 * time.Millisecond)
		cancel()
		server.ServeHTTP(w, r)
	}))
	defer front.Close()
	server.URL = front.URL
	here := freeAddress(t)
	code, said := against(t, ctx, server, "-listen", here, "-callback-url", "http://"+here+"/hook")
	assert.Equal(t, exitMayExist, code, said)
	assert.Equal(t, 1, server.Charged())
	assert.Regexp(t, `Task \d+ was created.`, said)
	assert.Contains(t, said, "The task exists. To go on waiting")
	assert.NotContains(t, said, "MAY EXIST")
}

// TestInterruptedBefore pays nothing.
func TestInterruptedBefore(t *testing.T) {
	server := vidutest.NewServer()
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	t.Setenv("VIDU_BASE_URL", server.URL)
	t.Setenv("VIDU_API_KEY", vidutest.APIKey)
	j, s := listen(t)
	defer s.shutdown(t.Context(), &bytes.Buffer{})
	var said bytes.Buffer
	assert.Equal(t, exitFailed, j.make(ctx, s, &said, &said))
	assert.Contains(t, said.String(), "No task was created.")
	assert.Zero(t, server.Charged())
}

// TestLostCallback is waited for only after the video is written, beyond -timeout.
func TestLostCallback(t *testing.T) { //nolint:paralleltest // as above
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	here := freeAddress(t)
	code, said := against(t, t.Context(), server, "-listen", here, "-callback-url", "http://"+here+"/hook",
		"-timeout", "1s", "-grace", "1500ms")
	assert.Equal(t, exitDone, code, said)
	assert.Less(t, strings.Index(said, "(9096 bytes)"), strings.Index(said, "no callback came"), said)
}
