package vidu_test

import (
	"context"
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

func TestD17_WriterIsFull(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	_, err = newClient(t, store.URL).Download(t.Context(), finishedTask(store.URL+"/v?a"), full)
	require.ErrorIs(t, err, syscall.ENOSPC)
	testkit.AssertHarmless(t, err)
	assert.Len(t, store.seen(), 1, "a full disk does not pass")
}

// TestD17_DiskIsFull fills a file system of 64 KiB, in a process with a mount table of its own.
func TestD17_DiskIsFull(t *testing.T) {
	t.Parallel()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestD17_Helper$", "-test.v")
	child.Env = append(os.Environ(), "VIDU_TEST_FULL_DISK="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := child.CombinedOutput()
	if err != nil && child.ProcessState == nil || strings.Contains(string(out), "may not mount") {
		t.Skip("this system does not let a user mount: ", err)
	}
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "--- PASS: TestD17_Helper")
}

// TestD17_Helper is no test but the other process of TestD17_DiskIsFull.
func TestD17_Helper(t *testing.T) { //nolint:paralleltest // alone in its process
	dir := os.Getenv("VIDU_TEST_FULL_DISK")
	if dir == "" {
		t.Skip("for TestD17_DiskIsFull")
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal("may not mount: ", err)
	}
	path := filepath.Join(dir, "v.mp4")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	big := strings.Repeat(testkit.PlainFile, 8) // 128 KiB
	store := newRawStore(t, testkit.Always(testkit.RawFile(big)))
	_, err := newClient(t, store.URL).DownloadFile(t.Context(), finishedTask(store.URL+"/v?sig=secret"), path, vidu.WithOverwrite())
	require.ErrorIs(t, err, syscall.ENOSPC)
	assertSecretFree(t, err)
	testkit.AssertFile(t, path, []byte("old"))
	testkit.AssertDirOnly(t, dir, "v.mp4")
	assert.Len(t, store.seen(), 1)

	small := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	_, err = newClient(t, small.URL).DownloadFile(t.Context(), finishedTask(small.URL+"/v?a"), path, vidu.WithOverwrite())
	require.NoError(t, err, "the part is gone, so there is space again")
}

// TestD24_DirectoryMayNotBeWritten takes /proc, in which not even root can make files.
func TestD24_DirectoryMayNotBeWritten(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	client := newClient(t, store.URL)
	dirs := []string{"/proc"}
	if os.Geteuid() != 0 {
		dirs = append(dirs, t.TempDir())
		require.NoError(t, os.Chmod(dirs[1], 0o500))
	}
	for _, dir := range dirs {
		_, err := client.DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), filepath.Join(dir, "v.mp4"))
		require.Error(t, err)
		testkit.AssertHarmless(t, err)
	}
	assert.Empty(t, store.seen(), "found out before the download")
}

// TestD21_Killed kills a process in the middle of a download: an old file stays, and of the new one a part for its
// owner's eyes.
func TestD21_Killed(t *testing.T) {
	t.Parallel()
	if path := os.Getenv("VIDU_TEST_KILLED"); path != "" {
		serverURL := os.Getenv("VIDU_TEST_SERVER")
		newClient(t, serverURL).DownloadFile(context.Background(), finishedTask(serverURL+"/v?a"), path, vidu.WithOverwrite(), //nolint:errcheck,usetesting // it is killed
			vidu.WithProgressBytes(func(int64, int64) {
				fmt.Fprintln(os.Stdout, "started")
				syscall.Kill(os.Getpid(), syscall.SIGKILL) //nolint:errcheck // it is dead then
			}))
		t.FailNow()
	}
	store := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	path := filepath.Join(t.TempDir(), "v.mp4")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestD21_Killed$")
	child.Env = append(os.Environ(), "VIDU_TEST_KILLED="+path, "VIDU_TEST_SERVER="+store.URL)
	require.Error(t, child.Run())
	require.Len(t, store.seen(), 1)
	testkit.AssertFile(t, path, []byte("old"))
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 2)
	assert.Regexp(t, `^\.vidu-\d+\.part$`, entries[0].Name())
	info, err := entries[0].Info()
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
}
