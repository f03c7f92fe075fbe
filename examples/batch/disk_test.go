package main

import (
	"bytes"
	"net/http"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

// disk records the calls for files and folders, and is full once.
type disk struct {
	full string // when a record of this state is written

	mu  sync.Mutex
	log []string
}

// use has the program use the disk until the end of the test.
func (d *disk) use(t *testing.T) {
	t.Helper()
	genuine := open
	t.Cleanup(func() { open = genuine })
	open = func(path string, flag int) (file, error) {
		f, err := genuine(path, flag)
		return &recordedFile{file: f, disk: d, name: filepath.Base(path)}, err
	}
}

func (d *disk) note(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log = append(d.log, what)
}

// recordedFile is an open file.
type recordedFile struct {
	file
	disk *disk
	name string
}

var stateOf = regexp.MustCompile(`"state":"(\w+)"`)

// WriteAt leaves half a line when the disk is full.
func (f *recordedFile) WriteAt(line []byte, at int64) (int, error) {
	state := stateOf.FindStringSubmatch(string(line))[1]
	f.disk.note("write " + state)
	if f.disk.full != state {
		return f.file.WriteAt(line, at)
	}
	f.disk.full = "" // there is space again
	n, _ := f.file.WriteAt(line[:len(line)/2], at)
	return n, syscall.ENOSPC
}

func (f *recordedFile) Sync() error {
	f.disk.note("sync " + f.name)
	return f.file.Sync()
}

// TestOnTheDisk has everything on the disk before the next step: the folders before a record, a record before a create.
func TestOnTheDisk(t *testing.T) { //nolint:paralleltest // the environment is shared
	if runtime.GOOS == "windows" {
		t.Skip("folders are not synced")
	}
	l := newLab(t, "one\n")
	d := &disk{}
	d.use(t)
	l.front(t, func(w http.ResponseWriter, r *http.Request) {
		if isCreate(r) {
			d.note("create")
		}
		l.server.ServeHTTP(w, r)
	})
	var out bytes.Buffer
	code := run(t.Context(), []string{"-out", filepath.Join(l.folder, "a", "b"), filepath.Join(l.folder, "prompts.txt")}, &out, &out)
	require.Equal(t, exitDone, code, out.String())
	const synced = "sync results.jsonl"
	assert.Equal(t, []string{
		"sync " + filepath.Base(l.folder), "sync a", // which have a new folder each
		synced, "write batch", synced, "sync b",
		"write creating", synced, "create", "write created", synced, "write done", synced,
	}, d.log)

	d.log = nil
	require.NoError(t, makeFolder(filepath.Join(l.folder, "a", "b")))
	assert.Empty(t, d.log, "it is there")
}

// TestFullDisk cannot write one record. The run then creates no more, though there is space again, and prints the
// missing records.
func TestFullDisk(t *testing.T) { //nolint:paralleltest // as above
	tests := map[string]struct {
		charged, videos int // when the record could not be written
		missing         bool
		code, total     int // after the next run, with the missing lines added
	}{
		stateCreating: {0, 0, false, exitDone, 2},
		stateCreated:  {1, 1, true, exitDone, 2},
		stateDone:     {1, 1, true, exitDone, 2},
		stateRefused:  {0, 0, true, exitFailed, 2},
		stateFailed:   {1, 0, true, exitFailed, 3},
	}
	for state, tt := range tests { //nolint:paralleltest // as above
		t.Run(state, func(t *testing.T) {
			prompts := map[string]string{stateRefused: "rude\n", stateFailed: "bad\n"}[state] + "one\ntwo\n"
			l := newLab(t, prompts, vidutest.WithRefusedWord("rude", "AuditSubmitIllegal"), vidutest.WithFailingWord("bad", "AuditFailed"))
			d := &disk{full: state}
			d.use(t)
			code, said := l.run(t, "-tasks", "1")
			assert.Equal(t, exitMayExist, code, said)
			assert.Equal(t, tt.charged, l.server.Charged())
			assert.Equal(t, tt.videos, l.videos(t))
			assert.Contains(t, said, "No more tasks were created: the results cannot be written: "+syscall.ENOSPC.Error())
			assert.Equal(t, "write "+state, d.log[len(d.log)-1], "and no other record after it")
			assert.True(t, strings.HasSuffix(l.results(t), "}\n"), "no half line")

			_, missing, found := strings.Cut(said, "NOT ON RECORD")
			assert.Equal(t, tt.missing, found, said)
			_, missing, _ = strings.Cut(missing, "\n")
			l.write(t, "results.jsonl", l.results(t)+missing)
			code, said = l.run(t)
			assert.Equal(t, tt.code, code, said)
			assert.Equal(t, 2, l.videos(t))
			assert.Equal(t, tt.total, l.server.Charged(), "not paid twice")
			assert.NotContains(t, said, "MAY EXIST")
		})
	}
}
