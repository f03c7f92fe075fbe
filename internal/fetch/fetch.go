// Package fetch downloads one link that anybody may have made, from a server that may cut, stall, lie or redirect. A
// broken transfer is resumed where it stopped if the file is provably still the same, and a link that is refused is
// renewed and tried again; what is not a file but a message, not whole, not the one promised or too large is an error,
// and a [Target] appears whole or not at all. No error and no log quotes the query of a link, and nothing but the
// Policy's header is sent.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/vidu-go/vidu/internal/backoff"
	"github.com/vidu-go/vidu/internal/scrub"
	"github.com/vidu-go/vidu/internal/wholefile"
)

const (
	idleTimeout     = 30 * time.Second // without a byte; a download that moves may take as long as it needs
	maxStalledTries = 5                // in a row that bring nothing new
)

// Policy is how to download: what all downloads of one client share. It is only read.
type Policy struct {
	// Do sends a request without following redirects. What it starts for a request may last until the request's context
	// ends, which is when the try has ended.
	Do     func(*http.Request) (*http.Response, error)
	Header http.Header // sent with every request, and nothing else is but Range and If-Range

	CheckLink func(*url.URL) error          // the error of a redirect's target that must not be fetched
	Redact    func(text string) string      // masks what no error and no log may quote, besides queries
	Retryable func(error) bool              // reports whether another try may succeed after this error of Do or of a body
	Backoff   func(retry int) time.Duration // the pause before a retry; the first is 1
	Once      bool                          // no try after the first that failed, but for one with a new link
	Log       func(context.Context, Try)    // called after every try; nil: not at all
}

// Job is what to download.
type Job struct {
	Link *url.URL // sent byte for byte as it is
	Name string   // of the file in errors, such as "video"

	// Renew returns a new link to the same file, or the same link when there is no other. It is called whenever a link was
	// refused. Its error ends the download, unless it was marked by [MayPass].
	Renew func(context.Context) (*url.URL, error)

	File     *os.File  // takes the bytes; truncated when the download has to start over
	Writer   io.Writer // takes the bytes if File is nil; only ever appended to
	MaxBytes int64
	Progress func(done, total int64) // may be nil; total is -1 while it is unknown
}

// Try is one try of a download, for the log.
type Try struct {
	Number   int    // from 1
	URL      string // of the link, without its query
	Status   int    // 0: there was no answer
	Duration time.Duration
	From, To int64 // bytes that came before and after it
}

// retryableError is a failure after which another try may succeed.
type retryableError struct {
	err   error
	pause time.Duration // that the server asked for
}

func (e *retryableError) Error() string { return e.err.Error() }
func (e *retryableError) Unwrap() error { return e.err }

// MayPass marks an error of Renew after which the download goes on with the link that it has.
func MayPass(err error) error { return &retryableError{err: err} }

var (
	errStalled   = fmt.Errorf("no data received for %v", idleTimeout)
	errOtherFile = errors.New("the file changed on the server, or the server cannot resume")
)

// Run downloads the file and returns the number of bytes written. After an error these are a part of the file.
func Run(ctx context.Context, policy *Policy, job *Job) (int64, error) {
	d := &download{policy: policy, job: job, link: job.Link, out: job.Writer, total: -1}
	if job.File != nil {
		d.out = job.File
	}
	err := d.run(ctx)
	return d.written, err
}

// download is one call of Run: what is known so far.
type download struct {
	policy *Policy
	job    *Job
	out    io.Writer

	link     *url.URL // the job's, or the new one
	hop      *url.URL // where the last request went: link, or what it was redirected to
	renewals int      // how often a new one was asked for
	renewErr error    // why there is none

	offset  int64  // where the next byte belongs
	written int64  // of the bytes before it
	held    []byte // the rest of them: too few to judge the file by
	judged  bool

	best        int64  // the highest offset of this object so far
	etag        string // of this object, the last strong one that came
	etagChanges int
	pastEnd     bool // a 416 was answered by starting over

	// Of the answer that the file began with:
	header    http.Header
	host      string
	total     int64  // -1: unknown
	validator string // a strong ETag or a Last-Modified; "": the file cannot be told from another one, so not resumed
	anyETag   string // of the 200, weak or strong
	checksum  wholefile.Checksum
	file      wholefile.File
}

// run makes try after try, each from where the last one stopped, until the file is whole or too many tries in a row
// have brought nothing new. A link that was refused is renewed first.
func (d *download) run(ctx context.Context) error {
	if pastExpiry(d.link, time.Now()) {
		d.renew(ctx, false) // if that fails the old link gets its try: it may be our clock that is wrong
	}
	stalled := 0
	for n := 1; ; n++ {
		before := d.best
		err := d.loggedTry(ctx, n)
		if stalled++; d.best > before {
			stalled = 0
		}
		last := stalled >= maxStalledTries || d.policy.Once
		refusal, _ := errors.AsType[*AnswerError](err)
		failure, _ := errors.AsType[*retryableError](err)
		pause := time.Duration(0)
		switch {
		case failure != nil:
			if err, pause = failure.err, failure.pause; last {
				return err
			}
			if d.validator == "" {
				if err := d.startOver(err); err != nil {
					return err
				}
			}
		case refusal != nil && refusal.refused:
			isNew, ok := d.renew(ctx, last)
			if err, pause = d.explain(refusal), refusal.pause; !ok {
				return err
			}
			if isNew && (stalled == 1 || last) {
				continue
			}
		default:
			return err // nil: the file is whole
		}
		if !backoff.Sleep(ctx, max(d.policy.Backoff(max(stalled, 1)), pause)) {
			if ended := ctx.Err(); ended != nil {
				return fmt.Errorf("%w; %w while waiting to try again", err, ended)
			}
			return err
		}
	}
}

// renew asks for a new link and reports whether there is one, and whether another try makes sense. The last try gets a
// further one only with a new link, and only once.
func (d *download) renew(ctx context.Context, last bool) (isNew, ok bool) {
	_, mayPass := errors.AsType[*retryableError](d.renewErr)
	if d.renewErr != nil && !mayPass || last && d.renewals > 0 {
		return false, false
	}
	d.renewals++
	link, err := d.job.Renew(ctx)
	if d.renewErr = err; err != nil {
		_, mayPass = errors.AsType[*retryableError](err)
		return false, mayPass && !last
	}
	isNew = link.String() != d.link.String()
	d.link = link
	return isNew, isNew || !last
}

// explain adds to a refusal what became of the renewal.
func (d *download) explain(refusal *AnswerError) error {
	note := fmt.Errorf("new links asked for: %d", d.renewals)
	if d.renewErr != nil {
		note = fmt.Errorf("the link could not be renewed: %w", d.renewErr)
	}
	r := *refusal
	if r.Err = note; refusal.Err != nil {
		r.Err = fmt.Errorf("%w; %w", refusal.Err, note)
	}
	return &r
}

// loggedTry is one try, timed and logged.
func (d *download) loggedTry(ctx context.Context, n int) error {
	started, from := time.Now(), d.offset
	status, err := d.try(ctx)
	d.best = max(d.best, d.offset)
	if d.policy.Log != nil {
		d.policy.Log(ctx, Try{
			Number: n, URL: d.policy.shown(d.link), Status: status, Duration: time.Since(started), From: from, To: d.offset,
		})
	}
	return err
}

// try asks for what is missing and copies it. nil means that the file is whole.
func (d *download) try(ctx context.Context) (status int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(idleTimeout, func() { cancel(errStalled) })
	defer idle.Stop()
	resp, err := d.open(ctx)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	end, err := d.accept(ctx, resp)
	if err != nil {
		return resp.StatusCode, err
	}
	if err := d.copy(ctx, resp.Body, end, idle); err != nil {
		return resp.StatusCode, err
	}
	return resp.StatusCode, d.checkWhole()
}

// shown returns u as it may stand in errors and logs.
func (p *Policy) shown(u *url.URL) string { return p.Redact(scrub.URL(u.String())) }
