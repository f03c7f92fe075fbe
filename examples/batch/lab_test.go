package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

// lab is a folder with prompts, a server, and the environment that names it.
type lab struct {
	server *vidutest.Server
	folder string
}

func newLab(t *testing.T, prompts string, opts ...vidutest.Option) *lab {
	t.Helper()
	l := &lab{
		server: vidutest.NewServer(append([]vidutest.Option{vidutest.WithTiming(0, 0)}, opts...)...),
		folder: t.TempDir(),
	}
	t.Cleanup(l.server.Close)
	t.Setenv("VIDU_BASE_URL", l.server.URL)
	t.Setenv("VIDU_API_KEY", vidutest.APIKey)
	l.write(t, "prompts.txt", prompts)
	return l
}

func (l *lab) write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(l.folder, name), []byte(text), 0o600))
}

// front puts a handler before the server.
func (l *lab) front(t *testing.T, handler http.HandlerFunc) {
	t.Helper()
	front := httptest.NewServer(handler)
	t.Cleanup(front.Close)
	l.server.URL = front.URL
	t.Setenv("VIDU_BASE_URL", front.URL)
}

func isCreate(r *http.Request) bool { return r.Method == http.MethodPost }

func (l *lab) args(more ...string) []string {
	return slices.Concat([]string{"-creates", "1", "-out", l.folder}, more, []string{filepath.Join(l.folder, "prompts.txt")})
}

func (l *lab) run(t *testing.T, more ...string) (int, string) {
	t.Helper()
	return l.runUntil(t.Context(), t, more...)
}

// runUntil runs the program, with a ctx that ends on Ctrl-C.
func (l *lab) runUntil(ctx context.Context, t *testing.T, more ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	code := run(ctx, l.args(more...), &out, &out)
	assert.NotContains(t, out.String(), vidutest.APIKey)
	l.nothingForgotten(t)
	return code, out.String()
}

// runOnce runs the program with a client that does not retry, and that polls every 100 ms.
func (l *lab) runOnce(t *testing.T, more ...string) (int, string) {
	t.Helper()
	client, err := vidu.NewClientFromEnv(vidu.WithMaxAttempts(1))
	require.NoError(t, err)
	var out bytes.Buffer
	c, err := parse(l.args(more...), &out)
	require.NoError(t, err)
	jobs, err := readJobs(c.input, &c.request)
	require.NoError(t, err)
	results, err := openResults(filepath.Join(l.folder, "results.jsonl"), l.server.URL)
	require.NoError(t, err)
	defer results.close()
	results.assign(jobs)
	b := newBatch(c, client, []vidu.WaitOption{vidu.WithPollInterval(0)}, results, newReport(len(jobs), &out, &out))
	return b.run(t.Context(), jobs), out.String()
}

// nothingForgotten compares the ledger with the results: every create that reached the server is on record.
func (l *lab) nothingForgotten(t *testing.T) {
	t.Helper()
	recorded := l.results(t)
	for _, r := range l.server.Requests() {
		whole := r.Complete // a killed run leaves others, which create nothing
		if whole && r.Method == http.MethodPost && strings.HasSuffix(r.Path, "/reference2video") {
			var sent struct{ Payload string }
			require.NoError(t, json.Unmarshal(r.Body, &sent))
			require.NotEmpty(t, sent.Payload)
			assert.Contains(t, recorded, sent.Payload)
		}
	}
}

func (l *lab) results(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(l.folder, "results.jsonl"))
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	return string(text)
}

// videos counts the files, each of which must be complete.
func (l *lab) videos(t *testing.T) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(l.folder, "*.mp4"))
	require.NoError(t, err)
	for _, path := range found {
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.EqualValues(t, 9096, info.Size())
	}
	return len(found)
}
