package vidu_test

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

// The tests in this file check the client and the fake against each other: what one plays, the other must see through.

// fakeUse is a client and the fake that it speaks to, in a bubble. Retries wait a second each.
type fakeUse struct {
	*vidu.Client
	server *vidutest.Server
}

// useFake runs test in a bubble, with tasks that are done at once unless opts say otherwise.
func useFake(t *testing.T, test func(t *testing.T, use fakeUse), opts ...vidutest.Option) {
	t.Helper()
	useFakeBy(t, test, nil, opts...)
}

// useFakeBy is useFake with a client of other ways.
func useFakeBy(t *testing.T, test func(t *testing.T, use fakeUse), ways vidu.Option, opts ...vidutest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		server := vidutest.NewServer(append([]vidutest.Option{vidutest.InMemory(), vidutest.WithTiming(0, 0)}, opts...)...)
		defer server.Close()
		client, err := vidu.NewClient(server.URL, vidutest.APIKey, ways,
			vidu.WithHTTPClient(&http.Client{Transport: server.Transport()}),
			vidu.WithBackoff(func(int) time.Duration { return time.Second }))
		require.NoError(t, err)
		test(t, fakeUse{client, server})
	})
}

func useRequest() *vidu.Reference2VideoRequest {
	return &vidu.Reference2VideoRequest{
		Model:  vidu.ModelQ2Pro,
		Images: []vidu.Media{vidu.URL("https://example.com/hero.png")},
		Prompt: "The astronaut waved.",
	}
}

// make creates a task and waits until it is done.
func (use fakeUse) make(t *testing.T) *vidu.Task {
	t.Helper()
	task, err := use.Reference2Video(t.Context(), useRequest())
	require.NoError(t, err)
	task, err = use.Wait(t.Context(), task.ID)
	require.NoError(t, err)
	return task
}

// video fetches what the fake has for a task, past the client.
func (use fakeUse) video(t *testing.T, id string) []byte {
	t.Helper()
	task, err := use.GetTask(t.Context(), id)
	require.NoError(t, err)
	creation, ok := task.Video()
	require.True(t, ok)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, creation.URL, http.NoBody)
	require.NoError(t, err)
	resp, err := use.server.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	video, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return video
}

// downloads tells what was asked for at the links, and how it was answered.
func (use fakeUse) downloads() []string {
	asked := []string{}
	for _, r := range use.server.Downloads() {
		line := fmt.Sprint(r.Header.Get("Range"), " ", r.Status)
		if r.Header.Get("Range") != "" && r.Header.Get("If-Range") == "" {
			line += " without If-Range"
		}
		asked = append(asked, strings.TrimSpace(line))
	}
	return asked
}

// creates counts the creates that the fake has seen.
func (use fakeUse) creates() int {
	return len(slices.DeleteFunc(use.server.Requests(), func(r vidutest.Request) bool { return r.Method != http.MethodPost }))
}

// useDownload is a row of [TestUse_Downloads]: a fake and its script, and what becomes of a download into a file.
type useDownload struct {
	opts     []vidutest.Option
	script   func(*vidutest.Server)
	age      time.Duration // of the links when the download begins
	download []vidu.DownloadOption
	size     int      // of the video, 0 for the 9096 bytes of the clip
	asked    []string // of the links, and their answers
	fails    string   // with these words; and then there is no file
}

func useScripts(all ...func(*vidutest.Server)) func(*vidutest.Server) {
	return func(s *vidutest.Server) {
		for _, script := range all {
			script(s)
		}
	}
}

func useCut(after int64) func(*vidutest.Server) {
	return func(s *vidutest.Server) { s.CutDownload(after) }
}

func useReplace(after int64) func(*vidutest.Server) {
	return func(s *vidutest.Server) { s.ReplaceVideo(after) }
}

var useDownloads = map[string]useDownload{
	"nothing goes wrong":        {asked: []string{"200"}},
	"cut, resumed":              {script: useCut(1000), asked: []string{"200", "bytes=1000- 206"}},
	"cut before the first byte": {script: useCut(0), asked: []string{"200", "200"}},
	"cut behind the end":        {script: useCut(9096), asked: []string{"200"}},
	"cut twice":                 {script: useScripts(useCut(1000), useCut(2000)), asked: []string{"200", "bytes=1000- 206", "bytes=3000- 206"}},
	"cut again and again": {
		script: useScripts(useCut(0), useCut(0), useCut(0), useCut(0), useCut(0)),
		asked:  []string{"200", "200", "200", "200", "200"}, fails: "unexpected EOF",
	},

	"replaced, started over": {script: useReplace(1000), asked: []string{"200", "bytes=1000- 200"}},
	"replaced twice": {
		script: useScripts(useReplace(1000), useReplace(2000)), asked: []string{"200", "bytes=1000- 200", "bytes=2000- 200"},
	},
	"cut, resumed, replaced": {
		script: useScripts(useCut(1000), useReplace(1000)), asked: []string{"200", "bytes=1000- 206", "bytes=2000- 200"},
	},

	"link expired, renewed": {
		opts: []vidutest.Option{vidutest.WithLinkLifetime(time.Minute)}, age: time.Minute, asked: []string{"403", "200"},
	},
	"link about to expire": {
		opts: []vidutest.Option{vidutest.WithLinkLifetime(time.Minute)}, age: time.Minute - 1, asked: []string{"200"},
	},
	"link expired in the middle": {
		opts: []vidutest.Option{vidutest.WithLinkLifetime(time.Second)}, script: useCut(1000),
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
		opts: []vidutest.Option{vidutest.WithVideoSize(300_000)}, size: 300_000, script: useCut(299_999),
		asked: []string{"200", "bytes=299999- 206"},
	},
	"larger than wanted": {
		opts: []vidutest.Option{vidutest.WithVideoSize(300_000)}, size: 300_000,
		download: []vidu.DownloadOption{vidu.WithMaxBytes(299_999)},
		asked:    []string{"200"}, fails: "more than the limit of 299999",
	},

	"no ranges": {opts: []vidutest.Option{vidutest.WithoutRanges()}, asked: []string{"200"}},
	"no ranges, cut, started over": {
		opts: []vidutest.Option{vidutest.WithoutRanges()}, script: useCut(1000), asked: []string{"200", "bytes=1000- 200"},
	},

	"no length": {opts: []vidutest.Option{vidutest.WithoutContentLength()}, asked: []string{"200"}},
	"no length, cut": {
		opts: []vidutest.Option{vidutest.WithoutContentLength()}, script: useCut(1000), asked: []string{"200", "bytes=1000- 206"},
	},
	"no length, no ranges, cut": {
		opts:   []vidutest.Option{vidutest.WithoutContentLength(), vidutest.WithoutRanges()},
		script: useCut(1000), asked: []string{"200", "bytes=1000- 200"},
	},
	"no length, replaced": {
		opts: []vidutest.Option{vidutest.WithoutContentLength()}, script: useReplace(1000),
		asked: []string{"200", "bytes=1000- 200"},
	},
	"no length, larger than wanted": {
		opts:     []vidutest.Option{vidutest.WithoutContentLength()},
		download: []vidu.DownloadOption{vidu.WithMaxBytes(9095)},
		asked:    []string{"200"}, fails: "more than 9095 bytes",
	},
}

// Whatever happens to a download, the file is the fake's video to the last byte, or there is none and an error says why.
func TestUse_Downloads(t *testing.T) {
	t.Parallel()
	for name, tt := range useDownloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			useFake(t, func(t *testing.T, use fakeUse) {
				t.Helper()
				task := use.make(t)
				usePass(tt.age)
				if tt.script != nil {
					tt.script(use.server)
				}
				path := filepath.Join(t.TempDir(), "hero.mp4")
				n, err := use.DownloadFile(t.Context(), task, path, tt.download...)
				assert.Equal(t, tt.asked, use.downloads())
				assert.Equal(t, 1, use.server.Charged())
				if tt.fails != "" {
					require.ErrorContains(t, err, tt.fails)
					assert.Empty(t, useEntries(t, filepath.Dir(path)))
					return
				}
				require.NoError(t, err)
				got, err := os.ReadFile(path)
				require.NoError(t, err)
				assert.True(t, bytes.Equal(use.video(t, task.ID), got), "the file is not the video")
				assert.EqualValues(t, max(tt.size, 9096), n, "bytes reported")
				assert.Equal(t, max(tt.size, 9096), len(got)) //nolint:testifylint // Len would print the video
			}, tt.opts...)
		})
	}
}

func useEntries(t *testing.T, dir string) []string {
	t.Helper()
	found, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := []string{}
	for _, entry := range found {
		names = append(names, entry.Name())
	}
	return names
}

// A writer cannot be started over: what would have to be ends with an error, and what can be resumed is whole.
func TestUse_DownloadsToAWriter(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts   []vidutest.Option
		script func(*vidutest.Server)
		fails  error
	}{
		"cut":                {script: useCut(1000)},
		"no length, cut":     {opts: []vidutest.Option{vidutest.WithoutContentLength()}, script: useCut(1000)},
		"replaced":           {script: useReplace(1000), fails: errUseAny},
		"no ranges, cut":     {opts: []vidutest.Option{vidutest.WithoutRanges()}, script: useCut(1000), fails: errUseAny},
		"cut again and over": {script: useScripts(useCut(1000), useCut(0), useCut(0), useCut(0), useCut(0), useCut(0)), fails: io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			useFake(t, func(t *testing.T, use fakeUse) {
				t.Helper()
				task := use.make(t)
				first := use.video(t, task.ID)
				tt.script(use.server)
				var out bytes.Buffer
				n, err := use.Download(t.Context(), task, &out)
				assert.EqualValues(t, out.Len(), n)
				if tt.fails == nil {
					require.NoError(t, err)
					assert.True(t, bytes.Equal(first, out.Bytes()), "what was written is not the video")
					return
				}
				require.Error(t, err)
				if !errors.Is(tt.fails, errUseAny) {
					require.ErrorIs(t, err, tt.fails)
				}
				require.ErrorContains(t, err, "after 1000 bytes")
				assert.True(t, bytes.Equal(first[:1000], out.Bytes()), "two videos are mixed")
			}, tt.opts...)
		})
	}
}

var errUseAny = errors.New("any")

// A create answered in every way that AnswerNext can play, and what the client makes of it.
func TestUse_AnswerNext(t *testing.T) {
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
			answer:  useAnswer(http.StatusTooManyRequests, http.Header{"Retry-After": {"30"}}, ""),
			charged: 1, creates: 2, after: 30 * time.Second,
		},
		"429 with Retry-After as a date": {
			answer:  useAnswer(http.StatusTooManyRequests, http.Header{"Retry-After": {"Sat, 01 Jan 2000 00:00:20 GMT"}}, quota),
			charged: 1, creates: 2, after: 20 * time.Second,
		},
		"502 of a proxy": {
			answer: useAnswer(http.StatusBadGateway, http.Header{"X-Oneapi-Request-Id": {"20261122"}}, "<html>Bad Gateway</html>"),
			is:     vidu.ErrMaybeCreated, traceID: "20261122", creates: 1,
		},
		"502 without a body": {answer: useAnswer(http.StatusBadGateway, nil, ""), is: vidu.ErrMaybeCreated, creates: 1},
		"200 without a body": {answer: useAnswer(http.StatusOK, nil, ""), is: vidu.ErrMaybeCreated, creates: 1},
		"204":                {answer: useAnswer(http.StatusNoContent, nil, ""), is: vidu.ErrMaybeCreated, creates: 1},
		"a hang-up":          {answer: useHangUp, is: vidu.ErrMaybeCreated, creates: 1},
		"a redirect": {
			answer: useAnswer(http.StatusTemporaryRedirect, http.Header{"Location": {"/vidu/v2/reference2video"}}, ""),
			is:     errUseAny, creates: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			useFake(t, func(t *testing.T, use fakeUse) {
				t.Helper()
				began := time.Now()
				use.server.AnswerNext("POST /reference2video", tt.answer)
				task, err := use.Reference2Video(t.Context(), useRequest())
				assert.Equal(t, tt.charged, use.server.Charged())
				assert.Equal(t, tt.creates, use.creates())
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

// useAnswer is a handler that gives one answer and reads nothing.
func useAnswer(status int, header http.Header, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func useHangUp(http.ResponseWriter, *http.Request) {
	panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to cut a connection
}

// A 502 that is meant for a create hits it, although somebody polls all the time.
func TestUse_AnswerNext_BesideAPoller(t *testing.T) {
	t.Parallel()
	useFake(t, func(t *testing.T, use fakeUse) {
		t.Helper()
		running, err := use.Reference2Video(t.Context(), useRequest())
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		polled := make(chan error, 1)
		go func() {
			_, err := use.Wait(ctx, running.ID, vidu.WithPollInterval(100*time.Millisecond))
			polled <- err
		}()
		usePass(5 * time.Second)
		use.server.AnswerNext("POST /reference2video", useAnswer(http.StatusBadGateway, nil, "<html>Bad Gateway</html>"))
		usePass(5 * time.Second)

		_, err = use.Reference2Video(t.Context(), useRequest())
		require.ErrorIs(t, err, vidu.ErrMaybeCreated)
		require.NoError(t, <-polled, "the poller was not hit")
		assert.Equal(t, 1, use.server.Charged())
		assert.Equal(t, 2, use.creates())
	}, vidutest.WithTiming(time.Minute, time.Minute))
}

// An answer that breaks off: what costs nothing is asked again, and a create yields what the first half says, the id.
func TestUse_DropMidBody(t *testing.T) {
	t.Parallel()
	var picture bytes.Buffer
	require.NoError(t, png.Encode(&picture, image.NewGray(image.Rect(0, 0, 300, 300))))
	for name, tt := range map[string]struct {
		call    func(ctx context.Context, use fakeUse, id string) error
		sent    int
		charged int // the one that was there before included
	}{
		"create, and query": {func(ctx context.Context, use fakeUse, _ string) error {
			task, err := use.Reference2Video(ctx, useRequest())
			if err == nil {
				_, err = use.GetTask(ctx, task.ID)
			}
			return err
		}, 2, 2},
		"query": {func(ctx context.Context, use fakeUse, id string) error {
			_, err := use.GetTask(ctx, id)
			return err
		}, 2, 1},
		"list": {func(ctx context.Context, use fakeUse, _ string) error {
			_, err := use.ListTasks(ctx, &vidu.ListTasksRequest{})
			return err
		}, 2, 1},
		"credits": {func(ctx context.Context, use fakeUse, _ string) error {
			_, err := use.GetCredits(ctx)
			return err
		}, 2, 1},
		"upload: the start twice, the image, the finish": {func(ctx context.Context, use fakeUse, _ string) error {
			_, err := use.UploadImage(ctx, vidu.Bytes(picture.Bytes()))
			return err
		}, 4, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			useFakeBy(t, func(t *testing.T, use fakeUse) {
				t.Helper()
				task := use.make(t)
				before := len(use.server.Requests())
				use.server.DropMidBody()
				require.NoError(t, tt.call(t.Context(), use, task.ID))
				assert.Equal(t, tt.sent, len(use.server.Requests())-before)
				assert.Equal(t, tt.charged, use.server.Charged())
			}, vidu.WithOfficialAPI(), vidutest.WithOfficialAPI())
		})
	}
}

// usePass lets d go by on the clock of a bubble.
func usePass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // in a bubble nobody waits
}
