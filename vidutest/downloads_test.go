package vidutest_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

// doneTask creates a task on a server without waiting and returns the link to its video.
func doneTask(t *testing.T, s *vidutest.Server) string {
	t.Helper()
	video, _, _ := links(t, s, createTask(t, s, goodBody))
	return video
}

func from(offset int, etag string) http.Header {
	return http.Header{"Range": {"bytes=" + strconv.Itoa(offset) + "-"}, "If-Range": {etag}}
}

// assertBoxes checks that the boxes of an MP4 add up to its size.
func assertBoxes(t *testing.T, video string) {
	t.Helper()
	rest := []byte(video)
	for len(rest) > 0 {
		size := uint64(binary.BigEndian.Uint32(rest))
		if size == 1 {
			size = binary.BigEndian.Uint64(rest[8:])
		}
		require.LessOrEqual(t, size, uint64(len(rest)))
		require.GreaterOrEqual(t, size, uint64(8))
		rest = rest[size:]
	}
}

func TestWithLinkLifetime(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		opts         []vidutest.Option
		video, cover time.Duration
	}{
		"default": {nil, 24 * time.Hour, time.Hour},
		"minute":  {[]vidutest.Option{vidutest.WithLinkLifetime(time.Minute)}, time.Minute, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inOfficialBubble(t, func(t *testing.T, s *vidutest.Server) {
				t.Helper()
				id := createOfficial(t, s)
				pass(time.Minute)
				creation := queryOfficial(t, s, id)["creations"].([]any)[0].(map[string]any)
				for field, lifetime := range map[string]time.Duration{"cover_url": test.cover, "url": test.video} {
					link := creation[field].(string)
					made := time.Date(2000, 1, 1, 0, 1, 0, 0, time.UTC)
					pass(time.Until(made.Add(lifetime - 1)))
					if time.Since(made) >= lifetime {
						continue // the other field came first
					}
					assert.Equal(t, http.StatusOK, download(t, s, http.MethodGet, link, http.Header{}).status, field)
					pass(1)
					got := download(t, s, http.MethodGet, link, http.Header{})
					assert.Equal(t, http.StatusForbidden, got.status, field)
					assert.Equal(t, "application/xml", got.header.Get("Content-Type"))
					assert.Contains(t, got.body, "<Code>AccessDenied</Code>")
				}
				fresh := queryOfficial(t, s, id)["creations"].([]any)[0].(map[string]any)["url"].(string)
				assert.Equal(t, http.StatusOK, download(t, s, http.MethodGet, fresh, http.Header{}).status)
			}, test.opts...)
		})
	}
}

func TestServer_CutDownload(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer(vidutest.WithTiming(0, 0))
		video := doneTask(t, s)
		whole := download(t, s, http.MethodGet, video, http.Header{})
		etag := whole.header.Get("ETag")

		s.CutDownload(1000)
		s.CutDownload(0)
		s.CutDownload(int64(len(whole.body)))
		s.CutDownload(2000)
		assert.Equal(t, http.StatusOK, download(t, s, http.MethodHead, video, http.Header{}).status)
		got := download(t, s, http.MethodGet, video, http.Header{"If-None-Match": {etag}})
		assert.Equal(t, http.StatusNotModified, got.status, "it has no body, and leaves the script in the queue")
		assert.Equal(t, http.StatusOK, query(t, s, createTask(t, s, goodBody)).status, "nor does the API use it up")

		got = download(t, s, http.MethodGet, video, http.Header{})
		require.ErrorIs(t, got.err, io.ErrUnexpectedEOF)
		assert.Equal(t, http.StatusOK, got.status)
		assert.Equal(t, whole.body[:1000], got.body)
		got = download(t, s, http.MethodGet, video, from(1000, etag))
		require.ErrorIs(t, got.err, io.ErrUnexpectedEOF)
		assert.Equal(t, http.StatusPartialContent, got.status)
		assert.Empty(t, got.body)
		got = download(t, s, http.MethodGet, video, http.Header{})
		require.NoError(t, got.err)
		assert.Equal(t, whole.body, got.body, "a cut behind the end is none")
		got = download(t, s, http.MethodGet, video, from(1000, etag))
		require.ErrorIs(t, got.err, io.ErrUnexpectedEOF)
		assert.Equal(t, whole.body[1000:3000], got.body)
		got = download(t, s, http.MethodGet, video, from(3000, etag))
		require.NoError(t, got.err)
		assert.Equal(t, whole.body[3000:], got.body)
	})
}

func TestServer_CutDownload_BelowZero(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTiming(0, 0))
	defer s.Close()
	s.CutDownload(-1)
	got := download(t, s, http.MethodGet, doneTask(t, s), http.Header{})
	require.ErrorIs(t, got.err, io.ErrUnexpectedEOF)
	assert.Empty(t, got.body)
}

func TestServer_ReplaceVideo(t *testing.T) {
	t.Parallel()
	const size = 100_000
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer(vidutest.WithTiming(0, 0), vidutest.WithVideoSize(size))
		video := doneTask(t, s)
		first := download(t, s, http.MethodGet, video, http.Header{})
		etag := first.header.Get("ETag")

		s.ReplaceVideo(5000)
		got := download(t, s, http.MethodGet, video, http.Header{})
		require.ErrorIs(t, got.err, io.ErrUnexpectedEOF)
		assert.Equal(t, etag, got.header.Get("ETag"))
		assert.Equal(t, first.body[:5000], got.body)

		second := download(t, s, http.MethodGet, video, from(5000, etag))
		require.NoError(t, second.err)
		assert.Equal(t, http.StatusOK, second.status, "it is another object")
		assert.NotEqual(t, etag, second.header.Get("ETag"))
		require.Len(t, second.body, size)
		assertBoxes(t, second.body)
		assert.NotEqual(t, first.body[2000:2010], second.body[2000:2010], "other pictures")
		assert.NotEqual(t, first.body[50_000:50_010], second.body[50_000:50_010], "another filling")

		s.ReplaceVideo(50_000)
		got = download(t, s, http.MethodGet, video, http.Header{})
		require.ErrorIs(t, got.err, io.ErrUnexpectedEOF)
		assert.Equal(t, second.body[:50_000], got.body)
		third := download(t, s, http.MethodHead, video, http.Header{})
		assert.NotEqual(t, etag, third.header.Get("ETag"))
		assert.NotEqual(t, second.header.Get("ETag"), third.header.Get("ETag"))
		second = download(t, s, http.MethodGet, video, http.Header{})

		s.ReplaceVideo(size)
		got = download(t, s, http.MethodGet, video, http.Header{})
		assert.Equal(t, second.body, got.body, "without a cut nothing is replaced")
		assert.Equal(t, second.body, download(t, s, http.MethodGet, video, http.Header{}).body)
	})
}

func TestServer_ReplaceVideo_Cover(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTiming(0, 0))
	defer s.Close()
	video, cover, _ := links(t, s, createTask(t, s, goodBody))
	before := download(t, s, http.MethodGet, video, http.Header{})
	s.ReplaceVideo(100)
	require.ErrorIs(t, download(t, s, http.MethodGet, cover, http.Header{}).err, io.ErrUnexpectedEOF)
	assert.Equal(t, before.header.Get("ETag"), download(t, s, http.MethodGet, video, http.Header{}).header.Get("ETag"))
}

func TestWithVideoSize(t *testing.T) {
	t.Parallel()
	clip, err := os.ReadFile("assets/video.mp4")
	require.NoError(t, err)
	least := len(clip)
	for name, test := range map[string]struct{ size, want int }{
		"negative":        {-1, least},
		"the clip's":      {least, least},
		"a byte more":     {least + 1, least + 8}, // no box has fewer than 8 bytes
		"a byte too few":  {least + 7, least + 8},
		"a bare header":   {least + 8, least + 8},
		"a byte of noise": {least + 9, least + 9},
		"300 kB":          {300_001, 300_001},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTiming(0, 0), vidutest.WithVideoSize(int64(test.size)))
			defer s.Close()
			video := doneTask(t, s)
			whole := download(t, s, http.MethodGet, video, http.Header{})
			require.Equal(t, test.want, len(whole.body)) //nolint:testifylint // Len would print the video
			assert.Equal(t, strconv.Itoa(test.want), whole.header.Get("Content-Length"))
			assert.Equal(t, string(clip), whole.body[:least])
			assertBoxes(t, whole.body)
			for _, offset := range []int{0, least - 1, least, least + 1, least + 8, test.want - 1} {
				if offset < test.want {
					got := download(t, s, http.MethodGet, video, from(offset, whole.header.Get("ETag")))
					assert.Equal(t, whole.body[offset:], got.body)
				}
			}
		})
	}
}

// A box of 4 GiB or more has its size in another place.
func TestWithVideoSize_Huge(t *testing.T) {
	t.Parallel()
	const clip = 9096
	for name, test := range map[string]struct {
		size   int64
		header string
	}{
		"the last short one": {clip + 1<<32 - 1, "\xff\xff\xff\xfffree"},
		"the first long one": {clip + 1<<32, "\x00\x00\x00\x01free\x00\x00\x00\x01\x00\x00\x00\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTiming(0, 0), vidutest.WithVideoSize(test.size))
			defer s.Close()
			video := doneTask(t, s)
			got := download(t, s, http.MethodHead, video, http.Header{})
			assert.Equal(t, strconv.FormatInt(test.size, 10), got.header.Get("Content-Length"))
			last := clip + len(test.header) - 1
			got = download(t, s, http.MethodGet, video, http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", clip, last)}})
			assert.Equal(t, test.header, got.body)
		})
	}
}

// A gigabyte is sent in moments and held nowhere.
//
//nolint:paralleltest // it measures what the process allocates
func TestWithVideoSize_Streams(t *testing.T) {
	const size = 1 << 30
	s := vidutest.NewServer(vidutest.WithTiming(0, 0), vidutest.WithVideoSize(size))
	defer s.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, doneTask(t, s), http.NoBody)
	require.NoError(t, err)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	resp, err := s.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	assert.EqualValues(t, size, n)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestWithoutRanges(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTiming(0, 0), vidutest.WithoutRanges())
	defer s.Close()
	video := doneTask(t, s)
	whole := download(t, s, http.MethodGet, video, http.Header{})
	got := download(t, s, http.MethodGet, video, from(1000, whole.header.Get("ETag")))
	assert.Equal(t, http.StatusOK, got.status)
	assert.Equal(t, whole.body, got.body)
	assert.NotContains(t, got.header, "Accept-Ranges")
	assert.NotContains(t, got.header, "Content-Range")
}

func TestWithoutContentLength(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer(vidutest.WithTiming(0, 0), vidutest.WithoutContentLength())
		video := doneTask(t, s)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, video, http.NoBody)
		require.NoError(t, err)
		resp, err := s.Client().Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		whole, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Len(t, whole, 9096)
		assert.EqualValues(t, -1, resp.ContentLength)
		assert.Empty(t, resp.TransferEncoding, "not even chunks")
		assert.NotContains(t, resp.Header, "Content-Length")
		assert.NotContains(t, resp.Header, "Transfer-Encoding")

		s.CutDownload(1000)
		got := download(t, s, http.MethodGet, video, http.Header{})
		require.NoError(t, got.err, "a truncated body looks complete")
		assert.Equal(t, string(whole[:1000]), got.body)
		got = download(t, s, http.MethodGet, video, http.Header{"Range": {"bytes=1000-"}})
		assert.Equal(t, string(whole[1000:]), got.body)
		assert.Equal(t, "bytes 1000-9095/9096", got.header.Get("Content-Range"))
	})
}

func TestServer_Downloads(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer(vidutest.WithTiming(0, 0))
		video := doneTask(t, s)
		s.CutDownload(1000)
		download(t, s, http.MethodGet, video, http.Header{})
		download(t, s, http.MethodGet, video, from(1000, "x"))
		download(t, s, http.MethodHead, video, http.Header{"Authorization": {"Bearer x"}})
		download(t, s, http.MethodGet, video+"x", http.Header{})

		got := s.Downloads()
		require.Len(t, got, 4)
		for i, status := range []int{200, 200, 400, 403} {
			assert.Equal(t, status, got[i].Status)
		}
		assert.Equal(t, "bytes=1000-", got[1].Header.Get("Range"))
		assert.Equal(t, "[removed]", got[2].Header.Get("Authorization"))
		assert.True(t, bytes.HasSuffix([]byte(video), []byte(got[0].Path+"?"+got[0].RawQuery)))
		assert.Len(t, s.Requests(), 2)
	})
}
