package vidutest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

// The tests in this file check the client and the server against each other: a fault of the server and what the client
// makes of it.

// clientAndServer is a client and its server in a bubble. Retries wait a second each.
type clientAndServer struct {
	*vidu.Client
	server *vidutest.Server
}

// withClient runs test in a bubble, with tasks that are done at once unless opts change it.
func withClient(t *testing.T, test func(t *testing.T, c clientAndServer), opts ...vidutest.Option) {
	t.Helper()
	withClientOf(t, test, nil, opts...)
}

// withClientOf is withClient with an option for the client.
func withClientOf(t *testing.T, test func(t *testing.T, c clientAndServer), option vidu.Option, opts ...vidutest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		server := vidutest.NewServer(append([]vidutest.Option{vidutest.InMemory(), vidutest.WithTiming(0, 0)}, opts...)...)
		defer server.Close()
		client, err := vidu.NewClient(server.URL, vidutest.APIKey, option,
			vidu.WithHTTPClient(&http.Client{Transport: server.Transport()}),
			vidu.WithBackoff(func(int) time.Duration { return time.Second }))
		require.NoError(t, err)
		test(t, clientAndServer{client, server})
	})
}

func createRequest() *vidu.Reference2VideoRequest {
	return &vidu.Reference2VideoRequest{
		Model:  vidu.ModelQ2Pro,
		Images: []vidu.Media{vidu.URL("https://example.com/hero.png")},
		Prompt: "The astronaut waved.",
	}
}

// make creates a task and waits until it is done.
func (c clientAndServer) make(t *testing.T) *vidu.Task {
	t.Helper()
	task, err := c.Reference2Video(t.Context(), createRequest())
	require.NoError(t, err)
	task, err = c.Wait(t.Context(), task.ID)
	require.NoError(t, err)
	return task
}

// video returns the video of a task, fetched without the client.
func (c clientAndServer) video(t *testing.T, id string) []byte {
	t.Helper()
	task, err := c.GetTask(t.Context(), id)
	require.NoError(t, err)
	creation, ok := task.Video()
	require.True(t, ok)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, creation.URL, http.NoBody)
	require.NoError(t, err)
	resp, err := c.server.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	video, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return video
}

// downloads lists the requests to links and how they were answered.
func (c clientAndServer) downloads() []string {
	asked := []string{}
	for _, r := range c.server.Downloads() {
		line := fmt.Sprint(r.Header.Get("Range"), " ", r.Status)
		if r.Header.Get("Range") != "" && r.Header.Get("If-Range") == "" {
			line += " without If-Range"
		}
		asked = append(asked, strings.TrimSpace(line))
	}
	return asked
}

// creates counts the creates that the server received.
func (c clientAndServer) creates() int {
	return len(slices.DeleteFunc(c.server.Requests(), func(r vidutest.Request) bool { return r.Method != http.MethodPost }))
}

// downloadCase is a row of [TestClient_Downloads]: a server, its script, and the result of a download into a file.
type downloadCase struct {
	opts     []vidutest.Option
	script   func(*vidutest.Server)
	age      time.Duration // of the links when the download begins
	download []vidu.DownloadOption
	size     int      // of the video, 0 for the 9096 bytes of the clip
	asked    []string // of the links, and their answers
	fails    string   // part of the error; then there is no file
}

func inOrder(all ...func(*vidutest.Server)) func(*vidutest.Server) {
	return func(s *vidutest.Server) {
		for _, script := range all {
			script(s)
		}
	}
}

func cutAfter(after int64) func(*vidutest.Server) {
	return func(s *vidutest.Server) { s.CutDownload(after) }
}

func replaceAfter(after int64) func(*vidutest.Server) {
	return func(s *vidutest.Server) { s.ReplaceVideo(after) }
}

var useDownloads = map[string]downloadCase{
	"nothing goes wrong":        {asked: []string{"200"}},
	"cut, resumed":              {script: cutAfter(1000), asked: []string{"200", "bytes=1000- 206"}},
	"cut before the first byte": {script: cutAfter(0), asked: []string{"200", "200"}},
	"cut behind the end":        {script: cutAfter(9096), asked: []string{"200"}},
	"cut twice":                 {script: inOrder(cutAfter(1000), cutAfter(2000)), asked: []string{"200", "bytes=1000- 206", "bytes=3000- 206"}},
	"cut again and again": {
		script: inOrder(cutAfter(0), cutAfter(0), cutAfter(0), cutAfter(0), cutAfter(0)),
		asked:  []string{"200", "200", "200", "200", "200"}, fails: "unexpected EOF",
	},

	"replaced, started over": {script: replaceAfter(1000), asked: []string{"200", "bytes=1000- 200"}},
	"replaced twice": {
		script: inOrder(replaceAfter(1000), replaceAfter(2000)), asked: []string{"200", "bytes=1000- 200", "bytes=2000- 200"},
	},
	"cut, resumed, replaced": {
		script: inOrder(cutAfter(1000), replaceAfter(1000)), asked: []string{"200", "bytes=1000- 206", "bytes=2000- 200"},
	},

	"link expired, renewed": {
		opts: []vidutest.Option{vidutest.WithLinkLifetime(time.Minute)}, age: time.Minute, asked: []string{"403", "200"},
	},
	"link about to expire": {
		opts: []vidutest.Option{vidutest.WithLinkLifetime(time.Minute)}, age: time.Minute - 1, asked: []string{"200"},
	},
	"link expired in the middle": {
		opts: []vidutest.Option{vidutest.WithLinkLifetime(time.Second)}, script: cutAfter(1000),
		asked: []string{"200", "bytes=1000- 403", "bytes=1000- 206"},
	},
	"link expired, answer to the query cut": {
		opts: []vidutest.Option{vidutest.WithLinkLifetime(time.Minute)}, age: time.Minute,
		script: (*vidutest.Server).DropMidBody, asked: []string{"403", "200"},
	},
	"link expired, nothing to renew it": {
		opts: []vidutest.Option{vidutest.WithLinkLifetime(time.Minute)}, age: time.Minute,
		script: func(s *vidutest.Server) { s.FailNext(http.StatusNotFound, "") },
		asked:  []string{"403"}, fails: "the link has expired",
	},

	"large":                 {opts: []vidutest.Option{vidutest.WithVideoSize(300_000)}, size: 300_000, asked: []string{"200"}},
	"a box without content": {opts: []vidutest.Option{vidutest.WithVideoSize(9097)}, size: 9104, asked: []string{"200"}},
	"large, cut in the box": {
		opts: []vidutest.Option{vidutest.WithVideoSize(300_000)}, size: 300_000, script: cutAfter(299_999),
		asked: []string{"200", "bytes=299999- 206"},
	},
	"larger than wanted": {
		opts: []vidutest.Option{vidutest.WithVideoSize(300_000)}, size: 300_000,
		download: []vidu.DownloadOption{vidu.WithMaxBytes(299_999)},
		asked:    []string{"200"}, fails: "more than the limit of 299999",
	},

	"no ranges": {opts: []vidutest.Option{vidutest.WithoutRanges()}, asked: []string{"200"}},
	"no ranges, cut, started over": {
		opts: []vidutest.Option{vidutest.WithoutRanges()}, script: cutAfter(1000), asked: []string{"200", "bytes=1000- 200"},
	},

	"no length": {opts: []vidutest.Option{vidutest.WithoutContentLength()}, asked: []string{"200"}},
	"no length, cut": {
		opts: []vidutest.Option{vidutest.WithoutContentLength()}, script: cutAfter(1000), asked: []string{"200", "bytes=1000- 206"},
	},
	"no length, no ranges, cut": {
		opts:   []vidutest.Option{vidutest.WithoutContentLength(), vidutest.WithoutRanges()},
		script: cutAfter(1000), asked: []string{"200", "bytes=1000- 200"},
	},
	"no length, replaced": {
		opts: []vidutest.Option{vidutest.WithoutContentLength()}, script: replaceAfter(1000),
		asked: []string{"200", "bytes=1000- 200"},
	},
	"no length, larger than wanted": {
		opts:     []vidutest.Option{vidutest.WithoutContentLength()},
		download: []vidu.DownloadOption{vidu.WithMaxBytes(9095)},
		asked:    []string{"200"}, fails: "more than 9095 bytes",
	},
}

// Whatever happens to a download, the file is the server's video to the last byte, or there is no file and an error.
func TestClient_Downloads(t *testing.T) {
	t.Parallel()
	for name, tt := range useDownloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withClient(t, func(t *testing.T, c clientAndServer) {
				t.Helper()
				task := c.make(t)
				pass(tt.age)
				if tt.script != nil {
					tt.script(c.server)
				}
				path := filepath.Join(t.TempDir(), "hero.mp4")
				n, err := c.DownloadFile(t.Context(), task, path, tt.download...)
				assert.Equal(t, tt.asked, c.downloads())
				assert.Equal(t, 1, c.server.Charged())
				if tt.fails != "" {
					require.ErrorContains(t, err, tt.fails)
					assert.Empty(t, dirEntries(t, filepath.Dir(path)))
					return
				}
				require.NoError(t, err)
				got, err := os.ReadFile(path)
				require.NoError(t, err)
				assert.True(t, bytes.Equal(c.video(t, task.ID), got), "the file is not the video")
				assert.EqualValues(t, max(tt.size, 9096), n, "bytes reported")
				assert.Equal(t, max(tt.size, 9096), len(got)) //nolint:testifylint // Len would print the video
			}, tt.opts...)
		})
	}
}

func dirEntries(t *testing.T, dir string) []string {
	t.Helper()
	found, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := []string{}
	for _, entry := range found {
		names = append(names, entry.Name())
	}
	return names
}

// A writer cannot be rewound: a download that would have to begin again fails, and one that can be resumed is complete.
func TestClient_DownloadToWriter(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts   []vidutest.Option
		script func(*vidutest.Server)
		fails  error
	}{
		"cut":                {script: cutAfter(1000)},
		"no length, cut":     {opts: []vidutest.Option{vidutest.WithoutContentLength()}, script: cutAfter(1000)},
		"replaced":           {script: replaceAfter(1000), fails: errAny},
		"no ranges, cut":     {opts: []vidutest.Option{vidutest.WithoutRanges()}, script: cutAfter(1000), fails: errAny},
		"cut again and over": {script: inOrder(cutAfter(1000), cutAfter(0), cutAfter(0), cutAfter(0), cutAfter(0), cutAfter(0)), fails: io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withClient(t, func(t *testing.T, c clientAndServer) {
				t.Helper()
				task := c.make(t)
				first := c.video(t, task.ID)
				tt.script(c.server)
				var out bytes.Buffer
				n, err := c.Download(t.Context(), task, &out)
				assert.EqualValues(t, out.Len(), n)
				if tt.fails == nil {
					require.NoError(t, err)
					assert.True(t, bytes.Equal(first, out.Bytes()), "what was written is not the video")
					return
				}
				require.Error(t, err)
				if !errors.Is(tt.fails, errAny) {
					require.ErrorIs(t, err, tt.fails)
				}
				require.ErrorContains(t, err, "after 1000 bytes")
				assert.True(t, bytes.Equal(first[:1000], out.Bytes()), "two videos are mixed")
			}, tt.opts...)
		})
	}
}

var errAny = errors.New("any")

// A create is answered in every way that AnswerNext offers.
func TestClient_AnswerNext(t *testing.T) {
	t.Parallel()
	quota := `{"code":429,"reason":"QuotaExceeded","message":"wait"}`
	for name, tt := range map[string]struct {
		answer  http.HandlerFunc
		is      error // nil: the second create is accepted
		traceID string
		charged int
		creates int
		after   time.Duration
	}{
		"429 with Retry-After in seconds": {
			answer:  respond(http.StatusTooManyRequests, http.Header{"Retry-After": {"30"}}, ""),
			charged: 1, creates: 2, after: 30 * time.Second,
		},
		"429 with Retry-After as a date": {
			answer:  respond(http.StatusTooManyRequests, http.Header{"Retry-After": {"Sat, 01 Jan 2000 00:00:20 GMT"}}, quota),
			charged: 1, creates: 2, after: 20 * time.Second,
		},
		"502 of a proxy": {
			answer: respond(http.StatusBadGateway, http.Header{"X-Oneapi-Request-Id": {"20261122"}}, "<html>Bad Gateway</html>"),
			is:     vidu.ErrMaybeCreated, traceID: "20261122", creates: 1,
		},
		"502 without a body": {answer: respond(http.StatusBadGateway, nil, ""), is: vidu.ErrMaybeCreated, creates: 1},
		"200 without a body": {answer: respond(http.StatusOK, nil, ""), is: vidu.ErrMaybeCreated, creates: 1},
		"204":                {answer: respond(http.StatusNoContent, nil, ""), is: vidu.ErrMaybeCreated, creates: 1},
		"a hang-up":          {answer: hangUp, is: vidu.ErrMaybeCreated, creates: 1},
		"a redirect": {
			answer: respond(http.StatusTemporaryRedirect, http.Header{"Location": {"/vidu/v2/reference2video"}}, ""),
			is:     errAny, creates: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withClient(t, func(t *testing.T, c clientAndServer) {
				t.Helper()
				began := time.Now()
				c.server.AnswerNext("POST /reference2video", tt.answer)
				task, err := c.Reference2Video(t.Context(), createRequest())
				assert.Equal(t, tt.charged, c.server.Charged())
				assert.Equal(t, tt.creates, c.creates())
				assert.Equal(t, tt.after, time.Since(began))
				if tt.is == nil {
					require.NoError(t, err)
					assert.NotEmpty(t, task.ID)
					return
				}
				require.Error(t, err)
				assert.Equal(t, errors.Is(tt.is, vidu.ErrMaybeCreated), errors.Is(err, vidu.ErrMaybeCreated))
				if maybe, ok := errors.AsType[*vidu.MaybeCreatedError](err); ok {
					assert.Equal(t, tt.traceID, maybe.TraceID)
				}
			})
		})
	}
}

// respond returns a handler that gives one answer and does not read the request.
func respond(status int, header http.Header, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// A 502 scripted for a create hits the create, although polls arrive all the time.
func TestClient_AnswerNext_WhilePolling(t *testing.T) {
	t.Parallel()
	withClient(t, func(t *testing.T, c clientAndServer) {
		t.Helper()
		running, err := c.Reference2Video(t.Context(), createRequest())
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		polled := make(chan error, 1)
		go func() {
			_, err := c.Wait(ctx, running.ID, vidu.WithPollInterval(100*time.Millisecond))
			polled <- err
		}()
		pass(5 * time.Second)
		c.server.AnswerNext("POST /reference2video", respond(http.StatusBadGateway, nil, "<html>Bad Gateway</html>"))
		pass(5 * time.Second)

		_, err = c.Reference2Video(t.Context(), createRequest())
		require.ErrorIs(t, err, vidu.ErrMaybeCreated)
		require.NoError(t, <-polled, "the poller got an error")
		assert.Equal(t, 1, c.server.Charged())
		assert.Equal(t, 2, c.creates())
	}, vidutest.WithTiming(time.Minute, time.Minute))
}

// An answer breaks off: calls that cost nothing are sent again, and a create returns the id from the first half.
func TestClient_DropMidBody(t *testing.T) {
	t.Parallel()
	var picture bytes.Buffer
	require.NoError(t, png.Encode(&picture, image.NewGray(image.Rect(0, 0, 300, 300))))
	for name, tt := range map[string]struct {
		call    func(ctx context.Context, c clientAndServer, id string) error
		sent    int
		charged int // the one that was there before included
	}{
		"create, and query": {func(ctx context.Context, c clientAndServer, _ string) error {
			task, err := c.Reference2Video(ctx, createRequest())
			if err == nil {
				_, err = c.GetTask(ctx, task.ID)
			}
			return err
		}, 2, 2},
		"query": {func(ctx context.Context, c clientAndServer, id string) error {
			_, err := c.GetTask(ctx, id)
			return err
		}, 2, 1},
		"list": {func(ctx context.Context, c clientAndServer, _ string) error {
			_, err := c.ListTasks(ctx, &vidu.ListTasksRequest{})
			return err
		}, 2, 1},
		"credits": {func(ctx context.Context, c clientAndServer, _ string) error {
			_, err := c.GetCredits(ctx)
			return err
		}, 2, 1},
		"upload: the start twice, the image, the finish": {func(ctx context.Context, c clientAndServer, _ string) error {
			_, err := c.UploadImage(ctx, vidu.Bytes(picture.Bytes()))
			return err
		}, 4, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withClientOf(t, func(t *testing.T, c clientAndServer) {
				t.Helper()
				task := c.make(t)
				before := len(c.server.Requests())
				c.server.DropMidBody()
				require.NoError(t, tt.call(t.Context(), c, task.ID))
				assert.Equal(t, tt.sent, len(c.server.Requests())-before)
				assert.Equal(t, tt.charged, c.server.Charged())
			}, vidu.WithOfficialAPI(), vidutest.WithOfficialAPI())
		})
	}
}
