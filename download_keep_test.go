package vidu_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// noLinks is a file system without hard links, on which something may happen when that is found out.
func noLinks(meanwhile func(from, to string)) vidu.DownloadOption {
	return vidu.WithLink(func(from, to string) error {
		if meanwhile != nil {
			meanwhile(from, to)
		}
		return &os.LinkError{Op: "link", Old: from, New: to, Err: errors.ErrUnsupported}
	})
}

func TestD18_NoHardLinks(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	t.Run("alone", func(t *testing.T) {
		t.Parallel()
		got, err := store.fetch(t, noLinks(nil))
		require.NoError(t, err)
		assert.Equal(t, testkit.PlainFile, got)
	})
	t.Run("beaten to the name", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "v.mp4")
		_, err := newClient(t, store.URL).DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), path,
			noLinks(func(_, to string) { testkit.WriteOldFile(t, to, "theirs") }))
		require.ErrorIs(t, err, fs.ErrExist)
		testkit.AssertHarmless(t, err)
		testkit.AssertFile(t, path, []byte("theirs"))
		testkit.AssertDirOnly(t, filepath.Dir(path), "v.mp4")
	})
	t.Run("swept away", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		_, err := newClient(t, store.URL).DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), filepath.Join(dir, "v.mp4"),
			noLinks(func(from, _ string) { assert.NoError(t, os.Remove(from)) }))
		require.ErrorIs(t, err, fs.ErrNotExist)
		testkit.AssertHarmless(t, err)
		testkit.AssertDirOnly(t, dir, "") // not even the empty file that held the place
	})
}

// TestD22_ManyWithoutHardLinks lets all find the name free at the same time.
func TestD22_ManyWithoutHardLinks(t *testing.T) {
	t.Parallel()
	const players = 8
	store := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	client := newClient(t, store.URL)
	for range 20 {
		path := filepath.Join(t.TempDir(), "v.mp4")
		var running, ready sync.WaitGroup
		ready.Add(players)
		errs := make([]error, players)
		for i := range errs {
			running.Go(func() {
				_, errs[i] = client.DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), path, noLinks(func(_, _ string) {
					ready.Done()
					ready.Wait()
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

// TestDownloadFileIsSynced: the bytes before the file has its name, and then the name.
func TestDownloadFileIsSynced(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
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
			_, err := newClient(t, store.URL).DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), path, append(tt.opts, vidu.WithSync(func(f *os.File) error {
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
