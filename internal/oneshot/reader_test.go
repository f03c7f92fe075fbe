package oneshot_test

import (
	"io"
	"io/fs"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/oneshot"
	"github.com/vidu-go/vidu/internal/testkit"
)

func TestReader_SealProvesWhatWasNotHandedOut(t *testing.T) {
	t.Parallel()
	body, want := mixed(t, noise(1000))
	for name, tt := range map[string]struct {
		read       int
		incomplete bool
	}{
		"nothing read":      {0, true},
		"half":              {len(want) / 2, true},
		"all but one byte":  {len(want) - 1, true},
		"all, EOF not seen": {len(want), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := body.Open()
			_, err := io.ReadFull(r, make([]byte, tt.read))
			require.NoError(t, err)
			assert.Equal(t, tt.incomplete, r.Seal())
			assert.Equal(t, tt.incomplete, r.Seal(), "asked again")
			require.NoError(t, r.Close())
			n, err := r.Read(make([]byte, 1))
			assert.Zero(t, n)
			require.Error(t, err)
			require.NotErrorIs(t, err, io.EOF)
		})
	}
}

// After Seal no byte is handed out; the Read that asks for one waits, and Close ends it.
func TestReader_SealedReadWaitsForClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := oneshot.New([]byte("some text"), nil, nil).Open()
		_, err := io.ReadFull(r, make([]byte, 4))
		require.NoError(t, err)
		assert.True(t, r.Seal())

		var ended atomic.Int64
		for range 2 {
			go func() {
				n, err := r.Read(make([]byte, 10))
				assert.Zero(t, n)
				assert.ErrorContains(t, err, "closed")
				ended.Add(1)
			}()
		}
		synctest.Wait()
		assert.Zero(t, ended.Load())
		require.NoError(t, r.Close())
		synctest.Wait()
		assert.Equal(t, int64(2), ended.Load())
		require.NoError(t, r.Close(), "twice")
	})
}

// A Read that begins after Seal does not touch a source either, for its owner may change it.
func TestReader_SealedReadTouchesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fsys := &gatedFS{MapFS: fstest.MapFS{"a.png": {Data: noise(1000)}}, gate: make(chan struct{})}
		r := around(fromFile(t, fsys, "a.png")).Open()
		_, err := io.ReadFull(r, make([]byte, len(`["`)))
		require.NoError(t, err)
		assert.True(t, r.Seal())
		go r.Read(make([]byte, 10)) //nolint:errcheck // it is that of Close
		synctest.Wait()
		assert.Zero(t, fsys.open.Load(), "open files")
		require.NoError(t, r.Close())
	})
}

// gatedFS has files whose Read waits for gate, and counts those that are open.
type gatedFS struct {
	fstest.MapFS

	gate chan struct{}
	open atomic.Int64
}

func (f *gatedFS) Open(name string) (fs.File, error) {
	opened, err := f.MapFS.Open(name)
	f.open.Add(1)
	return &gatedFile{opened, f}, err
}

func (f *gatedFS) Stat(name string) (fs.FileInfo, error) { return fs.Stat(f.MapFS, name) }

type gatedFile struct {
	fs.File

	fsys *gatedFS
}

func (f *gatedFile) Read(p []byte) (int, error) {
	<-f.fsys.gate
	return f.File.Read(p)
}

func (f *gatedFile) Close() error {
	f.fsys.open.Add(-1)
	return f.File.Close()
}

// slowRead is a goroutine that reads a body whose file does not answer yet.
type slowRead struct {
	*oneshot.Reader
	fsys  *gatedFS
	n     int // bytes that were handed out
	err   error
	ended bool
}

// startSlowRead returns when the goroutine waits for the file. It must run in a bubble of synctest.
func startSlowRead(t *testing.T) *slowRead {
	t.Helper()
	fsys := &gatedFS{MapFS: fstest.MapFS{"a.png": {Data: noise(1000)}}, gate: make(chan struct{})}
	s := &slowRead{Reader: around(fromFile(t, fsys, "a.png")).Open(), fsys: fsys}
	go func() {
		for s.err == nil {
			var n int
			n, s.err = s.Read(make([]byte, 1<<20))
			s.n += n
		}
		s.ended = true
	}()
	synctest.Wait()
	require.Equal(t, len(`["data:`), s.n)
	return s
}

// What a slow file returns after the seal is not handed out any more, though its Read had begun before: otherwise a
// request that counts as incomplete could still become whole.
func TestReader_SealedDuringFileRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := startSlowRead(t)
		before := s.n
		assert.True(t, s.Seal())
		close(s.fsys.gate)
		synctest.Wait()
		assert.False(t, s.ended, "it waits for Close")
		require.NoError(t, s.Close())
		synctest.Wait()
		assert.True(t, s.ended)
		assert.Equal(t, before, s.n)
		require.ErrorContains(t, s.err, "closed")
		assert.Zero(t, s.fsys.open.Load(), "open files")
	})
}

// Close does not wait for a slow file, and does not close it under a Read either.
func TestReader_ClosedDuringFileRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := startSlowRead(t)
		before := s.n
		require.NoError(t, s.Close())
		assert.Equal(t, int64(1), s.fsys.open.Load(), "closed while it is read")
		close(s.fsys.gate)
		synctest.Wait()
		assert.True(t, s.ended)
		assert.Equal(t, before, s.n)
		require.ErrorContains(t, s.err, "closed")
		assert.Zero(t, s.fsys.open.Load(), "open files")
		assert.True(t, s.Seal())
	})
}

func TestReader_ClosedBetweenFileReads(t *testing.T) {
	t.Parallel()
	fsys := &gatedFS{MapFS: fstest.MapFS{"a.png": {Data: noise(1000)}}, gate: make(chan struct{})}
	close(fsys.gate)
	r := around(fromFile(t, fsys, "a.png")).Open()
	_, err := io.ReadFull(r, make([]byte, 100))
	require.NoError(t, err)
	assert.Equal(t, int64(1), fsys.open.Load())
	require.NoError(t, r.Close())
	assert.Zero(t, fsys.open.Load(), "open files")
}

func TestReader_FilesAreClosedAtTheirEnd(t *testing.T) {
	t.Parallel()
	fsys := &gatedFS{MapFS: fstest.MapFS{"a.png": {Data: noise(1000)}}, gate: make(chan struct{})}
	close(fsys.gate)
	r := around(fromFile(t, fsys, "a.png")).Open()
	_, err := io.Copy(io.Discard, r)
	require.NoError(t, err)
	assert.Zero(t, fsys.open.Load(), "open files")
	require.NoError(t, r.Close())
	assert.Zero(t, fsys.open.Load(), "closed twice")
}

// net/http looks for the end of a body before it flushes the last bytes of it. Sealed or not, that Read must not wait.
func TestReader_SealedReadFindsTheEnd(t *testing.T) {
	t.Parallel()
	body, want := mixed(t, noise(1000))
	r := body.Open()
	_, err := io.ReadFull(r, make([]byte, len(want)))
	require.NoError(t, err)
	assert.False(t, r.Seal())
	_, err = r.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, r.Close())
}

func TestReader_SealedAfterItsEnd(t *testing.T) {
	t.Parallel()
	body, _ := mixed(t, noise(1000))
	r := body.Open()
	_, err := testkit.ReadBy(r, 100)
	require.NoError(t, err)
	assert.False(t, r.Seal())
	_, err = r.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, r.Close())
	require.NoError(t, r.Close(), "twice")
}

// Whenever Seal falls, what it returns and what was read agree, and data in memory is its owner's again.
func TestReader_SealRacesWithRead(t *testing.T) {
	t.Parallel()
	for i := range 500 {
		data := noise(1000)
		text := []byte("[" + mark + "," + mark + "]")
		body := oneshot.New(text, []byte(mark), []*oneshot.Source{inMemory(data), fromFile(t, fstest.MapFS{"a.png": {Data: noise(1000)}}, "a.png")})
		r := body.Open()
		var read int64
		var reading sync.WaitGroup
		reading.Go(func() {
			got, _ := testkit.ReadBy(r, 1+i%50) // the error is that of Close, or none
			read = int64(len(got))
		})
		for range i * 3 {
			runtime.Gosched() // lets the reader run for a while
		}
		incomplete := r.Seal()
		clear(data) // the race detector finds it if it is still being read
		require.NoError(t, r.Close())
		reading.Wait()
		require.Equal(t, incomplete, read < body.Size(), "read %d of %d", read, body.Size())
	}
}

func TestReader_Untouched(t *testing.T) {
	t.Parallel()
	r := oneshot.New([]byte("text"), nil, nil).Open()
	assert.True(t, r.Untouched())
	n, err := r.Read(nil)
	require.NoError(t, err)
	assert.Zero(t, n)
	assert.True(t, r.Untouched(), "after a Read of nothing")
	_, err = r.Read(make([]byte, 1))
	require.NoError(t, err)
	assert.False(t, r.Untouched())
	require.NoError(t, r.Close())
	assert.False(t, r.Untouched(), "after Close")
}

// Each sending is read from the beginning, whatever became of others.
func TestReader_EachSendingIsItsOwn(t *testing.T) {
	t.Parallel()
	body, want := mixed(t, noise(1000))
	first := body.Open()
	_, err := io.ReadFull(first, make([]byte, len(want)/2))
	require.NoError(t, err)
	assert.True(t, first.Seal())
	second := body.Open()
	got, err := testkit.ReadBy(second, 100)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	assert.False(t, second.Seal())
	assert.True(t, first.Seal())
	require.NoError(t, first.Close())
	require.NoError(t, second.Close())
}
