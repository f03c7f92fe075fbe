package fetch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/vidu-go/vidu/internal/wholefile"
)

// accept decides whether the body of resp continues what is written. It returns where the body ends in the file; -1 is
// unknown.
func (d *download) accept(ctx context.Context, resp *http.Response) (end int64, err error) {
	resuming := d.offset > 0
	switch {
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && resuming:
		return d.acceptEnd(resp)
	case resp.StatusCode == http.StatusPartialContent && resuming, resp.StatusCode == http.StatusOK:
	default:
		return 0, d.refuse(resp)
	}
	if resp.StatusCode == http.StatusPartialContent {
		return d.acceptRest(resp)
	}
	if resuming {
		if err := d.checkRestart(ctx, resp); err != nil {
			return 0, err
		}
	}
	return d.acceptWhole(resp)
}

// checkRestart judges a 200 that came in place of the rest before anything starts over: a message is no other file.
func (d *download) checkRestart(ctx context.Context, resp *http.Response) error {
	body := bufio.NewReaderSize(resp.Body, wholefile.HeadSize)
	head, err := body.Peek(wholefile.HeadSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return d.transportError(ctx, err)
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{body, resp.Body}
	return d.judge(head, resp.Header, d.policy.Redact(resp.Request.URL.Host))
}

// acceptWhole takes a 200: the file from its beginning, whether that was asked for or not.
func (d *download) acceptWhole(resp *http.Response) (end int64, err error) {
	if err := d.startOver(errOtherFile); err != nil {
		return 0, err
	}
	d.total, d.checksum = resp.ContentLength, wholefile.Promised(resp.Header)
	d.header, d.host = resp.Header, d.policy.Redact(resp.Request.URL.Host)
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

// noteETag notes a strong ETag. What was written of another object is no measure of progress for this one; but a
// server whose ETags never repeat could start a download over for ever, so that holds for a few changes only.
func (d *download) noteETag(etag string) {
	if etag != d.etag && d.etagChanges < maxStalledTries {
		d.etag, d.best, d.etagChanges = etag, 0, d.etagChanges+1
	}
}

// acceptRest takes a 206 if it continues the same file at the right place: a strong ETag must be repeated, and the body
// must have the length of the range, where it is stated. Otherwise the download starts over.
func (d *download) acceptRest(resp *http.Response) (end int64, err error) {
	first, last, total := contentRange(resp.Header.Get("Content-Range"))
	repeats := !strings.HasPrefix(d.validator, `"`) || resp.Header.Get("ETag") == d.validator
	isLength := resp.ContentLength < 0 || resp.ContentLength == last-first+1
	if first != d.offset || last >= total || (d.total >= 0 && total != d.total) || !isLength || !repeats ||
		!d.isSame(resp.Header) || codingOf(resp.Header) != codingOf(d.header) {
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
	case err == nil && size == d.offset && d.total < 0 && d.isSame(resp.Header): // a known length would have been reached
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

// isSame reports whether a 206 or a 416 may be of the same file: it has no other ETag than the 200 had, nor another
// date where the ETag is weak. It may leave them out.
func (d *download) isSame(header http.Header) bool {
	etag, modified := header.Get("ETag"), header.Get("Last-Modified")
	strong := strings.HasPrefix(d.validator, `"`)
	return (etag == "" || etag == d.anyETag) && (modified == "" || strong || modified == d.validator)
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
