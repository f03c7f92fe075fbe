// Package fetch downloads one link that anybody may have made, from a server that may cut, stall, lie or redirect. A
// broken transfer is resumed where it stopped if the file is provably still the same, and a link that has expired is
// renewed once; a file that is not whole, not the one promised or too large is an error, and a [Target] appears whole
// or not at all. No error and no log quotes the query of a link, and nothing but the Policy's header is sent.
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
	Once      bool                          // no try after the first that failed
	Log       func(context.Context, Try)    // called after every try; nil: not at all
}

// Job is what to download.
type Job struct {
	Link  *url.URL                                // sent byte for byte as it is
	Renew func(context.Context) (*url.URL, error) // a new link to the same file; called once at most
	Name  string                                  // of the file in errors, such as "video"
	Video bool                                    // check the file as an MP4; otherwise as a still image

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
	From, To int64 // bytes written before and after it
}

// StatusError is an answer that is not the file.
type StatusError struct {
	Status int
	URL    string // that answered, without its query
}

func (e *StatusError) Error() string { return fmt.Sprintf("%s answered HTTP %d", e.URL, e.Status) }

// expired reports whether the status is one by which storage refuses a signature that is over, or a file that is gone.
// 400 is what S3 answers when the session that signed has ended before the link.
func (e *StatusError) expired() bool {
	switch e.Status {
	case http.StatusForbidden, http.StatusNotFound, http.StatusGone, http.StatusBadRequest:
		return true
	}
	return false
}

// retryableError is a failure after which another try may succeed.
type retryableError struct {
	err   error
	pause time.Duration // that the server asked for
}

func (e *retryableError) Error() string { return e.err.Error() }
func (e *retryableError) Unwrap() error { return e.err }

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
	renewed  bool     // a new one was asked for
	renewErr error    // why there is none

	written     int64
	maxWritten  int64  // the most that was ever written of this object
	etag        string // of this object, the last strong one that came
	etagChanges int
	pastEnd     bool // a 416 was answered by starting over

	// Of the answer that the bytes written began with:
	total     int64  // -1: unknown
	validator string // a strong ETag or a Last-Modified; "": the file cannot be told from another one, so not resumed
	anyETag   string // of the 200, weak or strong
	checksum  wholefile.Checksum
	mp4       wholefile.MP4   // of a video
	still     wholefile.Still // of an image
}

// run makes try after try, each from where the last one stopped, until the file is whole.
func (d *download) run(ctx context.Context) error {
	if pastExpiry(d.link, time.Now()) {
		d.renew(ctx) // if that fails the old link gets its try: it may be our clock that is wrong
	}
	stalledTries := 0
	for n := 1; ; n++ {
		before := d.maxWritten
		err := d.loggedTry(ctx, n)
		if refusal, ok := errors.AsType[*StatusError](err); ok && refusal.expired() {
			if err := d.replaceLink(ctx, refusal); err != nil {
				return err
			}
			continue
		}
		failure, ok := errors.AsType[*retryableError](err)
		if !ok {
			return err // nil: the file is whole
		}
		if stalledTries++; d.maxWritten > before {
			stalledTries = 0
		}
		if stalledTries == maxStalledTries || d.policy.Once {
			return failure.err
		}
		if d.validator == "" {
			if err := d.startOver(failure.err); err != nil {
				return err
			}
		}
		if !backoff.Sleep(ctx, max(d.policy.Backoff(max(stalledTries, 1)), failure.pause)) {
			if ended := ctx.Err(); ended != nil {
				return fmt.Errorf("%w; %w while waiting to try again", failure.err, ended)
			}
			return failure.err
		}
	}
}

// renew asks for a new link.
func (d *download) renew(ctx context.Context) {
	d.renewed = true
	link, err := d.job.Renew(ctx)
	if err != nil {
		d.renewErr = err
		return
	}
	d.link = link
}

// replaceLink renews a link that was refused, unless that was done before.
func (d *download) replaceLink(ctx context.Context, refusal *StatusError) error {
	before := d.renewed
	if !before {
		d.renew(ctx)
	}
	switch {
	case d.renewErr != nil:
		return fmt.Errorf("the link has expired (%w) and could not be renewed: %w", refusal, d.renewErr)
	case before:
		return fmt.Errorf("the link has expired and so has the new one: %w", refusal)
	}
	return nil
}

// loggedTry is one try, timed and logged.
func (d *download) loggedTry(ctx context.Context, n int) error {
	started, from := time.Now(), d.written
	status, err := d.try(ctx)
	if d.policy.Log != nil {
		d.policy.Log(ctx, Try{
			Number: n, URL: d.policy.shown(d.link), Status: status, Duration: time.Since(started), From: from, To: d.written,
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
	end, err := d.accept(resp)
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
