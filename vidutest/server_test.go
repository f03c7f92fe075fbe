package vidutest_test

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

func TestServer_RefusesByHeader(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		set := func(name, value string) func(*http.Request) {
			return func(r *http.Request) { r.Header.Set(name, value) }
		}
		get := func(path string) func(*http.Request) {
			return func(r *http.Request) { r.Method, r.URL.Path = http.MethodGet, path }
		}
		for name, test := range map[string]struct {
			spoil  func(*http.Request)
			status int
			reason string
		}{
			"no key":          {func(r *http.Request) { r.Header.Del("Authorization") }, 401, "Unauthorized"},
			"wrong key":       {set("Authorization", "Bearer nonsense"), 401, "Unauthorized"},
			"bare key":        {set("Authorization", vidutest.APIKey), 401, "Unauthorized"},
			"other scheme":    {set("Authorization", "Token "+vidutest.APIKey), 401, "Unauthorized"},
			"no Content-Type": {func(r *http.Request) { r.Header.Del("Content-Type") }, 415, "UnsupportedMediaType"},
			"form":            {set("Content-Type", "application/x-www-form-urlencoded"), 415, "UnsupportedMediaType"},
			"GET on create":   {get(createPath), 405, "MethodNotAllowed"},
			"POST on query":   {func(r *http.Request) { r.URL.Path = "/vidu/v2/tasks/1/creations" }, 405, "MethodNotAllowed"},
			"other prefix":    {func(r *http.Request) { r.URL.Path = "/ent/v2/reference2video" }, 404, "NotFound"},
			"no path":         {func(r *http.Request) { r.URL.Path = "" }, 404, "NotFound"},
			"double slash":    {func(r *http.Request) { r.URL.Path = "//vidu/v2/reference2video" }, 404, "NotFound"},
			"two elements":    {get("/vidu/v2/tasks/1/2/creations"), 404, "NotFound"},
			"unknown task":    {get("/vidu/v2/tasks/1/creations"), 404, "TaskNotFound"},
			"task with escape": {func(r *http.Request) {
				get("/vidu/v2/tasks/a/b/creations")(r)
				r.URL.RawPath = "/vidu/v2/tasks/a%2Fb/creations"
			}, 404, "TaskNotFound"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := newServer()
				req := newRequest(t, http.MethodPost, s.URL+createPath, strings.NewReader(goodBody))
				test.spoil(req)

				assertRefused(t, do(s, req), test.status, test.reason, "")
				assert.Zero(t, s.Charged())
			})
		}
	})
}

func TestServer_ContentTypeParameter(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	req := newRequest(t, http.MethodPost, s.URL+createPath, strings.NewReader(goodBody))
	req.Header.Set("Content-Type", "application/json; charset=utf-8")

	assert.Equal(t, http.StatusOK, do(s, req).status)
}

func TestNewServer_IgnoresNil(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(nil, vidutest.InMemory(), nil)
	defer s.Close()
	assert.Equal(t, http.StatusOK, create(t, s, goodBody).status)
}

func TestWithAPIKey(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithAPIKey("another"))
	defer s.Close()
	req := newRequest(t, http.MethodPost, s.URL+createPath, strings.NewReader(goodBody))
	req.Header.Set("Authorization", "Bearer another")

	assert.Equal(t, http.StatusOK, do(s, req).status)
	assertRefused(t, create(t, s, goodBody), http.StatusUnauthorized, "Unauthorized", "")
}

func TestWithOfficialAPI(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer(vidutest.WithOfficialAPI())
		body := `{"model":"viduq2","images":["https://example.com/a.png"],"prompt":"p"}`
		req := newRequest(t, http.MethodPost, s.URL+"/ent/v2/reference2video", strings.NewReader(body))
		req.Header.Set("Authorization", "Token "+vidutest.APIKey)
		got := do(s, req)
		require.Equal(t, http.StatusOK, got.status, got.body)
		fields := decode(t, got.body)
		assert.EqualValues(t, 5, fields["duration"])
		assert.Equal(t, "720p", fields["resolution"])
		assert.Equal(t, "auto", fields["movement_amplitude"])

		url := s.URL + "/ent/v2/tasks/" + fields["task_id"].(string) + "/creations"
		req = newRequest(t, http.MethodGet, url, http.NoBody)
		req.Header.Set("Authorization", "Token "+vidutest.APIKey)
		req.Header.Del("Content-Type") // only the gateway wants it on a GET
		assert.Equal(t, http.StatusOK, do(s, req).status)

		req = newRequest(t, http.MethodPost, s.URL+"/ent/v2/reference2video", strings.NewReader(`{"model":"viduq2","prompt":"p"}`))
		req.Header.Set("Authorization", "Token "+vidutest.APIKey)
		assertRefused(t, do(s, req), http.StatusBadRequest, "FieldLacking", "images")
	})
}

func TestServer_ServeHTTP_BehindAnotherListener(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTiming(0, 0))
	defer s.Close()
	outer := httptest.NewServer(s)
	defer outer.Close()
	s.URL = outer.URL

	resp, err := outer.Client().Do(newRequest(t, http.MethodPost, outer.URL+createPath, strings.NewReader(goodBody)))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, 1, s.Charged())
}

func TestServer_Close(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer()
		createTask(t, s, goodBody)
		s.Close()
		s.Close()

		got := create(t, s, goodBody)
		var dial *net.OpError
		require.ErrorAs(t, got.err, &dial)
		assert.Equal(t, "dial", dial.Op)
		assert.Equal(t, 1, s.Charged())
		assert.Len(t, s.Requests(), 1)
	})
}

// Close returns while a request waits for its answer and another connection stands idle, and leaves no goroutine.
func TestServer_Close_CutsRequestsInFlight(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer()
		s.Delay(time.Hour)
		answered := make(chan reply)
		req := newRequest(t, http.MethodPost, s.URL+createPath, strings.NewReader(goodBody))
		go func() { answered <- do(s, req) }()
		require.Eventually(t, func() bool { return s.Charged() == 1 }, 10*time.Second, time.Millisecond)
		if !strings.HasPrefix(s.URL, "https") {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
			require.NoError(t, err)
			defer conn.Close()
		}

		s.Close()

		require.Error(t, (<-answered).err)
		assert.Zero(t, s.Requests()[0].Status)
	})
}

// When Close returns, the handlers have returned.
func TestServer_Close_Waits(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		var returned atomic.Bool
		s.AnswerNext("", func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			pass(time.Second)
			returned.Store(true)
		})
		answered := make(chan reply, 1)
		req := createFrom(t, s, strings.NewReader(goodBody))
		go func() { answered <- do(s, req) }()
		synctest.Wait()

		s.Close()

		assert.True(t, returned.Load())
		require.Error(t, (<-answered).err)
	})
}

func TestServer_IsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		const callers, calls = 16, 20
		s := newServer()
		var ids sync.Map
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				for range calls {
					id := taskID(create(t, s, goodBody).body)
					_, twice := ids.LoadOrStore(id, true)
					assert.False(t, twice, "an id was given twice")
					assert.Equal(t, http.StatusOK, query(t, s, id).status)
					_ = s.Requests()
				}
			})
		}
		all.Wait()
		assert.Equal(t, callers*calls, s.Charged())
		assert.Len(t, s.Requests(), 2*callers*calls)
	})
}

func TestServer_InBubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTiming(40*time.Hour, 8*time.Hour))
		defer s.Close()
		start := time.Now()
		id := createTask(t, s, goodBody)
		for decode(t, query(t, s, id).body)["state"] != "success" {
			pass(time.Hour)
		}
		assert.Equal(t, 48*time.Hour, time.Since(start))
	})
}

// Links lead to the public URL, behind which a proxy passes their paths on; the server itself is reached by both.
func TestWithPublicURL(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"TLS": "https://vidu.example", "port": "http://vidu.example:8080", "path": "https://vidu.example/fake/", "address": "http://[::1]:99",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTiming(0, 0), vidutest.WithPublicURL(url), vidutest.WithOfficialAPI())
			defer s.Close()
			id := createOfficial(t, s)
			base := strings.TrimSuffix(url, "/")
			creation := queryOfficial(t, s, id)["creations"].([]any)[0].(map[string]any)
			assert.Equal(t, "https://vidutest.invalid", s.URL)
			for _, field := range []string{"url", "cover_url"} {
				link := creation[field].(string)
				require.True(t, strings.HasPrefix(link, base+"/media/"), link)
				got := download(t, s, http.MethodGet, strings.Replace(link, "/fake/", "/", 1), http.Header{}) // as the proxy does
				require.NoError(t, got.err)
				assert.Equal(t, http.StatusOK, got.status)
			}
			_, putURL := startUpload(t, s)
			assert.True(t, strings.HasPrefix(putURL, base+"/upload/"), putURL)
			other := newRequest(t, http.MethodGet, "https://other.example/", http.NoBody)
			require.Error(t, do(s, other).err)
		})
	}
	for _, url := range []string{"", "vidu.example", "//vidu.example", "ftp://vidu.example", "https://", "https://vidu.example?a=b", "https://vidu.example#a"} {
		assert.Panics(t, func() { vidutest.WithPublicURL(url) }, url)
	}
}

// Behind a proxy that ends TLS, a client makes a video and downloads it without an address of the server itself.
func TestWithPublicURL_BehindTLS(t *testing.T) {
	t.Parallel()
	var s *vidutest.Server
	proxy := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.ServeHTTP(w, r) }))
	defer proxy.Close()
	s = vidutest.New(t, vidutest.InMemory(), vidutest.WithTiming(0, 0), vidutest.WithPublicURL(proxy.URL))
	client, err := vidu.NewClient(proxy.URL, vidutest.APIKey, vidu.WithHTTPClient(proxy.Client()))
	require.NoError(t, err)

	task, err := client.Reference2Video(t.Context(), createRequest())
	require.NoError(t, err)
	task, err = client.Wait(t.Context(), task.ID)
	require.NoError(t, err)
	var video bytes.Buffer
	_, err = client.Download(t.Context(), task, &video)
	require.NoError(t, err)
	assert.Equal(t, 9096, video.Len())
}

func TestWithAPIPath(t *testing.T) {
	t.Parallel()
	for path, opts := range map[string][]vidutest.Option{
		"/vidu/ent/v2": nil, "": nil, "/x": {vidutest.WithOfficialAPI()}, "/a.b/c-d": {vidutest.WithEndpoint("lip-sync")},
	} {
		for _, opts := range [][]vidutest.Option{append(opts, vidutest.WithAPIPath(path)), append([]vidutest.Option{vidutest.WithAPIPath(path)}, opts...)} {
			s := vidutest.NewServer(append(opts, vidutest.InMemory())...)
			defer s.Close()
			scheme := "Bearer "
			if got := do(s, newRequest(t, http.MethodGet, s.URL+path+"/credits", http.NoBody)); got.status == http.StatusUnauthorized {
				scheme = "Token "
			}
			s.AnswerNext("GET /tasks/{id}/creations", teapot)
			assert.Equal(t, http.StatusTeapot, do(s, newRequest(t, http.MethodGet, s.URL+path+"/tasks/1/creations", http.NoBody)).status)
			req := newRequest(t, http.MethodPost, s.URL+path+"/reference2video", strings.NewReader(goodBody))
			req.Header.Set("Authorization", scheme+vidutest.APIKey)
			got := do(s, req)
			assert.Equal(t, http.StatusOK, got.status, got.body)
			assertRefused(t, create(t, s, goodBody), http.StatusNotFound, "NotFound", "")
		}
	}
	for _, path := range []string{"/", "vidu", "/vidu/", "//vidu", "/vidu/..", "/{id}", "/*", "http://a/b"} {
		assert.Panics(t, func() { vidutest.WithAPIPath(path) }, path)
	}
}
