package oneshot_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/vidu-go/vidu/internal/oneshot"
	"github.com/vidu-go/vidu/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("broken disk")

const mark = "#"

// memory is data that is not a file.
type memory []byte

func (m memory) Open() (io.ReadCloser, fs.FileInfo, error) {
	return io.NopCloser(bytes.NewReader(m)), nil, nil
}

func (memory) String() string { return "memory" }

// inMemory returns data as a source.
func inMemory(data []byte) *oneshot.Source {
	return &oneshot.Source{Data: memory(data), Name: "images[0]", Prefix: "data:", Size: int64(len(data))}
}

// file is one of a file system.
type file struct {
	fsys fs.FS
	name string
}

func (f file) Open() (io.ReadCloser, fs.FileInfo, error) {
	opened, err := f.fsys.Open(f.name)
	if err != nil {
		return nil, nil, err
	}
	info, err := opened.Stat()
	return opened, info, err
}

func (f file) String() string { return filepath.Base(f.name) }

// fromFile returns a file of fsys as a source, described as it is now.
func fromFile(tb testing.TB, fsys fs.FS, name string) *oneshot.Source {
	tb.Helper()
	info, err := fs.Stat(fsys, name)
	require.NoError(tb, err)
	return &oneshot.Source{Data: file{fsys, name}, Name: "images[0]", Prefix: "data:", Size: info.Size(), Info: info}
}

// onDisk returns the file at path as a source.
func onDisk(tb testing.TB, path string) *oneshot.Source {
	tb.Helper()
	return fromFile(tb, os.DirFS(filepath.Dir(path)), filepath.Base(path))
}

// around returns a body with text before the source and behind it.
func around(s *oneshot.Source) *oneshot.Body {
	return oneshot.New([]byte(`["`+mark+`"]`), []byte(mark), []*oneshot.Source{s})
}

// noise returns random bytes, the same each time.
func noise(size int) []byte { return testkit.Padded(nil, size) }
