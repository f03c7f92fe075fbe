package fetch_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/testkit"
)

func TestRun_ObjectChanged(t *testing.T) {
	t.Parallel()
	store := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)), testkit.WantRest(t, 1000, `"one"`, testkit.RawFile(otherFile, `ETag: "two"`)))
	got, err := store.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, otherFile, got, "started over")

	short := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.MP4File, testkit.ETagHeader), 1000)), testkit.Always(testkit.RawFile(testkit.MP4File[:len(testkit.MP4File)-len(testkit.PlainFile)-8]+testkit.MP4Box("mdat", "x"), `ETag: "two"`)))
	got, err = short.fetch(t)
	require.NoError(t, err)
	assert.Less(t, len(got), 1000, "nothing of the longer file is left")

	// A broken server answers 206 although the object changed.
	for _, header := range [][]string{{`ETag: "two"`}, {`ETag: W/"one"`}, {}} {
		lying := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)), testkit.Always(testkit.RawRest(otherFile, 1000, header...)), testkit.WantWhole(t, testkit.RawFile(otherFile, header...)))
		got, err = lying.fetch(t)
		require.NoError(t, err)
		assert.Equal(t, otherFile, got)
		assert.Len(t, lying.Seen(), 3)
	}
	// So does one whose object has no strong ETag, or has one of a sudden.
	for name, tt := range map[string]struct{ first, then []string }{
		"a weak ETag":            {[]string{testkit.ModifiedHeader, `ETag: W/"one"`}, []string{testkit.ModifiedHeader, `ETag: W/"two"`}},
		"a weak ETag appears":    {[]string{testkit.ModifiedHeader}, []string{testkit.ModifiedHeader, `ETag: W/"one"`}},
		"a strong ETag appears":  {[]string{testkit.ModifiedHeader}, []string{testkit.ModifiedHeader, testkit.ETagHeader}},
		"a strong one of a weak": {[]string{testkit.ModifiedHeader, `ETag: W/"one"`}, []string{testkit.ModifiedHeader, testkit.ETagHeader}},
	} {
		unlike := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, tt.first...), 1000)),
			testkit.WantRest(t, 1000, testkit.ModifiedDate, testkit.RawRest(otherFile, 1000, tt.then...)), testkit.WantWhole(t, testkit.RawFile(otherFile)))
		got, err = unlike.fetch(t)
		require.NoError(t, err, name)
		assert.Equal(t, otherFile, got, name)
	}
	dated := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ModifiedHeader), 1000)),
		testkit.WantRest(t, 1000, testkit.ModifiedDate, testkit.RawRest(otherFile, 1000, "Last-Modified: Sun, 22 Nov 2026 10:00:00 GMT")), testkit.WantWhole(t, testkit.RawFile(otherFile)))
	got, err = dated.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, otherFile, got)
}

func TestRun_RangeIsIgnored(t *testing.T) {
	t.Parallel()
	answers := []testkit.RawReply{testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)), testkit.WantRest(t, 1000, `"one"`, testkit.RawFile(testkit.PlainFile, testkit.ETagHeader))}
	store := newStorage(t, answers...)
	var reports []int64
	got, err := store.fetch(t, progress(func(done, _ int64) { reports = append(reports, done) }))
	require.NoError(t, err)
	assert.Equal(t, testkit.PlainFile, got)
	assert.Equal(t, int64(1000), reports[0])
	assert.Equal(t, int64(len(testkit.PlainFile)), reports[len(reports)-1])

	var out bytes.Buffer
	writer := newStorage(t, answers...)
	_, err = writer.write(t, &out)
	require.ErrorContains(t, err, "the server cannot resume")
	assert.Equal(t, testkit.PlainFile[:1000], out.String())
}

func TestRun_WrongRangeIsRefused(t *testing.T) {
	t.Parallel()
	part := func(contentRange string, header ...string) string {
		return testkit.RawHTTP("206 Partial Content", otherFile[1000:], append(header, testkit.ETagHeader, "Content-Range: "+contentRange, fmt.Sprintf("Content-Length: %d", len(testkit.PlainFile)-1000))...)
	}
	size := len(testkit.PlainFile)
	for name, answer := range map[string]string{
		"offset too low":  part(fmt.Sprintf("bytes 999-%d/%d", size-1, size)),
		"offset too high": part(fmt.Sprintf("bytes 1001-%d/%d", size-1, size)),
		"offset zero":     part(fmt.Sprintf("bytes 0-%d/%d", size-1, size)),
		"other total":     part(fmt.Sprintf("bytes 1000-%d/%d", size-1, size+1)),
		"beyond the end":  part(fmt.Sprintf("bytes 1000-%d/%d", size, size)),
		"unknown total":   part(fmt.Sprintf("bytes 1000-%d/*", size-1)),
		"backwards":       part(fmt.Sprintf("bytes 1000-900/%d", size)),
		"other unit":      part(fmt.Sprintf("lines 1000-%d/%d", size-1, size)),
		"no unit":         part(fmt.Sprintf("1000-%d/%d", size-1, size)),
		"nonsense":        part("bytes"),
		"whole all the same": testkit.RawHTTP("206 Partial Content", testkit.PlainFile, testkit.ETagHeader,
			fmt.Sprintf("Content-Range: bytes 1000-%d/%d", size-1, size), fmt.Sprintf("Content-Length: %d", size)),
		"beyond the end, as long as it says": testkit.RawHTTP("206 Partial Content", otherFile[1000:]+"x", testkit.ETagHeader,
			fmt.Sprintf("Content-Range: bytes 1000-%d/%d", size, size), fmt.Sprintf("Content-Length: %d", size-999)),
		"no body":   testkit.RawHTTP("206 Partial Content", "", testkit.ETagHeader, fmt.Sprintf("Content-Range: bytes 1000-%d/%d", size-1, size), "Content-Length: 0"),
		"no range":  testkit.RawHTTP("206 Partial Content", testkit.PlainFile, testkit.ETagHeader),
		"multipart": testkit.RawHTTP("206 Partial Content", "--x\r\n\r\n"+testkit.PlainFile, testkit.ETagHeader, "Content-Type: multipart/byteranges; boundary=x"),
		"encoded":   part(fmt.Sprintf("bytes 1000-%d/%d", size-1, size), "Content-Encoding: gzip"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)), testkit.WantRest(t, 1000, `"one"`, answer), testkit.WantWhole(t, testkit.RawFile(testkit.PlainFile, testkit.ETagHeader)))
			got, err := store.fetch(t)
			require.NoError(t, err)
			assert.Equal(t, testkit.PlainFile, got)
			assert.Len(t, store.Seen(), 3)
		})
	}
}

// TestRun_WrongRangeOfUnknownLength: no length is known by which the total could be told to be wrong.
func TestRun_WrongRangeOfUnknownLength(t *testing.T) {
	t.Parallel()
	size := len(testkit.PlainFile)
	for name, contentRange := range map[string]string{
		"beyond the end":         fmt.Sprintf("bytes 1000-%d/%d", size-1, size-1),
		"a total beyond 64 bits": fmt.Sprintf("bytes 1000-%d/99999999999999999999", size-1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part := testkit.RawHTTP("206 Partial Content", otherFile[1000:], testkit.ETagHeader, "Content-Range: "+contentRange, fmt.Sprintf("Content-Length: %d", size-1000))
			store := newStorage(t, testkit.Always(testkit.RawChunks(testkit.PlainFile[:1000], false, testkit.ETagHeader)), testkit.WantRest(t, 1000, `"one"`, part), testkit.WantWhole(t, testkit.RawFile(testkit.PlainFile)))
			got, err := store.fetch(t)
			require.NoError(t, err)
			assert.Equal(t, testkit.PlainFile, got)
			assert.Len(t, store.Seen(), 3)
		})
	}
}

func TestRun_RangeNobodyAskedFor(t *testing.T) {
	t.Parallel()
	_, err := newStorage(t, testkit.Always(testkit.RawRest(testkit.PlainFile, 0))).fetch(t)
	assert.ErrorContains(t, err, "HTTP 206")
}

// TestRun_ShorterRange: a server may send less than was asked for; the rest is then asked for again.
func TestRun_ShorterRange(t *testing.T) {
	t.Parallel()
	piece := testkit.RawHTTP("206 Partial Content", testkit.PlainFile[1000:3000], testkit.ETagHeader, fmt.Sprintf("Content-Range: bytes 1000-1999/%d", len(testkit.PlainFile)))
	store := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)), testkit.Always(piece), testkit.WantRest(t, 2000, `"one"`, testkit.RawRest(testkit.PlainFile, 2000, testkit.ETagHeader)))
	got, err := store.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, testkit.PlainFile, got)
}

func TestRun_RangeNotSatisfiable(t *testing.T) {
	t.Parallel()
	beyond := func(size string) string {
		return testkit.RawHTTP("416 Range Not Satisfiable", "<Error/>", "Content-Range: bytes */"+size)
	}
	size := strconv.Itoa(len(testkit.PlainFile))
	t.Run("the file was whole", func(t *testing.T) {
		t.Parallel()
		store := newStorage(t, testkit.Always(testkit.RawChunks(testkit.PlainFile, false, testkit.ETagHeader)), testkit.WantRest(t, len(testkit.PlainFile), `"one"`, beyond(size)))
		got, err := store.fetch(t)
		require.NoError(t, err)
		assert.Equal(t, testkit.PlainFile, got)
	})
	t.Run("of another file", func(t *testing.T) {
		t.Parallel()
		store := newStorage(t, testkit.Always(testkit.RawChunks(testkit.PlainFile, false, testkit.ETagHeader)),
			testkit.Always(testkit.RawHTTP("416 Range Not Satisfiable", "", "Content-Range: bytes */"+size, `ETag: "two"`)),
			testkit.WantWhole(t, testkit.RawFile(otherFile)))
		got, err := store.fetch(t)
		require.NoError(t, err)
		assert.Equal(t, otherFile, got)
	})
	t.Run("the server says so, the MP4 does not", func(t *testing.T) {
		t.Parallel()
		_, err := newStorage(t, testkit.Always(testkit.RawChunks(testkit.MP4File[:600], false, testkit.ETagHeader)), testkit.Always(beyond("600"))).fetch(t)
		require.ErrorContains(t, err, "incomplete MP4")
	})
	t.Run("a length that nobody stated before", func(t *testing.T) {
		t.Parallel()
		for _, size := range []string{"999", "1001"} {
			store := newStorage(t, testkit.Always(testkit.RawChunks(testkit.PlainFile[:1000], false, testkit.ETagHeader)), testkit.Always(beyond(size)), testkit.WantWhole(t, testkit.RawFile(testkit.PlainFile, testkit.ETagHeader)))
			got, err := store.fetch(t)
			require.NoError(t, err)
			assert.Equal(t, testkit.PlainFile, got)
			assert.Len(t, store.Seen(), 3)
		}
	})
	for name, answer := range map[string]string{
		"shorter": beyond("10"), "longer": beyond(size + "0"), "unknown": beyond("*"), "not said": testkit.RawHTTP("416 Range Not Satisfiable", ""),
		"as long as what came, not as announced": beyond("1000"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)), testkit.Always(answer), testkit.WantWhole(t, testkit.RawFile(testkit.PlainFile, testkit.ETagHeader)))
			got, err := store.fetch(t)
			require.NoError(t, err)
			assert.Equal(t, testkit.PlainFile, got)

			never := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)), testkit.Always(answer), testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1001)), testkit.Always(answer))
			_, err = never.fetch(t)
			require.ErrorContains(t, err, "the file changed on the server")
			assert.Len(t, never.Seen(), 4, "started over once")
		})
	}
}

func TestRun_ResumesOnlyWithAStrongValidator(t *testing.T) {
	t.Parallel()
	for name, header := range map[string][]string{
		"none": {}, "weak": {`ETag: W/"one"`}, "not quoted": {"ETag: one"}, "empty": {"ETag: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, header...), 1000)), testkit.WantWhole(t, testkit.RawFile(testkit.PlainFile, header...)))
			got, err := store.fetch(t)
			require.NoError(t, err)
			assert.Equal(t, testkit.PlainFile, got)
		})
	}
	t.Run("a date without a length", func(t *testing.T) {
		t.Parallel()
		got, err := newStorage(t, testkit.Always(testkit.RawChunks(testkit.PlainFile[:1000], false, testkit.ModifiedHeader)), testkit.WantWhole(t, testkit.RawFile(testkit.PlainFile))).fetch(t)
		require.NoError(t, err)
		assert.Equal(t, testkit.PlainFile, got)
	})
	t.Run("a date with a length", func(t *testing.T) {
		t.Parallel()
		for _, header := range [][]string{{testkit.ModifiedHeader}, {testkit.ModifiedHeader, `ETag: W/"one"`}} {
			for _, repeated := range [][]string{{}, header} {
				got, err := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, header...), 1000)), testkit.WantRest(t, 1000, testkit.ModifiedDate, testkit.RawRest(testkit.PlainFile, 1000, repeated...))).fetch(t)
				require.NoError(t, err)
				assert.Equal(t, testkit.PlainFile, got)
			}
		}
	})
	t.Run("a strong ETag, whatever the date", func(t *testing.T) {
		t.Parallel()
		for _, date := range []string{testkit.ModifiedHeader, "Last-Modified: Sun, 22 Nov 2026 10:00:00 GMT"} { // as of a copy in another place
			got, err := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader, testkit.ModifiedHeader), 1000)),
				testkit.WantRest(t, 1000, `"one"`, testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader, date))).fetch(t)
			require.NoError(t, err)
			assert.Equal(t, testkit.PlainFile, got)
		}
	})
}

func TestRun_SizeLimit(t *testing.T) {
	t.Parallel()
	size := int64(len(testkit.PlainFile))
	for name, tt := range map[string]struct {
		answer string
		limit  int64
		says   string
	}{
		"announced":              {testkit.RawFile(testkit.PlainFile), size - 1, "more than the limit of 16383"},
		"announced, just right":  {testkit.RawFile(testkit.PlainFile), size, ""},
		"chunked":                {testkit.RawChunks(testkit.PlainFile, true), size - 1, "more than 16383 bytes"},
		"chunked, just right":    {testkit.RawChunks(testkit.PlainFile, true), size, ""},
		"10 GB":                  {testkit.RawHTTP("200 OK", testkit.PlainFile, "Content-Length: 10000000000"), 2 << 30, "more than the limit of 2147483648"},
		"a length that is a lie": {testkit.RawHTTP("200 OK", testkit.PlainFile, "Content-Length: 99999999999999999999"), size, "bad Content-Length"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newStorage(t, testkit.Always(tt.answer)).fetch(t, maxBytes(tt.limit))
			if tt.says != "" {
				require.ErrorContains(t, err, tt.says)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, testkit.PlainFile, got)
		})
	}
	t.Run("grown meanwhile", func(t *testing.T) {
		t.Parallel()
		store := newStorage(t, testkit.Always(testkit.RawChunks(testkit.PlainFile[:1000], false, testkit.ETagHeader)), testkit.Always(testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader)))
		_, err := store.fetch(t, maxBytes(2000))
		require.ErrorContains(t, err, "more than the limit of 2000")
	})
	t.Run("endless", func(t *testing.T) {
		t.Parallel()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "video/mp4") // net/http would take the file for text
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, testkit.PlainFile); err != nil {
					return
				}
			}
		}))
		defer server.Close()
		var out bytes.Buffer
		n, err := download(t.Context(), t, server.URL+"/v?a", &out, maxBytes(1<<20))
		require.ErrorContains(t, err, "more than 1048576 bytes")
		assert.Equal(t, int64(out.Len()), n)
		assert.LessOrEqual(t, n, int64(1<<20))
	})
}
