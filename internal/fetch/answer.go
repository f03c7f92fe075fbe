package fetch

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/vidu-go/vidu/internal/backoff"
	"github.com/vidu-go/vidu/internal/scrub"
	"github.com/vidu-go/vidu/internal/wholefile"
)

// accept decides whether the body of resp continues what is written. It returns where the body ends in the file; -1 is
// unknown.
func (d *download) accept(resp *http.Response) (end int64, err error) {
	resuming := d.written > 0
	switch {
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && resuming:
		return d.acceptEnd(resp)
	case resp.StatusCode == http.StatusPartialContent && resuming, resp.StatusCode == http.StatusOK:
	default:
		return 0, d.refuse(resp)
	}
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return 0, fmt.Errorf("the file is encoded as %s, which was not asked for", scrub.OneLine(encoding, 20))
	}
	if resp.StatusCode == http.StatusPartialContent {
		return d.acceptRest(resp)
	}
	if contentType := mediaType(resp.Header); message.MatchString(contentType) {
		return 0, fmt.Errorf("%s answered %s, not a file", d.policy.shown(resp.Request.URL), scrub.OneLine(contentType, 40))
	}
	return d.acceptWhole(resp)
}

// mediaType returns the Content-Type in lower case, without parameters.
func mediaType(header http.Header) string {
	text := strings.ToLower(header.Get("Content-Type"))
	return strings.TrimSpace(text[:strings.IndexAny(text+";", ",;")]) // ",": a proxy joined two headers
}

// message matches the media types of answers to people and programs, such as a login page.
var message = regexp.MustCompile(`^text/|[/+](json|xml)$`)

// refuse makes the error of an answer that is not the file.
func (d *download) refuse(resp *http.Response) error {
	drain(resp)
	refusal := &StatusError{Status: resp.StatusCode, URL: d.policy.shown(resp.Request.URL)}
	switch code := resp.StatusCode; {
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests,
		code >= 500 && code != http.StatusNotImplemented:
		pause := backoff.RetryAfter(resp.Header.Get("Retry-After"), time.Now())
		return &retryableError{err: refusal, pause: min(pause, backoff.MaxRetryAfter)}
	}
	return refusal
}

// acceptWhole takes a 200: the file from its beginning, whether that was asked for or not.
func (d *download) acceptWhole(resp *http.Response) (end int64, err error) {
	if err := d.startOver(errOtherFile); err != nil {
		return 0, err
	}
	d.total, d.checksum = resp.ContentLength, wholefile.Promised(resp.Header)
	d.validator = resp.Header.Get("ETag")
	d.anyETag = d.validator
	switch {
	case strings.HasPrefix(d.validator, `"`):
		d.noteETag(d.validator)
	case d.total >= 0: // a weak ETag or none; a date alone is weak, too
		d.validator = resp.Header.Get("Last-Modified")
	default:
		d.validator = ""
	}
	return d.total, d.checkLimit()
}

// noteETag notes a strong ETag. What was written of another object is no measure of progress for this one; but a server
// whose ETags never repeat could start a download over for ever, so that holds for a few changes only.
func (d *download) noteETag(etag string) {
	if etag != d.etag && d.etagChanges < maxStalledTries {
		d.etag, d.maxWritten, d.etagChanges = etag, 0, d.etagChanges+1
	}
}

// acceptRest takes a 206 if it continues the same file at the right place. Otherwise the download starts over.
func (d *download) acceptRest(resp *http.Response) (end int64, err error) {
	first, last, total := contentRange(resp.Header.Get("Content-Range"))
	if first != d.written || last >= total || (d.total >= 0 && total != d.total) || !d.isSame(resp.Header) {
		d.validator = ""
		return 0, &retryableError{err: errOtherFile}
	}
	d.total = total
	return last + 1, d.checkLimit()
}

// acceptEnd takes a 416: the server has nothing behind what is written. Either that is all, or the download starts
// over, once.
func (d *download) acceptEnd(resp *http.Response) (end int64, err error) {
	drain(resp)
	size, err := strconv.ParseInt(strings.TrimPrefix(resp.Header.Get("Content-Range"), "bytes */"), 10, 64)
	switch {
	case err == nil && size == d.written && d.total < 0: // with a known length that much would have been whole before
		d.total = size
		return size, nil
	case d.pastEnd:
		return 0, errOtherFile
	}
	d.pastEnd, d.validator = true, ""
	return 0, &retryableError{err: errOtherFile}
}

// checkLimit reports a file that is stated to be too long.
func (d *download) checkLimit() error {
	if d.total > d.job.MaxBytes {
		return fmt.Errorf("the file has %d bytes, more than the limit of %d", d.total, d.job.MaxBytes)
	}
	return nil
}

// isSame reports whether a 206 is of the same file: it must repeat a strong ETag, and has no other ETag or date than
// the 200 had. It may leave out a weak ETag and a date.
func (d *download) isSame(header http.Header) bool {
	etag, modified := header.Get("ETag"), header.Get("Last-Modified")
	if strings.HasPrefix(d.validator, `"`) {
		return etag == d.validator
	}
	return (etag == "" || etag == d.anyETag) && (modified == "" || modified == d.validator)
}

// contentRange parses "bytes 5-9/10". For anything else, several ranges included, it returns -1.
func contentRange(text string) (first, last, total int64) {
	text, isBytes := strings.CutPrefix(text, "bytes ")
	bounds, size, _ := strings.Cut(text, "/")
	from, to, _ := strings.Cut(bounds, "-")
	first, err1 := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	total, err3 := strconv.ParseInt(size, 10, 64)
	if !isBytes || err1 != nil || err2 != nil || err3 != nil || last < first {
		return -1, -1, -1
	}
	return first, last, total
}
