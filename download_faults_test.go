package vidu_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// rawStore is a storage of raw answers, one a request, the last one for ever. It is also the API that renews links.
type rawStore struct {
	*testkit.Server

	mu      sync.Mutex
	links   []*http.Request // for files
	asked   int             // for the task
	renewal string          // raw; "": the task with a fresh link
}

func newRawStore(t *testing.T, answers ...testkit.RawReply) *rawStore {
	t.Helper()
	s := &rawStore{}
	s.Server = testkit.Serve(t, nil, func(_ *testkit.Server, conn net.Conn) {
		if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			io.WriteString(conn, s.answer(r, answers))
		}
	})
	return s
}

// seen are the requests for files so far.
func (s *rawStore) seen() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.links)
}

func (s *rawStore) answer(r *http.Request, answers []testkit.RawReply) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.HasPrefix(r.URL.Path, "/vidu/v2/tasks/") {
		s.links = append(s.links, r)
		return answers[min(len(s.links), len(answers))-1](r)
	}
	s.asked++
	if s.renewal != "" {
		return s.renewal
	}
	return testkit.RawFile(`{"state":"success","creations":[{"url":"http://` + r.Host + `/fresh?sig=secret2"}]}`)
}

// fetch downloads into a fresh directory in which nothing but the file may be left, and checks what holds for every
// failure.
func (s *rawStore) fetch(t *testing.T, opts ...vidu.DownloadOption) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "v.mp4")
	log := &testkit.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	n, err := newClient(t, s.URL, vidu.WithLogger(logger)).DownloadFile(t.Context(), finishedTask(s.URL+"/v?sig=secret1"), path, opts...)
	got, _ := os.ReadFile(path)
	assert.Len(t, got, int(n))
	if err != nil {
		assertSecretFree(t, err)
		testkit.AssertDirEmpty(t, filepath.Dir(path))
	}
	testkit.AssertDirOnly(t, filepath.Dir(path), "v.mp4")
	assert.NotContains(t, log.String(), "secret")
	assert.NotContains(t, log.String(), testkit.Key)
	return string(got), err
}

func TestD01_ExpiredLinkIsRenewedOnce(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"403 Forbidden", "404 Not Found", "410 Gone", "400 Bad Request"} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			store := newRawStore(t, testkit.Always(testkit.RawHTTP(status, "<Error>secret</Error>")), testkit.Always(testkit.RawFile(testkit.PlainFile)))
			got, err := store.fetch(t)
			require.NoError(t, err)
			assert.Equal(t, testkit.PlainFile, got)
			assert.Equal(t, 1, store.asked)
			assert.Equal(t, "/fresh?sig=secret2", store.seen()[1].RequestURI)

			never := newRawStore(t, testkit.Always(testkit.RawHTTP(status, "")))
			_, err = never.fetch(t)
			require.ErrorContains(t, err, "the link has expired and so has the new one")
			require.ErrorContains(t, err, "HTTP "+status[:3])
			assert.Equal(t, 1, never.asked, "renewed once")
			assert.Len(t, never.seen(), 2)
		})
	}
}

func TestD01_LinkThatCannotBeRenewed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ renewal, says string }{
		"task is gone":     {testkit.RawHTTP("404 Not Found", `{"code":404,"reason":"TaskNotFound"}`), "HTTP 404 TaskNotFound"},
		"no link any more": {testkit.RawFile(`{"state":"success","creations":[]}`), "no link to a video"},
		"link is not safe": {testkit.RawFile(`{"state":"success","creations":[{"url":"ftp://h/v?sig=secret3"}]}`), "not an https link"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newRawStore(t, testkit.Always(testkit.RawHTTP("403 Forbidden", "")))
			store.renewal = tt.renewal
			_, err := store.fetch(t)
			require.ErrorContains(t, err, "the link has expired")
			require.ErrorContains(t, err, tt.says)
			assert.Len(t, store.seen(), 1)
		})
	}
}

// TestD01_KnownExpiry: a link that says itself that it is over is not even tried, unless there is no other.
func TestD01_KnownExpiry(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC()
	signed := func(age time.Duration) string { return now.Add(-age).Format("20060102T150405Z") }
	for name, tt := range map[string]struct {
		query   string
		expired bool
	}{
		"OSS, over":         {fmt.Sprintf("Expires=%d&OSSAccessKeyId=k", now.Add(-time.Minute).Unix()), true},
		"OSS, good":         {fmt.Sprintf("Expires=%d&OSSAccessKeyId=k", now.Add(time.Hour).Unix()), false},
		"S3, over":          {"X-Amz-Date=" + signed(2*time.Hour) + "&X-Amz-Expires=3600&X-Amz-Signature=a%253A;b", true},
		"S3, good":          {"X-Amz-Expires=86400&X-Amz-Date=" + signed(2*time.Hour), false},
		"OSS v4, over":      {"x-oss-date=" + signed(2*time.Hour) + "&x-oss-expires=3600", true},
		"no date":           {"X-Amz-Expires=1", false},
		"no number":         {"Expires=soon&X-Amz-Expires=1x&X-Amz-Date=yesterday", false},
		"a date of another": {"birth-date=20060102T150405Z", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
			client := newClient(t, store.URL)
			_, err := client.Download(t.Context(), finishedTask(store.URL+"/v?"+tt.query), io.Discard)
			require.NoError(t, err)
			want := map[bool]string{true: "/fresh?sig=secret2", false: "/v?" + tt.query}[tt.expired]
			require.Len(t, store.seen(), 1)
			assert.Equal(t, want, store.seen()[0].RequestURI)

			offline := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
			offline.renewal = testkit.RawHTTP("404 Not Found", "")
			_, err = newClient(t, offline.URL).Download(t.Context(), finishedTask(offline.URL+"/v?"+tt.query), io.Discard)
			require.NoError(t, err, "our clock may be wrong, so the old link gets its chance")
		})
	}
}

// TestD01_ExpiryMidway: the new link goes on where the old one stopped.
func TestD01_ExpiryMidway(t *testing.T) {
	t.Parallel()
	store := newRawStore(t,
		testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)),
		testkit.WantRest(t, 1000, `"one"`, testkit.RawHTTP("403 Forbidden", "")),
		testkit.WantRest(t, 1000, `"one"`, testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader)))
	got, err := store.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, testkit.PlainFile, got)
	assert.Equal(t, 1, store.asked)
}

func TestD02_NothingOfOursIsSent(t *testing.T) {
	t.Parallel()
	heads := make(chan string, 1)
	server := testkit.Serve(t, nil, func(_ *testkit.Server, conn net.Conn) {
		var head strings.Builder
		for r := bufio.NewReader(conn); !strings.HasSuffix(head.String(), "\r\n\r\n"); {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			head.WriteString(line)
		}
		heads <- head.String()
		io.WriteString(conn, testkit.RawFile(testkit.PlainFile, "Set-Cookie: a=b"))
	})
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: "secret"}})
	client := newClient(t, server.URL, vidu.WithHTTPClient(&http.Client{Jar: jar}))
	const link = "/a%2Fb//c+d/%C3%A9;e/v%20(1).mp4?X-Sig=a%253Ab%2f%2F;c=d&e=+&&f?g"
	_, err = client.Download(t.Context(), finishedTask(server.URL+link), io.Discard)
	require.NoError(t, err)
	head := <-heads
	line, fields, _ := strings.Cut(head, "\r\n")
	assert.Equal(t, "GET "+link+" HTTP/1.1", line, "a signed link must arrive byte for byte")
	for field := range strings.SplitSeq(strings.TrimSpace(fields), "\r\n") {
		name, _, _ := strings.Cut(field, ":")
		assert.Contains(t, []string{"Host", "User-Agent", "Accept-Encoding"}, name)
	}
	assert.NotContains(t, head, testkit.Key)
	assert.Len(t, jar.Cookies(u), 1, "no cookie is kept either")
}

func TestD03_Redirects(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		hops int
		says string
	}{"five": {5, ""}, "six": {6, "more than 5 redirects"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, status := range []string{"301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"} {
				hop := 0
				store := newRawStore(t, func(r *http.Request) string {
					if hop++; hop > tt.hops {
						return testkit.RawFile(testkit.PlainFile)
					}
					return testkit.RawHTTP(status, "<html>", fmt.Sprintf("Location: /hop?sig=secret%%253A;%d", hop), "Set-Cookie: a=secret")
				})
				_, err := store.fetch(t)
				if tt.says != "" {
					require.ErrorContains(t, err, tt.says)
					continue
				}
				require.NoError(t, err)
				assert.Equal(t, "/hop?sig=secret%253A;5", store.seen()[5].RequestURI)
				for _, r := range store.seen() {
					assert.Len(t, r.Header, 2, "%v", r.Header) // Accept-Encoding and User-Agent: no cookie, no referer
				}
			}
		})
	}
}

func TestD03_RedirectsThatAreNotFollowed(t *testing.T) {
	t.Parallel()
	for location, says := range map[string]string{
		"ftp://h/v?sig=secret":       "ftp://h/v is not an https link",
		"https://user:secret@h/v":    "https://h/v is not an https link",
		"":                           "redirects to nowhere",
		"https://%zz/v?sig=secret":   "failed to parse Location",
		"https://%zz/v?sig=a secret": "failed to parse Location",
		"/v?sig=a secret":            "redirects to nowhere",
	} {
		store := newRawStore(t, func(*http.Request) string { return testkit.RawHTTP("302 Found", "", "Location: "+location) })
		_, err := store.fetch(t)
		require.ErrorContains(t, err, says)
	}
}

func TestD03_RedirectFromHTTPSToHTTP(t *testing.T) {
	t.Parallel()
	plain := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", plain.URL+"/v?sig=secret")
		w.WriteHeader(http.StatusFound)
	}))
	t.Cleanup(secure.Close)
	client := newClient(t, plain.URL, vidu.WithHTTPClient(secure.Client())) // which may use plain http itself
	_, err := client.Download(t.Context(), finishedTask(secure.URL+"/v?sig=secret"), io.Discard)
	require.ErrorContains(t, err, "which is not an https link")
	assertSecretFree(t, err)
	assert.Empty(t, plain.seen())
}

func TestD03_RedirectBetweenHTTPSHosts(t *testing.T) {
	t.Parallel()
	var seen http.Header
	second := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header
		w.Header().Set("Content-Type", "video/mp4")
		io.WriteString(w, testkit.PlainFile)
	}))
	t.Cleanup(second.Close)
	first := httptest.NewTLSServer(http.RedirectHandler(second.URL+"/v?sig=2", http.StatusTemporaryRedirect))
	t.Cleanup(first.Close)
	client := newClient(t, "https://gateway.example.com", vidu.WithHTTPClient(first.Client()))
	n, err := client.Download(t.Context(), finishedTask(first.URL+"/v?sig=1"), io.Discard)
	require.NoError(t, err)
	assert.Equal(t, int64(len(testkit.PlainFile)), n)
	assert.Len(t, seen, 2, "%v", seen)
}

// cuts are the ways in which a transfer breaks that everybody notices.
var cuts = map[string]func(header ...string) string{
	"D05, length": func(header ...string) string {
		return testkit.CutBody(testkit.RawFile(testkit.PlainFile, header...), 1000)
	},
	"D06, chunked": func(header ...string) string { return testkit.RawChunks(testkit.PlainFile[:1000], false, header...) },
}

func TestD05_D06_CutIsResumed(t *testing.T) {
	t.Parallel()
	for name, broken := range cuts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newRawStore(t, testkit.Always(broken(testkit.ETagHeader)), testkit.WantRest(t, 1000, `"one"`, testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader)))
			got, err := store.fetch(t)
			require.NoError(t, err)
			assert.Equal(t, testkit.PlainFile, got)

			// A writer is resumed just so.
			var out bytes.Buffer
			again := newRawStore(t, testkit.Always(broken(testkit.ETagHeader)), testkit.WantRest(t, 1000, `"one"`, testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader)))
			n, err := newClient(t, again.URL).Download(t.Context(), finishedTask(again.URL+"/v?a"), &out)
			require.NoError(t, err)
			assert.Equal(t, int64(len(testkit.PlainFile)), n)
			assert.Equal(t, testkit.PlainFile, out.String())
		})
	}
}

func TestD05_D06_CutForEver(t *testing.T) {
	t.Parallel()
	for name, broken := range cuts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resumable := newRawStore(t, testkit.Always(broken(testkit.ETagHeader)), testkit.Always(""))
			_, err := resumable.fetch(t)
			require.ErrorIs(t, err, io.EOF)
			assert.Len(t, resumable.seen(), 6, "one try that brought something, five that did not")

			fresh := newRawStore(t, testkit.Always(broken()))
			_, err = fresh.fetch(t)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			assert.Len(t, fresh.seen(), 6, "starting over to the same place is no progress")

			var out bytes.Buffer
			writer := newRawStore(t, testkit.Always(broken()))
			n, err := newClient(t, writer.URL).Download(t.Context(), finishedTask(writer.URL+"/v?sig=secret"), &out)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.ErrorContains(t, err, "after 1000 bytes: ")
			require.ErrorContains(t, err, "a writer cannot be started over")
			assertSecretFree(t, err)
			assert.Equal(t, int64(1000), n)
			assert.Equal(t, testkit.PlainFile[:1000], out.String(), "nothing is appended blindly")
			assert.Len(t, writer.seen(), 1)
		})
	}
}

// TestD05_StartingOverIsNoProgress: only what goes beyond the best try so far counts.
func TestD05_StartingOverIsNoProgress(t *testing.T) {
	t.Parallel()
	tries := 0
	store := newRawStore(t, func(*http.Request) string {
		tries++
		if tries == 1 {
			return testkit.CutBody(testkit.RawFile(testkit.PlainFile), 1000)
		}
		return testkit.CutBody(testkit.RawFile(testkit.PlainFile), 100*tries)
	})
	_, err := store.fetch(t)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Len(t, store.seen(), 6)
}

// TestD05_ProgressCounts: any number of cuts is survived as long as every try brings something.
func TestD05_ProgressCounts(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, func(r *http.Request) string {
		from := testkit.RangeStart(r)
		if from == 0 {
			return testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 512)
		}
		return testkit.CutBody(testkit.RawRest(testkit.PlainFile, from, testkit.ETagHeader), min(512, len(testkit.PlainFile)-from))
	})
	got, err := store.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, testkit.PlainFile, got)
	assert.Len(t, store.seen(), len(testkit.PlainFile)/512)
}

func TestD07_SilentlyShortMP4(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(body string, header ...string) string{
		"chunks that end": func(body string, header ...string) string { return testkit.RawChunks(body, true, header...) },
		"until the FIN":   func(body string, header ...string) string { return testkit.RawHTTP("200 OK", body, header...) },
		"nothing at all":  func(_ string, header ...string) string { return testkit.RawChunks("", true, header...) },
		"in a box's header": func(_ string, header ...string) string {
			return testkit.RawChunks(testkit.MP4File[:20], true, header...)
		},
		"before the mdat": func(_ string, header ...string) string {
			return testkit.RawChunks(testkit.MP4File[:len(testkit.MP4File)-len(testkit.PlainFile)-4], true, header...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{1, 7, 8, 600, len(testkit.MP4File) - 1} {
				store := newRawStore(t, testkit.Always(answer(testkit.MP4File[:n], testkit.ETagHeader)), func(r *http.Request) string {
					from := testkit.RangeStart(r)
					if from == 0 {
						assert.Equal(t, "nothing at all", name)
						return testkit.RawFile(testkit.MP4File, testkit.ETagHeader)
					}
					return testkit.RawRest(testkit.MP4File, from, testkit.ETagHeader)
				})
				got, err := store.fetch(t)
				require.NoError(t, err)
				assert.Equal(t, testkit.MP4File, got, "resumed")

				never := newRawStore(t, testkit.Always(answer(testkit.MP4File[:n])))
				_, err = never.fetch(t)
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			}
		})
	}
}

// TestD07_BetweenTwoBoxes: an MP4 without its index or its media has not ended.
func TestD07_BetweenTwoBoxes(t *testing.T) {
	t.Parallel()
	for _, content := range []string{testkit.MP4Box("ftyp", "") + testkit.MP4Box("mdat", testkit.PlainFile), testkit.MP4Box("ftyp", "") + testkit.MP4Box("moov", "m")} {
		_, err := newRawStore(t, testkit.Always(testkit.RawChunks(content, true))).fetch(t)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
}

func TestD07_UnknownLengthIsAccepted(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"MP4":                  testkit.MP4File,
		"moov behind mdat":     testkit.MP4Box("ftyp", "") + testkit.MP4Box("mdat", testkit.PlainFile) + testkit.MP4Box("moov", "m"),
		"64-bit sizes":         testkit.MP4LargeBox("ftyp", "isom") + testkit.MP4LargeBox("mdat", testkit.PlainFile) + testkit.MP4LargeBox("moov", "m"),
		"last box to the end":  testkit.MP4Box("ftyp", "") + testkit.MP4Box("moov", "m") + "\x00\x00\x00\x00mdat" + testkit.PlainFile,
		"fragments":            testkit.MP4Box("ftyp", "") + testkit.MP4Box("moov", "m") + testkit.MP4Box("moof", "x") + testkit.MP4Box("mdat", "y") + testkit.MP4Box("moof", "x") + testkit.MP4Box("mdat", "y"),
		"bytes behind the end": testkit.MP4File + "\x00\x00\x00\x02junkjunk",
		"zeros behind the end": testkit.MP4File + strings.Repeat("\x00", 9),
		"no MP4":               testkit.PlainFile,
		"short, no MP4":        "twelve bytes",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, answer := range []string{testkit.RawChunks(content, true), testkit.RawHTTP("200 OK", content), testkit.RawFile(content)} {
				got, err := newRawStore(t, testkit.Always(answer)).fetch(t)
				require.NoError(t, err)
				assert.Equal(t, content, got)
			}
		})
	}
}

// TestD07_CoverIsNoVideo: AVIF and HEIC begin like an MP4 and have no moov.
func TestD07_CoverIsNoVideo(t *testing.T) {
	t.Parallel()
	avif := testkit.MP4Box("ftyp", "avif") + testkit.MP4Box("meta", "m") + testkit.MP4Box("mdat", testkit.PlainFile)
	got, err := newRawStore(t, testkit.Always(testkit.RawChunks(avif, true))).fetch(t, vidu.WithCover())
	require.NoError(t, err)
	assert.Equal(t, avif, got)
}

func TestD08_LengthSmallerThanTheFile(t *testing.T) {
	t.Parallel()
	short := func(body string, n int) string {
		return testkit.RawHTTP("200 OK", body, "Content-Length: "+strconv.Itoa(n))
	}
	got, err := newRawStore(t, testkit.Always(short(testkit.PlainFile, 1000))).fetch(t)
	require.NoError(t, err)
	assert.Equal(t, testkit.PlainFile[:1000], got, "exactly what was announced")

	for _, n := range []int{8, 100, 600, len(testkit.MP4File) - 1} {
		store := newRawStore(t, testkit.Always(short(testkit.MP4File, n)))
		_, err = store.fetch(t)
		require.ErrorContains(t, err, "incomplete MP4")
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Len(t, store.seen(), 1, "the server is sure, so asking again is pointless")
	}
}

// otherFile has another content and the same length as plainFile.
var otherFile = strings.ToUpper(testkit.PlainFile)

func TestD09_ObjectChanged(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)), testkit.WantRest(t, 1000, `"one"`, testkit.RawFile(otherFile, `ETag: "two"`)))
	got, err := store.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, otherFile, got, "started over")

	short := newRawStore(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.MP4File, testkit.ETagHeader), 1000)), testkit.Always(testkit.RawFile(testkit.MP4File[:len(testkit.MP4File)-len(testkit.PlainFile)-8]+testkit.MP4Box("mdat", "x"), `ETag: "two"`)))
	got, err = short.fetch(t)
	require.NoError(t, err)
	assert.Less(t, len(got), 1000, "nothing of the longer file is left")

	// A broken server answers 206 although the object changed.
	for _, header := range [][]string{{`ETag: "two"`}, {`ETag: W/"one"`}, {}} {
		lying := newRawStore(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)), testkit.Always(testkit.RawRest(otherFile, 1000, header...)), testkit.WantWhole(t, testkit.RawFile(otherFile, header...)))
		got, err = lying.fetch(t)
		require.NoError(t, err)
		assert.Equal(t, otherFile, got)
		assert.Len(t, lying.seen(), 3)
	}
	dated := newRawStore(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ModifiedHeader), 1000)),
		testkit.WantRest(t, 1000, testkit.ModifiedDate, testkit.RawRest(otherFile, 1000, "Last-Modified: Sun, 22 Nov 2026 10:00:00 GMT")), testkit.WantWhole(t, testkit.RawFile(otherFile)))
	got, err = dated.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, otherFile, got)
}

func TestD10_RangeIsIgnored(t *testing.T) {
	t.Parallel()
	answers := []testkit.RawReply{testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)), testkit.WantRest(t, 1000, `"one"`, testkit.RawFile(testkit.PlainFile, testkit.ETagHeader))}
	store := newRawStore(t, answers...)
	var reports []int64
	got, err := store.fetch(t, vidu.WithProgressBytes(func(done, _ int64) { reports = append(reports, done) }))
	require.NoError(t, err)
	assert.Equal(t, testkit.PlainFile, got)
	assert.Equal(t, int64(1000), reports[0])
	assert.Equal(t, int64(len(testkit.PlainFile)), reports[len(reports)-1])

	var out bytes.Buffer
	writer := newRawStore(t, answers...)
	_, err = newClient(t, writer.URL).Download(t.Context(), finishedTask(writer.URL+"/v?a"), &out)
	require.ErrorContains(t, err, "the server cannot resume")
	assert.Equal(t, testkit.PlainFile[:1000], out.String())
	testkit.AssertHarmless(t, err)
}

func TestD11_WrongRangeIsRefused(t *testing.T) {
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
		"nonsense":        part("bytes"),
		"no range":        testkit.RawHTTP("206 Partial Content", testkit.PlainFile, testkit.ETagHeader),
		"multipart":       testkit.RawHTTP("206 Partial Content", "--x\r\n\r\n"+testkit.PlainFile, testkit.ETagHeader, "Content-Type: multipart/byteranges; boundary=x"),
		"encoded":         part(fmt.Sprintf("bytes 1000-%d/%d", size-1, size), "Content-Encoding: gzip"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newRawStore(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)), testkit.WantRest(t, 1000, `"one"`, answer), testkit.WantWhole(t, testkit.RawFile(testkit.PlainFile, testkit.ETagHeader)))
			got, err := store.fetch(t)
			if name == "encoded" {
				require.ErrorContains(t, err, "encoded as gzip")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, testkit.PlainFile, got)
			assert.Len(t, store.seen(), 3)
		})
	}
}

func TestD11_UnaskedRange(t *testing.T) {
	t.Parallel()
	_, err := newRawStore(t, testkit.Always(testkit.RawRest(testkit.PlainFile, 0))).fetch(t)
	assert.ErrorContains(t, err, "HTTP 206")
}

// TestD11_ShorterRange: a server may send less than was asked for; the rest is then asked for again.
func TestD11_ShorterRange(t *testing.T) {
	t.Parallel()
	piece := testkit.RawHTTP("206 Partial Content", testkit.PlainFile[1000:3000], testkit.ETagHeader, fmt.Sprintf("Content-Range: bytes 1000-1999/%d", len(testkit.PlainFile)))
	store := newRawStore(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)), testkit.Always(piece), testkit.WantRest(t, 2000, `"one"`, testkit.RawRest(testkit.PlainFile, 2000, testkit.ETagHeader)))
	got, err := store.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, testkit.PlainFile, got)
}

func TestD12_RangeNotSatisfiable(t *testing.T) {
	t.Parallel()
	beyond := func(size string) string {
		return testkit.RawHTTP("416 Range Not Satisfiable", "<Error/>", "Content-Range: bytes */"+size)
	}
	size := strconv.Itoa(len(testkit.PlainFile))
	t.Run("the file was whole", func(t *testing.T) {
		t.Parallel()
		store := newRawStore(t, testkit.Always(testkit.RawChunks(testkit.PlainFile, false, testkit.ETagHeader)), testkit.WantRest(t, len(testkit.PlainFile), `"one"`, beyond(size)))
		got, err := store.fetch(t)
		require.NoError(t, err)
		assert.Equal(t, testkit.PlainFile, got)
	})
	t.Run("the server says so, the MP4 does not", func(t *testing.T) {
		t.Parallel()
		_, err := newRawStore(t, testkit.Always(testkit.RawChunks(testkit.MP4File[:600], false, testkit.ETagHeader)), testkit.Always(beyond("600"))).fetch(t)
		require.ErrorContains(t, err, "incomplete MP4")
	})
	t.Run("a length that nobody stated before", func(t *testing.T) {
		t.Parallel()
		for _, size := range []string{"999", "1001"} {
			store := newRawStore(t, testkit.Always(testkit.RawChunks(testkit.PlainFile[:1000], false, testkit.ETagHeader)), testkit.Always(beyond(size)), testkit.WantWhole(t, testkit.RawFile(testkit.PlainFile, testkit.ETagHeader)))
			got, err := store.fetch(t)
			require.NoError(t, err)
			assert.Equal(t, testkit.PlainFile, got)
			assert.Len(t, store.seen(), 3)
		}
	})
	for name, answer := range map[string]string{
		"shorter": beyond("10"), "longer": beyond(size + "0"), "unknown": beyond("*"), "not said": testkit.RawHTTP("416 Range Not Satisfiable", ""),
		"as long as what came, not as announced": beyond("1000"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newRawStore(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)), testkit.Always(answer), testkit.WantWhole(t, testkit.RawFile(testkit.PlainFile, testkit.ETagHeader)))
			got, err := store.fetch(t)
			require.NoError(t, err)
			assert.Equal(t, testkit.PlainFile, got)

			never := newRawStore(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)), testkit.Always(answer), testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1001)), testkit.Always(answer))
			_, err = never.fetch(t)
			require.ErrorContains(t, err, "the file changed on the server")
			assert.Len(t, never.seen(), 4, "started over once")
		})
	}
}

func TestD13_NoResumptionWithoutAStrongValidator(t *testing.T) {
	t.Parallel()
	for name, header := range map[string][]string{
		"none": {}, "weak": {`ETag: W/"one"`}, "not quoted": {"ETag: one"}, "empty": {"ETag: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newRawStore(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, header...), 1000)), testkit.WantWhole(t, testkit.RawFile(testkit.PlainFile, header...)))
			got, err := store.fetch(t)
			require.NoError(t, err)
			assert.Equal(t, testkit.PlainFile, got)
		})
	}
	t.Run("a date without a length", func(t *testing.T) {
		t.Parallel()
		got, err := newRawStore(t, testkit.Always(testkit.RawChunks(testkit.PlainFile[:1000], false, testkit.ModifiedHeader)), testkit.WantWhole(t, testkit.RawFile(testkit.PlainFile))).fetch(t)
		require.NoError(t, err)
		assert.Equal(t, testkit.PlainFile, got)
	})
	t.Run("a date with a length", func(t *testing.T) {
		t.Parallel()
		for _, header := range [][]string{{testkit.ModifiedHeader}, {testkit.ModifiedHeader, `ETag: W/"one"`}} {
			got, err := newRawStore(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, header...), 1000)), testkit.WantRest(t, 1000, testkit.ModifiedDate, testkit.RawRest(testkit.PlainFile, 1000))).fetch(t)
			require.NoError(t, err)
			assert.Equal(t, testkit.PlainFile, got)
		}
	})
}

func TestD14_Encoded(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"gzip", "br", "aws-chunked"} {
		store := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile, "Content-Encoding: "+encoding)))
		_, err := store.fetch(t)
		require.ErrorContains(t, err, "which was not asked for")
		assert.Equal(t, "identity", store.seen()[0].Header.Get("Accept-Encoding"))
		assert.Len(t, store.seen(), 1)
	}
	_, err := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile, "Content-Encoding: identity"))).fetch(t)
	require.NoError(t, err)
}

// TestD14_MessageIsNoFile: a login page or a note about maintenance comes with status 200, too.
func TestD14_MessageIsNoFile(t *testing.T) {
	t.Parallel()
	for header, says := range map[string]string{
		"text/html; charset=utf-8": "text/html", "Text/HTML": "text/html", "text/html, text/html": "text/html", " text/plain ": "text/plain",
		"application/json": "application/json", "application/problem+json; a=1; a=2": "application/problem+json", "text/html;": "text/html",
		"application/xml": "application/xml", "text/xml": "text/xml", "application/atom+XML": "application/atom+xml",
		"": "", "video/mp4": "", "application/octet-stream": "", "binary/octet-stream": "", "nonsense": "", ";": "", "image/jpeg": "", "application/mp4; codecs=\"text/html\"": "",
	} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			store := newRawStore(t, testkit.Always(testkit.RawFile(`{"error":"maintenance"}`, "Content-Type: "+header)))
			got, err := store.fetch(t)
			if says == "" {
				require.NoError(t, err)
				assert.NotEmpty(t, got)
				return
			}
			require.ErrorContains(t, err, "answered "+says+", not a file")
			assert.Len(t, store.seen(), 1)
		})
	}
}

func TestD15_SizeLimit(t *testing.T) {
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
		"not a limit":            {testkit.RawFile(testkit.PlainFile), 0, ""},
		"10 GB":                  {testkit.RawHTTP("200 OK", testkit.PlainFile, "Content-Length: 10000000000"), 0, "more than the limit of 2147483648"},
		"a length that is a lie": {testkit.RawHTTP("200 OK", testkit.PlainFile, "Content-Length: 99999999999999999999"), 0, "bad Content-Length"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newRawStore(t, testkit.Always(tt.answer)).fetch(t, vidu.WithMaxBytes(tt.limit))
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
		store := newRawStore(t, testkit.Always(testkit.RawChunks(testkit.PlainFile[:1000], false, testkit.ETagHeader)), testkit.Always(testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader)))
		_, err := store.fetch(t, vidu.WithMaxBytes(2000))
		require.ErrorContains(t, err, "more than the limit of 2000")
	})
	t.Run("endless", func(t *testing.T) {
		t.Parallel()
		server, _ := fileServer(t, endlessly)
		var out bytes.Buffer
		n, err := newClient(t, server.URL).Download(t.Context(), finishedTask(server.URL+"/v?a"), &out, vidu.WithMaxBytes(1<<20))
		require.ErrorContains(t, err, "more than 1048576 bytes")
		assert.Equal(t, int64(out.Len()), n)
		assert.LessOrEqual(t, n, int64(1<<20))
	})
}

// stalling is a body that brings some bytes and then nothing until its request is given up.
type stalling struct {
	ctx  context.Context //nolint:containedctx // of the request
	left io.Reader
}

func (s *stalling) Read(p []byte) (int, error) {
	if n, err := s.left.Read(p); n > 0 || err == nil {
		return n, nil
	}
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func (s *stalling) Close() error { return nil }

// inMemory is an answer without a network, which virtual time needs.
func inMemory(r *http.Request, answer string, stalls bool) (*http.Response, error) {
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), r)
	if err == nil && stalls {
		_, body, _ := strings.Cut(answer, "\r\n\r\n")
		resp.Body = &stalling{r.Context(), strings.NewReader(body)}
	}
	return resp, err
}

func TestD16_StallIsResumed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
			tries++
			switch tries {
			case 1:
				return inMemory(r, testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000), true)
			case 2: // not even headers
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			assert.Equal(t, "bytes=1000-", r.Header.Get("Range"))
			return inMemory(r, testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader), false)
		}))
		began := time.Now()
		var out bytes.Buffer
		_, err := client.Download(t.Context(), finishedTask("https://h/v?a"), &out)
		require.NoError(t, err)
		assert.Equal(t, testkit.PlainFile, out.String())
		assert.Equal(t, time.Minute, time.Since(began))
	})
}

func TestD16_StallsForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
			tries++
			return inMemory(r, testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 0), true)
		}))
		began := time.Now()
		_, err := client.Download(t.Context(), finishedTask("https://h/v?sig=secret"), io.Discard)
		require.ErrorContains(t, err, "no byte came for 30s")
		require.NotErrorIs(t, err, context.Canceled, "nobody cancelled")
		assertSecretFree(t, err)
		assert.Equal(t, 5, tries)
		assert.Equal(t, 150*time.Second, time.Since(began))
	})
}

// slowly takes its time between two reads and two writes, but never 30 s.
type slowly struct {
	ctx  context.Context //nolint:containedctx // of the request
	from io.Reader
}

func (s slowly) Read(p []byte) (int, error) {
	testkit.Pass(29 * time.Second)
	if s.ctx.Err() != nil {
		return 0, s.ctx.Err()
	}
	return s.from.Read(p[:min(len(p), 1000)])
}

func (s slowly) Write(p []byte) (int, error) {
	testkit.Pass(time.Hour)
	return len(p), nil
}

// TestD16_SlowIsNoStall: neither a slow server nor a slow writer is cut off, however long it takes.
func TestD16_SlowIsNoStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
			tries++
			resp, err := inMemory(r, testkit.RawFile(testkit.PlainFile), false)
			resp.Body = io.NopCloser(slowly{r.Context(), resp.Body})
			return resp, err
		}))
		n, err := client.Download(t.Context(), finishedTask("https://h/v?a"), slowly{})
		require.NoError(t, err)
		assert.Equal(t, int64(len(testkit.PlainFile)), n)
		assert.Equal(t, 1, tries)
	})
}

// TestD16_Pauses: the client's backoff and the server's wish set the pauses, the context ends them.
func TestD16_Pauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := []string{
			testkit.RawHTTP("503 Slow Down", "", "Retry-After: 7"),                        // 7 s
			testkit.RawHTTP("429 Too Many Requests", ""),                                  // 2 s
			testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000), // progress: 1 s
			testkit.RawHTTP("500 Internal Server Error", "", "Retry-After: 86400"),        // capped: 60 s
			testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader),
		}
		tries := 0
		client := newClient(t, "https://gateway.example.com", vidu.WithBackoff(func(retry int) time.Duration { return time.Duration(retry) * time.Second }),
			withTransport(func(r *http.Request) (*http.Response, error) {
				tries++
				return inMemory(r, answers[tries-1], false)
			}))
		began := time.Now()
		_, err := client.Download(t.Context(), finishedTask("https://h/v?a"), io.Discard)
		require.NoError(t, err)
		assert.Equal(t, 70*time.Second, time.Since(began))

		tries = 0
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = client.Download(ctx, finishedTask("https://h/v?a"), io.Discard)
		require.ErrorContains(t, err, "HTTP 503")
		assert.Equal(t, 1, tries, "no time is left for the pause")

		tries = 0
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		_, err = client.Download(ctx, finishedTask("https://h/v?a"), io.Discard)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "HTTP 503")
	})
}

func TestD16_Statuses(t *testing.T) {
	t.Parallel()
	for status, tries := range map[int]int{
		204: 1, 206: 1, 300: 1, 304: 1, 401: 1, 405: 1, 408: 5, 416: 1, 425: 5, 429: 5, 451: 1, 500: 5, 501: 1, 502: 5, 503: 5, 504: 5,
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			store := newRawStore(t, testkit.Always(testkit.RawHTTP(strconv.Itoa(status)+" x", "")))
			_, err := store.fetch(t)
			require.ErrorContains(t, err, fmt.Sprintf("%s/v answered HTTP %d", store.URL, status))
			assert.Len(t, store.seen(), tries)
			assert.Zero(t, store.asked)
		})
	}
}

func TestD16_TransportFailures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err   error
		tries int
	}{
		"reset":        {errors.New("connection reset"), 5},
		"unknown host": {&net.DNSError{Err: "no such host", Name: "h", IsNotFound: true}, 1},
		"quoted link":  {errors.New(`cannot get "https://h/v?sig=secret": refused`), 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tries := 0
			client := newClient(t, "https://gateway.example.com", withTransport(func(*http.Request) (*http.Response, error) {
				tries++
				return nil, tt.err
			}))
			_, err := client.Download(t.Context(), finishedTask("https://h/v?sig=secret"), io.Discard)
			assertSecretFree(t, err)
			assert.Equal(t, tt.tries, tries)
		})
	}
}

func TestD18_TargetExists(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	client := newClient(t, store.URL)
	path := filepath.Join(t.TempDir(), "v.mp4")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	_, err := client.DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), path)
	require.ErrorIs(t, err, fs.ErrExist)
	testkit.AssertHarmless(t, err)
	assert.Empty(t, store.seen(), "found out before the download")
	testkit.AssertFile(t, path, []byte("old"))

	_, err = client.DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), path, vidu.WithOverwrite())
	require.NoError(t, err)
	testkit.AssertFile(t, path, []byte(testkit.PlainFile))
	testkit.AssertDirOnly(t, filepath.Dir(path), "v.mp4")

	failing := newRawStore(t, testkit.Always(testkit.CutBody(testkit.RawFile(otherFile), 1000)))
	_, err = newClient(t, failing.URL).DownloadFile(t.Context(), finishedTask(failing.URL+"/v?a"), path, vidu.WithOverwrite())
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	testkit.AssertFile(t, path, []byte(testkit.PlainFile))
	testkit.AssertDirOnly(t, filepath.Dir(path), "v.mp4")
}

// TestD18_BeatenToTheName is the race that looking first cannot win.
func TestD18_BeatenToTheName(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "v.mp4")
	store := newRawStore(t, func(*http.Request) string {
		testkit.WriteOldFile(t, path, "theirs")
		return testkit.RawFile(testkit.PlainFile)
	})
	_, err := newClient(t, store.URL).DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), path)
	require.ErrorIs(t, err, fs.ErrExist)
	testkit.AssertHarmless(t, err)
	testkit.AssertFile(t, path, []byte("theirs"))
	testkit.AssertDirOnly(t, filepath.Dir(path), "v.mp4")
}

func TestD19_SymlinkIsReplaced(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	client := newClient(t, store.URL)
	for _, exists := range []bool{true, false} {
		dir := t.TempDir()
		target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
		if exists {
			require.NoError(t, os.WriteFile(target, []byte("old"), 0o600))
		}
		require.NoError(t, os.Symlink(target, link))
		before := len(store.seen())
		_, err := client.DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), link)
		require.ErrorIs(t, err, fs.ErrExist, "a dangling link exists, too")
		assert.Len(t, store.seen(), before)
		_, err = client.DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), link, vidu.WithOverwrite())
		require.NoError(t, err)
		testkit.AssertFile(t, link, []byte(testkit.PlainFile))
		info, err := os.Lstat(link)
		require.NoError(t, err)
		assert.True(t, info.Mode().IsRegular())
		if exists {
			testkit.AssertFile(t, target, []byte("old"))
		} else {
			require.NoFileExists(t, target)
		}
	}
}

func TestD19_SymlinkToADirectoryIsReplaced(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	require.NoError(t, os.Mkdir(target, 0o700))
	require.NoError(t, os.Symlink(target, link))
	_, err := newClient(t, store.URL).DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), link, vidu.WithOverwrite())
	require.NoError(t, err)
	testkit.AssertFile(t, link, []byte(testkit.PlainFile))
	testkit.AssertDirOnly(t, target, "")
}

func TestD19_DirectoryAndDevice(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	client := newClient(t, store.URL)
	for _, path := range []string{t.TempDir(), ".", "..", os.DevNull} {
		_, err := client.DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), path)
		require.Error(t, err, path)
		_, err = client.DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), path, vidu.WithOverwrite())
		require.ErrorContains(t, err, "not a regular file", path)
	}
	assert.Empty(t, store.seen())
}

// TestD20_NamesAreTheCallers: nothing that a server says becomes part of a name.
func TestD20_NamesAreTheCallers(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile, `Content-Disposition: attachment; filename="../../evil.mp4"`)))
	dir := t.TempDir()
	task := finishedTask(store.URL + "/..%2f..%2fevil.mp4?a")
	task.ID = "../../evil\x00\n"
	path := filepath.Join(dir, "a", "b", "v.mp4")
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	client := newClient(t, store.URL)
	_, err := client.DownloadFile(t.Context(), task, path)
	require.NoError(t, err)
	testkit.AssertFile(t, path, []byte(testkit.PlainFile))
	testkit.AssertDirOnly(t, dir, "a")
	testkit.AssertDirOnly(t, filepath.Join(dir, "a"), "b")
	testkit.AssertDirOnly(t, filepath.Dir(path), "v.mp4")

	before := len(store.seen())
	for _, name := range []string{"", filepath.Join(dir, "x") + "/", "/", filepath.Join(dir, "NUL\x00.mp4"), filepath.Join(path, "below-a-file")} {
		_, err = client.DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), name)
		require.Error(t, err, "%q", name)
	}
	assert.Len(t, store.seen(), before, "found out before the download")
	refused := newRawStore(t, testkit.Always(testkit.RawHTTP("403 Forbidden", "")))
	task.Creations = finishedTask(refused.URL + "/v?sig=secret").Creations
	_, err = newClient(t, refused.URL).Download(t.Context(), task, io.Discard)
	require.ErrorContains(t, err, "is not a task id")
	assertSecretFree(t, err)
	assert.Zero(t, refused.asked)
}

func TestD21_CancelledMidway(t *testing.T) {
	t.Parallel()
	server, _ := fileServer(t, endlessly)
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := newClient(t, server.URL).DownloadFile(ctx, finishedTask(server.URL+"/v?sig=secret"), filepath.Join(dir, "v.mp4"),
		vidu.WithProgressBytes(func(int64, int64) {
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, entries, 1)
			assert.Regexp(t, `^\.vidu-\d+\.part$`, entries[0].Name())
			info, err := entries[0].Info()
			require.NoError(t, err)
			assert.Equal(t, fs.FileMode(0o600), info.Mode())
			cancel(errors.New("enough"))
		}))
	require.ErrorIs(t, err, context.Canceled)
	assertSecretFree(t, err)
	testkit.AssertDirOnly(t, dir, "")
}

func TestD21_ProgressPanics(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	dir := t.TempDir()
	assert.PanicsWithValue(t, "stop", func() {
		newClient(t, store.URL).DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), filepath.Join(dir, "v.mp4"), //nolint:errcheck // it panics
			vidu.WithProgressBytes(func(int64, int64) { panic("stop") })) //nolint:forbidigo // that is the point
	})
	testkit.AssertDirOnly(t, dir, "")
}

// TestD21_PartsOfTheDead: what a killed process left goes away a day later, and nothing else does.
func TestD21_PartsOfTheDead(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{
		".vidu-123.part": 25 * time.Hour, ".vidu-124.part": 23 * time.Hour, "x.vidu-123.part": 25 * time.Hour,
		".vidu-123.parts": 25 * time.Hour, ".vidu-x.part": 25 * time.Hour,
	} {
		path, then := filepath.Join(dir, name), time.Now().Add(-age)
		require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
		require.NoError(t, os.Chtimes(path, then, then))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".vidu-125.part"), 0o700))
	require.NoError(t, os.Chtimes(filepath.Join(dir, ".vidu-125.part"), time.Unix(1, 0), time.Unix(1, 0)))
	_, err := newClient(t, store.URL).DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), filepath.Join(dir, "v.mp4"))
	require.NoError(t, err)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	assert.Equal(t, []string{".vidu-123.parts", ".vidu-124.part", ".vidu-125.part", ".vidu-x.part", "v.mp4", "x.vidu-123.part"}, names)
}

func TestD22_ManyForOneTarget(t *testing.T) {
	t.Parallel()
	contents := []string{testkit.PlainFile, otherFile}
	var n int
	store := newRawStore(t, func(*http.Request) string {
		n++
		return testkit.RawFile(contents[n%2])
	})
	for _, overwrite := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "v.mp4")
		client := newClient(t, store.URL)
		errs := make([]error, 8)
		var running sync.WaitGroup
		for i := range errs {
			running.Go(func() {
				var opts []vidu.DownloadOption
				if overwrite {
					opts = append(opts, vidu.WithOverwrite())
				}
				_, errs[i] = client.DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), path, opts...)
			})
		}
		running.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
				continue
			}
			require.ErrorIs(t, err, fs.ErrExist)
		}
		assert.Equal(t, map[bool]int{false: 1, true: len(errs)}[overwrite], won)
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Contains(t, contents, string(got), "whole")
		testkit.AssertDirOnly(t, filepath.Dir(path), "v.mp4")
	}
}

// TestD23_SignedQueryIsNeverTold: fetch looks for it in every error and log of these tests; here are the rest.
func TestD23_SignedQueryIsNeverTold(t *testing.T) {
	t.Parallel()
	dead := newRawStore(t, testkit.Always(""))
	for name, link := range map[string]string{
		"nothing answers": dead.URL + "/v?sig=secret", "not a URL": "https://h/v?sig=secret\x7f", "space": "https://h/v?sig=secret x",
		"refused": "http://127.0.0.1:1/v?sig=secret", "unknown host": "https://host.invalid/v?sig=secret#secret",
		"key, not https": "ftp://h/" + testkit.Key, "user": "https://secret:secret@h/v", "not https": "ftp://h/v?secret", "the key": dead.URL + "/" + testkit.Key + "?sig=secret",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newClient(t, dead.URL).Download(t.Context(), finishedTask(link), io.Discard)
			require.Error(t, err)
			assertSecretFree(t, err)
			assert.NotContains(t, fmt.Sprintf("%+v %#v", err, err), "secret")
		})
	}
}

func TestD23_EchoedKeyIsMasked(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://gateway.example.com", withTransport(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("proxy says " + testkit.Key)
	}))
	_, err := client.Download(t.Context(), finishedTask("https://h/v?a"), io.Discard)
	assertSecretFree(t, err)
	require.ErrorContains(t, err, "[redacted]")
	for ; err != nil; err = errors.Unwrap(err) {
		assert.NotContains(t, err.Error(), testkit.Key)
	}
}

func TestD24_NameTooLong(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	client, dir := newClient(t, store.URL), t.TempDir()
	_, err := client.DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), filepath.Join(dir, strings.Repeat("n", 256)))
	require.Error(t, err)
	assert.LessOrEqual(t, len(err.Error()), 600)
	_, err = client.DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), filepath.Join(dir, "none", "v.mp4"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.Empty(t, store.seen(), "found out before the download")
	longest := filepath.Join(dir, strings.Repeat("n", 255))
	_, err = client.DownloadFile(t.Context(), finishedTask(store.URL+"/v?a"), longest)
	require.NoError(t, err, "the temporary name is no longer than the real one")
	testkit.AssertFile(t, longest, []byte(testkit.PlainFile))
}

func in64(sum [sha256.Size]byte) string { return base64.StdEncoding.EncodeToString(sum[:]) }

func md5Of(text string) []byte {
	sum := md5.Sum([]byte(text))
	return sum[:]
}

func TestDownloadChecksums(t *testing.T) {
	t.Parallel()
	crc := func(body string) string {
		return fmt.Sprintf("x-oss-hash-crc64ecma: %d", crc64.Checksum([]byte(body), crc64.MakeTable(crc64.ECMA)))
	}
	digest := func(body string) string {
		sum := sha256.Sum256([]byte(body))
		return "Repr-Digest: sha-512=:AA==:, sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	}
	for name, tt := range map[string]struct{ header, says string }{
		"OSS":              {crc(testkit.PlainFile), ""},
		"OSS, wrong":       {crc(otherFile), "x-oss-hash-crc64ecma"},
		"digest":           {digest(testkit.PlainFile), ""},
		"digest, wrong":    {digest(otherFile), "Repr-Digest"},
		"digest, unknown":  {"Repr-Digest: sha-512=:AA==:", ""},
		"digest, nonsense": {"Repr-Digest: sha-256=:!!:, sha-256", ""},
		"OSS, nonsense":    {"x-oss-hash-crc64ecma: ?", ""},
		"COS, wrong":       {strings.Replace(crc(otherFile), "oss", "cos", 1), "x-cos-hash-crc64ecma"},
		"TOS, wrong":       {strings.Replace(crc(otherFile), "oss", "tos", 1), "x-tos-hash-crc64ecma"},
		"S3, wrong":        {"x-amz-checksum-sha256: " + in64(sha256.Sum256([]byte(otherFile))), "x-amz-checksum-sha256"},
		"S3":               {"x-amz-checksum-sha256: " + in64(sha256.Sum256([]byte(testkit.PlainFile))), ""},
		"S3, of parts":     {"x-amz-checksum-sha256: " + in64(sha256.Sum256([]byte(otherFile))) + "-2", ""},
		"content":          {strings.Replace(digest(testkit.PlainFile), "Repr", "Content", 1), ""},
		"content, wrong":   {strings.Replace(digest(otherFile), "Repr", "Content", 1), "Content-Digest"},
		"MD5":              {"Content-MD5: " + base64.StdEncoding.EncodeToString(md5Of(testkit.PlainFile)), ""},
		"MD5, wrong":       {"Content-MD5: " + base64.StdEncoding.EncodeToString(md5Of(otherFile)), "Content-MD5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Over a cut, and over one after which everything starts over.
			for _, resumed := range []string{testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader), testkit.RawFile(testkit.PlainFile, testkit.ETagHeader, tt.header)} {
				got, err := newRawStore(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader, tt.header), 1000)), testkit.Always(resumed)).fetch(t)
				if tt.says != "" {
					require.ErrorContains(t, err, "does not match the server's checksum, "+tt.says)
					continue
				}
				require.NoError(t, err)
				assert.Equal(t, testkit.PlainFile, got)
			}
		})
	}
}

// TestDownloadThousandCuts cuts at random offsets, in servers of every kind. Whatever happens, the file is one of the
// server's, whole, or absent, and an older one at its place stays as it was.
func TestDownloadThousandCuts(t *testing.T) {
	t.Parallel()
	const players = 8
	var mu sync.Mutex
	var total, whole, absent int
	var running sync.WaitGroup
	for player := range players {
		running.Go(func() {
			random := rand.New(rand.NewPCG(20261122, uint64(player)))
			for seen := 0; seen < 1000/players; {
				cuts, ok := cutAtRandom(t, random)
				seen += cuts
				mu.Lock()
				total += cuts
				if ok {
					whole++
				} else {
					absent++
				}
				mu.Unlock()
			}
		})
	}
	running.Wait()
	t.Logf("%d cuts: %d files whole, %d absent", total, whole, absent)
	assert.GreaterOrEqual(t, total, 1000)
	assert.Greater(t, whole, 20)
	assert.Greater(t, absent, 5)
}

// cutAtRandom downloads one file from a server that cuts and may do worse.
func cutAtRandom(t *testing.T, random *rand.Rand) (cuts int, ok bool) {
	t.Helper()
	versions := [2][]byte{make([]byte, 1+random.IntN(64<<10)), nil}
	for i := range versions[0] {
		versions[0][i] = byte(random.Uint32())
	}
	versions[1] = bytes.ToUpper(append([]byte("other"), versions[0]...))
	var (
		most      = 1 + random.IntN(30) // cuts, then no more
		chunks    = random.IntN(3) == 0
		noRange   = random.IntN(6) == 0
		validator = []string{`ETag: "%d"`, `ETag: W/"%d"`, "Last-Modified: Sat, 21 Nov 2026 10:00:0%d GMT", "X-Nothing: %d"}[max(random.IntN(8)-4, 0)]
		changesAt = random.IntN(60) // the cut at which the object changes
	)
	store := newRawStore(t, func(r *http.Request) string {
		version := 0
		if cuts >= changesAt {
			version = 1
		}
		body, header := string(versions[version]), fmt.Sprintf(validator, version)
		from := 0
		if _, value, _ := strings.Cut(header, ": "); !noRange && r.Header.Get("If-Range") == value {
			from = testkit.RangeStart(r)
		}
		var answer string
		left := body[min(from, len(body)):]
		switch {
		case from > 0 && from >= len(body):
			return testkit.RawHTTP("416 Range Not Satisfiable", "", fmt.Sprintf("Content-Range: bytes */%d", len(body)))
		case from > 0:
			answer = testkit.RawRest(body, from, header)
		case chunks:
			answer, left = testkit.RawChunks(body, true, header), fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		default:
			answer = testkit.RawHTTP("200 OK", body, header, "Content-Length: "+strconv.Itoa(len(body)))
		}
		if cuts >= most {
			return answer
		}
		cuts++
		return testkit.CutBody(answer, random.IntN(len(left)))
	})
	path := filepath.Join(t.TempDir(), "v.mp4")
	var old []byte
	var opts []vidu.DownloadOption
	if random.IntN(2) == 0 {
		old, opts = []byte("old"), []vidu.DownloadOption{vidu.WithOverwrite()}
		testkit.WriteOldFile(t, path, "old")
	}
	_, err := newClient(t, store.URL).DownloadFile(t.Context(), finishedTask(store.URL+"/v?sig=secret"), path, opts...)
	got, readErr := os.ReadFile(path)
	testkit.AssertDirOnly(t, filepath.Dir(path), "v.mp4")
	if err != nil {
		assertSecretFree(t, err)
		assert.Equal(t, old == nil, errors.Is(readErr, fs.ErrNotExist))
		assert.Equal(t, old, got)
		return cuts, false
	}
	sums := [][32]byte{sha256.Sum256(versions[0]), sha256.Sum256(versions[1])}
	assert.Contains(t, sums, sha256.Sum256(got))
	return cuts, true
}

// FuzzDownloadHeaders lets a server say anything about a file and about the rest of it. Nothing may panic, go on for
// ever or tell the link.
func FuzzDownloadHeaders(f *testing.F) {
	f.Add(200, `ETag: "one"`, 206, "ETag: \"one\"\r\nContent-Range: bytes 5-9/10", uint8(5))
	f.Add(200, "Last-Modified: x\r\nContent-Length: 10", 200, "", uint8(5))
	f.Add(200, "Content-Length: 10", 416, "Content-Range: bytes */5", uint8(5))
	f.Add(302, "Location: https://%zz/?secret", 302, "Location: /v?secret", uint8(0))
	f.Add(200, "Content-Encoding: gzip", 503, "Retry-After: 1", uint8(9))
	f.Add(200, "x-oss-hash-crc64ecma: 1\r\nRepr-Digest: sha-256=:AA==:", 206, "Content-Range: bytes 0-18446744073709551615/9223372036854775807", uint8(3))
	f.Add(403, "Content-Type: text/html", 404, "", uint8(3))
	f.Fuzz(func(t *testing.T, status1 int, header1 string, status2 int, header2 string, length uint8) {
		synctest.Test(t, func(t *testing.T) { // pauses cost no time
			tries := 0
			client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host == "gateway.example.com" {
					return testkit.Reply(r, 200, `{"state":"success","creations":[{"url":"https://h/fresh?sig=secret"}]}`)
				}
				status, header := status1, header1
				if tries++; tries > 1 {
					status, header = status2, header2
				}
				return inMemory(r, testkit.RawHTTP(fmt.Sprintf("%03d x", status%1000), testkit.MP4File[:min(int(length), len(testkit.MP4File))], header), false)
			}))
			var out bytes.Buffer
			began := time.Now()
			n, err := client.Download(t.Context(), finishedTask("https://h/v?sig=secret"), &out)
			require.Equal(t, int64(out.Len()), n)
			require.LessOrEqual(t, tries, 50)
			require.LessOrEqual(t, time.Since(began), 6*time.Minute)
			if err != nil {
				require.LessOrEqual(t, len(err.Error()), 500)
				require.NotContains(t, err.Error(), "sig=secret")
				return
			}
			require.NotEmpty(t, out.Bytes())
		})
	})
}
