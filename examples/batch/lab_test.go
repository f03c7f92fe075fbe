package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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

func (l *lab) args(more ...string) []string {
	return append(more, "-creates", "1", "-out", l.folder, filepath.Join(l.folder, "prompts.txt"))
}

func (l *lab) run(t *testing.T, more ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	code := run(t.Context(), l.args(more...), &out, &out)
	assert.NotContains(t, out.String(), vidutest.APIKey)
	l.nothingForgotten(t)
	return code, out.String()
}

// nothingForgotten holds the ledger against the results: every create that ever reached the server is on record.
func (l *lab) nothingForgotten(t *testing.T) {
	t.Helper()
	recorded := l.results(t)
	for _, r := range l.server.Requests() {
		if r.Method == http.MethodPost && strings.HasSuffix(r.Path, "/reference2video") {
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

// videos counts the files, each of which has to be whole.
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
