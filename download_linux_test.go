package vidu_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

func init() {
	subprocesses["download to a full disk"] = downloadToFullDisk
	subprocesses["download until killed"] = downloadUntilKilled
}

func TestDownload_WriterIsFull(t *testing.T) {
	t.Parallel()
	store := newStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	_, err = store.client(t).Download(t.Context(), store.task(), full)
	require.ErrorIs(t, err, syscall.ENOSPC)
	testkit.AssertHarmless(t, err)
	assert.Len(t, store.Seen(), 1, "a full disk does not pass")
}

// TestDownloadFile_DiskIsFull fills a file system of 64 KiB, in a process with a mount table of its own.
func TestDownloadFile_DiskIsFull(t *testing.T) {
	t.Parallel()
	big := newStore(t, testkit.Always(testkit.RawFile(strings.Repeat(testkit.PlainFile, 8)))) // 128 KiB
	small := newStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	child := subprocess(t, "download to a full disk", t.TempDir(), big.URL, small.URL)
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := child.CombinedOutput()
	if err != nil && child.ProcessState == nil || strings.Contains(string(out), mayNotMount) {
		t.Skip("this system does not let a user mount: ", err)
	}
	require.NoError(t, err, string(out))
	assert.Len(t, big.Seen(), 1, "a full disk does not pass")
	assert.Len(t, small.Seen(), 1)
}

const mayNotMount = "may not mount"

// downloadToFullDisk is the subprocess of TestDownloadFile_DiskIsFull.
func downloadToFullDisk(args []string) error {
	dir, big, small := args[0], args[1], args[2]
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		return fmt.Errorf("%s: %w", mayNotMount, err)
	}
	path := filepath.Join(dir, "v.mp4")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		return err
	}
	download := func(serverURL string) error {
		client, err := vidu.NewClient(serverURL, testkit.Key)
		if err != nil {
			return err
		}
		_, err = client.DownloadFile(context.Background(), finishedTask(serverURL+"/v?sig=secret"), path, vidu.WithOverwrite())
		return err
	}
	if err := download(big); !errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "secret") {
		return fmt.Errorf("want ENOSPC, without the query: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		return fmt.Errorf("want the old file only: %v, %w", entries, err)
	}
	if old, err := os.ReadFile(path); string(old) != "old" {
		return fmt.Errorf("want the old file as it was: %q, %w", old, err)
	}
	return download(small) // the part is gone, so there is space again
}

// TestDownloadFile_DirectoryMayNotBeWritten takes /proc, in which not even root can make files.
func TestDownloadFile_DirectoryMayNotBeWritten(t *testing.T) {
	t.Parallel()
	store := newStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	client := store.client(t)
	dirs := []string{"/proc"}
	if os.Geteuid() != 0 {
		dirs = append(dirs, t.TempDir())
		require.NoError(t, os.Chmod(dirs[1], 0o500))
	}
	for _, dir := range dirs {
		_, err := client.DownloadFile(t.Context(), store.task(), filepath.Join(dir, "v.mp4"))
		require.Error(t, err)
		testkit.AssertHarmless(t, err)
	}
	assert.Empty(t, store.Seen(), "found out before the download")
}

// TestDownloadFile_ProcessIsKilled in the middle of a download: an old file stays, and of the new one a part for its
// owner's eyes.
func TestDownloadFile_ProcessIsKilled(t *testing.T) {
	t.Parallel()
	store := newStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	path := filepath.Join(t.TempDir(), "v.mp4")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	child := subprocess(t, "download until killed", store.URL, path)
	err := child.Run()
	exit, ok := errors.AsType[*exec.ExitError](err)
	require.True(t, ok, "%v", err)
	status, ok := exit.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.Equal(t, syscall.SIGKILL, status.Signal(), "%v", err)
	require.Len(t, store.Seen(), 1)
	testkit.AssertFile(t, path, []byte("old"))
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 2)
	assert.Regexp(t, `^\.vidu-\d+\.part$`, entries[0].Name())
	info, err := entries[0].Info()
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
}

// downloadUntilKilled is the subprocess of TestDownloadFile_ProcessIsKilled.
func downloadUntilKilled(args []string) error {
	serverURL, path := args[0], args[1]
	client, err := vidu.NewClient(serverURL, testkit.Key)
	if err != nil {
		return err
	}
	_, err = client.DownloadFile(context.Background(), finishedTask(serverURL+"/v?a"), path, vidu.WithOverwrite(),
		vidu.WithProgressBytes(func(int64, int64) { syscall.Kill(os.Getpid(), syscall.SIGKILL) })) //nolint:errcheck // then it goes on
	return fmt.Errorf("still alive: %w", err)
}
