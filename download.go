package vidu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/vidu-go/vidu/internal/fetch"
	"github.com/vidu-go/vidu/internal/scrub"
	"github.com/vidu-go/vidu/internal/transport"
)

const (
	defaultMaxDownload = 2 << 30
	tempAge            = 24 * time.Hour // after it, a temporary file belongs to a process that died
	maxSwept           = 1000           // directory entries looked at for such files
)

// DownloadOption changes what [Client.Download] and [Client.DownloadFile] fetch, and how.
type DownloadOption func(*downloadConfig)

type downloadConfig struct {
	kind      downloadKind
	progress  func(done, total int64)
	maxBytes  int64
	overwrite bool

	hardLink func(from, to string) error // os.Link; tests have others
	sync     func(*os.File) error        // (*os.File).Sync
}

// downloadKind is one of the files that a task results in.
type downloadKind struct {
	name  string
	link  func(Creation) string
	video bool
}

// WithProgressBytes calls fn as the download proceeds, in the goroutine that downloads: done bytes of total, which is
// -1 when the server does not say. done falls back when [Client.DownloadFile] has to start over.
func WithProgressBytes(fn func(done, total int64)) DownloadOption {
	return func(d *downloadConfig) { d.progress = fn }
}

// WithWatermarked fetches the video with the watermark. There is one only if the request asked for it.
func WithWatermarked() DownloadOption {
	return func(d *downloadConfig) {
		d.kind = downloadKind{"watermarked video", func(c Creation) string { return c.WatermarkedURL }, true}
	}
}

// WithCover fetches the still image instead of the video.
func WithCover() DownloadOption {
	return func(d *downloadConfig) {
		d.kind = downloadKind{"cover", func(c Creation) string { return c.CoverURL }, false}
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
	return func(d *downloadConfig) { d.overwrite = true }
}

func downloadOptions(opts []DownloadOption) *downloadConfig {
	d := &downloadConfig{
		kind:     downloadKind{"video", func(c Creation) string { return c.URL }, true},
		maxBytes: defaultMaxDownload, hardLink: os.Link, sync: (*os.File).Sync,
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
// The key is not sent: the link lies on another host and needs none. A link that has expired is renewed once, by asking
// for the task. A transfer that breaks, or brings no byte for 30 s, is resumed where it stopped if the file is provably
// still the same, until 5 tries in a row brought nothing; [WithBackoff] sets the pauses and ctx is the only time limit.
// Under [WithMaxAttempts](1) there is one try.
//
// What calls itself text, JSON or XML is refused: it is a message, not the file. Where the server does not say how long
// the file is, an MP4 must end where its boxes do and a JPEG or PNG with its end mark, nothing behind it, and a WebP
// must have the length that it states; other formats are taken as they come.
//
// w is only ever appended to, whatever else it can do. Where the file has changed or the server cannot resume, Download
// therefore fails and w holds a part of the video; [Client.DownloadFile] starts over instead.
func (c *Client) Download(ctx context.Context, task *Task, w io.Writer, opts ...DownloadOption) (int64, error) {
	if err := c.ready(ctx); err != nil {
		return 0, err
	}
	if w == nil {
		return 0, errors.New("vidu: download: the writer is nil")
	}
	return c.download(ctx, task, downloadOptions(opts), &fetch.Job{Writer: w})
}

// DownloadFile writes the video of a finished task to a file and returns its size. It does what [Client.Download] does,
// and starts over where resuming is impossible.
//
// The file appears whole or not at all: the bytes go to a temporary file in the same directory, .vidu-<random>.part,
// which is synced and renamed at the end and removed after an error. What a killed process leaves of it, a later
// DownloadFile into that directory removes after a day; among more than 1000 files it may stay. If the machine is
// suspended for more than a day during a download, another process may take the temporary file for abandoned and remove
// it; the download then fails at its end.
//
// The file's mode is 0600. An existing file is kept and [fs.ErrExist] returned, unless [WithOverwrite] is given; a
// symbolic link is then replaced, never followed. On a file system without hard links an empty file holds the place for
// a moment.
func (c *Client) DownloadFile(ctx context.Context, task *Task, path string, opts ...DownloadOption) (int64, error) {
	if err := c.ready(ctx); err != nil {
		return 0, err
	}
	d := downloadOptions(opts)
	temp, err := createTemp(path, d.overwrite)
	if err != nil {
		return 0, fmt.Errorf("vidu: download: %w", err)
	}
	defer func() { // also when the caller's progress function panics
		temp.Close()           //nolint:errcheck // commit looks at it
		os.Remove(temp.Name()) //nolint:errcheck // after a success there may be nothing to remove
	}()
	n, err := c.download(ctx, task, d, &fetch.Job{File: temp})
	if err != nil {
		return 0, err
	}
	if err := d.commit(temp, path); err != nil {
		return 0, fmt.Errorf("vidu: download: %w", err)
	}
	return n, nil
}

// downloadError is any failure of a download. Its text is made when it happens: one line, one "vidu: ", no key.
type downloadError struct {
	text  string
	cause error
}

func (e *downloadError) Error() string { return e.text }
func (e *downloadError) Unwrap() error { return e.cause }

// download fills in the rest of job, which says where the bytes go, and runs it.
func (c *Client) download(ctx context.Context, task *Task, d *downloadConfig, job *fetch.Job) (int64, error) {
	link, err := c.linkOf(task, d.kind)
	if err != nil {
		return 0, err
	}
	id := task.ID
	job.Link, job.Name, job.Video, job.MaxBytes, job.Progress = link, d.kind.name, d.kind.video, d.maxBytes, d.progress
	job.Renew = func(ctx context.Context) (*url.URL, error) {
		task, err := c.GetTask(ctx, id)
		if err != nil {
			return nil, err
		}
		return c.linkOf(task, d.kind)
	}
	n, err := fetch.Run(ctx, c.downloadPolicy(), job)
	if err == nil {
		return n, nil
	}
	after := ""
	if n > 0 {
		after = fmt.Sprintf("after %d bytes: ", n)
	}
	text := fmt.Sprintf("download %s of task %s: %s%v", d.kind.name, id, after, err)
	return n, &downloadError{"vidu: " + scrub.OneLine(strings.ReplaceAll(c.redact(text), "vidu: ", ""), 480), err}
}

// downloadPolicy is how this client downloads.
func (c *Client) downloadPolicy() *fetch.Policy {
	p := &fetch.Policy{
		Do:        c.sendDownload,
		Header:    http.Header{"Accept-Encoding": c.encoding, "User-Agent": c.userAgent},
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
	guarded, g := transport.Watch(req.Context(), transport.Sendings, nil)
	resp, err := c.http.Downloads.Do(req.WithContext(guarded))
	if err == nil {
		return resp, nil
	}
	if transport.Stopped(guarded) {
		err = transport.ErrRetried
	}
	g.Release()
	return nil, err
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

// createTemp opens the temporary file. What could keep the finished file from its place fails here, before the
// download.
func createTemp(path string, overwrite bool) (*os.File, error) {
	if path == "" {
		return nil, errors.New("the path is empty")
	}
	if err := checkTarget(path, overwrite); err != nil {
		return nil, err
	}
	sweepTemps(filepath.Dir(path))
	return os.CreateTemp(filepath.Dir(path), ".vidu-*.part") // random, O_EXCL, 0600
}

func checkTarget(path string, overwrite bool) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !overwrite:
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	case !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0:
		return fmt.Errorf("%s is not a regular file", path)
	}
	return nil
}

var tempName = regexp.MustCompile(`^\.vidu-\d+\.part$`)

// sweepTemps removes what processes that were killed left behind. A download that lives writes to its file every few
// minutes; one whose machine slept is the exception that DownloadFile names. A huge directory is not read to its end,
// for that would cost more than the file.
func sweepTemps(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return // creating the file will say why
	}
	defer d.Close()                   //nolint:errcheck // only read
	entries, _ := d.ReadDir(maxSwept) // what could be read is enough
	for _, entry := range entries {
		if !tempName.MatchString(entry.Name()) {
			continue
		}
		info, err := entry.Info()
		if err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > tempAge {
			os.Remove(filepath.Join(dir, entry.Name())) //nolint:errcheck // another process may have been faster
		}
	}
}

// commit makes the temporary file durable and gives it its name.
func (d *downloadConfig) commit(temp *os.File, path string) error {
	if err := errors.Join(d.sync(temp), temp.Close()); err != nil {
		return err
	}
	if err := d.move(temp.Name(), path); err != nil {
		return err
	}
	// The file is there; syncing the directory only lets its name survive a power cut, and not every system can.
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		d.sync(dir) //nolint:errcheck // see above
		dir.Close() //nolint:errcheck // only read
	}
	return nil
}

// move renames. Without overwrite the file is linked, which, unlike a rename, fails when the name was taken meanwhile.
// Where there are no hard links, an empty file of ours takes the name first; a process that is killed then leaves that.
func (d *downloadConfig) move(temp, path string) error {
	if d.overwrite {
		return os.Rename(temp, path)
	}
	err := d.hardLink(temp, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	place, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(place.Close(), os.Rename(temp, path)); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
