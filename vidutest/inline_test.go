package vidutest_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

// pngDigits is the beginning of every PNG file in base64.
const pngDigits = "iVBORw0KGgo="

func dataURI(mediaType, content string) string {
	return "data:" + mediaType + ";base64," + base64.StdEncoding.EncodeToString([]byte(content))
}

// list returns a JSON array of strings.
func list(t *testing.T, items ...string) string {
	t.Helper()
	text, err := json.Marshal(items)
	require.NoError(t, err)
	return string(text)
}

func TestCreate_AcceptsInlineMedia(t *testing.T) {
	t.Parallel()
	video, err := os.ReadFile("assets/video.mp4")
	require.NoError(t, err)
	cover, err := os.ReadFile("assets/cover.jpg")
	require.NoError(t, err)
	escaped := strings.NewReplacer("/", `\/`, "+", `\u002b`, "=", `\u003D`)
	webp := dataURI("image/webp", "RIFF\x00\x00\x00\x00WEBPVP8 ")
	for name, test := range map[string]struct{ field, value string }{
		"png":              {"images", list(t, "data:image/png;base64,"+pngDigits)},
		"jpeg":             {"images", list(t, dataURI("image/jpeg", string(cover)))},
		"webp":             {"images", list(t, webp)},
		"two":              {"images", list(t, webp, "https://a.example/1", dataURI("image/jpeg", string(cover)))},
		"parameter":        {"images", list(t, "data:image/png;name=a;base64,"+pngDigits)},
		"escaped":          {"images", escaped.Replace(list(t, dataURI("image/jpeg", string(cover))))},
		"escaped early":    {"images", `["\u0064ata:image\/png;base64,iVBORw0KGgo\u003d"]`},
		"escaped far in":   {"images", `["` + dataURI("image/jpeg", string(cover)+strings.Repeat("\xff", 9<<10+1)) + `\u002b\/\u002B\/"]`},
		"one over":         {"images", list(t, dataURI("image/jpeg", string(cover)+strings.Repeat("\xff", 6<<10+1)))},
		"two over":         {"images", list(t, dataURI("image/jpeg", string(cover)+strings.Repeat("\xff", 6<<10+2)))},
		"mp4":              {"videos", list(t, dataURI("video/mp4", string(video)))},
		"mov":              {"videos", list(t, dataURI("video/quicktime", "\x00\x00\x00\x08wide"))},
		"avi":              {"videos", list(t, dataURI("video/x-msvideo", "RIFF\x00\x00\x00\x00AVI LIST"))},
		"mp3":              {"sounds", list(t, dataURI("audio/mpeg", "ID3\x04"), dataURI("audio/mpeg", "\xff\xfb\x90\x00"))},
		"image of subject": {"subjects", `[{"name":"a","images":` + list(t, webp) + `}]`},
		"video of subject": {"subjects", `[{"name":"a","videos":` + list(t, dataURI("video/mp4", string(video))) + `}]`},
		"value":            {"payload", `"data:"`},
		"mark in a link":   {"images", `["https://a.example/b#data:"]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := vidutest.NewServer(vidutest.InMemory())
			defer s.Close()

			got := create(t, s, with(t, test.field, test.value))
			assert.Equal(t, http.StatusOK, got.status, got.body)
			assert.NotContains(t, got.body, "base64")
		})
	}
}

func TestCreate_RefusesInlineMedia(t *testing.T) {
	t.Parallel()
	long := "data:image/png;base64,iVBORw0KGgoA" + strings.Repeat("A", 16<<10)
	png := "\x89PNG\r\n\x1a\n"
	for name, test := range map[string]struct{ uri, found string }{
		"nothing":          {"data:", "no media type"},
		"no type":          {"data:;base64," + pngDigits, "no media type"},
		"only a parameter": {"data:;charset=utf-8;base64," + pngDigits, "no media type"},
		"no base64":        {"data:image/png," + pngDigits, "invalid base64"},
		"no comma":         {"data:image/png;base64" + pngDigits, "invalid base64"},
		"no padding":       {"data:image/png;base64,iVBORw0KGgo", "invalid base64"},
		"three pads":       {"data:image/png;base64,iVBORw0KG===", "invalid base64"},
		"padding inside":   {"data:image/png;base64,iVBORw0KGg==AAAA", "invalid base64"},
		"padding far away": {long[:256-2] + "==" + long[256:], "invalid base64"},
		"URL alphabet":     {long + "-_", "invalid base64"},
		"newline":          {long + "AAA\n", "invalid base64"},
		"tab":              {"data:image/png;base64,\tVBORw0KGgo=", "invalid base64"},
		"accent":           {long + "AAé", "invalid base64"},
		"digit far away":   {"data:image/png;base64,iVBORw0KGgo_" + long[256:], "invalid base64"},
		"short mark":       {"data:image/png;base64," + pngDigits + "#image", "invalid base64"},
		"mark":             {long + "#image", "invalid base64"},
		"one digit more":   {long + "A", "invalid base64"},
		"empty":            {"data:image/png;base64,", "unknown file format"},
		"gif":              {dataURI("image/gif", "GIF89a"), "unknown file format"},
		"text":             {dataURI("image/png", "hello"), "unknown file format"},
		"half a magic":     {dataURI("image/png", png[:4]), "unknown file format"},
		"wave":             {dataURI("image/webp", "RIFF\x00\x00\x00\x00WAVEfmt "), "unknown file format"},
		"other type":       {dataURI("application/octet-stream", png), "content of another type"},
		"a video's type":   {dataURI("video/mp4", png), "content of another type"},
		"a video":          {dataURI("video/mp4", "\x00\x00\x00\x20ftypisom"), "video"},
		"long header":      {"data:image/png;name=" + strings.Repeat("x", 300) + ";base64," + pngDigits, "invalid base64"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := vidutest.NewServer(vidutest.InMemory())
			defer s.Close()

			got := create(t, s, with(t, "images", list(t, "https://a.example/1", test.uri)))
			assertRefused(t, got, http.StatusBadRequest, "ImageFormatInvalid", "images[1]: want image, found "+test.found)
			assert.Zero(t, s.Charged())
			assert.True(t, s.Requests()[0].Complete)
		})
	}
}

func TestCreate_RefusesInlineMedia_Elsewhere(t *testing.T) {
	t.Parallel()
	png := dataURI("image/png", "\x89PNG\r\n\x1a\n")
	for name, test := range map[string]struct{ field, value, reason, path string }{
		"sound":            {"sounds", list(t, "https://a.example/1.mp3", png), "FieldInvalid", "sounds[1]: want audio, found image"},
		"video":            {"videos", list(t, png), "VideoFormatInvalid", "videos[0]: want video, found image"},
		"image of subject": {"subjects", `[{"name":"a","server_id":"1"},{"name":"b","images":["https://a.example/1","data:"]}]`, "ImageFormatInvalid", "subjects[1].images[1]"},
		"video of subject": {"subjects", `[{"name":"a","videos":["data:"]}]`, "VideoFormatInvalid", "subjects[0].videos[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := vidutest.NewServer(vidutest.InMemory())
			defer s.Close()

			got := create(t, s, with(t, test.field, test.value))
			assertRefused(t, got, http.StatusBadRequest, test.reason, test.path)
		})
	}
}

// The verdict on an item does not depend on how its bytes arrive.
func TestClip_VerdictInPieces(t *testing.T) {
	t.Parallel()
	text := list(t, "data:image/png;base64,iVBORw0KGgoA"+strings.Repeat("A", 5000))
	want := text[:2+4<<10] + `#image"]`
	for name, src := range map[string]string{"good": text, "spoiled": text[:4500] + "." + text[4501:]} {
		got := clipped(t, iotest.OneByteReader(strings.NewReader(src)))
		assert.Equal(t, clipped(t, strings.NewReader(src)), got)
		assert.Equal(t, name == "good", got == want)
	}
}
