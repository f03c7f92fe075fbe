package vidu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
)

const (
	defaultMaxDownload = 2 << 30
	maxRedirects       = 5
)

// DownloadOption changes what [Client.Download] and [Client.DownloadFile] fetch, and how.
type DownloadOption func(*downloadConfig)

type downloadConfig struct {
	link      func(Creation) string
	what      string
	progress  func(done, total int64)
	maxBytes  int64
	overwrite bool
}

// WithProgressBytes calls fn as the download proceeds, in the goroutine that downloads: done bytes of total, which is
// -1 when the server does not say.
func WithProgressBytes(fn func(done, total int64)) DownloadOption {
	return func(d *downloadConfig) { d.progress = fn }
}

// WithWatermarked fetches the video with the watermark. There is one only if the request asked for it.
func WithWatermarked() DownloadOption {
	return func(d *downloadConfig) {
		d.what, d.link = "watermarked video", func(c Creation) string { return c.WatermarkedURL }
	}
}

// WithCover fetches the still image instead of the video.
func WithCover() DownloadOption {
	return func(d *downloadConfig) { d.what, d.link = "cover", func(c Creation) string { return c.CoverURL } }
}

// WithMaxBytes gives up on a file of more than n bytes. The default is 2 GiB.
func WithMaxBytes(n int64) DownloadOption {
	return func(d *downloadConfig) { d.maxBytes = n }
}

// WithOverwrite lets [Client.DownloadFile] replace an existing file, whole and at once. The default is to keep it and
// return [fs.ErrExist].
func WithOverwrite() DownloadOption {
	return func(d *downloadConfig) { d.overwrite = true }
}

func downloadOptions(opts []DownloadOption) *downloadConfig {
	d := &downloadConfig{
		what: "video", link: func(c Creation) string { return c.URL }, maxBytes: defaultMaxDownload,
	}
	for _, opt := range opts {
		opt(d)
	}
	return d
}

// Download writes the video of a finished task to w and returns the number of bytes written. The key is not sent: the
// link lies on another host and needs none. After an error w holds a part of the video; [Client.DownloadFile] leaves
// nothing behind.
func (c *Client) Download(ctx context.Context, task *Task, w io.Writer, opts ...DownloadOption) (int64, error) {
	if err := c.ready(ctx); err != nil {
		return 0, err
	}
	return c.download(ctx, task, w, downloadOptions(opts))
}

// DownloadFile writes the video of a finished task to a file and returns its size. The file appears whole or not at
// all: the bytes go to a temporary file beside it, which is synced and renamed at the end and removed after an error.
// The file's mode is 0600. An existing file is kept and [fs.ErrExist] returned, unless [WithOverwrite] is given.
func (c *Client) DownloadFile(ctx context.Context, task *Task, path string, opts ...DownloadOption) (int64, error) {
	if err := c.ready(ctx); err != nil {
		return 0, err
	}
	d := downloadOptions(opts)
	if err := checkTarget(path, d.overwrite); err != nil {
		return 0, fmt.Errorf("vidu: download: %w", err)
	}
	part, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.part")
	if err != nil {
		return 0, fmt.Errorf("vidu: download: %w", err)
	}
	defer os.Remove(part.Name()) //nolint:errcheck // gone already after a success
	n, err := c.download(ctx, task, part, d)
	if err == nil {
		err = part.Sync()
	}
	if err = errors.Join(err, part.Close()); err != nil {
		return 0, err
	}
	if err := moveInto(part.Name(), path, d.overwrite); err != nil {
		return 0, fmt.Errorf("vidu: download: %w", err)
	}
	return n, nil
}

// checkTarget fails before the download what would fail after it.
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

// moveInto gives the finished file its name. Without overwrite it is linked, which, unlike a rename, fails when the
// name was taken meanwhile.
func moveInto(part, path string, overwrite bool) error {
	if overwrite {
		return os.Rename(part, path)
	}
	err := os.Link(part, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := checkTarget(path, false); err != nil { // a file system without hard links
		return err
	}
	return os.Rename(part, path)
}

func (c *Client) download(ctx context.Context, task *Task, w io.Writer, d *downloadConfig) (int64, error) {
	link, err := d.linkOf(task)
	if err != nil {
		return 0, err
	}
	n, err := c.fetch(ctx, link, w, d)
	if err != nil {
		return n, fmt.Errorf("vidu: download %s of task %s: %w", d.what, task.ID, err)
	}
	return n, nil
}

// linkOf finds the link, or says why there is none.
func (d *downloadConfig) linkOf(task *Task) (string, error) {
	switch {
	case task == nil:
		return "", errors.New("vidu: download: the task is nil")
	case !task.Done():
		return "", fmt.Errorf("vidu: download: task %s is %s, not finished", task.ID, oneLine(string(task.State), 40))
	case task.State != StateSuccess:
		return "", &TaskError{Task: task}
	}
	for _, creation := range task.Creations {
		if link := d.link(creation); link != "" {
			return link, nil
		}
	}
	return "", fmt.Errorf("vidu: download: task %s has no link to a %s", task.ID, d.what)
}

// fetch copies what link refers to. Only the link itself is sent, byte for byte as it was received: its query is
// signed.
func (c *Client) fetch(ctx context.Context, link string, w io.Writer, d *downloadConfig) (int64, error) {
	u, err := c.parseLink(link)
	if err != nil {
		return 0, err
	}
	client := *c.downloads
	client.CheckRedirect = c.checkHop
	resp, err := client.Do((&http.Request{
		Method: http.MethodGet, URL: u, Host: u.Host,
		Header: http.Header{"Accept-Encoding": c.encoding, "User-Agent": c.userAgent},
	}).WithContext(ctx))
	if err != nil {
		return 0, transportError(ctx, err)
	}
	defer resp.Body.Close()
	switch encoding := resp.Header.Get("Content-Encoding"); {
	case resp.StatusCode != http.StatusOK:
		return 0, fmt.Errorf("%s answered HTTP %d", redactURL(link), resp.StatusCode)
	case encoding != "" && encoding != "identity":
		return 0, fmt.Errorf("the file is encoded as %s, which was not asked for", oneLine(encoding, 20))
	case resp.ContentLength > d.maxBytes:
		return 0, fmt.Errorf("the file has %d bytes, more than the limit of %d", resp.ContentLength, d.maxBytes)
	}
	n, err := io.Copy(w, &progressReader{r: io.LimitReader(resp.Body, d.maxBytes+1), total: resp.ContentLength, report: d.progress})
	switch {
	case err != nil:
		return n, fmt.Errorf("after %d bytes: %w", n, transportError(ctx, err))
	case n > d.maxBytes:
		return n, fmt.Errorf("the file has more than %d bytes", d.maxBytes)
	case resp.ContentLength >= 0 && n != resp.ContentLength:
		return n, fmt.Errorf("after %d of %d bytes: %w", n, resp.ContentLength, io.ErrUnexpectedEOF)
	}
	return n, nil
}

// parseLink refuses links that no result has. Plain http is for the loopback servers of tests.
func (c *Client) parseLink(link string) (*url.URL, error) {
	u, err := url.Parse(link)
	if err != nil {
		return nil, errors.New("the link is not a URL")
	}
	if err := c.checkScheme(u); err != nil {
		return nil, err
	}
	return u, nil
}

func (c *Client) checkScheme(u *url.URL) error {
	if u.Host == "" || u.User != nil || (u.Scheme != "https" && (u.Scheme != "http" || !c.insecureHTTP)) {
		return fmt.Errorf("%s is not an https link", redactURL(u.String()))
	}
	return nil
}

func (c *Client) checkHop(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	req.Header.Del("Referer") // it would tell the signed query to the next host
	return c.checkScheme(req.URL)
}

type progressReader struct {
	r           io.Reader
	done, total int64
	report      func(done, total int64)
}

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.done += int64(n)
	if p.report != nil && n > 0 {
		p.report(p.done, p.total)
	}
	return n, err
}
