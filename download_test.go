package vidu_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// clip is what the download tests fetch.
var clip = bytes.Repeat([]byte("0123456789abcdef"), 8<<10)

// fileServer serves clip and keeps the requests that it saw.
func fileServer(t *testing.T, handler http.HandlerFunc) (*httptest.Server, *[]*http.Request) {
	t.Helper()
	var seen []*http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r)
		w.Header().Set("Content-Type", "video/mp4") // net/http would take clip for text
		if handler != nil {
			handler(w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(clip)))
		w.Write(clip)
	}))
	t.Cleanup(server.Close)
	return server, &seen
}

func TestDownload(t *testing.T) {
	t.Parallel()
	server, seen := fileServer(t, nil)
	client := newClient(t, server.URL)
	var out bytes.Buffer
	var reports []int64
	n, err := client.Download(t.Context(), finishedTask(server.URL+"/v%20.mp4?sig=a%253Ab;c=d"), &out,
		vidu.WithProgressBytes(func(done, total int64) {
			assert.Equal(t, int64(len(clip)), total)
			reports = append(reports, done)
		}))
	require.NoError(t, err)
	assert.Equal(t, int64(len(clip)), n)
	assert.True(t, bytes.Equal(clip, out.Bytes()))
	assert.IsNonDecreasing(t, reports)
	assert.Equal(t, n, reports[len(reports)-1])

	require.Len(t, *seen, 1)
	r := (*seen)[0]
	assert.Equal(t, "/v%20.mp4?sig=a%253Ab;c=d", r.RequestURI, "a signed link must arrive byte for byte")
	assert.Empty(t, r.Header.Get("Authorization"), "the key must go to no other host")
	assert.Empty(t, r.Header.Get("Cookie"))
	assert.Equal(t, "identity", r.Header.Get("Accept-Encoding"))
}

func TestDownloadChoosesTheLink(t *testing.T) {
	t.Parallel()
	server, seen := fileServer(t, nil)
	client := newClient(t, server.URL)
	for want, opt := range map[string]vidu.DownloadOption{"/v?a&cover": vidu.WithCover(), "/v?a&watermarked": vidu.WithWatermarked()} {
		_, err := client.Download(t.Context(), finishedTask(server.URL+"/v?a"), io.Discard, opt)
		require.NoError(t, err)
		assert.Equal(t, want, (*seen)[len(*seen)-1].RequestURI)
	}
}

func TestDownloadRefusesTheTask(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://gateway.example.com")
	for name, tt := range map[string]struct {
		task *vidu.Task
		says string
	}{
		"still running":          {&vidu.Task{ID: "42", State: vidu.StateProcessing}, "task 42 is processing, not finished"},
		"failed":                 {&vidu.Task{ID: "42", State: vidu.StateFailed, ErrCode: vidu.ErrAuditFailed}, "task 42 failed: AuditFailed"},
		"no link":                {&vidu.Task{ID: "42", State: vidu.StateSuccess}, "no link to a video"},
		"plain http":             {finishedTask("http://cdn.example.com/v.mp4"), "not an https link"},
		"loopback, from outside": {finishedTask("http://127.0.0.1/v.mp4"), "not an https link"},
		"javascript":             {finishedTask("javascript:alert(1)"), "not an https link"},
		"file":                   {finishedTask("file:///etc/passwd"), "not an https link"},
		"user name":              {finishedTask("https://user:hunter2@cdn.example.com/v.mp4"), "not an https link"},
		"not a URL":              {finishedTask("https://%zz?signature=hunter2"), "not a URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "v.mp4")
			_, err := client.DownloadFile(t.Context(), tt.task, path)
			require.ErrorContains(t, err, tt.says)
			assert.NotContains(t, err.Error(), "hunter2")
			testkit.AssertHarmless(t, err)
			testkit.AssertDirEmpty(t, filepath.Dir(path))
		})
	}
}

func TestDownloadFailures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		opts    []vidu.DownloadOption
		is      error
		says    string
	}{
		"expired":   {handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, says: "HTTP 403"},
		"encoded":   {handler: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "gzip") }, says: "encoded as gzip"},
		"too large": {opts: []vidu.DownloadOption{vidu.WithMaxBytes(1000)}, says: "more than the limit of 1000"},
		"cut":       {handler: cutShort, is: io.ErrUnexpectedEOF, says: "after 1000 bytes"},
		"endless":   {handler: endlessly, opts: []vidu.DownloadOption{vidu.WithMaxBytes(1 << 20)}, says: "more than 1048576 bytes"},
		"http again": {handler: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "ftp://x/?sig=secret", http.StatusFound)
		}, says: "ftp://x/ is not an https link"},
		"loop": {handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) }, says: "more than 5 redirects"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, seen := fileServer(t, tt.handler)
			dir := t.TempDir()
			_, err := newClient(t, server.URL).DownloadFile(t.Context(), finishedTask(server.URL+"/v?sig=secret"), filepath.Join(dir, "v.mp4"), tt.opts...)
			require.ErrorContains(t, err, tt.says)
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
			}
			assert.NotContains(t, err.Error(), "secret")
			testkit.AssertHarmless(t, err)
			testkit.AssertDirEmpty(t, dir)
			for _, r := range *seen {
				assert.Empty(t, r.Header.Get("Referer"), "it would carry the signed query")
			}
		})
	}
}

func cutShort(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", strconv.Itoa(len(clip)))
	w.Write(clip[:1000])
}

func endlessly(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(clip); err != nil {
			return
		}
	}
}

func TestDownloadFile(t *testing.T) {
	t.Parallel()
	server, _ := fileServer(t, nil)
	client := newClient(t, server.URL)
	path := filepath.Join(t.TempDir(), "v.mp4")
	n, err := client.DownloadFile(t.Context(), finishedTask(server.URL+"/v?a"), path)
	require.NoError(t, err)
	assert.Equal(t, int64(len(clip)), n)
	testkit.AssertFile(t, path, clip)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no temporary file is left")
}

func TestDownloadWriterFails(t *testing.T) {
	t.Parallel()
	server, _ := fileServer(t, nil)
	full := errors.New("no space left")
	_, err := newClient(t, server.URL).Download(t.Context(), finishedTask(server.URL+"/v?a"), failingWriter{full})
	require.ErrorIs(t, err, full)
	_, err = newClient(t, server.URL).Download(t.Context(), finishedTask(server.URL+"/v?a"), shortWriter{})
	require.ErrorIs(t, err, io.ErrShortWrite)
	_, err = newClient(t, server.URL).Download(t.Context(), finishedTask(server.URL+"/v?a"), nil, nil)
	require.ErrorContains(t, err, "the writer is nil")
}

// shortWriter breaks the contract of io.Writer.
type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return len(p) / 2, nil }

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }
