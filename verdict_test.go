package vidu_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// trial is a fault that happens to every attempt at a create, and what was seen of it.
type trial struct {
	err      error
	attempts int64 // connections or requests that the server saw
	complete int64 // requests that the server could have acted on
}

// tryCreate sends req to w, which fails it.
func tryCreate(t *testing.T, ctx context.Context, w *testkit.Server, client *vidu.Client, req *vidu.Reference2VideoRequest) trial { //nolint:revive // t first reads better
	t.Helper()
	task, err := client.Reference2Video(ctx, req)
	require.Nil(t, task)
	return trial{err: err, attempts: w.Requests.Load(), complete: w.Complete.Load()}
}

// createFaults makes, for each row of the policy, the failure that the row is about.
var createFaults = map[string]func(t *testing.T) trial{
	"no answer, context ended before the request was complete": func(t *testing.T) trial {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
			w.Requests.Add(1)
			conn.Read(make([]byte, 1024)) //nolint:errcheck // the body has begun
			cancel()
			<-t.Context().Done() // and stalls: nobody reads on
		})
		got := tryCreate(t, ctx, w, newClient(t, w.URL), bigRequest(t))
		require.ErrorIs(t, got.err, context.Canceled)
		return got
	},
	"no answer, medium unreadable or changed": func(t *testing.T) trial {
		t.Helper()
		w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
			w.Requests.Add(1)
			w.ReadRequest(conn)
		})
		req := smallRequest()
		req.Images = []vidu.Media{vidu.FS(&testkit.ChangingFS{Files: []*fstest.MapFile{
			{Data: testkit.BigPNG(t, 4000), ModTime: time.Unix(1, 0)}, {Data: testkit.BigPNG(t, 5000), ModTime: time.Unix(2, 0)},
		}}, "hero.png")}
		got := tryCreate(t, t.Context(), w, newClient(t, w.URL), req)
		require.ErrorContains(t, got.err, "images[0] (hero.png): changed")
		return trial{err: got.err, attempts: 1, complete: got.complete} // whether the server saw the connection is a race
	},
	"no answer, certificate or protocol wrong": func(t *testing.T) trial {
		t.Helper()
		w := &testkit.Server{}
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.Config.ErrorLog = testkit.QuietLog()
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				w.Requests.Add(1)
			}
		}
		server.StartTLS()
		t.Cleanup(server.Close)
		return tryCreate(t, t.Context(), w, newClient(t, server.URL), smallRequest())
	},
	"no answer, host unknown": func(t *testing.T) trial {
		t.Helper()
		return dialling(t, &net.DNSError{Err: "no such host", Name: "gateway.invalid", IsNotFound: true})
	},
	"no answer, proxy refuses to connect": func(t *testing.T) trial {
		t.Helper()
		proxy := testkit.ServeReply(t, http.StatusProxyAuthRequired, "")
		proxyURL, err := url.Parse(strings.Replace(proxy.URL, "//", "//user:proxy-password@", 1))
		require.NoError(t, err)
		transport := &http.Transport{Proxy: http.ProxyURL(proxyURL)}
		t.Cleanup(transport.CloseIdleConnections)
		client := newClient(t, "https://gateway.invalid", vidu.WithHTTPClient(&http.Client{Transport: transport}))
		got := tryCreate(t, t.Context(), proxy, client, smallRequest())
		require.NotContains(t, got.err.Error(), "proxy-password")
		got.complete = 0 // CONNECT is not the create
		return got
	},
	"no answer, server speaks HTTP/2 only": func(t *testing.T) trial {
		t.Helper()
		config, pool := testkit.Certificate(t, testkit.FarFuture, "gateway.example.com")
		config.NextProtos = []string{"h2"}
		w := testkit.Serve(t, config, func(w *testkit.Server, conn net.Conn) {
			w.Requests.Add(1)
			conn.Read(make([]byte, 1024)) //nolint:errcheck // not the preface of HTTP/2
			conn.Write([]byte{0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff})
			<-t.Context().Done() // without a line's end
		})
		callers := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: "gateway.example.com"}}
		return tryCreate(t, t.Context(), w, newClient(t, w.URL, vidu.WithHTTPClient(&http.Client{Transport: callers})), smallRequest())
	},
	"no answer, request incomplete": func(t *testing.T) trial {
		t.Helper()
		w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
			w.Requests.Add(1)
			conn.Read(make([]byte, 64<<10)) //nolint:errcheck // a part of 14 MB
			testkit.Reset(conn)
		})
		return tryCreate(t, t.Context(), w, newClient(t, w.URL), bigRequest(t))
	},
	"no answer, request may have arrived": func(t *testing.T) trial {
		t.Helper()
		w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
			if w.ReadRequest(conn) {
				testkit.Reset(conn)
			}
		})
		return tryCreate(t, t.Context(), w, newClient(t, w.URL), smallRequest())
	},
	"2xx that quotes a code after which a task may exist": answer(200, `{"code":400,"message":"operation in process, please retry later"}`),

	"2xx with a documented refusal inside": answer(200, `{"code":400,"reason":"CreditInsufficient","message":"no"}`),
	"2xx without a usable task":            answer(200, `{"success":false,"message":"upstream timed out"}`),
	"3xx or 4xx that quotes such a code":   answer(400, `{"code":"fail_to_fetch_task","message":"{\"code\":400,\"reason\":\"OperationInProcess\"}"}`),
	"4xx, of which not all could be read": func(t *testing.T) trial {
		t.Helper()
		w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
			if w.ReadRequest(conn) {
				io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\n"+`{"code":400,"message":"operation in pro`)
			}
		})
		return tryCreate(t, t.Context(), w, newClient(t, w.URL), smallRequest())
	},
	"redirect, never followed":          answer(307, ""),
	"408, request incomplete":           answerEarly("408 Request Timeout"),
	"408":                               answer(408, ""),
	"409, a duplicate task may exist":   answer(409, `{"code":409,"reason":"Conflict","message":"resource key conflict"}`),
	"499, abandoned midway":             answer(499, ""),
	"417, our Expect is not understood": answerEarly("417 Expectation Failed"),
	"425, not processed by definition":  answer(425, ""),
	"429, out of money":                 answer(429, `{"error":{"message":"no","code":"insufficient_quota"}}`),
	"429":                               answer(429, `{"code":429,"reason":"TooManyRequests"}`),
	"3xx or 4xx that names a task":      answer(429, `{"task_id":"916205061116293121","state":"created"}`),
	"3xx or 4xx whose code says that something may have begun": answer(400, `{"code":400,"reason":"OperationInProcess","message":"operation in process"}`),
	"4xx":                     answer(400, `{"code":400,"reason":"FieldInvalid"}`),
	"5xx, request incomplete": answerEarly("503 Service Unavailable"),
	"5xx":                     answer(502, "<html>Bad Gateway</html>"),
}

func answer(status int, body string) func(t *testing.T) trial {
	return func(t *testing.T) trial {
		t.Helper()
		w := testkit.ServeReply(t, status, body)
		return tryCreate(t, t.Context(), w, newClient(t, w.URL), smallRequest())
	}
}

func answerEarly(status string) func(t *testing.T) trial {
	return func(t *testing.T) trial {
		t.Helper()
		w := testkit.ServeEarlyReply(t, status)
		got := tryCreate(t, t.Context(), w, newClient(t, w.URL), bigRequest(t))
		failure, ok := errors.AsType[*vidu.APIError](got.err)
		require.True(t, ok, "%v", got.err)
		require.Equal(t, status[:3], strconv.Itoa(failure.StatusCode))
		require.Equal(t, "{}", string(failure.Body), "the answer is read although the request is not out")
		return got
	}
}

// dialling fails every connection with err.
func dialling(t *testing.T, err error) trial {
	t.Helper()
	w := &testkit.Server{}
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		w.Requests.Add(1)
		return nil, err
	}}
	return tryCreate(t, t.Context(), w, newClient(t, "https://gateway.invalid", vidu.WithHTTPClient(&http.Client{Transport: transport})), smallRequest())
}

// TestCreateRules walks the policy: every row is made to happen over real connections.
func TestCreateRules(t *testing.T) {
	t.Parallel()
	for _, rule := range vidu.CreateRules() {
		t.Run(rule.Name, func(t *testing.T) {
			t.Parallel()
			fault := createFaults[rule.Name]
			require.NotNil(t, fault, "no fault tests this row")
			got := fault(t)
			require.Error(t, got.err)
			assert.Equal(t, rule.Verdict == vidu.Ambiguous, errors.Is(got.err, vidu.ErrMaybeCreated), "%v", got.err)
			wantAttempts := int64(1)
			if rule.Verdict == vidu.Retry {
				wantAttempts = 3
				assert.True(t, got.complete == 0 || rule.From == 429 || rule.From == 425, "sent again though the server had it all")
			}
			assert.Equal(t, wantAttempts, got.attempts)
			testkit.AssertHarmless(t, got.err)
			if unknown, ok := errors.AsType[*vidu.MaybeCreatedError](got.err); ok {
				assert.Equal(t, "job-42", unknown.Payload)
				assert.WithinRange(t, time.Now(), unknown.From, unknown.To.Add(time.Minute))
				assert.NotContains(t, strings.ToLower(got.err.Error()), "again")
			}
		})
	}
	for name := range createFaults {
		known := slices.ContainsFunc(vidu.CreateRules(), func(r vidu.CreateRule) bool { return r.Name == name })
		assert.True(t, known, "the policy has no row %q", name)
	}
}

// TestCreateRulesCoverEveryStatus makes sure that no status falls through the table unseen.
func TestCreateRulesCoverEveryStatus(t *testing.T) {
	t.Parallel()
	for status := 200; status < 600; status++ {
		covered := slices.ContainsFunc(vidu.CreateRules(), func(r vidu.CreateRule) bool {
			return r.From <= status && status <= r.To && r.Codes == nil
		})
		assert.True(t, covered, "status %d", status)
	}
}

func TestRetryDelay(t *testing.T) {
	t.Parallel()
	second := func(int) time.Duration { return time.Second }
	tests := map[string]struct {
		err  error
		want time.Duration
	}{
		"no answer":                    {errors.New("reset"), time.Second},
		"no header":                    {&vidu.APIError{StatusCode: 503}, time.Second},
		"longer than the backoff":      {&vidu.APIError{StatusCode: 429, RetryAfter: 7 * time.Second}, 7 * time.Second},
		"shorter than the backoff":     {&vidu.APIError{StatusCode: 429, RetryAfter: time.Millisecond}, time.Second},
		"ten years":                    {&vidu.APIError{StatusCode: 429, RetryAfter: 10 * 365 * 24 * time.Hour}, time.Minute},
		"quota: a task must end first": {&vidu.APIError{StatusCode: 429, Code: vidu.ErrQuotaExceeded}, 5 * time.Second},
		"inside a wrapper":             {fmt.Errorf("x: %w", &vidu.APIError{RetryAfter: 3 * time.Second}), 3 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, vidu.RetryDelay(second, 1, tt.err))
		})
	}
}

// TestCodes_EveryConstantHasARow reads the constants from the source, for nothing else lists them.
func TestCodes_EveryConstantHasARow(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	require.NoError(t, err)
	constants := map[vidu.ErrorCode]bool{}
	for _, decl := range file.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			constant := spec.(*ast.ValueSpec) //nolint:forcetypeassert // of a const group
			if name, ok := constant.Type.(*ast.Ident); ok && name.Name == "ErrorCode" {
				code, err := strconv.Unquote(constant.Values[0].(*ast.BasicLit).Value) //nolint:forcetypeassert // a string
				require.NoError(t, err)
				constants[vidu.ErrorCode(code)] = true
			}
		}
	}
	assert.Greater(t, len(constants), 30)
	rows := vidu.CodeRows()
	assert.ElementsMatch(t, slices.Collect(maps.Keys(constants)), rows, "each constant once")
}

// TestCodes_StandForAStatus lists the codes of responses whose body names none.
func TestCodes_StandForAStatus(t *testing.T) {
	t.Parallel()
	want := map[int]vidu.ErrorCode{
		400: vidu.ErrBadRequest, 401: vidu.ErrUnauthorized, 402: vidu.ErrCreditInsufficient, 403: vidu.ErrForbidden,
		404: vidu.ErrNotFound, 409: vidu.ErrConflict, 429: vidu.ErrTooManyRequests, 499: vidu.ErrCanceled,
		500: vidu.ErrInternalServiceFailure,
	}
	for status := range 600 {
		assert.Equal(t, want[status], vidu.CodeOfStatus(status), "%d", status)
	}
}
