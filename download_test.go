package vidu_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// clip is what simple servers of files have, of no known format.
var clip = append([]byte{0}, bytes.Repeat([]byte("0123456789abcdef"), 8<<10)...)

// fileServer serves clip, if handler is nil, and keeps the requests that it saw.
func fileServer(t *testing.T, handler http.HandlerFunc) (*httptest.Server, *[]*http.Request) {
	t.Helper()
	var seen []*http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r)
		w.Header().Set("Content-Type", "video/mp4") // net/http would take clip for text
		if handler != nil {
			handler(w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(clip)))
		w.Write(clip)
	}))
	t.Cleanup(server.Close)
	return server, &seen
}

// rawStore is a storage and, at another address, the API that renews its links.
type rawStore struct {
	*testkit.Storage
	api     *testkit.Storage
	renewal string // the raw reply to GetTask; "": the task with a fresh link
}

func newStore(t *testing.T, replies ...testkit.RawReply) *rawStore {
	t.Helper()
	s := &rawStore{Storage: testkit.ServeRaw(t, replies...)}
	s.api = testkit.ServeRaw(t, func(*http.Request) string {
		if s.renewal != "" {
			return s.renewal
		}
		return testkit.RawFile(`{"state":"success","creations":[{"url":"` + s.URL + `/fresh?sig=secret2"}]}`)
	})
	return s
}

// task is a task whose video the storage has.
func (s *rawStore) task() *vidu.Task { return finishedTask(s.URL + "/v?sig=secret1") }

// client returns a client of the API.
func (s *rawStore) client(t *testing.T, opts ...vidu.Option) *vidu.Client {
	t.Helper()
	return newClient(t, s.api.URL, opts...)
}

// download downloads into a fresh directory in which nothing but the file may be left, and checks what holds for every
// error and every log.
func (s *rawStore) download(t *testing.T, opts ...vidu.DownloadOption) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "v.mp4")
	log := &testkit.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	n, err := s.client(t, vidu.WithLogger(logger)).DownloadFile(t.Context(), s.task(), path, opts...)
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

func TestDownload_WritesTheVideo(t *testing.T) {
	t.Parallel()
	server, seen := fileServer(t, nil)
	client := newClient(t, server.URL)
	var out bytes.Buffer
	var reports []int64
	n, err := client.Download(t.Context(), finishedTask(server.URL+"/v%20.mp4?sig=a%253Ab;c=d"), &out,
		vidu.WithProgressBytes(func(done, total int64) {
			assert.Equal(t, int64(len(clip)), total)
			reports = append(reports, done)
		}))
	require.NoError(t, err)
	assert.Equal(t, int64(len(clip)), n)
	assert.True(t, bytes.Equal(clip, out.Bytes()))
	assert.IsNonDecreasing(t, reports)
	assert.Equal(t, n, reports[len(reports)-1])

	require.Len(t, *seen, 1)
	r := (*seen)[0]
	assert.Equal(t, "/v%20.mp4?sig=a%253Ab;c=d", r.RequestURI, "a signed link must arrive byte for byte")
	assert.Empty(t, r.Header.Get("Authorization"), "the key must go to no other host")
	assert.Empty(t, r.Header.Get("Cookie"))
	assert.Equal(t, "identity", r.Header.Get("Accept-Encoding"))
}

func TestDownload_OptionsChooseTheLink(t *testing.T) {
	t.Parallel()
	server, seen := fileServer(t, nil)
	client := newClient(t, server.URL)
	for want, opt := range map[string]vidu.DownloadOption{"/v?a&cover": vidu.WithCover(), "/v?a&watermarked": vidu.WithWatermarked()} {
		_, err := client.Download(t.Context(), finishedTask(server.URL+"/v?a"), io.Discard, opt)
		require.NoError(t, err)
		assert.Equal(t, want, (*seen)[len(*seen)-1].RequestURI)
	}
}

func TestDownload_SendsTheLinkAndNothingElse(t *testing.T) {
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
	require.Len(t, heads, 1)
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

// TestDownload_LinkIsRenewed asks the API once for the task, and goes on with its new link.
func TestDownload_LinkIsRenewed(t *testing.T) {
	t.Parallel()
	store := newStore(t,
		testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)),
		testkit.WantRest(t, 1000, `"one"`, testkit.RawHTTP("403 Forbidden", "<Error>secret</Error>")),
		testkit.WantRest(t, 1000, `"one"`, testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader)))
	got, err := store.download(t)
	require.NoError(t, err)
	assert.Equal(t, testkit.PlainFile, got)
	assert.Equal(t, "/fresh?sig=secret2", store.Seen()[2].RequestURI)
	require.Len(t, store.api.Seen(), 1)
	assert.Equal(t, "/vidu/v2/tasks/42/creations", store.api.Seen()[0].RequestURI)
}

func TestDownload_LinkCannotBeRenewed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ renewal, says string }{
		"task is gone":     {testkit.RawHTTP("404 Not Found", `{"code":404,"reason":"TaskNotFound"}`), "HTTP 404 TaskNotFound"},
		"task runs again":  {testkit.RawFile(`{"state":"processing"}`), "is processing, not finished"},
		"task has failed":  {testkit.RawFile(`{"state":"failed","err_code":"AuditSubmitIllegal"}`), "failed: AuditSubmitIllegal"},
		"no link any more": {testkit.RawFile(`{"state":"success","creations":[]}`), "no link to a video"},
		"link is not safe": {testkit.RawFile(`{"state":"success","creations":[{"url":"ftp://h/v?sig=secret3"}]}`), "not an https link"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newStore(t, testkit.Always(testkit.RawHTTP("403 Forbidden", "")))
			store.renewal = tt.renewal
			_, err := store.download(t)
			require.ErrorContains(t, err, "answered HTTP 403: the store does not accept the link; check whether it opens elsewhere; the link could not be renewed: ")
			require.ErrorContains(t, err, tt.says)
			assert.Len(t, store.Seen(), 1)
		})
	}
}

// TestDownload_RefusedByTheStore: the error has what the store said, and why there is no better link.
func TestDownload_RefusedByTheStore(t *testing.T) {
	t.Parallel()
	refused := testkit.RawHTTP("403 Forbidden", "<Error><Code>SignatureDoesNotMatch</Code><StringToSign>secret</StringToSign></Error>")
	for name, tt := range map[string]struct {
		reply, renewal string
		opts           []vidu.Option
		want           vidu.DownloadError
		says           string
		asked, renewed int
	}{
		"refused": {
			refused, "", nil,
			vidu.DownloadError{StatusCode: 403, Code: "SignatureDoesNotMatch"},
			"HTTP 403 SignatureDoesNotMatch: the signature does not fit what was sent: the link was altered, or the HTTP client adds to the request, " +
				"such as an Authorization header; new links asked for: 4", 5, 4,
		},
		"refused, once":         {refused, "", []vidu.Option{vidu.WithMaxAttempts(1)}, vidu.DownloadError{StatusCode: 403, Code: "SignatureDoesNotMatch"}, "new links asked for: 1", 2, 1},
		"a page":                {testkit.RawFile("<html>secret", "Content-Type: video/mp4"), "", nil, vidu.DownloadError{StatusCode: 200}, "HTTP 200: it is a web page, not a video", 5, 4},
		"busy":                  {testkit.RawHTTP("503 Slow Down", ""), "", nil, vidu.DownloadError{StatusCode: 503}, "the store is busy", 5, 0},
		"not allowed":           {testkit.RawHTTP("405 Method Not Allowed", ""), "", nil, vidu.DownloadError{StatusCode: 405}, "answered HTTP 405", 1, 0},
		"the API is down":       {refused, testkit.RawHTTP("503 Unavailable", ""), []vidu.Option{vidu.WithMaxAttempts(2)}, vidu.DownloadError{StatusCode: 403, Code: "SignatureDoesNotMatch"}, "could not be renewed", 5, 8},
		"the API is unsure":     {refused, testkit.RawFile(`{"id":"42","status":"error"}`), nil, vidu.DownloadError{StatusCode: 403, Code: "SignatureDoesNotMatch"}, "whether the task or the query failed", 5, 4},
		"the API knows no task": {refused, testkit.RawHTTP("404 Not Found", ""), nil, vidu.DownloadError{StatusCode: 403, Code: "SignatureDoesNotMatch"}, "could not be renewed", 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newStore(t, testkit.Always(tt.reply))
			store.renewal = tt.renewal
			_, err := store.client(t, tt.opts...).Download(t.Context(), store.task(), io.Discard)
			require.ErrorContains(t, err, tt.says)
			assertSecretFree(t, err)
			refusal, ok := errors.AsType[*vidu.DownloadError](err)
			require.True(t, ok, "%v", err)
			testkit.AssertHarmless(t, refusal)
			assert.Equal(t, tt.want.StatusCode, refusal.StatusCode)
			assert.Equal(t, tt.want.Code, refusal.Code)
			assert.Equal(t, strings.TrimPrefix(store.URL, "http://"), refusal.Host)
			require.ErrorContains(t, refusal, "vidu: "+refusal.Host+" answered HTTP")
			assert.Len(t, store.Seen(), tt.asked)
			assert.Len(t, store.api.Seen(), tt.renewed)
			_, isAPI := errors.AsType[*vidu.APIError](err)
			assert.Equal(t, strings.HasPrefix(name, "the API is down") || strings.HasPrefix(name, "the API knows"), isAPI, "its error is in the chain")
		})
	}
}

func TestDownloadError_IsOneLine(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]*vidu.DownloadError{
		"vidu: h answered HTTP 404 NoSuchKey: vidu is down": {StatusCode: 404, Code: "NoSuchKey", Host: "h", Err: errors.New("vidu: vidu is\ndown")},
		"vidu: h:1 answered HTTP 403":                       {StatusCode: 403, Host: "h:1"},
		"vidu:  answered HTTP 0 a b":                        {Code: "a\nb"},
	} {
		require.EqualError(t, err, want)
		assert.Equal(t, err.Err, errors.Unwrap(err))
	}
	long := &vidu.DownloadError{Host: strings.Repeat("h", 1000), Code: strings.Repeat("c", 1000), Err: errors.New(strings.Repeat("e", 1000))}
	assert.LessOrEqual(t, len(long.Error()), 500)
}

// TestDownload_StoreIsBehind: a link that the task still has is tried again, after pauses.
func TestDownload_StoreIsBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		client := newClient(t, someHost, vidu.WithBackoff(func(retry int) time.Duration { return time.Duration(retry) * time.Second }),
			withTransport(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host != "cdn.example.com" {
					return testkit.Reply(r, 200, `{"state":"success","creations":[{"url":"https://cdn.example.com/v?sig=secret"}]}`)
				}
				if tries++; tries < 4 {
					return testkit.Reply(r, 400, `{"code":"video_not_ready"}`)
				}
				return testkit.Reply(r, 200, testkit.MP4File)
			}))
		var out bytes.Buffer
		began := time.Now()
		_, err := client.Download(t.Context(), finishedTask("https://cdn.example.com/v?sig=secret"), &out)
		require.NoError(t, err)
		assert.Equal(t, testkit.MP4File, out.String())
		assert.Equal(t, (1+2+3)*time.Second, time.Since(began))
	})
}

// TestDownload_LinksAreRepaired where their author's meaning is clear; every other byte is sent as it is.
func TestDownload_LinksAreRepaired(t *testing.T) {
	t.Parallel()
	for link, want := range map[string]string{
		"/v 1.mp4?sig=a b": "/v%201.mp4?sig=a%20b", "/v?a\n": "/v?a", " \t/v?a \r\n": "/v?a", "/v?a+b%20c&d=%2B;e": "/v?a+b%20c&d=%2B;e", "/v?a  b": "/v?a%20%20b",
	} {
		t.Run(link, func(t *testing.T) {
			t.Parallel()
			store := newStore(t, testkit.Always(testkit.RawHTTP("302 Found", "", "Location: /moved to/v?sig=a b")), testkit.Always(testkit.RawFile(testkit.PlainFile)))
			blanks := link[:len(link)-len(strings.TrimLeft(link, " \t"))]
			_, err := store.client(t).Download(t.Context(), finishedTask(blanks+store.URL+strings.TrimLeft(link, " \t")), io.Discard)
			require.NoError(t, err)
			assert.Equal(t, want, store.Seen()[0].RequestURI)
			assert.Equal(t, "/moved%20to/v?sig=a%20b", store.Seen()[1].RequestURI)
		})
	}
}

func TestDownload_WriterFails(t *testing.T) {
	t.Parallel()
	server, _ := fileServer(t, nil)
	full := errors.New("no space left")
	_, err := newClient(t, server.URL).Download(t.Context(), finishedTask(server.URL+"/v?a"), failingWriter{full})
	require.ErrorIs(t, err, full)
	_, err = newClient(t, server.URL).Download(t.Context(), finishedTask(server.URL+"/v?a"), shortWriter{})
	require.ErrorIs(t, err, io.ErrShortWrite)
	_, err = newClient(t, server.URL).Download(t.Context(), finishedTask(server.URL+"/v?a"), nil)
	require.ErrorContains(t, err, "the writer is nil")
}

// shortWriter breaks the contract of io.Writer.
type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return len(p) / 2, nil }

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

// TestDownload_WriterIsNotStartedOver: the error and the count say what the writer has.
func TestDownload_WriterIsNotStartedOver(t *testing.T) {
	t.Parallel()
	store := newStore(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile), 1000)))
	var out bytes.Buffer
	n, err := store.client(t).Download(t.Context(), store.task(), &out)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, err, "vidu: download video of task 42: after 1000 bytes: ")
	require.ErrorContains(t, err, "a writer cannot be started over")
	assertSecretFree(t, err)
	assert.Equal(t, int64(1000), n)
	assert.Equal(t, testkit.PlainFile[:1000], out.String(), "nothing is appended blindly")
	assert.Len(t, store.Seen(), 1)
}

// TestDownload_MaxBytes: 2 GiB unless another limit makes sense.
func TestDownload_MaxBytes(t *testing.T) {
	t.Parallel()
	size := int64(len(testkit.PlainFile))
	for name, tt := range map[string]struct {
		reply string
		limit int64
		says  string
	}{
		"announced":   {testkit.RawFile(testkit.PlainFile), size - 1, "more than the limit of 16383"},
		"unannounced": {testkit.RawChunks(testkit.PlainFile, true), size - 1, "more than 16383 bytes"},
		"just right":  {testkit.RawFile(testkit.PlainFile), size, ""},
		"not a limit": {testkit.RawFile(testkit.PlainFile), 0, ""},
		"negative":    {testkit.RawFile(testkit.PlainFile), -1, ""},
		"the default": {testkit.RawHTTP("200 OK", testkit.PlainFile, "Content-Length: 2147483649"), 0, "2147483649 bytes, more than the limit of 2147483648"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newStore(t, testkit.Always(tt.reply)).download(t, vidu.WithMaxBytes(tt.limit))
			if tt.says != "" {
				require.ErrorContains(t, err, tt.says)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, testkit.PlainFile, got)
		})
	}
}

// TestDownload_KindsOfFiles: a video must end as an MP4 does, a cover as an image does.
func TestDownload_KindsOfFiles(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		file string
		opts []vidu.DownloadOption
	}{
		"video":                {testkit.MP4File, nil},
		"watermarked":          {testkit.MP4File, []vidu.DownloadOption{vidu.WithWatermarked()}},
		"cover, JPEG":          {string(testkit.JPEG(t, 64, 64)), []vidu.DownloadOption{vidu.WithCover()}},
		"cover, PNG":           {string(testkit.PNG(t, 64, 64)), []vidu.DownloadOption{vidu.WithCover()}},
		"cover, WebP":          {string(testkit.ReadTestdata(t, "lossy.webp")), []vidu.DownloadOption{vidu.WithCover()}},
		"cover, extended WebP": {string(testkit.ReadTestdata(t, "extended.webp")), []vidu.DownloadOption{vidu.WithCover()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newStore(t, testkit.Always(testkit.RawChunks(tt.file, true))).download(t, tt.opts...)
			require.NoError(t, err)
			assert.Equal(t, tt.file, got)
			for _, n := range []int{1, 7, 11, 12, len(tt.file) / 2, len(tt.file) - 1} {
				_, err = newStore(t, testkit.Always(testkit.RawChunks(tt.file[:n], true))).download(t, tt.opts...)
				require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d bytes", n)
			}
		})
	}
}

// TestDownload_RedirectToWhatIsNoLink: the target is checked like a link.
func TestDownload_RedirectToWhatIsNoLink(t *testing.T) {
	t.Parallel()
	for location, says := range map[string]string{
		"ftp://h/v?sig=secret":            "ftp://h/v is not an https link",
		"http://example.com/v?sig=secret": "http://example.com/v is not an https link",
		"https://user:secret@h/v":         "https://h/v is not an https link without a user name",
		"https://h h/v?sig=secret":        "redirects without a valid Location",
		"https://%zz/v?sig=secret":        "redirects without a valid Location",
	} {
		store := newStore(t, testkit.Always(testkit.RawHTTP("302 Found", "", "Location: "+location)))
		_, err := store.download(t)
		require.ErrorContains(t, err, says)
	}
}

func TestDownload_TransportFailures(t *testing.T) {
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

// TestDownload_MaxAttempts: 1 turns further tries off. Any other number does not count tries, for those that bring
// something are free.
func TestDownload_MaxAttempts(t *testing.T) {
	t.Parallel()
	failures := map[string]testkit.RawReply{
		"503": testkit.Always(testkit.RawHTTP("503 Slow Down", "")),
		"cut": testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)),
	}
	for name, failure := range failures {
		for attempts, want := range map[int]int{1: 1, 2: 5, 10: 5} {
			t.Run(fmt.Sprint(name, attempts), func(t *testing.T) {
				t.Parallel()
				store := newStore(t, failure, testkit.Always(testkit.RawHTTP("503 Slow Down", "")))
				if name == "cut" && attempts > 1 {
					want++ // the first brought something
				}
				_, err := store.client(t, vidu.WithMaxAttempts(attempts)).Download(t.Context(), store.task(), io.Discard)
				require.Error(t, err)
				assert.Len(t, store.Seen(), want)
			})
		}
	}
	t.Run("the same link is one", func(t *testing.T) {
		t.Parallel()
		store := newStore(t, testkit.Always(testkit.RawHTTP("403 Forbidden", "")))
		store.renewal = testkit.RawFile(`{"state":"success","creations":[{"url":"` + store.URL + `/v?sig=secret1"}]}`)
		_, err := store.client(t, vidu.WithMaxAttempts(1)).Download(t.Context(), store.task(), io.Discard)
		require.Error(t, err)
		assert.Len(t, store.Seen(), 1)
	})
	t.Run("a new link is no further try", func(t *testing.T) {
		t.Parallel()
		store := newStore(t, testkit.Always(testkit.RawHTTP("403 Forbidden", "")), testkit.Always(testkit.RawFile(testkit.PlainFile)))
		_, err := store.client(t, vidu.WithMaxAttempts(1)).Download(t.Context(), store.task(), io.Discard)
		require.NoError(t, err)
		assert.Len(t, store.Seen(), 2)
	})
}

// TestDownload_LogsEachAttempt at Debug, without the query.
func TestDownload_LogsEachAttempt(t *testing.T) {
	t.Parallel()
	store := newStore(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)), testkit.Always(testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader)))
	log := &testkit.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	_, err := store.client(t, vidu.WithLogger(logger)).Download(t.Context(), store.task(), io.Discard)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 2)
	for i, attempt := range []string{"attempt=1 from=0 to=1000", "attempt=2 from=1000 to=16384"} {
		assert.Regexp(t, `level=DEBUG msg="vidu: download" method=GET url=`+store.URL+`/v status=20[06] duration=\S+ `+attempt+`$`, lines[i])
	}
}

// TestDownload_LoggerPanics: it costs no download.
func TestDownload_LoggerPanics(t *testing.T) {
	t.Parallel()
	store := newStore(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000)), testkit.Always(testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader)))
	logged := 0
	logger := slog.New(testkit.LogHook{Hook: func() {
		logged++
		panic("boom") //nolint:forbidigo // the point
	}})
	n, err := store.client(t, vidu.WithLogger(logger)).Download(t.Context(), store.task(), io.Discard)
	require.NoError(t, err)
	assert.Equal(t, int64(len(testkit.PlainFile)), n)
	assert.Equal(t, 2, logged)
}

// downloadsFrom lets every download of client end in memory, at serve.
func downloadsFrom(t *testing.T, client *vidu.Client, serve func(conn net.Conn)) *http.Transport {
	t.Helper()
	_, _, downloads := client.Transports()
	transport, ok := downloads.Transport.(*http.Transport)
	require.True(t, ok)
	transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			serve(theirs)
		}()
		return ours, nil
	}
	return transport
}

// TestDownload_ManyDoNotWaitForEachOther: one more than the connections that reads may have, and no byte before all
// have asked.
func TestDownload_ManyDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, "http://127.0.0.1")
		_, reads, _ := client.Transports()
		bound := reads.Transport.(*http.Transport).MaxConnsPerHost
		require.Positive(t, bound)
		var asked atomic.Int64
		all := make(chan struct{})
		transport := downloadsFrom(t, client, func(conn net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
				return
			}
			if asked.Add(1) == int64(bound+1) {
				close(all)
			}
			<-all
			io.WriteString(conn, testkit.RawFile(testkit.PlainFile))
		})
		assert.Positive(t, transport.MaxIdleConnsPerHost, "what is kept stays bounded")
		began := time.Now()
		var running sync.WaitGroup
		for range bound + 1 {
			running.Go(func() {
				_, err := client.Download(t.Context(), finishedTask("http://127.0.0.1/v?a"), io.Discard)
				assert.NoError(t, err)
			})
		}
		running.Wait()
		assert.Zero(t, time.Since(began))
		assert.Equal(t, int64(bound+1), asked.Load())
	})
}

// TestDownload_HTTP2AbandonedForEver: without the guard net/http would repeat each try eight times or for ever.
func TestDownload_HTTP2AbandonedForEver(t *testing.T) {
	t.Parallel()
	for name, do := range testkit.H2Refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // net/http pauses for seconds between its repetitions
				config, pool := testkit.Certificate(t, testkit.FarFuture, "cdn.example.com")
				config.NextProtos = []string{"h2"}
				w := &testkit.Server{}
				tries := 0
				client := newClient(t, someHost, vidu.WithBackoff(func(int) time.Duration { tries++; return 0 }))
				transport := downloadsFrom(t, client, func(conn net.Conn) {
					out := testkit.NewBufferedConn(conn)
					defer out.Close()
					testkit.ServeH2(w, tls.Server(out, config), do)
				})
				transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, NextProtos: []string{"h2"}}
				_, err := client.Download(t.Context(), finishedTask("https://cdn.example.com/v?sig=secret"), io.Discard)
				require.Error(t, err)
				assertSecretFree(t, err)
				assert.Equal(t, 4, tries, "pauses between five tries")
				assert.LessOrEqual(t, w.Requests.Load(), int64(5*4))
				assert.GreaterOrEqual(t, w.Requests.Load(), int64(5))
				synctest.Wait() // until the connection is idle, for only then it can be closed
				transport.CloseIdleConnections()
			})
		})
	}
}

// TestDownload_TransportRepeatsForEver: one that asks for a connection again and again is stopped, and each try counts.
func TestDownload_TransportRepeatsForEver(t *testing.T) {
	t.Parallel()
	tries, connections := 0, 0
	client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
		tries++
		for trace := httptrace.ContextClientTrace(r.Context()); r.Context().Err() == nil && connections < 1000; connections++ {
			trace.GetConn("h:443")
		}
		return nil, r.Context().Err()
	}))
	_, err := client.Download(t.Context(), finishedTask("https://h/v?sig=secret"), io.Discard)
	require.ErrorContains(t, err, "the HTTP transport retried the request by itself and was stopped")
	require.NotErrorIs(t, err, context.Canceled, "nobody did")
	assertSecretFree(t, err)
	assert.Equal(t, 5, tries)
	assert.Equal(t, 5*5, connections, "four in each try, and the one that is too many")
}

// TestDownload_GuardEndsWithTheTry, not with the answer: the body comes later. And it does end.
func TestDownload_GuardEndsWithTheTry(t *testing.T) {
	t.Parallel()
	var sent context.Context
	client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
		sent = r.Context()
		resp, err := testkit.Reply(r, http.StatusOK, testkit.PlainFile)
		resp.Body = io.NopCloser(io.MultiReader(contextReader{sent}, resp.Body))
		return resp, err
	}))
	_, err := client.Download(t.Context(), finishedTask("https://h/v?a"), io.Discard)
	require.NoError(t, err)
	require.Error(t, sent.Err())
}

// contextReader is an empty reader that fails once its context has ended.
type contextReader struct{ ctx context.Context } //nolint:containedctx // of the request

func (c contextReader) Read([]byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

// TestDownload_SignedQueryIsNeverShown: rawStore.download looks for it in every error and log; here are the rest.
func TestDownload_SignedQueryIsNeverShown(t *testing.T) {
	t.Parallel()
	dead := newStore(t, testkit.Always(""))
	for name, link := range map[string]string{
		"nothing answers": dead.URL + "/v?sig=secret", "not a URL": "https://h/v?sig=secret\x7f", "space": "https://h h/v?sig=secret x",
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

func TestDownload_EchoedKeyIsMasked(t *testing.T) {
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

// A transport may quote a query, or a value of it, by itself, in the spelling of its own. What callers ask of an error
// they still find.
func TestDownload_BareQueryIsMasked(t *testing.T) {
	t.Parallel()
	errTheirs := errors.New("theirs")
	const link = "https://h/v.mp4?X-Amz-Signature=ab%2Bcd%2Fsecret&Expires=99990000000&e=secret-token"
	for name, text := range map[string]string{
		"the query": "bad query X-Amz-Signature=ab%2Bcd%2Fsecret&Expires=99990000000&e=secret-token", "a pair": "bad pair X-Amz-Signature=ab%2Bcd%2Fsecret",
		"a value": "signature ab%2Bcd%2Fsecret does not match", "a value, decoded": "signature ab+cd/secret does not match",
		"a value, JSON": `{"sig":"ab\u002bcd\/secret"}`, "another value": "token secret-token", "the link": "cannot get " + link, "quoted": `Get "` + link + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, target := range []string{link, "https://h/redirect"} {
				for what, cause := range map[string]error{"theirs": errTheirs, "reset": syscall.ECONNRESET, "nested": fmt.Errorf("%s: %w", text, errTheirs)} {
					tries := 0
					client := newClient(t, someHost, vidu.WithMaxAttempts(1), withTransport(func(r *http.Request) (*http.Response, error) {
						tries++
						if r.URL.Path == "/redirect" {
							resp, err := testkit.Reply(r, 302, "")
							resp.Header.Set("Location", link)
							return resp, err
						}
						return nil, fmt.Errorf("%s: %w", text, &net.OpError{Op: "read", Net: "tcp", Err: cause})
					}))
					_, err := client.Download(t.Context(), finishedTask(target), io.Discard)
					assertSecretFree(t, err)
					assert.NotContains(t, err.Error(), "ab+cd")
					assert.NotContains(t, err.Error(), "ab%2Bcd")
					assert.NotContains(t, err.Error(), "99990000000")
					_, ok := errors.AsType[*net.OpError](err)
					assert.True(t, ok, "%s, %v", what, err)
					assert.Equal(t, what != "reset", errors.Is(err, errTheirs), what)
					assert.Equal(t, what == "reset", errors.Is(err, syscall.ECONNRESET), what)
					assert.Positive(t, tries)
				}
			}
		})
	}
}

func TestDownload_UnusableLinks(t *testing.T) {
	t.Parallel()
	each(t, map[string]string{
		"words": "soon", "script": "javascript:alert(1)", "file": "file:///etc/passwd", "http": "http://cdn.example.com/v.mp4",
		"user": "https://user:secret@cdn.example.com/v.mp4", "no host": "https:///v.mp4", "data": "data:video/mp4;base64,AAAA", "relative": "/v.mp4",
	}, func(t *testing.T, link string) {
		t.Helper()
		r := newRig(t, someHost, withTransport(func(req *http.Request) (*http.Response, error) { return testkit.Reply(req, 200, "video") }))
		n, err := r.Download(t.Context(), finishedTask(link), io.Discard)
		assertNotCreated(t, err)
		assert.NotContains(t, err.Error(), "secret")
		assert.Zero(t, n)
	})
}
