package vidu_test

import (
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// lyingFS describes its file as the one that it was, whatever it is by now: the race of a file that changes between a
// look and the next, as a test can have it every time.
type lyingFS struct {
	was fstest.MapFS
	is  fstest.MapFS // from the second Open on; the first is the check's
	at  int
}

func (l *lyingFS) Stat(name string) (fs.FileInfo, error) { return fs.Stat(l.was, name) }

func (l *lyingFS) Open(name string) (fs.File, error) {
	if l.at++; l.at == 1 {
		return l.was.Open(name)
	}
	file, err := l.is.Open(name)
	return lyingFile{file, l, name}, err
}

type lyingFile struct {
	fs.File

	fsys *lyingFS
	name string
}

func (f lyingFile) Stat() (fs.FileInfo, error) { return f.fsys.Stat(f.name) }

// TestFileThatChangesUnnoticed: where no description tells, the number of bytes does.
func TestFileThatChangesUnnoticed(t *testing.T) {
	t.Parallel()
	picture := testkit.Padded(testkit.PNG(t, 128, 128), 1000)
	for name, tt := range map[string]struct {
		is   []byte
		same bool
	}{
		"as it was":          {picture, true},
		"grown by one byte":  {testkit.Padded(picture, len(picture)+1), false},
		"grown by much":      {testkit.Padded(picture, 100_000), false},
		"shrunk by one byte": {picture[:len(picture)-1], false},
		"emptied":            {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fsys := &lyingFS{was: fstest.MapFS{"a.png": {Data: picture}}, is: fstest.MapFS{"a.png": {Data: tt.is}}}
			body := prepare(t, &vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: []vidu.Media{vidu.FS(fsys, "a.png")}})
			sending := body.Open()
			defer sending.Close()
			_, err := testkit.ReadBy(sending, 4096)
			if tt.same {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "a.png): changed since it was checked")
			assert.True(t, sending.Seal(), "it was not sent whole")
		})
	}
}

// TestFileThatBecomesAPipe between Stat and Open, at the check and at the sending.
func TestFileThatBecomesAPipe(t *testing.T) {
	t.Parallel()
	picture := testkit.PNG(t, 128, 128)
	regular := &fstest.MapFile{Data: picture, ModTime: time.Unix(1, 0)}
	pipe := &fstest.MapFile{Data: picture, ModTime: time.Unix(1, 0), Mode: fs.ModeNamedPipe} // as long and as old
	fsys := &twoFacedFS{stat: regular, open: pipe}
	req := &vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: []vidu.Media{vidu.FS(fsys, "a.png")}}
	require.ErrorContains(t, req.Validate(), "not a regular file")

	fsys.open = regular
	body := prepare(t, req)
	fsys.open = pipe
	sending := body.Open()
	defer sending.Close()
	got, err := testkit.ReadBy(sending, 4096)
	require.ErrorContains(t, err, "not a regular file")
	assert.NotContains(t, string(got), "data:")
}

// twoFacedFS describes one file and opens another one.
type twoFacedFS struct{ stat, open *fstest.MapFile }

func (f *twoFacedFS) Stat(name string) (fs.FileInfo, error) {
	return fs.Stat(fstest.MapFS{name: f.stat}, name)
}

func (f *twoFacedFS) Open(name string) (fs.File, error) { return fstest.MapFS{name: f.open}.Open(name) }
