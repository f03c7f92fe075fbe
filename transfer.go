package vidu

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // some storages send no other checksum; it is against accidents
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vidu-go/vidu/internal/backoff"
	"github.com/vidu-go/vidu/internal/scrub"
	"github.com/vidu-go/vidu/internal/transport"
)

const (
	maxRedirects   = 5
	idleTimeout    = 30 * time.Second // without a byte; a download that moves may take as long as it needs
	maxStuck       = 5                // tries in a row that bring nothing new
	maxEmptyReads  = 100              // in a row, as in package bufio
	minFile        = 12               // bytes: no video and no image has fewer, and WebP's mark is as long
	downloadBuffer = 192 << 10
)

// downloadError is any failure of a download. Its text is made when it happens: one line, one "vidu: ", no key.
type downloadError struct {
	text  string
	cause error
}

func (e *downloadError) Error() string { return e.text }
func (e *downloadError) Unwrap() error { return e.cause }

// download fills in the rest of t, which has its writer, and runs it.
func (c *Client) download(ctx context.Context, task *Task, t *transfer, d *downloadConfig) (int64, error) {
	link, err := c.linkOf(task, d.kind)
	if err != nil {
		return 0, err
	}
	t.link = link
	t.c, t.d, t.taskID, t.total = c, d, task.ID, -1
	if err = t.run(ctx); err == nil {
		return t.written, nil
	}
	after := ""
	if t.written > 0 {
		after = fmt.Sprintf("after %d bytes: ", t.written)
	}
	text := fmt.Sprintf("download %s of task %s: %s%v", d.kind.name, task.ID, after, err)
	return t.written, &downloadError{"vidu: " + scrub.OneLine(strings.ReplaceAll(c.redact(text), "vidu: ", ""), 480), err}
}

// linkOf finds the link, or says why there is none.
func (c *Client) linkOf(task *Task, kind downloadKind) (*url.URL, error) {
	switch {
	case task == nil:
		return nil, errors.New("vidu: download: the task is nil")
	case !task.Done():
		return nil, fmt.Errorf("vidu: download: task %s is %s, not finished", scrub.OneLine(task.ID, 128), scrub.OneLine(string(task.State), 40))
	case parseState(string(task.State)) != StateSuccess:
		return nil, &TaskError{Task: task}
	}
	for _, creation := range task.Creations {
		if link := kind.link(creation); link != "" {
			u, err := c.parseLink(link)
			if err != nil {
				return nil, fmt.Errorf("vidu: download: %w", err)
			}
			return u, nil
		}
	}
	return nil, fmt.Errorf("vidu: download: task %s has no link to a %s", scrub.OneLine(task.ID, 128), kind.name)
}

// parseLink refuses links that no result and no upload has. Its errors do not quote the query.
func (c *Client) parseLink(link string) (*url.URL, error) {
	u, err := url.Parse(link)
	if err == nil && strings.Contains(link, " ") { // net/http would send it as it is, and so break the request line
		err = errors.New("it has a space")
	}
	if err != nil {
		return nil, errors.New("the link is not a URL")
	}
	return u, c.checkResultLink(u)
}

// checkResultLink lets plain http pass for clients that use it themselves.
func (c *Client) checkResultLink(u *url.URL) error {
	switch {
	case u.User != nil:
		return fmt.Errorf("%s is not an https link without a user name, as it must be", c.shown(u))
	case u.Host == "", u.Scheme != "https" && !c.allowsHTTP(u):
		return fmt.Errorf("%s is not an https link", c.shown(u))
	}
	return nil
}

// shown is a link as it may stand in errors and logs.
func (c *Client) shown(u *url.URL) string { return c.redact(scrub.URL(u.String())) }

// pastExpiry reports whether the link itself says that it is over. The signatures of S3, OSS and their like hold that in
// the query, as a time or as a date and a number of seconds.
func pastExpiry(u *url.URL, now time.Time) bool {
	var signed time.Time
	var lasts int64
	for name, values := range u.Query() {
		name = strings.ToLower(name)
		seconds, err := strconv.ParseInt(values[0], 10, 64)
		switch {
		case name == "expires" && err == nil:
			return now.Unix() >= seconds
		case strings.HasSuffix(name, "-expires") && err == nil:
			lasts = seconds
		case strings.HasSuffix(name, "-date"):
			signed, _ = time.Parse("20060102T150405Z", values[0]) // zero when it is no date
		}
	}
	return lasts > 0 && !signed.IsZero() && now.Unix()-signed.Unix() >= lasts
}

// transfer is one download: what it shall fetch and what it knows so far.
type transfer struct {
	c       *Client
	d       *downloadConfig
	taskID  string
	w       io.Writer
	file    *os.File // w, where it may be started over; else nil
	link    *url.URL
	renewed bool  // the task was asked for a new link
	noLink  error // why it gave none

	written   int64
	best      int64    // the most that was ever written of this object
	etag      string   // of this object, the last strong one that came
	changes   int      // of etag
	total     int64    // -1: unknown
	validator string   // a strong ETag or a Last-Modified; "": the file cannot be told from another
	sum       checksum // that the server promised
	boxes     boxes    // of a video
	ends      ends     // of a cover
	pastEnd   bool     // a 416 was answered by starting over
}

// passingError is a failure after which another try may succeed.
type passingError struct {
	err   error
	pause time.Duration // that the server asked for
}

func (e *passingError) Error() string { return e.err.Error() }
func (e *passingError) Unwrap() error { return e.err }

// statusError is an answer that is not the file.
type statusError struct {
	status int
	host   string
}

func (e *statusError) Error() string { return fmt.Sprintf("%s answered HTTP %d", e.host, e.status) }

// refusedAsExpired is true for the statuses by which storage refuses a signature that is over, or a file that is gone.
// 400 is what S3 says when the session that signed has ended before the link.
func (e *statusError) refusedAsExpired() bool {
	switch e.status {
	case http.StatusForbidden, http.StatusNotFound, http.StatusGone, http.StatusBadRequest:
		return true
	}
	return false
}

var (
	errStalled   = fmt.Errorf("no byte came for %v", idleTimeout)
	errOtherFile = errors.New("the file changed on the server, or the server cannot resume")
)

// run is the one loop: try after try, each from where the last one stopped, until the file is whole.
func (t *transfer) run(ctx context.Context) error {
	if pastExpiry(t.link, time.Now()) {
		t.renew(ctx) // where that fails the old link gets its try: it may be our clock that is wrong
	}
	stuck := 0
	for n := 1; ; n++ {
		best := t.best
		err := t.tryOnce(ctx, n)
		if refusal, ok := errors.AsType[*statusError](err); ok && refusal.refusedAsExpired() {
			if err := t.replaceLink(ctx, refusal); err != nil {
				return err
			}
			continue
		}
		passing, ok := errors.AsType[*passingError](err)
		if !ok {
			return err
		}
		if stuck++; t.best > best {
			stuck = 0
		}
		if stuck == maxStuck || t.c.maxAttempts == 1 {
			return passing.err
		}
		if err := t.rewindUnlessResumable(passing.err); err != nil {
			return err
		}
		if !backoff.Sleep(ctx, max(t.c.backoff(max(stuck, 1)), passing.pause)) {
			if ended := ctx.Err(); ended != nil {
				return fmt.Errorf("%w; %w while waiting to try again", passing.err, ended)
			}
			return passing.err
		}
	}
}

// renew asks the task for a new link.
func (t *transfer) renew(ctx context.Context) {
	t.renewed = true
	task, err := t.c.GetTask(ctx, t.taskID)
	var link *url.URL
	if err == nil {
		link, err = t.c.linkOf(task, t.d.kind)
	}
	if err != nil {
		t.noLink = err
		return
	}
	t.link = link
}

// replaceLink renews a link that was refused, unless that was done before.
func (t *transfer) replaceLink(ctx context.Context, refusal *statusError) error {
	before := t.renewed
	if !before {
		t.renew(ctx)
	}
	switch {
	case t.noLink != nil:
		return fmt.Errorf("the link has expired (%w) and could not be renewed: %w", refusal, t.noLink)
	case before:
		return fmt.Errorf("the link has expired and so has the new one: %w", refusal)
	}
	return nil
}

// tryOnce is one try, timed and logged.
func (t *transfer) tryOnce(ctx context.Context, n int) error {
	started, from := time.Now(), t.written
	status, err := t.fetch(ctx)
	if t.c.logger != nil {
		t.c.record(ctx, slog.LevelDebug, "vidu: download",
			slog.String("method", http.MethodGet), slog.String("url", t.c.shown(t.link)), slog.Int("status", status),
			slog.Duration("duration", time.Since(started)), slog.Int("attempt", n), slog.Int64("from", from), slog.Int64("to", t.written))
	}
	return err
}

// fetch asks for what is missing and copies it. nil means that the file is whole.
func (t *transfer) fetch(ctx context.Context) (status int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(idleTimeout, func() { cancel(errStalled) })
	defer idle.Stop()
	resp, err := t.open(ctx)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	end, err := t.accept(resp)
	if err != nil {
		return resp.StatusCode, err
	}
	if err := t.copy(ctx, resp.Body, end, idle); err != nil {
		return resp.StatusCode, err
	}
	return resp.StatusCode, t.checkWhole()
}

// open sends the request and follows redirects by itself: net/http would tell the signed query to the next host, as the
// Referer.
func (t *transfer) open(ctx context.Context) (*http.Response, error) {
	u := t.link
	for hops := 0; ; hops++ {
		resp, err := t.get(ctx, u)
		if err != nil {
			return nil, t.broken(ctx, err)
		}
		switch resp.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		default:
			return resp, nil
		}
		drain(resp)
		if hops == maxRedirects {
			return nil, fmt.Errorf("more than %d redirects", maxRedirects)
		}
		if u, err = t.c.follow(u, resp.Header.Get("Location")); err != nil {
			return nil, err
		}
	}
}

// get sends one request. Only the link itself goes out, byte for byte as it was received: its query is signed.
func (t *transfer) get(ctx context.Context, u *url.URL) (*http.Response, error) {
	header := http.Header{"Accept-Encoding": t.c.encoding, "User-Agent": t.c.userAgent}
	if t.written > 0 {
		header["Range"] = []string{"bytes=" + strconv.FormatInt(t.written, 10) + "-"}
		header["If-Range"] = []string{t.validator}
	}
	guarded, g := transport.Watch(ctx, transport.Sendings, nil)
	req := (&http.Request{
		Method: http.MethodGet, URL: u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header,
	}).WithContext(guarded)
	resp, err := t.c.http.Downloads.Do(req)
	if err != nil {
		if transport.Stopped(guarded) {
			err = transport.ErrRetried
		}
		g.Release()
		return nil, err
	}
	resp.Request = req // not every transport says so
	return resp, nil   // ctx ends guarded
}

// follow finds out where a redirect leads. A link that was safe stays safe.
func (c *Client) follow(from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(location)
	if location == "" || err != nil || strings.Contains(location, " ") {
		return nil, fmt.Errorf("%s redirects to nowhere", c.shown(from))
	}
	if from.Scheme == "https" && to.Scheme != "https" {
		return nil, fmt.Errorf("%s redirects to %s, which is not an https link", c.shown(from), c.shown(to))
	}
	return to, c.checkResultLink(to)
}

// drain reads what an answer has to say that is not the file, so that its connection can be used again.
func drain(resp *http.Response) {
	transport.Drain(resp.Body)
	resp.Body.Close()
}

// broken says whether another try may help after a failure of the network.
func (t *transfer) broken(ctx context.Context, err error) error {
	if context.Cause(ctx) == errStalled { //nolint:errorlint // the very one
		return &passingError{err: errStalled}
	}
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	text := err.Error()
	if masked := t.c.redact(scrub.Queries(text)); masked != text {
		err = errors.New(masked)
	}
	err = transportError(ctx, err)
	if classifyRead(&attempt{err: err, ended: ctx.Err() != nil}) == retry {
		return &passingError{err: err}
	}
	return err
}

// accept decides whether the body of resp continues what is written, and where it ends; -1 is unknown.
func (t *transfer) accept(resp *http.Response) (end int64, err error) {
	encoding, asked := resp.Header.Get("Content-Encoding"), t.written > 0
	switch {
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && asked:
		return t.acceptEnd(resp)
	case resp.StatusCode != http.StatusOK && (resp.StatusCode != http.StatusPartialContent || !asked):
		return 0, t.refuse(resp)
	case encoding != "" && encoding != "identity":
		return 0, fmt.Errorf("the file is encoded as %s, which was not asked for", scrub.OneLine(encoding, 20))
	case resp.StatusCode == http.StatusPartialContent:
		return t.acceptRest(resp)
	}
	contentType := strings.ToLower(resp.Header.Get("Content-Type"))
	contentType = strings.TrimSpace(contentType[:strings.IndexAny(contentType+";", ",;")]) // ",": a proxy joined two
	if message.MatchString(contentType) {
		return 0, fmt.Errorf("%s answered %s, not a file", t.c.shown(resp.Request.URL), scrub.OneLine(contentType, 40))
	}
	return t.acceptWhole(resp)
}

// message finds the content types of what is said to people and programs, such as a login page.
var message = regexp.MustCompile(`^text/|[/+](json|xml)$`)

// refuse makes the error of any other status.
func (t *transfer) refuse(resp *http.Response) error {
	drain(resp)
	refusal := &statusError{resp.StatusCode, t.c.shown(resp.Request.URL)}
	switch code := resp.StatusCode; {
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests,
		code >= 500 && code != http.StatusNotImplemented:
		pause := backoff.RetryAfter(resp.Header.Get("Retry-After"), time.Now())
		return &passingError{err: refusal, pause: min(pause, backoff.MaxRetryAfter)}
	}
	return refusal
}

// acceptWhole takes a 200: the file from its beginning, asked for or not.
func (t *transfer) acceptWhole(resp *http.Response) (end int64, err error) {
	if err := t.rewind(errOtherFile); err != nil {
		return 0, err
	}
	t.total, t.sum, t.validator = resp.ContentLength, promisedChecksum(resp.Header), resp.Header.Get("ETag")
	switch {
	case strings.HasPrefix(t.validator, `"`):
		t.meet(t.validator)
	case t.total >= 0: // a weak ETag or none; a date alone is weak, too
		t.validator = resp.Header.Get("Last-Modified")
	default:
		t.validator = ""
	}
	return t.total, t.checkLimit()
}

// meet notes a strong ETag. What was written of another object is no measure for this one; but a server whose ETags
// never repeat could start a download over for ever, so that holds for a few changes only.
func (t *transfer) meet(etag string) {
	if etag != t.etag && t.changes < maxStuck {
		t.etag, t.best, t.changes = etag, 0, t.changes+1
	}
}

// acceptRest takes a 206, if it continues the same file at the right place; otherwise the file is begun again.
func (t *transfer) acceptRest(resp *http.Response) (end int64, err error) {
	first, last, total := contentRange(resp.Header.Get("Content-Range"))
	if first != t.written || last >= total || (t.total >= 0 && total != t.total) || !t.isSame(resp.Header) {
		t.validator = ""
		return 0, &passingError{err: errOtherFile}
	}
	t.total = total
	return last + 1, t.checkLimit()
}

// acceptEnd takes a 416: nothing lies behind what is written. Either that is all, or the file is begun again, once.
func (t *transfer) acceptEnd(resp *http.Response) (end int64, err error) {
	drain(resp)
	size, err := strconv.ParseInt(strings.TrimPrefix(resp.Header.Get("Content-Range"), "bytes */"), 10, 64)
	switch {
	case err == nil && size == t.written && (t.total < 0 || t.total == size):
		t.total = size
		return size, nil
	case t.pastEnd:
		return 0, errOtherFile
	}
	t.pastEnd, t.validator = true, ""
	return 0, &passingError{err: errOtherFile}
}

func (t *transfer) checkLimit() error {
	if t.total > t.d.maxBytes {
		return fmt.Errorf("the file has %d bytes, more than the limit of %d", t.total, t.d.maxBytes)
	}
	return nil
}

// isSame looks for the validator in a 206, which must repeat an ETag and may leave a date out.
func (t *transfer) isSame(header http.Header) bool {
	if strings.HasPrefix(t.validator, `"`) {
		return header.Get("ETag") == t.validator
	}
	modified := header.Get("Last-Modified")
	return modified == "" || modified == t.validator
}

// contentRange reads "bytes 5-9/10". What is anything else, several ranges included, has first -1.
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

// rewindUnlessResumable prepares for another try after cause.
func (t *transfer) rewindUnlessResumable(cause error) error {
	if t.validator != "" {
		return nil
	}
	return t.rewind(cause)
}

// rewind forgets what is written. Only a file of ours can be cut; what a caller's writer has taken is gone.
func (t *transfer) rewind(cause error) error {
	if t.written == 0 {
		return nil
	}
	if t.file == nil {
		return fmt.Errorf("%w; it cannot be resumed, and a writer cannot be started over", cause)
	}
	if err := t.file.Truncate(0); err != nil {
		return err
	}
	if _, err := t.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	t.written, t.boxes, t.ends = 0, boxes{}, ends{} // acceptWhole sets the rest
	return nil
}

// buffers are large, for fewer system calls, and shared, for a download then costs no memory worth counting.
var buffers = sync.Pool{New: func() any { return new([downloadBuffer]byte) }}

// copy writes body until it ends or end is reached. It is not io.Copy, which would let os.File read by itself, in
// pieces of 32 KiB. Only the time spent reading counts as idle: the writer may take its own.
func (t *transfer) copy(ctx context.Context, body io.Reader, end int64, idle *time.Timer) error {
	buf, ok := buffers.Get().(*[downloadBuffer]byte)
	if !ok {
		buf = new([downloadBuffer]byte)
	}
	defer buffers.Put(buf)
	for empty := 0; t.written != end; {
		if err := ctx.Err(); err != nil { // not every body looks
			return t.broken(ctx, err)
		}
		piece := buf[:]
		if end >= 0 {
			piece = buf[:min(end-t.written, downloadBuffer)]
		}
		idle.Reset(idleTimeout)
		n, err := body.Read(piece)
		idle.Stop()
		if err := t.write(piece[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if empty++; n > 0 {
			empty = 0
		}
		if empty == maxEmptyReads {
			err = io.ErrNoProgress
		}
		if err != nil {
			return t.broken(ctx, err)
		}
	}
	return nil
}

func (t *transfer) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if int64(len(p)) > t.d.maxBytes-t.written {
		return fmt.Errorf("the file has more than %d bytes", t.d.maxBytes)
	}
	n, err := t.w.Write(p)
	t.written += int64(n)
	if err == nil && n != len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return err
	}
	t.best = max(t.best, t.written)
	if t.d.kind.video {
		t.boxes.feed(p)
	} else {
		t.ends.feed(p)
	}
	if t.sum.hash != nil {
		t.sum.hash.Write(p)
	}
	if t.d.progress != nil {
		t.d.progress(t.written, t.total)
	}
	return nil
}

// checkWhole looks at what there is when the body has ended as it should.
func (t *transfer) checkWhole() error {
	switch {
	case t.written == 0:
		return &passingError{err: fmt.Errorf("the file is empty: %w", io.ErrUnexpectedEOF)}
	case t.written < t.total:
		return &passingError{err: fmt.Errorf("%d bytes are missing: %w", t.total-t.written, io.ErrUnexpectedEOF)}
	case t.total < 0 && (t.written < minFile || !t.boxes.whole() || !t.ends.whole(t.written)):
		return &passingError{err: fmt.Errorf("the %s is incomplete: %w", t.d.kind.name, io.ErrUnexpectedEOF)}
	case !t.boxes.whole(): // a cover may have bytes behind its end, so where the length is stated that is enough
		return fmt.Errorf("the server's file is an incomplete MP4: %w", io.ErrUnexpectedEOF)
	case t.sum.hash != nil && string(t.sum.hash.Sum(nil)) != t.sum.want:
		return fmt.Errorf("what came does not match the server's checksum, %s", t.sum.name)
	}
	return nil
}

// checksum is one of the whole file, which the server promised in a header. The zero value is none.
type checksum struct {
	name string
	hash hash.Hash
	want string // bytes
}

// checksums are what storages send with a whole file: OSS, COS and TOS; S3; the fields of RFC 9530; that of RFC 1864.
var checksums = []struct {
	header string
	want   func(text string) []byte // nil where there is none
	hash   func() hash.Hash
}{
	{"x-oss-hash-crc64ecma", crc64Of, newCRC64},
	{"x-cos-hash-crc64ecma", crc64Of, newCRC64},
	{"x-tos-hash-crc64ecma", crc64Of, newCRC64},
	{"x-amz-checksum-sha256", func(text string) []byte { return base64Of(text, sha256.Size) }, sha256.New},
	{"Repr-Digest", sha256In, sha256.New},
	{"Content-Digest", sha256In, sha256.New},
	{"Content-MD5", func(text string) []byte { return base64Of(text, md5.Size) }, md5.New},
}

var crcTable = sync.OnceValue(func() *crc64.Table { return crc64.MakeTable(crc64.ECMA) })

func newCRC64() hash.Hash { return crc64.New(crcTable()) }

func crc64Of(text string) []byte {
	crc, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return nil
	}
	return binary.BigEndian.AppendUint64(nil, crc)
}

func base64Of(text string, size int) []byte {
	sum, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(sum) != size {
		return nil
	}
	return sum
}

// sha256In finds the one of the digests in a list that this package computes.
func sha256In(list string) []byte {
	for member := range strings.SplitSeq(list, ",") {
		if text, found := strings.CutPrefix(strings.TrimSpace(member), "sha-256=:"); found {
			return base64Of(strings.TrimSuffix(text, ":"), sha256.Size)
		}
	}
	return nil
}

func promisedChecksum(header http.Header) checksum {
	for _, known := range checksums {
		if want := known.want(header.Get(known.header)); want != nil {
			return checksum{known.header, known.hash(), string(want)}
		}
	}
	return checksum{}
}

// boxes walks the top-level boxes of an MP4 as it passes by, so that a file that ended early can be told although
// nobody said how long it is. What does not begin like an MP4 is let through. Source: ISO/IEC 14496-12, 4.2.
type boxes struct {
	head [16]byte // of the box that begins
	have int      // bytes of it
	left int64    // bytes until the next box
	mp4  bool     // it began with ftyp
	moov bool     // the index was seen
	mdat bool     // the media were seen
	over bool     // there are no more boxes: not an MP4, or the last one reaches to the end
}

func (b *boxes) feed(p []byte) {
	for len(p) > 0 && !b.over {
		skip := min(b.left, int64(len(p)))
		b.left, p = b.left-skip, p[skip:]
		n := copy(b.head[b.have:b.headSize()], p)
		b.have, p = b.have+n, p[n:]
		if b.have == b.headSize() {
			b.enter()
		}
	}
}

// headSize is 8: a size of 32 bits and a name. If that size is 1, the real one follows in 64 bits.
func (b *boxes) headSize() int {
	if b.have >= 8 && binary.BigEndian.Uint32(b.head[:]) == 1 {
		return 16
	}
	return 8
}

// enter reads the head of a box. Size 0 says that the box is the last one.
func (b *boxes) enter() {
	size, used, name := uint64(binary.BigEndian.Uint32(b.head[:])), uint64(b.headSize()), string(b.head[4:8]) //nolint:gosec // 8 or 16
	if size == 1 {
		size = binary.BigEndian.Uint64(b.head[8:])
	}
	b.have = 0
	if b.mp4 = b.mp4 || name == "ftyp"; b.mp4 {
		b.moov, b.mdat = b.moov || name == "moov", b.mdat || name == "mdat"
	}
	if !b.mp4 || size < used { // 0, or what is no box, such as zeros behind the last one
		b.over = true
		return
	}
	b.left = int64(min(size-used, math.MaxInt64)) // no file has as much, so it never ends
}

// whole reports whether the file may end here. Eight zeros behind the last box read as one that reaches to the end;
// other bytes there are no part of the format and pass for a cut, as does half the head of a box.
func (b *boxes) whole() bool { return !b.mp4 || (b.moov && b.mdat && b.left == 0 && b.have == 0) }

// ends keeps both ends of a still image, so that one that was cut can be told.
type ends struct {
	head, tail []byte // at most minFile bytes
}

func (e *ends) feed(p []byte) {
	e.head = append(e.head, p[:min(minFile-len(e.head), len(p))]...)
	e.tail = append(e.tail, p[max(len(p)-minFile, 0):]...)
	e.tail = e.tail[max(len(e.tail)-minFile, 0):]
}

// whole reports whether an image of size bytes may end here. What does not begin like a JPEG, PNG or WebP may.
func (e *ends) whole(size int64) bool {
	head := string(e.head)
	switch {
	case strings.HasPrefix(head, "\xff\xd8\xff"):
		return bytes.HasSuffix(e.tail, []byte("\xff\xd9"))
	case strings.HasPrefix(head, "\x89PNG\r\n\x1a\n"):
		return bytes.HasSuffix(e.tail, []byte("IEND\xaeB`\x82"))
	case strings.HasPrefix(head, "RIFF") && strings.HasSuffix(head, "WEBP"):
		return size >= 8+int64(binary.LittleEndian.Uint32(e.head[4:]))
	}
	return true
}
