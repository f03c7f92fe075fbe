package vidutest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

// teapot is an answer that nothing else gives.
func teapot(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }

// Whatever a handler answers, a client gets the same from the server as from a listener of net/http.
func TestServer_AnswerNext_AsNetHTTP(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"nothing":            func(http.ResponseWriter, *http.Request) {},
		"a status alone":     teapot,
		"an unknown status":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(599) },
		"no content":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"an error in text":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "slow down", http.StatusBadGateway) },
		"a body that is web": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>Bad Gateway</html>") },
		"a body of 5 kB":     func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("x", 5000)) },
		"a body in pieces": func(w http.ResponseWriter, _ *http.Request) {
			for range 5000 {
				io.WriteString(w, "x")
			}
		},
		"a body in a hurry": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "{")
			http.NewResponseController(w).Flush() //nolint:errcheck // the client may have gone
			io.WriteString(w, "}")
		},
		"headers": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "30")
			w.Header().Set("Location", "/elsewhere")
			w.Header().Set("X-Oneapi-Request-Id", "2026")
			w.Header()["Content-Type"] = nil
			w.WriteHeader(http.StatusTooManyRequests)
			io.WriteString(w, "{}")
		},
		"no modification": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotModified)
			io.WriteString(w, "this goes nowhere")
		},
		"two statuses": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusTeapot)
		},
		"a body of less than promised": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5000")
			io.WriteString(w, "x")
		},
		"a body of more than promised": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1")
			io.WriteString(w, "x")
			io.WriteString(w, "y")
		},
		"a hang-up":             hangUp,
		"a hang-up in the body": hangUpMidBody,
		"the end of a test":     func(http.ResponseWriter, *http.Request) { runtime.Goexit() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plain := httptest.NewServer(h)
			defer plain.Close()
			want := summary(plain.Client().Do(newRequest(t, http.MethodPost, plain.URL, strings.NewReader(goodBody))))
			onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
				t.Helper()
				s := newServer()
				s.AnswerNext("", h)
				got := summary(s.Client().Do(newRequest(t, http.MethodPost, s.URL+createPath, strings.NewReader(goodBody))))
				assert.Equal(t, want, got)
				assert.Zero(t, s.Charged())
				require.Eventually(t, func() bool { return s.Requests()[0].Complete }, 10*time.Second, time.Millisecond,
					"the request is read to its end")
				assert.JSONEq(t, goodBody, string(s.Requests()[0].Body))
				if status, _, answered := strings.Cut(got, " "); answered && status != "EOF" {
					assert.Equal(t, status, strconv.Itoa(s.Requests()[0].Status))
				} else {
					assert.Zero(t, s.Requests()[0].Status)
				}
			})
		})
	}
}

func hangUp(http.ResponseWriter, *http.Request) {
	panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to cut a connection
}

func hangUpMidBody(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "half")
	w.(http.Flusher).Flush()
	hangUp(w, r)
}

// summary is all that a client can see of an answer, but for its time.
func summary(resp *http.Response, err error) string {
	if err != nil {
		_, text, _ := strings.Cut(err.Error(), `": `)
		return text
	}
	defer resp.Body.Close()
	resp.Header.Del("Date")
	body, err := io.ReadAll(resp.Body)
	return fmt.Sprintln(resp.Status, resp.StatusCode, resp.ContentLength, resp.Header, string(body), err)
}

// A script waits for a request that its pattern matches, whatever comes before.
func TestServer_AnswerNext_Pattern(t *testing.T) {
	t.Parallel()
	const id = "/vidu/v2/tasks/12%2F3/creations"
	for name, test := range map[string]struct {
		pattern      string
		opts         []vidutest.Option
		method, path string // of a request that is answered by the script
		others       []string
	}{
		"any":            {"", nil, http.MethodPut, "//anything/../at?all", nil},
		"create":         {"POST /reference2video", nil, http.MethodPost, createPath, []string{"GET " + createPath, "POST /reference2video", "GET " + id}},
		"any method":     {"/reference2video", nil, http.MethodPatch, createPath, []string{"POST /ent/v2/reference2video"}},
		"query":          {"GET /tasks/{id}/creations", nil, http.MethodGet, id, []string{"POST " + createPath, "GET /vidu/v2/tasks", "GET /vidu/v2//tasks/1/creations"}},
		"one task":       {"GET /tasks/7/creations", nil, http.MethodGet, "/vidu/v2/tasks/7/creations", []string{"GET " + id}},
		"all below":      {"GET /tasks/", nil, http.MethodGet, id, []string{"GET /vidu/v2/tasks", "GET /vidu/v2/credits"}},
		"official":       {"POST /reference2video", []vidutest.Option{vidutest.WithOfficialAPI()}, http.MethodPost, "/ent/v2/reference2video", []string{"POST " + createPath}},
		"start upload":   {"POST /tools/v2/files/uploads", []vidutest.Option{vidutest.WithOfficialAPI()}, http.MethodPost, uploadsPath, []string{"POST /ent/v2" + uploadsPath}},
		"upload":         {"PUT /upload/{id}", []vidutest.Option{vidutest.WithOfficialAPI()}, http.MethodPut, "/upload/1?a;b", []string{"PUT /upload/"}},
		"another prefix": {"GET /vidu/v2/tasks", nil, http.MethodGet, "/vidu/v2/vidu/v2/tasks", []string{"GET /vidu/v2/tasks"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
				t.Helper()
				s := newServer(test.opts...)
				s.AnswerNext(test.pattern, teapot)
				for _, other := range test.others {
					method, path, _ := strings.Cut(other, " ")
					got := do(s, newRequest(t, method, s.URL+path, http.NoBody))
					require.NoError(t, got.err)
					assert.NotEqual(t, http.StatusTeapot, got.status, other)
				}
				got := do(s, newRequest(t, test.method, s.URL+test.path, http.NoBody))
				assert.Equal(t, http.StatusTeapot, got.status)
				got = do(s, newRequest(t, test.method, s.URL+test.path, http.NoBody))
				assert.NotEqual(t, http.StatusTeapot, got.status, "once")
				assert.Equal(t, http.StatusTeapot, s.Requests()[len(test.others)].Status)
			})
		})
	}
}

// The handler sees the request as it was sent, its key excepted from the ledger alone.
func TestServer_AnswerNext_Request(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer()
		var seen []string
		see := func(_ http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			assert.NoError(t, err)
			seen = append(seen, r.Method, r.URL.Path, r.PathValue("id"), r.Header.Get("Authorization"), string(body))
		}
		s.AnswerNext("GET /tasks/{id}/creations", see)
		s.AnswerNext("POST /reference2video", see)
		require.NoError(t, create(t, s, goodBody).err)
		require.NoError(t, query(t, s, "a%2Fb").err)
		key := "Bearer " + vidutest.APIKey
		assert.Equal(t, []string{
			"POST", createPath, "", key, goodBody,
			"GET", "/vidu/v2/tasks/a/b/creations", "a/b", key, "",
		}, seen)
		assert.JSONEq(t, goodBody, string(s.Requests()[0].Body))
	})
}

func TestServer_AnswerNext_Panics(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	for _, pattern := range []string{"POST", "reference2video", "POST  /x y/{", "/{", "/{a}/{a}"} {
		assert.Panics(t, func() { s.AnswerNext(pattern, teapot) }, pattern)
	}
	assert.PanicsWithValue(t, "vidutest: AnswerNext: the handler is nil", func() { s.AnswerNext("", nil) })
	assert.PanicsWithValue(t, "vidutest: AnswerNext: the handler is nil", func() { s.AnswerNext("/x", nil) })
	assert.Equal(t, http.StatusOK, create(t, s, goodBody).status, "nothing was queued")
}

// A script for one kind of request does not hold up the others behind it, and keeps its turn among its own kind.
func TestServer_AnswerNext_Queues(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer()
		s.AnswerNext("POST /reference2video", teapot)
		s.FailNext(http.StatusServiceUnavailable, "")
		s.AnswerNext("POST /reference2video", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusLocked) })

		assert.Equal(t, http.StatusServiceUnavailable, query(t, s, "1").status)
		assert.Equal(t, http.StatusTeapot, create(t, s, goodBody).status)
		assert.Equal(t, http.StatusLocked, create(t, s, goodBody).status)
		assert.Equal(t, http.StatusOK, create(t, s, goodBody).status)
		assert.Equal(t, 1, s.Charged())
	})
}

// However many requests come at once, each script answers one of its kind.
func TestServer_AnswerNext_Concurrent(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		const scripts, calls = 10, 40
		s := newServer()
		var answered, created atomic.Int32
		var all sync.WaitGroup
		for range scripts {
			s.AnswerNext("POST /reference2video", func(w http.ResponseWriter, r *http.Request) {
				answered.Add(1)
				teapot(w, r)
			})
		}
		for range calls {
			all.Go(func() {
				if create(t, s, goodBody).status == http.StatusOK {
					created.Add(1)
				}
			})
			all.Go(func() { assert.Equal(t, http.StatusNotFound, query(t, s, "1").status) })
		}
		all.Wait()
		assert.EqualValues(t, scripts, answered.Load())
		assert.EqualValues(t, calls-scripts, created.Load())
		assert.Equal(t, calls-scripts, s.Charged())
	})
}

// A client that stops sending in the middle of the body gets no answer, as with every other script.
func TestServer_AnswerNext_RequestBreaksOff(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		s.AnswerNext("", teapot)
		body := goodBody + strings.Repeat(" ", 64<<10) // more than net/http holds back
		req := createFrom(t, s, strings.NewReader(body))
		req.ContentLength++
		require.ErrorContains(t, do(s, req).err, "ContentLength")
		synctest.Wait()
		assert.Zero(t, s.Requests()[0].Status)
		assert.EqualValues(t, len(body), s.Requests()[0].BodySize)
	})
}

// Close ends a handler that waits, even if it never looked at the request's body.
func TestServer_AnswerNext_EndsWithItsServer(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer()
		waiting := make(chan struct{})
		s.AnswerNext("", func(_ http.ResponseWriter, r *http.Request) {
			close(waiting)
			<-r.Context().Done()
		})
		go func() {
			<-waiting
			s.Close()
		}()
		require.Error(t, create(t, s, goodBody).err)
	})
}

// An answer that comes when the server is closed does not go out, even where the connection is another server's.
func TestServer_AnswerNext_AfterClose(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	outer := httptest.NewServer(s)
	defer outer.Close()
	s.AnswerNext("", func(w http.ResponseWriter, r *http.Request) {
		s.Close()
		teapot(w, r)
	})
	resp, err := outer.Client().Do(newRequest(t, http.MethodPost, outer.URL+createPath, strings.NewReader(goodBody)))
	if err == nil {
		_ = resp.Body.Close()
	}
	assert.ErrorIs(t, err, io.EOF)
}

// An invalid status panics, as a mistake in the test, and sends no answer.
func TestServer_AnswerNext_InvalidStatus(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	for _, status := range []int{0, 99, 1000} {
		s.AnswerNext("", func(w http.ResponseWriter, _ *http.Request) {
			assert.Panics(t, func() { w.WriteHeader(status) })
			teapot(w, nil)
		})
		assert.Equal(t, http.StatusTeapot, create(t, s, goodBody).status)
	}
}
