package oneshot_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/oneshot"
	"github.com/vidu-go/vidu/internal/testkit"
)

// mixed returns a body with data in every form that a source has, and what it is on the wire.
func mixed(tb testing.TB, data []byte) (*oneshot.Body, []byte) {
	tb.Helper()
	ofMap := fromFile(tb, fstest.MapFS{"a.png": {Data: data}}, "a.png")
	ofDisk := onDisk(tb, testkit.WriteFile(tb, "b.png", data))
	prefix := &oneshot.Source{Data: memory(nil), Prefix: "all of it"}
	raw := fromFile(tb, fstest.MapFS{"c.png": {Data: data}}, "c.png")
	raw.Raw = true
	body := oneshot.New([]byte(`{"x":["#","#","#"],"y":"#"}`), []byte(mark), []*oneshot.Source{ofMap, ofDisk, inMemory(data), prefix})
	body.AddSource(raw)
	body.AddText([]byte("."))
	encoded := "data:" + base64.StdEncoding.EncodeToString(data)
	return body, fmt.Appendf(nil, `{"x":["%[1]s","%[1]s","%[1]s"],"y":"all of it"}data:%[2]s.`, encoded, data)
}

// Through buffers of every size, with every kind of base64 padding.
func TestBody_OnTheWire(t *testing.T) {
	t.Parallel()
	for _, length := range []int{0, 1, 2, 3, 24<<10 - 1, 24 << 10, 24<<10 + 1, 50_000} { // 24 KiB are read at once
		t.Run(strconv.Itoa(length), func(t *testing.T) {
			t.Parallel()
			body, want := mixed(t, noise(length))
			assert.EqualValues(t, len(want), body.Size())
			for _, size := range []int{1, 2, 3, 4, 5, 7, 4096, 32 << 10, 1 << 20} {
				r := body.Open()
				got, err := testkit.ReadBy(r, size)
				require.NoError(t, err)
				assert.True(t, bytes.Equal(want, got), "through a buffer of %d bytes", size)
				require.NoError(t, r.Close())
			}
			whole, err := body.Bytes()
			require.NoError(t, err)
			assert.True(t, bytes.Equal(want, whole), "by Bytes")
		})
	}
}

func TestBody_Parts(t *testing.T) {
	t.Parallel()
	one, two := inMemory([]byte("1")), inMemory([]byte("2"))
	for name, tt := range map[string]struct {
		body *oneshot.Body
		want string
	}{
		"nothing":       {new(oneshot.Body), ""},
		"text":          {oneshot.New([]byte("text"), nil, nil), "text"},
		"in order":      {oneshot.New([]byte("a#b#c"), []byte(mark), []*oneshot.Source{one, two}), "adata:MQ==bdata:Mg==c"},
		"a longer mark": {oneshot.New([]byte("a<>b"), []byte("<>"), []*oneshot.Source{one}), "adata:MQ==b"},
		"a mark more":   {oneshot.New([]byte("a#b#c"), []byte(mark), []*oneshot.Source{one}), "adata:MQ==b#c"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.body.Bytes()
			require.NoError(t, err)
			assert.Equal(t, tt.want, string(got))
			assert.EqualValues(t, len(tt.want), tt.body.Size())
		})
	}
}

func TestBody_BytesFails(t *testing.T) {
	t.Parallel()
	s := inMemory([]byte("123"))
	s.Size = 4
	_, err := around(s).Bytes()
	require.ErrorIs(t, err, oneshot.ErrChanged)
}

func TestSource_EncodedLen(t *testing.T) {
	t.Parallel()
	for want, s := range map[int64]*oneshot.Source{
		0:  {},
		3:  {Prefix: "abc"},
		4:  {Size: 1},
		5:  {Size: 5, Raw: true},
		8:  {Size: 4},
		11: {Prefix: "abc", Size: 6},
		13: {Prefix: "abc", Size: 10, Raw: true},
	} {
		assert.Equal(t, want, s.EncodedLen())
	}
}

func TestReader_KeepsTheRulesOfReaders(t *testing.T) {
	t.Parallel()
	body, want := mixed(t, noise(1000))
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"as it is": func(r io.Reader) io.Reader { return r },
		"one byte": iotest.OneByteReader,
		"half":     iotest.HalfReader,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := body.Open()
			defer r.Close()
			assert.NoError(t, iotest.TestReader(wrap(r), want))
		})
	}
}

// A big file is not held in memory. It must not run beside other tests, for it counts what the process allocates.
func TestReader_BigFileIsStreamed(t *testing.T) { //nolint:paralleltest // see above
	if testkit.UnderRace() {
		t.Skip("the race detector empties pools")
	}
	body := around(onDisk(t, testkit.WriteFile(t, "big.png", noise(14<<20))))
	var n int64
	allocated := testkit.Allocations(func() {
		r := body.Open()
		defer r.Close()
		var err error
		n, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 32<<10))
		require.NoError(t, err)
	})
	assert.Equal(t, body.Size(), n)
	assert.Less(t, allocated, int64(64<<10))
}

var sink *oneshot.Body

// A body of text costs one allocation. It must not run beside other tests, for it counts
// what the process allocates.
func TestBody_Allocations(t *testing.T) { //nolint:paralleltest // see above
	text := []byte("text")
	assert.InDelta(t, 1, testing.AllocsPerRun(100, func() { sink = oneshot.New(text, nil, nil) }), 0)
}

// FuzzBody holds a body against encoding/base64.
func FuzzBody(f *testing.F) {
	f.Add("p", []byte{}, uint8(0), uint8(4))
	f.Add("a # b", []byte("1"), uint8(1), uint8(0))
	f.Add("", []byte("ab"), uint8(9), uint8(255))
	f.Add("p", bytes.Repeat([]byte{0xff}, 200), uint8(255), uint8(99)) // more than one buffer
	f.Fuzz(func(t *testing.T, text string, data []byte, times, size uint8) {
		data = bytes.Repeat(data, int(times))
		text = strings.ReplaceAll(text, mark, "")
		sources := []*oneshot.Source{inMemory(data), fromFile(t, fstest.MapFS{"a.png": {Data: data}}, "a.png")}
		body := oneshot.New([]byte(text+mark+text+mark+text), []byte(mark), sources)
		encoded := "data:" + base64.StdEncoding.EncodeToString(data)
		want := []byte(text + encoded + text + encoded + text)
		require.EqualValues(t, len(want), body.Size())
		r := body.Open()
		require.True(t, r.Untouched())
		got, err := testkit.ReadBy(r, int(size)+1)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
		require.False(t, r.Untouched())
		require.False(t, r.Seal(), "handed out whole")
		require.NoError(t, r.Close())
	})
}
