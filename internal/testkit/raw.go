package testkit

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// RawReply returns the bytes that answer r; after them the server closes the connection.
type RawReply func(r *http.Request) string

// Always answers every request with the same bytes.
func Always(answer string) RawReply { return func(*http.Request) string { return answer } }

// RawHTTP returns a response with the given status line, header lines and body, without a length.
func RawHTTP(status, body string, header ...string) string {
	return "HTTP/1.1 " + status + "\r\n" + strings.Join(append(header, "Connection: close"), "\r\n") + "\r\n\r\n" + body
}

// RawFile returns a 200 with its length.
func RawFile(body string, header ...string) string {
	return RawHTTP("200 OK", body, append(header, "Content-Length: "+strconv.Itoa(len(body)))...)
}

// RawRest returns the 206 for the bytes of body behind from.
func RawRest(body string, from int, header ...string) string {
	return RawHTTP("206 Partial Content", body[from:], append(header, "Content-Length: "+strconv.Itoa(len(body)-from),
		fmt.Sprintf("Content-Range: bytes %d-%d/%d", from, len(body)-1, len(body)))...)
}

// RawChunks returns body as one chunk, with or without the chunk that ends it.
func RawChunks(body string, ended bool, header ...string) string {
	text := fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
	if ended {
		text += "0\r\n\r\n"
	}
	return RawHTTP("200 OK", text, append(header, "Transfer-Encoding: chunked")...)
}

// CutBody truncates the body of a response to n bytes.
func CutBody(answer string, n int) string { return answer[:strings.Index(answer, "\r\n\r\n")+4+n] }

// RangeStart returns the offset in the request's Range header, 0 without one.
func RangeStart(r *http.Request) int {
	text := strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
	from, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return from
}

// WantRest checks that the request resumes at from if validator still holds, and returns answer.
func WantRest(tb testing.TB, from int, validator, answer string) RawReply {
	tb.Helper()
	return func(r *http.Request) string {
		assert.Equal(tb, fmt.Sprintf("bytes=%d-", from), r.Header.Get("Range"))
		assert.Equal(tb, validator, r.Header.Get("If-Range"))
		assert.Equal(tb, "identity", r.Header.Get("Accept-Encoding"))
		return answer
	}
}

// WantWhole checks that the request asks for the whole file, and returns answer.
func WantWhole(tb testing.TB, answer string) RawReply {
	tb.Helper()
	return func(r *http.Request) string {
		assert.Empty(tb, r.Header.Get("Range"))
		assert.Empty(tb, r.Header.Get("If-Range"))
		return answer
	}
}

// Header lines of files.
const (
	ETagHeader     = `ETag: "one"`
	ModifiedHeader = "Last-Modified: Sat, 21 Nov 2026 10:00:00 GMT"
	ModifiedDate   = "Sat, 21 Nov 2026 10:00:00 GMT"
)
