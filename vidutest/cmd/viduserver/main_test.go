package main_test

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

// buildDir is where build has put the command, "" before.
var buildDir string

// build compiles the command, once for all tests.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "viduserver")
	if err != nil {
		return "", err
	}
	buildDir = dir
	binary := filepath.Join(dir, "viduserver.exe")
	out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return binary, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if buildDir != "" {
		os.RemoveAll(buildDir)
	}
	os.Exit(code)
}

// process is a server in a process of its own.
type process struct {
	url    string
	cmd    *exec.Cmd
	out    *bufio.Reader
	stderr bytes.Buffer
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	binary, err := build()
	require.NoError(t, err)
	p := &process{cmd: exec.CommandContext(t.Context(), binary, append([]string{"-addr", "127.0.0.1:0"}, args...)...)}
	p.cmd.Stderr = &p.stderr
	p.cmd.WaitDelay = 10 * time.Second
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	p.out = bufio.NewReader(stdout)
	line, err := p.out.ReadString('\n')
	require.NoError(t, err, "it printed no URL")
	p.url = strings.TrimSpace(line)
	return p
}

// interrupt ends the process as Ctrl-C does and returns what it printed.
func (p *process) interrupt(t *testing.T) (stdout, stderr string) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	var rest bytes.Buffer
	_, err := rest.ReadFrom(p.out)
	require.NoError(t, err)
	require.NoError(t, p.cmd.Wait(), "it ends with status 0")
	return rest.String(), p.stderr.String()
}

func request() *vidu.Reference2VideoRequest {
	return &vidu.Reference2VideoRequest{
		Model: vidu.ModelQ2Pro, Images: []vidu.Media{vidu.URL("https://example.com/hero.png")}, Prompt: "The astronaut waved.",
	}
}

func TestViduserver(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be interrupted there")
	}
	for name, test := range map[string]struct {
		args  []string
		key   string
		opts  []vidu.Option
		says  string
		fails error // of the first create
		tasks string
	}{
		"gateway":    {[]string{"-queue", "0", "-work", "0"}, vidutest.APIKey, nil, "/vidu/v2/reference2video", nil, "2 tasks"},
		"official":   {[]string{"-queue", "0", "-work", "0", "-official", "-key", "k"}, "k", []vidu.Option{vidu.WithOfficialAPI()}, "Authorization: Token k", nil, "2 tasks"},
		"prefix":     {[]string{"-queue", "0", "-work", "0", "-prefix", "/vidu/ent/v2/"}, vidutest.APIKey, []vidu.Option{vidu.WithAPIPath("/vidu/ent/v2")}, `vidu.WithAPIPath("/vidu/ent/v2")`, nil, "2 tasks"},
		"reply lost": {[]string{"-queue", "0", "-work", "0", "-drop-reply"}, vidutest.APIKey, nil, "", vidu.ErrMaybeCreated, "2 tasks"},
		"502":        {[]string{"-queue", "0", "-work", "0", "-fail-next", "502"}, vidutest.APIKey, nil, "", vidu.ErrMaybeCreated, "1 tasks"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, test.args...)
			client, err := vidu.NewClient(p.url, test.key, test.opts...)
			require.NoError(t, err)
			_, err = client.Reference2Video(t.Context(), request())
			require.ErrorIs(t, err, test.fails)
			task, err := client.Reference2Video(t.Context(), request())
			require.NoError(t, err)
			task, err = client.Wait(t.Context(), task.ID)
			require.NoError(t, err)
			n, err := client.DownloadFile(t.Context(), task, filepath.Join(t.TempDir(), "hero.mp4"))
			require.NoError(t, err)
			assert.Positive(t, n)

			stdout, stderr := p.interrupt(t)
			assert.Contains(t, stdout, "curl "+p.url)
			assert.Contains(t, stdout, test.says)
			assert.Contains(t, stderr, `reference2video" 200`)
			assert.Contains(t, stderr, test.tasks+" were created and charged")
			assert.NotContains(t, stderr, "signature=")
		})
	}
}

// With a probability of 1 every create suffers, and nothing else does.
func TestViduserver_Probability(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be interrupted there")
	}
	p := start(t, "-official", "-drop-reply", "-fail-next", "502", "-probability", "1", "-public-url", "https://vidu.example")
	client, err := vidu.NewClient(p.url, vidutest.APIKey, vidu.WithOfficialAPI())
	require.NoError(t, err)
	for range 8 {
		_, err = client.Reference2Video(t.Context(), request())
		require.ErrorIs(t, err, vidu.ErrMaybeCreated)
		_, err = client.ListTasks(t.Context(), nil)
		require.NoError(t, err)
	}
	_, stderr := p.interrupt(t)
	assert.Contains(t, stderr, `reference2video" 502`)
	assert.Contains(t, stderr, `reference2video" cut`)
}

func TestViduserver_RefusesFlags(t *testing.T) {
	t.Parallel()
	binary, err := build()
	require.NoError(t, err)
	for args, want := range map[string]string{
		"-nonsense":              "flag provided but not defined",
		"-probability 2":         "-probability is 2",
		"-probability NaN":       "-probability is NaN",
		"-probability 0.5":       "-probability needs a fault",
		"-fail-next 99":          `-fail-next is "99"`,
		"-fail-next x":           `-fail-next is "x"`,
		"-prefix vidu":           `WithAPIPath: "vidu" is not a plain path`,
		"-endpoint a//b":         `WithEndpoint: "a//b" is not a plain path`,
		"-public-url vidu":       `WithPublicURL: "vidu" is not a base URL`,
		"-addr 127.0.0.1:999999": "invalid port",
		"serve":                  `unexpected argument "serve"`,
	} {
		out, err := exec.CommandContext(t.Context(), binary, append([]string{"-addr", "127.0.0.1:0"}, strings.Fields(args)...)...).CombinedOutput()
		require.Error(t, err, args)
		assert.Contains(t, string(out), want, args)
		assert.NotContains(t, string(out), "panic", args)
	}
	out, err := exec.CommandContext(t.Context(), binary, "-h").CombinedOutput()
	require.NoError(t, err)
	assert.Contains(t, string(out), "-drop-reply")
}
