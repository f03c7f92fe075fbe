package vidu_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// storage is a server with the three steps of an upload and, on another host, the store.
type storage struct {
	api, store *httptest.Server

	mu     sync.Mutex
	steps  []string
	sum    [32]byte
	failed int // answers 503 to so many requests to the store
}

func newStorage(t *testing.T) *storage {
	t.Helper()
	s := &storage{}
	s.store = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.steps = append(s.steps, r.Method+" "+r.RequestURI)
		assert.Empty(t, r.Header["Authorization"], "the key must not go to the store")
		assert.Empty(t, r.Header["Cookie"])
		assert.Equal(t, "image/png", r.Header.Get("Content-Type"))
		if s.failed > 0 || err != nil {
			s.failed--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		s.sum = sha256.Sum256(body)
		w.Header().Set("ETag", `"abc"`)
	}))
	s.api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.Equal(t, "Token "+testkit.Key, r.Header.Get("Authorization"))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.steps = append(s.steps, r.Method+" "+r.URL.Path+" "+string(body))
		if r.Method == http.MethodPost {
			json.NewEncoder(w).Encode(map[string]string{"id": "up_1", "put_url": s.store.URL + "/put?sig=a%253Ab;c"})
			return
		}
		fmt.Fprint(w, `{"uri":"ssupload:?id=up_1"}`)
	}))
	t.Cleanup(s.api.Close)
	t.Cleanup(s.store.Close)
	return s
}

func TestUploadImage(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	s.failed = 1 // storing is free: it is tried again
	client := newClient(t, s.api.URL+"/router", vidu.WithOfficialAPI())
	data := testkit.BigPNG(t, 1<<20)
	path := filepath.Join(t.TempDir(), "hero")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	for name, media := range map[string]vidu.Media{"file": vidu.File(path), "bytes": vidu.Bytes(data)} {
		s.steps = nil
		ref, err := client.UploadImage(t.Context(), media)
		require.NoError(t, err, name)
		assert.Equal(t, "ssupload:?id=up_1", ref.String())
		assert.Equal(t, sha256.Sum256(data), s.sum)
		assert.Equal(t, []string{
			`POST /router/tools/v2/files/uploads {"scene":"vidu"}`,
			`PUT /put?sig=a%253Ab;c`,
			`PUT /router/tools/v2/files/uploads/up_1/finish {"etag":"\"abc\""}`,
		}, dedup(s.steps))
	}
}

// dedup drops repeated steps.
func dedup(steps []string) []string {
	var once []string
	for i, step := range steps {
		if i == 0 || step != steps[i-1] {
			once = append(once, step)
		}
	}
	return once
}

func TestUploadImage_RefusedMedia(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://api.example.com", vidu.WithOfficialAPI(), withTransport(func(*http.Request) (*http.Response, error) {
		t.Error("something was sent")
		return nil, io.EOF
	}))
	for name, tt := range map[string]struct {
		media vidu.Media
		says  string
	}{
		"a link":      {vidu.URL("https://example.com/hero.png"), "no file to upload"},
		"a reference": {vidu.UploadRef("ssupload:?id=1"), "no file to upload"},
		"a data URI":  {vidu.DataURI("data:image/png;base64,AAAA"), "image: "},
		"nothing":     {vidu.Media{}, "is empty"},
		"a text":      {vidu.Bytes([]byte("hello")), "text/plain"},
		"missing":     {vidu.File("missing.png"), "no such file"},
		"10 MB":       {vidu.Bytes(testkit.BigPNG(t, 10<<20)), "at most 10485759"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client.UploadImage(t.Context(), tt.media)
			var invalid *vidu.ValidationError
			require.ErrorAs(t, err, &invalid)
			require.ErrorContains(t, err, tt.says)
		})
	}
}

func TestUploadImage_Failures(t *testing.T) {
	t.Parallel()
	image := vidu.Bytes(testkit.BigPNG(t, 1000))
	started := `{"id":"up_1","put_url":"https://store.example.com/put?sig=secret"}`
	for name, tt := range map[string]struct {
		answers map[string]string // by method and host
		status  int
		says    string
		is      error
	}{
		"a gateway without uploads": {map[string]string{"POST api.example.com": "404 {}"}, 404, "does not offer", vidu.ErrNotSupported},
		"no id":                     {map[string]string{"POST api.example.com": `200 {"put_url":"https://store.example.com"}`}, 200, "names no upload", nil},
		"an id that is a path":      {map[string]string{"POST api.example.com": `200 {"id":"../x","put_url":"https://store.example.com"}`}, 200, "names no upload", nil},
		"a plain-http store":        {map[string]string{"POST api.example.com": `200 {"id":"1","put_url":"http://store.example.com/?sig=secret"}`}, 200, "not an https link", nil},
		"a web page":                {map[string]string{"POST api.example.com": `200 <html>`}, 200, "a web page", nil},
		"the store refuses":         {map[string]string{"POST api.example.com": "200 " + started, "PUT store.example.com": "403 <Error/>"}, 403, "HTTP 403", nil},
		"no ETag":                   {map[string]string{"POST api.example.com": "200 " + started, "PUT store.example.com": "200 "}, 200, "no ETag", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, "https://api.example.com", vidu.WithOfficialAPI(), withTransport(func(r *http.Request) (*http.Response, error) {
				text := tt.answers[r.Method+" "+r.URL.Host]
				var status int
				fmt.Sscan(text[:3], &status)
				return testkit.Reply(r, status, text[4:])
			}))
			_, err := client.UploadImage(t.Context(), image)
			require.ErrorContains(t, err, tt.says)
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
			}
			assert.NotContains(t, err.Error(), "secret")
			testkit.AssertHarmless(t, err)
		})
	}
}

// TestUploadImage_FileChanges shows that a file which changes on the way is not referred to.
func TestUploadImage_FileChanges(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hero.png")
	require.NoError(t, os.WriteFile(path, testkit.BigPNG(t, 1000), 0o600))
	s := newStorage(t)
	changing := http.DefaultTransport.(*http.Transport).Clone()
	defer changing.CloseIdleConnections()
	client := newClient(t, s.api.URL, vidu.WithOfficialAPI(), withTransport(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost {
			assert.NoError(t, os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0))) //nolint:testifylint // not the test's goroutine
		}
		return changing.RoundTrip(r)
	}))
	_, err := client.UploadImage(t.Context(), vidu.File(path))
	require.ErrorContains(t, err, "image (")
	require.ErrorContains(t, err, "changed since it was checked")
	s.store.Close() // its handler may still be at work
	assert.Zero(t, s.sum, "nothing whole was stored")
	assert.Less(t, len(s.steps), 3, "it was not tried again, and not finished")
}

// TestUploadImage_LinkIsSecret: what a storage says may quote the link, so none of it is passed on.
func TestUploadImage_LinkIsSecret(t *testing.T) {
	t.Parallel()
	const link = "/put?sig=deadbeefsecret"
	image := vidu.Bytes(testkit.BigPNG(t, 1000))
	for name, tt := range map[string]struct{ contentType, body string }{
		"message":     {"application/json", `{"code":403,"reason":"` + link + `","message":"no access to ` + link + `"}`},
		"metadata":    {"application/json", `{"code":"` + link + `","metadata":{"trace_id":"` + link + `"}}`},
		"escaped":     {"application/json", `{"message":"\u0070ut%3fsig%3ddeadbeef\u0073ecret"}`},
		"text":        {"text/plain", "cannot PUT " + link},
		"S3":          {"application/xml", "<Error><Code>SignatureDoesNotMatch</Code><StringToSign>PUT\n" + link + "</StringToSign></Error>"},
		"trace id":    {"text/plain", "refused (request id: " + link + ")"},
		"a web page":  {"text/html", "<html>" + link},
		"nothing":     {"text/plain", ""},
		"no envelope": {"application/json", `["` + link + `"]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, status := range []int{403, 307} {
				api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPost {
						json.NewEncoder(w).Encode(map[string]string{"id": "up_1", "put_url": "http://" + r.Host + link})
						return
					}
					assert.Equal(t, link, r.RequestURI)
					w.Header().Set("Content-Type", tt.contentType)
					w.Header().Set("Location", "/moved"+strings.ReplaceAll(r.RequestURI, "?", "%3F"))
					w.Header().Set("Retry-After", "7")
					w.Header().Set("X-Request-Id", "req-1")
					w.WriteHeader(status)
					io.WriteString(w, tt.body)
				}))
				t.Cleanup(api.Close)
				_, err := newClient(t, api.URL, vidu.WithOfficialAPI()).UploadImage(t.Context(), image)
				assertSecretFree(t, err)
				failure, ok := errors.AsType[*vidu.APIError](err)
				require.True(t, ok)
				assert.NotContains(t, strings.ToLower(fmt.Sprintf("%+v %s", *failure, failure.Body)), "secret")
				assert.Equal(t, status, failure.StatusCode)
				assert.Equal(t, "req-1", failure.TraceID)
				assert.Equal(t, 7*time.Second, failure.RetryAfter)
				assert.Empty(t, failure.Message)
				assert.Empty(t, failure.Metadata)
				assert.Empty(t, failure.Body)
				if status == 403 {
					require.ErrorIs(t, err, vidu.ErrForbidden, "the status' own code")
				}
			}
		})
	}
}

// TestUploadImage_OddLinks: what could not be sent as it is, is not sent at all.
func TestUploadImage_OddLinks(t *testing.T) {
	t.Parallel()
	image := vidu.Bytes(testkit.BigPNG(t, 1000))
	for link, says := range map[string]string{
		"https://h/put?sig=\x7fsecret": "the link is not a URL",
		"https://secret:secret@h/put":  "not an https link",
		"http://h/put?sig=secret":      "not an https link",
		"":                             "not an https link",
	} {
		t.Run(link, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, "https://api.example.com", vidu.WithOfficialAPI(), withTransport(func(r *http.Request) (*http.Response, error) {
				assert.Equal(t, http.MethodPost, r.Method, "sent to the storage")
				text, err := json.Marshal(map[string]string{"id": "1", "put_url": link})
				if err != nil {
					return nil, err
				}
				return testkit.Reply(r, 200, string(text))
			}))
			_, err := client.UploadImage(t.Context(), image)
			require.ErrorContains(t, err, says)
			require.ErrorContains(t, err, "put_url")
			assertSecretFree(t, err)
		})
	}
}

// TestUploadImage_StorageStalls has a storage that takes the connection and reads nothing.
func TestUploadImage_StorageStalls(t *testing.T) {
	t.Parallel()
	w := testkit.Serve(t, nil, func(*testkit.Server, net.Conn) { <-t.Context().Done() })
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		assert.NoError(t, err)
		fmt.Fprintf(rw, `{"id":"1","put_url":%q}`, w.URL)
	}))
	t.Cleanup(api.Close)
	client := newClient(t, api.URL, vidu.WithOfficialAPI(), vidu.WithMaxAttempts(1), vidu.WithHTTPClient(&http.Client{Timeout: 300 * time.Millisecond}))
	began := time.Now()
	_, err := client.UploadImage(t.Context(), vidu.Bytes(testkit.BigPNG(t, 8<<20)))
	require.ErrorContains(t, err, "no complete response within 300ms")
	assert.Less(t, time.Since(began), 20*time.Second)
}

// The errors of a transport may quote the presigned link, its query or a value of it.
func TestUploadImage_TransportQuotesLink(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"Put https://store.example.com/x?signature=hunter2%2Bhunter2: refused", "signature=hunter2%2Bhunter2", "hunter2%2Bhunter2", "hunter2+hunter2", `hunter2\u002bhunter2`,
	} {
		client := newClient(t, "https://api.example.com", vidu.WithOfficialAPI(), vidu.WithMaxAttempts(1), withTransport(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				return testkit.Reply(r, 200, `{"id":"1","put_url":"https://store.example.com/x?signature=hunter2%2Bhunter2"}`)
			}
			return nil, fmt.Errorf("%s: %w", text, syscall.ECONNREFUSED)
		}))
		_, err := client.UploadImage(t.Context(), vidu.Bytes(testkit.BigPNG(t, 1000)))
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "hunter2")
		for ; err != nil; err = errors.Unwrap(err) {
			assert.NotContains(t, err.Error(), "hunter2")
		}
	}
}
