package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/fetch"
	"github.com/vidu-go/vidu/internal/testkit"
)

// FuzzRunHeaders lets a server say anything about a file and about the rest of it. Nothing may panic, go on for ever or
// quote the link.
func FuzzRunHeaders(f *testing.F) {
	f.Add(200, `ETag: "one"`, 206, "ETag: \"one\"\r\nContent-Range: bytes 5-9/10", uint8(5))
	f.Add(200, "Last-Modified: x\r\nContent-Length: 10", 200, "", uint8(5))
	f.Add(200, "Content-Length: 10", 416, "Content-Range: bytes */5", uint8(5))
	f.Add(302, "Location: https://%zz/?sig=1", 302, "Location: /v?sig=1", uint8(0))
	f.Add(200, "Content-Encoding: gzip", 503, "Retry-After: 1", uint8(9))
	f.Add(200, "x-oss-hash-crc64ecma: 1\r\nRepr-Digest: sha-256=:AA==:", 206, "Content-Range: bytes 0-18446744073709551615/9223372036854775807", uint8(3))
	f.Add(403, "Content-Type: text/html", 404, "", uint8(3))
	f.Fuzz(func(t *testing.T, status1 int, header1 string, status2 int, header2 string, length uint8) {
		if strings.Contains(header1+header2, "secret") || max(len(header1), len(header2)) > 200 {
			t.Skip() // errors are searched for that word and are bounded by the caller; a server may send what it likes
		}
		synctest.Test(t, func(t *testing.T) { // pauses cost no time
			tries := 0
			serve := transport(func(r *http.Request) (*http.Response, error) {
				status, header := status1, header1
				if tries++; tries > 1 {
					status, header = status2, header2
				}
				return inMemory(r, testkit.RawHTTP(fmt.Sprintf("%03d x", status%1000), testkit.MP4File[:min(int(length), len(testkit.MP4File))], header), false)
			})
			var out bytes.Buffer
			began := time.Now()
			n, err := download(t.Context(), t, someLink, &out, serve, renewTo("https://h/fresh?sig=secret"))
			require.Equal(t, int64(out.Len()), n)
			require.LessOrEqual(t, tries, 50)
			require.LessOrEqual(t, time.Since(began), 6*time.Minute)
			if err != nil {
				require.NotContains(t, err.Error(), "sig=secret")
				return
			}
			require.NotEmpty(t, out.Bytes())
		})
	})
}

// FuzzRunReplies lets a server cut, stop, change the file and answer with other ranges than it was asked for, as long
// as it does not lie about its bytes. A download that succeeds is one of the server's files, and a writer never gets
// bytes of two of them.
func FuzzRunReplies(f *testing.F) {
	const file = "0123456789abcdef0123456789abcdef"
	for _, toFile := range []bool{true, false} {
		f.Add(file, []byte{0x00, 5, 0x04, 99}, toFile)                                    // resumed
		f.Add(file, []byte{0x00, 5, 0x14, 99}, toFile)                                    // the rest is another file's
		f.Add(file, []byte{0x02, 5, 0x19, 99}, toFile)                                    // likewise, by date
		f.Add(file, []byte{0x00, 5, 0x06, 3}, toFile)                                     // from another offset
		f.Add(file, []byte{0x00, 5, 0x07, 99}, toFile)                                    // from the beginning
		f.Add(file, []byte{0x00, 5, 0x05, 99, 0x08, 99, 0x0f, 99}, toFile)                // less, and other headers
		f.Add(file, []byte{0x01, 32, 0x0a, 99}, toFile)                                   // all of it, and nothing behind
		f.Add(file, []byte{0x01, 31, 0x0a, 99}, toFile)                                   // all but a byte
		f.Add(file, []byte{0x03, 12, 0x13, 12, 0x04, 99}, toFile)                         // weak ETags
		f.Add(file, []byte{0x0c, 0, 0x0b, 0, 0x0d, 0, 0x0e, 0, 0x00, 9, 0x0c, 0}, toFile) // refused, busy, reset, moved
		f.Add(file, bytes.Repeat([]byte{0x10, 9, 0x00, 7}, 20), toFile)                   // changes for ever
	}
	f.Add(testkit.MP4Box("ftyp", "")+testkit.MP4Box("moov", "m")+testkit.MP4Box("mdat", "media"), []byte{0x01, 20, 0x0a, 99}, true)
	f.Fuzz(func(t *testing.T, content string, script []byte, toFile bool) {
		if len(content) < 16 || len(content) > 4096 || len(script) > 200 {
			t.Skip()
		}
		if content[0] != 0 { // text would be refused
			content = "\x00" + content
		}
		other := []byte(content)
		for i := range other[1:] {
			other[1+i] ^= 0x20
		}
		server := &scripted{versions: [2]string{content, string(other)}, script: script}
		file, err := os.CreateTemp(t.TempDir(), "")
		require.NoError(t, err)
		defer file.Close()
		link, err := url.Parse(someLink)
		require.NoError(t, err)
		job := &fetch.Job{
			Link: link, Name: "video", Writer: struct{ io.Writer }{file}, MaxBytes: 1 << 20,
			Renew: func(context.Context) (*url.URL, error) { return link, nil },
		}
		if toFile {
			job.Writer, job.File = nil, file
		}
		p := policy(&http.Client{})
		p.Do = server.do
		n, err := fetch.Run(t.Context(), p, job)
		data, readErr := os.ReadFile(file.Name())
		require.NoError(t, readErr)
		got := string(data)
		require.Len(t, got, int(n))
		if err == nil {
			require.Contains(t, server.versions, got)
		}
		require.True(t, strings.HasPrefix(server.versions[0], got) || strings.HasPrefix(server.versions[1], got), "bytes of two files")
	})
}

// scripted is a server with two versions of a file. Each request takes two bytes from the script: what to do, and a
// number for it. When the script has ended it serves the second version and does nothing wrong any more.
type scripted struct {
	versions [2]string
	script   []byte
}

func (s *scripted) do(r *http.Request) (*http.Response, error) {
	op, number, version := byte(0), len(s.versions[1])+1, 1
	if len(s.script) >= 2 {
		op, number, version = s.script[0], int(s.script[1]), int(s.script[0]>>4&1)
		s.script = s.script[2:]
	}
	body, etag := s.versions[version], fmt.Sprintf(`"%d"`, version)
	date := fmt.Sprintf("Sat, 21 Nov 2026 10:00:0%d GMT", version)
	matches := r.Header.Get("If-Range") == etag || r.Header.Get("If-Range") == date
	from := min(testkit.RangeStart(r), len(body))
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: int64(len(body))}
	part := func(first, end int) {
		resp.StatusCode, resp.ContentLength = http.StatusPartialContent, int64(end-first)
		resp.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, end-1, len(body)))
		body = body[first:end]
	}
	resp.Header.Set("ETag", etag)
	switch op & 15 {
	case 0: // the whole file with its length
	case 1: // without its length
		resp.ContentLength = -1
	case 2: // with a date only
		resp.Header = http.Header{"Last-Modified": {date}}
	case 3: // with nothing to tell it from another
		resp.Header = http.Header{"Etag": {"W/" + etag}}
	case 4: // the rest, whether it is of the same version or not
		part(from, len(body))
	case 5: // less than the rest
		part(from, from+(len(body)-from+1)/2)
	case 6: // from another offset
		part(min(from+number%7, len(body)), len(body))
	case 7: // from the beginning
		part(0, len(body))
	case 8: // the rest, without a validator or with a date, if the file is still the same
		if matches {
			part(from, len(body))
			resp.Header.Del("ETag")
		}
	case 9:
		part(from, len(body))
		resp.Header = http.Header{"Last-Modified": {date}, "Content-Range": resp.Header["Content-Range"]}
	case 10: // nothing behind what is there, if the file is still the same
		if matches {
			resp.StatusCode, body = http.StatusRequestedRangeNotSatisfiable, ""
			resp.Header.Set("Content-Range", fmt.Sprintf("bytes */%d", len(s.versions[version])))
		}
	case 11, 12:
		resp.StatusCode, body = map[byte]int{11: http.StatusServiceUnavailable, 12: http.StatusForbidden}[op&15], ""
	case 13:
		return nil, errors.New("connection reset")
	case 14:
		resp.StatusCode, body = http.StatusFound, ""
		resp.Header.Set("Location", "/v?sig=secret2")
	case 15: // the rest with the file's length left out
		part(from, len(body))
		resp.Header.Set("Content-Range", strings.TrimSuffix(resp.Header.Get("Content-Range"), strconv.Itoa(len(s.versions[version])))+"*")
	}
	end := io.EOF
	if number < len(body) {
		body, end = body[:number], io.ErrUnexpectedEOF
	}
	resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(body), readFunc(func([]byte) (int, error) { return 0, end })))
	return resp, nil
}
