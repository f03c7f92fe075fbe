package oneshot_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/oneshot"
	"github.com/vidu-go/vidu/internal/testkit"
)

var longAgo = time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)

// writeOldFile writes 300,000 bytes that were last changed long ago.
func writeOldFile(tb testing.TB) string {
	tb.Helper()
	path := testkit.WriteFile(tb, "hero.png", noise(300_000))
	require.NoError(tb, os.Chtimes(path, longAgo, longAgo))
	return path
}

// fileChanges are what may happen to a file of writeOldFile. An open file that is replaced or removed stays the one
// that was checked.
var fileChanges = map[string]struct {
	do        func(path string) error
	openStays bool
}{
	"shrinks": {do: func(path string) error { return os.Truncate(path, 150_000) }},
	"shrinks, its time restored": {do: func(path string) error {
		return errors.Join(os.Truncate(path, 150_000), os.Chtimes(path, longAgo, longAgo))
	}},
	"grows": {do: func(path string) error { return os.Truncate(path, 300_001) }},
	"grows, its time restored": {do: func(path string) error {
		return errors.Join(os.Truncate(path, 300_001), os.Chtimes(path, longAgo, longAgo))
	}},
	"is touched": {do: func(path string) error {
		return os.Chtimes(path, time.Time{}, longAgo.Add(time.Nanosecond))
	}},
	"is replaced": {openStays: true, do: func(path string) error { // by one of the same size and time
		other := filepath.Join(filepath.Dir(path), "other.png")
		return errors.Join(os.WriteFile(other, make([]byte, 300_000), 0o600), os.Chtimes(other, longAgo, longAgo), os.Rename(other, path))
	}},
	"is removed": {openStays: true, do: os.Remove},
}

// Not a byte of a file that is another one by now is handed out.
func TestSource_FileChangedBeforeItIsOpened(t *testing.T) {
	t.Parallel()
	for what, change := range fileChanges {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			path := writeOldFile(t)
			r := around(onDisk(t, path)).Open()
			defer r.Close()
			require.NoError(t, change.do(path))
			got, err := testkit.ReadBy(r, 1000)
			assertFailed(t, err, "hero.png")
			assert.Equal(t, what == "is removed", errors.Is(err, fs.ErrNotExist))
			assert.Equal(t, what != "is removed", errors.Is(err, oneshot.ErrChanged))
			assert.Equal(t, `["`, string(got))
			assert.True(t, r.Seal())
		})
	}
}

func TestSource_FileChangesWhileItIsRead(t *testing.T) {
	t.Parallel()
	for _, raw := range []bool{false, true} {
		for what, change := range fileChanges {
			t.Run(what+map[bool]string{true: ", sent as it is"}[raw], func(t *testing.T) {
				t.Parallel()
				path := writeOldFile(t)
				s := onDisk(t, path)
				s.Raw = raw
				body := around(s)
				r := body.Open()
				defer r.Close()
				_, err := io.ReadFull(r, make([]byte, 100_000))
				require.NoError(t, err)
				require.NoError(t, change.do(path))
				rest, err := testkit.ReadBy(r, 1000)
				if change.openStays {
					require.NoError(t, err)
					assert.EqualValues(t, body.Size(), 100_000+len(rest))
					return
				}
				require.ErrorIs(t, err, oneshot.ErrChanged)
				assertFailed(t, err, "hero.png")
				assert.True(t, r.Seal())
				_, err = body.Bytes()
				require.ErrorIs(t, err, oneshot.ErrChanged, "sent again")
			})
		}
	}
}

// assertFailed requires an error that names the source.
func assertFailed(t *testing.T, err error, file string) {
	t.Helper()
	failure, ok := errors.AsType[*oneshot.SourceError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, "images[0] ("+file+")", failure.Name)
	assert.Equal(t, failure.Name+": "+failure.Err.Error(), failure.Error())
}

// oddFS is a file system whose file opens as another one than Stat describes, and then describes itself as it likes.
type oddFS struct {
	was, is fstest.MapFile
	stat    func(looks int, info fs.FileInfo) (fs.FileInfo, error) // of the open file, from 1
	read    func(reads int, file io.Reader, p []byte) (int, error)
}

func (o *oddFS) Stat(name string) (fs.FileInfo, error) {
	return fs.Stat(fstest.MapFS{name: &o.was}, name)
}

func (o *oddFS) Open(name string) (fs.File, error) {
	opened, err := fstest.MapFS{name: &o.is}.Open(name)
	return &oddFile{File: opened, fsys: o, name: name}, err
}

type oddFile struct {
	fs.File
	fsys         *oddFS
	name         string
	looks, reads int
}

func (f *oddFile) Stat() (fs.FileInfo, error) {
	f.looks++
	if f.fsys.stat == nil {
		return f.fsys.Stat(f.name)
	}
	info, err := f.File.Stat()
	if err != nil {
		return nil, err
	}
	return f.fsys.stat(f.looks, info)
}

func (f *oddFile) Read(p []byte) (int, error) {
	f.reads++
	if f.fsys.read == nil {
		return f.File.Read(p)
	}
	return f.fsys.read(f.reads, f.File, p)
}

// A file may change between a Stat and the next; where its description stays the same, the number of bytes does not.
func TestSource_FileChangesUnnoticed(t *testing.T) {
	t.Parallel()
	data := noise(1000)
	for name, tt := range map[string]struct {
		is   []byte
		same bool
	}{
		"as it was":          {data, true},
		"grown by one byte":  {noise(1001), false},
		"grown by much":      {noise(100_000), false},
		"shrunk by one byte": {data[:999], false},
		"emptied":            {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fsys := &oddFS{was: fstest.MapFile{Data: data}, is: fstest.MapFile{Data: tt.is}}
			r := around(fromFile(t, fsys, "a.png")).Open()
			defer r.Close()
			_, err := testkit.ReadBy(r, 4096)
			if tt.same {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, "images[0] (a.png): changed since it was checked")
			assert.True(t, r.Seal(), "it was not handed out whole")
		})
	}
}

// otherInfo changes parts of a description.
type otherInfo struct {
	fs.FileInfo
	size int64
	time time.Time
	mode fs.FileMode
}

func (i otherInfo) Size() int64        { return i.size }
func (i otherInfo) ModTime() time.Time { return i.time }
func (i otherInfo) Mode() fs.FileMode  { return i.mode }

// The open file is looked at twice: before its first byte is read and after its last one.
func TestSource_FileDescribesItselfOtherwise(t *testing.T) {
	t.Parallel()
	file := fstest.MapFile{Data: noise(1000), ModTime: longAgo, Mode: 0o600}
	described := func(size int64, time time.Time, mode fs.FileMode) func(fs.FileInfo) (fs.FileInfo, error) {
		return func(info fs.FileInfo) (fs.FileInfo, error) { return otherInfo{info, size, time, mode}, nil }
	}
	for name, tt := range map[string]struct {
		stat func(info fs.FileInfo) (fs.FileInfo, error)
		same bool
	}{
		"the same":           {described(1000, longAgo, 0o600), true},
		"another permission": {described(1000, longAgo, 0o444), true},
		"another time zone":  {described(1000, longAgo.In(time.FixedZone("", 3600)), 0o600), true},
		"larger":             {described(1001, longAgo, 0o600), false},
		"newer":              {described(1000, longAgo.Add(1), 0o600), false},
		"a pipe":             {described(1000, longAgo, 0o600|fs.ModeNamedPipe), false},
		"not at all":         {func(fs.FileInfo) (fs.FileInfo, error) { return nil, nil }, false}, //nolint:nilnil // as an untrusted fs.File may
	} {
		for when, look := range map[string]int{"at first": 1, "in the end": 2} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				fsys := &oddFS{was: file, is: file}
				fsys.stat = func(looks int, info fs.FileInfo) (fs.FileInfo, error) {
					if looks != look {
						return info, nil
					}
					return tt.stat(info)
				}
				r := around(fromFile(t, fsys, "a.png")).Open()
				defer r.Close()
				got, err := testkit.ReadBy(r, 4096)
				if tt.same {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, oneshot.ErrChanged)
				assertFailed(t, err, "a.png")
				assert.Equal(t, look == 2, strings.Contains(string(got), "data:"))
				assert.True(t, r.Seal())
			})
		}
	}
}

// An error of Stat in the end counts as a change, for the file cannot be compared.
func TestSource_FileCannotBeDescribed(t *testing.T) {
	t.Parallel()
	file := fstest.MapFile{Data: noise(1000)}
	fsys := &oddFS{was: file, is: file, stat: func(looks int, info fs.FileInfo) (fs.FileInfo, error) {
		if looks == 2 {
			return nil, errBroken
		}
		return info, nil
	}}
	r := around(fromFile(t, fsys, "a.png")).Open()
	defer r.Close()
	_, err := testkit.ReadBy(r, 1000)
	require.ErrorIs(t, err, oneshot.ErrChanged)
	assert.True(t, r.Seal())
}

// After a failure the position in a file is unknown, so no later Read may succeed.
func TestSource_ReadErrorIsFinal(t *testing.T) {
	t.Parallel()
	for _, raw := range []bool{false, true} {
		file := fstest.MapFile{Data: noise(1000)}
		fsys := &oddFS{was: file, is: file, read: func(reads int, file io.Reader, p []byte) (int, error) {
			if reads > 1 { // as if nothing had happened
				return file.Read(p)
			}
			n, err := file.Read(p[:len(p)/2])
			return n, errors.Join(err, errBroken)
		}}
		s := fromFile(t, fsys, "a.png")
		s.Raw = raw
		r := around(s).Open()
		for _, size := range []int{1, 1000, 1} {
			_, err := testkit.ReadBy(r, size)
			require.ErrorIs(t, err, errBroken)
			assertFailed(t, err, "a.png")
		}
		assert.True(t, r.Seal())
		require.NoError(t, r.Close())
	}
}

// Data in memory that is not as long as it was is found, too.
func TestSource_MemoryOfAnotherLength(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{999, 1001} {
		s := inMemory(noise(1000))
		s.Size = size
		r := around(s).Open()
		_, err := testkit.ReadBy(r, 4096)
		require.EqualError(t, err, "images[0] (memory): changed since it was checked")
		assert.True(t, r.Seal())
		require.NoError(t, r.Close())
	}
}

// A file that was not described is as good as memory: only its length counts.
func TestSource_FileWithoutInfo(t *testing.T) {
	t.Parallel()
	path := writeOldFile(t)
	s := onDisk(t, path)
	s.Info = nil
	require.NoError(t, os.Chtimes(path, time.Time{}, time.Now()))
	text, err := around(s).Bytes()
	require.NoError(t, err)
	assert.Len(t, text, int(around(s).Size()))
}

// unclosable is a file whose Close fails.
type unclosable struct{ file }

func (u unclosable) Open() (io.ReadCloser, fs.FileInfo, error) {
	opened, info, err := u.file.Open()
	return struct {
		io.Reader
		io.Closer
	}{opened, closer(opened.Close)}, info, err
}

type closer func() error

func (c closer) Close() error { return errors.Join(c(), errBroken) }

func TestSource_CloseError(t *testing.T) {
	t.Parallel()
	path := writeOldFile(t)
	s := onDisk(t, path)
	s.Data = unclosable{s.Data.(file)}
	body := around(s)
	r := body.Open()
	_, err := io.ReadFull(r, make([]byte, 1000))
	require.NoError(t, err)
	require.ErrorIs(t, r.Close(), errBroken)
	_, err = body.Bytes()
	require.ErrorIs(t, err, errBroken, "at the end of the file")
	require.NoError(t, os.Chtimes(path, time.Time{}, time.Now()))
	_, err = body.Bytes()
	require.ErrorIs(t, err, oneshot.ErrChanged)
	require.ErrorIs(t, err, errBroken, "of the changed file")
}

// A file whose Read gives nothing, and no error, for ever is an error after some reads, wherever that begins.
func TestSource_Stuck(t *testing.T) {
	t.Parallel()
	data := noise(50_000)
	for name, tt := range map[string]struct {
		good int // bytes before that
		raw  bool
		fine bool
	}{
		"at once":               {good: 0},
		"within":                {good: 30_000},
		"at its end":            {good: 50_000},
		"at once, as it is":     {good: 0, raw: true},
		"at its end, as it is":  {good: 50_000, raw: true},
		"now and then, no harm": {good: 50_000, fine: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			odd := &oddFS{was: fstest.MapFile{Data: data}, is: fstest.MapFile{Data: data}}
			left, empty := tt.good, 0
			odd.read = func(_ int, file io.Reader, p []byte) (int, error) {
				if tt.fine {
					if empty++; empty%100 != 0 {
						return 0, nil
					}
					return file.Read(p)
				}
				n, err := file.Read(p[:min(len(p), left)])
				if left -= n; left == 0 && n == 0 {
					return 0, nil
				}
				return n, err
			}
			s := fromFile(t, odd, "hero.png")
			s.Raw = tt.raw
			r := around(s).Open()
			defer r.Close()
			_, err := io.Copy(io.Discard, r)
			if tt.fine {
				require.NoError(t, err)
				return
			}
			assertFailed(t, err, "hero.png")
			require.ErrorIs(t, err, io.ErrNoProgress)
			assert.True(t, r.Seal(), "the request never was whole")
		})
	}
}

func TestLimitEmptyReads(t *testing.T) {
	t.Parallel()
	_, err := io.ReadAll(oneshot.LimitEmptyReads(io.MultiReader(strings.NewReader("text"), testkit.StuckReader{})))
	require.ErrorIs(t, err, io.ErrNoProgress)
	require.NoError(t, iotest.TestReader(oneshot.LimitEmptyReads(strings.NewReader("some text")), []byte("some text")))
	n, err := oneshot.LimitEmptyReads(testkit.StuckReader{}).Read(nil)
	assert.Zero(t, n)
	require.NoError(t, err, "nothing was asked for")
}
