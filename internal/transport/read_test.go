package transport_test

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/testkit"
	"github.com/vidu-go/vidu/internal/transport"
)

func TestReadBounded(t *testing.T) {
	t.Parallel()
	const unknown = -1
	for name, tt := range map[string]struct {
		size, hint, limit int64
		tooBig            bool
	}{
		"nothing":                {0, 0, 100, false},
		"nothing, not promised":  {0, unknown, 100, false},
		"as promised":            {80, 80, 100, false},
		"not promised":           {5000, unknown, 10_000, false},
		"more than promised":     {5000, 10, 10_000, false},
		"less than promised":     {10, 5000, 10_000, false},
		"the limit":              {10_000, unknown, 10_000, false},
		"the limit, as promised": {10_000, 10_000, 10_000, false},
		"one more":               {10_001, unknown, 10_000, true},
		"one more, as promised":  {10_001, 10_001, 10_000, true},
		"much more":              {1 << 20, unknown, 10_000, true},
		"a limit of nothing":     {1, unknown, 0, true},
		"large, as promised":     {1 << 20, 1 << 20, 2 << 20, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Repeat("0123456789", int(tt.size/10+1))[:tt.size]
			for _, wrap := range []func(io.Reader) io.Reader{
				func(r io.Reader) io.Reader { return r }, iotest.HalfReader, iotest.DataErrReader,
			} {
				got, err := transport.ReadBounded(wrap(strings.NewReader(text)), tt.hint, tt.limit)
				if tt.tooBig {
					require.ErrorIs(t, err, transport.ErrTooBig)
				} else {
					require.NoError(t, err)
				}
				assert.True(t, text[:min(tt.size, tt.limit)] == string(got)) //nolint:testifylint // a megabyte would be printed
			}
		})
	}
}

func TestReadBounded_BrokenOff(t *testing.T) {
	t.Parallel()
	broken := io.MultiReader(strings.NewReader("beginning"), iotest.ErrReader(io.ErrUnexpectedEOF))
	got, err := transport.ReadBounded(broken, 100, 1000)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, "beginning", string(got))
}

// No more than one byte behind the limit is taken from the reader when it gives one at a time.
func TestReadBounded_StopsAtTheLimit(t *testing.T) {
	t.Parallel()
	left := strings.NewReader(strings.Repeat("x", 1000))
	_, err := transport.ReadBounded(iotest.OneByteReader(left), -1, 100)
	require.ErrorIs(t, err, transport.ErrTooBig)
	assert.Equal(t, 1000-101, left.Len())
}

// A promise is not allocated in advance, an exact one is allocated once, and growing costs less than append's. It must
// not run beside other tests, for it counts what the process allocates.
func TestReadBounded_Allocations(t *testing.T) { //nolint:paralleltest // see above
	letters := strings.Repeat("x", 16<<20)
	for name, tt := range map[string]struct{ size, hint, limit, most int64 }{
		"a huge promise":       {10, 1 << 40, 1 << 30, 80 << 10},
		"16 MB, not promised":  {16 << 20, -1, 16 << 20, 49 << 20},
		"more than is allowed": {16 << 20, -1, 1 << 20, 4 << 20},
	} {
		text := strings.NewReader(letters[:tt.size])
		allocated := testkit.Allocations(func() {
			_, _ = transport.ReadBounded(text, tt.hint, tt.limit)
		})
		assert.Less(t, allocated, tt.most, name)
	}
	text := strings.NewReader("")
	for name, hint := range map[string]int64{"an exact promise": 500, "none": -1} {
		count := testing.AllocsPerRun(100, func() {
			text.Reset(letters[:500])
			_, _ = transport.ReadBounded(text, hint, 1<<20)
		})
		assert.InDelta(t, 1, count, 0, name)
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	for size, left := range map[int]int{0: 0, 1: 0, 64 << 10: 0, 64<<10 + 1: 1, 1 << 20: 1<<20 - 64<<10} {
		body := strings.NewReader(strings.Repeat("x", size))
		transport.Drain(body)
		assert.Equal(t, left, body.Len())
	}
	transport.Drain(iotest.ErrReader(io.ErrClosedPipe))
}

// A body that never gives anything and never ends is given up.
func TestDrain_EmptyReads(t *testing.T) {
	t.Parallel()
	reads := 0
	transport.Drain(readerFunc(func([]byte) (int, error) {
		reads++
		return 0, nil
	}))
	assert.Less(t, reads, 1000)
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
