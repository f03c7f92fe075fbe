package vidu_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

func TestDownloadFile_FileAppearsWhole(t *testing.T) {
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

func TestDownloadFile_TaskWithoutUsableLink(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://gateway.example.com")
	for name, tt := range map[string]struct {
		task *vidu.Task
		says string
	}{
		"still running":          {&vidu.Task{ID: "42", State: vidu.StateProcessing}, "task 42 is processing, not finished: call Wait first"},
		"no state":               {&vidu.Task{ID: "42", Creations: finishedTask("https://h/v").Creations}, "task 42 has no state: call Wait first"},
		"a blank state":          {&vidu.Task{ID: "42", State: " "}, "task 42 has no state: call Wait first"},
		"failed":                 {&vidu.Task{ID: "42", State: vidu.StateFailed, ErrCode: vidu.ErrAuditFailed}, "task 42 failed: AuditFailed"},
		"no link":                {&vidu.Task{ID: "42", State: vidu.StateSuccess}, "no link to a video"},
		"plain http":             {finishedTask("http://cdn.example.com/v.mp4"), "not an https link; WithInsecureHTTP allows plain http"},
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

func TestDownloadFile_FailureLeavesNothing(t *testing.T) {
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

// otherFile has another content and the same length as testkit.PlainFile.
var otherFile = strings.ToUpper(testkit.PlainFile)

func TestDownloadFile_TargetExists(t *testing.T) {
	t.Parallel()
	store := newStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	client := store.client(t)
	path := filepath.Join(t.TempDir(), "v.mp4")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	_, err := client.DownloadFile(t.Context(), store.task(), path)
	require.ErrorIs(t, err, fs.ErrExist)
	require.ErrorContains(t, err, "v.mp4: file already exists; WithOverwrite replaces it")
	testkit.AssertHarmless(t, err)
	assert.Empty(t, store.Seen(), "found out before the download")
	testkit.AssertFile(t, path, []byte("old"))

	_, err = client.DownloadFile(t.Context(), store.task(), path, vidu.WithOverwrite())
	require.NoError(t, err)
	testkit.AssertFile(t, path, []byte(testkit.PlainFile))
	testkit.AssertDirOnly(t, filepath.Dir(path), "v.mp4")

	empty := filepath.Join(t.TempDir(), "v.mp4") // what a killed process may leave
	testkit.WriteOldFile(t, empty, "")
	_, err = client.DownloadFile(t.Context(), store.task(), empty)
	require.ErrorIs(t, err, fs.ErrExist, "it is kept as any other")
	testkit.AssertFile(t, empty, nil)

	failing := newStore(t, testkit.Always(testkit.CutBody(testkit.RawFile(otherFile), 1000)))
	_, err = failing.client(t).DownloadFile(t.Context(), failing.task(), path, vidu.WithOverwrite())
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	testkit.AssertFile(t, path, []byte(testkit.PlainFile))
	testkit.AssertDirOnly(t, filepath.Dir(path), "v.mp4")
}

// TestDownloadFile_NameTakenMeanwhile is the race that looking first cannot win.
func TestDownloadFile_NameTakenMeanwhile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "v.mp4")
	store := newStore(t, func(*http.Request) string {
		testkit.WriteOldFile(t, path, "theirs")
		return testkit.RawFile(testkit.PlainFile)
	})
	_, err := store.client(t).DownloadFile(t.Context(), store.task(), path)
	require.ErrorIs(t, err, fs.ErrExist)
	testkit.AssertHarmless(t, err)
	testkit.AssertFile(t, path, []byte("theirs"))
	testkit.AssertDirOnly(t, filepath.Dir(path), "v.mp4")
}

func TestDownloadFile_SymlinkIsReplaced(t *testing.T) {
	t.Parallel()
	store := newStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	client := store.client(t)
	for _, exists := range []bool{true, false} {
		dir := t.TempDir()
		target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
		if exists {
			require.NoError(t, os.WriteFile(target, []byte("old"), 0o600))
		}
		require.NoError(t, os.Symlink(target, link))
		before := len(store.Seen())
		_, err := client.DownloadFile(t.Context(), store.task(), link)
		require.ErrorIs(t, err, fs.ErrExist, "a dangling link exists, too")
		assert.Len(t, store.Seen(), before)
		_, err = client.DownloadFile(t.Context(), store.task(), link, vidu.WithOverwrite())
		require.NoError(t, err)
		testkit.AssertFile(t, link, []byte(testkit.PlainFile))
		info, err := os.Lstat(link)
		require.NoError(t, err)
		assert.True(t, info.Mode().IsRegular())
		if exists {
			testkit.AssertFile(t, target, []byte("old"))
		} else {
			require.NoFileExists(t, target)
		}
	}
}

func TestDownloadFile_SymlinkToADirectoryIsReplaced(t *testing.T) {
	t.Parallel()
	store := newStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	require.NoError(t, os.Mkdir(target, 0o700))
	require.NoError(t, os.Symlink(target, link))
	_, err := store.client(t).DownloadFile(t.Context(), store.task(), link, vidu.WithOverwrite())
	require.NoError(t, err)
	testkit.AssertFile(t, link, []byte(testkit.PlainFile))
	testkit.AssertDirOnly(t, target, "")
}

func TestDownloadFile_TargetIsNoFile(t *testing.T) {
	t.Parallel()
	store := newStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	client := store.client(t)
	for _, path := range []string{t.TempDir(), ".", "..", os.DevNull} {
		_, err := client.DownloadFile(t.Context(), store.task(), path)
		require.ErrorIs(t, err, fs.ErrExist, path)
		says := "is a directory, not a "
		if path == os.DevNull {
			says = "WithOverwrite"
		}
		require.ErrorContains(t, err, says)
		_, err = client.DownloadFile(t.Context(), store.task(), path, vidu.WithOverwrite())
		require.ErrorContains(t, err, "not a regular file", path)
	}
	assert.Empty(t, store.Seen())
}

// TestDownloadFile_NamesAreTheCallers: nothing that a server says becomes part of a name.
func TestDownloadFile_NamesAreTheCallers(t *testing.T) {
	t.Parallel()
	store := newStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile, `Content-Disposition: attachment; filename="../../evil.mp4"`)))
	dir := t.TempDir()
	task := finishedTask(store.URL + "/..%2f..%2fevil.mp4?a")
	task.ID = "../../evil\x00\n"
	path := filepath.Join(dir, "a", "b", "v.mp4")
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	client := store.client(t)
	_, err := client.DownloadFile(t.Context(), task, path)
	require.NoError(t, err)
	testkit.AssertFile(t, path, []byte(testkit.PlainFile))
	testkit.AssertDirOnly(t, dir, "a")
	testkit.AssertDirOnly(t, filepath.Join(dir, "a"), "b")
	testkit.AssertDirOnly(t, filepath.Dir(path), "v.mp4")

	before := len(store.Seen())
	for _, name := range []string{"", filepath.Join(dir, "x") + "/", "/", filepath.Join(dir, "NUL\x00.mp4"), filepath.Join(path, "below-a-file")} {
		_, err = client.DownloadFile(t.Context(), store.task(), name)
		require.Error(t, err, "%q", name)
	}
	assert.Len(t, store.Seen(), before, "found out before the download")
	refused := newStore(t, testkit.Always(testkit.RawHTTP("403 Forbidden", "")))
	task.Creations = finishedTask(refused.URL + "/v?sig=secret").Creations
	_, err = refused.client(t).Download(t.Context(), task, io.Discard)
	require.ErrorContains(t, err, "is not a task id")
	assertSecretFree(t, err)
	assert.Empty(t, refused.api.Seen())
}

func TestDownloadFile_CanceledMidway(t *testing.T) {
	t.Parallel()
	server, _ := fileServer(t, endlessly)
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := newClient(t, server.URL).DownloadFile(ctx, finishedTask(server.URL+"/v?sig=secret"), filepath.Join(dir, "v.mp4"),
		vidu.WithProgressBytes(func(int64, int64) {
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, entries, 1)
			assert.Regexp(t, `^\.vidu-\d+\.part$`, entries[0].Name())
			info, err := entries[0].Info()
			require.NoError(t, err)
			assert.Equal(t, fs.FileMode(0o600), info.Mode())
			cancel(errors.New("enough"))
		}))
	require.ErrorIs(t, err, context.Canceled)
	assertSecretFree(t, err)
	testkit.AssertDirOnly(t, dir, "")
}

func TestDownloadFile_ProgressPanics(t *testing.T) {
	t.Parallel()
	store := newStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	dir := t.TempDir()
	assert.PanicsWithValue(t, "stop", func() {
		store.client(t).DownloadFile(t.Context(), store.task(), filepath.Join(dir, "v.mp4"), //nolint:errcheck // it panics
			vidu.WithProgressBytes(func(int64, int64) { panic("stop") })) //nolint:forbidigo // that is the point
	})
	testkit.AssertDirOnly(t, dir, "")
}

// TestDownloadFile_RemovesAbandonedParts: what a killed process left goes away a day later, and nothing else does.
func TestDownloadFile_RemovesAbandonedParts(t *testing.T) {
	t.Parallel()
	store := newStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{
		".vidu-123.part": 25 * time.Hour, ".vidu-124.part": 23 * time.Hour, "x.vidu-123.part": 25 * time.Hour,
		".vidu-123.parts": 25 * time.Hour, ".vidu-x.part": 25 * time.Hour,
	} {
		path, then := filepath.Join(dir, name), time.Now().Add(-age)
		require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
		require.NoError(t, os.Chtimes(path, then, then))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".vidu-125.part"), 0o700))
	require.NoError(t, os.Chtimes(filepath.Join(dir, ".vidu-125.part"), time.Unix(1, 0), time.Unix(1, 0)))
	_, err := store.client(t).DownloadFile(t.Context(), store.task(), filepath.Join(dir, "v.mp4"))
	require.NoError(t, err)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	assert.Equal(t, []string{".vidu-123.parts", ".vidu-124.part", ".vidu-125.part", ".vidu-x.part", "v.mp4", "x.vidu-123.part"}, names)
}

func TestDownloadFile_ManyForOneTarget(t *testing.T) {
	t.Parallel()
	contents := []string{testkit.PlainFile, otherFile}
	var n int
	store := newStore(t, func(*http.Request) string {
		n++
		return testkit.RawFile(contents[n%2])
	})
	for _, overwrite := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "v.mp4")
		client := store.client(t)
		errs := make([]error, 8)
		var running sync.WaitGroup
		for i := range errs {
			running.Go(func() {
				var opts []vidu.DownloadOption
				if overwrite {
					opts = append(opts, vidu.WithOverwrite())
				}
				_, errs[i] = client.DownloadFile(t.Context(), store.task(), path, opts...)
			})
		}
		running.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
				continue
			}
			require.ErrorIs(t, err, fs.ErrExist)
		}
		assert.Equal(t, map[bool]int{false: 1, true: len(errs)}[overwrite], won)
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Contains(t, contents, string(got), "whole")
		testkit.AssertDirOnly(t, filepath.Dir(path), "v.mp4")
	}
}

func TestDownloadFile_NameTooLong(t *testing.T) {
	t.Parallel()
	store := newStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	client, dir := store.client(t), t.TempDir()
	_, err := client.DownloadFile(t.Context(), store.task(), filepath.Join(dir, strings.Repeat("n", 256)))
	require.Error(t, err)
	assert.LessOrEqual(t, len(err.Error()), 600)
	_, err = client.DownloadFile(t.Context(), store.task(), filepath.Join(dir, "none", "v.mp4"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.Empty(t, store.Seen(), "found out before the download")
	longest := filepath.Join(dir, strings.Repeat("n", 255))
	_, err = client.DownloadFile(t.Context(), store.task(), longest)
	require.NoError(t, err, "the temporary name is no longer than the real one")
	testkit.AssertFile(t, longest, []byte(testkit.PlainFile))
}

// withoutHardLinks is a file system without hard links, on which something may happen when that is found out.
func withoutHardLinks(meanwhile func(from, to string)) vidu.DownloadOption {
	return vidu.WithLink(func(from, to string) error {
		if meanwhile != nil {
			meanwhile(from, to)
		}
		return &os.LinkError{Op: "link", Old: from, New: to, Err: errors.ErrUnsupported}
	})
}

func TestDownloadFile_WithoutHardLinks(t *testing.T) {
	t.Parallel()
	store := newStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	t.Run("alone", func(t *testing.T) {
		t.Parallel()
		got, err := store.download(t, withoutHardLinks(nil))
		require.NoError(t, err)
		assert.Equal(t, testkit.PlainFile, got)
	})
	t.Run("beaten to the name", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "v.mp4")
		_, err := store.client(t).DownloadFile(t.Context(), store.task(), path,
			withoutHardLinks(func(_, to string) { testkit.WriteOldFile(t, to, "theirs") }))
		require.ErrorIs(t, err, fs.ErrExist)
		testkit.AssertHarmless(t, err)
		testkit.AssertFile(t, path, []byte("theirs"))
		testkit.AssertDirOnly(t, filepath.Dir(path), "v.mp4")
	})
	t.Run("swept away", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		_, err := store.client(t).DownloadFile(t.Context(), store.task(), filepath.Join(dir, "v.mp4"),
			withoutHardLinks(func(from, _ string) { assert.NoError(t, os.Remove(from)) }))
		require.ErrorIs(t, err, fs.ErrNotExist)
		testkit.AssertHarmless(t, err)
		testkit.AssertDirOnly(t, dir, "") // not even the empty file that held the place
	})
}

// TestDownloadFile_ManyWithoutHardLinks lets all find the name free at the same time.
func TestDownloadFile_ManyWithoutHardLinks(t *testing.T) {
	t.Parallel()
	const players = 8
	store := newStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	client := store.client(t)
	for range 20 {
		path := filepath.Join(t.TempDir(), "v.mp4")
		var running sync.WaitGroup
		var ready atomic.Int64
		all := make(chan struct{})
		errs := make([]error, players)
		for i := range errs {
			running.Go(func() {
				_, errs[i] = client.DownloadFile(t.Context(), store.task(), path, withoutHardLinks(func(_, _ string) {
					if ready.Add(1) == players {
						close(all)
					}
					select {
					case <-all:
					case <-time.After(10 * time.Second):
						t.Error("some did not come this far")
					}
				}))
			})
		}
		running.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
				continue
			}
			require.ErrorIs(t, err, fs.ErrExist)
		}
		require.Equal(t, 1, won)
		testkit.AssertFile(t, path, []byte(testkit.PlainFile))
		testkit.AssertDirOnly(t, filepath.Dir(path), "v.mp4")
	}
}

// TestDownloadFile_IsSynced: the bytes before the file has its name, and then the name.
func TestDownloadFile_IsSynced(t *testing.T) {
	t.Parallel()
	store := newStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	broken := errors.New("broken disk")
	for name, tt := range map[string]struct {
		fails int // the sync that does; 0: none
		opts  []vidu.DownloadOption
	}{
		"good":              {0, nil},
		"good, overwriting": {0, []vidu.DownloadOption{vidu.WithOverwrite()}},
		"of the file":       {1, nil},
		"of the directory":  {2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "v.mp4")
			synced := 0
			_, err := store.client(t).DownloadFile(t.Context(), store.task(), path, append(tt.opts, vidu.WithSync(func(f *os.File) error {
				info, err := f.Stat()
				require.NoError(t, err)
				if synced++; synced == 1 {
					assert.Equal(t, int64(len(testkit.PlainFile)), info.Size(), "the whole file")
					assert.NoFileExists(t, path)
				} else {
					assert.Equal(t, dir, f.Name())
					assert.FileExists(t, path)
				}
				if synced == tt.fails {
					return broken
				}
				return nil
			}))...)
			if tt.fails == 1 {
				require.ErrorIs(t, err, broken)
				assert.Equal(t, 1, synced)
				testkit.AssertDirOnly(t, dir, "")
				return
			}
			require.NoError(t, err, "a directory that cannot be synced is no failure")
			assert.Equal(t, 2, synced)
			testkit.AssertDirOnly(t, dir, "v.mp4")
		})
	}
}

// TestDownloadFile_ThousandCuts cuts at random offsets, in servers of every kind. Whatever happens, the file is one of
// the server's, whole, or absent, and an older one at its place stays as it was.
func TestDownloadFile_ThousandCuts(t *testing.T) {
	t.Parallel()
	const players = 8
	var mu sync.Mutex
	var total, whole, absent int
	var running sync.WaitGroup
	for player := range players {
		running.Go(func() {
			random := rand.New(rand.NewPCG(20261122, uint64(player)))
			for seen := 0; seen < 1000/players; {
				cuts, ok := cutAtRandom(t, random)
				seen += cuts
				mu.Lock()
				total += cuts
				if ok {
					whole++
				} else {
					absent++
				}
				mu.Unlock()
			}
		})
	}
	running.Wait()
	t.Logf("%d cuts: %d files whole, %d absent", total, whole, absent)
	assert.GreaterOrEqual(t, total, 1000)
	assert.Greater(t, whole, 20)
	assert.Greater(t, absent, 5)
}

// cutAtRandom downloads one file from a server that cuts and may do worse.
func cutAtRandom(t *testing.T, random *rand.Rand) (cuts int, ok bool) {
	t.Helper()
	versions := [2][]byte{make([]byte, 1+random.IntN(64<<10)), nil}
	for i := range versions[0] {
		versions[0][i] = byte(random.Uint32())
	}
	versions[1] = bytes.ToUpper(append([]byte("other"), versions[0]...))
	var (
		most      = 1 + random.IntN(30) // cuts, then no more
		chunks    = random.IntN(3) == 0
		noRange   = random.IntN(6) == 0
		validator = []string{`ETag: "%d"`, `ETag: W/"%d"`, "Last-Modified: Sat, 21 Nov 2026 10:00:0%d GMT", "X-Nothing: %d"}[max(random.IntN(8)-4, 0)]
		changesAt = random.IntN(60) // the cut at which the object changes
	)
	store := newStore(t, func(r *http.Request) string {
		version := 0
		if cuts >= changesAt {
			version = 1
		}
		body, header := string(versions[version]), fmt.Sprintf(validator, version)
		from := 0
		if _, value, _ := strings.Cut(header, ": "); !noRange && r.Header.Get("If-Range") == value {
			from = testkit.RangeStart(r)
		}
		var answer string
		left := body[min(from, len(body)):]
		switch {
		case from > 0 && from >= len(body):
			return testkit.RawHTTP("416 Range Not Satisfiable", "", fmt.Sprintf("Content-Range: bytes */%d", len(body)))
		case from > 0:
			answer = testkit.RawRest(body, from, header)
		case chunks:
			answer, left = testkit.RawChunks(body, true, header), fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		default:
			answer = testkit.RawHTTP("200 OK", body, header, "Content-Length: "+strconv.Itoa(len(body)))
		}
		if cuts >= most {
			return answer
		}
		cuts++
		return testkit.CutBody(answer, random.IntN(len(left)))
	})
	path := filepath.Join(t.TempDir(), "v.mp4")
	var old []byte
	var opts []vidu.DownloadOption
	if random.IntN(2) == 0 {
		old, opts = []byte("old"), []vidu.DownloadOption{vidu.WithOverwrite()}
		testkit.WriteOldFile(t, path, "old")
	}
	_, err := store.client(t).DownloadFile(t.Context(), store.task(), path, opts...)
	got, readErr := os.ReadFile(path)
	testkit.AssertDirOnly(t, filepath.Dir(path), "v.mp4")
	if err != nil {
		assertSecretFree(t, err)
		assert.Equal(t, old == nil, errors.Is(readErr, fs.ErrNotExist))
		assert.Equal(t, old, got)
		return cuts, false
	}
	sums := [][32]byte{sha256.Sum256(versions[0]), sha256.Sum256(versions[1])}
	assert.Contains(t, sums, sha256.Sum256(got))
	return cuts, true
}
