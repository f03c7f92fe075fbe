package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
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
	const chunk = 2 << 10
	for name, tt := range map[string]struct {
		size, limit int64
		tooBig      bool
	}{
		"nothing":              {0, 100, false},
		"a line":               {80, 100, false},
		"the limit":            {10_000, 10_000, false},
		"one more":             {10_001, 10_000, true},
		"much more":            {1 << 20, 10_000, true},
		"a limit of nothing":   {1, 0, true},
		"almost a chunk":       {chunk - 1, 1 << 20, false},
		"a chunk":              {chunk, 1 << 20, false},
		"more than a chunk":    {chunk + 1, 1 << 20, false},
		"the limit is a chunk": {chunk, chunk, false},
		"a chunk is too much":  {chunk + 1, chunk, true},
		"chunks":               {1 << 20, 2 << 20, false},
		"the limit in chunks":  {1 << 20, 1 << 20, false},
		"too many chunks":      {1<<20 + 1, 1 << 20, true},
		"chunks, and no end":   {3 << 20, 1<<20 + 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Repeat("0123456789", int(tt.size/10+1))[:tt.size]
			for _, wrap := range []func(io.Reader) io.Reader{
				func(r io.Reader) io.Reader { return r }, iotest.HalfReader, iotest.DataErrReader,
			} {
				got, err := transport.ReadBounded(wrap(strings.NewReader(text)), tt.limit)
				if tt.tooBig {
					require.ErrorIs(t, err, transport.ErrTooBig)
				} else {
					require.NoError(t, err)
				}
				assert.True(t, text[:min(tt.size, tt.limit)] == got) //nolint:testifylint // a megabyte would be printed
			}
		})
	}
}

func TestReadBounded_BrokenOff(t *testing.T) {
	t.Parallel()
	broken := io.MultiReader(strings.NewReader("beginning"), iotest.ErrReader(io.ErrUnexpectedEOF))
	got, err := transport.ReadBounded(broken, 1000)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, "beginning", got)
}

// What begins like gzip is expanded.
func TestReadBounded_Gzip(t *testing.T) {
	t.Parallel()
	const limit = 2000
	text := strings.Repeat("0123456789", 100)
	packed := testkit.Gzip(t, text)
	noise := string(testkit.Padded(nil, 3000))
	for name, tt := range map[string]struct {
		body, want string
		err        error
	}{
		"once":                      {packed, text, nil},
		"twice":                     {testkit.Gzip(t, packed), text, nil},
		"thrice":                    {testkit.Gzip(t, testkit.Gzip(t, packed)), packed, nil},
		"nothing":                   {testkit.Gzip(t, ""), "", nil},
		"one byte":                  {testkit.Gzip(t, "x"), "x", nil},
		"in pieces":                 {packed + testkit.Gzip(t, "") + testkit.Gzip(t, "end"), text + "end", nil},
		"nothing, often, and words": {strings.Repeat(testkit.Gzip(t, ""), 80) + testkit.Gzip(t, "end"), "end", nil},
		"before words":              {packed + "\x1fwords", text, nil},
		"before one byte":           {packed + "\x1f", text, nil},
		"the limit":                 {testkit.Gzip(t, strings.Repeat("x", limit)), strings.Repeat("x", limit), nil},
		"one more":                  {testkit.Gzip(t, strings.Repeat("x", limit+1)), strings.Repeat("x", limit), transport.ErrTooBig},
		"too long packed":           {packed + strings.Repeat(testkit.Gzip(t, ""), 100), text, transport.ErrTooBig},
		"too long either way":       {testkit.Gzip(t, noise), noise[:1900], transport.ErrTooBig},
		"no head":                   {"\x1f\x8b", "", transport.ErrGzip},
		"another method":            {"\x1f\x8b\x09" + packed[3:], "", transport.ErrGzip},
		"another head behind it":    {packed + "\x1f\x8b\x09 and so on and on", text, transport.ErrGzip},
		"no checksum":               {packed[:len(packed)-8], text, transport.ErrGzip},
		"another checksum":          {packed[:len(packed)-8] + "12345678", text, transport.ErrGzip},
		"words behind the head":     {packed[:10] + "words and words", "", transport.ErrGzip},
		"only half the magic":       {"\x1f", "\x1f", nil},
		"another magic":             {"\x1f\x8c", "\x1f\x8c", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, wrap := range map[string]func(io.Reader) io.Reader{
				"at once":       func(r io.Reader) io.Reader { return r },
				"in halves":     iotest.HalfReader,
				"byte by byte":  iotest.OneByteReader,
				"data with EOF": iotest.DataErrReader,
			} {
				got, err := transport.ReadBounded(wrap(strings.NewReader(tt.body)), limit)
				require.ErrorIs(t, err, tt.err, how)
				if errors.Is(err, transport.ErrGzip) {
					require.NotErrorIs(t, err, io.ErrUnexpectedEOF, "the connection is not to blame")
				}
				if errors.Is(tt.err, transport.ErrTooBig) {
					assert.True(t, strings.HasPrefix(got, tt.want[:len(tt.want)-len(tt.want)/8]), how)
				} else {
					assert.Equal(t, tt.want, got, how)
				}
			}
		})
	}
}

// Of what is packed as many bytes are read as of what is not.
func TestReadBounded_PackedLimit(t *testing.T) {
	t.Parallel()
	packed := testkit.Gzip(t, "x")
	for less, want := range []error{nil, transport.ErrTooBig, transport.ErrTooBig} {
		got, err := transport.ReadBounded(iotest.OneByteReader(strings.NewReader(packed)), int64(len(packed)-less))
		require.ErrorIs(t, err, want)
		assert.Equal(t, "x", got)
	}
}

// What was read before a packed body broke off comes with the error of the connection.
func TestReadBounded_GzipBreaksOff(t *testing.T) {
	t.Parallel()
	errReset := errors.New("reset")
	text := `{"id":"1",` + string(testkit.Padded(nil, 3000))
	packed := testkit.Gzip(t, text)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"after the data": func(r io.Reader) io.Reader { return r }, "with the data": iotest.DataErrReader, "byte by byte": iotest.OneByteReader,
	} {
		for cut := range len(packed) {
			if cut > 20 && cut%97 != 0 {
				continue
			}
			r := wrap(io.MultiReader(strings.NewReader(packed[:cut]), iotest.ErrReader(errReset)))
			got, err := transport.ReadBounded(r, 10_000)
			require.ErrorIs(t, err, errReset, "%s, %d", name, cut)
			require.NotErrorIs(t, err, transport.ErrGzip)
			if cut > 1 {
				require.True(t, strings.HasPrefix(text, got))
			}
			if cut > 1000 {
				assert.Greater(t, len(got), cut-200)
			}
		}
	}
}

// A body that was given up may still be read into: into nothing that another answer uses.
func TestReadBounded_LateRead(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{io.ErrUnexpectedEOF, context.Canceled, nil} { // nil: it is too long
		var late []byte
		_, err := transport.ReadBounded(readerFunc(func(p []byte) (int, error) {
			late = p
			return len(p), failure
		}), 100)
		require.Error(t, err)
		for range 10 { // a pool may give it back later
			got, err := transport.ReadBounded(readerFunc(func(p []byte) (int, error) {
				n := copy(p, "222")
				copy(late, "111")
				return n, io.EOF
			}), 100)
			require.NoError(t, err)
			assert.Equal(t, "222", got)
		}
	}
}

// A reader that gives nothing and does not end is left after as many reads as bufio allows.
func TestReadBounded_Stuck(t *testing.T) {
	t.Parallel()
	packed := testkit.Gzip(t, "text")
	for name, text := range map[string]string{
		"at once": "", "behind the first byte": "x", "behind some": "text", "in the magic": packed[:1], "behind it": packed[:2],
		"in the head": packed[:7], "in the data": packed[:12], "behind the data": packed,
	} {
		reads := 0
		r := io.MultiReader(strings.NewReader(text), readerFunc(func([]byte) (int, error) {
			reads++
			return 0, nil
		}))
		got, err := transport.ReadBounded(r, 1000)
		require.ErrorIs(t, err, io.ErrNoProgress, name)
		assert.LessOrEqual(t, reads, 205, name)
		if text != "" && text[0] != '\x1f' {
			assert.Equal(t, text, got)
		}
	}
	often := 0
	got, err := transport.ReadBounded(readerFunc(func(p []byte) (int, error) {
		if often++; often%100 != 0 { // 99 empty reads are no harm, however often
			return 0, nil
		}
		if often == 1000 {
			return 0, io.EOF
		}
		return copy(p, "x"), nil
	}), 1000)
	require.NoError(t, err)
	assert.Equal(t, "xxxxxxxxx", got)
}

func TestEncoding(t *testing.T) {
	t.Parallel()
	for lines, want := range map[[2]string]string{
		{}: "", {"identity", ""}: "", {"UTF-8, none", "AWS-Chunked"}: "", {" gzip ,x-gzip,", ""}: "", {"br", ""}: "br", {"gzip, Zstd, br", ""}: "Zstd",
		{"utf-8", " deflate"}: "deflate", {"utf-8;q=1", ""}: "utf-8;q=1",
		{"gzip,", "br"}: "br", {"", "br"}: "br",
	} {
		assert.Equal(t, want, transport.Encoding(http.Header{"Content-Encoding": lines[:]}), lines)
	}
	assert.Empty(t, transport.Encoding(nil))
	for word := range strings.FieldsSeq("identity none null plain text binary 7bit 8bit utf-8 utf8 utf-16 ascii us-ascii iso-8859-1 gbk gb2312 aws-chunked chunked gzip x-gzip") {
		for _, spelling := range []string{word, strings.ToUpper(word), "identity," + word + " "} {
			assert.Empty(t, transport.Encoding(http.Header{"Content-Encoding": {spelling}}), spelling)
		}
	}
}

// No more than one byte behind the limit is taken from the reader when it gives one at a time.
func TestReadBounded_StopsAtTheLimit(t *testing.T) {
	t.Parallel()
	left := strings.NewReader(strings.Repeat("x", 1000))
	_, err := transport.ReadBounded(iotest.OneByteReader(left), 100)
	require.ErrorIs(t, err, transport.ErrTooBig)
	assert.Equal(t, 1000-101, left.Len())
}

// A short text is allocated once, and growing costs less than append's. It must not run beside
// other tests, for it counts what the process allocates.
func TestReadBounded_Allocations(t *testing.T) { //nolint:paralleltest // see above
	letters := strings.Repeat("x", 16<<20)
	for name, tt := range map[string]struct{ size, limit, most int64 }{
		"16 MB":                {16 << 20, 16 << 20, 49 << 20},
		"more than is allowed": {16 << 20, 1 << 20, 4 << 20},
		"a bomb":               {0, 4 << 20, 12 << 20},
		"a bomb in a bomb":     {1, 4 << 20, 12 << 20},
	} {
		text := strings.NewReader(letters[:tt.size])
		switch name {
		case "a bomb":
			text.Reset(testkit.Gzip(t, letters))
		case "a bomb in a bomb":
			text.Reset(testkit.Gzip(t, testkit.Gzip(t, letters)))
		}
		allocated := testkit.Allocations(func() {
			_, _ = transport.ReadBounded(text, tt.limit)
		})
		assert.Less(t, allocated, tt.most, name)
	}
	text := strings.NewReader("")
	assert.InDelta(t, 1, testing.AllocsPerRun(100, func() {
		text.Reset(letters[:500])
		_, _ = transport.ReadBounded(text, 1<<20)
	}), 0)
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
