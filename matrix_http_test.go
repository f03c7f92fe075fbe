package vidu_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
	"github.com/vidu-go/vidu/vidutest"
)

// envelope is an error of the API whose message and trace id quote the key, as careless servers do.
func envelope(status int, reason vidu.ErrorCode) string {
	return fmt.Sprintf(`{"code":%d,"reason":%q,"message":"no, %s","metadata":{"trace_id":"4bf92f35"}}`, status, reason, testkit.Key)
}

// refusesForGood is P: one request, a typed error, and no task.
func refusesForGood(t *testing.T, status int, reasons ...vidu.ErrorCode) {
	t.Helper()
	for _, reason := range reasons {
		w := testkit.ServeReply(t, status, envelope(status, reason))
		r := newRig(t, w.URL)
		_, err := r.create(t)
		assertNotCreated(t, err)
		failure, ok := errors.AsType[*vidu.APIError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, status, failure.StatusCode)
		assert.Equal(t, reason, failure.Code)
		require.ErrorIs(t, err, reason)
		assert.Equal(t, "no, [redacted]", failure.Message)
		assert.Equal(t, "4bf92f35", failure.TraceID)
		assert.NotContains(t, string(failure.Body), testkit.Key)
		assert.Equal(t, int64(1), w.Requests.Load(), "%d %s", status, reason)
	}
}

func TestH01_BadRequest(t *testing.T) {
	t.Parallel()
	refusesForGood(t, 400,
		vidu.ErrBadRequest, vidu.ErrFieldLacking, vidu.ErrFieldUnwanted, vidu.ErrFieldItemCountOutOfRange, vidu.ErrFieldInvalid,
		vidu.ErrModelUnavailable, vidu.ErrImageFormatInvalid, vidu.ErrImageSizeInvalid, vidu.ErrImageDownloadFailure,
		vidu.ErrTaskPromptPolicyViolation, vidu.ErrAuditSubmitIllegal, vidu.ErrCreditInsufficient, "SomethingNew")
}

func TestH02_Unauthorized(t *testing.T) {
	t.Parallel()
	refusesForGood(t, 401, vidu.ErrUnauthorized)
}

func TestH03_Forbidden(t *testing.T) {
	t.Parallel()
	refusesForGood(t, 403, vidu.ErrForbidden, "insufficient_user_quota")
}

func TestH04_NotFound(t *testing.T) {
	t.Parallel()
	refusesForGood(t, 404, vidu.ErrNotFound, "model_not_found")
}

func TestH05_ContentTooLarge(t *testing.T) {
	t.Parallel()
	refusesForGood(t, 413, vidu.ErrBadRequest)
}

func TestH06_UnsupportedMediaType(t *testing.T) {
	t.Parallel()
	refusesForGood(t, 415, vidu.ErrBadRequest)
}

func TestH07_UnprocessableContent(t *testing.T) {
	t.Parallel()
	refusesForGood(t, 422, vidu.ErrFieldInvalid)
}

func TestH08_HeaderFieldsTooLarge(t *testing.T) {
	t.Parallel()
	refusesForGood(t, 431, vidu.ErrBadRequest)
}

func TestH09_OperationInProcess(t *testing.T) {
	t.Parallel()
	w := testkit.ServeReply(t, 400, envelope(400, vidu.ErrOperationInProcess))
	_, err := newRig(t, w.URL).create(t)
	assertUnknownOutcome(t, err)
	require.ErrorIs(t, err, vidu.ErrOperationInProcess)
	assert.Equal(t, int64(1), w.Requests.Load())
}

func TestH10_RequestTimeout(t *testing.T) {
	t.Parallel()
	t.Run("before the body", func(t *testing.T) {
		t.Parallel()
		w := testkit.ServeEarlyReply(t, "408 Request Timeout")
		_, err := newRig(t, w.URL).Reference2Video(t.Context(), bigRequest(t))
		assertNotCreated(t, err)
		assert.Equal(t, int64(3), w.Requests.Load(), "sent again")
		assert.Zero(t, w.Complete.Load())
	})
	t.Run("after the body", func(t *testing.T) {
		t.Parallel()
		w := testkit.ServeReply(t, 408, "")
		_, err := newRig(t, w.URL).create(t)
		assertUnknownOutcome(t, err)
		assert.Equal(t, int64(1), w.Requests.Load())
	})
}

// answersAfterCommit is a server that makes the task and then answers its create with status.
func answersAfterCommit(t *testing.T, status int) (*rig, *vidutest.Server) {
	t.Helper()
	backend := vidutest.NewServer(vidutest.InMemory(), vidutest.WithOfficialAPI(), vidutest.WithAPIKey(testkit.Key), vidutest.WithTiming(0, 0))
	t.Cleanup(backend.Close)
	r := newRig(t, backend.URL, vidu.WithOfficialAPI(), vidu.WithRecovery(time.Minute), withTransport(func(req *http.Request) (*http.Response, error) {
		resp, err := backend.Transport().RoundTrip(req)
		if err != nil || req.Method != http.MethodPost {
			return resp, err
		}
		resp.Body.Close()
		return testkit.Reply(req, status, "")
	}))
	return r, backend
}

func TestH11_Conflict(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"documented": envelope(409, vidu.ErrConflict), "another word": envelope(409, "DuplicateRequest"), "empty": "",
	} {
		t.Run("doubt, "+name, func(t *testing.T) {
			t.Parallel()
			w := testkit.ServeReply(t, 409, body)
			_, err := newRig(t, w.URL).create(t)
			assertUnknownOutcome(t, err)
			assert.Equal(t, 409, unknownOutcome(t, err).StatusCode)
			assert.Equal(t, body != "", unknownOutcome(t, err).TraceID == "4bf92f35")
			assert.Equal(t, int64(1), w.Requests.Load())
		})
	}
	t.Run("look-up", func(t *testing.T) {
		t.Parallel()
		r, backend := answersAfterCommit(t, 409)
		task, err := r.create(t)
		require.NoError(t, err)
		assert.Equal(t, "job-42", task.Payload)
		assert.Equal(t, 1, backend.Charged())
	})
}

func TestH12_TooEarly(t *testing.T) {
	t.Parallel()
	w := testkit.ServeReply(t, 425, "")
	_, err := newRig(t, w.URL).create(t)
	assertNotCreated(t, err)
	assert.Equal(t, int64(3), w.Requests.Load())
}

// The default is four attempts, so three pauses.
func TestH13_TooManyRequests(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		retryAfter func() string
		took       time.Duration
	}{
		"seconds":   {func() string { return "7" }, 21 * time.Second},
		"HTTP date": {func() string { return time.Now().Add(20 * time.Second).UTC().Format(http.TimeFormat) }, time.Minute},
		"garbage":   {func() string { return "soon" }, 3 * time.Second},
		"ten years": {func() string { return "315360000" }, 3 * time.Minute},
		"negative":  {func() string { return "-7" }, 3 * time.Second},
		"absent":    {func() string { return "" }, 3 * time.Second},
		"overflow":  {func() string { return "99999999999999999999" }, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				posts := 0
				r := newRig(t, someHost, vidu.WithMaxAttempts(4), vidu.WithBackoff(func(int) time.Duration { return time.Second }),
					withTransport(func(req *http.Request) (*http.Response, error) {
						posts++
						resp, err := testkit.Reply(req, 429, envelope(429, vidu.ErrTooManyRequests))
						resp.Header.Set("Retry-After", tt.retryAfter())
						return resp, err
					}))
				started := time.Now()
				_, err := r.create(t)
				assertNotCreated(t, err)
				require.ErrorIs(t, err, vidu.ErrTooManyRequests)
				assert.Equal(t, tt.took, time.Since(started))
				assert.Equal(t, 4, posts)
			})
		})
	}
}

func TestH14_ServerErrorsOnCreate(t *testing.T) {
	t.Parallel()
	for _, status := range []int{499, 500, 502, 503, 504, 520, 524} {
		for name, body := range map[string]string{
			"": "", " envelope": envelope(status, vidu.ErrInternalServiceFailure), " another word": envelope(status, "UpstreamError"),
			" page": "<html><h1>Bad Gateway, " + testkit.Key + "</h1></html>",
		} {
			t.Run(strconv.Itoa(status)+name, func(t *testing.T) {
				t.Parallel()
				w := testkit.ServeReply(t, status, body)
				_, err := newRig(t, w.URL).create(t)
				assertUnknownOutcome(t, err)
				assert.Equal(t, status, unknownOutcome(t, err).StatusCode)
				assert.NotContains(t, string(unknownOutcome(t, err).Body), testkit.Key)
				assert.Equal(t, int64(1), w.Requests.Load())
			})
		}
	}
}

func TestH15_ServerErrorsOnQuery(t *testing.T) {
	t.Parallel()
	for status, attempts := range map[int]int64{499: 4, 500: 4, 502: 4, 503: 4, 504: 4, 520: 4, 524: 4} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			w := testkit.ServeReply(t, status, "")
			_, err := newRig(t, w.URL, vidu.WithMaxAttempts(4)).GetTask(t.Context(), "1")
			assertNotCreated(t, err)
			failure, ok := errors.AsType[*vidu.APIError](err)
			require.True(t, ok)
			assert.Equal(t, status, failure.StatusCode)
			assert.Equal(t, attempts, w.Requests.Load())
		})
	}
	t.Run("Retry-After", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			gets := 0
			r := newRig(t, someHost, withTransport(func(req *http.Request) (*http.Response, error) {
				if gets++; gets == 3 {
					return testkit.Reply(req, 200, processingReply)
				}
				resp, err := testkit.Reply(req, 503, "")
				resp.Header.Set("Retry-After", []string{"11", "3600"}[gets-1])
				return resp, err
			}))
			started := time.Now()
			_, err := r.GetTask(t.Context(), "1")
			require.NoError(t, err)
			assert.Equal(t, 11*time.Second+time.Minute, time.Since(started))
		})
	})
}

func TestH16_Redirects(t *testing.T) {
	t.Parallel()
	for name, location := range map[string]string{
		"same host": someHost + "/moved", "other host": "https://other.example.com/moved", "other port": someHost + ":8443/moved",
		"subdomain": "https://api.gateway.example.com/moved", "http": "http://gateway.example.com/moved", "relative": "/moved",
	} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			t.Run(name+" "+strconv.Itoa(status), func(t *testing.T) {
				t.Parallel()
				var requests, dials atomic.Int64
				config, pool := testkit.Certificate(t, testkit.FarFuture, "gateway.example.com", "other.example.com", "api.gateway.example.com")
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					requests.Add(1)
					io.Copy(io.Discard, r.Body) //nolint:errcheck // the answer shows
					w.Header().Set("Location", location+"?signature=secret")
					w.WriteHeader(status)
				}))
				server.TLS = config
				server.StartTLS()
				defer server.Close()
				r := newRig(t, someHost)
				r.trust(pool)
				r.dialTo(func(ctx context.Context, network, _ string) (net.Conn, error) {
					dials.Add(1)
					return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
				})
				_, err := r.create(t)
				assertNotCreated(t, err)
				require.ErrorContains(t, err, "redirect to "+location+" not followed")
				_, err = r.GetTask(t.Context(), "1")
				assertNotCreated(t, err)
				require.ErrorContains(t, err, "redirect to "+location+" not followed")
				assert.NotContains(t, err.Error(), "secret")
				assert.Equal(t, int64(2), requests.Load())
				assert.Equal(t, int64(2), dials.Load())
			})
		}
	}
}

func TestH17_Empty(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 202, 204} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			w := testkit.ServeReply(t, status, "")
			r := newRig(t, w.URL)
			_, err := r.create(t)
			assertUnknownOutcome(t, err)
			assert.Equal(t, status, unknownOutcome(t, err).StatusCode)
			assert.Equal(t, int64(1), w.Requests.Load())
			_, err = r.GetTask(t.Context(), "1")
			assertNotCreated(t, err)
		})
	}
}

func TestH18_AcceptedWithAnID(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 202, 203} {
		w := testkit.ServeReply(t, status, createdReply)
		task, err := newRig(t, w.URL).create(t)
		assertCreated(t, task, err)
		assert.Equal(t, int64(1), w.Requests.Load())
	}
}

func TestH19_SwitchingProtocols(t *testing.T) {
	t.Parallel()
	hungUp := make(chan error, 1)
	w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
		if w.ReadRequest(conn) {
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"+createdReply)
			_, err := conn.Read(make([]byte, 1))
			hungUp <- err
		}
	})
	_, err := newRig(t, w.URL).create(t)
	assertUnknownOutcome(t, err)
	assert.Equal(t, int64(1), w.Requests.Load())
	select {
	case err := <-hungUp:
		require.Error(t, err)
	case <-time.After(time.Second):
		t.Error("the connection is still open")
	}
}

func TestH20_NotFoundAfterCreate(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		unknown time.Duration
		found   bool
	}{"for 50 s": {50 * time.Second, true}, "for ever": {time.Hour, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				started := time.Now()
				r := newRig(t, someHost, withTransport(func(req *http.Request) (*http.Response, error) {
					switch {
					case req.Method == http.MethodPost:
						return testkit.Reply(req, 200, createdReply)
					case time.Since(started) < tt.unknown:
						return testkit.Reply(req, 404, envelope(404, vidu.ErrTaskNotFound))
					}
					return testkit.Reply(req, 200, succeededReply)
				}))
				task, err := r.create(t)
				assertCreated(t, task, err)
				_, err = r.Wait(t.Context(), task.ID)
				if tt.found {
					require.NoError(t, err)
					return
				}
				assertNotCreated(t, err)
				require.ErrorIs(t, err, vidu.ErrTaskNotFound)
				assert.InDelta(t, time.Minute.Seconds(), time.Since(started).Seconds(), 15)
			})
		})
	}
}

// pouring is a rig whose server answers with head and then text without end. It returns how much of it was taken.
func pouring(t *testing.T, w *testkit.Server, head, text string) (*rig, *atomic.Int64) {
	t.Helper()
	taken := new(atomic.Int64)
	r := newRig(t, "http://127.0.0.1")
	r.pipes(testkit.AnswerEach(w, func(conn net.Conn) { taken.Add(testkit.Flood(conn, head, text)) }))
	return r, taken
}

const limitOfHeader = 64<<10 + 8<<10 // and a buffer

func TestH21_EndlessHeader(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"many lines": "X-Filler: " + strings.Repeat("a", 90) + "\r\n",
		"one line":   strings.Repeat("a", 100),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := &testkit.Server{}
				r, taken := pouring(t, w, "HTTP/1.1 200 OK\r\nX-Filler: ", line)
				_, err := r.create(t)
				assertUnknownOutcome(t, err)
				synctest.Wait()
				assert.LessOrEqual(t, taken.Load(), int64(limitOfHeader))
				assert.Equal(t, int64(1), w.Requests.Load())

				_, err = r.GetTask(t.Context(), "1")
				assertNotCreated(t, err)
				synctest.Wait()
				assert.LessOrEqual(t, taken.Load(), int64(4*limitOfHeader), "with three attempts more")
			})
		})
	}
}

func TestH22_MalformedHeader(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{
		"10,000 lines":        strings.Repeat("X-A: b\r\n", 10_000),
		"NUL":                 "X-A: a\x00b\r\n",
		"CR in a value":       "X-A: a\rb\r\n",
		"no colon":            "garbage " + testkit.Key + strings.Repeat(" garbage", 1000) + "\r\n",
		"two lengths":         "Content-Length: 5\r\n",
		"length not a number": "Content-Length: many\r\n",
		"odd encoding":        "Transfer-Encoding: gzip, chunked\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
				if w.ReadRequest(conn) {
					fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", header, len(createdReply), createdReply)
				}
			})
			r := newRig(t, w.URL)
			_, err := r.create(t)
			assertUnknownOutcome(t, err)
			assert.Equal(t, int64(1), w.Requests.Load())
			_, err = r.GetTask(t.Context(), "1")
			assertNotCreated(t, err)
		})
	}
}

func TestH23_SetCookie(t *testing.T) {
	t.Parallel()
	var requests, cookies atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		cookies.Add(int64(len(r.Cookies())))
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1", Path: "/"})
		io.WriteString(w, createdReply)
	}))
	defer server.Close()
	r := newRig(t, server.URL)
	for range 2 {
		_, err := r.create(t)
		require.NoError(t, err)
		_, err = r.GetTask(t.Context(), "1")
		require.NoError(t, err)
	}
	assert.Equal(t, int64(4), requests.Load())
	assert.Zero(t, cookies.Load())
}

func TestH24_ContentEncoding(t *testing.T) {
	t.Parallel()
	for encoding, body := range map[string]string{"gzip": testkit.Gzip(t, createdReply), "br": "\x0f\x02\x80{}\x03", "GZIP, gzip": testkit.Gzip(t, testkit.Gzip(t, createdReply))} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				w.Header().Set("Content-Encoding", encoding)
				io.WriteString(w, body)
			}))
			defer server.Close()
			r := newRig(t, server.URL)
			_, err := r.create(t)
			assertUnknownOutcome(t, err)
			require.ErrorContains(t, err, "encoded as "+encoding)
			assert.Equal(t, int64(1), requests.Load())
			_, err = r.GetTask(t.Context(), "1")
			assertNotCreated(t, err)
			require.ErrorContains(t, err, "encoded as "+encoding)
		})
	}
}

func TestH25_WebPage(t *testing.T) {
	t.Parallel()
	html := func(t *testing.T, body string) (*rig, *atomic.Int64) {
		t.Helper()
		requests := new(atomic.Int64)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			_, err := io.Copy(io.Discard, r.Body) // closed with a request unread, the connection is reset, and the end of the page is lost
			assert.NoError(t, err)
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, body)
		}))
		t.Cleanup(server.Close)
		return newRig(t, server.URL), requests
	}
	t.Run("page", func(t *testing.T) {
		t.Parallel()
		page := "<!DOCTYPE html><html>" + testkit.Key + strings.Repeat("<p>Welcome</p>", 10_000)
		r, requests := html(t, page)
		_, err := r.create(t)
		assertUnknownOutcome(t, err)
		require.ErrorContains(t, err, "it is a web page")
		kept := unknownOutcome(t, err).Body
		assert.True(t, bytes.HasPrefix(kept, []byte("<!DOCTYPE html><html>[redacted]<p>Welcome")))
		assert.LessOrEqual(t, len(kept), vidu.MaxErrorReply)
		assert.Equal(t, int64(1), requests.Load())
		_, err = r.GetTask(t.Context(), "1")
		assertNotCreated(t, err)
	})
	t.Run("JSON that calls itself a page", func(t *testing.T) {
		t.Parallel()
		r, _ := html(t, createdReply)
		task, err := r.create(t)
		assertCreated(t, task, err) // the id counts, not what a proxy says of it
	})
}
