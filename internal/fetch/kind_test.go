package fetch_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/fetch"
	"github.com/vidu-go/vidu/internal/testkit"
)

// contentTypes are what servers call videos, and messages.
var contentTypes = []string{
	"", "video/mp4", "video/quicktime", "video/webm", "image/jpeg", "image/png", "image/webp", "application/octet-stream",
	"binary/octet-stream", "text/plain", "text/html; charset=utf-8", "Text/HTML", "text/html, text/html", " text/xml ", "application/json",
	"application/problem+json; a=1; a=2", "application/xml", "application/atom+XML", "nonsense", ";", `application/mp4; codecs="text/html"`,
}

// eightKinds are files that stores have: three MP4, a MOV, a WebM and three images, each of some kilobytes.
func eightKinds(t *testing.T) map[string]string {
	t.Helper()
	noise := make([]byte, 6000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // never fails
	box, media := testkit.MP4Box, string(noise)
	index := box("moov", media[:1000])
	fragment := box("moof", media[:200]) + box("mdat", media[:1000])
	cluster := binary.BigEndian.AppendUint64(nil, uint64(len(media))|1<<56)
	kinds := map[string]string{
		"MP4, faststart":     box("ftyp", "isom\x00\x00\x02\x00") + index + box("free", "") + box("mdat", media),
		"MP4, not faststart": box("ftyp", "isom\x00\x00\x02\x00") + testkit.MP4LargeBox("mdat", media) + index,
		"MP4, fragmented":    box("ftyp", "iso5\x00\x00\x02\x00") + index + strings.Repeat(fragment, 4) + box("mfra", media[:100]),
		"MOV":                box("ftyp", "qt  \x00\x00\x02\x00") + box("wide", "") + box("mdat", media) + index,
		"WebM":               "\x1a\x45\xdf\xa3\x84\x42\x82\x81w\x18\x53\x80\x67" + string(cluster) + media,
	}
	maps.Copy(kinds, stills(t))
	return kinds
}

// TestRun_MediaIsKept whatever the header says of it, with and without a length.
func TestRun_MediaIsKept(t *testing.T) {
	t.Parallel()
	encodings := []string{"", "identity", "Identity", "none", "utf-8", "aws-chunked", "aws-chunked,identity", "gzip", "br", "gzip, br"}
	for name, file := range eightKinds(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, contentType := range contentTypes {
				header := []string{"Content-Type: " + contentType, "Content-Encoding: " + encodings[i%len(encodings)]}
				for _, reply := range []string{testkit.RawFile(file, header...), testkit.RawChunks(file, true, header...)} {
					got, err := fetchInMemory(t, reply)
					require.NoError(t, err, header)
					require.Equal(t, file, got)
				}
			}
		})
	}
}

// fetchInMemory downloads from a store that gives the same reply for ever. The link is renewed to the same.
func fetchInMemory(t *testing.T, reply string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	_, err := download(t.Context(), t, someLink, &out, transport(func(r *http.Request) (*http.Response, error) { return inMemory(r, reply, false) }), renewTo(someLink))
	return out.String(), err
}

// TestRun_UnknownFormats go by what the header calls them.
func TestRun_UnknownFormats(t *testing.T) {
	t.Parallel()
	for header, says := range map[string]string{
		"Content-Type: text/html; charset=utf-8": "it is text/html, not a video", "Content-Type: Text/HTML": "it is text/html",
		"Content-Type: text/html, text/html": "it is text/html", "Content-Type:  text/plain ": "it is text/plain", "Content-Type: application/json": "it is application/json",
		"Content-Type: application/problem+json; a=1; a=2": "it is application/problem+json", "Content-Type: text/html;": "it is text/html",
		"Content-Type: application/xml": "it is application/xml", "Content-Type: text/xml": "it is text/xml", "Content-Type: application/atom+XML": "it is application/atom+xml",
		"X-Nothing: ": "", "Content-Type: video/mp4": "", "Content-Type: application/octet-stream": "", "Content-Type: binary/octet-stream": "", "Content-Type: nonsense": "",
		"Content-Type: ;": "", "Content-Type: image/jpeg": "", `Content-Type: application/mp4; codecs="text/html"`: "",

		"Content-Encoding: gzip": "encoded as gzip, which was not asked for", "Content-Encoding: GZIP": "encoded as gzip", "Content-Encoding: x-gzip": "encoded as x-gzip",
		"Content-Encoding: br": "encoded as br", "Content-Encoding: identity, zstd": "encoded as zstd", "Content-Encoding: deflate,aws-chunked": "encoded as deflate",
		"Content-Encoding: identity\r\nContent-Encoding: br": "encoded as br",
		"Content-Encoding: identity":                         "", "Content-Encoding: Identity": "", "Content-Encoding: none": "", "Content-Encoding: utf-8": "", "Content-Encoding: UTF8": "",
		"Content-Encoding: aws-chunked": "", "Content-Encoding: aws-chunked, identity": "", "Content-Encoding: broken": "",
	} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			store := newStorage(t, testkit.Always(testkit.RawFile(testkit.PlainFile, header)))
			got, err := store.fetch(t)
			assert.Equal(t, "identity", store.Seen()[0].Header.Get("Accept-Encoding"))
			if says == "" {
				require.NoError(t, err)
				assert.Equal(t, testkit.PlainFile, got)
				return
			}
			require.ErrorContains(t, err, says)
			assert.Empty(t, got)

			renewed := newStorage(t, testkit.Always(testkit.RawFile(testkit.PlainFile, header)), testkit.Always(testkit.RawFile(testkit.PlainFile)))
			got, err = renewed.fetch(t)
			require.NoError(t, err, "the new link is good")
			assert.Equal(t, testkit.PlainFile, got)
		})
	}
}

// TestRun_EmptyFileThatIsEncoded says what the header says.
func TestRun_EmptyFileThatIsEncoded(t *testing.T) {
	t.Parallel()
	_, err := fetchInMemory(t, testkit.RawFile("", "Content-Encoding: gzip"))
	require.ErrorContains(t, err, "encoded as gzip")
	empty := newStorage(t, testkit.Always(testkit.RawFile("")))
	_, err = empty.fetch(t, progress(func(int64, int64) { t.Error("there is none") }))
	require.ErrorContains(t, err, "the file is empty")
}

// TestRun_MessageIsNoFile: nothing of it is written, and a link that is good after all is tried.
func TestRun_MessageIsNoFile(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ body, says string }{
		"a login page":       {"<!DOCTYPE html><html>" + strings.Repeat("<p>Log in</p>", 100), "HTTP 200: it is a web page, not a video"},
		"JSON":               {`{"code":"video_not_ready"}`, "HTTP 200 video_not_ready: it is JSON, not a video"},
		"XML":                {"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "HTTP 200 AccessDenied: it is XML, not a video"},
		"words":              {"Not ready", "HTTP 200: it is text, not a video"},
		"a playlist":         {"#EXTM3U\n", "HTTP 200: it is an HLS playlist, not a video"},
		"exactly the head":   {strings.Repeat("words ", 100)[:512], "it is text"},
		"less than the head": {strings.Repeat("words ", 100)[:511], "it is text"},
		"gzip":               {"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00", "it is gzip data"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, message := range []string{
				testkit.RawFile(tt.body, "Content-Type: video/mp4"), testkit.RawHTTP("200 OK", tt.body), testkit.RawChunks(tt.body, true, testkit.ETagHeader),
				testkit.RawFile(tt.body, "Content-Type: text/html", testkit.ETagHeader), testkit.RawFile(tt.body, testkit.ModifiedHeader, "Content-Encoding: utf-8"),
			} {
				if len(tt.body) < 12 && !strings.Contains(message, "Content-Length") {
					continue // it may have been cut, and is asked for again
				}
				var out bytes.Buffer
				store := newStorage(t, testkit.Always(message))
				n, err := store.write(t, &out)
				require.ErrorContains(t, err, tt.says)
				assert.Zero(t, n)
				assert.Empty(t, out.String())
				assert.Len(t, store.Seen(), 5)

				behind := newStorage(t, testkit.Always(message), testkit.Always(testkit.RawFile(testkit.MP4File)))
				_, err = behind.write(t, &out)
				require.NoError(t, err)
				assert.Equal(t, testkit.MP4File, out.String(), "even of a writer, which cannot be started over")
			}
		})
	}
}

// TestRun_MessageInPieces: the beginning is judged when it is there, however it comes.
func TestRun_MessageInPieces(t *testing.T) {
	t.Parallel()
	page, film := "<html>"+strings.Repeat("x", 2000), testkit.MP4File
	for _, size := range []int{1, 5, 100, 511, 512, 513} {
		for _, body := range []string{page, film} {
			var out bytes.Buffer
			serve := transport(func(r *http.Request) (*http.Response, error) {
				left := strings.NewReader(body)
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: int64(len(body)), Body: readFunc(func(p []byte) (int, error) {
					return left.Read(p[:min(size, len(p))])
				})}, nil
			})
			_, err := download(t.Context(), t, someLink, &out, serve, renewTo(someLink))
			if body == page {
				require.ErrorContains(t, err, "it is a web page")
				assert.Empty(t, out.String())
				continue
			}
			require.NoError(t, err)
			assert.Equal(t, film, out.String())
		}
	}
}

// TestRun_CutInTheHead: of too few bytes to judge by nothing is written, and they are not asked for again where the
// file is the same.
func TestRun_CutInTheHead(t *testing.T) {
	t.Parallel()
	webp := stills(t)["webp"]
	var out bytes.Buffer
	store := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(webp, testkit.ETagHeader), 4)), // "RIFF" alone is a word
		testkit.WantRest(t, 4, `"one"`, testkit.CutBody(testkit.RawRest(webp, 4, testkit.ETagHeader), 10)),
		testkit.WantRest(t, 14, `"one"`, testkit.RawHTTP("403 Forbidden", "")),
		testkit.WantRest(t, 14, `"one"`, testkit.RawRest(webp, 14, testkit.ETagHeader)))
	_, err := store.write(t, &out)
	require.NoError(t, err)
	assert.Equal(t, webp, out.String())

	page := strings.Repeat("<p>maintenance</p>", 100)
	out.Reset()
	message := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(page, testkit.ETagHeader), 300)), func(r *http.Request) string {
		return testkit.RawRest(page, testkit.RangeStart(r), testkit.ETagHeader)
	}, testkit.Always(testkit.RawFile(page)))
	_, err = message.write(t, &out)
	require.ErrorContains(t, err, "it is XML")
	assert.Empty(t, out.String())

	// Nor does a message in place of the rest start anything over.
	for _, message := range []string{testkit.RawFile("<html>"), testkit.RawChunks(page, true), testkit.RawFile(testkit.PlainFile, "Content-Type: text/html")} {
		out.Reset()
		later := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.MP4File, testkit.ETagHeader), 1000)), testkit.WantRest(t, 1000, `"one"`, message),
			testkit.WantRest(t, 1000, `"one"`, testkit.RawRest(testkit.MP4File, 1000, testkit.ETagHeader)))
		_, err = later.write(t, &out)
		require.NoError(t, err)
		assert.Equal(t, testkit.MP4File, out.String())
		assert.Equal(t, 1, later.renewals)
	}
	broken := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.MP4File, testkit.ETagHeader), 1000)),
		testkit.WantRest(t, 1000, `"one"`, testkit.CutBody(testkit.RawFile(testkit.MP4File, `ETag: "two"`), 100)),
		testkit.WantRest(t, 1000, `"one"`, testkit.RawRest(testkit.MP4File, 1000, testkit.ETagHeader)))
	out.Reset()
	_, err = broken.write(t, &out)
	require.NoError(t, err)
	assert.Equal(t, testkit.MP4File, out.String())

	out.Reset()
	unknown := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(webp), 100)), testkit.WantWhole(t, testkit.RawFile(webp)))
	_, err = unknown.write(t, &out)
	require.NoError(t, err, "nothing was written, so that the writer need not be started over")
	assert.Equal(t, webp, out.String())
}

// TestRun_HeadIsWrittenOnceJudged: not a byte earlier, and not later.
func TestRun_HeadIsWrittenOnceJudged(t *testing.T) {
	t.Parallel()
	for size, written := range map[int]int64{511: 0, 512: 512} {
		n, err := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.MP4File), size))).write(t, io.Discard)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Equal(t, written, n, "%d bytes came", size)
	}
}

// TestRun_MessagesAreNeverKept: 10,000 pages, JSON and XML bodies, in many encodings, under every Content-Type.
func TestRun_MessagesAreNeverKept(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(20261128, 1))
	for i := range 10_000 {
		body := randomMessage(random)
		header := []string{"Content-Type: " + contentTypes[i%len(contentTypes)], []string{"X-Nothing: 1", testkit.ETagHeader, "Content-Encoding: aws-chunked"}[random.IntN(3)]}
		reply := testkit.RawFile(body, header...)
		if random.IntN(2) == 0 {
			reply = testkit.RawChunks(body, true, header...)
		}
		var out bytes.Buffer
		serve := transport(func(r *http.Request) (*http.Response, error) { return inMemory(r, reply, false) })
		kinds := []change{once, image}
		_, err := download(t.Context(), t, someLink, &out, serve, renewTo(someLink), once, kinds[i%2])
		require.Error(t, err, "%q", body)
		require.Zero(t, out.Len(), "%q", body)
	}
}

// randomMessage is a page, JSON, XML or words, of any length and in any encoding.
func randomMessage(random *rand.Rand) string {
	words := []string{"error", "登录", "<b>", "\n", " ", "404", "\"", "free", "ftyp", "mdat", "moov", "é", "GIF89a", "😀", "\t", "{}", "RIFF"}
	filler := func(n int) string {
		var b strings.Builder
		for b.Len() < n {
			b.WriteString(words[random.IntN(len(words))])
		}
		return b.String()
	}
	blanks := strings.Repeat([]string{"", " ", "\r\n", "\t\n"}[random.IntN(4)], random.IntN(400))
	text := blanks + []string{
		"<!DOCTYPE html><html>", "<html lang=en>", "<HTML>", "<head>", "<h1>", "<?xml version=\"1.0\"?>\n<Error>", "<Error><Code>NoSuchKey</Code>",
		"<!-- a -->", `{"error":{"code":"x"},"a":"`, "[{\"a\":", "{\n  \"message\": ", "Not found. ", "The free tier has ended. ", "ok",
	}[random.IntN(14)] + filler(random.IntN(2000))
	order := []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian}[random.IntN(2)]
	switch random.IntN(5) {
	case 0: // UTF-16
		var wide []byte
		for _, unit := range utf16.Encode([]rune("\uFEFF" + text)) {
			wide = order.AppendUint16(wide, unit)
		}
		return string(wide)
	case 1: // GBK and its like: pairs of high and other bytes between words
		return strings.ReplaceAll(strings.ReplaceAll(text, "登录", "\xb5\xc7\xc2\xbc"), "😀", "\x94\x39\xfc\x36")
	case 2:
		return "\uFEFF" + text
	}
	return text
}

// TestRun_ThousandCutsOfEightKinds: whatever is cut, wherever and however, the file is whole or nothing is left of it.
func TestRun_ThousandCutsOfEightKinds(t *testing.T) {
	t.Parallel()
	const times = 125 // of each kind
	for name, file := range eightKinds(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(20261128, uint64(len(name))))
			whole := 0
			for range times {
				at := random.IntN(len(file))
				cut := []string{
					testkit.CutBody(testkit.RawFile(file, testkit.ETagHeader), at),  // before the length
					testkit.CutBody(testkit.RawFile(file), at),                      // likewise, and it cannot be resumed
					testkit.RawChunks(file[:at], false, testkit.ETagHeader),         // before the last chunk
					testkit.RawChunks(file[:at], true, testkit.ETagHeader),          // without a sign
					testkit.RawHTTP("200 OK", file[:at], "Content-Type: video/mp4"), // likewise, until the connection ends
					testkit.RawFile(file[:at]),                                      // on the server
				}
				kind := random.IntN(len(cut))
				again := random.IntN(2) == 0
				serve := transport(func(r *http.Request) (*http.Response, error) {
					from := testkit.RangeStart(r)
					switch {
					case again && from > 0 && kind != 5:
						return inMemory(r, testkit.RawRest(file, from, testkit.ETagHeader), false)
					case from > 0:
						return inMemory(r, testkit.RawHTTP("503 Slow Down", ""), false)
					}
					return inMemory(r, cut[kind], false)
				})
				out, err := os.CreateTemp(t.TempDir(), "")
				require.NoError(t, err)
				_, err = download(t.Context(), t, someLink, out, serve, renewTo(someLink))
				got, readErr := os.ReadFile(out.Name())
				require.NoError(t, readErr)
				require.NoError(t, out.Close())
				if err == nil && kind == 5 && !strings.HasPrefix(name, "M") {
					continue // of an image or a WebM the server's word is enough
				}
				if err == nil {
					whole++
					require.Len(t, got, len(file), "cut at %d, kind %d", at, kind)
					require.Equal(t, file, string(got))
				}
			}
			assert.Positive(t, whole)
			assert.Less(t, whole, times)
		})
	}
}

// TestRun_BytesBehindAnMP4 are kept where its length or a checksum says that they belong there.
func TestRun_BytesBehindAnMP4(t *testing.T) {
	t.Parallel()
	for name, behind := range map[string]string{
		"a line end": "\r\n", "zeros": strings.Repeat("\x00", 5), "a JPEG": string(testkit.JPEG(t, 64, 64)), "JSON": `{"a":"b","c":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			film := testkit.MP4File + behind
			for _, reply := range []string{
				testkit.RawFile(film), testkit.RawFile(film, digestOf(film)), testkit.RawChunks(film, true, digestOf(film)), testkit.RawHTTP("200 OK", film, digestOf(film)),
			} {
				got, err := fetchInMemory(t, reply)
				require.NoError(t, err)
				assert.Equal(t, film, got)
			}
			_, err := fetchInMemory(t, testkit.RawChunks(film, true))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "nobody says so")
			_, err = fetchInMemory(t, testkit.RawChunks(film, true, digestOf(film+"x")))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			_, err = fetchInMemory(t, testkit.RawFile(film[:600], digestOf(film[:600])))
			require.ErrorContains(t, err, "incomplete MP4", "the server has no more")
		})
	}
	short := "\x00few bytes"
	got, err := fetchInMemory(t, testkit.RawChunks(short, true, digestOf(short)))
	require.NoError(t, err)
	assert.Equal(t, short, got)
}

// TestRun_WhatTheStoreSays is in the error, and what to do; "expired" is said only where it is so.
func TestRun_WhatTheStoreSays(t *testing.T) {
	t.Parallel()
	xml := func(code, message string) string {
		return "<?xml version=\"1.0\"?>\n<Error><Code>" + code + "</Code><Message>" + message + "</Message><StringToSign>X-Amz-Expires=1 secret</StringToSign></Error>"
	}
	for name, tt := range map[string]struct {
		status      int
		body, query string
		code, says  string
	}{
		"expired, S3":           {status: 403, body: xml("AccessDenied", "Request has expired"), code: "AccessDenied", says: "the link has expired"},
		"expired, the session":  {status: 400, body: xml("ExpiredToken", "The provided token is no good"), code: "ExpiredToken", says: "the link has expired"},
		"expired, Azure":        {status: 403, body: xml("AuthenticationFailed", "Signature not valid in the specified time frame"), code: "AuthenticationFailed", says: "the link has expired"},
		"expired, JSON":         {status: 410, body: `{"error":{"code":"url_expired"}}`, code: "url_expired", says: "the link has expired"},
		"expired, by the link":  {status: 403, query: "Expires=1", says: "the link has expired"},
		"signature":             {status: 403, body: xml("SignatureDoesNotMatch", "x"), code: "SignatureDoesNotMatch", says: "the link was altered"},
		"signature, and over":   {status: 403, body: xml("SignatureDoesNotMatch", "x"), query: "Expires=1", code: "SignatureDoesNotMatch", says: "the link was altered"},
		"no such key":           {status: 404, body: xml("NoSuchKey", "The key has expired"), code: "NoSuchKey", says: "the file is not there"},
		"two signatures, S3":    {status: 400, body: xml("InvalidArgument", "Only one auth mechanism allowed"), code: "InvalidArgument", says: "may add an Authorization header"},
		"two signatures, MinIO": {status: 400, body: xml("InvalidRequest", "Missing required Parameter"), code: "InvalidRequest", says: "may add an Authorization header"},
		"clock":                 {status: 403, body: xml("RequestTimeTooSkewed", "x"), code: "RequestTimeTooSkewed", says: "the clock"},
		"access denied":         {status: 403, body: xml("AccessDenied", "Access Denied"), code: "AccessDenied", says: "does not accept the link"},
		"not ready":             {status: 400, body: `{ "code" : "video_not_ready" }`, code: "video_not_ready", says: "does not accept the request"},
		"not ready, 202":        {status: 202, body: `{"error":"pending"}`, code: "pending", says: "the file is not ready"},
		"gone":                  {status: 410, says: "the file is not there"},
		"a page":                {status: 403, body: `<html><code>secret</code>"code":"secret" your session has expired`, says: "does not accept the link"},
		"a long code":           {status: 403, body: xml(strings.Repeat("secret", 20), ""), says: "does not accept the link"},
		"words for a code":      {status: 403, body: xml("it is a secret", ""), says: "does not accept the link"},
		"a key for a code":      {status: 403, body: xml(testkit.Key, ""), code: "[redacted]", says: "does not accept the link"},
		"behind a lot":          {status: 403, body: strings.Repeat(" ", 5000) + xml("NoSuchKey", ""), says: "does not accept the link"},
		"busy":                  {status: 503, body: xml("SlowDown", "has expired"), code: "SlowDown", says: "the store is busy or has a fault; try again later"},
		"501":                   {status: 501, body: xml("NotImplemented", "x"), code: "NotImplemented"},
		"method":                {status: 405},
		"method, and over":      {status: 405, query: "Expires=1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reply := testkit.RawHTTP(strconv.Itoa(tt.status)+" x", tt.body)
			serve := transport(func(r *http.Request) (*http.Response, error) { return inMemory(r, reply, false) })
			link := "https://h/v?" + tt.query + "&sig=secret"
			_, err := download(t.Context(), t, link, io.Discard, serve, renewTo(link))
			refusal, ok := errors.AsType[*fetch.AnswerError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, tt.status, refusal.Status)
			assert.Equal(t, tt.code, refusal.Code)
			assert.Equal(t, "h", refusal.Host)
			require.ErrorContains(t, err, strings.TrimSpace(fmt.Sprintf("h answered HTTP %d %s", tt.status, tt.code)))
			require.ErrorContains(t, err, tt.says)
			assert.Equal(t, strings.Contains(tt.says, "expired"), strings.Contains(strings.ReplaceAll(err.Error(), "url_expired", ""), "expired"))
			assert.Equal(t, tt.says == "", refusal.Err == nil)
		})
	}
}
