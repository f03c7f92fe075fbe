package vidutest_test

import (
	"bytes"
	"encoding/binary"
	"image/jpeg"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

// links returns the three result links of a task that is done.
func links(t *testing.T, s *vidutest.Server, id string) (video, cover, watermarked string) {
	t.Helper()
	creations := decode(t, query(t, s, id).body)["creations"].([]any)
	require.Len(t, creations, 1)
	creation := creations[0].(map[string]any)
	return creation["url"].(string), creation["cover_url"].(string), creation["watermarked_url"].(string)
}

// download asks for a link with the given header alone.
func download(t *testing.T, s *vidutest.Server, method, url string, header http.Header) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	require.NoError(t, err)
	req.Header = header
	return do(s, req)
}

func TestMedia_Downloads(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer(vidutest.WithTiming(0, 0))
		video, cover, watermarked := links(t, s, createTask(t, s, with(t, "watermark", "true")))
		for link, want := range map[string]struct{ file, contentType string }{
			video:       {"assets/video.mp4", "video/mp4"},
			watermarked: {"assets/video.mp4", "video/mp4"},
			cover:       {"assets/cover.jpg", "image/jpeg"},
		} {
			content, err := os.ReadFile(want.file)
			require.NoError(t, err)
			got := download(t, s, http.MethodGet, link, http.Header{})
			require.NoError(t, got.err)
			assert.Equal(t, http.StatusOK, got.status, got.body)
			assert.Equal(t, want.contentType, got.header.Get("Content-Type"))
			assert.Equal(t, string(content), got.body)
		}
		assert.Len(t, s.Requests(), 2, "downloads are not requests to the API")
	})
}

func TestMedia_Links(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTiming(0, 0))
	defer s.Close()
	id := createTask(t, s, goodBody)
	first, cover, watermarked := links(t, s, id)
	second, _, _ := links(t, s, id)

	for _, link := range []string{first, cover} {
		assert.True(t, strings.HasPrefix(link, s.URL+"/media/"), link)
		_, rawQuery, _ := strings.Cut(link, "?")
		assert.Contains(t, rawQuery, "%253A")
		assert.Contains(t, rawQuery, ";")
	}
	assert.Empty(t, watermarked)
	assert.NotEqual(t, first, second, "links are signed afresh")
	assert.Equal(t, http.StatusOK, download(t, s, http.MethodGet, first, http.Header{}).status)
	assert.Equal(t, http.StatusOK, download(t, s, http.MethodGet, second, http.Header{}).status)
}

func TestMedia_RefusesChangedLinks(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer(vidutest.WithTiming(0, 0))
		video, cover, _ := links(t, s, createTask(t, s, goodBody))
		other, _, _ := links(t, s, createTask(t, s, goodBody))
		path, rawQuery, _ := strings.Cut(video, "?")
		otherPath, _, _ := strings.Cut(other, "?")
		coverPath, _, _ := strings.Cut(cover, "?")
		for name, link := range map[string]string{
			"decoded once":         path + "?" + strings.ReplaceAll(rawQuery, "%253A", "%3A"),
			"decoded twice":        path + "?" + strings.ReplaceAll(rawQuery, "%253A", ":"),
			"encoded again":        path + "?" + strings.ReplaceAll(rawQuery, "%253A", "%25253A"),
			"lower-case escape":    path + "?" + strings.ReplaceAll(rawQuery, "%253A", "%253a"),
			"semicolons replaced":  path + "?" + strings.ReplaceAll(rawQuery, ";", "&"),
			"semicolons escaped":   path + "?" + strings.ReplaceAll(rawQuery, ";", "%3B"),
			"something behind":     video + "&x=1",
			"last byte gone":       strings.TrimSuffix(video, video[len(video)-1:]),
			"no query":             path,
			"no signature":         path + "?" + rawQuery[:strings.Index(rawQuery, ";signature")],
			"another task's query": otherPath + "?" + rawQuery,
			"another file's query": coverPath + "?" + rawQuery,
		} {
			got := download(t, s, http.MethodGet, link, http.Header{})
			require.NoError(t, got.err, name)
			assert.Equal(t, http.StatusForbidden, got.status, name)
			assert.Equal(t, "application/xml", got.header.Get("Content-Type"), name)
			assert.Contains(t, got.body, "<Code>SignatureDoesNotMatch</Code>", name)
		}
	})
}

func TestMedia_RefusesKeysAndMethods(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTiming(0, 0))
	defer s.Close()
	video, _, _ := links(t, s, createTask(t, s, goodBody))
	for name, test := range map[string]struct {
		method string
		header http.Header
		status int
	}{
		"key":    {http.MethodGet, http.Header{"Authorization": {"Bearer " + vidutest.APIKey}}, 400},
		"cookie": {http.MethodGet, http.Header{"Cookie": {"a=b"}}, 400},
		"POST":   {http.MethodPost, http.Header{}, 405},
		"HEAD":   {http.MethodHead, http.Header{}, 200},
	} {
		got := download(t, s, test.method, video, test.header)
		require.NoError(t, got.err, name)
		assert.Equal(t, test.status, got.status, name)
	}
}

func TestMedia_Ranges(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer(vidutest.WithTiming(0, 0))
		video, _, _ := links(t, s, createTask(t, s, goodBody))
		whole := download(t, s, http.MethodGet, video, http.Header{})
		etag := whole.header.Get("ETag")
		assert.Regexp(t, `^"[0-9a-f]{32}"$`, etag)
		for name, test := range map[string]struct {
			header http.Header
			status int
			body   string
		}{
			"middle":       {http.Header{"Range": {"bytes=10-19"}}, 206, whole.body[10:20]},
			"rest":         {http.Header{"Range": {"bytes=9000-"}}, 206, whole.body[9000:]},
			"same object":  {http.Header{"Range": {"bytes=10-19"}, "If-Range": {etag}}, 206, whole.body[10:20]},
			"other object": {http.Header{"Range": {"bytes=10-19"}, "If-Range": {`"other"`}}, 200, whole.body},
			"not modified": {http.Header{"If-None-Match": {etag}}, 304, ""},
		} {
			got := download(t, s, http.MethodGet, video, test.header)
			require.NoError(t, got.err, name)
			assert.Equal(t, test.status, got.status, name)
			assert.Equal(t, test.body, got.body, name)
			assert.Equal(t, etag, got.header.Get("ETag"), name)
		}
		got := download(t, s, http.MethodGet, video, http.Header{"Range": {"bytes=99999-"}})
		assert.Equal(t, http.StatusRequestedRangeNotSatisfiable, got.status)

		head := download(t, s, http.MethodHead, video, http.Header{})
		assert.Equal(t, whole.header.Get("Content-Length"), head.header.Get("Content-Length"))
		assert.Empty(t, head.body)
	})
}

// The video is one: its boxes add up, it can be played before it is whole, and it is what a query says it is.
func TestAssets(t *testing.T) {
	t.Parallel()
	video, err := os.ReadFile("assets/video.mp4")
	require.NoError(t, err)
	assert.Less(t, len(video), 20<<10)
	var order []string
	for rest := video; len(rest) > 0; {
		size := binary.BigEndian.Uint32(rest)
		require.LessOrEqual(t, int(size), len(rest))
		order = append(order, string(rest[4:8]))
		rest = rest[size:]
	}
	assert.Equal(t, []string{"ftyp", "moov", "free", "mdat"}, order)

	// mvhd, version 0: four bytes of version, two times, a time scale and the duration in its units.
	header := video[bytes.Index(video, []byte("mvhd"))+4:]
	scale, duration := binary.BigEndian.Uint32(header[12:]), binary.BigEndian.Uint32(header[16:])
	assert.InDelta(t, 2, float64(duration)/float64(scale), 0)
	// avc1: 24 bytes before the width and the height.
	entry := video[bytes.Index(video, []byte("avc1\x00\x00\x00\x00\x00\x00"))+4:]
	assert.EqualValues(t, 320, binary.BigEndian.Uint16(entry[24:]))
	assert.EqualValues(t, 180, binary.BigEndian.Uint16(entry[26:]))

	cover, err := os.ReadFile("assets/cover.jpg")
	require.NoError(t, err)
	assert.Less(t, len(cover), 10<<10)
	picture, err := jpeg.DecodeConfig(bytes.NewReader(cover))
	require.NoError(t, err)
	assert.Equal(t, [2]int{320, 180}, [2]int{picture.Width, picture.Height})
}
