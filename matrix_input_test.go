package vidu_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// unreachable is a rig whose every request fails the test.
func unreachable(t *testing.T) *rig {
	t.Helper()
	return newRig(t, someHost, withTransport(func(req *http.Request) (*http.Response, error) {
		assert.Fail(t, "a request was sent: "+req.Method+" "+req.URL.Path)
		return nil, errors.New("sent")
	}))
}

// refusesField checks that a request is refused for field before anything is sent.
func refusesField(t *testing.T, req *vidu.Reference2VideoRequest, field, says string) {
	t.Helper()
	_, err := unreachable(t).Reference2Video(t.Context(), req)
	assertNotCreated(t, err)
	assert.Contains(t, problemFields(t, err), field)
	require.ErrorContains(t, err, says)
}

func TestU01_TaskIDsOfEveryMethod(t *testing.T) {
	t.Parallel()
	r := unreachable(t)
	for _, id := range []string{
		"..", ".", "", "a/b", "../../x", "a?b", "a#b", "%2e%2e", "a%2fb", "a b", "\n", "ü", strings.Repeat("a", 10_000),
	} {
		_, err := r.GetTask(t.Context(), id)
		require.ErrorContains(t, err, "is not a task id")
		assertNotCreated(t, err)
		assertNotCreated(t, r.CancelTask(t.Context(), id))
		_, err = r.Wait(t.Context(), id)
		assertNotCreated(t, err)
		for _, err := range r.WaitAll(t.Context(), []string{id}) {
			assertNotCreated(t, err)
		}
	}
}

func TestU07_LimitsOfTheRequest(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		edit        func(*vidu.Reference2VideoRequest)
		field, says string
	}{
		"prompt":     {func(r *vidu.Reference2VideoRequest) { r.Prompt = strings.Repeat("世", 5001) }, "prompt", "5001 characters"},
		"no prompt":  {func(r *vidu.Reference2VideoRequest) { r.Prompt = "" }, "prompt", "is required"},
		"no model":   {func(r *vidu.Reference2VideoRequest) { r.Model = "" }, "model", "is required"},
		"images":     {func(r *vidu.Reference2VideoRequest) { r.Images = imageLinks(8) }, "images", "8 items"},
		"duration":   {func(r *vidu.Reference2VideoRequest) { r.Duration = 11 }, "duration", "11 s"},
		"resolution": {func(r *vidu.Reference2VideoRequest) { r.Resolution = vidu.Resolution360p }, "resolution", "360p is not supported"},
		"body":       {func(r *vidu.Reference2VideoRequest) { r.Images = []vidu.Media{vidu.Bytes(testkit.BigPNG(t, 16<<20))} }, "body", "at most 20971520"},
		"extra":      {func(r *vidu.Reference2VideoRequest) { r.Extra = map[string]any{"Seed": 1} }, "extra", "is a field of the request"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := smallRequest()
			tt.edit(req)
			refusesField(t, req, tt.field, tt.says)
		})
	}
}

func TestU08_LongPayload(t *testing.T) {
	t.Parallel()
	const limit = 1_048_576
	req := smallRequest()
	req.Payload = strings.Repeat("世", limit+1)
	refusesField(t, req, "payload", fmt.Sprintf("has %d characters (%d bytes), at most %d characters", limit+1, 3*(limit+1), limit))
	req.Payload = strings.Repeat("世", limit)
	require.NoError(t, req.Validate())
}

// An API that never answered is asked with the headers of ours and no others, whatever options are given.
func TestU09_HeadersAreOurs(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]vidu.Option{
		"user agent":  vidu.WithUserAgent("x\r\nIdempotency-Key: 1"),
		"auth scheme": vidu.WithAuthScheme("Bearer x\r\nHost: evil.example.com"),
		"API path":    vidu.WithAPIPath("/v2\r\nAuthorization: none"),
	} {
		_, err := vidu.NewClient(someHost, testkit.Key, opt)
		assertNotCreated(t, err)
		assert.NotContains(t, err.Error(), "\r", name)
	}
	var seen http.Header
	var host string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen, host = r.Header, r.Host
		io.WriteString(w, createdReply)
	}))
	defer server.Close()
	_, err := newRig(t, server.URL, vidu.WithUserAgent("service/1")).create(t)
	require.NoError(t, err)
	assert.Equal(t, strings.TrimPrefix(server.URL, "http://"), host)
	for name := range seen {
		assert.Contains(t, []string{"Authorization", "Content-Type", "Content-Length", "Accept-Encoding", "User-Agent", "Connection"}, name)
	}
}

func TestU10_CallbackURLs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		link string
		says string // "" where the server has the word
	}{
		"user":          {"https://user:secret@example.com/callback", "user name or password"},
		"fragment":      {"https://example.com/callback#secret", "fragment"},
		"other scheme":  {"ftp://example.com/callback", "absolute http or https URL"},
		"relative":      {"/callback", "absolute http or https URL"},
		"no URL":        {"https://exa mple.com/%zz", "absolute http or https URL"},
		"https":         {"https://example.com/callback?job=1", ""},
		"http":          {"http://example.com/callback", ""},
		"private":       {"https://10.0.0.1/callback", ""},
		"loopback":      {"http://localhost:8080/callback", ""},
		"empty is none": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := smallRequest()
			req.CallbackURL = tt.link
			if tt.says == "" {
				require.NoError(t, req.Validate())
				return
			}
			refusesField(t, req, "callback_url", tt.says)
			assert.NotContains(t, req.Validate().Error(), "secret")
		})
	}
}

func TestU11_LocalImages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string, data []byte) string {
		full := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(full, data, 0o600))
		return full
	}
	loop := filepath.Join(dir, "loop.png")
	if os.Symlink(loop, loop) != nil {
		loop = filepath.Join(dir, "none.png") // where there are no links there are no loops
	}
	huge := path("huge.png", testkit.BigPNG(t, 4096))
	require.NoError(t, os.Truncate(huge, 51<<20))
	for name, tt := range map[string]struct{ file, says string }{
		"missing":   {filepath.Join(dir, "missing.png"), "missing.png"},
		"directory": {dir, "is not a regular file"},
		"device":    {os.DevNull, "is not a regular file"},
		"51 MB":     {huge, "at most 52428800 are allowed"},
		"loop":      {loop, filepath.Base(loop)},
		"empty":     {path("empty.png", nil), "is empty"},
		"no image":  {path("text.png", []byte("hello")), "is text/plain"},
		"no name":   {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := smallRequest()
			req.Images = []vidu.Media{vidu.File(tt.file)}
			refusesField(t, req, "images[0]", tt.says)
		})
	}
	t.Run("changes while it is read", func(t *testing.T) {
		t.Parallel()
		w := testkit.ServeReply(t, 200, createdReply)
		req := smallRequest()
		req.Images = []vidu.Media{vidu.FS(&testkit.ChangingFS{Files: []*fstest.MapFile{
			{Data: testkit.BigPNG(t, 4000), ModTime: time.Unix(1, 0)}, {Data: testkit.BigPNG(t, 4000), ModTime: time.Unix(2, 0)},
		}}, "hero.png")}
		_, err := newRig(t, w.URL).Reference2Video(t.Context(), req)
		assertNotCreated(t, err)
		require.ErrorContains(t, err, "images[0] (hero.png): changed")
		assert.Zero(t, w.Complete.Load())
	})
}

func TestU12_NilOfEveryMethod(t *testing.T) {
	t.Parallel()
	var none *vidu.Client
	for name, client := range map[string]*vidu.Client{"nil": none, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := map[string]func() error{
				"CancelTask": func() error { return client.CancelTask(t.Context(), "1") },
				"ListTasks":  func() error { _, err := client.ListTasks(t.Context(), nil); return err },
				"FindTask":   func() error { _, err := client.FindTask(t.Context(), "job-42", time.Now()); return err },
				"GetCredits": func() error { _, err := client.GetCredits(t.Context()); return err },
			}
			for method, call := range calls {
				require.ErrorContains(t, call(), "NewClient", method)
			}
			for _, err := range client.AllTasks(t.Context(), nil) {
				require.ErrorContains(t, err, "NewClient")
			}
			for _, err := range client.WaitAll(t.Context(), []string{"1"}) {
				require.ErrorContains(t, err, "NewClient")
			}
		})
	}
	_, err := unreachable(t).ListTasks(nil, nil) //nolint:staticcheck // a nil context is the point
	require.ErrorContains(t, err, "context is nil")
	assert.NotPanics(t, func() { _, err = vidu.NewClient(someHost, testkit.Key, nil, vidu.WithLogger(nil)) })
	require.NoError(t, err)
}

// The clocks of server and client disagree by an hour: when to ask is a matter of the monotonic clock alone.
func TestU13_ClockIsOff(t *testing.T) {
	t.Parallel()
	schedule := func(t *testing.T, off time.Duration) (at []time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			client, p := scriptedClient(t, func(req *http.Request, n int) (*http.Response, error) {
				state := []string{"queueing", "processing", "processing", "processing", "success"}[min(n, 4)]
				theirs := time.Now().Add(off).UTC()
				resp, err := testkit.Reply(req, 200, fmt.Sprintf(
					`{"state":%q,"created_at":%q,"creations":[{"url":"https://h/x.mp4"}]}`, state, theirs.Format(time.RFC3339)))
				resp.Header.Set("Date", theirs.Format(http.TimeFormat))
				return resp, err
			})
			client.SetJitter(func() float64 { return 0.5 })
			_, err := client.Wait(t.Context(), "1")
			require.NoError(t, err)
			at = p.at
		})
		return at
	}
	right := schedule(t, 0)
	assert.Equal(t, right, schedule(t, time.Hour))
	assert.Equal(t, right, schedule(t, -time.Hour))

	for name, tt := range map[string]struct{ off, took time.Duration }{
		"server ahead":  {time.Hour, 2 * time.Minute},
		"server behind": {-time.Hour, 0},
	} {
		t.Run("Retry-After, "+name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, someHost, withTransport(func(req *http.Request) (*http.Response, error) {
					resp, err := testkit.Reply(req, 429, "")
					resp.Header.Set("Retry-After", time.Now().Add(tt.off+10*time.Second).UTC().Format(http.TimeFormat))
					return resp, err
				}))
				started := time.Now()
				_, err := r.create(t)
				assertNotCreated(t, err)
				assert.Equal(t, tt.took, time.Since(started))
			})
		})
	}
}

// proxyVariable is set for the process that TestU14_EnvironmentProxy starts.
const proxyVariable = "VIDU_TEST_PROXY"

// net/http reads the environment once in a process, so this needs one of its own.
func TestU14_EnvironmentProxy(t *testing.T) {
	t.Parallel()
	if os.Getenv(proxyVariable) != "" {
		sendsThroughTheProxy(t)
		return
	}
	var proxied atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host == "gateway.example.com" {
			proxied.Add(1)
		}
		io.Copy(io.Discard, r.Body) //nolint:errcheck // the answer shows
		io.WriteString(w, createdReply)
	}))
	defer proxy.Close()
	self := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestU14_EnvironmentProxy$")
	self.Env = append(os.Environ(), proxyVariable+"=1", "NO_PROXY=direct.example.invalid",
		"HTTP_PROXY="+strings.Replace(proxy.URL, "//", "//user:proxy-password@", 1))
	out, err := self.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, int64(2), proxied.Load())
}

func sendsThroughTheProxy(t *testing.T) {
	t.Helper()
	r := newRig(t, "http://gateway.example.com", vidu.WithInsecureHTTP())
	task, err := r.create(t)
	assertCreated(t, task, err)
	_, err = r.GetTask(t.Context(), "1")
	require.NoError(t, err)

	direct := newRig(t, "http://direct.example.invalid", vidu.WithInsecureHTTP(), vidu.WithMaxAttempts(1))
	_, err = direct.create(t)
	assertNotCreated(t, err)
	assert.NotContains(t, err.Error(), "proxy", "not sent there")
}

// U06 for whatever else holds a client: the key shows in none of it.
func TestU06_KeyIsInNothingThatHoldsAClient(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	client := newClient(t, someHost)
	holder := struct {
		Client *vidu.Client
		Copies []any
	}{client, []any{client, client.Wait, client.Watch(t.Context(), "1")}}
	fmt.Fprintf(&out, "%v %+v %#v", holder, holder, holder)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("holder", "holder", holder.Client)
	text, err := json.Marshal(map[string]any{"client": client})
	require.NoError(t, err)
	out.Write(text)
	func() {
		defer func() { fmt.Fprint(&out, recover()) }()
		panic(client) //nolint:forbidigo // a panic prints what it is given
	}()
	assert.NotContains(t, out.String(), testkit.Key)
}
