package fetch_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/fetch"
	"github.com/vidu-go/vidu/internal/testkit"
)

// put writes "new" to target as a download would.
func put(t *testing.T, target *fetch.Target) error {
	t.Helper()
	temp, err := target.Create()
	if err != nil {
		return err
	}
	defer func() {
		temp.Close()
		os.Remove(temp.Name()) //nolint:errcheck // after an overwrite it is gone
	}()
	_, err = temp.WriteString("new")
	require.NoError(t, err)
	return target.Commit(temp)
}

// linkless is os.Link on a file system that has no hard links; meanwhile happens when that is found out.
func linkless(meanwhile func(from, to string)) func(from, to string) error {
	return func(from, to string) error {
		meanwhile(from, to)
		return &os.LinkError{Op: "link", Old: from, New: to, Err: errors.ErrUnsupported}
	}
}

func TestTarget_AppearsWhole(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		target fetch.Target
		old    bool
	}{
		"new":                     {fetch.Target{}, false},
		"new, without hard links": {fetch.Target{Link: linkless(func(string, string) {})}, false},
		"overwritten":             {fetch.Target{Overwrite: true}, true},
		"new, may overwrite":      {fetch.Target{Overwrite: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			target := tt.target
			target.Path = filepath.Join(dir, "v.mp4")
			if tt.old {
				testkit.WriteOldFile(t, target.Path, "old")
			}
			syncs := 0
			target.Sync = func(f *os.File) error {
				switch syncs++; syncs {
				case 1:
					assert.Regexp(t, `^\.vidu-\d+\.part$`, filepath.Base(f.Name()))
					info, err := f.Stat()
					require.NoError(t, err)
					assert.Equal(t, fs.FileMode(0o600), info.Mode())
					assert.Equal(t, int64(3), info.Size())
					got, _ := os.ReadFile(target.Path)
					assert.Equal(t, map[bool]string{true: "old"}[tt.old], string(got), "not before it is synced")
				case 2:
					assert.Equal(t, dir, f.Name())
					testkit.AssertFile(t, target.Path, []byte("new"))
					return errors.New("this system cannot sync directories")
				}
				return nil
			}
			require.NoError(t, put(t, &target))
			assert.Equal(t, 2, syncs)
			testkit.AssertFile(t, target.Path, []byte("new"))
			testkit.AssertDirOnly(t, dir, "v.mp4")
		})
	}
}

func TestTarget_IsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := testkit.WriteFile(t, "v.mp4", []byte("old"))
	for name, tt := range map[string]struct {
		target fetch.Target
		is     error
		says   string
	}{
		"empty":                    {fetch.Target{}, nil, "the path is empty"},
		"exists":                   {fetch.Target{Path: old}, fs.ErrExist, ""},
		"a directory":              {fetch.Target{Path: dir}, fs.ErrExist, ""},
		"a directory, overwritten": {fetch.Target{Path: dir, Overwrite: true}, nil, "not a regular file"},
		"a device, overwritten":    {fetch.Target{Path: os.DevNull, Overwrite: true}, nil, "not a regular file"},
		"no such directory":        {fetch.Target{Path: filepath.Join(dir, "none", "v.mp4")}, fs.ErrNotExist, ""},
		"below a file":             {fetch.Target{Path: filepath.Join(old, "v.mp4")}, nil, "not a directory"},
		"a name that is too long":  {fetch.Target{Path: filepath.Join(dir, strings.Repeat("n", 256))}, nil, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tt.target.Create()
			require.ErrorContains(t, err, tt.says)
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
			}
		})
	}
	testkit.AssertFile(t, old, []byte("old"))
}

func TestTarget_SymlinkIsReplaced(t *testing.T) {
	t.Parallel()
	for _, dangling := range []bool{true, false} {
		dir := t.TempDir()
		to, path := filepath.Join(dir, "to"), filepath.Join(dir, "v.mp4")
		require.NoError(t, os.Symlink(to, path))
		if !dangling {
			testkit.WriteOldFile(t, to, "old")
		}
		require.ErrorIs(t, put(t, &fetch.Target{Path: path}), fs.ErrExist)
		require.NoError(t, put(t, &fetch.Target{Path: path, Overwrite: true}))
		info, err := os.Lstat(path)
		require.NoError(t, err)
		assert.True(t, info.Mode().IsRegular())
		if dangling {
			require.NoFileExists(t, to)
		} else {
			testkit.AssertFile(t, to, []byte("old"))
		}
	}
}

func TestTarget_NameTakenMeanwhile(t *testing.T) {
	t.Parallel()
	for name, link := range map[string]func(from, to string) error{
		"hard links": nil,
		"none":       linkless(func(_, to string) { testkit.WriteOldFile(t, to, "theirs") }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := &fetch.Target{Path: filepath.Join(t.TempDir(), "v.mp4"), Link: link}
			if link == nil {
				target.Sync = func(*os.File) error {
					testkit.WriteOldFile(t, target.Path, "theirs")
					return nil
				}
			}
			require.ErrorIs(t, put(t, target), fs.ErrExist)
			testkit.AssertFile(t, target.Path, []byte("theirs"))
			testkit.AssertDirOnly(t, filepath.Dir(target.Path), "v.mp4")
		})
	}
}

// TestTarget_TemporaryFileIsGone: not even the empty file that held the place stays.
func TestTarget_TemporaryFileIsGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target := &fetch.Target{Path: filepath.Join(dir, "v.mp4"), Link: linkless(func(from, _ string) { assert.NoError(t, os.Remove(from)) })}
	require.ErrorIs(t, put(t, target), fs.ErrNotExist)
	testkit.AssertDirOnly(t, dir, "")
}

// TestTarget_DirectoryIsGone: the error says that, and only that.
func TestTarget_DirectoryIsGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target := &fetch.Target{Path: filepath.Join(dir, "v.mp4"), Link: linkless(func(string, string) { assert.NoError(t, os.RemoveAll(dir)) })}
	err := put(t, target)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NotErrorIs(t, err, fs.ErrInvalid)
	assert.NotContains(t, err.Error(), "\n")
}

func TestTarget_SyncFails(t *testing.T) {
	t.Parallel()
	dir, broken := t.TempDir(), errors.New("broken disk")
	target := &fetch.Target{Path: filepath.Join(dir, "v.mp4"), Sync: func(*os.File) error { return broken }}
	require.ErrorIs(t, put(t, target), broken)
	testkit.AssertDirOnly(t, dir, "")

	target.Sync = nil
	temp, err := target.Create()
	require.NoError(t, err)
	require.NoError(t, temp.Close())
	require.ErrorIs(t, target.Commit(temp), os.ErrClosed)
	require.NoError(t, os.Remove(temp.Name()))
	testkit.AssertDirOnly(t, dir, "")
}

// TestTarget_RemovesAbandonedParts, a day old, and nothing else.
func TestTarget_RemovesAbandonedParts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{
		".vidu-123.part": 25 * time.Hour, ".vidu-124.part": 23 * time.Hour, "x.vidu-123.part": 25 * time.Hour,
		".vidu-123.parts": 25 * time.Hour, ".vidu-x.part": 25 * time.Hour,
	} {
		path, then := filepath.Join(dir, name), time.Now().Add(-age)
		testkit.WriteOldFile(t, path, "x")
		require.NoError(t, os.Chtimes(path, then, then))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".vidu-125.part"), 0o700))
	require.NoError(t, os.Chtimes(filepath.Join(dir, ".vidu-125.part"), time.Unix(1, 0), time.Unix(1, 0)))
	require.NoError(t, put(t, &fetch.Target{Path: filepath.Join(dir, "v.mp4")}))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	assert.Equal(t, []string{".vidu-123.parts", ".vidu-124.part", ".vidu-125.part", ".vidu-x.part", "v.mp4", "x.vidu-123.part"}, names)
}

// TestTarget_HugeDirectoryIsNotReadToItsEnd: of 1001 abandoned parts one stays.
func TestTarget_HugeDirectoryIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 1001 {
		path := filepath.Join(dir, fmt.Sprintf(".vidu-%d.part", i))
		testkit.WriteOldFile(t, path, "")
		require.NoError(t, os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)))
	}
	require.NoError(t, put(t, &fetch.Target{Path: filepath.Join(dir, "v.mp4")}))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 2)
}
