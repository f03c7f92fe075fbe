package fetch_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/vidu-go/vidu/internal/fetch"
	"github.com/vidu-go/vidu/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// otherFile has another content and the same length as testkit.PlainFile.
var otherFile = strings.ToUpper(testkit.PlainFile)

// policy returns how the tests download: over client, without pauses; the key is masked, unknown hosts are not retried.
func policy(client *http.Client) *fetch.Policy {
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &fetch.Policy{
		Do:     client.Do,
		Header: http.Header{"Accept-Encoding": {"identity"}, "User-Agent": {"test"}},
		CheckLink: func(u *url.URL) error {
			if u.User != nil || u.Scheme != "https" && u.Hostname() != "127.0.0.1" {
				return errors.New("unwanted link")
			}
			return nil
		},
		Redact:    func(text string) string { return strings.ReplaceAll(text, testkit.Key, "[redacted]") },
		Retryable: func(err error) bool { dns, ok := errors.AsType[*net.DNSError](err); return !ok || !dns.IsNotFound },
		Backoff:   func(int) time.Duration { return 0 },
	}
}

// change changes what a test downloads, or how.
type change func(*fetch.Policy, *fetch.Job)

// image downloads a still image.
func image(_ *fetch.Policy, job *fetch.Job) { job.Name = "cover" }

func maxBytes(n int64) change { return func(_ *fetch.Policy, job *fetch.Job) { job.MaxBytes = n } }

func progress(f func(done, total int64)) change {
	return func(_ *fetch.Policy, job *fetch.Job) { job.Progress = f }
}

func pauses(f func(retry int) time.Duration) change {
	return func(p *fetch.Policy, _ *fetch.Job) { p.Backoff = f }
}

// over sends every request with client.
func over(client *http.Client) change {
	return func(p *fetch.Policy, _ *fetch.Job) { p.Do = policy(client).Do }
}

// renewTo renews to link.
func renewTo(link string) change {
	return func(_ *fetch.Policy, job *fetch.Job) {
		job.Renew = func(context.Context) (*url.URL, error) { return url.Parse(link) }
	}
}

// transport sends every request to f instead of the network.
func transport(f testkit.RoundTrip) change { return over(&http.Client{Transport: f}) }

// download downloads link to w, or to a file if w is one. It checks what holds for every error and every log.
func download(ctx context.Context, t *testing.T, link string, w io.Writer, changes ...change) (int64, error) {
	t.Helper()
	pool := &http.Transport{DisableCompression: true}
	defer pool.CloseIdleConnections()
	p, log := policy(&http.Client{Transport: pool}), &testkit.Buffer{}
	p.Log = func(_ context.Context, try fetch.Try) { fmt.Fprintf(log, "%+v\n", try) }
	u, err := url.Parse(link)
	require.NoError(t, err)
	job := &fetch.Job{Link: u, Name: "video", Writer: w, MaxBytes: 2 << 30}
	job.Renew = func(context.Context) (*url.URL, error) {
		t.Error("nobody expects the link to be renewed")
		return u, nil
	}
	if file, ok := w.(*os.File); ok {
		job.File, job.Writer = file, nil
	}
	for _, change := range changes {
		change(p, job)
	}
	n, err := fetch.Run(ctx, p, job)
	if err != nil {
		testkit.AssertSecretFree(t, err)
	}
	assert.NotContains(t, log.String(), "secret")
	assert.NotContains(t, log.String(), testkit.Key)
	return n, err
}

// storage is a server of raw replies that can give its link a new signature.
type storage struct {
	*testkit.Storage
	renewals int
	renewErr error
}

func newStorage(t *testing.T, replies ...testkit.RawReply) *storage {
	t.Helper()
	return &storage{Storage: testkit.ServeRaw(t, replies...)}
}

func (s *storage) renew(_ *fetch.Policy, job *fetch.Job) {
	job.Renew = func(context.Context) (*url.URL, error) {
		s.renewals++
		if s.renewErr != nil {
			return nil, s.renewErr
		}
		return url.Parse(s.URL + "/fresh?sig=secret2")
	}
}

// fetch downloads into a file and returns what is in it.
func (s *storage) fetch(t *testing.T, changes ...change) (string, error) {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	defer file.Close()
	n, err := download(t.Context(), t, s.URL+"/v?sig=secret1", file, append([]change{s.renew}, changes...)...)
	got, readErr := os.ReadFile(file.Name())
	require.NoError(t, readErr)
	assert.Len(t, got, int(n))
	return string(got), err
}

// write downloads to a writer that is not a file.
func (s *storage) write(t *testing.T, w io.Writer) (int64, error) {
	t.Helper()
	return download(t.Context(), t, s.URL+"/v?sig=secret1", w, s.renew)
}

// someLink is where no server is; it goes with transport.
const someLink = "https://h/v?sig=secret"

// stalling is a body that brings some bytes and then nothing until its request is canceled.
type stalling struct {
	ctx  context.Context //nolint:containedctx // of the request
	left io.Reader
}

func (s *stalling) Read(p []byte) (int, error) {
	if n, err := s.left.Read(p); n > 0 || err == nil {
		return n, nil
	}
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func (s *stalling) Close() error { return nil }

// inMemory is a response without a network, which virtual time needs.
func inMemory(r *http.Request, reply string, stalls bool) (*http.Response, error) {
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(reply)), r)
	if err == nil && stalls {
		_, body, _ := strings.Cut(reply, "\r\n\r\n")
		resp.Body = &stalling{r.Context(), strings.NewReader(body)}
	}
	return resp, err
}

// readFunc is a body made of a function.
type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
func (readFunc) Close() error                 { return nil }
