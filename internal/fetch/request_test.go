package fetch_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/fetch"
	"github.com/vidu-go/vidu/internal/testkit"
)

// TestRun_SendsTheLinkByteForByte, with the policy's header and Range and nothing else, and leaves the policy as it is.
func TestRun_SendsTheLinkByteForByte(t *testing.T) {
	t.Parallel()
	heads := make(chan string, 2)
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
		if strings.Contains(head.String(), "Range") {
			io.WriteString(conn, testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader))
			return
		}
		io.WriteString(conn, testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader), 1000))
	})
	const link = "/a%2Fb//c+d/%C3%A9;e/v%20(1).mp4?X-Sig=a%253Ab%2f%2F;c=d&e=+&&f?g"
	var used *fetch.Policy
	_, err := download(t.Context(), t, server.URL+link, io.Discard, func(p *fetch.Policy, _ *fetch.Job) { used = p })
	require.NoError(t, err)
	require.Len(t, heads, 2)
	for _, fields := range []string{
		"Accept-Encoding: identity\r\nUser-Agent: test\r\n",
		"Accept-Encoding: identity\r\nIf-Range: \"one\"\r\nRange: bytes=1000-\r\nUser-Agent: test\r\n",
	} {
		line, rest, _ := strings.Cut(<-heads, "\r\n")
		assert.Equal(t, "GET "+link+" HTTP/1.1", line)
		sent := strings.SplitAfter(strings.TrimSuffix(rest, "\r\n"), "\r\n")
		assert.ElementsMatch(t, append(strings.SplitAfter(fields, "\r\n"), "Host: "+strings.TrimPrefix(server.URL, "http://")+"\r\n"), sent)
	}
	assert.Len(t, used.Header, 2, "it is shared by all downloads")
}

func TestRun_Redirects(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		hops int
		says string
	}{"five": {5, ""}, "six": {6, "more than 5 redirects"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, status := range []string{"301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"} {
				hop := 0
				store := newStorage(t, func(r *http.Request) string {
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
				assert.Equal(t, "/hop?sig=secret%253A;5", store.Seen()[5].RequestURI)
				for _, r := range store.Seen() {
					assert.Len(t, r.Header, 2, "%v", r.Header) // Accept-Encoding and User-Agent: no cookie, no referer
				}
			}
		})
	}
}

func TestRun_RedirectsThatAreNotFollowed(t *testing.T) {
	t.Parallel()
	for location, says := range map[string]string{
		"ftp://h/v?sig=secret":       "unwanted link",
		"https://user:secret@h/v":    "unwanted link",
		"":                           "redirects without a valid Location",
		"https://%zz/v?sig=secret":   "failed to parse Location",
		"https://%zz/v?sig=a secret": "failed to parse Location",
		"https://h h/v?sig=a secret": "failed to parse Location",
	} {
		store := newStorage(t, func(*http.Request) string { return testkit.RawHTTP("302 Found", "", "Location: "+location) })
		_, err := store.fetch(t)
		require.ErrorContains(t, err, says)
	}
}

func TestRun_RedirectFromHTTPSToHTTP(t *testing.T) {
	t.Parallel()
	plain := newStorage(t, testkit.Always(testkit.RawFile(testkit.PlainFile)))
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", plain.URL+"/v?sig=secret")
		w.WriteHeader(http.StatusFound)
	}))
	t.Cleanup(secure.Close)
	_, err := download(t.Context(), t, secure.URL+"/v?sig=secret", io.Discard, over(secure.Client())) // plain http itself is fine
	require.ErrorContains(t, err, "which is not an https link")
	assert.Empty(t, plain.Seen())
}

func TestRun_RedirectBetweenHTTPSHosts(t *testing.T) {
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
	n, err := download(t.Context(), t, first.URL+"/v?sig=1", io.Discard, over(first.Client()))
	require.NoError(t, err)
	assert.Equal(t, int64(len(testkit.PlainFile)), n)
	assert.Len(t, seen, 2, "%v", seen)
}

func TestRun_ClosesBodies(t *testing.T) {
	t.Parallel()
	for name, reply := range endings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open := 0
			var ctx context.Context
			serve := transport(func(req *http.Request) (*http.Response, error) {
				ctx = req.Context()
				resp, err := inMemory(req, reply, false)
				if err == nil {
					open++
					resp.Body = &closeOnce{resp.Body, func() { open-- }}
				}
				return resp, err
			})
			file, err := os.CreateTemp(t.TempDir(), "")
			require.NoError(t, err)
			defer file.Close()
			_, err = download(t.Context(), t, someLink, file, serve, maxBytes(int64(len(testkit.PlainFile))), renewTo(someLink))
			assert.Zero(t, open)
			require.Error(t, ctx.Err(), "it ends with the try")
			assert.Equal(t, strings.HasPrefix(name, "whole"), err == nil, "%v", err)
		})
	}
}

// TestRun_ReusesConnections: what is said besides files is read to its end where that is near.
func TestRun_ReusesConnections(t *testing.T) {
	t.Parallel()
	var conns, requests atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		message := strings.Repeat("<Error/>", 1000)
		switch requests.Add(1) % 5 {
		case 1:
			w.Header().Set("Location", "/v?b")
			w.WriteHeader(http.StatusFound)
			io.WriteString(w, message)
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, message)
		case 3:
			w.Header().Set("ETag", `"one"`)
			w.Header().Set("Content-Type", "video/mp4")
			w.(http.Flusher).Flush() // no length
			io.WriteString(w, testkit.MP4File[:600])
		case 4: // there is nothing more
			w.Header().Set("Content-Range", "bytes */9999")
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			io.WriteString(w, message)
		case 0:
			w.Header().Set("Content-Length", strconv.Itoa(len(testkit.PlainFile)))
			w.Header().Set("Content-Type", "video/mp4")
			io.WriteString(w, testkit.PlainFile)
		}
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	shared := over(server.Client())
	for range 10 {
		file, err := os.CreateTemp(t.TempDir(), "")
		require.NoError(t, err)
		defer file.Close()
		_, err = download(t.Context(), t, server.URL+"/v?a", file, shared)
		require.NoError(t, err)
	}
	assert.Equal(t, int64(50), requests.Load())
	assert.Equal(t, int64(1), conns.Load())
}

// endings are replies after which a download has come to an end, or tries again, with a part of the body unread.
var endings = map[string]string{
	"whole":            testkit.RawFile(testkit.PlainFile),
	"whole, in chunks": testkit.RawChunks(testkit.PlainFile, true),
	"cut":              testkit.CutBody(testkit.RawFile(testkit.PlainFile), 1000),
	"too large":        testkit.RawFile(strings.Repeat(testkit.PlainFile, 10)),
	"endless":          testkit.RawChunks(strings.Repeat(testkit.PlainFile, 10), true),
	"encoded":          testkit.RawFile(testkit.PlainFile, "Content-Encoding: gzip"),
	"a message":        testkit.RawFile("<html>", "Content-Type: text/html"),
	"unasked range":    testkit.RawRest(testkit.PlainFile, 0),
	"refused":          testkit.RawHTTP("403 Forbidden", "<Error/>"),
	"busy":             testkit.RawHTTP("503 Slow Down", "<Error/>"),
	"redirect":         testkit.RawHTTP("302 Found", "<html>", "Location: /again"),
	"bad redirect":     testkit.RawHTTP("302 Found", "<html>", "Location: ftp://h/"),
	"incomplete MP4":   testkit.RawFile(testkit.MP4File[:600]),
}

// closeOnce is a body that reports its first Close.
type closeOnce struct {
	io.ReadCloser
	closed func()
}

func (c *closeOnce) Close() error {
	c.closed()
	c.closed = func() {}
	return c.ReadCloser.Close()
}
