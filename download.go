package vidu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/vidu-go/vidu/internal/fetch"
	"github.com/vidu-go/vidu/internal/scrub"
	"github.com/vidu-go/vidu/internal/transport"
)

const defaultMaxDownload = 2 << 30

// DownloadOption changes what [Client.Download] and [Client.DownloadFile] fetch, and how.
type DownloadOption func(*downloadConfig)

type downloadConfig struct {
	kind     downloadKind
	progress func(done, total int64)
	maxBytes int64
	target   fetch.Target // of DownloadFile
}

// downloadKind is one of the files that a task results in.
type downloadKind struct {
	name string
	link func(Creation) string
}

// WithProgressBytes calls fn as the download proceeds, in the goroutine that downloads: done bytes of total, which is
// -1 when the server does not say. done falls back when [Client.DownloadFile] has to start over.
func WithProgressBytes(fn func(done, total int64)) DownloadOption {
	return func(d *downloadConfig) { d.progress = fn }
}

// WithWatermarked fetches the video with the watermark. There is one only if the request asked for it.
func WithWatermarked() DownloadOption {
	return func(d *downloadConfig) {
		d.kind = downloadKind{"watermarked video", func(c Creation) string { return c.WatermarkedURL }}
	}
}

// WithCover fetches the still image instead of the video.
func WithCover() DownloadOption {
	return func(d *downloadConfig) {
		d.kind = downloadKind{"cover", func(c Creation) string { return c.CoverURL }}
	}
}

// WithMaxBytes gives up on a file of more than n bytes. The default is 2 GiB; n below 1 leaves it as it is.
func WithMaxBytes(n int64) DownloadOption {
	return func(d *downloadConfig) {
		if n > 0 {
			d.maxBytes = n
		}
	}
}

// WithOverwrite lets [Client.DownloadFile] replace an existing file, whole and at once. The default is to keep it and
// return [fs.ErrExist].
func WithOverwrite() DownloadOption {
	return func(d *downloadConfig) { d.target.Overwrite = true }
}

func downloadOptions(opts []DownloadOption) *downloadConfig {
	d := &downloadConfig{
		kind:     downloadKind{"video", func(c Creation) string { return c.URL }},
		maxBytes: defaultMaxDownload,
	}
	for _, opt := range opts {
		if opt != nil {
			opt(d)
		}
	}
	return d
}

// Download writes the video of a finished task to w and returns the number of bytes written.
//
// The key is not sent: the link lies on another host and needs none. Spaces in a link are sent as "%20", blanks at its
// ends are cut; every other byte is sent as it is. A transfer that breaks, or brings no byte for 30 s, is resumed
// where it stopped if the file is provably still the same. A link that is refused is renewed, by asking for the task:
// a store may have forgotten it, or not have the file yet. A new link is tried at once, the same one after a pause.
// All that goes on until 5 tries in a row brought nothing; [WithBackoff] sets the pauses and ctx is the only time
// limit. Under [WithMaxAttempts](1) there is one try, and one more with a new link. Then the answer of the store is a
// [*DownloadError]; where the task cannot be asked for or has no link any more, at once.
//
// What came is judged by its first 512 bytes, not by its header. MP4, MOV, WebM, MKV, GIF, MPEG streams, AVI, Ogg,
// FLV, WMV, JPEG, PNG and WebP are kept whatever Content-Type and Content-Encoding say. A web page, JSON, XML, words
// and gzip data count as a refusal of the link, and nothing of them is written; so do HLS, DASH and SVG, which are
// text. Any other format is kept unless Content-Type calls it text, JSON or XML, or Content-Encoding says that it is
// encoded.
//
// An MP4 must have its index and its media, and must not end inside a box. Where the server neither says how long the
// file is nor sends a checksum, nothing may stand behind its last box, a JPEG or PNG must end with its end mark, and a
// WebP or WebM must have the length that it states; other formats are taken as they come.
//
// w is only ever appended to, whatever else it can do. Where the file has changed or the server cannot resume,
// Download therefore fails and w holds a part of the video; [Client.DownloadFile] starts over instead.
func (c *Client) Download(ctx context.Context, task *Task, w io.Writer, opts ...DownloadOption) (int64, error) {
	if err := c.ready(ctx); err != nil {
		return 0, err
	}
	if w == nil {
		return 0, errors.New("vidu: download: the writer is nil")
	}
	return c.download(ctx, task, downloadOptions(opts), &fetch.Job{Writer: w})
}

// DownloadFile writes the video of a finished task to a file and returns its size. It does what [Client.Download]
// does, and starts over where resuming is impossible.
//
// The file appears whole or not at all: the bytes go to a temporary file in the same directory, .vidu-<random>.part,
// which is synced and renamed at the end and removed after an error. What a killed process leaves of it, a later
// DownloadFile into that directory removes after a day; among more than 1000 files it may stay. If the machine is
// suspended for more than a day during a download, another process may take the temporary file for abandoned and
// remove it; the download then fails at its end.
//
// The file's mode is 0600. An existing file is kept and [fs.ErrExist] returned, unless [WithOverwrite] is given; a
// symbolic link is then replaced, never followed. An empty file counts as an existing one, but is never a finished
// video: on a file system without hard links it holds the place for a moment, and stays if the process is killed just
// then. Remove it, or use [WithOverwrite].
func (c *Client) DownloadFile(ctx context.Context, task *Task, path string, opts ...DownloadOption) (int64, error) {
	if err := c.ready(ctx); err != nil {
		return 0, err
	}
	d := downloadOptions(opts)
	d.target.Path = path
	temp, err := d.target.Create()
	if err != nil {
		return 0, fmt.Errorf("vidu: download: %w", err)
	}
	defer func() { // also when the caller's progress function panics
		temp.Close()           //nolint:errcheck // Commit looks at it
		os.Remove(temp.Name()) //nolint:errcheck // after a success there may be nothing to remove
	}()
	n, err := c.download(ctx, task, d, &fetch.Job{File: temp})
	if err != nil {
		return 0, err
	}
	if err := d.target.Commit(temp); err != nil {
		return 0, fmt.Errorf("vidu: download: %w", err)
	}
	return n, nil
}

// downloadError is any failure of a download. Its text is made when it happens: one line, one "vidu: ", no key.
type downloadError struct {
	text   string
	causes []error
}

func (e *downloadError) Error() string   { return e.text }
func (e *downloadError) Unwrap() []error { return e.causes }

// download fills in the rest of job, which says where the bytes go, and runs it.
func (c *Client) download(ctx context.Context, task *Task, d *downloadConfig, job *fetch.Job) (int64, error) {
	link, err := c.linkOf(task, d.kind)
	if err != nil {
		return 0, err
	}
	job.Link, job.Name, job.MaxBytes, job.Progress = link, d.kind.name, d.maxBytes, d.progress
	id := task.ID
	job.Renew = func(ctx context.Context) (*url.URL, error) { return c.renewLink(ctx, id, d.kind) }
	n, err := fetch.Run(ctx, c.downloadPolicy(), job)
	if err == nil {
		return n, nil
	}
	after := ""
	if n > 0 {
		after = fmt.Sprintf("after %d bytes: ", n)
	}
	text := fmt.Sprintf("download %s of task %s: %s%v", d.kind.name, id, after, err)
	failure := &downloadError{"vidu: " + scrub.OneLine(strings.ReplaceAll(c.redact(text), "vidu: ", ""), 480), []error{err}}
	if refusal, ok := errors.AsType[*fetch.AnswerError](err); ok {
		public := &DownloadError{StatusCode: refusal.Status, Code: refusal.Code, Host: refusal.Host, Err: refusal.Err}
		failure.causes = []error{public, err}
	}
	return n, failure
}

// renewLink asks for the task once more. Only a query that failed, and not the task, leaves hope for another one.
func (c *Client) renewLink(ctx context.Context, id string, kind downloadKind) (*url.URL, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	task, err := c.GetTask(ctx, id)
	if err == nil && task.unsure {
		return nil, fetch.MayPass(errUnsure)
	}
	if err != nil && isTransient(err) {
		return nil, fetch.MayPass(err)
	}
	if err != nil {
		return nil, err
	}
	return c.linkOf(task, kind)
}

// downloadPolicy is how this client downloads.
func (c *Client) downloadPolicy() *fetch.Policy {
	p := &fetch.Policy{
		Do:        c.sendDownload,
		Header:    c.otherHeader(),
		CheckLink: c.checkResultLink,
		Redact:    c.redact,
		Retryable: func(err error) bool { return classifyRead(&attempt{err: err}) == retry },
		Backoff:   c.backoff,
		Once:      c.maxAttempts == 1,
	}
	if c.logger != nil {
		p.Log = c.logDownload
	}
	return p
}

// sendDownload sends one request of a download, guarded against a transport that repeats it. The guard ends with the
// context of req, for the body is read after sendDownload has returned.
func (c *Client) sendDownload(req *http.Request) (*http.Response, error) {
	var guard transport.Guard
	guarded := guard.GuardRead(req.Context(), c.routes.Downloads.Timeout)
	resp, err := c.routes.Downloads.Transport.RoundTrip(req.WithContext(guarded))
	if err = transport.Check(resp, err); err != nil {
		guard.Release()
		return nil, guard.Cause(err)
	}
	return resp, nil
}

func (c *Client) logDownload(ctx context.Context, try fetch.Try) {
	c.record(ctx, slog.LevelDebug, "vidu: download",
		slog.String("method", http.MethodGet), slog.String("url", try.URL), slog.Int("status", try.Status),
		slog.Duration("duration", try.Duration), slog.Int("attempt", try.Number), slog.Int64("from", try.From), slog.Int64("to", try.To))
}

// linkOf returns the link to a file of task.
func (c *Client) linkOf(task *Task, kind downloadKind) (*url.URL, error) {
	switch {
	case task == nil:
		return nil, errors.New("vidu: download: the task is nil")
	case strings.TrimSpace(string(task.State)) == "":
		return nil, fmt.Errorf("vidu: download: task %s has no state: call Wait first", scrub.OneLine(task.ID, 128))
	case !task.Done():
		return nil, fmt.Errorf("vidu: download: task %s is %s, not finished: call Wait first",
			scrub.OneLine(task.ID, 128), scrub.OneLine(string(task.State), 40))
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
