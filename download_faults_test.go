package vidu_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
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
)

// rawAnswer is what one connection gets, to the byte; then it is closed.
type rawAnswer func(r *http.Request) string

// rawStore is a storage of raw answers, one a request, the last one for ever. It is also the API that renews links.
type rawStore struct {
	*wire

	mu      sync.Mutex
	links   []*http.Request // for files
	asked   int             // for the task
	renewal string          // raw; "": the task with a fresh link
}

func newRawStore(t *testing.T, answers ...rawAnswer) *rawStore {
	t.Helper()
	s := &rawStore{}
	s.wire = newWire(t, nil, func(_ *wire, conn net.Conn) {
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

func (s *rawStore) answer(r *http.Request, answers []rawAnswer) string {
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
	return wholeFile(`{"state":"success","creations":[{"url":"http://` + r.Host + `/fresh?sig=secret2"}]}`)
}

// fetch downloads into a fresh directory in which nothing but the file may be left, and checks what holds for every
// failure.
func (s *rawStore) fetch(t *testing.T, opts ...vidu.DownloadOption) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "v.mp4")
	log := &lockedBuffer{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	n, err := dial(t, s.URL, vidu.WithLogger(logger)).DownloadFile(t.Context(), finished(s.URL+"/v?sig=secret1"), path, opts...)
	got, _ := os.ReadFile(path)
	assert.Len(t, got, int(n))
	if err != nil {
		assertSecretFree(t, err)
		assertEmpty(t, filepath.Dir(path))
	}
	assertOnly(t, filepath.Dir(path), "v.mp4")
	assert.NotContains(t, log.String(), "secret")
	assert.NotContains(t, log.String(), testKey)
	return string(got), err
}

// lockedBuffer is a log that several goroutines may write.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// assertSecretFree looks into the whole tree of errors for the queries of signed links.
func assertSecretFree(t *testing.T, err error) {
	t.Helper()
	assertHarmless(t, err)
	for queue := []error{err}; len(queue) > 0; queue = queue[1:] {
		assert.NotContains(t, queue[0].Error(), "secret")
		switch e := queue[0].(type) { //nolint:errorlint // it walks the tree itself
		case interface{ Unwrap() error }:
			if inner := e.Unwrap(); inner != nil {
				queue = append(queue, inner)
			}
		case interface{ Unwrap() []error }:
			queue = append(queue, e.Unwrap()...)
		}
	}
}

// assertOnly makes sure that dir holds nothing but the named file, if that.
func assertOnly(t *testing.T, dir string, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		assert.Equal(t, name, entry.Name())
	}
}

// rawHTTP is an answer with the given status line, header lines and body.
func rawHTTP(status, body string, header ...string) string {
	return "HTTP/1.1 " + status + "\r\n" + strings.Join(append(header, "Connection: close"), "\r\n") + "\r\n\r\n" + body
}

func wholeFile(body string, header ...string) string {
	return rawHTTP("200 OK", body, append(header, "Content-Length: "+strconv.Itoa(len(body)))...)
}

// restOf is a good 206.
func restOf(body string, from int, header ...string) string {
	return rawHTTP("206 Partial Content", body[from:], append(header, "Content-Length: "+strconv.Itoa(len(body)-from),
		fmt.Sprintf("Content-Range: bytes %d-%d/%d", from, len(body)-1, len(body)))...)
}

// inChunks is body in chunks, with or without the last one.
func inChunks(body string, ended bool, header ...string) string {
	text := fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
	if ended {
		text += "0\r\n\r\n"
	}
	return rawHTTP("200 OK", text, append(header, "Transfer-Encoding: chunked")...)
}

// cutAfter leaves n bytes of the body.
func cutAfter(answer string, n int) string { return answer[:strings.Index(answer, "\r\n\r\n")+4+n] }

// always is a rawAnswer that is always the same.
func always(answer string) rawAnswer { return func(*http.Request) string { return answer } }

// offsetOf is where the wanted range begins; 0 when everything is wanted.
func offsetOf(r *http.Request) int {
	text := strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
	from, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return from
}

// writeOld makes a file where a download is going to be.
func writeOld(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Error(err)
	}
}

// wantsRest is a rawAnswer that checks what a resumption asks for.
func wantsRest(t *testing.T, from int, validator, answer string) rawAnswer {
	t.Helper()
	return func(r *http.Request) string {
		assert.Equal(t, fmt.Sprintf("bytes=%d-", from), r.Header.Get("Range"))
		assert.Equal(t, validator, r.Header.Get("If-Range"))
		assert.Equal(t, "identity", r.Header.Get("Accept-Encoding"))
		return answer
	}
}

// wantsWhole is a rawAnswer that checks that everything is asked for.
func wantsWhole(t *testing.T, answer string) rawAnswer {
	t.Helper()
	return func(r *http.Request) string {
		assert.Empty(t, r.Header.Get("Range"))
		assert.Empty(t, r.Header.Get("If-Range"))
		return answer
	}
}

const (
	etagHeader     = `ETag: "one"`
	modifiedHeader = "Last-Modified: Sat, 21 Nov 2026 10:00:00 GMT"
	modifiedDate   = "Sat, 21 Nov 2026 10:00:00 GMT"
)

// plainFile is a file that is no MP4, mp4File one that is: ftyp, moov, mdat.
var (
	plainFile = strings.Repeat("0123456789abcdef", 1<<10)
	mp4File   = mp4Box("ftyp", "isom0000") + mp4Box("moov", strings.Repeat("m", 500)) + mp4Box("free", "") + mp4Box("mdat", plainFile)
)

func mp4Box(name, content string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(8+len(content)))) + name + content
}

func mp4BigBox(name, content string) string {
	size := binary.BigEndian.AppendUint64(nil, uint64(16+len(content)))
	return "\x00\x00\x00\x01" + name + string(size) + content
}

func TestD01_ExpiredLinkIsRenewedOnce(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"403 Forbidden", "404 Not Found", "410 Gone", "400 Bad Request"} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			store := newRawStore(t, always(rawHTTP(status, "<Error>secret</Error>")), always(wholeFile(plainFile)))
			got, err := store.fetch(t)
			require.NoError(t, err)
			assert.Equal(t, plainFile, got)
			assert.Equal(t, 1, store.asked)
			assert.Equal(t, "/fresh?sig=secret2", store.seen()[1].RequestURI)

			never := newRawStore(t, always(rawHTTP(status, "")))
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
		"task is gone":     {rawHTTP("404 Not Found", `{"code":404,"reason":"TaskNotFound"}`), "HTTP 404 TaskNotFound"},
		"no link any more": {wholeFile(`{"state":"success","creations":[]}`), "no link to a video"},
		"link is not safe": {wholeFile(`{"state":"success","creations":[{"url":"ftp://h/v?sig=secret3"}]}`), "not an https link"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newRawStore(t, always(rawHTTP("403 Forbidden", "")))
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
			store := newRawStore(t, always(wholeFile(plainFile)))
			client := dial(t, store.URL)
			_, err := client.Download(t.Context(), finished(store.URL+"/v?"+tt.query), io.Discard)
			require.NoError(t, err)
			want := map[bool]string{true: "/fresh?sig=secret2", false: "/v?" + tt.query}[tt.expired]
			require.Len(t, store.seen(), 1)
			assert.Equal(t, want, store.seen()[0].RequestURI)

			offline := newRawStore(t, always(wholeFile(plainFile)))
			offline.renewal = rawHTTP("404 Not Found", "")
			_, err = dial(t, offline.URL).Download(t.Context(), finished(offline.URL+"/v?"+tt.query), io.Discard)
			require.NoError(t, err, "our clock may be wrong, so the old link gets its chance")
		})
	}
}

// TestD01_ExpiryMidway: the new link goes on where the old one stopped.
func TestD01_ExpiryMidway(t *testing.T) {
	t.Parallel()
	store := newRawStore(t,
		always(cutAfter(wholeFile(plainFile, etagHeader), 1000)),
		wantsRest(t, 1000, `"one"`, rawHTTP("403 Forbidden", "")),
		wantsRest(t, 1000, `"one"`, restOf(plainFile, 1000, etagHeader)))
	got, err := store.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, plainFile, got)
	assert.Equal(t, 1, store.asked)
}

func TestD02_NothingOfOursIsSent(t *testing.T) {
	t.Parallel()
	heads := make(chan string, 1)
	server := newWire(t, nil, func(_ *wire, conn net.Conn) {
		var head strings.Builder
		for r := bufio.NewReader(conn); !strings.HasSuffix(head.String(), "\r\n\r\n"); {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			head.WriteString(line)
		}
		heads <- head.String()
		io.WriteString(conn, wholeFile(plainFile, "Set-Cookie: a=b"))
	})
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: "secret"}})
	client := dial(t, server.URL, vidu.WithHTTPClient(&http.Client{Jar: jar}))
	const link = "/a%2Fb//c+d/%C3%A9;e/v%20(1).mp4?X-Sig=a%253Ab%2f%2F;c=d&e=+&&f?g"
	_, err = client.Download(t.Context(), finished(server.URL+link), io.Discard)
	require.NoError(t, err)
	head := <-heads
	line, fields, _ := strings.Cut(head, "\r\n")
	assert.Equal(t, "GET "+link+" HTTP/1.1", line, "a signed link must arrive byte for byte")
	for field := range strings.SplitSeq(strings.TrimSpace(fields), "\r\n") {
		name, _, _ := strings.Cut(field, ":")
		assert.Contains(t, []string{"Host", "User-Agent", "Accept-Encoding"}, name)
	}
	assert.NotContains(t, head, testKey)
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
						return wholeFile(plainFile)
					}
					return rawHTTP(status, "<html>", fmt.Sprintf("Location: /hop?sig=secret%%253A;%d", hop), "Set-Cookie: a=secret")
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
		store := newRawStore(t, func(*http.Request) string { return rawHTTP("302 Found", "", "Location: "+location) })
		_, err := store.fetch(t)
		require.ErrorContains(t, err, says)
	}
}

func TestD03_RedirectFromHTTPSToHTTP(t *testing.T) {
	t.Parallel()
	plain := newRawStore(t, always(wholeFile(plainFile)))
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", plain.URL+"/v?sig=secret")
		w.WriteHeader(http.StatusFound)
	}))
	t.Cleanup(secure.Close)
	client := dial(t, plain.URL, vidu.WithHTTPClient(secure.Client())) // which may use plain http itself
	_, err := client.Download(t.Context(), finished(secure.URL+"/v?sig=secret"), io.Discard)
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
		io.WriteString(w, plainFile)
	}))
	t.Cleanup(second.Close)
	first := httptest.NewTLSServer(http.RedirectHandler(second.URL+"/v?sig=2", http.StatusTemporaryRedirect))
	t.Cleanup(first.Close)
	client := dial(t, "https://gateway.example.com", vidu.WithHTTPClient(first.Client()))
	n, err := client.Download(t.Context(), finished(first.URL+"/v?sig=1"), io.Discard)
	require.NoError(t, err)
	assert.Equal(t, int64(len(plainFile)), n)
	assert.Len(t, seen, 2, "%v", seen)
}

// cuts are the ways in which a transfer breaks that everybody notices.
var cuts = map[string]func(header ...string) string{
	"D05, length":  func(header ...string) string { return cutAfter(wholeFile(plainFile, header...), 1000) },
	"D06, chunked": func(header ...string) string { return inChunks(plainFile[:1000], false, header...) },
}

func TestD05_D06_CutIsResumed(t *testing.T) {
	t.Parallel()
	for name, broken := range cuts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newRawStore(t, always(broken(etagHeader)), wantsRest(t, 1000, `"one"`, restOf(plainFile, 1000, etagHeader)))
			got, err := store.fetch(t)
			require.NoError(t, err)
			assert.Equal(t, plainFile, got)

			// A writer is resumed just so.
			var out bytes.Buffer
			again := newRawStore(t, always(broken(etagHeader)), wantsRest(t, 1000, `"one"`, restOf(plainFile, 1000, etagHeader)))
			n, err := dial(t, again.URL).Download(t.Context(), finished(again.URL+"/v?a"), &out)
			require.NoError(t, err)
			assert.Equal(t, int64(len(plainFile)), n)
			assert.Equal(t, plainFile, out.String())
		})
	}
}

func TestD05_D06_CutForEver(t *testing.T) {
	t.Parallel()
	for name, broken := range cuts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resumable := newRawStore(t, always(broken(etagHeader)), always(""))
			_, err := resumable.fetch(t)
			require.ErrorIs(t, err, io.EOF)
			assert.Len(t, resumable.seen(), 6, "one try that brought something, five that did not")

			fresh := newRawStore(t, always(broken()))
			_, err = fresh.fetch(t)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			assert.Len(t, fresh.seen(), 6, "starting over to the same place is no progress")

			var out bytes.Buffer
			writer := newRawStore(t, always(broken()))
			n, err := dial(t, writer.URL).Download(t.Context(), finished(writer.URL+"/v?sig=secret"), &out)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.ErrorContains(t, err, "after 1000 bytes: ")
			require.ErrorContains(t, err, "a writer cannot be started over")
			assertSecretFree(t, err)
			assert.Equal(t, int64(1000), n)
			assert.Equal(t, plainFile[:1000], out.String(), "nothing is appended blindly")
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
			return cutAfter(wholeFile(plainFile), 1000)
		}
		return cutAfter(wholeFile(plainFile), 100*tries)
	})
	_, err := store.fetch(t)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Len(t, store.seen(), 6)
}

// TestD05_ProgressCounts: any number of cuts is survived as long as every try brings something.
func TestD05_ProgressCounts(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, func(r *http.Request) string {
		from := offsetOf(r)
		if from == 0 {
			return cutAfter(wholeFile(plainFile, etagHeader), 512)
		}
		return cutAfter(restOf(plainFile, from, etagHeader), min(512, len(plainFile)-from))
	})
	got, err := store.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, plainFile, got)
	assert.Len(t, store.seen(), len(plainFile)/512)
}

func TestD07_SilentlyShortMP4(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(body string, header ...string) string{
		"chunks that end":   func(body string, header ...string) string { return inChunks(body, true, header...) },
		"until the FIN":     func(body string, header ...string) string { return rawHTTP("200 OK", body, header...) },
		"nothing at all":    func(_ string, header ...string) string { return inChunks("", true, header...) },
		"in a box's header": func(_ string, header ...string) string { return inChunks(mp4File[:20], true, header...) },
		"before the mdat": func(_ string, header ...string) string {
			return inChunks(mp4File[:len(mp4File)-len(plainFile)-4], true, header...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{1, 7, 8, 600, len(mp4File) - 1} {
				store := newRawStore(t, always(answer(mp4File[:n], etagHeader)), func(r *http.Request) string {
					from := offsetOf(r)
					if from == 0 {
						assert.Equal(t, "nothing at all", name)
						return wholeFile(mp4File, etagHeader)
					}
					return restOf(mp4File, from, etagHeader)
				})
				got, err := store.fetch(t)
				require.NoError(t, err)
				assert.Equal(t, mp4File, got, "resumed")

				never := newRawStore(t, always(answer(mp4File[:n])))
				_, err = never.fetch(t)
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			}
		})
	}
}

// TestD07_BetweenTwoBoxes: an MP4 without its index or its media has not ended.
func TestD07_BetweenTwoBoxes(t *testing.T) {
	t.Parallel()
	for _, content := range []string{mp4Box("ftyp", "") + mp4Box("mdat", plainFile), mp4Box("ftyp", "") + mp4Box("moov", "m")} {
		_, err := newRawStore(t, always(inChunks(content, true))).fetch(t)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
}

func TestD07_UnknownLengthIsAccepted(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"MP4":                  mp4File,
		"moov behind mdat":     mp4Box("ftyp", "") + mp4Box("mdat", plainFile) + mp4Box("moov", "m"),
		"64-bit sizes":         mp4BigBox("ftyp", "isom") + mp4BigBox("mdat", plainFile) + mp4BigBox("moov", "m"),
		"last box to the end":  mp4Box("ftyp", "") + mp4Box("moov", "m") + "\x00\x00\x00\x00mdat" + plainFile,
		"fragments":            mp4Box("ftyp", "") + mp4Box("moov", "m") + mp4Box("moof", "x") + mp4Box("mdat", "y") + mp4Box("moof", "x") + mp4Box("mdat", "y"),
		"bytes behind the end": mp4File + "\x00\x00\x00\x02junkjunk",
		"zeros behind the end": mp4File + strings.Repeat("\x00", 9),
		"no MP4":               plainFile,
		"short, no MP4":        "twelve bytes",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, answer := range []string{inChunks(content, true), rawHTTP("200 OK", content), wholeFile(content)} {
				got, err := newRawStore(t, always(answer)).fetch(t)
				require.NoError(t, err)
				assert.Equal(t, content, got)
			}
		})
	}
}

// TestD07_CoverIsNoVideo: AVIF and HEIC begin like an MP4 and have no moov.
func TestD07_CoverIsNoVideo(t *testing.T) {
	t.Parallel()
	avif := mp4Box("ftyp", "avif") + mp4Box("meta", "m") + mp4Box("mdat", plainFile)
	got, err := newRawStore(t, always(inChunks(avif, true))).fetch(t, vidu.WithCover())
	require.NoError(t, err)
	assert.Equal(t, avif, got)
}

func TestD08_LengthSmallerThanTheFile(t *testing.T) {
	t.Parallel()
	short := func(body string, n int) string { return rawHTTP("200 OK", body, "Content-Length: "+strconv.Itoa(n)) }
	got, err := newRawStore(t, always(short(plainFile, 1000))).fetch(t)
	require.NoError(t, err)
	assert.Equal(t, plainFile[:1000], got, "exactly what was announced")

	for _, n := range []int{8, 100, 600, len(mp4File) - 1} {
		store := newRawStore(t, always(short(mp4File, n)))
		_, err = store.fetch(t)
		require.ErrorContains(t, err, "incomplete MP4")
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Len(t, store.seen(), 1, "the server is sure, so asking again is pointless")
	}
}

// otherFile has another content and the same length as plainFile.
var otherFile = strings.ToUpper(plainFile)

func TestD09_ObjectChanged(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, always(cutAfter(wholeFile(plainFile, etagHeader), 1000)), wantsRest(t, 1000, `"one"`, wholeFile(otherFile, `ETag: "two"`)))
	got, err := store.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, otherFile, got, "started over")

	short := newRawStore(t, always(cutAfter(wholeFile(mp4File, etagHeader), 1000)), always(wholeFile(mp4File[:len(mp4File)-len(plainFile)-8]+mp4Box("mdat", "x"), `ETag: "two"`)))
	got, err = short.fetch(t)
	require.NoError(t, err)
	assert.Less(t, len(got), 1000, "nothing of the longer file is left")

	// A broken server answers 206 although the object changed.
	for _, header := range [][]string{{`ETag: "two"`}, {`ETag: W/"one"`}, {}} {
		lying := newRawStore(t, always(cutAfter(wholeFile(plainFile, etagHeader), 1000)), always(restOf(otherFile, 1000, header...)), wantsWhole(t, wholeFile(otherFile, header...)))
		got, err = lying.fetch(t)
		require.NoError(t, err)
		assert.Equal(t, otherFile, got)
		assert.Len(t, lying.seen(), 3)
	}
	dated := newRawStore(t, always(cutAfter(wholeFile(plainFile, modifiedHeader), 1000)),
		wantsRest(t, 1000, modifiedDate, restOf(otherFile, 1000, "Last-Modified: Sun, 22 Nov 2026 10:00:00 GMT")), wantsWhole(t, wholeFile(otherFile)))
	got, err = dated.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, otherFile, got)
}

func TestD10_RangeIsIgnored(t *testing.T) {
	t.Parallel()
	answers := []rawAnswer{always(cutAfter(wholeFile(plainFile, etagHeader), 1000)), wantsRest(t, 1000, `"one"`, wholeFile(plainFile, etagHeader))}
	store := newRawStore(t, answers...)
	var reports []int64
	got, err := store.fetch(t, vidu.WithProgressBytes(func(done, _ int64) { reports = append(reports, done) }))
	require.NoError(t, err)
	assert.Equal(t, plainFile, got)
	assert.Equal(t, int64(1000), reports[0])
	assert.Equal(t, int64(len(plainFile)), reports[len(reports)-1])

	var out bytes.Buffer
	writer := newRawStore(t, answers...)
	_, err = dial(t, writer.URL).Download(t.Context(), finished(writer.URL+"/v?a"), &out)
	require.ErrorContains(t, err, "the server cannot resume")
	assert.Equal(t, plainFile[:1000], out.String())
	assertHarmless(t, err)
}

func TestD11_WrongRangeIsRefused(t *testing.T) {
	t.Parallel()
	part := func(contentRange string, header ...string) string {
		return rawHTTP("206 Partial Content", otherFile[1000:], append(header, etagHeader, "Content-Range: "+contentRange, fmt.Sprintf("Content-Length: %d", len(plainFile)-1000))...)
	}
	size := len(plainFile)
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
		"no range":        rawHTTP("206 Partial Content", plainFile, etagHeader),
		"multipart":       rawHTTP("206 Partial Content", "--x\r\n\r\n"+plainFile, etagHeader, "Content-Type: multipart/byteranges; boundary=x"),
		"encoded":         part(fmt.Sprintf("bytes 1000-%d/%d", size-1, size), "Content-Encoding: gzip"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newRawStore(t, always(cutAfter(wholeFile(plainFile, etagHeader), 1000)), wantsRest(t, 1000, `"one"`, answer), wantsWhole(t, wholeFile(plainFile, etagHeader)))
			got, err := store.fetch(t)
			if name == "encoded" {
				require.ErrorContains(t, err, "encoded as gzip")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, plainFile, got)
			assert.Len(t, store.seen(), 3)
		})
	}
}

func TestD11_UnaskedRange(t *testing.T) {
	t.Parallel()
	_, err := newRawStore(t, always(restOf(plainFile, 0))).fetch(t)
	assert.ErrorContains(t, err, "HTTP 206")
}

// TestD11_ShorterRange: a server may send less than was asked for; the rest is then asked for again.
func TestD11_ShorterRange(t *testing.T) {
	t.Parallel()
	piece := rawHTTP("206 Partial Content", plainFile[1000:3000], etagHeader, fmt.Sprintf("Content-Range: bytes 1000-1999/%d", len(plainFile)))
	store := newRawStore(t, always(cutAfter(wholeFile(plainFile, etagHeader), 1000)), always(piece), wantsRest(t, 2000, `"one"`, restOf(plainFile, 2000, etagHeader)))
	got, err := store.fetch(t)
	require.NoError(t, err)
	assert.Equal(t, plainFile, got)
}

func TestD12_RangeNotSatisfiable(t *testing.T) {
	t.Parallel()
	beyond := func(size string) string {
		return rawHTTP("416 Range Not Satisfiable", "<Error/>", "Content-Range: bytes */"+size)
	}
	size := strconv.Itoa(len(plainFile))
	t.Run("the file was whole", func(t *testing.T) {
		t.Parallel()
		store := newRawStore(t, always(inChunks(plainFile, false, etagHeader)), wantsRest(t, len(plainFile), `"one"`, beyond(size)))
		got, err := store.fetch(t)
		require.NoError(t, err)
		assert.Equal(t, plainFile, got)
	})
	t.Run("the server says so, the MP4 does not", func(t *testing.T) {
		t.Parallel()
		_, err := newRawStore(t, always(inChunks(mp4File[:600], false, etagHeader)), always(beyond("600"))).fetch(t)
		require.ErrorContains(t, err, "incomplete MP4")
	})
	t.Run("a length that nobody stated before", func(t *testing.T) {
		t.Parallel()
		for _, size := range []string{"999", "1001"} {
			store := newRawStore(t, always(inChunks(plainFile[:1000], false, etagHeader)), always(beyond(size)), wantsWhole(t, wholeFile(plainFile, etagHeader)))
			got, err := store.fetch(t)
			require.NoError(t, err)
			assert.Equal(t, plainFile, got)
			assert.Len(t, store.seen(), 3)
		}
	})
	for name, answer := range map[string]string{
		"shorter": beyond("10"), "longer": beyond(size + "0"), "unknown": beyond("*"), "not said": rawHTTP("416 Range Not Satisfiable", ""),
		"as long as what came, not as announced": beyond("1000"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newRawStore(t, always(cutAfter(wholeFile(plainFile, etagHeader), 1000)), always(answer), wantsWhole(t, wholeFile(plainFile, etagHeader)))
			got, err := store.fetch(t)
			require.NoError(t, err)
			assert.Equal(t, plainFile, got)

			never := newRawStore(t, always(cutAfter(wholeFile(plainFile, etagHeader), 1000)), always(answer), always(cutAfter(wholeFile(plainFile, etagHeader), 1001)), always(answer))
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
			store := newRawStore(t, always(cutAfter(wholeFile(plainFile, header...), 1000)), wantsWhole(t, wholeFile(plainFile, header...)))
			got, err := store.fetch(t)
			require.NoError(t, err)
			assert.Equal(t, plainFile, got)
		})
	}
	t.Run("a date without a length", func(t *testing.T) {
		t.Parallel()
		got, err := newRawStore(t, always(inChunks(plainFile[:1000], false, modifiedHeader)), wantsWhole(t, wholeFile(plainFile))).fetch(t)
		require.NoError(t, err)
		assert.Equal(t, plainFile, got)
	})
	t.Run("a date with a length", func(t *testing.T) {
		t.Parallel()
		for _, header := range [][]string{{modifiedHeader}, {modifiedHeader, `ETag: W/"one"`}} {
			got, err := newRawStore(t, always(cutAfter(wholeFile(plainFile, header...), 1000)), wantsRest(t, 1000, modifiedDate, restOf(plainFile, 1000))).fetch(t)
			require.NoError(t, err)
			assert.Equal(t, plainFile, got)
		}
	})
}

func TestD14_Encoded(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"gzip", "br", "aws-chunked"} {
		store := newRawStore(t, always(wholeFile(plainFile, "Content-Encoding: "+encoding)))
		_, err := store.fetch(t)
		require.ErrorContains(t, err, "which was not asked for")
		assert.Equal(t, "identity", store.seen()[0].Header.Get("Accept-Encoding"))
		assert.Len(t, store.seen(), 1)
	}
	_, err := newRawStore(t, always(wholeFile(plainFile, "Content-Encoding: identity"))).fetch(t)
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
			store := newRawStore(t, always(wholeFile(`{"error":"maintenance"}`, "Content-Type: "+header)))
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
	size := int64(len(plainFile))
	for name, tt := range map[string]struct {
		answer string
		limit  int64
		says   string
	}{
		"announced":              {wholeFile(plainFile), size - 1, "more than the limit of 16383"},
		"announced, just right":  {wholeFile(plainFile), size, ""},
		"chunked":                {inChunks(plainFile, true), size - 1, "more than 16383 bytes"},
		"chunked, just right":    {inChunks(plainFile, true), size, ""},
		"not a limit":            {wholeFile(plainFile), 0, ""},
		"10 GB":                  {rawHTTP("200 OK", plainFile, "Content-Length: 10000000000"), 0, "more than the limit of 2147483648"},
		"a length that is a lie": {rawHTTP("200 OK", plainFile, "Content-Length: 99999999999999999999"), 0, "bad Content-Length"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newRawStore(t, always(tt.answer)).fetch(t, vidu.WithMaxBytes(tt.limit))
			if tt.says != "" {
				require.ErrorContains(t, err, tt.says)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, plainFile, got)
		})
	}
	t.Run("grown meanwhile", func(t *testing.T) {
		t.Parallel()
		store := newRawStore(t, always(inChunks(plainFile[:1000], false, etagHeader)), always(restOf(plainFile, 1000, etagHeader)))
		_, err := store.fetch(t, vidu.WithMaxBytes(2000))
		require.ErrorContains(t, err, "more than the limit of 2000")
	})
	t.Run("endless", func(t *testing.T) {
		t.Parallel()
		server, _ := fileServer(t, endlessly)
		var out bytes.Buffer
		n, err := dial(t, server.URL).Download(t.Context(), finished(server.URL+"/v?a"), &out, vidu.WithMaxBytes(1<<20))
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
		client := dial(t, "https://gateway.example.com", through(func(r *http.Request) (*http.Response, error) {
			tries++
			switch tries {
			case 1:
				return inMemory(r, cutAfter(wholeFile(plainFile, etagHeader), 1000), true)
			case 2: // not even headers
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			assert.Equal(t, "bytes=1000-", r.Header.Get("Range"))
			return inMemory(r, restOf(plainFile, 1000, etagHeader), false)
		}))
		began := time.Now()
		var out bytes.Buffer
		_, err := client.Download(t.Context(), finished("https://h/v?a"), &out)
		require.NoError(t, err)
		assert.Equal(t, plainFile, out.String())
		assert.Equal(t, time.Minute, time.Since(began))
	})
}

func TestD16_StallsForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		client := dial(t, "https://gateway.example.com", through(func(r *http.Request) (*http.Response, error) {
			tries++
			return inMemory(r, cutAfter(wholeFile(plainFile, etagHeader), 0), true)
		}))
		began := time.Now()
		_, err := client.Download(t.Context(), finished("https://h/v?sig=secret"), io.Discard)
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
	passTime(29 * time.Second)
	if s.ctx.Err() != nil {
		return 0, s.ctx.Err()
	}
	return s.from.Read(p[:min(len(p), 1000)])
}

func (s slowly) Write(p []byte) (int, error) {
	passTime(time.Hour)
	return len(p), nil
}

func passTime(d time.Duration) { <-time.After(d) }

// TestD16_SlowIsNoStall: neither a slow server nor a slow writer is cut off, however long it takes.
func TestD16_SlowIsNoStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		client := dial(t, "https://gateway.example.com", through(func(r *http.Request) (*http.Response, error) {
			tries++
			resp, err := inMemory(r, wholeFile(plainFile), false)
			resp.Body = io.NopCloser(slowly{r.Context(), resp.Body})
			return resp, err
		}))
		n, err := client.Download(t.Context(), finished("https://h/v?a"), slowly{})
		require.NoError(t, err)
		assert.Equal(t, int64(len(plainFile)), n)
		assert.Equal(t, 1, tries)
	})
}

// TestD16_Pauses: the client's backoff and the server's wish set the pauses, the context ends them.
func TestD16_Pauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := []string{
			rawHTTP("503 Slow Down", "", "Retry-After: 7"),                 // 7 s
			rawHTTP("429 Too Many Requests", ""),                           // 2 s
			cutAfter(wholeFile(plainFile, etagHeader), 1000),               // progress: 1 s
			rawHTTP("500 Internal Server Error", "", "Retry-After: 86400"), // capped: 60 s
			restOf(plainFile, 1000, etagHeader),
		}
		tries := 0
		client := dial(t, "https://gateway.example.com", vidu.WithBackoff(func(retry int) time.Duration { return time.Duration(retry) * time.Second }),
			through(func(r *http.Request) (*http.Response, error) {
				tries++
				return inMemory(r, answers[tries-1], false)
			}))
		began := time.Now()
		_, err := client.Download(t.Context(), finished("https://h/v?a"), io.Discard)
		require.NoError(t, err)
		assert.Equal(t, 70*time.Second, time.Since(began))

		tries = 0
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = client.Download(ctx, finished("https://h/v?a"), io.Discard)
		require.ErrorContains(t, err, "HTTP 503")
		assert.Equal(t, 1, tries, "no time is left for the pause")

		tries = 0
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		_, err = client.Download(ctx, finished("https://h/v?a"), io.Discard)
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
			store := newRawStore(t, always(rawHTTP(strconv.Itoa(status)+" x", "")))
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
			client := dial(t, "https://gateway.example.com", through(func(*http.Request) (*http.Response, error) {
				tries++
				return nil, tt.err
			}))
			_, err := client.Download(t.Context(), finished("https://h/v?sig=secret"), io.Discard)
			assertSecretFree(t, err)
			assert.Equal(t, tt.tries, tries)
		})
	}
}

func TestD18_TargetExists(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, always(wholeFile(plainFile)))
	client := dial(t, store.URL)
	path := filepath.Join(t.TempDir(), "v.mp4")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	_, err := client.DownloadFile(t.Context(), finished(store.URL+"/v?a"), path)
	require.ErrorIs(t, err, fs.ErrExist)
	assertHarmless(t, err)
	assert.Empty(t, store.seen(), "found out before the download")
	assertFile(t, path, []byte("old"))

	_, err = client.DownloadFile(t.Context(), finished(store.URL+"/v?a"), path, vidu.WithOverwrite())
	require.NoError(t, err)
	assertFile(t, path, []byte(plainFile))
	assertOnly(t, filepath.Dir(path), "v.mp4")

	failing := newRawStore(t, always(cutAfter(wholeFile(otherFile), 1000)))
	_, err = dial(t, failing.URL).DownloadFile(t.Context(), finished(failing.URL+"/v?a"), path, vidu.WithOverwrite())
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assertFile(t, path, []byte(plainFile))
	assertOnly(t, filepath.Dir(path), "v.mp4")
}

// TestD18_BeatenToTheName is the race that looking first cannot win.
func TestD18_BeatenToTheName(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "v.mp4")
	store := newRawStore(t, func(*http.Request) string {
		writeOld(t, path, "theirs")
		return wholeFile(plainFile)
	})
	_, err := dial(t, store.URL).DownloadFile(t.Context(), finished(store.URL+"/v?a"), path)
	require.ErrorIs(t, err, fs.ErrExist)
	assertHarmless(t, err)
	assertFile(t, path, []byte("theirs"))
	assertOnly(t, filepath.Dir(path), "v.mp4")
}

func TestD19_SymlinkIsReplaced(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, always(wholeFile(plainFile)))
	client := dial(t, store.URL)
	for _, exists := range []bool{true, false} {
		dir := t.TempDir()
		target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
		if exists {
			require.NoError(t, os.WriteFile(target, []byte("old"), 0o600))
		}
		require.NoError(t, os.Symlink(target, link))
		before := len(store.seen())
		_, err := client.DownloadFile(t.Context(), finished(store.URL+"/v?a"), link)
		require.ErrorIs(t, err, fs.ErrExist, "a dangling link exists, too")
		assert.Len(t, store.seen(), before)
		_, err = client.DownloadFile(t.Context(), finished(store.URL+"/v?a"), link, vidu.WithOverwrite())
		require.NoError(t, err)
		assertFile(t, link, []byte(plainFile))
		info, err := os.Lstat(link)
		require.NoError(t, err)
		assert.True(t, info.Mode().IsRegular())
		if exists {
			assertFile(t, target, []byte("old"))
		} else {
			require.NoFileExists(t, target)
		}
	}
}

func TestD19_SymlinkToADirectoryIsReplaced(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, always(wholeFile(plainFile)))
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	require.NoError(t, os.Mkdir(target, 0o700))
	require.NoError(t, os.Symlink(target, link))
	_, err := dial(t, store.URL).DownloadFile(t.Context(), finished(store.URL+"/v?a"), link, vidu.WithOverwrite())
	require.NoError(t, err)
	assertFile(t, link, []byte(plainFile))
	assertOnly(t, target, "")
}

func TestD19_DirectoryAndDevice(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, always(wholeFile(plainFile)))
	client := dial(t, store.URL)
	for _, path := range []string{t.TempDir(), ".", "..", os.DevNull} {
		_, err := client.DownloadFile(t.Context(), finished(store.URL+"/v?a"), path)
		require.Error(t, err, path)
		_, err = client.DownloadFile(t.Context(), finished(store.URL+"/v?a"), path, vidu.WithOverwrite())
		require.ErrorContains(t, err, "not a regular file", path)
	}
	assert.Empty(t, store.seen())
}

// TestD20_NamesAreTheCallers: nothing that a server says becomes part of a name.
func TestD20_NamesAreTheCallers(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, always(wholeFile(plainFile, `Content-Disposition: attachment; filename="../../evil.mp4"`)))
	dir := t.TempDir()
	task := finished(store.URL + "/..%2f..%2fevil.mp4?a")
	task.ID = "../../evil\x00\n"
	path := filepath.Join(dir, "a", "b", "v.mp4")
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	client := dial(t, store.URL)
	_, err := client.DownloadFile(t.Context(), task, path)
	require.NoError(t, err)
	assertFile(t, path, []byte(plainFile))
	assertOnly(t, dir, "a")
	assertOnly(t, filepath.Join(dir, "a"), "b")
	assertOnly(t, filepath.Dir(path), "v.mp4")

	before := len(store.seen())
	for _, name := range []string{"", filepath.Join(dir, "x") + "/", "/", filepath.Join(dir, "NUL\x00.mp4"), filepath.Join(path, "below-a-file")} {
		_, err = client.DownloadFile(t.Context(), finished(store.URL+"/v?a"), name)
		require.Error(t, err, "%q", name)
	}
	assert.Len(t, store.seen(), before, "found out before the download")
	refused := newRawStore(t, always(rawHTTP("403 Forbidden", "")))
	task.Creations = finished(refused.URL + "/v?sig=secret").Creations
	_, err = dial(t, refused.URL).Download(t.Context(), task, io.Discard)
	require.ErrorContains(t, err, "is not a task id")
	assertSecretFree(t, err)
	assert.Zero(t, refused.asked)
}

func TestD21_CancelledMidway(t *testing.T) {
	t.Parallel()
	server, _ := fileServer(t, endlessly)
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := dial(t, server.URL).DownloadFile(ctx, finished(server.URL+"/v?sig=secret"), filepath.Join(dir, "v.mp4"),
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
	assertOnly(t, dir, "")
}

func TestD21_ProgressPanics(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, always(wholeFile(plainFile)))
	dir := t.TempDir()
	assert.PanicsWithValue(t, "stop", func() {
		dial(t, store.URL).DownloadFile(t.Context(), finished(store.URL+"/v?a"), filepath.Join(dir, "v.mp4"), //nolint:errcheck // it panics
			vidu.WithProgressBytes(func(int64, int64) { panic("stop") })) //nolint:forbidigo // that is the point
	})
	assertOnly(t, dir, "")
}

// TestD21_PartsOfTheDead: what a killed process left goes away a day later, and nothing else does.
func TestD21_PartsOfTheDead(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, always(wholeFile(plainFile)))
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
	_, err := dial(t, store.URL).DownloadFile(t.Context(), finished(store.URL+"/v?a"), filepath.Join(dir, "v.mp4"))
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
	contents := []string{plainFile, otherFile}
	var n int
	store := newRawStore(t, func(*http.Request) string {
		n++
		return wholeFile(contents[n%2])
	})
	for _, overwrite := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "v.mp4")
		client := dial(t, store.URL)
		errs := make([]error, 8)
		var running sync.WaitGroup
		for i := range errs {
			running.Go(func() {
				var opts []vidu.DownloadOption
				if overwrite {
					opts = append(opts, vidu.WithOverwrite())
				}
				_, errs[i] = client.DownloadFile(t.Context(), finished(store.URL+"/v?a"), path, opts...)
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
		assertOnly(t, filepath.Dir(path), "v.mp4")
	}
}

// TestD23_SignedQueryIsNeverTold: fetch looks for it in every error and log of these tests; here are the rest.
func TestD23_SignedQueryIsNeverTold(t *testing.T) {
	t.Parallel()
	dead := newRawStore(t, always(""))
	for name, link := range map[string]string{
		"nothing answers": dead.URL + "/v?sig=secret", "not a URL": "https://h/v?sig=secret\x7f", "space": "https://h/v?sig=secret x",
		"refused": "http://127.0.0.1:1/v?sig=secret", "unknown host": "https://host.invalid/v?sig=secret#secret",
		"key, not https": "ftp://h/" + testKey, "user": "https://secret:secret@h/v", "not https": "ftp://h/v?secret", "the key": dead.URL + "/" + testKey + "?sig=secret",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := dial(t, dead.URL).Download(t.Context(), finished(link), io.Discard)
			require.Error(t, err)
			assertSecretFree(t, err)
			assert.NotContains(t, fmt.Sprintf("%+v %#v", err, err), "secret")
		})
	}
}

func TestD23_EchoedKeyIsMasked(t *testing.T) {
	t.Parallel()
	client := dial(t, "https://gateway.example.com", through(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("proxy says " + testKey)
	}))
	_, err := client.Download(t.Context(), finished("https://h/v?a"), io.Discard)
	assertSecretFree(t, err)
	require.ErrorContains(t, err, "[redacted]")
	for ; err != nil; err = errors.Unwrap(err) {
		assert.NotContains(t, err.Error(), testKey)
	}
}

func TestD24_NameTooLong(t *testing.T) {
	t.Parallel()
	store := newRawStore(t, always(wholeFile(plainFile)))
	client, dir := dial(t, store.URL), t.TempDir()
	_, err := client.DownloadFile(t.Context(), finished(store.URL+"/v?a"), filepath.Join(dir, strings.Repeat("n", 256)))
	require.Error(t, err)
	assert.LessOrEqual(t, len(err.Error()), 600)
	_, err = client.DownloadFile(t.Context(), finished(store.URL+"/v?a"), filepath.Join(dir, "none", "v.mp4"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.Empty(t, store.seen(), "found out before the download")
	longest := filepath.Join(dir, strings.Repeat("n", 255))
	_, err = client.DownloadFile(t.Context(), finished(store.URL+"/v?a"), longest)
	require.NoError(t, err, "the temporary name is no longer than the real one")
	assertFile(t, longest, []byte(plainFile))
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
		"OSS":              {crc(plainFile), ""},
		"OSS, wrong":       {crc(otherFile), "x-oss-hash-crc64ecma"},
		"digest":           {digest(plainFile), ""},
		"digest, wrong":    {digest(otherFile), "Repr-Digest"},
		"digest, unknown":  {"Repr-Digest: sha-512=:AA==:", ""},
		"digest, nonsense": {"Repr-Digest: sha-256=:!!:, sha-256", ""},
		"OSS, nonsense":    {"x-oss-hash-crc64ecma: ?", ""},
		"COS, wrong":       {strings.Replace(crc(otherFile), "oss", "cos", 1), "x-cos-hash-crc64ecma"},
		"TOS, wrong":       {strings.Replace(crc(otherFile), "oss", "tos", 1), "x-tos-hash-crc64ecma"},
		"S3, wrong":        {"x-amz-checksum-sha256: " + in64(sha256.Sum256([]byte(otherFile))), "x-amz-checksum-sha256"},
		"S3":               {"x-amz-checksum-sha256: " + in64(sha256.Sum256([]byte(plainFile))), ""},
		"S3, of parts":     {"x-amz-checksum-sha256: " + in64(sha256.Sum256([]byte(otherFile))) + "-2", ""},
		"content":          {strings.Replace(digest(plainFile), "Repr", "Content", 1), ""},
		"content, wrong":   {strings.Replace(digest(otherFile), "Repr", "Content", 1), "Content-Digest"},
		"MD5":              {"Content-MD5: " + base64.StdEncoding.EncodeToString(md5Of(plainFile)), ""},
		"MD5, wrong":       {"Content-MD5: " + base64.StdEncoding.EncodeToString(md5Of(otherFile)), "Content-MD5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Over a cut, and over one after which everything starts over.
			for _, resumed := range []string{restOf(plainFile, 1000, etagHeader), wholeFile(plainFile, etagHeader, tt.header)} {
				got, err := newRawStore(t, always(cutAfter(wholeFile(plainFile, etagHeader, tt.header), 1000)), always(resumed)).fetch(t)
				if tt.says != "" {
					require.ErrorContains(t, err, "does not match the server's checksum, "+tt.says)
					continue
				}
				require.NoError(t, err)
				assert.Equal(t, plainFile, got)
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
			from = offsetOf(r)
		}
		var answer string
		left := body[min(from, len(body)):]
		switch {
		case from > 0 && from >= len(body):
			return rawHTTP("416 Range Not Satisfiable", "", fmt.Sprintf("Content-Range: bytes */%d", len(body)))
		case from > 0:
			answer = restOf(body, from, header)
		case chunks:
			answer, left = inChunks(body, true, header), fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		default:
			answer = rawHTTP("200 OK", body, header, "Content-Length: "+strconv.Itoa(len(body)))
		}
		if cuts >= most {
			return answer
		}
		cuts++
		return cutAfter(answer, random.IntN(len(left)))
	})
	path := filepath.Join(t.TempDir(), "v.mp4")
	var old []byte
	var opts []vidu.DownloadOption
	if random.IntN(2) == 0 {
		old, opts = []byte("old"), []vidu.DownloadOption{vidu.WithOverwrite()}
		writeOld(t, path, "old")
	}
	_, err := dial(t, store.URL).DownloadFile(t.Context(), finished(store.URL+"/v?sig=secret"), path, opts...)
	got, readErr := os.ReadFile(path)
	assertOnly(t, filepath.Dir(path), "v.mp4")
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
			client := dial(t, "https://gateway.example.com", through(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host == "gateway.example.com" {
					return reply(r, 200, `{"state":"success","creations":[{"url":"https://h/fresh?sig=secret"}]}`)
				}
				status, header := status1, header1
				if tries++; tries > 1 {
					status, header = status2, header2
				}
				return inMemory(r, rawHTTP(fmt.Sprintf("%03d x", status%1000), mp4File[:min(int(length), len(mp4File))], header), false)
			}))
			var out bytes.Buffer
			began := time.Now()
			n, err := client.Download(t.Context(), finished("https://h/v?sig=secret"), &out)
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
